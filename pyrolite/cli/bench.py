"""How fast calls are: ``pyrolite-check --bench`` ([BYD-21])."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from pyrolite.configuration import Configuration
from pyrolite.core import Proxy

__all__ = ["measure", "summary"]

_WARM_UP: Final = 20
_MESSAGE: Final = "hello"
#: Seconds between two reports.
_REPORT: Final = 0.1
#: More latencies than these are not kept.
_KEPT: Final = 5_000_000


def measure(
    uri: str, config: Configuration, key: bytes | None, seconds: float, report: Callable[[float, int], object]
) -> dict[str, float]:
    """Call ``echo`` of an object, one call after the other, for some time; the results in calls and microseconds.

    Args:
        uri: of an object with a method ``echo`` that takes one argument.
        config: the configuration of the client.
        key: its HMAC key, None for none.
        seconds: how long.
        report: called now and then with the part of the time that is over, and the number of calls.

    Raises: what the calls raise.
    """
    latencies: list[float] = []
    clock = time.perf_counter
    with Proxy(uri, config=config) as proxy:
        proxy._pyroHmacKey = key
        call: Any = proxy.echo
        for _ in range(_WARM_UP):
            call(_MESSAGE)
        begin = now = clock()
        end, next_report = begin + seconds, begin
        while now < end and len(latencies) < _KEPT:
            call(_MESSAGE)
            after = clock()
            latencies.append(after - now)
            now = after
            if now > next_report:
                report((now - begin) / seconds, len(latencies))
                next_report = now + _REPORT
                now = clock()
    return summary(latencies, now - begin)


def summary(latencies: list[float], seconds: float) -> dict[str, float]:
    """Number, rate and percentiles (in microseconds) of calls that took ``latencies`` seconds."""
    ordered = sorted(latencies)
    count = len(ordered)

    def percentile(part: float) -> float:
        return round(ordered[min(count - 1, int(count * part))] * 1e6, 1) if count else 0.0

    return {
        "calls": count,
        "seconds": round(seconds, 3),
        "calls_per_second": round(count / seconds, 1) if seconds else 0.0,
        "min_us": percentile(0.0),
        "median_us": percentile(0.5),
        "p90_us": percentile(0.9),
        "p99_us": percentile(0.99),
        "p999_us": percentile(0.999),
        "max_us": percentile(1.0),
    }
