"""What becomes of values in each format, beyond the recorded ones ([SER-10] to [SER-16], [SER-33])."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import math
import types
import uuid
import warnings
from array import array
from typing import Any, NamedTuple

import pytest

from pyrolite.configuration import config
from pyrolite.errors import SerializeError
from pyrolite.serializers import get_serializer

NAMES = ["serpent", "json", "marshal", "msgpack"]
PICKLES = ["pickle", "cloudpickle", "dill"]

each_name = pytest.mark.parametrize("name", NAMES)


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Word(str, enum.Enum):
    HELLO = "hello"


class Mode(enum.Flag):
    A = 1
    B = 2


class Pair(NamedTuple):
    left: Any
    right: Any


class Integer(int):
    def __int__(self) -> int:
        return 99

    def __repr__(self) -> str:
        return "integer"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "text"


class Float(float):
    pass


class Items(list):
    pass


class Mapping(dict):
    pass


class Group(set):
    pass


class Group2(frozenset):
    pass


class Bytes(bytes):
    pass


def round_trip(name: str, value: Any) -> Any:
    serializer = get_serializer(name)
    received = serializer.loads(serializer.dumps(value))
    _, _, vargs, kwargs = serializer.loadsCall(serializer.dumpsCall("o", "m", (value,), {"key": value}))
    nested = serializer.loads(serializer.dumps([{"key": [value]}]))[0]["key"][0]
    if not isinstance(received, float) or not math.isnan(received):
        assert vargs[0] == kwargs["key"] == received
        assert type(vargs[0]) is type(kwargs["key"]) is type(received)
        assert nested == received
        assert type(nested) is type(received)
    return received


def unicode_array(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.13+
        return array("u", text)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


#: value, then what arrives with serpent, json, marshal, msgpack; one for all when it is the same
SIMPLE: list[tuple[Any, ...]] = [
    (datetime.time(3, 4, 5), "03:04:05"),
    (datetime.timedelta(days=1, seconds=0.5), 86400.5),
    (decimal.Decimal("1.10"), "1.10"),
    (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    (array("i", [1, -2]), [1, -2]),
    (array("d", [1.5]), [1.5]),
    (unicode_array("hi"), "hi"),
    (collections.deque([1, 2]), [1, 2]),
    (collections.UserList([1]), [1]),
    (collections.UserDict({"a": 1}), {"a": 1}),
    (collections.UserString("s"), "s"),
    (collections.defaultdict(int, {"a": 1}), {"a": 1}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    ({"a": 1}.keys(), ["a"]),
    ({"a": 1}.values(), [1]),
    (collections.OrderedDict(a=1).keys(), ["a"]),
    (Color.RED, 1),
    (Level.HIGH, 3),
    (Word.HELLO, "hello"),
    (Mode.A | Mode.B, 3),
    (Text("abc"), "abc"),
    (Float(1.5), 1.5),
    (Items([1]), [1]),
    (Mapping(a=1), {"a": 1}),
    (datetime.date(2024, 1, 2), "2024-01-02", "2024-01-02", "2024-01-02", datetime.date(2024, 1, 2)),
    (Pair(1, 2), (1, 2), [1, 2], (1, 2), [1, 2]),
    (frozenset([1]), {1}, [1], frozenset([1]), [1]),
    (Group([1]), {1}, [1], {1}, [1]),
    (Group2([1]), {1}, [1], frozenset([1]), [1]),
    (set(), (), [], set(), []),
    (frozenset(), (), [], frozenset(), []),
    (Bytes(b"ab"), {"data": "YWI=", "encoding": "base64"}, {"data": "YWI=", "encoding": "base64"}, b"ab", b"ab"),
    (bytearray(b"ab"), {"data": "YWI=", "encoding": "base64"}, {"data": "YWI=", "encoding": "base64"}, b"ab", b"ab"),
    (memoryview(b"ab"), {"data": "YWI=", "encoding": "base64"}, {"data": "YWI=", "encoding": "base64"}, b"ab", b"ab"),
    ({"a": 1}.items(), [("a", 1)], [["a", 1]], [("a", 1)], [["a", 1]]),
    (collections.OrderedDict(a=1), collections.OrderedDict(a=1), {"a": 1}, {"a": 1}, {"a": 1}),
    ({1, 2}, {1, 2}, [1, 2], {1, 2}, [1, 2]),
    ((1, (2,)), (1, (2,)), [1, [2]], (1, (2,)), [1, [2]]),
]
CASES = [
    pytest.param(
        name, value, forms[index] if len(forms) > 1 else forms[0], id=f"{name}-{type(value).__name__}-{number}"
    )
    for number, (value, *forms) in enumerate(SIMPLE)
    for index, name in enumerate(NAMES)
]


@pytest.mark.parametrize(("name", "value", "expected"), CASES)
def test_simple_forms(name: str, value: Any, expected: Any) -> None:
    """[SER-15], [SER-16]: as a result, as argument, and nested, everywhere the same."""
    assert same(round_trip(name, value), expected)


@each_name
@pytest.mark.parametrize("value", [Integer(7), [Integer(7)], {"a": Integer(7)}], ids=["plain", "list", "dict"])
def test_int_subclass(name: str, value: Any) -> None:
    """[SER-16]: the number itself, whatever the subclass says of itself (json and msgpack look at it themselves)."""
    assert round_trip(name, value) == value


@each_name
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        2**63,
        2**64,
        -(2**63) - 1,
        10**100,
        1.5,
        -0.0,
        5e-324,
        "",
        "\0\U0001f600'\"\\\n",
        [],
    ],
    ids=repr,
)
def test_plain_values(name: str, value: Any) -> None:
    """[SER-10], [SER-11]: the same value and type."""
    received = round_trip(name, value)
    assert same(received, value)
    assert repr(received) == repr(value)


@each_name
def test_special_floats(name: str) -> None:
    """[SER-10] (b): nan and the infinities."""
    assert math.isnan(round_trip(name, math.nan))
    assert round_trip(name, [math.inf, -math.inf]) == [math.inf, -math.inf]


def test_complex() -> None:
    """[SER-10], [SER-12]: complex numbers, also with nan parts."""
    for name in ("serpent", "marshal", "msgpack"):
        assert same(round_trip(name, 1 + 2j), 1 + 2j)
        assert same(round_trip(name, complex(-0.0, -1.5)), complex(-0.0, -1.5))
        serializer = get_serializer(name)
        received = serializer.loads(serializer.dumps(complex(math.nan, math.inf)))
        assert math.isnan(received.real)
        assert received.imag == math.inf


def test_digits() -> None:
    """[SER-10]: integers of more than 4300 decimal digits, where Python limits them."""
    import sys

    if not hasattr(sys, "get_int_max_str_digits"):
        pytest.skip("this Python has no limit")
    value = 10**5000
    assert round_trip("marshal", value) == value
    for name in ("serpent", "json", "msgpack"):
        with pytest.raises(ValueError, match="digits"):
            get_serializer(name).dumps(value)


@each_name
def test_dict_keys(name: str) -> None:
    """[SER-10], [SER-14]: keys of other types than str."""
    keys = {2: "a", 1.5: "b", True: "c", "s": "d"}
    received = round_trip(name, keys)
    if name == "json":
        assert received == {"2": "a", "1.5": "b", "true": "c", "s": "d"}
    else:
        assert received == keys


def test_tuple_keys() -> None:
    """[SER-10], [SER-14]: array keys are tuples with msgpack, at every depth."""
    value = {(1, ("a", 2)): {(): None}}
    assert round_trip("msgpack", value) == value
    assert round_trip("serpent", value) == value
    assert round_trip("marshal", value) == value
    with pytest.raises(TypeError, match="keys must be str"):
        get_serializer("json").dumps(value)


def test_converted_keys() -> None:
    """[SER-16]: keys and elements are converted, too, where the formats let them be of such types."""
    key = uuid.UUID(int=1)
    assert round_trip("marshal", {key: 1, Level.HIGH: 2, Text("t"): 3}) == {str(key): 1, 3: 2, "t": 3}
    assert round_trip("marshal", {key, Text("t")}) == {str(key), "t"}
    assert round_trip("marshal", frozenset([(key, 1)])) == frozenset([(str(key), 1)])
    assert round_trip("serpent", {Color.RED: 1, decimal.Decimal("1.5"): 2}) == {1: 1, "1.5": 2}
    assert round_trip("serpent", {Color.RED, (Level.HIGH, "a")}) == {1, (3, "a")}


@pytest.mark.parametrize("key", [None, uuid.UUID(int=1), frozenset([1]), datetime.date(2020, 1, 1)], ids=repr)
def test_serpent_keys(key: Any) -> None:
    """[SER-6]: what serpent refuses as a key or element."""
    for value in ({key: 1}, {key}, [Color.RED, {key: 1}]):
        with pytest.raises(TypeError) as caught:
            get_serializer("serpent").dumps(value)
        assert str(caught.value).startswith(
            f"one of the keys in a dict or set is not of a primitive hashable type: {type(key)}"
        )


@pytest.mark.parametrize("name", ["serpent", "json", "msgpack"])
def test_timezone(name: str) -> None:
    """[SER-15], [SER-17]: aware and naive datetimes."""
    naive = datetime.datetime(2024, 1, 2, 3, 4, 5, 678901)
    aware = naive.replace(tzinfo=datetime.timezone.utc)
    if name == "msgpack":
        assert round_trip(name, naive) == naive
        with pytest.raises(SerializeError, match="msgpack cannot serialize datetime with timezone info"):
            get_serializer(name).dumps([aware])
    else:
        assert round_trip(name, naive) == naive.isoformat()
        assert round_trip(name, aware) == aware.isoformat()


@each_name
@pytest.mark.parametrize(
    "value",
    [
        range(3),
        slice(1, 2),
        ...,
        NotImplemented,
        object(),
        test_digits,
        math,
        int,
        Color,
        types.MappingProxyType({"a": 1}),
        (item for item in [1]),
        iter([1]),
        len,
        [].append,
        StopIteration,
        (lambda: 0).__code__,
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_form(name: str, value: Any) -> None:
    """[SER-6], [SER-15]: objects that are no data are refused, as a result and as an argument."""
    serializer = get_serializer(name)
    start = f"don't know how to serialize class {type(value)}"
    rest = "" if name == "serpent" else f" using serializer {type(serializer).__name__}"
    text = f"{start}{rest}. Give it vars() or an appropriate __getstate__"
    kind = TypeError if name == "serpent" else SerializeError
    for action in (
        lambda: serializer.dumps(value),
        lambda: serializer.dumpsCall("o", "m", (1, value), {}),
        lambda: serializer.dumpsCall("o", "m", (), {"key": value}),
    ):
        with pytest.raises(kind) as caught:
            action()
        assert type(caught.value) is kind
        assert str(caught.value).startswith(text)


def test_no_form_nested() -> None:
    """[SER-6]: nested, where marshal says something else."""
    for name in NAMES:
        kind = {"serpent": TypeError, "marshal": ValueError}.get(name, SerializeError)
        with pytest.raises(kind) as caught:
            get_serializer(name).dumps({"a": [object()]})
        assert type(caught.value) is kind
        start = "unmarshallable object" if name == "marshal" else "don't know how to serialize class <class 'object'>"
        assert str(caught.value).startswith(start)


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_keep_everything(name: str) -> None:
    """[SER-10], [SER-15]: types and shared references survive in the pickle family."""
    shared = [1]
    values = [shared, shared, (1,), {2}, frozenset([3]), b"x", bytearray(b"y"), 2**70, 1j, uuid.UUID(int=1), Level.HIGH]
    values += [
        decimal.Decimal(1),
        fractions.Fraction(1, 3),
        datetime.date(2020, 1, 1),
        range(3),
        collections.Counter("a"),
    ]
    values.append({None: (), (1,): {b"k": 1.5}})
    serializer = get_serializer(name)
    received = serializer.loads(serializer.dumps(values))
    assert received == values
    assert [type(item) for item in received] == [type(item) for item in values]
    assert received[0] is received[1]


def test_bytes_repr() -> None:
    """[SER-13]: bytes as literals on demand, also among objects that are converted."""
    serializer = get_serializer("serpent")
    for value in (b"ab", [b"ab"], {"key": b"ab", "id": uuid.UUID(int=1)}):
        assert b"base64" in serializer.dumps(value)
        with config.override(SERPENT_BYTES_REPR=True):
            assert b"b'ab'" in serializer.dumps(value)
            assert b"b'ab'" in serializer.dumpsCall("o", "m", (value,), {})
            assert b"base64" not in serializer.dumps(value)
    with config.override(SERPENT_BYTES_REPR=True):
        assert round_trip("serpent", [b"ab", bytearray(b"cd"), memoryview(b"e")]) == [b"ab", b"cd", b"e"]
        assert round_trip("serpent", {"data": "YWI=", "encoding": "base64"}) == {"data": "YWI=", "encoding": "base64"}


class TestMarshalSilentErrors:
    """[SER-16], [SER-33]: marshal writes anything with a buffer as bytes, without a complaint."""

    @pytest.mark.parametrize("size", [0, 1, 3, 300, 70000])
    @pytest.mark.parametrize(
        "around", ["", "s", "sssssss", "\xf3" * 5, "x" * 3000], ids=["none", "s", "ss", "f3", "long"]
    )
    def test_nested_arrays(self, size: int, around: str) -> None:
        value = array("h", range(size % 30000)) if size < 70000 else array("h", [7] * size)
        graph = {"before": [around, 5], "it": [[value]], "after": (around, [around])}
        received = round_trip("marshal", graph)
        assert received == {**graph, "it": [[value.tolist()]]}

    def test_arrays_as_keyword(self) -> None:
        serializer = get_serializer("marshal")
        _, _, vargs, kwargs = serializer.loadsCall(
            serializer.dumpsCall("o", "m", ([array("b", [1])],), {"key": (array("b", [2]),)})
        )
        assert vargs == [[[1]]]
        assert kwargs == {"key": ([2],)}

    def test_large_data(self) -> None:
        graph = ["x" * (1 << 24), [array("b", [1])]]
        serializer = get_serializer("marshal")
        assert serializer.loads(serializer.dumps(graph)) == [graph[0], [[1]]]

    def test_shared_objects_stay_small(self) -> None:
        """Graphs that are small only because objects are shared are neither unfolded nor walked for ever."""
        import marshal

        value: Any = ["end"]
        for _ in range(60):
            value = [value, value]
        serializer = get_serializer("marshal")
        data = serializer.dumps(value)
        assert len(data) < 1000
        assert marshal.loads(data)[0][0][0][1][1]

    def test_views_with_gaps(self) -> None:
        assert round_trip("marshal", memoryview(b"abcd")[::2]) == b"ac"
        assert round_trip("marshal", {"a": [memoryview(b"abcd")[::-1], bytearray(b"x")]}) == {"a": [b"dcba", b"x"]}

    def test_code_in_a_graph(self) -> None:
        with pytest.raises(ValueError, match="unmarshallable object"):
            get_serializer("marshal").dumps([[test_digits.__code__]])


class TestNumpy:
    """[SER-15], [SER-16]: numpy scalars become Python's numbers, arrays are refused with an advice."""

    @pytest.fixture(autouse=True)
    def _numpy(self) -> None:
        self.numpy = pytest.importorskip("numpy")

    @each_name
    def test_scalars(self, name: str) -> None:
        numpy = self.numpy
        for scalar, expected in [
            (numpy.int64(5), 5),
            (numpy.uint8(5), 5),
            (numpy.float64(1.5), 1.5),
            (numpy.float32(0.5), 0.5),
            (numpy.bool_(True), True),
            (numpy.str_("s"), "s"),
        ]:
            assert same(round_trip(name, scalar), expected)
        if name != "json":
            assert same(round_trip(name, numpy.complex128(1 + 2j)), 1 + 2j)
        assert round_trip(name, numpy.datetime64("2020-01-01")) in ("2020-01-01", datetime.date(2020, 1, 1))

    @each_name
    def test_arrays(self, name: str) -> None:
        kind = TypeError if name == "serpent" else SerializeError
        with pytest.raises(kind, match=r"don't know how to serialize class <class 'numpy.ndarray'>.*tolist\(\)"):
            get_serializer(name).dumps(self.numpy.arange(3))
        with pytest.raises(ValueError if name == "marshal" else kind):
            get_serializer(name).dumps([[self.numpy.arange(3)]])

    @each_name
    def test_longdouble(self, name: str) -> None:
        with pytest.raises((TypeError, SerializeError)):
            get_serializer(name).dumps(self.numpy.longdouble(1.5))

    @pytest.mark.parametrize("name", PICKLES)
    def test_pickles(self, name: str) -> None:
        assert round_trip(name, self.numpy.int64(5)) == 5
        serializer = get_serializer(name)
        assert (serializer.loads(serializer.dumps(self.numpy.arange(3))) == self.numpy.arange(3)).all()


def test_fraction_is_a_class() -> None:
    """[SER-16]: with every format alike."""
    for name in NAMES:
        serializer = get_serializer(name)
        data = serializer.dumps([fractions.Fraction(1, 3)])
        with pytest.raises(SerializeError, match=r"unsupported serialized class: fractions.Fraction"):
            serializer.loads(data)


def test_ordered_dict_keeps_its_order() -> None:
    """[SER-16]: also after it was changed, which the dict below it does not know."""
    value = collections.OrderedDict(a=1, b=2, c=3)
    value.move_to_end("a")
    assert list(round_trip("serpent", value)) == ["b", "c", "a"]
    assert list(round_trip("marshal", value)) == ["b", "c", "a"]
