"""How many calls a second, for twelve kinds of calls.

python client.py [URI [CALLS]]
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import pyrolite

TEXT = "text " * 1000


def kinds_of_calls(bench: Any) -> dict[str, Callable[[], Any]]:
    batch = pyrolite.batch(bench)

    def ten_in_a_batch() -> None:
        for _ in range(10):
            batch.nothing()
        list(batch())

    return {
        "no arguments": bench.nothing,
        "one number": lambda: bench.echo(42),
        "a few numbers": lambda: bench.echo(1, 2, 3.5, -4),
        "short text": lambda: bench.echo("hello"),
        "long text": lambda: bench.length(TEXT),
        "list": lambda: bench.length(list(range(100))),
        "dictionary": lambda: bench.length({str(number): number for number in range(50)}),
        "nested data": lambda: bench.echo([{"a": (1, 2)}, {"b": [3, {"c": None}]}]),
        "keyword arguments": lambda: bench.echo(a=1, b="two", c=[3]),
        "attribute": lambda: bench.attribute,
        "oneway": bench.oneway,
        "batch of ten": ten_in_a_batch,
    }


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the server: ")
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with pyrolite.Proxy(uri) as bench:
        bench._pyroBind()
        for kind, call in kinds_of_calls(bench).items():
            started = time.perf_counter()
            for _ in range(calls):
                call()
            duration = time.perf_counter() - started
            print(f"{kind:>18}: {calls / duration:8.0f} calls/s, {duration / calls * 1e6:7.1f} microseconds each")


if __name__ == "__main__":
    main()
