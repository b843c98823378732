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


def sparkline(values: Sequence[float]) -> str:
    """The course of the values as a line of small bars."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def line_of(channel: Channel) -> str:
    values = list(channel.values)
    value = f"{values[-1]:10.3f} {channel.unit:<5}" if values else f"{'-':>10} {'':<5}"
    state = "ok" if channel.connected else "GONE"
    return f"{channel.name:<14} {state:<4} {value} {sparkline(values)}"


def draw(watcher: Watcher, events: Sequence[str]) -> None:
    lines = ["Control room", "", *map(line_of, watcher.channels()), "", *events]
    print(CLEAR + "\n".join(lines), flush=True)


def print_lines(watcher: Watcher) -> None:
    for channel in watcher.channels():
        if channel.values:
            print(line_of(channel), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Shows all instruments of the laboratory.")
    parser.add_argument("--plain", action="store_true", help="lines instead of a drawing")
    parser.add_argument("--interval", type=float, default=0.5, metavar="SECONDS", help="between measurements (0.5)")
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
                draw(watcher, list(events))
    finally:
        watcher.close()
    lost = sum(channel.lost for channel in watcher.channels())
    print(f"watched {len(watcher.channels())} instruments; {lost} connections were lost", flush=True)


if __name__ == "__main__":
    main()
