"""Runs the game as soon as enough remote players are there: python gameserver.py [PLAYERS [SEED]]."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable

from arena import Action, Arena, View
from brains import Wanderer

import pyrolite

MAXIMUM = 200  # turns


class GameServer:
    """Where remote players register their robots."""

    def __init__(self, players: int, seed: int) -> None:
        self._arena = Arena(random.Random(seed))
        self._missing = players
        self._players: list[pyrolite.Proxy] = []
        self._lock = threading.Lock()  # several players may join at the same time
        self.complete = threading.Event()
        for number in (1, 2):
            self._arena.enter(f"local{number}", Wanderer(seed + number).think)

    @pyrolite.expose
    def join(self, name: str, robot: pyrolite.Proxy) -> None:
        """Take part; ``think(view)`` of the robot will be called each turn, and ``over(winners)`` at the end."""
        with self._lock:
            if not self._missing:
                raise ValueError("the game has begun already")
            self._arena.enter(name, remote_brain(robot))
            self._players.append(robot)
            self._missing -= 1
            print(f"{name} has joined")
            if not self._missing:
                self.complete.set()

    def play(self) -> None:
        for turn in range(1, MAXIMUM + 1):
            for event in self._arena.turn():
                print(f"turn {turn}: {event}")
            if len(self._arena.robots) <= 1:
                break
        print(self._arena.picture())
        winners = [robot.name for robot in self._arena.robots]
        print("left at the end:", ", ".join(winners))
        for player in self._players:
            try:
                with player:
                    player.over(winners)
            except pyrolite.errors.CommunicationError:
                print("a player has left already")


def remote_brain(robot: pyrolite.Proxy) -> Callable[[View], Action]:
    """A robot that thinks in another process; it is out when it cannot be reached, or is too slow."""
    robot._pyroTimeout = 5.0

    def think(view: View) -> Action:
        try:
            action: Action = robot.think(view)
        except pyrolite.errors.CommunicationError:
            return ("gone",)
        return action

    return think


def main() -> None:
    players = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1000)
    game = GameServer(players, seed)
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.robots", daemon.register(game))
        print(f"the arena is ready; waiting for {players} players")
        serving = threading.Thread(target=daemon.requestLoop, name="daemon")
        serving.start()
        try:
            game.complete.wait()
            game.play()
        except KeyboardInterrupt:
            print("the game is cancelled")
        finally:
            daemon.shutdown()
            serving.join()


if __name__ == "__main__":
    main()
