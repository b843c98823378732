"""Serves with threads, or with one loop for all: python server.py [thread|multiplex]."""

import sys
import threading
import time

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Worker:
    def __init__(self) -> None:
        self._done = 0

    def work(self, seconds: float) -> str:
        time.sleep(seconds)
        return threading.current_thread().name

    @pyrolite.oneway
    def work_oneway(self, seconds: float) -> None:
        time.sleep(seconds)
        self._done += 1

    def done(self) -> int:
        return self._done

    def set_oneway_threaded(self, switch: bool) -> None:
        pyrolite.config.ONEWAY_THREADED = switch
        self._done = 0


def main() -> None:
    pyrolite.config.SERVERTYPE = sys.argv[1] if len(sys.argv) > 1 else "thread"
    with pyrolite.Daemon() as daemon:
        print(f"the {pyrolite.config.SERVERTYPE} server is ready:", daemon.register(Worker))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
