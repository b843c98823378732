"""Draws results as bars, in SVG, with nothing but the standard library."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from html import escape
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import load_peer
from benchmarks.report import duration
from benchmarks.saved import Run


class Plot(NamedTuple):
    """A picture: its file, what it says, the peers, and the workloads (patterns) with their headings."""

    file: str
    title: str
    peers: tuple[str, ...]
    workloads: dict[str, str]


EVERYBODY = ("pyrolite", "pyro4", "pyro5", "rpyc", "floor")
FAMILY = ("pyrolite", "pyro4", "pyro5")
PLOTS = (
    Plot(
        "performance-calls.svg",
        "Time of a call, default settings",
        EVERYBODY,
        {
            "latency-thread-serpent": "a call with two numbers",
            "nested-serpent": "1 KB of nested data, there and back",
            "tls": "a call over TLS",
            "raising": "a call that raises",
            "attribute": "reading an attribute",
            "clients-thread": "a call, with 16 clients at once",
        },
    ),
    Plot(
        "performance-kinds.svg",
        "Many calls at once, or none",
        ("pyrolite", "pyro4", "pyro5", "rpyc"),
        {
            "batch-serpent": "a call in a batch of 1000",
            "oneway-threaded": "a call without an answer",
            "stream-serpent": "an item of a stream",
            "stream-prefetch": "an item of a stream, pyrolite fetching 100 at once",
            "connect-thread": "connect, call, close",
            "names-lookup-memory": "asking the name server",
        },
    ),
    Plot(
        "performance-serializers.svg",
        "1 KB of nested data there and back, by serializer",
        FAMILY,
        {f"nested-{name}": name for name in ("serpent", "json", "marshal", "msgpack", "pickle")},
    ),
    Plot(
        "performance-bytes.svg",
        "Large bytes, one way",
        FAMILY,
        {f"bytes-*-{way}-{name}": "" for way in ("up", "down") for name in ("msgpack", "marshal", "pickle")},
    ),
)
COLOURS = {"pyrolite": "#0b7285", "pyro4": "#868e96", "pyro5": "#adb5bd", "rpyc": "#e8b04a", "floor": "#dee2e6"}
WIDTH, MARGIN, LABELS, VALUES = 720, 20, 90, 80
BAR, GAP, HEADING, TITLE = 16, 4, 24, 34
NAMESPACE = "http://www.w3.org/2000/svg"
INK = "#212529"


def draw_all(run: Run, directory: Path) -> dict[Path, str]:
    """Return the text of each file; a plot without results is left out."""
    drawn = {}
    for plot in PLOTS:
        rows = list(_rows(run, plot))
        if rows:
            drawn[directory / plot.file] = draw(plot.title, rows)
    return drawn


def _rows(run: Run, plot: Plot) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Yield the heading of each workload, and the nanoseconds of its peers."""
    for pattern, heading in plot.workloads.items():
        for workload, _row in run.results:
            if fnmatch(workload.name, pattern) and "-1MiB-" not in workload.name:
                bars = [(peer, time) for peer in plot.peers if (time := run.median(workload.name, peer)) is not None]
                if bars:
                    yield heading or workload.title, bars


def draw(title: str, rows: list[tuple[str, list[tuple[str, float]]]]) -> str:
    """Return a picture with a group of bars for each row; each group has a scale of its own."""
    room = WIDTH - 2 * MARGIN - LABELS - VALUES
    body = [_text(MARGIN, MARGIN + 6, title, size=16, bold=True)]
    y = MARGIN + TITLE
    for heading, bars in rows:
        body.append(_text(MARGIN, y, heading, bold=True))
        y += HEADING - BAR
        longest = max(time for _, time in bars)
        for peer, time in bars:
            length = max(2.0, room * time / longest)
            body.append(_text(MARGIN + LABELS - 8, y + BAR - 4, load_peer(peer).label, anchor="end"))
            body.append(
                f'<rect x="{MARGIN + LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[peer]}"/>'
            )
            body.append(_text(MARGIN + LABELS + length + 6, y + BAR - 4, duration(time), bold=peer == "pyrolite"))
            y += BAR + GAP
        y += HEADING
    body.append(_text(MARGIN, y - 6, "Shorter is better. Each group has a scale of its own.", size=12))
    height = y + MARGIN - 6
    return "\n".join(
        [
            f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _text(x: float, y: float, text: str, *, size: int = 13, bold: bool = False, anchor: str = "start") -> str:
    style = f'font-size="{size}" fill="{INK}" text-anchor="{anchor}"' + ' font-weight="600"' * bold
    return f'<text x="{x:.1f}" y="{y}" {style}>{escape(text)}</text>'
