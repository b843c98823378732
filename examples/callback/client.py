"""Gives work to several workers, and serves their reports until all of them have come."""

import pyrolite

WORKERS = 4


class Reporter:
    def __init__(self) -> None:
        self.results: dict[int, int] = {}

    @pyrolite.expose
    def done(self, number: int, result: int) -> None:
        self.results[number] = result


def main() -> None:
    reporter = Reporter()
    with pyrolite.Daemon() as daemon, pyrolite.Proxy("PYRONAME:example.callback.office") as office:
        daemon.register(reporter)
        for number in range(1, WORKERS + 1):
            with office.hire(number, reporter) as worker:
                worker.work(number * 1000)
        print("all of them work; waiting for their reports")
        # the loop ends as soon as this is no longer true, at the latest POLLTIMEOUT after the last report
        pyrolite.config.POLLTIMEOUT = 0.1
        daemon.requestLoop(lambda: len(reporter.results) < WORKERS)
    for number, result in sorted(reporter.results.items()):
        print(f"worker {number} found {result}")


if __name__ == "__main__":
    main()
