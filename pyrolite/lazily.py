"""Modules and names that are loaded when they are first used, so that ``import pyrolite`` takes little time ([BYD-60]).

A room that needs a module of the standard library only now and then writes::

    if TYPE_CHECKING:
        import inspect
    else:
        inspect = lazily.module("inspect", globals())

and uses it as ever. A package whose users often need only a part of it says where the other names are, and its type
checker where they come from::

    if TYPE_CHECKING:
        from pyrolite.core.daemon import Daemon
    __getattr__, __dir__ = lazily.names(globals(), {"Daemon": "pyrolite.core.daemon"})

Nothing remains of either after the first use: what was loaded takes its place in the room. Which modules these are, and
why, is told in ``docs/topics/decisions.md``.

Thread safety: several threads may use the same thing first; each module is loaded once, by the import system.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["module", "names"]


def module(name: str, room: dict[str, Any], variable: str = "") -> Any:
    """What stands for a module until something of it is used.

    Args:
        name: of the module.
        room: the ``globals()`` of who uses it.
        variable: what the module is called there; without one, by its name.

    If the module is loaded already there is nothing to wait for: then it is the module itself.
    """
    return sys.modules.get(name) or _StandIn(name, room, variable or name)


class _StandIn:
    """Loads the module when an attribute is looked up, and puts it in its own place."""

    __slots__ = ("_name", "_room", "_variable")

    def __init__(self, name: str, room: dict[str, Any], variable: str) -> None:
        self._name = name
        self._room = room
        self._variable = variable

    def __getattr__(self, attribute: str) -> Any:
        loaded = self._room[self._variable] = _load(self._name)
        return getattr(loaded, attribute)

    def __repr__(self) -> str:
        return f"<module {self._name!r}, not used yet>"


def names(room: dict[str, Any], places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` (PEP 562) of a package that loads some of its names later.

    Args:
        room: the ``globals()`` of the package.
        places: in which modules the names are.
    """

    def find(name: str) -> Any:
        place = places.get(name)
        if place is None:
            raise AttributeError(f"module {room['__name__']!r} has no attribute {name!r}")
        found = room[name] = getattr(_load(place), name)
        return found

    def listing() -> list[str]:
        return sorted({*room, *places})

    return find, listing


def _load(name: str) -> Any:
    """As ``importlib.import_module``, which would have to be loaded itself."""
    __import__(name)
    return sys.modules[name]
