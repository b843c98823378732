"""A remote player: python player.py [NAME]. Its robot fights in the arena of the server, but thinks here."""

from __future__ import annotations

import sys

from arena import Action, View
from brains import Hunter

import pyrolite


class RemoteRobot:
    def __init__(self) -> None:
        self._brain = Hunter()
        self.winners: list[str] | None = None
        self.thoughts = 0

    @pyrolite.expose
    def think(self, view: View) -> Action:
        self.thoughts += 1
        return self._brain.think(view)

    @pyrolite.expose
    def over(self, winners: list[str]) -> None:
        self.winners = winners


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else input("Name of the robot: ")
    pyrolite.config.POLLTIMEOUT = 0.1  # how soon the end of the game is noticed
    robot = RemoteRobot()
    with pyrolite.Daemon() as daemon:
        daemon.register(robot)
        with pyrolite.Proxy("PYRONAME:example.robots") as game:
            game.join(name, robot)
        print(f"{name} has joined")
        daemon.requestLoop(lambda: robot.winners is None)
    print(f"{name} was asked {robot.thoughts} times, and has", "won" if name in (robot.winners or []) else "lost")


if __name__ == "__main__":
    main()
