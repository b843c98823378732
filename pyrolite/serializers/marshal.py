"""The marshal format of the Python interpreter, version 4 ([SER-20])."""

from __future__ import annotations

import contextlib
import functools
import marshal
import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from pyrolite.errors import SerializeError
from pyrolite.pieces import LARGE, Pieces
from pyrolite.serializers import marshal_guard
from pyrolite.serializers.base import SerializerBase
from pyrolite.serializers.values import CONTAINERS, GraphConverter, is_plain_tree, simple_forms

__all__ = ["MarshalSerializer"]

_VERSION: Final = 4  # whatever the Python: version 5 of Python 3.14 cannot be read by older ones

#: Types that marshal writes as what they are, or as bytes where that is right.
_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, memoryview})
_SCALARS: Final = frozenset({type(None), bool, int, float, str})
_EXTRA: Final = frozenset({complex, memoryview})  # those of them that `is_plain` has to be told
#: Those that need no conversion in graphs that are walked; marshal does not write a view with gaps.
_GRAPH_ATOMS: Final = _ATOMS - {bytearray, memoryview}


class MarshalSerializer(SerializerBase):
    """marshal: the fastest, with most of the builtin types. Python only.

    Instances of other classes are converted at every level ([SER-16], [SER-33]).
    """

    serializer_id = 3
    _forms = simple_forms({memoryview: lambda value: value.tobytes(), bytearray: bytes})
    _hookable = frozenset({complex, bytes, bytearray, memoryview})

    _read = staticmethod(marshal_guard.loads)

    def payload(self, data: Any) -> bytes | Pieces:
        if type(data) in _SCALARS and not self._hooked:  # this cannot fail
            return marshal.dumps(data, _VERSION)
        return super().payload(data)

    def callPayload(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes | Pieces:
        # most calls have a few plain arguments: these need no conversion, and cannot fail
        if type(vargs) is tuple and not kwargs and not self._hooked and type(obj) is type(method) is str:
            for value in vargs:
                if type(value) not in _SCALARS:
                    break
            else:
                return marshal.dumps((obj, method, [*vargs], kwargs), _VERSION)
        return super().callPayload(obj, method, vargs, kwargs)

    def _encode(self, data: Any) -> bytes | Pieces:
        flat = self._flatness((data,))
        if flat:
            with contextlib.suppress(ValueError):
                return _marshalled_atom(data)
        elif flat is not None:
            with contextlib.suppress(ValueError):
                marshalled = marshal.dumps(data, _VERSION)
                if _is_right(marshalled, data):
                    return marshalled
        return marshal.dumps(self._graph(data), _VERSION)

    def _encode_call(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes | Pieces:
        is_list = type(vargs) in (tuple, list)
        values = vargs if is_list else (vargs,)
        flat = self._flatness((*values, *kwargs.values()) if kwargs else values)
        if flat is not None:
            with contextlib.suppress(ValueError):
                if flat and is_list and any(type(value) is bytes and len(value) >= LARGE for value in values):
                    return _call_in_pieces(obj, method, values, kwargs)
                # made in place, since marshal marks what others refer to, and marks cost the receiver time
                marshalled = marshal.dumps((obj, method, [*values] if is_list else vargs, kwargs), _VERSION)
                if flat or _is_right(marshalled, (vargs, kwargs)):
                    return marshalled
        # each argument is a top level value
        args = [self._graph(value) for value in vargs] if is_list else self._graph(vargs)
        named = {name: self._graph(value) for name, value in kwargs.items()} if kwargs else kwargs
        return marshal.dumps((obj, method, args, named), _VERSION)

    def _flatness(self, values: Iterable[Any]) -> bool | None:
        """Whether ``values``, those of the top level, are all atoms; None when one of them needs conversion.

        Of other types than the builtin ones they have to be converted, or refused although marshal could write them
        (code, Ellipsis).
        """
        if self._hooked:
            return None
        flat = True
        for value in values:
            if type(value) not in _ATOMS:
                if type(value) not in CONTAINERS:
                    return None
                flat = False
        return flat

    def _graph(self, data: Any) -> Any:
        """``data`` with only types in it that marshal writes as what they are."""
        try:
            return GraphConverter(
                _GRAPH_ATOMS, self._hookable, self._hooked, self._simpler, lambda key: key, sets=True
            ).convert(data)
        except SerializeError as error:
            if not str(error).startswith("don't know how") or str(error) == str(self._no_form(data)):
                raise  # of a hook, or about the value itself
            raise ValueError("unmarshallable object") from error


def _marshalled_atom(value: Any) -> bytes | Pieces:
    """An atom as marshal writes it, large bytes in a piece of their own."""
    if type(value) is bytes and LARGE <= len(value) < _LARGEST:
        return Pieces([_bytes_head(len(value)), value])
    return marshal.dumps(value, _VERSION)


def _call_in_pieces(obj: Any, method: str, vargs: Iterable[Any], kwargs: Any) -> Pieces:
    """A call all of whose arguments are atoms.

    It can be put together as long as no part has references in it: they would count the values before them.
    """
    args = [_marshalled_atom(value) for value in vargs]
    begin = (b")\x04", marshal.dumps(obj, _VERSION), marshal.dumps(method, _VERSION), _list_head(len(args)))
    pieces = [b"".join(begin)]
    for arg in args:
        if type(arg) is Pieces:
            pieces += arg.pieces
        else:
            pieces.append(bytes(arg))
    pieces.append(marshal.dumps(kwargs, _WITHOUT_REFERENCES))
    return Pieces(pieces)


_WITHOUT_REFERENCES: Final = 2  # a version of the format
_LARGEST: Final = 1 << 31  # what marshal can express
_bytes_head: Final[Callable[[int], bytes]] = functools.partial(struct.Struct("<cI").pack, b"s")
_list_head: Final[Callable[[int], bytes]] = functools.partial(struct.Struct("<cI").pack, b"[")


#: Codes in marshalled data, followed by a number below 2**24: bytes of that length (with or without the reference bit),
#: and a reference to the object of that number. These expressions run at the speed of memchr; a set of codes takes ten
#: times as long.
_REFERENCE: Final = re.compile(rb"r(?=.{3}\0)", re.DOTALL)
_CODES: Final = (_REFERENCE, *(re.compile(code + rb"(?=.{3}\0)", re.DOTALL) for code in (rb"s", rb"\xf3")))
_LARGE: Final = 1 << 24
#: How much larger than what marshal wrote a graph may be as a tree.
_PATIENCE: Final = 64


def _is_right(marshalled: bytes, data: Any) -> bool:
    """Whether marshal wrote ``data`` as what it is, as opposed to something in it that needs conversion.

    Without a complaint marshal writes circular references, and arrays, numpy values and so on as the bytes they occupy.
    """
    return not _is_suspicious(marshalled) or is_plain_tree(data, _EXTRA, _PATIENCE * len(marshalled))


def _is_suspicious(marshalled: bytes) -> bool:
    """Whether there can be bytes in marshalled data, or anything that is written as bytes, or a reference."""
    size = len(marshalled)
    if size >= _LARGE:
        return True
    for code in _CODES:
        match = code.search(marshalled)
        # most of the time it is part of something else, and the number is an absurd one
        while match:
            end = match.end()
            number = int.from_bytes(marshalled[end : end + 4], "little")
            if number <= size - (0 if code is _REFERENCE else end + 4):
                return True
            match = code.search(marshalled, end)
    return False
