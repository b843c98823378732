"""What becomes of values: every entry of ``p4-values.json``, recorded from the serializers of Pyro4 ([SER-80])."""

from __future__ import annotations

import ast
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import marshal
import pickle
import sys
import time
import types
import uuid
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest

from pyrolite import errors
from pyrolite.core import URI, Proxy
from pyrolite.futures import _ExceptionWrapper
from pyrolite.serializers import get_serializer

# Python 3.13+, about arrays of texts
pytestmark = pytest.mark.filterwarnings("ignore:The 'u' type code is deprecated:DeprecationWarning")

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "p4-values.json").read_text())["vectors"]


def each(vectors: Iterable[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", list(vectors), ids=lambda vector: vector["id"])


def writes_another_form(vector: dict[str, Any]) -> bool:
    """Whether pyrolite writes something else than Pyro4 does, on purpose."""
    return vector.get("pyrolite", {}).get("req") in ("SER-16", "SER-33") and "ordereddict" not in vector["id"]


each_vector = each(VECTORS)


# ---- the classes that the vectors are about


class Color(enum.Enum):
    RED = 1


class IColor(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int = 1
    y: str = "z"


class NT(NamedTuple):
    x: int
    y: int


class Slots:
    __slots__ = ("a", "b")


class Plain:
    pass


class Empty:
    pass


class GetState:
    def __getstate__(self) -> Any:
        return {"k": "v"}


class GetStateNamed:
    def __getstate__(self) -> Any:
        return {"__class__": "my.Name", "k": "v"}


class GetStateTuple:
    def __getstate__(self) -> Any:
        return ("t", 1)


class MyErr(Exception):
    pass


class IntSub(int):
    pass


class StrSub(str):  # noqa: SLOT000 - as the one that was recorded
    pass


class DictSub(dict):
    pass


class ListSub(list):
    pass


VECMOD = [
    *(Color, IColor, Point, NT, Slots, Plain, Empty, GetState, GetStateNamed, GetStateTuple, MyErr),
    *(IntSub, StrSub, DictSub, ListSub),
]


@pytest.fixture(autouse=True)
def _vecmod(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("vecmod")
    for cls in VECMOD:
        monkeypatch.setattr(cls, "__module__", "vecmod")
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, "vecmod", module)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# ---- from tagged JSON to values


def _exception(name: str, tagged: dict[str, Any]) -> BaseException:
    module, _, plain_name = name.rpartition(".")
    if module == "Pyro4.errors":
        cls = getattr(errors, plain_name)
    else:
        cls = getattr(__import__(module), plain_name)
    args = untag(tagged["args"])
    error: BaseException = cls(*args, *(["file"] if issubclass(cls, OSError) and len(args) == 2 else []))
    for key, value in untag(tagged["attributes"]).items():
        setattr(error, key, value)
    return error


def _instance(name: str, state: dict[str, Any]) -> Any:
    cls = getattr(sys.modules["vecmod"], name.removeprefix("vecmod."))
    obj = cls.__new__(cls)
    if "__class__" in state:  # what unpickling does with that state
        vars(obj).update(state)
        return obj
    for key, value in untag(state).items():
        setattr(obj, key, value)
    return obj


def _proxy(tagged: dict[str, Any]) -> Proxy:
    proxy = Proxy(tagged["uri"])
    proxy._pyroOneway = set(tagged["oneway"])
    proxy._pyroMethods = set(tagged["methods"])
    proxy._pyroAttrs = set(tagged["attrs"])
    if tagged["hmac_key"] is not None:
        proxy._pyroHmacKey = bytes.fromhex(tagged["hmac_key"])
    proxy._pyroHandshake = tagged["handshake"]
    proxy._pyroSerializer = tagged["serializer"]
    return proxy


def _uri(parts: list[Any]) -> URI:
    uri = URI.__new__(URI)
    uri.protocol, uri.object, uri.sockname, uri.host, uri.port = untag(parts)
    return uri


def _subclass(name: str, value: Any) -> Any:
    return getattr(sys.modules["vecmod"], name.removeprefix("vecmod."))(value)


SIMPLE_TAGS = {
    "$tuple": lambda v: tuple(untag(v)),
    "$set": lambda v: set(untag(v)),
    "$frozenset": lambda v: frozenset(untag(v)),
    "$bytes": bytes.fromhex,
    "$bytearray": bytearray.fromhex,
    "$memoryview": lambda v: memoryview(bytes.fromhex(v)),
    "$int": int,
    "$float": float,
    "$complex": lambda v: complex(*untag(v)),
    "$dict": lambda v: {untag(key): untag(value) for key, value in v},
    "$ext": lambda v: msgpack.ExtType(v[0], bytes.fromhex(v[1])),
    "$uri": _uri,
    "$proxy": _proxy,
    "$exceptionwrapper": lambda v: _ExceptionWrapper(untag(v)),
    "$datetime": datetime.datetime.fromisoformat,
    "$date": datetime.date.fromisoformat,
    "$time": datetime.time.fromisoformat,
    "$timedelta": lambda v: datetime.timedelta(*v),
    "$decimal": decimal.Decimal,
    "$fraction": lambda v: fractions.Fraction(*v),
    "$uuid": uuid.UUID,
    "$array": lambda v: array(v[0], v[1]),
    "$deque": lambda v: collections.deque(untag(v)),
    "$ordereddict": collections.OrderedDict,
    "$defaultdict": lambda v: collections.defaultdict(int, v),
    "$counter": lambda v: collections.Counter(dict(v)),
    "$userdict": lambda v: collections.UserDict(dict(v)),
    "$userlist": collections.UserList,
    "$dict_keys": lambda v: dict.fromkeys(v).keys(),
    "$range": lambda v: range(*v),
    "$plainobject": lambda v: object(),
}


def untag(tagged: Any) -> Any:
    """The value that tagged JSON stands for (``data/README.md``)."""
    if isinstance(tagged, list):
        return [untag(item) for item in tagged]
    if not isinstance(tagged, dict):
        return tagged
    if "$exception" in tagged:
        return _exception(tagged["$exception"], tagged)
    if "$instance" in tagged:
        return _instance(tagged["$instance"], tagged["state"])
    if "$subclass" in tagged:
        return _subclass(tagged["$subclass"], tagged["value"])
    if "$namedtuple" in tagged:
        return NT(**dict(tagged["fields"]))
    if "$enum" in tagged:
        cls = getattr(sys.modules["vecmod"], tagged["$enum"].split(".")[1])
        return cls(tagged["value"])
    if len(tagged) == 1:
        ((tag, value),) = tagged.items()
        if tag.startswith("$"):
            return SIMPLE_TAGS[tag](value)
    return {key: untag(value) for key, value in tagged.items()}


# ---- comparing


def described(value: Any) -> Any:
    """Something that is equal for values of the same types and contents, unlike most values themselves."""
    kind = type(value)
    name = kind.__qualname__
    if isinstance(value, BaseException):
        return name, described(value.args), described(vars(value)), described(getattr(value, "filename", None))
    if kind in (float, complex):
        return name, repr(value)
    if kind in (list, tuple, collections.deque, collections.UserList):
        return name, [described(item) for item in value]
    if kind in (set, frozenset):
        return name, sorted(repr(described(item)) for item in value)
    if isinstance(value, (dict, collections.UserDict)):
        return name, [(described(key), described(item)) for key, item in value.items()]
    if kind is Proxy:
        names = (set(value._pyroOneway), set(value._pyroMethods), set(value._pyroAttrs))
        return (
            name,
            str(value._pyroUri),
            described(names),
            value._pyroHmacKey,
            described(value._pyroHandshake),
            value._pyroSerializer,
        )
    if kind is URI:
        parts = (value.protocol, value.object, value.sockname, value.host, value.port)
        return name, described(parts)
    if kind is _ExceptionWrapper:
        return name, described(value.exception)
    if kind is memoryview:
        return name, bytes(value)
    if kind is Slots:
        return name, value.a, value.b
    if kind is object:
        return name
    if kind in (Plain, Empty, Point, GetState, GetStateNamed):
        return name, described(vars(value))
    return name, type(value), value


def test_the_comparison_tells_what_is_different() -> None:
    pairs = [(1, True), (1, 1.0), ([1], (1,)), (0.0, -0.0), (ValueError("a"), ValueError("b")), ({1: 2}, {1: 3})]
    for one, other in [*pairs, (URI("PYRO:a@b:1"), URI("PYRO:a@b:2")), (Plain(), Empty()), (b"", bytearray())]:
        assert described(one) != described(other)
        assert described(one) == described(one)


# ---- what is expected


def own(vector: dict[str, Any]) -> dict[str, Any]:
    """The vector with what pyrolite does differently on purpose."""
    difference = vector.get("pyrolite", {})
    merged = {**vector, **difference}
    if "result" in difference:
        merged.pop("error", None)
    return merged


def literal_of(serializer: str, data: bytes) -> Any:
    """The decoding of the bare format, without conversion of classes."""
    if serializer == "serpent":
        return ast.literal_eval(data.decode().partition("\n")[2])
    if serializer == "json":
        return json.loads(data)
    if serializer == "marshal":
        return marshal.loads(data)
    assert serializer == "msgpack"
    return msgpack.unpackb(data, strict_map_key=False)


def error_class(name: str) -> type[BaseException]:
    module, _, plain_name = name.rpartition(".")
    if module.endswith(".errors"):
        return getattr(errors, plain_name)  # type: ignore[no-any-return]
    if module == "_pickle":
        return getattr(pickle, plain_name)  # type: ignore[no-any-return]
    return getattr(__import__(module), plain_name)  # type: ignore[no-any-return]


def expect_failure(vector: dict[str, Any], action: Any) -> None:
    expected = vector["error"]
    if expected["stage"] == "dumps":
        cls = error_class(expected["type"])
        with pytest.raises(cls) as caught:
            action()
        assert type(caught.value) is cls
        text = str(caught.value)
        # texts of Python itself differ between its versions
        if cls is errors.SerializeError or "of a primitive hashable type" in text:
            assert text.startswith(expected["message"])
        return
    with pytest.raises(errors.SerializeError) as caught_error:
        action()
    if expected["type"].endswith(".SerializeError"):
        assert str(caught_error.value).startswith(expected["message"])


@each_vector
def test_dumps(vector: dict[str, Any]) -> None:
    """[SER-80]: encoding, or its error."""
    vector = own(vector)
    serializer = get_serializer(vector["serializer"])
    value = untag(vector["value"])
    if vector.get("error", {}).get("stage") == "dumps":
        expect_failure(vector, lambda: serializer.dumps(value))
    else:
        assert isinstance(serializer.dumps(value), bytes)


@each(v for v in VECTORS if "literal" in v and v["serializer"] != "pickle" and not writes_another_form(v))
def test_dumps_literal(vector: dict[str, Any]) -> None:
    """[SER-80]: the decoding of the bytes by the bare format is that of what Pyro4 writes."""
    data = get_serializer(vector["serializer"]).dumps(untag(vector["value"]))
    literal = untag(vector["literal"])
    if "filename" in vector.get("pyrolite", {}):
        literal["attributes"] = {"filename": vector["pyrolite"]["filename"]}
    assert described(literal_of(vector["serializer"], data)) == described(literal)


@each(v for v in VECTORS if v.get("hex") and not writes_another_form(v))
def test_loads(vector: dict[str, Any]) -> None:
    """[SER-80]: decoding of what Pyro4 wrote, from every kind of buffer ([SER-4])."""
    vector = own(vector)
    serializer = get_serializer(vector["serializer"])
    data = bytes.fromhex(vector["hex"])
    if "error" in vector:
        expect_failure(vector, lambda: serializer.loads(data))
        return
    expected = untag(vector["result"])
    if isinstance(expected, OSError) and vector["serializer"] != "pickle":
        expected.filename = None  # Pyro4 does not send it
    for buffer in (data, bytearray(data), memoryview(data)):
        assert described(serializer.loads(buffer)) == described(expected)


@each(v for v in VECTORS if v.get("hex") and writes_another_form(v))
def test_loads_of_foreign_forms(vector: dict[str, Any]) -> None:
    """[SER-16]: where pyrolite writes something else, what Pyro4 writes is decoded, or refused, as it is there."""
    serializer = get_serializer(vector["serializer"])
    data = bytes.fromhex(vector["hex"])
    if "error" in vector:
        with pytest.raises(errors.SerializeError):
            serializer.loads(data)
    else:
        assert described(serializer.loads(data)) == described(untag(vector["result"]))


@each_vector
def test_round_trip(vector: dict[str, Any]) -> None:
    """[SER-80]: the value as a result, there and back."""
    vector = own(vector)
    serializer = get_serializer(vector["serializer"])
    value = untag(vector["value"])
    if "error" in vector:
        expect_failure(vector, lambda: serializer.loads(serializer.dumps(value)))
        return
    assert described(serializer.loads(serializer.dumps(value))) == described(untag(vector["result"]))


@each_vector
def test_round_trip_as_argument(vector: dict[str, Any]) -> None:
    """[SER-80], [SER-11]: the value as an argument of a call, there and back."""
    vector = own(vector)
    serializer = get_serializer(vector["serializer"])
    value = untag(vector["value"])

    def round_trip() -> Any:
        return serializer.loadsCall(serializer.dumpsCall("object", "method", (value,), {"key": value}))

    if "error" in vector:
        expect_failure(vector, round_trip)
        return
    obj, method, vargs, kwargs = round_trip()
    assert (obj, method) == ("object", "method")
    expected = described(untag(vector.get("as_argument", vector["result"])))
    assert [described(arg) for arg in vargs] == [expected]
    assert described(kwargs["key"]) == expected


@pytest.mark.parametrize("name", ["cloudpickle", "dill"])
@each(v for v in VECTORS if v["serializer"] == "pickle")
def test_pickle_family_equals_pickle(vector: dict[str, Any], name: str) -> None:
    """dill and cloudpickle differ from pickle only as the specification says ([SER-15])."""
    serializer = get_serializer(name)
    value = untag(vector["value"])
    if "memoryview" in vector["id"] and name == "cloudpickle":
        assert serializer.loads(serializer.dumps(value)) == bytes(value)
    elif "dict-keys" in vector["id"]:
        assert list(serializer.loads(serializer.dumps(value))) == ["a"]
    elif "error" in vector:
        expect_failure(vector, lambda: serializer.loads(serializer.dumps(value)))
    else:
        assert described(serializer.loads(serializer.dumps(value))) == described(untag(vector["result"]))


def test_serpent_text_is_byte_for_byte_that_of_pyro4() -> None:
    """[SER-18]: not needed for decoding, but nothing is left to chance."""
    compared = 0
    for vector in VECTORS:
        if vector["serializer"] != "serpent" or "hex" not in vector or "pyrolite" in vector:
            continue
        if vector["id"].endswith((".set", ".nested-set", ".proxy", ".frozenset")):
            continue  # the order of a set
        data = get_serializer("serpent").dumps(untag(vector["value"]))
        assert data == bytes.fromhex(vector["hex"])
        compared += 1
    assert compared > 70


def test_pickles_name_the_classes_of_pyro4() -> None:
    """[SER-45]: what an unmodified Pyro4 is told to look for."""
    vectors = [v for v in VECTORS if v["serializer"] == "pickle" and "Pyro4" in str(v.get("literal"))]
    assert len(vectors) > 5
    for vector in vectors:
        for name in ("pickle", "cloudpickle", "dill"):
            data = get_serializer(name).dumps(untag(vector["value"]))
            assert b"pyrolite" not in data
            assert b"Pyro4." in data
