"""Modules and values that are loaded or made when they are first used: ``import pyrolite`` is quick ([BYD-60]).

A room that needs a module of the standard library only now and then writes::

    if TYPE_CHECKING:
        import inspect
    else:
        inspect = lazily.module("inspect", globals())

and uses it as ever. A regular expression, or something else that takes a while to make, and which it calls or uses the
attributes of, is written::

    _ESCAPE: Final = lazily.value("_ESCAPE", globals(), lambda: re.compile(...))

A package whose users often need only a part of it says where the other names are, and its type checker where they come
from::

    if TYPE_CHECKING:
        from pyrolite.core.daemon import Daemon
    __getattr__, __dir__ = lazily.names(globals(), {"Daemon": "pyrolite.core.daemon"})

Nothing remains of any of them after the first use, and nothing is slower from then on: what was loaded or made has
taken its place among the globals of the room. Therefore a stand-in is not to be kept elsewhere, nor compared. Which
modules these are, and why, is told in ``docs/topics/decisions.md``.

Thread safety: several threads may use the same thing first. A module is loaded once, by the import system; a value may
be made by each of them, and the last one stays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

__all__ = ["load", "module", "names", "value"]

T = TypeVar("T")


def module(name: str, room: dict[str, Any], variable: str = "") -> Any:
    """What stands for a module until something of it is used.

    Args:
        name: of the module.
        room: the ``globals()`` of who uses it.
        variable: what the module is called there; without one, by its name.
    """
    return _StandIn(variable or name, room, lambda: load(name))


def value(variable: str, room: dict[str, Any], make: Callable[[], T]) -> T:
    """What stands for the value of ``make()`` until it is called, or an attribute of it is used.

    Args:
        variable: of ``room``.
        room: the ``globals()`` of who uses it.
        make: makes the value; may be called more than once.
    """
    return cast("T", _StandIn(variable, room, make))


class _StandIn:
    """Puts in its own place what it stands for, when that is used."""

    __slots__ = ("_make", "_room", "_variable")

    def __init__(self, variable: str, room: dict[str, Any], make: Callable[[], Any]) -> None:
        self._variable = variable
        self._room = room
        self._make = make

    def _take_place(self) -> Any:
        found = self._room.get(self._variable, self)
        if found is self:
            found = self._room[self._variable] = self._make()
        return found  # if it is not me, somebody has kept me longer than he should

    def __getattr__(self, name: str) -> Any:
        return getattr(self._take_place(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._take_place()(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self._variable}, not used yet>"


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
        found = room[name] = getattr(load(place), name)
        return found

    def listing() -> list[str]:
        return sorted({*room, *places})

    return find, listing


def load(name: str) -> Any:
    """The module of that name, as ``importlib.import_module``, which would have to be loaded itself."""
    __import__(name)
    return sys.modules[name]
