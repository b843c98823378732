"""What ``@callback`` is for: errors in a callback are also logged where they happen, and not only sent away."""

import logging
import sys
import threading

import pyrolite


class Plain:
    @pyrolite.expose
    def fail(self) -> float:
        return 1 / 0


class Marked:
    @pyrolite.expose
    @pyrolite.callback
    def fail(self) -> float:
        return 1 / 0


def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="LOG: %(message)s")
    logging.getLogger("pyrolite").setLevel(logging.WARNING)
    with pyrolite.Daemon() as daemon, pyrolite.Proxy("PYRONAME:example.callback.office") as office:
        threading.Thread(target=daemon.requestLoop, name="callbacks").start()
        for reporter in (Plain(), Marked()):
            daemon.register(reporter)
            print(f"{type(reporter).__name__}:", office.report_now(reporter))
        daemon.shutdown()


if __name__ == "__main__":
    main()
