"""Gets a picture from all calculators that there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyrolite

LEFT, RIGHT, TOP, BOTTOM = -2.2, 0.8, 1.2, -1.2


def calculators() -> list[str]:
    """The URIs of those who have announced by their metadata what they can do."""
    with pyrolite.locateNS() as nameserver:
        return sorted(nameserver.list(metadata_all={"example:mandelbrot-calculator"}).values())


def calculate(uris: list[str], width: int, height: int) -> list[list[int]]:
    """The picture, line by line; every calculator does its share in one batch."""
    rows = [TOP + (BOTTOM - TOP) * row / (height - 1) for row in range(height)]

    def share(number: int) -> list[list[int]]:
        with pyrolite.Proxy(uris[number]) as calculator:
            batch = pyrolite.batch(calculator)
            for y in rows[number :: len(uris)]:
                batch.line(y, LEFT, RIGHT, width)
            return list(batch())

    picture: list[list[int]] = [[] for _ in rows]
    with ThreadPoolExecutor(len(uris)) as pool:
        for number, lines in enumerate(pool.map(share, range(len(uris)))):
            picture[number :: len(uris)] = lines
    return picture
