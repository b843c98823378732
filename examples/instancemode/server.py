"""The same class in three modes: how many instances serve the calls?"""

from __future__ import annotations

import itertools
from typing import TypeVar

import pyrolite

T = TypeVar("T", bound="Base")
_numbers = itertools.count(1)


@pyrolite.expose
class Base:
    def __init__(self, note: str = "") -> None:
        self._number = next(_numbers)
        self._note = note
        self._calls = 0

    def who(self) -> str:
        self._calls += 1
        return f"{type(self).__name__} instance, call {self._calls} of it{self._note}"

    def number(self) -> int:
        return self._number


def create(cls: type[T]) -> T:
    """Called when an instance is needed; the context of the call that needs it is there."""
    correlation_id = pyrolite.current_context.correlation_id
    print(f"creating a {cls.__name__} for {correlation_id}")
    return cls(f", made for {correlation_id}")


@pyrolite.behavior(instance_mode="single")
class Single(Base):
    """One for all."""


@pyrolite.behavior(instance_mode="session", instance_creator=create)
class Session(Base):
    """One for each connection; this is the default, too."""


@pyrolite.behavior(instance_mode="percall")
class PerCall(Base):
    """A new one for each call."""


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        for cls in (Single, Session, PerCall):
            nameserver.register(f"example.instancemode.{cls.__name__.lower()}", daemon.register(cls))
        print("all modes are ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
