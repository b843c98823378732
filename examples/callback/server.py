"""Workers that report to whoever gave them work, by calling back."""

import threading

import pyrolite


@pyrolite.expose
class Worker:
    """Does one piece of work in a thread of its own."""

    def __init__(self, number: int, reporter: pyrolite.Proxy) -> None:
        self._number = number
        self._reporter = reporter

    def work(self, amount: int) -> None:
        threading.Thread(target=self._work, args=(amount,), name=f"worker {self._number}").start()

    def _work(self, amount: int) -> None:
        result = sum(number * number for number in range(amount))
        with self._reporter as reporter:
            reporter.done(self._number, result)
        print(f"worker {self._number} has reported")


@pyrolite.expose
class Office:
    def hire(self, number: int, reporter: pyrolite.Proxy) -> Worker:
        worker = Worker(number, reporter)
        self._pyroDaemon.register(worker)  # type: ignore[attr-defined]  # set when the office was registered
        return worker

    def report_now(self, reporter: pyrolite.Proxy) -> str:
        """Call back at once, while the caller is waiting."""
        try:
            with reporter:
                reporter.fail()
        except ZeroDivisionError as error:
            return f"your callback failed with: {error}"
        return "your callback worked"


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.callback.office", daemon.register(Office()))
        print("the office is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
