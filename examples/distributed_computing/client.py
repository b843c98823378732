"""Has numbers factorized: python client.py [HOW_MANY]."""

import sys

from work import DISPATCHER, WorkItem

import pyrolite


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    numbers = [10**9 + offset for offset in range(count)]
    with pyrolite.Proxy(DISPATCHER) as dispatcher:
        for number in numbers:
            dispatcher.put_work(WorkItem(number))
        print(f"{count} numbers are in the queue")

        results: dict[int, WorkItem] = {}
        while len(results) < count:
            item = dispatcher.get_result(timeout=5.0)
            if item is None:
                print("no results yet; is there a worker?")
            else:
                results[item.number] = item

    for number in numbers[:3]:
        print(f"{number} = {' * '.join(map(str, results[number].factors))}")
    workers = sorted({item.worker for item in results.values()})
    print(f"{len(results)} results from {len(workers)} workers: {', '.join(workers)}")


if __name__ == "__main__":
    main()
