"""Results that come piece by piece."""

import itertools
import time
from collections.abc import Iterator

import pyrolite


@pyrolite.expose
class Streams:
    def all_at_once(self) -> list[int]:
        return [1, 2, 3]

    def iterator(self) -> Iterator[int]:
        return iter([1, 2, 3])

    def generator(self) -> Iterator[str]:
        yield "one"
        yield "two"
        yield "three"

    def slow(self, seconds: float) -> Iterator[int]:
        for number in range(3):
            time.sleep(seconds)
            yield number

    def without_end(self) -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            print("a stream without end has been closed")

    def failing(self) -> Iterator[int]:
        yield 10
        yield 10 // 0


def main() -> None:
    pyrolite.config.ITER_STREAM_LINGER = 5.0  # how long a stream waits for its client to come back
    with pyrolite.Daemon() as daemon:
        print("the streams are ready:", daemon.register(Streams))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
