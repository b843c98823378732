"""Shows all instruments of the laboratory: python dashboard.py [--plain] [--interval SECONDS]. Ends with Ctrl-C.

On a terminal the display is drawn in place; with --plain, or into a pipe, there are lines to read.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections import deque
from collections.abc import Sequence

from watching import Channel, Watcher

BARS = "▁▂▃▄▅▆▇█"
CLEAR = "\x1b[H\x1b[2J"
BOLD, DIM, RED, GREEN, NORMAL = "\x1b[1m", "\x1b[2m", "\x1b[1;31m", "\x1b[32m", "\x1b[m"


def sparkline(values: Sequence[float | None]) -> str:
    """The course of the values as a line of small bars, with gaps where there is no value."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else BARS[round((value - low) * scale)] for value in values)


def line_of(channel: Channel) -> str:
    values = list(channel.values)
    known = [value for value in values if value is not None]
    value = f"{known[-1]:10.3f} {channel.unit:<5}" if known else f"{'-':>10} {'':<5}"
    state = "ok" if channel.connected else "GONE"
    return f"{channel.name:<14} {state:<4} {value} {sparkline(values)}"


def draw(watcher: Watcher, events: Sequence[str], hints: Sequence[str]) -> None:
    lines = [f"{BOLD}Control room{NORMAL}", ""]
    for channel in watcher.channels():
        colour = GREEN if channel.connected else RED
        lines.append(f"{colour}{line_of(channel)}{NORMAL}  {DIM}process {channel.process}{NORMAL}")
    lines += ["", *events, "", *(f"{DIM}{hint}{NORMAL}" for hint in hints)]
    print(CLEAR + "\n".join(lines), flush=True)


def print_lines(watcher: Watcher) -> None:
    for channel in watcher.channels():
        if channel.values:
            print(line_of(channel), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Shows all instruments of the laboratory.")
    parser.add_argument("--plain", action="store_true", help="lines instead of a drawing")
    parser.add_argument("--interval", type=float, default=0.5, metavar="SECONDS", help="between measurements (0.5)")
    parser.add_argument("--hint", action="append", default=[], metavar="TEXT", help="a line below the drawing")
    options = parser.parse_args()
    plain = options.plain or not sys.stdout.isatty()
    events: deque[str] = deque(maxlen=8)
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    def tell(event: str) -> None:
        events.append(event)
        if plain:
            print(event, flush=True)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    watcher = Watcher(options.interval, tell)
    try:
        while not ended.wait(2 * options.interval if plain else 0.2):
            if plain:
                print_lines(watcher)
            else:
                draw(watcher, list(events), options.hint)
    finally:
        watcher.close()
    lost = sum(channel.lost for channel in watcher.channels())
    print(f"instruments: {len(watcher.channels())}, connections lost: {lost}", flush=True)


if __name__ == "__main__":
    main()
