"""Knows which user is calling by an annotation, and keeps data for each session or for all."""

from __future__ import annotations

import threading

import pyrolite
from pyrolite import current_context

TOKENS = {b"token-of-ada": "Ada", b"token-of-bob": "Bob"}


def current_user() -> str:
    """The user that the call is made for."""
    token = bytes(current_context.annotations.get("USER", b""))
    if token not in TOKENS:
        raise PermissionError("unknown user")
    return TOKENS[token]


@pyrolite.expose
@pyrolite.behavior(instance_mode="session")
class Basket:
    """One for each connection, so it needs no table of users and no lock."""

    def __init__(self) -> None:
        self._owner = current_user()  # of the call that this instance is made for
        self._things: list[str] = []

    def add(self, thing: str) -> str:
        self._things.append(thing)
        return f"{self._owner}'s basket: {', '.join(self._things)}"


@pyrolite.expose
@pyrolite.behavior(instance_mode="single")
class Wall:
    """One for all, used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: list[str] = []

    def write(self, text: str) -> list[str]:
        with self._lock:
            self._notes.append(f"{current_user()}: {text}")
            return list(self._notes)


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.usersession.basket", daemon.register(Basket))
        nameserver.register("example.usersession.wall", daemon.register(Wall))
        print("basket and wall are ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
