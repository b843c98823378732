"""The remote object that every peer serves: the same plain class for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BATCH_SIZE = 1000
ONEWAY_GROUP = 100
STREAM_ITEMS = 200
CLIENTS = 16


def make_payload(size: int) -> bytes:
    """Return bytes in memory of their own: zeros would all share one page, which is cheaper to read."""
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


class Service:
    """What is called remotely; ``size`` is the number of bytes that `source` returns."""

    def __init__(self, size: int = 0) -> None:
        self._payload = make_payload(size)
        self._value = 42

    def add(self, a: int, b: int) -> int:
        """Return the sum: the small call of most workloads."""
        return a + b

    def echo(self, value: Any) -> Any:
        """Return the argument."""
        return value

    def sink(self, data: Any) -> int:
        """Take a large argument, return a small result."""
        return len(data)

    def source(self) -> bytes:
        """Take nothing, return a large result."""
        return self._payload

    def note(self) -> None:
        """Do nothing; called oneway."""

    def stream(self, count: int) -> Iterator[int]:
        """Yield `count` integers."""
        yield from range(count)

    def fail(self) -> None:
        """Raise ValueError."""
        raise ValueError("benchmark")

    @property
    def value(self) -> int:
        """An integer attribute."""
        return self._value


def nested_payload() -> dict[str, Any]:
    """Return a nested value of about 1 KB (as JSON) that all serializers carry."""
    return {
        "name": "measurement",
        "enabled": True,
        "ratio": 0.3125,
        "position": {"x": 12.5, "y": -3.75, "label": "upper left corner of the frame"},
        "tags": ["alpha", "beta", "gamma", "delta"],
        "rows": [
            {"id": number, "title": f"row {number}", "scores": [number, number * 2, number * 3]} for number in range(14)
        ],
        "comment": "the quick brown fox jumps over the lazy dog " * 3,
    }
