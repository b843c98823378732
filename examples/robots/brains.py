"""How robots think: a view of the arena comes in, an action goes out."""

from __future__ import annotations

import random

from arena import STEPS, Action, View


def _nearest(view: View) -> tuple[int, int]:
    """The way to the nearest other robot."""
    x, y = view["position"]
    ways = [(other[0] - x, other[1] - y) for other in view["others"].values()]
    return min(ways, key=lambda way: max(abs(way[0]), abs(way[1])))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


class Wanderer:
    """Walks around and hurts nobody."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def think(self, view: View) -> Action:
        return ("move", *self._random.choice(STEPS))


class Hunter:
    """Goes to the nearest robot, and punches it."""

    def think(self, view: View) -> Action:
        if not view["others"]:
            return ("wait",)
        dx, dy = _nearest(view)
        if max(abs(dx), abs(dy)) == 1:
            return ("punch",)
        return ("move", _sign(dx), _sign(dy))
