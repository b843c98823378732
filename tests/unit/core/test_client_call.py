"""One call of a client, with a connection that exists in memory only (chapter 30 and [WIRE-122], [WIRE-123])."""

from __future__ import annotations

import contextlib
import gc
import logging
import marshal
import pickle
import threading
import uuid
import weakref
import zlib
from typing import Any

import pytest

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.core import SerializedBlob, _StreamResultIterator, current_context
from pyrolite.core import proxy as proxy_module
from pyrolite.core.clientconnection import Offer, Welcome, _read_answer
from pyrolite.core.context import CallState
from pyrolite.core.message import Message
from pyrolite.errors import (
    CommunicationError,
    ConnectionClosedError,
    MessageTooLargeError,
    NamingError,
    ProtocolError,
    PyroError,
    SecurityError,
    SerializeError,
)
from pyrolite.message import (
    FLAGS_BATCH,
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_ITEMSTREAMRESULT,
    FLAGS_META_ON_CONNECT,
    FLAGS_ONEWAY,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
    MSG_INVOKE,
    MSG_PING,
    MSG_RESULT,
)
from pyrolite.serializers import get_serializer
from pyrolite.testing import MemoryConnection
from pyrolite.wire.message import Frame

SERPENT, JSON, MARSHAL, PICKLE = 1, 2, 3, 4
CORRELATION = uuid.UUID("12345678-1234-4234-8234-123456789abc")


class Line:
    """A proxy and the memory connection that it thinks it is connected with."""

    def __init__(self, proxy_class: type[pyrolite.Proxy] = pyrolite.Proxy) -> None:
        self.proxy = proxy_class("PYRO:thing@127.0.0.1:9")
        self.proxy._pyroMethods = {"add", "later", "stream"}
        self.proxy._pyroOneway = {"later"}
        self.connection = MemoryConnection(objectId="thing")
        self.proxy.__dict__["_pyroConnection"] = self.connection
        self.serializer = get_serializer("serpent")

    def answer(self, value: Any, flags: int = 0, seq: int = 1, annotations: Any = None, **fields: Any) -> None:
        """What the server is going to answer."""
        payload = fields.pop("payload", None) or self.serializer.dumps(value)
        message = Message(
            fields.pop("type", MSG_RESULT),
            payload,
            fields.pop("serializer_id", self.serializer.serializer_id),
            flags,
            seq,
            annotations,
            fields.pop("hmac_key", None),
        )
        assert not fields
        self.connection.feed(message)

    def sent(self, hmac_key: bytes | None = None) -> Message:
        (message,) = self.connection.take_messages(hmac_key)
        return message

    @property
    def connected(self) -> bool:
        connected = self.proxy._pyroConnection is self.connection
        assert connected != self.connection.closed
        return connected


@pytest.fixture
def line() -> Line:
    return Line()


# ---- requests


def test_request(line: Line) -> None:
    """[WIRE-12], [WIRE-70], [PRX-26]"""
    line.answer([1, 2])
    assert line.proxy.add(1, b=2) == [1, 2]
    message = line.sent()
    assert (message.type, message.flags, message.seq, message.serializer_id) == (MSG_INVOKE, 0, 1, SERPENT)
    assert line.serializer.loadsCall(message.data) == ("thing", "add", (1,), {"b": 2})
    assert message.annotations == {}


def test_sequence_numbers_wrap(line: Line) -> None:
    """[WIRE-12], [PRX-39]"""
    line.proxy._pyroSeq = 65534
    for seq in (65535, 0, 1):
        line.answer(None, seq=seq)
        line.proxy.add()
        assert line.sent().seq == line.proxy._pyroSeq == seq


def test_sequence_number_advances_when_nothing_is_sent(line: Line) -> None:
    """[WIRE-12], [WIRE-44]: and the connection stays."""
    line.proxy._pyroConfig = pyrolite.config.copy(MAX_MESSAGE_SIZE=100)
    with pytest.raises(MessageTooLargeError, match=r"^max message size exceeded \(\d+ where max=100\)$"):
        line.proxy.add("x" * 100)
    assert line.proxy._pyroSeq == 1
    with pytest.raises(TypeError):
        line.proxy.add(object)
    assert line.proxy._pyroSeq == 2
    assert line.connected
    line.answer(5, seq=3)
    assert line.proxy.add() == 5


def test_serializer_of_the_proxy(line: Line) -> None:
    """[PRX-5]: looked up at each call."""
    for name, number in (("json", JSON), ("marshal", MARSHAL)):
        line.proxy._pyroSerializer = name
        line.serializer = get_serializer(name)
        line.answer([name], seq=line.proxy._pyroSeq + 1)
        assert line.proxy.add() == [name]
        assert line.sent().serializer_id == number
    line.proxy._pyroSerializer = "nonsense"
    with pytest.raises(SerializeError, match="^serializer 'nonsense' is unknown or not available$"):
        line.proxy.add()


def test_oneway(line: Line) -> None:
    """[PRX-28], [WIRE-100]: the set is looked at in each call."""
    assert line.proxy.later(3) is None
    assert line.sent().flags == FLAGS_ONEWAY
    line.proxy._pyroOneway.add("add")
    assert line.proxy.add() is None
    line.proxy._pyroOneway = set()
    line.answer("now", seq=3)
    assert line.proxy.later() == "now"


def test_batch(line: Line) -> None:
    """[BAT-2], [BAT-13], [WIRE-90], [WIRE-93]"""
    line.answer([3, 4], FLAGS_BATCH)
    calls = [("add", (1, 2), {}), ("later", (), {"k": 1})]
    assert line.proxy._pyroInvokeBatch(calls) == [3, 4]
    message = line.sent()
    assert message.flags == FLAGS_BATCH
    object_id, method, args, kwargs = line.serializer.loadsCall(message.data)
    assert (object_id, method, kwargs) == ("thing", "<batch>", None)
    assert [tuple(call) for call in args] == calls
    assert line.proxy._pyroInvokeBatch(calls, oneway=True) is None
    assert line.sent().flags == FLAGS_BATCH | FLAGS_ONEWAY == 0x0C


def test_compression(line: Line) -> None:
    """[WIRE-40]: of the request by its own configuration, of the answer by its flag."""
    line.answer("y" * 500, FLAGS_COMPRESSED, payload=zlib.compress(line.serializer.dumps("y" * 500)))
    assert line.proxy.add("x" * 500) == "y" * 500
    assert line.sent().flags == 0
    line.proxy._pyroConfig = pyrolite.config.copy(COMPRESSION=True)
    line.answer(1, seq=2)
    line.proxy.add("x" * 500)
    message = line.sent()
    assert message.flags == FLAGS_COMPRESSED
    assert line.serializer.loadsCall(message.decompress_if_needed().data)[2] == ("x" * 500,)
    line.answer(1, seq=3)
    line.proxy.add("x")
    assert line.sent().flags == 0


def test_hmac(line: Line) -> None:
    """[WIRE-30], [WIRE-31]"""
    line.proxy._pyroHmacKey = bytearray(b"secret")
    line.answer(9, hmac_key=b"secret")
    assert line.proxy.add() == 9
    assert "HMAC" in line.sent(b"secret").annotations
    line.answer(9, seq=2)
    with pytest.raises(SecurityError, match="^hmac key config not symmetric$"):
        line.proxy.add()
    assert not line.connected


# ---- annotations


def test_annotations_of_a_request(line: Line) -> None:
    """[WIRE-24], [PRX-44]: the context's are used up, and its dict is the user's."""
    mine = {"AAAA": b"1", "BBBB": b"2"}
    current_context.annotations = mine
    current_context.correlation_id = CORRELATION
    line.proxy.later()
    message = line.sent()
    assert list(message.annotations) == ["AAAA", "BBBB", "CORR"]
    assert message.annotations["CORR"] == CORRELATION.bytes
    assert mine == {"AAAA": b"1", "BBBB": b"2"}
    assert current_context.annotations == {}
    line.proxy.later()
    assert list(line.sent().annotations) == ["CORR"]


def test_annotations_of_the_proxy_win() -> None:
    """[PRX-44], [OV-40]"""

    class Annotating(pyrolite.Proxy):
        def _pyroAnnotations(self) -> dict[str, bytes]:
            return {"AAAA": b"mine", "CCCC": b"3"}

    line = Line(Annotating)
    current_context.annotations = {"AAAA": b"1", "BBBB": b"2"}
    line.proxy.later()
    assert line.sent().annotations == {"AAAA": b"mine", "BBBB": b"2", "CCCC": b"3"}


def test_reserved_annotations(line: Line, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """[WIRE-23], [PRX-44]: ignored, with one warning."""
    monkeypatch.setattr("pyrolite.core.clientcall._warned_about", set())
    for _ in range(2):
        current_context.annotations = {"HMAC": b"1", "CORR": b"2", "STRM": b"3", "BLBI": b"4", "USER": b"5"}
        line.proxy.later()
        assert line.sent().annotations == {"USER": b"5"}
    assert [record.levelname for record in caplog.records if "reserved" in record.message] == ["WARNING"]


@pytest.mark.parametrize(
    "wrong", [{"ABC": b""}, {"ABCDE": b""}, {"ÄÄÄÄ": b""}, {"ABCD": "text"}, {"ABCD": b"x" * 65530}, {12: b""}]
)
def test_wrong_annotations(line: Line, wrong: dict[Any, Any]) -> None:
    """[WIRE-21], [WIRE-24]: nothing is sent, the connection stays, the annotations have been used up."""
    current_context.annotations = wrong
    with pytest.raises(ProtocolError, match="annotation"):
        line.proxy.add()
    assert line.connected
    assert line.connection.sent == b""
    assert current_context.annotations == {}
    line.answer(1, seq=2)
    assert line.proxy.add() == 1


def test_annotations_of_the_answer() -> None:
    """[PRX-45], [WIRE-29]: known before the payload is decoded, gone with the next call, not set by oneway calls."""
    seen: list[Any] = []

    class Listening(pyrolite.Proxy):
        def _pyroResponseAnnotations(self, annotations: Any, msgtype: int) -> None:
            seen.append((dict(annotations), msgtype))

    line = Line(Listening)
    line.answer(1, annotations={"RESP": b"1"})
    line.proxy.add()
    assert current_context.response_annotations == {"RESP": b"1"}
    line.answer(1, seq=2)
    line.proxy.add()
    assert current_context.response_annotations == {}
    line.answer(ValueError("no"), FLAGS_EXCEPTION, seq=3, annotations={"RESP": b"3"})
    with pytest.raises(ValueError):
        line.proxy.add()
    assert current_context.response_annotations == {"RESP": b"3"}
    line.answer(None, seq=4, annotations={"RESP": b"4"}, payload=b"garbage")
    with pytest.raises(SerializeError):
        line.proxy.add()
    assert seen == [({"RESP": b"1"}, MSG_RESULT), ({"RESP": b"3"}, MSG_RESULT), ({"RESP": b"4"}, MSG_RESULT)]
    line = Line()
    current_context.response_annotations = {"OLD_": b""}
    line.proxy.later()
    assert current_context.response_annotations == {}


def serving(annotations: dict[str, bytes]) -> CallState:
    """As in a remote method that serves a request with these annotations."""
    state = CallState.of_request(None, Frame(MSG_INVOKE, 0, 7, SERPENT, annotations, b""), CORRELATION.bytes)
    current_context._state = state
    return state


def test_nested_calls_do_not_forward(line: Line) -> None:
    """[PRX-46], [PRX-47], [WIRE-25]: only what the method set itself, and the correlation id."""
    serving({"USER": b"theirs", "HMAC": b"digest", "BLBI": b"blob", "CORR": CORRELATION.bytes})
    line.proxy.later()
    assert line.sent().annotations == {"CORR": CORRELATION.bytes}
    assert current_context.annotations["USER"] == b"theirs"
    current_context.annotations["MINE"] = b"1"
    line.proxy.later()
    assert line.sent().annotations == {"MINE": b"1", "CORR": CORRELATION.bytes}
    assert current_context.annotations == {
        "USER": b"theirs",
        "HMAC": b"digest",
        "BLBI": b"blob",
        "CORR": CORRELATION.bytes,
    }
    current_context.annotations = {"NEW_": b"2"}
    line.proxy.later()
    assert line.sent().annotations == {"NEW_": b"2", "CORR": CORRELATION.bytes}


def test_answers_of_nested_calls_stay_here(line: Line) -> None:
    """[DMN-59]: readable, but not sent on unless the method says so."""
    state = serving({})
    current_context.response_annotations["MINE"] = b"1"
    line.answer(1, annotations={"THEI": b"2"})
    line.proxy.add()
    assert current_context.response_annotations == {"THEI": b"2"}
    assert state.responses() == {"MINE": b"1"}
    current_context.response_annotations["MORE"] = b"3"
    assert state.responses() == {"MINE": b"1", "MORE": b"3"}
    current_context.response_annotations["THEI"] = b"my own"
    assert state.responses() == {"MINE": b"1", "MORE": b"3", "THEI": b"my own"}
    current_context.response_annotations = {"LAST": b"5"}
    assert state.responses() == {"LAST": b"5"}


# ---- answers


def test_out_of_sync(line: Line) -> None:
    """[WIRE-15], [PRX-26], [WIRE-123]"""
    line.answer(1, seq=17)
    with pytest.raises(ProtocolError, match="^invoke: reply sequence out of sync, got 17 expected 1$"):
        line.proxy.add()
    assert not line.connected


def test_other_serializer(line: Line) -> None:
    """[WIRE-122], [HRD-2]: a server cannot make the client unpickle something."""
    line.answer(1, payload=pickle.dumps(1), serializer_id=PICKLE)
    with pytest.raises(SerializeError, match="^invalid serializer in response: 4$"):
        line.proxy.add()
    assert not line.connected


def test_other_message_type(line: Line) -> None:
    """[WIRE-122], [WIRE-51]"""
    line.answer(1, type=MSG_PING)
    with pytest.raises(ProtocolError, match="^invalid msg type 6 received$"):
        line.proxy.add()
    assert not line.connected


def test_too_large_answer(line: Line) -> None:
    """[WIRE-45], [WIRE-51]"""
    line.proxy._pyroConfig = pyrolite.config.copy(MAX_MESSAGE_SIZE=200)
    line.answer("x" * 300)
    with pytest.raises(MessageTooLargeError):
        line.proxy.add()
    assert not line.connected


def test_connection_lost(line: Line) -> None:
    """[PRX-38]: whatever interrupts an exchange, no later answer may be taken for the next one."""
    with pytest.raises(ConnectionClosedError, match="^receiving: not enough data$"):
        line.proxy.add()
    assert not line.connected


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError, TimeoutError])
def test_interrupted(line: Line, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]) -> None:
    """[PRX-38], [WIRE-123]"""

    def interrupted(*args: Any) -> None:
        raise interruption

    monkeypatch.setattr(line.connection, "receive_frame", interrupted)
    with pytest.raises(interruption):
        line.proxy.add()
    assert not line.connected


def remote(error: Exception) -> Exception:
    error._pyroTraceback = ["Traceback\n", "  over there\n"]
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 1),
        ConnectionClosedError("to somebody else"),
        NamingError("n"),
        ProtocolError("p"),
        CommunicationError(),
    ],
)
def test_remote_exceptions(line: Line, error: Exception) -> None:
    """[PRX-26], [PRX-38], [WIRE-82], [WIRE-123]: raised as they are; the connection stays."""
    line.answer(remote(error), FLAGS_EXCEPTION)
    with pytest.raises(type(error)) as raised:
        line.proxy.add()
    assert type(raised.value) is type(error)
    assert raised.value.args == error.args
    assert raised.value._pyroTraceback == ["Traceback\n", "  over there\n"]
    assert line.connected


@pytest.mark.parametrize("error", [SecurityError("s"), SerializeError("unsupported serialized class: x")])
def test_server_hangs_up(line: Line, error: Exception) -> None:
    """[WIRE-123]: a Pyro4 server closes after these, as its exceptions have no correlation id; pyrolite does not."""
    line.answer(error, FLAGS_EXCEPTION, annotations={"CORR": CORRELATION.bytes})
    with pytest.raises(type(error)):
        line.proxy.add()
    assert line.connected
    line.answer(error, FLAGS_EXCEPTION, seq=2)
    with pytest.raises(type(error)):
        line.proxy.add()
    assert not line.connected


def test_refused_serializer(line: Line) -> None:
    """[WIRE-85], [WIRE-123]: any server closes after this one."""
    error = SerializeError("message used serializer that is not accepted: 1")
    line.answer(error, FLAGS_EXCEPTION, annotations={"CORR": CORRELATION.bytes})
    with pytest.raises(SerializeError):
        line.proxy.add()
    assert not line.connected


def test_remote_exception_is_no_exception(line: Line) -> None:
    """[HRD-3]"""
    line.answer("just a text", FLAGS_EXCEPTION)
    with pytest.raises(ProtocolError):
        line.proxy.add()
    assert not line.connected


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_nobody_ends_this_program(line: Line, name: str) -> None:
    """[SER-56], [HRD-3]"""
    error = {
        "__class__": f"builtins.{name}",
        "__exception__": True,
        "args": [3],
        "attributes": {"_pyroTraceback": ["t"]},
    }
    line.answer(error, FLAGS_EXCEPTION)
    with pytest.raises(PyroError) as raised:
        line.proxy.add()
    assert str(raised.value) == f"remote {name}: 3"
    assert raised.value._pyroTraceback == ["t"]
    assert line.connected


@pytest.mark.parametrize("payload", [b"garbage", b"# serpent utf-8 python3.2\n(1,", b"\xff", b"[" * 100000])
def test_garbage(line: Line, payload: bytes) -> None:
    """[HRD-3]: SerializeError with the original as its cause; the connection is dropped."""
    for flags in (0, FLAGS_EXCEPTION):
        line = Line()
        line.answer(None, flags, payload=payload)
        with pytest.raises(SerializeError) as raised:
            line.proxy.add()
        assert raised.value.__cause__ is not None
        assert not line.connected


def test_unknown_class(line: Line) -> None:
    """[WIRE-123], [WIRE-82]: a complete answer that cannot be understood here is no reason to lose the session."""
    line.answer({"__class__": "nobody.Knows", "a": 1})
    with pytest.raises(SerializeError, match="unsupported serialized class: nobody.Knows"):
        line.proxy.add()
    assert line.connected
    error = {
        "__class__": "nobody.Knows",
        "__exception__": True,
        "args": ["why"],
        "attributes": {"_pyroTraceback": ["t"]},
    }
    line.answer(error, FLAGS_EXCEPTION, seq=2)
    with pytest.raises(SerializeError, match="unsupported serialized class: nobody.Knows"):
        line.proxy.add()
    assert line.connected


def test_compressed_bomb(line: Line) -> None:
    """[WIRE-42], [HRD-4]: the answer was complete, so the connection may stay."""
    line.proxy._pyroConfig = pyrolite.config.copy(MAX_MESSAGE_SIZE=5000)
    line.answer(None, FLAGS_COMPRESSED, payload=zlib.compress(bytes(100000)))
    with pytest.raises(MessageTooLargeError):
        line.proxy.add()


def test_raw_response(line: Line) -> None:
    """[PRX-27], [WIRE-127]: also exceptions and streams, decompressed, after the checks of number and serializer."""
    line.proxy._pyroRawWireResponse = True
    plain = line.serializer.dumps(ValueError("x" * 300))
    flags = FLAGS_COMPRESSED | FLAGS_EXCEPTION
    line.answer(None, flags, payload=zlib.compress(plain), annotations={"RESP": b"1"})
    message = line.proxy.add()
    assert isinstance(message, Message)
    assert (message.type, message.flags, message.seq, message.data) == (MSG_RESULT, FLAGS_EXCEPTION, 1, plain)
    assert (message.data_size, message.annotations) == (len(plain), {"RESP": b"1"})
    line.answer(4, seq=2)
    assert line.proxy.add().data == line.serializer.dumps(4)
    line.answer(4, seq=17)
    with pytest.raises(ProtocolError):
        line.proxy.add()


# ---- streams


STREAM_ID = "12345678-1234-4234-8234-123456789abc"


def stream(line: Line) -> _StreamResultIterator:
    marker = ProtocolError("result of call is an iterator")
    flags = FLAGS_EXCEPTION | FLAGS_ITEMSTREAMRESULT
    line.answer(marker, flags, seq=line.proxy._pyroSeq + 1, annotations={"STRM": STREAM_ID.encode()})
    result = line.proxy.stream()
    line.connection.take_messages()
    assert isinstance(result, _StreamResultIterator)
    return result


def test_stream_result(line: Line) -> None:
    """[PRX-50], [WIRE-111], [WIRE-112]"""
    items = stream(line)
    assert iter(items) is items
    assert (items.streamId, items.proxy, items.pyroseq) == (STREAM_ID, line.proxy, line.proxy._pyroSeq)
    line.answer("first", seq=2)
    assert next(items) == "first"
    message = line.sent()
    assert line.serializer.loadsCall(message.data) == ("Pyro.Daemon", "get_next_stream_item", [STREAM_ID], {})
    line.answer(StopIteration(), FLAGS_EXCEPTION, seq=3)
    assert list(items) == []
    assert items.proxy is None
    line.connection.take_messages()
    assert next(items, "nothing") == "nothing"
    assert line.connection.sent == b""


def test_stream_without_id(line: Line) -> None:
    """[PRX-50], [WIRE-111]: the server does not stream."""
    line.answer(ProtocolError("result of call is an iterator"), FLAGS_EXCEPTION | FLAGS_ITEMSTREAMRESULT)
    with pytest.raises(ProtocolError, match="but the server is not configured to allow streaming$"):
        line.proxy.stream()
    assert line.connected


def test_errors_of_streams(line: Line) -> None:
    """[PRX-52]"""
    items = stream(line)
    line.answer(ZeroDivisionError("x"), FLAGS_EXCEPTION, seq=2)
    with pytest.raises(ZeroDivisionError):
        next(items)
    line.answer(PyroError("item stream terminated"), FLAGS_EXCEPTION, seq=3)
    with pytest.raises(PyroError, match="^item stream terminated$"):
        next(items)


def test_closing_a_stream(line: Line) -> None:
    """[PRX-53], [WIRE-113]"""
    items = stream(line)
    items.close()
    message = line.sent()
    assert message.flags == FLAGS_ONEWAY
    assert line.serializer.loadsCall(message.data) == ("Pyro.Daemon", "close_stream", [STREAM_ID], {})
    with pytest.raises(StopIteration):
        next(items)
    items.close()
    assert line.connection.sent == b""


def test_stream_of_a_disconnected_proxy(line: Line) -> None:
    """[PRX-51], [PRX-53]: it never connects by itself."""
    items = stream(line)
    line.proxy._pyroRelease()
    with pytest.raises(ConnectionClosedError, match="^the proxy for this stream result has been closed$"):
        next(items)
    items.close()
    assert next(items, None) is None


def test_dropped_stream(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """[PRX-54], [PRX-43]: the finalizer sends nothing itself, not even while the proxy is in a call."""
    items = stream(line)
    proxy = line.proxy
    closed = threading.Event()
    original = pyrolite.Proxy._pyroCloseStreams

    def observed(self: pyrolite.Proxy) -> None:
        original(self)
        closed.set()

    monkeypatch.setattr(pyrolite.Proxy, "_pyroCloseStreams", observed)
    with proxy._pyroLock:  # as during a call
        del items
        assert line.connection.sent == b""
        assert closed.wait(10)
        assert line.connection.sent == b""
    line.answer(8, seq=3)
    assert proxy.add() == 8
    first, second = line.connection.take_messages()
    assert line.serializer.loadsCall(first.data)[1:3] == ("close_stream", [STREAM_ID])
    assert (first.flags, line.serializer.loadsCall(second.data)[1]) == (FLAGS_ONEWAY, "add")


def test_next_call_closes_dropped_streams(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """[PRX-54]: whether or not the helper has come round to it."""
    items = stream(line)
    monkeypatch.setattr(pyrolite.Proxy, "_pyroCloseStreams", lambda self: None)
    del items
    assert line.connection.sent == b""
    line.answer(8, seq=3)
    assert line.proxy.add() == 8
    first, second = line.connection.take_messages()
    assert line.serializer.loadsCall(first.data)[1:3] == ("close_stream", [STREAM_ID])
    assert line.serializer.loadsCall(second.data)[1] == "add"


def test_dropped_stream_of_an_idle_proxy(line: Line) -> None:
    """[PRX-54]: a helper closes it."""
    sent = threading.Event()
    original = line.connection.send

    def send(data: Any) -> None:
        original(data)
        sent.set()

    line.connection.send = send  # type: ignore[method-assign]
    items = stream(line)
    sent.clear()
    del items
    assert sent.wait(10)
    with line.proxy._pyroLock:
        assert line.serializer.loadsCall(line.sent().data)[1] == "close_stream"


# ---- a socket of the user's


def test_out_of_step_on_a_connected_socket(line: Line) -> None:
    """[PRX-41]"""
    line.connection.keep_open = True
    line.answer(1, seq=17)
    with pytest.raises(ProtocolError):
        line.proxy.add()
    assert line.proxy._pyroConnection is line.connection
    assert not line.connection.closed
    line.answer(1, seq=2)
    with pytest.raises(ConnectionClosedError, match="out of step"):
        line.proxy.add()


# ---- blobs


def test_blob_on_the_wire(line: Line) -> None:
    """[BLOB-10], [BLOB-11], [BLOB-12], [BLOB-18]"""
    line.answer("fine")
    assert line.proxy.add(SerializedBlob({"topic": 1}, [1, (2, 3)])) == "fine"
    message = line.sent()
    assert message.flags == 0x40
    assert list(message.annotations) == ["BLBI"]
    assert message.annotations["BLBI"] == marshal.dumps(({"topic": 1}, "thing", "add"), 2)
    assert line.serializer.loadsCall(message.data) == ("thing", "add", [1, (2, 3)], {})
    assert line.proxy.later(SerializedBlob("i", 1)) is None
    assert line.sent().flags == 0x44


@pytest.mark.parametrize("name", ["serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill"])
def test_blob_has_to_be_alone(line: Line, name: str) -> None:
    """[BLOB-2]: nothing is sent otherwise."""
    line.proxy._pyroSerializer = name
    blob = SerializedBlob("info", 1)
    batch = pyrolite.batch(line.proxy)
    batch.add(blob)
    for misuse in (
        lambda: line.proxy.add(blob, 1),
        lambda: line.proxy.add(blob, k=1),
        lambda: line.proxy.add(1, blob),
        lambda: line.proxy.add(k=blob),
        lambda: line.proxy.add([blob]),
        batch,
    ):
        with pytest.raises(SerializeError, match="if SerializedBlob is used, it must be the only argument"):
            misuse()
    assert line.connection.sent == b""
    assert line.connected


def test_blob_info_has_to_be_simple(line: Line) -> None:
    """[BLOB-11]"""
    with pytest.raises(ValueError, match="unmarshallable object"):
        line.proxy.add(SerializedBlob(object(), 1))
    with pytest.raises(ProtocolError, match="BLBI"):
        line.proxy.add(SerializedBlob("x" * 70000, 1))
    assert line.connected


def received_blob(serializer: str = "serpent", data: Any = "data", flags: int = 0x40) -> SerializedBlob:
    payload = get_serializer(serializer).dumpsCall("first", "method", data, {})
    if flags & FLAGS_COMPRESSED:
        payload = zlib.compress(payload)
    message = Message(MSG_INVOKE, payload, get_serializer(serializer).serializer_id, flags, 77, {"OLD_": b"1"})
    return SerializedBlob("info", message, is_blob=True)


def test_forwarding(line: Line) -> None:
    """[BLOB-14], [BLOB-15], [BLOB-16], [BLOB-17]: the payload as it came, in its own serializer."""
    blob = received_blob("json", ["x" * 300], flags=0x40 | FLAGS_COMPRESSED | FLAGS_ONEWAY)
    line.serializer = get_serializer("json")
    line.answer("fine")
    current_context.correlation_id = CORRELATION
    assert line.proxy.add(blob) == "fine"
    message = line.sent()
    assert (message.flags, message.serializer_id, message.seq) == (0x42, JSON, 1)
    assert message.data == blob._data.data
    assert marshal.loads(message.annotations.pop("BLBI")) == ("info", "thing", "add")
    assert message.annotations == {"CORR": CORRELATION.bytes}
    assert blob.deserialized() == ["x" * 300]


def test_forwarded_answer_in_another_serializer(line: Line) -> None:
    """[BLOB-15], [WIRE-122]: compared with the one that was really sent."""
    line.answer("fine")
    with pytest.raises(SerializeError, match="^invalid serializer in response: 1$"):
        line.proxy.add(received_blob("json"))


# ---- the answer to the handshake


def welcome(answer: Message, serializer: str = "serpent", **items: Any) -> Any:
    """What the client makes of the answer to its CONNECT message."""
    offer = Offer("hello", True, get_serializer(serializer), 0, {}, None)
    frame = Frame(answer.type, answer.flags, answer.seq, answer.serializer_id, answer.annotations, answer.data)
    return _read_answer(MemoryConnection(), frame, offer, "ADDR", pyrolite.config.copy(**items))


def connectok(value: Any, serializer: str = "serpent", flags: int = FLAGS_META_ON_CONNECT) -> Message:
    used = get_serializer(serializer)
    return Message(MSG_CONNECTOK, used.dumps(value), used.serializer_id, flags, 0, {"RESP": b"1"})


META = {"methods": ["m"], "attrs": [], "oneway": []}


def test_welcome() -> None:
    """[WIRE-67]"""
    result = welcome(connectok({"handshake": "hi", "meta": META}))
    assert (result.response, result.metadata, result.annotations) == ("hi", META, {"RESP": b"1"})
    result = welcome(connectok("hi", flags=0))
    assert (result.response, result.metadata) == ("hi", None)


def test_refusal() -> None:
    """[WIRE-67], [PRX-32]: with the serializer of the request or with marshal."""
    for serializer in ("serpent", "marshal"):
        used = get_serializer(serializer)
        refusal = Message(MSG_CONNECTFAIL, used.dumps("go away"), used.serializer_id, 0, 0)
        with pytest.raises(CommunicationError, match="^connection to ADDR rejected: go away$"):
            welcome(refusal)
    with pytest.raises(CommunicationError, match=r"^connection to ADDR rejected: \?$"):
        welcome(Message(MSG_CONNECTFAIL, b"", SERPENT, 0, 0))


class Bomb:
    exploded = False

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> str:
    Bomb.exploded = True
    return "boom"


@pytest.mark.parametrize("kind", [MSG_CONNECTOK, MSG_CONNECTFAIL])
@pytest.mark.parametrize("serializer_id", [PICKLE, 5, 7, JSON, 99])
def test_foreign_serializer_in_the_handshake(kind: int, serializer_id: int) -> None:
    """[HRD-2], [SEC-21]: nothing is decoded."""
    Bomb.exploded = False
    with pytest.raises(SerializeError, match=f"^invalid serializer in handshake response: {serializer_id}$"):
        welcome(Message(kind, pickle.dumps(Bomb()), serializer_id, 0, 0))
    assert Bomb.exploded is False


def test_refusal_has_to_be_text() -> None:
    """[SEC-21], [HRD-1]"""
    with pytest.raises(SerializeError):
        welcome(Message(MSG_CONNECTFAIL, marshal.dumps(compile("1", "", "eval")), MARSHAL, 0, 0))
    with pytest.raises(SerializeError):
        welcome(Message(MSG_CONNECTFAIL, marshal.dumps([1]), MARSHAL, 0, 0))


@pytest.mark.parametrize("value", ["text", {"handshake": 1}, {"meta": META}, {"handshake": 1, "meta": 2}, [1, 2]])
def test_malformed_welcome(value: Any) -> None:
    """[WIRE-68], [HRD-3]"""
    with pytest.raises(CommunicationError):
        welcome(connectok(value))


def test_undecodable_welcome() -> None:
    """[HRD-3]"""
    with pytest.raises(SerializeError):
        welcome(Message(MSG_CONNECTOK, b"garbage", SERPENT, 0, 0))
    bomb = zlib.compress(bytes(100000))
    with pytest.raises(MessageTooLargeError):
        welcome(Message(MSG_CONNECTOK, bomb, SERPENT, FLAGS_COMPRESSED, 0), MAX_MESSAGE_SIZE=5000)


# ---- connecting


class Connecting:
    """Stands in for `open_connection`: says what it was asked for, and connects to a memory connection."""

    def __init__(self, response: Any = "hi", metadata: Any = META, annotations: Any = None) -> None:
        self.welcome: list[Any] = [response, metadata, annotations or {}]
        self.offers: list[Offer] = []
        self.uris: list[pyrolite.URI] = []
        self.connections: list[MemoryConnection] = []

    def __call__(
        self, uri: pyrolite.URI, offer: Offer, timeout: float | None, config: Configuration, limit: float | None
    ) -> Welcome:
        self.uris.append(uri)
        self.offers.append(offer)
        self.connections.append(MemoryConnection(objectId=uri.object))
        return Welcome(self.connections[-1], *self.welcome)


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> Connecting:
    stand_in = Connecting()
    monkeypatch.setattr(proxy_module, "open_connection", stand_in)
    return stand_in


def test_offer(connecting: Connecting) -> None:
    """[PRX-29], [WIRE-13], [WIRE-24], [WIRE-60]: the annotations are not used up by the CONNECT message."""
    proxy = pyrolite.Proxy("PYRO:thing@h:1")
    proxy._pyroHandshake, proxy._pyroSeq, proxy._pyroHmacKey, proxy._pyroSerializer = {"a": 1}, 5, "key", "json"
    current_context.annotations = {"USER": b"1"}
    current_context.correlation_id = CORRELATION
    assert proxy._pyroBind() is True
    (offer,) = connecting.offers
    assert (offer.handshake, offer.want_metadata, offer.serializer, offer.seq, offer.hmac_key) == (
        {"a": 1},
        True,
        get_serializer("json"),
        5,
        b"key",
    )
    assert offer.annotations == {"USER": b"1", "CORR": CORRELATION.bytes}
    assert current_context.annotations == {"USER": b"1"}
    assert proxy._pyroMethods == {"m"}
    assert proxy._pyroBind() is False
    assert len(connecting.offers) == 1


def test_without_metadata(connecting: Connecting) -> None:
    """[WIRE-60], [PRX-20]"""
    connecting.welcome[1] = None
    proxy = pyrolite.Proxy("PYRO:thing@h:1", config=pyrolite.config.copy(METADATA=False))
    proxy._pyroBind()
    assert connecting.offers[0].want_metadata is False
    assert proxy._pyroMethods == set()


def test_metadata_replaces(connecting: Connecting) -> None:
    """[PRX-24]: also what the user put there."""
    proxy = pyrolite.Proxy("PYRO:thing@h:1")
    proxy._pyroMethods, proxy._pyroAttrs, proxy._pyroOneway = {"mine"}, {"x"}, {"mine"}
    proxy._pyroBind()
    assert (proxy._pyroMethods, proxy._pyroAttrs, proxy._pyroOneway) == ({"m"}, set(), set())


def test_nothing_exposed(connecting: Connecting) -> None:
    """[PRX-25], [WIRE-68]"""
    connecting.welcome[1] = {"methods": [], "attrs": [], "oneway": []}
    proxy = pyrolite.Proxy("PYRO:thing@h:1")
    with pytest.raises(PyroError, match="Did you forget setting @expose on them"):
        proxy._pyroBind()
    assert proxy._pyroConnection is None
    assert connecting.connections[0].closed


def test_validation_of_the_handshake(connecting: Connecting) -> None:
    """[PRX-33], [WIRE-68], [OV-40]: a refused connection is not used."""
    seen: list[Any] = []

    class Careful(pyrolite.Proxy):
        def _pyroValidateHandshake(self, response: Any) -> None:
            seen.append((response, self._pyroConnection is connecting.connections[-1]))
            if response != "good":
                raise ValueError("not with me")

        def _pyroResponseAnnotations(self, annotations: Any, msgtype: int) -> None:
            seen.append((annotations, msgtype))

    connecting.welcome = ["bad", META, {"RESP": b"1"}]
    proxy = Careful("PYRO:thing@h:1")
    for _ in range(2):
        with pytest.raises(ValueError, match="^not with me$"):
            proxy.m()
        assert proxy._pyroConnection is None
        assert connecting.connections[-1].closed
    connecting.welcome[0] = "good"
    assert proxy._pyroBind() is True
    assert seen == [("bad", True), ("bad", True), ("good", True), ({"RESP": b"1"}, MSG_CONNECTOK)]


def test_no_hook_without_annotations(connecting: Connecting) -> None:
    """[PRX-33]: only if the reply has annotations."""
    called: list[Any] = []

    class Listening(pyrolite.Proxy):
        def _pyroResponseAnnotations(self, annotations: Any, msgtype: int) -> None:
            called.append(msgtype)

    Listening("PYRO:thing@h:1")._pyroBind()
    assert called == []


def test_release_and_context_manager(connecting: Connecting) -> None:
    """[PRX-11], [PRX-37]"""
    with pyrolite.Proxy("PYRO:thing@h:1") as proxy:
        proxy._pyroBind()
    assert connecting.connections[0].closed
    assert proxy._pyroConnection is None
    proxy._pyroRelease()
    with proxy:
        assert proxy._pyroBind() is True
    assert len(connecting.connections) == 2


def test_binding_keeps_the_resolved_uri(connecting: Connecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """[PRX-34], [PRX-29]: only `_pyroBind` does, and only when it makes the connection."""
    found = [pyrolite.URI(f"PYRO:object{number}@h:1") for number in range(3)]
    keys: list[Any] = []

    def resolve(uri: Any, key: Any, *rest: Any) -> list[pyrolite.URI]:
        keys.append(key)
        return [found[len(keys) - 1]]

    monkeypatch.setattr(proxy_module, "candidates", resolve)
    proxy = pyrolite.Proxy("PYRONAME:x")
    proxy._pyroHmacKey = b"k"
    with pytest.raises(AttributeError):
        proxy.unknown  # connects
    assert proxy._pyroUri == pyrolite.URI("PYRONAME:x")
    assert proxy._pyroConnection.objectId == connecting.uris[0].object == "object0"
    assert proxy._pyroBind() is False
    assert proxy._pyroUri == pyrolite.URI("PYRONAME:x")
    proxy._pyroRelease()
    proxy._pyroBind()
    assert proxy._pyroUri == found[1]
    assert keys == [b"k", b"k"]


def test_reconnecting_by_itself(connecting: Connecting) -> None:
    """[PRX-34], [PRX-39]: after a failure the next call connects anew, and counts on."""
    proxy = pyrolite.Proxy("PYRO:thing@h:1")
    proxy._pyroBind()
    with pytest.raises(ConnectionClosedError):
        proxy.m()
    with pytest.raises(ConnectionClosedError):
        proxy.m()
    assert [offer.seq for offer in connecting.offers] == [0, 1]
    assert proxy._pyroSeq == 2


def test_collected_proxy_closes_its_connection(connecting: Connecting) -> None:
    """[PRX-12]"""
    proxy = pyrolite.Proxy("PYRO:thing@h:1")
    proxy._pyroBind()
    del proxy
    assert connecting.connections[0].closed


def test_failing_call_leaves_no_cycle(line: Line) -> None:
    """[HRD-44]: a proxy whose call raised is freed at once, without the garbage collector."""
    line.answer(remote(ValueError("x")), FLAGS_EXCEPTION)
    gone = weakref.ref(line.proxy)
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            line.proxy.add()
        line.proxy = None  # type: ignore[assignment]
        assert gone() is None
    finally:
        gc.enable()


def test_timeout_of_a_connected_proxy(line: Line) -> None:
    """[PRX-30]: takes effect at once; 0 means for ever."""
    timeouts: list[Any] = []
    line.connection.setTimeout = timeouts.append  # type: ignore[attr-defined]
    line.proxy._pyroTimeout = 3.5
    line.proxy._pyroTimeout = 0
    line.proxy._pyroTimeout = None
    assert timeouts == [3.5, None, None]


def test_metadata_by_a_call(line: Line) -> None:
    """[WIRE-124], [PRX-24]"""
    line.answer({"methods": ("m",), "attrs": (), "oneway": ()})
    line.proxy._pyroMethods = set()
    with pytest.raises(AttributeError):
        line.proxy.unknown
    assert line.serializer.loadsCall(line.sent().data) == ("Pyro.Daemon", "get_metadata", ["thing"], {})
    assert (line.proxy._pyroMethods, line.proxy._pyroAttrs) == ({"m"}, set())
    line.answer({"methods": ("other",), "attrs": (), "oneway": ()}, seq=2)
    line.proxy._pyroGetMetadata("other object")
    assert line.serializer.loadsCall(line.sent().data)[2] == ["other object"]
    assert line.proxy._pyroMethods == {"other"}


def test_logged_messages(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-126]"""
    line.proxy._pyroConfig = pyrolite.config.copy(LOGWIRE=True)
    line.proxy._pyroHmacKey = b"secret"
    line.answer("y" * 5000, hmac_key=b"secret")
    current_context.correlation_id = CORRELATION
    with caplog.at_level(logging.DEBUG, "pyrolite.core"):
        line.proxy.add(1)
    sending, received = [record.getMessage() for record in caplog.records if "wiredata" in record.getMessage()]
    payload = line.sent(b"secret").data
    assert sending == (
        f"proxy wiredata sending: msgtype=4 flags=0x0 ser=1 seq=1 corr={CORRELATION}\n"
        f"annotations={{'CORR': {CORRELATION.bytes!r}, 'HMAC': '<20 bytes>'}}\ndata={payload!r}"
    )
    assert received.startswith("proxy wiredata received: msgtype=5 flags=0x0 ser=1 seq=1 corr=?\nannotations={'HMAC': ")
    assert received.endswith('yyy"... (5028 bytes)')
    assert len(received) < 4400
