"""Values go round; whatever arrives from the network is a value or an error of ours ([SER-5], [SER-10], [HRD-1])."""

from __future__ import annotations

import datetime
import decimal
import json
import marshal
import math
import uuid
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyrolite.errors import SecurityError, SerializeError
from pyrolite.serializers import get_serializer

SAFE = ["serpent", "json", "marshal", "msgpack"]
EXACT = ["marshal", "pickle", "cloudpickle", "dill"]

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(texts.filter(lambda k: k != "__class__"), inner),
    max_leaves=25,
)
keys = st.integers() | texts.filter(lambda k: k != "__class__") | st.booleans() | st.tuples(st.integers(), texts)
python_values = st.recursive(
    scalars | st.binary() | st.complex_numbers(allow_nan=False) | st.sets(keys) | st.frozensets(keys),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=25,
)
objects = (
    st.uuids()
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.builds(ValueError, scalars)
    | st.builds(KeyError, texts, st.integers())
)
graphs = st.recursive(scalars | objects, lambda inner: st.lists(inner) | st.dictionaries(st.just("key"), inner))


def same(one: Any, other: Any) -> bool:
    """Equal in types and values, also -0.0 and 1 for True."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


@pytest.mark.parametrize("name", [*SAFE, *EXACT[1:]])
@given(value=json_values)
def test_plain_values(name: str, value: Any) -> None:
    """[SER-10]: what every format has."""
    serializer = get_serializer(name)
    assert same(serializer.loads(serializer.dumps(value)), value)
    obj, method, vargs, kwargs = serializer.loadsCall(serializer.dumpsCall("o", "m", (value, 1), {"key": value}))
    assert (obj, method) == ("o", "m")
    assert same(list(vargs), [value, 1])
    assert same(kwargs, {"key": value})


@pytest.mark.parametrize("name", EXACT)
@given(value=python_values)
def test_python_values(name: str, value: Any) -> None:
    """[SER-10]: what keeps its type with marshal and the pickle family."""
    serializer = get_serializer(name)
    assert same(serializer.loads(serializer.dumps(value)), value)


@pytest.mark.parametrize("name", SAFE)
@given(value=graphs)
def test_objects(name: str, value: Any) -> None:
    """[SER-16]: what is converted becomes the same whether it is at the top, nested or an argument."""
    serializer = get_serializer(name)
    top = serializer.loads(serializer.dumps(value))
    nested = serializer.loads(serializer.dumps({"a": [value]}))["a"][0]
    _, _, vargs, kwargs = serializer.loadsCall(serializer.dumpsCall("o", "m", (value,), {"key": [value]}))
    assert repr(top) == repr(nested) == repr(vargs[0]) == repr(kwargs["key"][0])


def check(name: str, data: bytes) -> None:
    serializer = get_serializer(name)
    for loads in (serializer.loads, serializer.loadsCall):
        for buffer in (data, memoryview(data)):
            try:
                value = loads(buffer)
            except (SerializeError, SecurityError):
                continue
            # what was accepted can be worked with
            repr(value)
            if loads == serializer.loadsCall:
                assert len(value) == 4


@pytest.mark.parametrize("name", SAFE)
@given(data=st.binary(max_size=200))
@example(data=b"\xa8\x01\0\0\0<\x01\0\0\0r\0\0\0\0")
def test_random_bytes(name: str, data: bytes) -> None:
    """[SER-5]: nothing but SerializeError and SecurityError."""
    check(name, data)


@pytest.mark.parametrize("name", SAFE)
@given(value=python_values | graphs, changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
def test_damaged_bytes(name: str, value: Any, changes: list[tuple[int, int]]) -> None:
    """[SER-5]: a message with some bytes changed, or cut short."""
    serializer = get_serializer(name)
    for dump in (lambda: serializer.dumps(value), lambda: serializer.dumpsCall("o", "m", (value,), {"key": value})):
        try:
            data = bytearray(dump())
        except (TypeError, ValueError, SerializeError):
            continue  # this format has no such values
        for position, byte in changes:
            if position < len(data):
                data[position] = byte
        check(name, bytes(data))
        check(name, bytes(data[: len(data) // 2]))


class_names = st.sampled_from(
    [
        *("builtins.ValueError", "builtins.UnicodeDecodeError", "builtins.OSError", "builtins.ExceptionGroup"),
        *("builtins.SystemExit", "ssl.SSLError", "json.decoder.JSONDecodeError", "subprocess.TimeoutExpired"),
        *("sqlite3.Error", "struct.error", "Pyro4.core.URI", "Pyro4.core.Proxy", "Pyro4.core.Daemon"),
        *("Pyro4.futures._ExceptionWrapper", "Pyro4.util.JsonSerializer", "Pyro4.errors.NamingError", "__main__.X"),
        *("float", "complex", "collections.OrderedDict", "no.such.Class", "pyrolite.core.URI"),
    ]
)
fields = st.sampled_from(
    ["state", "args", "attributes", "exception", "value", "real", "imag", "items", "__exception__", "x"]
)
field_values = st.recursive(
    scalars | st.just("PYRO:o@h:1"),
    lambda inner: (
        st.lists(inner, max_size=9)
        | st.dictionaries(fields | st.sampled_from(["__notes__", "_pyroTraceback", "errno", "add_note", "data"]), inner)
        | st.builds(lambda name, rest: {"__class__": name, **rest}, class_names, st.dictionaries(fields, inner))
    ),
    max_leaves=12,
)
class_dicts = st.builds(
    lambda name, flag, rest: {"__class__": name, "__exception__": flag, **rest},
    class_names,
    st.booleans(),
    st.dictionaries(fields, field_values),
)


@pytest.mark.parametrize("name", SAFE)
@given(data=class_dicts)
def test_class_dicts(name: str, data: Any) -> None:
    """[SER-5], [SER-31], [SER-56]: dicts of known classes with anything in them."""
    write = {
        "serpent": lambda value: repr(value).encode().replace(b"inf", b"1e30000"),
        "json": lambda value: json.dumps(value).encode(),
        "marshal": lambda value: marshal.dumps(value, 4),
        "msgpack": lambda value: msgpack.packb(value, default=str),
    }[name]
    check(name, write(data))
    check(name, write(("object", "method", [data], {"key": data})))


@given(value=graphs)
def test_marshal_writes_what_marshal_reads(value: Any) -> None:
    """[SER-20]: an unmodified peer needs nothing but the interpreter's own decoder."""
    marshal.loads(get_serializer("marshal").dumps(value))


@given(
    value=st.one_of(st.uuids(), st.decimals(allow_nan=False), st.dates(), st.times()),
    around=st.lists(st.text(alphabet="s\xf3r", max_size=5) | st.integers(0, 2**31)),
)
def test_marshal_overlooks_nothing(value: Any, around: list[Any]) -> None:
    """[SER-16]: whatever stands beside a value that needs to be converted."""
    serializer = get_serializer("marshal")
    assert serializer.loads(serializer.dumps([around, [value], around])) == [
        around,
        [value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)],
        around,
    ]
    assert isinstance(value, (uuid.UUID, decimal.Decimal, datetime.date, datetime.time))
