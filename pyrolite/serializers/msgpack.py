"""The msgpack format, with extension types for what it lacks ([SER-17]). Needs the msgpack package."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pyrolite import lazily
from pyrolite.errors import SerializeError
from pyrolite.pieces import LARGE, Pieces
from pyrolite.serializers.base import Buffer, Received, SerializerBase, concerned
from pyrolite.serializers.classes import Recreator
from pyrolite.serializers.large_bytes import loads_around
from pyrolite.serializers.values import GraphConverter, simple_forms

if TYPE_CHECKING:
    import datetime
else:
    datetime = lazily.module("datetime", globals())

__all__ = ["MsgpackSerializer"]

_COMPLEX: Final = 0x30
_INTEGER: Final = 0x31
_DATETIME: Final = 0x32
_DATE: Final = 0x33

_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes, bytearray, memoryview})
#: What the packer writes itself, subclasses included, without asking anybody.
_NATIVE: Final = (int, float, str, bytes, list, tuple, dict)
#: Keys of a map, at most, whose hashes a sender can choose ([HRD-9]); and the size of data that has no more than that.
_CHOSEN_HASHES: Final = 1000
_FEW_INTEGERS: Final = 3 * _CHOSEN_HASHES
#: Containers inside of each other, at most; data of no more bytes has no more ([HRD-7]). The package has a limit too,
#: 1024, which is the one for data of more than _DENSE bytes, where looking for levels would take its time.
MAX_DEPTH: Final = 200
_DENSE: Final = 6144  # no less than all levels that the package reads have by themselves
#: First bytes of arrays and maps.
_HEADS: Final = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
_DIGITS_LIMIT: Final = 4300  # as Python's own, which guards against quadratic time


class MsgpackSerializer(SerializerBase):
    """msgpack: safe, compact and fast, understood by many languages."""

    serializer_id = 6
    _recreator = Recreator(bottom_up=True)
    #: Whether hooks concern values that the packer would write itself.
    _walk_all: ClassVar[bool] = False
    _hookable = frozenset({bytes, bytearray, memoryview})

    def _read(self, data: Received) -> Any:
        return _library().unpack(data)

    def _encode(self, data: Any) -> bytes | Pieces:
        if type(data) is bytes and len(data) > LARGE and not self._walk_all:
            return Pieces([_bytes_head(data), data])
        library = _library()
        if self._walk_all:
            atoms = _ATOMS | {library.ExtType}
            data = GraphConverter(
                atoms, self._hookable, self._hooked, self._default, lambda key: key, sets=False
            ).convert(data)
        # a packer costs more to make than to use; it is in nobody else's hands while it is out of the pool
        try:
            packer = library.packers.pop()
        except IndexError:
            packer = library.Packer(use_bin_type=True, default=self._default)
        packed: bytes = packer.pack(data)
        if len(packed) <= LARGE:  # its buffer never shrinks
            library.packers.append(packer)
        return packed

    def _encode_call(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes | Pieces:
        if type(vargs) is tuple and not self._walk_all:
            for value in vargs:
                if type(value) is bytes and len(value) > LARGE:
                    return self._call_in_pieces(obj, method, vargs, kwargs)
        return self._encode((obj, method, vargs, kwargs))

    def _call_in_pieces(self, obj: Any, method: str, vargs: tuple[Any, ...], kwargs: Any) -> Pieces:
        """A call with large bytes, which would be copied several times by a packer ([BYD-55])."""
        head = (b"\x94", self._encode(obj), self._encode(method), struct.pack(">BI", 0xDD, len(vargs)))
        pieces = [b"".join(map(bytes, head))]
        for value in vargs:
            encoded = self._encode(value)
            if type(encoded) is Pieces:
                pieces += encoded.pieces
            else:
                pieces.append(bytes(encoded))
        pieces.append(bytes(self._encode(kwargs)))
        return Pieces(pieces)

    @classmethod
    def _default(cls, obj: Any) -> Any:
        """What the packer packs instead of ``obj``; it asks only once."""
        ext_type = _library().ExtType
        value = obj
        while True:
            if type(value) is int and _is_large(value):
                return ext_type(_INTEGER, str(value).encode("ascii"))
            value = cls._simpler(value)
            if isinstance(value, (*_NATIVE, type(None), bytearray, memoryview, ext_type)) and not _is_large(value):
                return value

    @classmethod
    def _hooks_changed(cls) -> None:
        super()._hooks_changed()
        cls._walk_all = bool(cls._hooked) or concerned(_NATIVE, cls._hooks())


def _bytes_head(value: bytes) -> bytes:
    if len(value) >= 1 << 32:
        raise ValueError("bytes object is too large")
    return struct.pack(">BI", 0xC6, len(value))


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 64


class _Library:
    """The msgpack package and what is made with it, loaded when first used ([BYD-60])."""

    def __init__(self) -> None:
        import msgpack

        self.ExtType = msgpack.ExtType
        self.Packer = msgpack.Packer
        self._unpackb = functools.partial(msgpack.unpackb, raw=False, strict_map_key=False)
        #: Packers that are not in use.
        self.packers: list[Any] = []

    def unpack(self, data: Any) -> Any:
        """The value in ``data``, before class dicts are looked at."""
        size = len(data)
        if size <= _FEW_INTEGERS:
            hook: Any = _ext_hook
        elif type(data) is Pieces:
            return loads_around(data, self.unpack, self.unpack, b"\xc4\x10")
        else:
            hook = _CountingExtHook()
        try:
            value = self._unpackb(data, ext_hook=hook)
        except (TypeError, _ManyIntegersError):  # unhashable keys
            value = self._unpackb(data, ext_hook=_ext_hook, object_pairs_hook=_dict_of_pairs)
        if MAX_DEPTH < size <= _DENSE:
            _check_depth(data, value)
        return value


def _check_depth(data: Buffer, value: Any) -> None:
    """Refuse ``value``, which was read from ``data``, if it has more than MAX_DEPTH levels."""
    if len(data) - len(bytes(data).translate(None, _HEADS)) <= MAX_DEPTH:  # too few containers
        return
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        level = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) is list or type(item) is dict
        ]
        if not level:
            return
    raise ValueError(f"malformed msgpack data: more than {MAX_DEPTH} levels")


@functools.cache
def _library() -> _Library:
    return _Library()


def _dict_of_pairs(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dict whose keys may be arrays, but not many of those whose hashes a sender can choose ([SER-14], [HRD-9])."""
    if len(pairs) > _CHOSEN_HASHES and sum(type(key) is list or _is_large(key) for key, _ in pairs) > _CHOSEN_HASHES:
        raise SerializeError(f"more than {_CHOSEN_HASHES} keys of a map are arrays or large integers")
    return {_hashable(key): value for key, value in pairs}


def _hashable(key: Any) -> Any:
    """A key with tuples for arrays ([SER-14])."""
    return tuple([_hashable(item) for item in key]) if type(key) is list else key


def _complex_form(value: complex) -> Any:
    return _library().ExtType(_COMPLEX, struct.pack("<dd", value.real, value.imag))


def _datetime_form(value: datetime.datetime) -> Any:
    if value.tzinfo is not None:
        raise SerializeError("msgpack cannot serialize datetime with timezone info")
    return _library().ExtType(_DATETIME, struct.pack("<d", value.timestamp()))


def _date_form(value: datetime.date) -> Any:
    return _library().ExtType(_DATE, struct.pack("<q", value.toordinal()))


MsgpackSerializer._forms = simple_forms(
    {
        complex: _complex_form,
        "datetime.datetime": _datetime_form,
        "datetime.date": _date_form,
        set: list,
        frozenset: list,
        memoryview: lambda value: value.tobytes(),
    }
)


class _ManyIntegersError(Exception):
    """So many large integers may be keys with the same hash."""


class _CountingExtHook:
    """As `_ext_hook`, until there are too many integers."""

    def __init__(self) -> None:
        self._left = _CHOSEN_HASHES

    def __call__(self, code: int, data: bytes) -> Any:
        if code == _INTEGER:
            self._left -= 1
            if self._left < 0:
                raise _ManyIntegersError
        return _ext_hook(code, data)


def _ext_hook(code: int, data: bytes) -> Any:
    """The value of an extension type ([SER-17])."""
    if code == _COMPLEX:
        return complex(*struct.unpack("<dd", data))
    if code == _INTEGER:
        if len(data) > _DIGITS_LIMIT or not data.removeprefix(b"-").isdigit():
            raise SerializeError("invalid integer in msgpack data")
        return int(data)
    if code == _DATETIME:
        return datetime.datetime.fromtimestamp(*struct.unpack("<d", data))  # local on both sides
    if code == _DATE:
        return datetime.date.fromordinal(*struct.unpack("<q" if len(data) > 4 else "<l", data))
    raise SerializeError(f"invalid ext code for msgpack: {code}")
