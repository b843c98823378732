"""Fast writer of serpent text for graphs of builtin types ([SER-10], [SER-18]).

The text is the one that ``serpent.dumps(obj, indent=False, module_in_classname=True)`` writes, byte for byte.
Everything that needs serpent's own machinery (other classes, and every graph that serpent refuses) is left to it:
:func:`dumps` then answers None and the caller asks the serpent package, which also raises the error, if any.
"""

from __future__ import annotations

import sys
import threading
from binascii import b2a_base64
from collections.abc import Callable, Collection
from typing import Any, Final

from pyrolite.pieces import LARGE, Pieces
from pyrolite.serializers.serpent_base64 import is_plain_base64

HEADER: Final = "# serpent utf-8 python3.2\n"
#: The name of the method in a request that is a batch.
BATCH: Final = "<batch>"

# From this size on it pays to look at the types of a sequence first, and to write a uniform one in C.
_UNIFORM_SIZE: Final = 8
_REPR_TYPES: Final = frozenset({str, int, bool, type(None)})
_REPR_KEYS: Final = frozenset({str, int, bool})
_NUMBER_TYPES: Final = frozenset({float, int, bool})
_MISFIT_ERRORS: Final = (KeyError, ValueError, TypeError, RuntimeError, BufferError)


def dumps(obj: Any) -> bytes | Pieces | None:
    """Write ``obj`` as serpent text, header line included; None when the serpent package has to do it ([SER-18]).

    Large bytes become pieces of their own.

    None stands for: an object whose type is not exactly one of None, bool, int, float, str, complex, bytes, bytearray,
    memoryview, list, tuple, dict, set, frozenset; a key or set element that serpent refuses; a circular reference;
    nesting above serpent's limit; a graph that another thread changes meanwhile.

    Thread safety: no state is shared.
    """
    try:
        if type(obj) is tuple and len(obj) == 4 and type(obj[0]) is str and type(obj[1]) is str:
            # The payload of every call; written out here it takes two thirds of the time.
            first, second, third, fourth = obj
            third = _write_calls(third) if second == BATCH and type(third) is list else _WRITERS[type(third)](third)
            fourth = "{}" if type(fourth) is dict and not fourth else _WRITERS[type(fourth)](fourth)
            text = f"{HEADER}({first!r},{second!r},{third},{fourth})"
        else:
            text = HEADER + _RESULT_WRITERS[type(obj)](obj)
    except _MISFIT_ERRORS:  # RuntimeError: RecursionError, or the graph was changed by another thread
        return None
    except _LargeError:
        return _dumps_in_pieces(obj)
    if len(text) > 400 and text.count("[") + text.count("(") + text.count("{") > 200 and _too_deep(obj):
        return None
    return text.encode()


class _LargeError(Exception):
    """There are large bytes, and nowhere to put them."""


class _Large(threading.local):
    """Where this thread puts the base64 that belongs where NUL characters are in its text."""

    found: list[bytes] | None = None


_large: Final = _Large()


def _dumps_in_pieces(obj: Any) -> Pieces | None:
    """As `dumps`, with large bytes in the graph."""
    found = _large.found = []
    try:
        text = dumps(obj)
    finally:
        _large.found = None
    if text is None:
        return None
    around = bytes(text).split(b"\0")
    pieces = [around[0]]
    for base64, piece in zip(found, around[1:], strict=True):
        pieces += (base64, piece)
    return Pieces(pieces)


def _put_aside(encode: Callable[[Any], bytes], value: Any) -> str:
    """Keep large base64 for `_dumps_in_pieces`; gives what stands for it in the text."""
    if _large.found is None:
        raise _LargeError
    _large.found.append(encode(value))
    return "\0"


def _base64(value: bytes | bytearray | memoryview) -> bytes:
    return b2a_base64(value, newline=False)


def _too_deep(obj: Any) -> bool:
    """Tell if serpent would refuse the graph for its nesting: atoms count as a level, too."""
    limit = min(sys.getrecursionlimit() // 5, 1000)
    level: list[Any] = [obj]
    for _ in range(limit + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                below += item
                below += item.values()
            elif kind is list or kind is tuple or kind is set or kind is frozenset:
                below += item
        if not below:
            return False
        level = below
    return True


def _write_float(value: float) -> str:
    if value - value == 0.0:  # neither infinite nor nan
        return repr(value)
    if value != value:
        return "{'__class__':'float','value':'nan'}"
    return "1e30000" if value > 0 else "-1e30000"


def _write_complex(value: complex) -> str:
    real, imag = _write_float(value.real), _write_float(value.imag)
    if value.real != value.real or value.imag != value.imag:
        return "{'__class__':'complex','real':" + real + ",'imag':" + imag + "}"
    return f"({real}{imag}j)" if imag[0] == "-" else f"({real}+{imag}j)"


def _write_bytes(value: bytes | bytearray | memoryview) -> str:
    text = _put_aside(_base64, value) if len(value) >= LARGE else _base64(value).decode("ascii")
    return "{'data': '" + text + "', 'encoding': 'base64'}"


def _write_items(items: Collection[Any]) -> str:
    """Write the items of a container with commas between them."""
    if len(items) >= _UNIFORM_SIZE:
        kinds = set(map(type, items))
        if kinds <= _REPR_TYPES:
            return ",".join(map(repr, items))
        if kinds <= _NUMBER_TYPES:
            text = ",".join(map(repr, items))
            if "n" not in text:  # neither inf nor nan
                return text
    return ",".join([_WRITERS[type(item)](item) for item in items])


def _write_tuple(value: tuple[Any, ...]) -> str:
    if len(value) == 1:
        return "(" + _WRITERS[type(value[0])](value[0]) + ",)"
    return "(" + _write_items(value) + ")"


def _write_list(value: list[Any]) -> str:
    return "[" + _write_items(value) + "]"


def _write_dict(value: dict[Any, Any]) -> str:
    return (
        "{"
        + ",".join(
            [
                f"{key!r}:{_WRITERS[type(item)](item)}"
                if type(key) is str
                else f"{_KEY_WRITERS[type(key)](key)}:{_WRITERS[type(item)](item)}"
                for key, item in value.items()
            ]
        )
        + "}"
    )


def _write_calls(calls: list[Any]) -> str:
    """Write the calls of a batch: a list of tuples of the same three things takes half of the time that others take."""
    if set(map(type, calls)) != {tuple} or set(map(len, calls)) != {3}:
        return _write_list(calls)
    return (
        "["
        + ",".join(
            [
                f"({_WRITERS[type(name)](name)},{_WRITERS[type(args)](args)},{{}})"
                if type(kwargs) is dict and not kwargs
                else f"({_WRITERS[type(name)](name)},{_WRITERS[type(args)](args)},{_WRITERS[type(kwargs)](kwargs)})"
                for name, args, kwargs in calls
            ]
        )
        + "]"
    )


def _write_result(value: dict[Any, Any]) -> str:
    """Write a dict that may be what bytes were received as."""
    if (
        len(value) == 2
        and type(text := value.get("data")) is str
        and len(text) >= LARGE
        and [*value.items()][1] == ("encoding", "base64")
        and is_plain_base64(text)
    ):
        return "{'data':'" + _put_aside(str.encode, text) + "','encoding':'base64'}"
    return _write_dict(value)


def _write_set(value: set[Any] | frozenset[Any]) -> str:
    if not value:
        return "()"  # there is no literal for an empty set
    if len(value) >= _UNIFORM_SIZE and _REPR_KEYS.issuperset(map(type, value)):
        return "{" + ",".join(map(repr, value)) + "}"
    return "{" + ",".join([_KEY_WRITERS[type(item)](item) for item in value]) + "}"


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    type(None): repr,
    bool: repr,
    int: repr,
    str: repr,
    float: _write_float,
    complex: _write_complex,
    bytes: _write_bytes,
    bytearray: _write_bytes,
    memoryview: _write_bytes,
    tuple: _write_tuple,
    list: _write_list,
    dict: _write_dict,
    set: _write_set,
    frozenset: _write_set,
}
_RESULT_WRITERS: Final = {**_WRITERS, dict: _write_result}
# What serpent lets pass as a key or as an element of a set.
_KEY_WRITERS: Final = {kind: _WRITERS[kind] for kind in (bool, int, float, complex, str, bytes, tuple)}
