"""Has a queue of work that workers take from, and a queue of results that they put into."""

from __future__ import annotations

import queue

from work import WorkItem

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Dispatcher:
    def __init__(self) -> None:
        self._work: queue.Queue[WorkItem] = queue.Queue()
        self._results: queue.Queue[WorkItem] = queue.Queue()

    def put_work(self, item: WorkItem) -> None:
        self._work.put(item)

    def get_work(self, timeout: float) -> WorkItem | None:
        return self._get(self._work, timeout)

    def put_result(self, item: WorkItem) -> None:
        self._results.put(item)

    def get_result(self, timeout: float) -> WorkItem | None:
        return self._get(self._results, timeout)

    @staticmethod
    def _get(items: queue.Queue[WorkItem], timeout: float) -> WorkItem | None:
        """The next item, or None when there is none within the timeout: nobody waits in here for ever."""
        try:
            return items.get(timeout=timeout)
        except queue.Empty:
            return None


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.distributed.dispatcher", daemon.register(Dispatcher))
        print("the dispatcher is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
