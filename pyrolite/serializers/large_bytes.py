"""Large bytes that fill nearly all of a payload: received as what they become, instead of copied out of it at the end.

Where they are is seen in the first bytes of the payload. The rest is decoded with a stand-in for them, by the same
functions and under the same checks as every payload ([SER-70]).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, Final, Literal

from pyrolite.pieces import Pieces

__all__ = ["FINDERS", "STAND_IN", "loads_around"]

#: Nobody else knows it, so it is in no payload.
STAND_IN: Final = os.urandom(16)
#: Bytes that are searched for the head of the large ones, and those that may be behind them.
_BEFORE: Final = 1024
_BEHIND: Final = 1024


def loads_around(data: Pieces, plain: Callable[[bytes], Any], loads: Callable[[bytes], Any], short_head: bytes) -> Any:
    """Decode a payload that was received in pieces: before the large bytes, they themselves, behind them.

    Args:
        data: the pieces; the first one ends with a type code and 4 bytes of length.
        plain: decodes a payload of builtin types; may refuse any other.
        loads: decodes every payload, or tells what is wrong with it.
        short_head: the type code, with the size of the stand-in.
    """
    before, content, behind = data.pieces
    try:
        return _PuttingBack(content).put(plain(before[:-5] + short_head + STAND_IN + behind))
    except Exception:  # whatever it is: with the whole payload it is found out
        return loads(bytes(data))


class _ElsewhereError(Exception):
    """There is something in which a stand-in could be hidden."""


class _PuttingBack:
    """Puts ``content`` into a small graph, wherever the stand-in is."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._containers: set[int] = set()
        self._found = False

    def put(self, value: Any) -> Any:
        """The graph with the content in it.

        Raises:
            _ElsewhereError: this is not certain to be all that is to be done.
        """
        value = self._put(value)
        if not self._found:
            raise _ElsewhereError
        return value

    def _put(self, value: Any) -> Any:
        kind = type(value)
        if kind is bytes and value == STAND_IN:
            self._found = True
            return self._content
        if kind in _ATOMS:
            return value
        if id(value) in self._containers:
            raise _ElsewhereError
        self._containers.add(id(value))
        if kind is tuple:
            return tuple([self._put(item) for item in value])
        if kind is list:
            value[:] = [self._put(item) for item in value]
            return value
        if kind is dict and _KEYS.issuperset(map(type, value)):
            for key in value:
                value[key] = self._put(value[key])
            return value
        raise _ElsewhereError


_KEYS: Final = frozenset({type(None), bool, int, float, str})
_ATOMS: Final = _KEYS | {complex, bytes}


def _finder(head: bytes, order: Literal["little", "big"]) -> Callable[[bytes, int], tuple[int, int] | None]:
    """A function that finds large bytes in a payload, from its first bytes and its size: their begin and end.

    ``head`` is an expression for their type code, with what follows, their number in the byte order given, as group 1.
    """

    def find(begin: bytes, size: int) -> tuple[int, int] | None:
        for match in re.finditer(head, begin[:_BEFORE], re.DOTALL):  # compiled when first used ([BYD-60])
            start = match.end(1)
            end = start + int.from_bytes(match[1], order)
            if size - _BEHIND <= end <= size:
                return start, end
        return None

    return find


#: For marshal, pickle and msgpack, by the number of the serializer.
FINDERS: Final = {
    3: _finder(rb"[s\xf3](?=(.{4}))", "little"),
    4: _finder(rb"B(?=(.{4}))", "little"),
    6: _finder(rb"\xc6(?=(.{4}))", "big"),
}
