"""A scoreboard that programs on any machine can use.

Needs a running name server (``python -m pyrolite.naming``); ends with Ctrl-C.
"""

import threading
from collections.abc import Iterator

import pyrolite


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Scoreboard:
    """Counts the points of a game. One instance serves all clients, each of them in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: dict[str, int] = {}
        self._moves: list[tuple[str, int]] = []

    def add(self, player: str, points: int = 1) -> int:
        """Give a player some points, and return how many that makes."""
        if points < 0:
            raise ValueError(f"{player} cannot lose points")
        with self._lock:
            self._points[player] = self._points.get(player, 0) + points
            self._moves.append((player, points))
            return self._points[player]

    def history(self) -> Iterator[tuple[str, int]]:
        """All moves so far, one at a time."""
        yield from list(self._moves)

    @property
    def leader(self) -> str | None:
        """The player with the most points, or None."""
        with self._lock:
            return max(self._points, key=self._points.__getitem__, default=None)

    def _cheat(self, player: str) -> None:  # not callable from outside, because its name begins with an underscore
        self._points[player] = 1_000_000


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        uri = daemon.register(Scoreboard)
        nameserver.register("example.scoreboard", uri)
        print("the scoreboard is ready", flush=True)
        daemon.requestLoop()
    print("the scoreboard has closed", flush=True)


if __name__ == "__main__":
    main()
