"""Values that travel in every direction with every serializer; the items of the interoperability table.

Runs under Python 3.8 and later, with Pyro4 or pyrolite; pickled instances name their class as ``value_table.X``.
"""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import uuid


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Plain:
    """An instance with attributes."""

    def __init__(self):
        self.a = 1
        self.b = ["two"]


class Converted:
    """A class for which both sides register converters."""

    def __init__(self, text):
        self.text = text


class Sub(int):
    """A subclass of a builtin."""


Pair = collections.namedtuple("Pair", "x y")

_UTC = datetime.timezone.utc
_MOMENT = datetime.datetime(2024, 2, 29, 13, 14, 15, 678)
_LOCATION = "PYRO:some.object@127.0.0.1:4444"

#: name -> function of the library that makes the value
ITEMS = {
    "none": lambda lib: None,
    "true": lambda lib: True,
    "int": lambda lib: -123456789,
    "int_2^63": lambda lib: 2**63,
    "int_big": lambda lib: 2**200,
    "int_negative_big": lambda lib: -(2**70),
    "float": lambda lib: 1.1e-300,
    "float_minus_zero": lambda lib: -0.0,
    "float_nan": lambda lib: float("nan"),
    "float_inf": lambda lib: float("-inf"),
    "complex": lambda lib: 1.5 - 2j,
    "str": lambda lib: "caf\xe9 \u20ac \U0001f600 \0 'quoted' \"twice\" back\\slash\n",
    "str_surrogate": lambda lib: "lone \ud800",
    "str_long": lambda lib: "x\xff" * 5000,
    "bytes": lambda lib: b"\x00\xffbytes",
    "bytes_nested": lambda lib: {"b": [b"in list"]},
    "bytearray": lambda lib: bytearray(b"\x00array"),
    "memoryview": lambda lib: memoryview(b"\x00view"),
    "list": lambda lib: [1, [2.5, [None]], []],
    "tuple": lambda lib: (1, (2, ()), "x"),
    "set": lambda lib: {1, 2, 3},
    "set_empty": lambda lib: set(),
    "frozenset": lambda lib: frozenset([1, 2]),
    "dict": lambda lib: {"a": 1, "b": {"c": [True]}, "": None},
    "dict_int_keys": lambda lib: {1: "one", 2: {3: "three"}},
    "dict_mixed_keys": lambda lib: {1.5: "f", True: "t"},
    "dict_none_key": lambda lib: {None: 1},
    "dict_tuple_keys": lambda lib: {(1, 2): "pair"},
    "deep": lambda lib: _deep(50),
    "datetime": lambda lib: _MOMENT,
    "datetime_aware": lambda lib: _MOMENT.replace(tzinfo=_UTC),
    "date": lambda lib: _MOMENT.date(),
    "time": lambda lib: _MOMENT.time(),
    "timedelta": lambda lib: datetime.timedelta(days=1, seconds=2, microseconds=3),
    "decimal": lambda lib: decimal.Decimal("1.50"),
    "fraction": lambda lib: fractions.Fraction(1, 3),
    "uuid": lambda lib: uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "uuid_nested": lambda lib: [uuid.UUID("12345678-1234-5678-1234-567812345678")],
    "array": lambda lib: array.array("i", [1, 2, 3]),
    "deque": lambda lib: collections.deque([1, 2]),
    "ordereddict": lambda lib: collections.OrderedDict([("b", 1), ("a", 2)]),
    "counter": lambda lib: collections.Counter("abb"),
    "dict_values": lambda lib: {"a": 1}.values(),
    "enum": lambda lib: Colour.RED,
    "intenum": lambda lib: Level.LOW,
    "namedtuple": lambda lib: Pair(1, "y"),
    "int_subclass": lambda lib: Sub(5),
    "instance": lambda lib: Plain(),
    "converted": lambda lib: Converted("by hook"),
    "converted_nested": lambda lib: {"items": [Converted("nested")]},
    "function": lambda lib: make,
    "function_builtin": lambda lib: print,
    "exception": lambda lib: ValueError("as a value", 1),
    "exception_library": lambda lib: lib.errors.NamingError("as a value"),
    "exception_nested": lambda lib: [KeyError("in list")],
    "uri": lambda lib: lib.URI(_LOCATION),
    "uri_unix": lambda lib: lib.URI("PYRO:some.object@./u:/tmp/socket"),
    "uri_name": lambda lib: lib.URI("PYRONAME:some.name@127.0.0.1:9090"),
    "uri_meta": lambda lib: lib.URI("PYROMETA:one,two@127.0.0.1:9090"),
    "uri_nested": lambda lib: {"uris": [lib.URI(_LOCATION)]},
    "proxy": lambda lib: _proxy(lib),
    "proxy_nested": lambda lib: [_proxy(lib)],
    "daemon": lambda lib: _unusable_daemon(lib),
}


def _deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def _proxy(lib):
    proxy = lib.Proxy(_LOCATION)
    proxy._pyroHandshake = "secret"
    proxy._pyroHmacKey = b"key \xff"
    proxy._pyroSerializer = "json"
    proxy._pyroMethods, proxy._pyroAttrs, proxy._pyroOneway = {"m", "n"}, {"a"}, {"n"}
    return proxy


def _unusable_daemon(lib):
    return lib.Daemon.__new__(lib.Daemon)


def make(item, lib):
    """The value called ``item``."""
    return ITEMS[item](lib)


def register_converters(lib):
    """Both sides of the conversion of `Converted`."""
    base = lib.util.SerializerBase
    base.register_class_to_dict(Converted, lambda value: {"__class__": "interop.Converted", "text": value.text})
    base.register_dict_to_class("interop.Converted", lambda name, data: Converted(data["text"]))
