"""Large bytes: sent from where they are, received without needless copies, and the same for everybody ([BYD-55])."""

from __future__ import annotations

import base64
import marshal
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import serpent

from pyrolite import compression
from pyrolite.errors import SerializeError
from pyrolite.pieces import LARGE, Pieces, under_view
from pyrolite.serializers import SerializerBase, get_serializer, serpent_reader, serpent_writer
from pyrolite.serializers.large_bytes import FINDERS
from pyrolite.wire import v48

BINARY = ("marshal", "pickle", "msgpack", "cloudpickle", "dill")
DATA = bytes(range(256)) * (LARGE // 128)
OTHER = b"other" * LARGE
CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((DATA,), {}),
    ((DATA, 1, "x", None, 2.5, True), {}),
    (("before", DATA, b"small", OTHER, 1 + 2j), {}),
    ((DATA, DATA, "same", "same"), {}),
    ((DATA, bytearray(b"mutable" * LARGE)), {}),
    (("x", DATA), {"key": "same", "other": "same", "same": 1}),
    ((DATA, [1, 2], {"key": DATA}), {}),
    (([DATA, {"deep": [OTHER]}],), {}),
    ((), {"data": DATA}),
]


def available(name: str) -> SerializerBase:
    if name in {"cloudpickle", "dill", "msgpack"}:
        pytest.importorskip(name)
    return get_serializer(name)


@pytest.fixture(params=BINARY)
def binary(request: pytest.FixtureRequest) -> SerializerBase:
    return available(request.param)


class TestPieces:
    def test_nothing_is_copied(self, binary: SerializerBase) -> None:
        """[BYD-55], [WIRE-6]: as an argument and as a result."""
        payload = binary.payload(DATA)
        call = binary.callPayload("obj", "method", ("x", DATA), {})
        for pieces in (payload, call):
            assert type(pieces) is Pieces
            assert any(piece is DATA for piece in pieces.pieces)
            assert sum(len(piece) for piece in pieces.pieces if piece is not DATA) < 100
            assert len(pieces) == len(bytes(pieces))

    def test_public_results_are_bytes(self, binary: SerializerBase) -> None:
        """[SER-4]"""
        for dumped in (
            binary.dumps(DATA),
            binary.dumpsCall("obj", "method", (DATA,), {}),
            binary.serializeData(DATA)[0],
            binary.serializeCall("obj", "method", (DATA,), {})[0],
        ):
            assert type(dumped) is bytes

    @pytest.mark.parametrize("size", [LARGE - 1, LARGE, LARGE + 1])
    def test_small_bytes_are_not_pieces(self, binary: SerializerBase, size: int) -> None:
        """A payload in pieces is never so small that it would be joined for sending."""
        payload = binary.payload(bytes(size))
        assert type(payload) is bytes or len(payload) > LARGE
        assert binary.loads(bytes(payload)) == bytes(size)

    def test_text_for_people(self) -> None:
        assert repr(Pieces([b"ab", b"c"])) == "<Pieces: 3 bytes in 2>"

    def test_signature(self) -> None:
        """[WIRE-31]: as of the joined payload."""
        pieces = Pieces([b"begin", DATA, b"end"])
        assert v48.message_hmac(b"key", pieces, {"ABCD": b"x"}) == v48.message_hmac(
            b"key", bytes(pieces), {"ABCD": b"x"}
        )

    def test_compression(self) -> None:
        """[WIRE-40]"""
        pieces = Pieces([b"begin", DATA, b"end"])
        compressed, done = compression.compress(pieces)
        assert done
        assert compression.decompress(bytes(compressed)) == bytes(pieces)


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_calls(binary: SerializerBase, number: int) -> None:
    """[SER-10], [SER-20], [SER-45], [SER-17]: what is written in pieces is read as ever, also from a view."""
    vargs, kwargs = CALLS[number]
    expected = ("obj", "method", [*vargs], kwargs)
    for payload in (
        bytes(binary.callPayload("obj", "method", vargs, kwargs)),
        memoryview(bytearray(binary.dumpsCall("obj", "method", vargs, kwargs))).toreadonly(),
    ):
        obj, method, args, named = binary.loadsCall(payload)
        assert (obj, method, [*args], named) == expected


@pytest.mark.parametrize(("name", "loads"), [("marshal", marshal.loads), ("pickle", pickle.loads)])
def test_readable_by_everybody(name: str, loads: Callable[[bytes], Any]) -> None:
    """[SER-20], [SER-45]: the plain loaders of Pyro4."""
    serializer = available(name)
    for vargs, kwargs in CALLS:
        obj, method, args, named = loads(serializer.dumpsCall("obj", "method", vargs, kwargs))
        assert (obj, method, [*args], named) == ("obj", "method", [*vargs], kwargs)
    assert loads(serializer.dumps(DATA)) == DATA


@pytest.fixture
def hooked() -> Iterator[None]:
    SerializerBase.register_class_to_dict(bytes, lambda value: {"size": len(value)})
    yield
    SerializerBase.unregister_class_to_dict(bytes)


@pytest.mark.usefixtures("hooked")
@pytest.mark.parametrize("name", ["marshal", "msgpack", "serpent"])
def test_hooks_are_asked(name: str) -> None:
    """[SER-60]: a hook on bytes concerns large ones as well."""
    serializer = available(name)
    assert serializer.loads(bytes(serializer.payload(DATA))) == {"size": len(DATA)}
    _, _, args, _ = serializer.loadsCall(bytes(serializer.callPayload("obj", "method", (DATA,), {})))
    assert [*args] == [{"size": len(DATA)}]


def test_results_are_independent_of_the_buffer(binary: SerializerBase) -> None:
    """[BYD-55]: what a view of a buffer was decoded to does not change with the buffer."""
    for value in (DATA, ["x" * LARGE, DATA, bytearray(DATA)]):
        buffer = bytearray(binary.dumps(value))
        found = binary.loads(memoryview(buffer).toreadonly())
        buffer[:] = bytes(len(buffer))
        assert [*found] == [*binary.loads(binary.dumps(value))]


def by_serpent(value: Any) -> bytes:
    return serpent.dumps(value, indent=False, module_in_classname=True)  # type: ignore[no-any-return]


def as_received(data: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(data).decode(), "encoding": "base64"}


class TestSerpent:
    """[SER-10] (d), [SER-18]: bytes become base64, which goes around the text."""

    @pytest.mark.parametrize("number", range(len(CALLS)))
    def test_written_as_by_serpent(self, number: int) -> None:
        vargs, kwargs = CALLS[number]
        payload = get_serializer("serpent").callPayload("obj", "method", vargs, kwargs)
        assert type(payload) is Pieces
        assert bytes(payload) == by_serpent(("obj", "method", vargs, kwargs))

    @pytest.mark.parametrize(
        "value",
        [
            DATA,
            bytearray(DATA),
            memoryview(DATA),
            [DATA, b"small", "x'\0y", OTHER],
            as_received(DATA),
            {"data": "A" * LARGE, "encoding": "base64"},
            {"encoding": "base64", "data": "A" * LARGE},
            {"data": "A" * LARGE, "encoding": "other"},
            {"data": "A" * LARGE, "encoding": "base64", "more": 1},
            {"data": "'" * LARGE, "encoding": "base64"},
            {"data": "ä" * LARGE, "encoding": "base64"},
            {"data": "\\n" * LARGE, "encoding": "base64"},
            [as_received(DATA)],
        ],
    )
    def test_values_written_as_by_serpent(self, value: Any) -> None:
        text = bytes(get_serializer("serpent").payload(value))
        assert text == by_serpent(value)
        for data in (text, memoryview(bytearray(text)).toreadonly()):
            assert serpent_reader.loads(data) == serpent.loads(text)

    def test_other_threads_and_failures_leave_nothing_behind(self) -> None:
        """What has no form after the large bytes is left to the package, and the next graph is written as ever."""
        assert serpent_writer.dumps([DATA, object()]) is None
        assert bytes(serpent_writer.dumps([DATA]) or b"") == by_serpent([DATA])

    @pytest.mark.parametrize("number", range(len(CALLS)))
    def test_calls_from_a_view(self, number: int) -> None:
        vargs, kwargs = CALLS[number]
        text = by_serpent(("obj", "method", vargs, kwargs))
        assert get_serializer("serpent").loadsCall(memoryview(text)) == serpent.loads(text)

    @pytest.mark.parametrize(
        "text",
        [
            "{'data': '%s', 'encoding': 'base64'}",
            "{'data':'%s','encoding':'base64'}",
            "('o','m',({'data': '%s', 'encoding': 'base64'},),{})",
            "('o','m',[{'data': '%s', 'encoding': 'base64'}, 1],{})",
            "('o','m',({'data': 'short', 'encoding': 'base64'},{'data': '%s', 'encoding': 'base64'}),{})",
            "('o','m',({'data': '%s', 'encoding': 'base64'},{'data': 'short', 'encoding': 'base64'}),{})",
            "('o','m',(),{'key':{'data': '%s', 'encoding': 'base64'}})",
            "[[{'data': '%s', 'encoding': 'base64'}]]",
            "{'data': '%s', 'encoding': 'base64', 'data': 'again'}",
            "{'data': 'before', 'data': '%s', 'encoding': 'base64'}",
            "{'data': '%s' 'more', 'encoding': 'base64'}",
            "{'data': '' '%s', 'encoding': 'base64'}",
            "{'more': 1, 'data': '%s', 'encoding': 'base64'}",
            "[\"{'data': '%s', 'encoding': 'base64'}\"]",
            "({'data': '%s', 'encoding': 'base64'})",
            "({'data': '%s', 'encoding': 'base64'},)",
        ],
    )
    @pytest.mark.parametrize("inside", ["", "\\'", "\\x41", "ä", "\t", "'", "' '", "\\\n"])
    def test_read_as_by_serpent(self, text: str, inside: str) -> None:
        """Whatever is around the base64, and whatever is in it."""
        content = "QUJD" * 5000 + inside + "QUJD" * 5000
        data = f"# serpent utf-8 python3.2\n{text % content}".encode()
        try:
            expected = serpent.loads(data)
        except (ValueError, SyntaxError):
            with pytest.raises(ValueError, match="malformed serpent data"):
                serpent_reader.loads(memoryview(data))
        else:
            assert serpent_reader.loads(memoryview(data)) == expected

    @pytest.mark.parametrize("inside", [b"\0", b"\n", b"\r", b"\xff"])
    def test_refused(self, inside: bytes) -> None:
        """[SER-71]"""
        data = b"{'data': '" + b"QUJD" * 5000 + inside + b"QUJD" * 5000 + b"', 'encoding': 'base64'}"
        with pytest.raises(ValueError, match="malformed serpent data"):
            serpent_reader.loads(memoryview(data))


class TestReceivedInPieces:
    """[BYD-55]: large bytes are received as what they become."""

    NAMES = ("marshal", "pickle", "msgpack")

    @staticmethod
    def received(serializer: SerializerBase, payload: bytes) -> Pieces:
        place = FINDERS[serializer.serializer_id](payload[:LARGE], len(payload))
        assert place is not None
        start, end = place
        return Pieces([payload[:start], payload[start:end], payload[end:]])

    @pytest.mark.parametrize("name", NAMES)
    def test_not_copied(self, name: str) -> None:
        """As a result, as an argument, and in containers."""
        serializer = available(name)
        twice: list[Any] = [[DATA] * 2] if name != "msgpack" else []  # which has no references
        for value in (DATA, [1, DATA, "x"], {"a": {"b": [DATA]}}, [(DATA, None)], *twice):
            pieces = self.received(serializer, serializer.dumps(value))
            assert pieces.pieces[1] == DATA
            found = serializer.loads(pieces)
            assert found == serializer.loads(bytes(pieces))
            while type(found) is not bytes:
                items = list(found.values()) if type(found) is dict else found
                found = next(item for item in items if type(item) not in {int, str})
            assert found is pieces.pieces[1]
        for vargs in ((DATA,), ("x", DATA, 1)):
            pieces = self.received(serializer, serializer.dumpsCall("obj", "method", vargs, {"k": 1}))
            obj, method, args, kwargs = serializer.loadsCall(pieces)
            assert (obj, method, [*args], kwargs) == ("obj", "method", [*vargs], {"k": 1})
            assert any(arg is pieces.pieces[1] for arg in args)

    @pytest.mark.parametrize("name", NAMES)
    def test_wherever_it_is(self, name: str) -> None:
        """What is no plain container, or is shared, is decoded as a whole."""
        serializer = available(name)
        shared = [DATA]
        values: list[Any] = [{DATA: 1}]
        if name != "msgpack":
            values += [[shared, shared], {DATA}, (DATA, {2, 1}), frozenset([DATA])]
        if name == "pickle":
            values += [[DATA, Holder(DATA)], Holder(DATA), ValueError(DATA)]
        for value in values:
            pieces = self.received(serializer, serializer.dumps(value))
            assert repr(serializer.loads(pieces)) == repr(serializer.loads(bytes(pieces))) == repr(value)

    def test_cycles(self) -> None:
        serializer = get_serializer("pickle")
        value: list[Any] = [DATA]
        value.append((value, DATA))
        found = serializer.loads(self.received(serializer, serializer.dumps(value)))
        assert found[1][0] is found
        assert found[0] == found[1][1] == DATA

    def test_nothing_is_unpickled_twice(self) -> None:
        """[SER-45]: unpickling may do things."""
        serializer = get_serializer("pickle")
        Holder.made = 0
        serializer.loads(self.received(serializer, serializer.dumps([DATA, Holder(1)])))
        assert Holder.made == 1

    @pytest.mark.parametrize("name", NAMES)
    def test_damaged(self, name: str) -> None:
        """[SER-70], [HRD-3]: what is wrong before or behind the bytes is told as ever."""
        serializer = available(name)
        payload = serializer.dumpsCall("obj", "method", (DATA,), {})
        pieces = self.received(serializer, payload)
        before, content, behind = pieces.pieces
        damaged = [
            [before, content, b""],
            [before, content, b"\xc1" * len(behind)],
            [b"\xc1" + before[1:], content, behind],
        ]
        if name != "pickle":  # which ignores what follows
            damaged.append([before, content, behind + b"N"])
        for parts in damaged:
            with pytest.raises(SerializeError):
                serializer.loadsCall(Pieces(parts))

    @pytest.mark.parametrize("name", NAMES)
    def test_not_found(self, name: str) -> None:
        """Nothing large, or it does not fill the payload, or begins too late."""
        serializer = available(name)
        for value in ("x" * LARGE, [DATA, "x" * 2000], ["x" * 2000, DATA], [1.5] * LARGE):
            payload = serializer.dumps(value)
            assert FINDERS[serializer.serializer_id](payload[:LARGE], len(payload)) is None


class Holder:
    """A class that pickle knows by its name, and that counts how often it is unpickled."""

    made = 0

    def __init__(self, data: Any) -> None:
        self.data = data

    def __setstate__(self, state: dict[str, Any]) -> None:
        Holder.made += 1
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"Holder({self.data!r})"


def test_under_view() -> None:
    """Nothing but a view of all of some bytes is seen through."""
    assert under_view(memoryview(DATA)) is DATA
    assert under_view(DATA) is DATA
    part, other = memoryview(DATA)[1:], memoryview(bytearray(DATA))
    assert under_view(part) is part
    assert under_view(other) is other
