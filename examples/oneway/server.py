"""Does slow things for callers that do not wait: python server.py [--not-threaded]."""

import sys
import threading
import time

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Starter:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0

    @pyrolite.oneway
    def start(self, seconds: float) -> str:
        time.sleep(seconds)
        with self._lock:
            self._done += 1
        return "nobody will see this"

    @pyrolite.oneway
    def fail(self) -> None:
        raise ValueError("nobody will see this either")

    def done(self) -> int:
        with self._lock:
            return self._done


def main() -> None:
    if "--not-threaded" in sys.argv:
        pyrolite.config.ONEWAY_THREADED = False
    with pyrolite.Daemon() as daemon:
        print("the starter is ready:", daemon.register(Starter))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
