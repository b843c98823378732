"""The short table for README.md and the documentation, which stands there between two comments."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.report import EMPTY, duration, table
from benchmarks.runner import Measurement, paired_ratio
from benchmarks.saved import Run

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
PEERS = {"pyrolite": "pyrolite", "pyro4": "Pyro4", "pyro5": "Pyro5", "rpyc": "RPyC"}
#: What everybody has, with default settings; chosen for what programs do most, not for how the numbers look.
ROWS = {
    "latency-thread-serpent": "a call",
    "nested-serpent": "1 KB of nested data, there and back",
    "oneway-threaded": "a call without an answer",
    "stream-serpent": "an item of a stream",
    "tls": "a call over TLS",
    "connect-thread": "connect, call, close",
}
_REGION = re.compile(f"(?<={BEGIN}\n).*?(?={END})", re.DOTALL)


def summary(run: Run) -> str:
    """Return the table, and where the numbers come from."""
    header = ["time per operation", *PEERS.values(), "Pyro4 ÷ pyrolite"]
    lines = ["", *table(header, _rows(run)), "", _source(run), ""]
    return "\n".join(lines) + "\n"


def _rows(run: Run) -> Iterator[list[str]]:
    for workload, row in run.results:
        if workload.name in ROWS:
            times = [run.median(workload.name, peer) for peer in PEERS]
            cells = [EMPTY if time is None else duration(time) for time in times]
            cells[0] = f"**{cells[0]}**"
            ratio = paired_ratio(row.get("pyrolite", Measurement()), row.get("pyro4"))
            yield [ROWS[workload.name], *cells, EMPTY if ratio is None else f"{1 / ratio:.1f}"]


def _source(run: Run) -> str:
    machine, python, versions = (fact.removeprefix("- ") for fact in run.facts)
    libraries = [version for version in versions.split(", ") if version.startswith(("Pyro4", "Pyro5", "rpyc"))]
    where = f"{machine}; {python}; {', '.join(libraries)}"
    return (
        f"Medians of interleaved rounds, client and server on one machine ({where}). Default settings, `SOCK_NODELAY`"
        " on for all."
    )


def replaced(text: str, run: Run) -> str:
    """Return the text with the table of this run in its place (ValueError: it has no place for it)."""
    if not _REGION.search(text):
        raise ValueError(f"no {BEGIN} and {END}")
    return _REGION.sub(lambda _: summary(run), text)
