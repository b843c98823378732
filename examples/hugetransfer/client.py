"""Sends and gets large data with each serializer: python client.py [URI [MEGABYTES]]."""

import sys
import time
from collections.abc import Callable

import pyrolite


def measure(what: str, size: int, action: Callable[[], int]) -> None:
    started = time.perf_counter()
    done = action()
    duration = time.perf_counter() - started
    assert done == size, (what, done, size)
    print(f"  {what:>10}: {size / 1e6 / duration:7.0f} MB/s")


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the heap: ")
    size = int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 10_000_000
    text, data = "x" * size, bytes(size)
    for serializer in ("serpent", "json", "marshal", "msgpack"):
        print(f"{serializer}, {size / 1e6:.1f} MB:")
        with pyrolite.Proxy(uri) as heap:
            heap._pyroSerializer = serializer
            heap._pyroTimeout = 60  # for each single step of sending and receiving, not for the whole call
            measure("text", size, lambda: heap.put(text))
            measure("bytes", size, lambda: heap.put(data))
            measure("bytearray", size, lambda: heap.put(bytearray(data)))
            measure("result", size, lambda: len(heap.get(size)))
            measure("pieces", size, lambda: sum(map(len, heap.pieces(size))))


if __name__ == "__main__":
    main()
