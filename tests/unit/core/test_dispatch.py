"""One request in, one answer out, without any socket: the walk of `pyrolite.core.dispatch`."""

from __future__ import annotations

import _thread
import gc
import logging
import marshal
import signal
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.core import SerializedBlob, current_context
from pyrolite.core.dispatch import Dispatcher
from pyrolite.core.instances import InstanceTable
from pyrolite.core.streams import StreamTable
from pyrolite.errors import (
    CommunicationError,
    ConnectionClosedError,
    DaemonError,
    MessageTooLargeError,
    ProtocolError,
    PyroError,
    SecurityError,
    SerializeError,
)
from pyrolite.futures import _ExceptionWrapper
from pyrolite.message import (
    FLAGS_BATCH,
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_ITEMSTREAMRESULT,
    FLAGS_KEEPSERIALIZED,
    FLAGS_ONEWAY,
    MSG_INVOKE,
    MSG_RESULT,
    Message,
)
from pyrolite.serializers import get_serializer
from pyrolite.testing import MemoryConnection
from pyrolite.wire.message import Frame

CORRELATION = uuid.UUID("12345678-1234-4234-8234-123456789abc")


class Thing:
    """All that can happen in a method."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self._size = 3

    @pyrolite.expose
    def echo(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        return [list(args), kwargs]

    @pyrolite.expose
    def fail(self, error: Any) -> None:
        raise error

    @pyrolite.expose
    def raise_kind(self, name: str) -> None:
        raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt, "GeneratorExit": GeneratorExit}[name](
            3
        )

    @pyrolite.expose
    @pyrolite.callback
    def fail_callback(self) -> None:
        raise ValueError("in a callback")

    @pyrolite.expose
    @pyrolite.oneway
    def later(self, value: Any) -> str:
        self.calls.append(value)
        return "nobody sees this"

    @pyrolite.expose
    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    @pyrolite.expose
    def items(self, count: int) -> Iterator[int]:
        yield from range(count)

    @pyrolite.expose
    def annotate(self, name: str) -> None:
        current_context.response_annotations = {name: b"1"}

    @pyrolite.expose
    def fail_after_annotating(self) -> None:
        current_context.response_annotations["LOST"] = b"1"
        raise ValueError("x")

    @pyrolite.expose
    def context(self) -> dict[str, Any]:
        return {
            "seq": current_context.seq,
            "flags": current_context.msg_flags,
            "serializer": current_context.serializer_id,
            "annotations": {key: bytes(value) for key, value in current_context.annotations.items()},
            "correlation": str(current_context.correlation_id),
            "responses": dict(current_context.response_annotations),
            "client": type(current_context.client).__name__,
        }

    @pyrolite.expose
    def blob(self, blob: SerializedBlob) -> Any:
        return [type(blob).__name__, blob.info, blob.deserialized()]

    @pyrolite.expose
    def give_blob(self, nested: bool) -> Any:
        blob = SerializedBlob("info", 1)
        return [blob] if nested else blob

    @pyrolite.expose
    async def asynchronous(self) -> int:
        return 3

    @pyrolite.expose
    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value

    @pyrolite.expose
    @property
    def constant(self) -> int:
        return 5

    @pyrolite.expose
    @property
    def endless(self) -> Any:
        return iter([1])

    @property
    def unexposed_property(self) -> int:
        raise AssertionError("evaluated")

    def unexposed(self) -> None:
        raise AssertionError("called")


class Owner:
    """The daemon, as far as the dispatcher knows it."""

    def __init__(self) -> None:
        self.extra: Any = {}

    def annotations(self) -> Any:
        if isinstance(self.extra, Exception):
            raise self.extra
        return self.extra


class Bench:
    """A dispatcher with everything around it in the hands of the test."""

    def __init__(self, accepted: tuple[str, ...] = ("serpent", "json", "marshal", "msgpack"), **items: Any) -> None:
        self.config = pyrolite.config.copy(**items)
        self.thing = Thing()
        self.objects: dict[str, Any] = {"thing": self.thing}
        self.submitted: list[Callable[[], None]] = []
        self.owner = Owner()
        self.connection = MemoryConnection()
        self.streams = StreamTable(self.config)
        self.dispatcher = Dispatcher(
            objects=self.objects,
            instances=InstanceTable(),
            streams=self.streams,
            oneway=self,  # type: ignore[arg-type]
            serializers={get_serializer(name).serializer_id: get_serializer(name) for name in accepted},
            owner=self.owner,
            config=self.config,
        )

    def submit(self, task: Callable[[], None]) -> None:
        """In the place of the oneway pool."""
        self.submitted.append(task)

    def overfull(self) -> bool:
        """Of the oneway pool, too."""
        return len(self.submitted) > 3

    def send(self, frame: Frame) -> tuple[Message | None, BaseException | None]:
        """The answer to a message, and what is raised then."""
        before = current_context._state
        parts, fatal = self.dispatcher.answer(frame, self.connection)
        assert current_context._state is before
        if parts is None:
            return None, fatal
        message = Message.recv(MemoryConnection(b"".join(parts)), hmac_key=self.dispatcher.hmac_key)
        assert (message.type, message.seq) == (MSG_RESULT, frame.seq)
        return message, fatal

    def frame(
        self,
        payload: bytes,
        flags: int = 0,
        serializer: int | str = "serpent",
        annotations: dict[str, bytes] | None = None,
    ) -> Frame:
        number = serializer if isinstance(serializer, int) else get_serializer(serializer).serializer_id
        return Frame(MSG_INVOKE, flags, 0x1234, number, annotations or {}, payload)

    def call(
        self,
        method: str,
        *args: Any,
        target: str = "thing",
        flags: int = 0,
        serializer: str = "serpent",
        annotations: dict[str, bytes] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The result of a call, or the exception of the answer."""
        payload = get_serializer(serializer).dumpsCall(target, method, args, kwargs)
        return self.value(*self.send(self.frame(payload, flags, serializer, annotations)))

    def value(self, message: Message | None, fatal: BaseException | None) -> Any:
        assert fatal is None
        assert message is not None
        self.message = message
        return get_serializer_of(message).loads(message.decompress_if_needed().data)

    def attribute(self, method: str, *args: Any, flags: int = 0) -> Any:
        payload = get_serializer("serpent").dumpsCall("thing", method, args, None)
        return self.value(*self.send(self.frame(payload, flags)))

    def batch(self, *calls: Any, flags: int = 0, serializer: str = "serpent") -> Any:
        payload = get_serializer(serializer).dumpsCall("thing", "<batch>", list(calls), None)
        return self.value(*self.send(self.frame(payload, FLAGS_BATCH | flags, serializer)))


def get_serializer_of(message: Message) -> Any:
    return pyrolite.util.get_serializer_by_id(message.serializer_id)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def assert_failure(bench: Bench, value: Any, kind: type[BaseException], text: str | None = None) -> None:
    """The answer is an exception result with a traceback."""
    assert type(value) is kind, repr(value)
    assert bench.message.flags == FLAGS_EXCEPTION
    assert all(isinstance(line, str) for line in value._pyroTraceback)
    assert value._pyroTraceback
    if text is not None:
        assert str(value) == text


# ---- calls


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
def test_call(bench: Bench, serializer: str) -> None:
    """[WIRE-70], [WIRE-71], [WIRE-73], [DMN-55]: answered in the serializer of the request."""
    assert bench.call("echo", 1, "two", serializer=serializer, k=None) == [[1, "two"], {"k": None}]
    assert bench.message.flags == 0
    assert bench.message.serializer_id == get_serializer(serializer).serializer_id


def test_positional_arguments_as_list(bench: Bench) -> None:
    """[WIRE-70]: list or tuple."""
    for args in ([1, 2], (1, 2)):
        payload = b"# serpent utf-8 python3.2\n" + repr(("thing", "echo", args, {})).encode()
        assert bench.value(*bench.send(bench.frame(payload))) == [[1, 2], {}]


def test_exception(bench: Bench) -> None:
    """[WIRE-80], [DMN-56]"""
    assert_failure(bench, bench.call("fail", ValueError("x", 1)), ValueError, "('x', 1)")


@pytest.mark.parametrize(
    "error",
    [
        CommunicationError("c"),
        ConnectionClosedError("d"),
        ProtocolError("e"),
        SecurityError("f"),
        SerializeError("g"),
        MessageTooLargeError("h"),
        MemoryError("i"),
        StopIteration("j"),
    ],
)
def test_errors_of_the_user_keep_the_connection(bench: Bench, error: Exception) -> None:
    """[WIRE-83], [WIRE-84], [DMN-57], [DMN-61], [HRD-24]: `call` asserts that nothing is raised in the server."""
    assert_failure(bench, bench.call("fail", error), type(error), str(error))


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_exits(bench: Bench, kind: str) -> None:
    """[WIRE-84], [DMN-60], [HRD-22]"""
    assert_failure(bench, bench.call("raise_kind", kind), PyroError, f"remote {kind}: 3")


def test_real_interrupt(bench: Bench) -> None:
    """[DMN-30]: Ctrl-C in the main thread is no matter of the caller's."""

    def interrupted() -> None:
        _thread.interrupt_main(signal.SIGINT)
        for _ in range(10_000_000):
            pass

    bench.objects["runner"] = runner = Thing()
    runner.echo = pyrolite.expose(lambda: interrupted())  # type: ignore[method-assign]
    payload = get_serializer("serpent").dumpsCall("runner", "echo", (), {})
    message, fatal = bench.send(bench.frame(payload))
    assert message is None
    assert isinstance(fatal, KeyboardInterrupt)


def test_callback_methods(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-84], [HRD-24], [DMN-57]: answer, a warning in the log, the connection stays."""
    assert_failure(bench, bench.call("fail_callback"), ValueError, "in a callback")
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.name == "pyrolite.core"
    assert record.exc_info


def test_unknown_object(bench: Bench) -> None:
    """[WIRE-71], [DMN-53]"""
    assert_failure(bench, bench.call("echo", target="nothing"), DaemonError, "unknown object")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_private", "attempt to access private attribute '_private'"),
        ("__init__", "attempt to access private attribute '__init__'"),
        ("__class__", "attempt to access private attribute '__class__'"),
        ("__dict__", "attempt to access private attribute '__dict__'"),
        ("missing", "'Thing' object has no attribute 'missing'"),
        ("unexposed", "attempt to access unexposed attribute 'unexposed'"),
        ("unexposed_property", "attempt to access unexposed attribute 'unexposed_property'"),
        ("calls", "attempt to access unexposed attribute 'calls'"),
        ("echo.__func__", "'Thing' object has no attribute 'echo.__func__'"),
        ("", None),
    ],
)
def test_members_that_cannot_be_called(bench: Bench, name: str, text: str | None) -> None:
    """[WIRE-72], [DMN-54], [EXP-11], [HRD-28], [SEC-10], [SEC-11], [SEC-12], [SEC-13]"""
    assert_failure(bench, bench.call(name), AttributeError, text)


def test_properties_are_no_methods(bench: Bench) -> None:
    """[EXP-11], [SEC-11]: not even exposed ones."""
    assert_failure(bench, bench.call("size"), AttributeError, "attempt to access unexposed attribute 'size'")


def test_everything_is_open() -> None:
    """[EXP-14], [SEC-11]: private names stay closed."""
    bench = Bench(REQUIRE_EXPOSE=False)
    assert_failure(bench, bench.call("unexposed"), AssertionError, "called")
    assert_failure(bench, bench.call("_size"), AttributeError)
    assert_failure(bench, bench.attribute("__getattr__", "_size"), AttributeError)


def test_correlation_id(bench: Bench) -> None:
    """[WIRE-29], [WIRE-28], [CTX-2]: taken from the request or made, echoed in results and exceptions."""
    assert bench.call("context", annotations={"CORR": CORRELATION.bytes})["correlation"] == str(CORRELATION)
    assert bench.message.annotations == {"CORR": CORRELATION.bytes}
    bench.call("fail", ValueError(), annotations={"CORR": CORRELATION.bytes})
    assert bench.message.annotations == {"CORR": CORRELATION.bytes}
    first, second = (bench.call("context")["correlation"] for _ in range(2))
    assert first != second
    assert uuid.UUID(first).version == 4
    assert bench.message.annotations["CORR"] == uuid.UUID(second).bytes


def test_wrong_correlation_id(bench: Bench) -> None:
    """[WIRE-29]: an exception result."""
    for value in (b"", b"x" * 15, b"x" * 17):
        answer = bench.call("echo", annotations={"CORR": value})
        assert_failure(bench, answer, ValueError, "bytes is not a 16-char string")
        assert bench.message.annotations == {}


def test_context(bench: Bench) -> None:
    """[CTX-2], [DMN-59], [WIRE-28], [HRD-26]"""
    current_context.response_annotations = {"OLD_": b"x"}
    seen = bench.call("context", serializer="json", annotations={"USER": b"1", "CORR": CORRELATION.bytes})
    assert seen == {
        "seq": 0x1234,
        "flags": 0,
        "serializer": 2,
        "annotations": seen["annotations"],
        "correlation": str(CORRELATION),
        "responses": {},
        "client": "MemoryConnection",
    }
    assert current_context.response_annotations == {"OLD_": b"x"}


def test_response_annotations(bench: Bench) -> None:
    """[WIRE-27], [DMN-58]: the method's, the correlation id, then the daemon's, which win."""
    bench.owner.extra = {"DAEM": b"2"}
    bench.call("annotate", "MINE")
    assert list(bench.message.annotations) == ["MINE", "CORR", "DAEM"]
    bench.call("annotate", "DAEM")
    assert bench.message.annotations["DAEM"] == b"2"
    bench.call("echo")
    assert list(bench.message.annotations) == ["CORR", "DAEM"]


def test_annotations_of_failures(bench: Bench) -> None:
    """[WIRE-28], [DMN-58], [DMN-59], [SEC-51]: what the method had set is dropped, now and for the next request."""
    bench.owner.extra = {"DAEM": b"2"}
    bench.call("fail_after_annotating")
    assert list(bench.message.annotations) == ["CORR", "DAEM"]
    bench.call("echo")
    assert list(bench.message.annotations) == ["CORR", "DAEM"]


def test_reserved_response_annotations(bench: Bench) -> None:
    """[WIRE-23]: no user may set them."""
    bench.owner.extra = {"HMAC": b"2", "BLBI": b"3"}
    for name in ("HMAC", "STRM", "BLBI"):
        bench.call("annotate", name)
        assert list(bench.message.annotations) == ["CORR"]
    bench.call("annotate", "CORR", annotations={"CORR": CORRELATION.bytes})
    assert bench.message.annotations == {"CORR": CORRELATION.bytes}


@pytest.mark.parametrize(
    "wrong", [ValueError("hook"), {"TOOLONG": b""}, {"ABCD": "text"}, {"ÄÄÄÄ": b""}, {"ABCD": b"x" * 65530}, 17]
)
def test_failing_annotations_hook(bench: Bench, wrong: Any) -> None:
    """[HRD-21]: an error reply, without the daemon's annotations; the next request is not concerned."""
    bench.owner.extra = wrong
    for method in ("echo", "fail_callback", "items"):
        answer = bench.call(method, *([2] if method == "items" else []))
        assert isinstance(answer, Exception)
        assert bench.message.flags == FLAGS_EXCEPTION
        assert list(bench.message.annotations) == ["CORR"]
    assert not bench.streams.streams
    bench.owner.extra = {}
    assert bench.call("echo", 1) == [[1], {}]


@pytest.mark.parametrize("wrong", [None, {}])
def test_no_annotations(bench: Bench, wrong: Any) -> None:
    """[HRD-21]: a hook that returns nothing has nothing to add."""
    bench.owner.extra = wrong
    bench.call("annotate", "MINE")
    assert list(bench.message.annotations) == ["MINE", "CORR"]
    for method in ("echo", "fail_callback"):
        bench.call(method)
        assert list(bench.message.annotations) == ["CORR"]


@pytest.mark.parametrize("wrong", ["ABC", "TOOLONG", "ÄÄÄÄ"])
def test_wrong_response_annotations(bench: Bench, wrong: str) -> None:
    """[HRD-21], [WIRE-21]"""
    assert_failure(bench, bench.call("annotate", wrong), ProtocolError)
    assert bench.call("echo", 1) == [[1], {}]


# ---- what cannot be decoded or is malformed


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
def test_garbage(bench: Bench, serializer: str) -> None:
    """[WIRE-86]"""
    answer = bench.value(*bench.send(bench.frame(b"\xff garbage", serializer=serializer)))
    assert_failure(bench, answer, SerializeError)
    assert str(answer).startswith("cannot deserialize request: ")


@pytest.mark.parametrize(
    "request_",
    [
        ("thing", "echo", ()),
        ("thing", "echo", (), {}, 1),
        (7, "echo", (), {}),
        (["thing"], "echo", (), {}),
        ("thing", 7, (), {}),
        ("thing", "echo", "args", {}),
        ("thing", "echo", None, {}),
        ("thing", "echo", {}, {}),
        ("thing", "echo", (), [1]),
        "text",
        17,
    ],
)
def test_malformed_requests(bench: Bench, request_: Any) -> None:
    """[WIRE-74]"""
    for serializer in ("serpent", "msgpack"):
        payload = get_serializer(serializer).dumps(request_)
        answer = bench.value(*bench.send(bench.frame(payload, serializer=serializer)))
        assert_failure(bench, answer, ProtocolError, "malformed request")


@pytest.mark.parametrize("request_", [{"object": "thing"}, [1, 2, 3, 4], {"object": 1, "method": "m", "params": []}])
def test_malformed_json_requests(bench: Bench, request_: Any) -> None:
    """[WIRE-74]"""
    payload = get_serializer("json").dumps(request_)
    answer = bench.value(*bench.send(bench.frame(payload, serializer="json")))
    assert_failure(bench, answer, ProtocolError, "malformed request")


@pytest.mark.parametrize("method", ["__getattr__", "__setattr__"])
@pytest.mark.parametrize("args", [(), ("size",), ("size", 1), ("size", 1, 2), (7,), (7, 1), (["size"], 1)])
def test_malformed_attribute_access(bench: Bench, method: str, args: tuple[Any, ...]) -> None:
    """[WIRE-74], [WIRE-95]"""
    good = {"__getattr__": ("size",), "__setattr__": ("size", 1)}
    if args != good[method]:
        assert_failure(bench, bench.attribute(method, *args), ProtocolError, "malformed request")


@pytest.mark.parametrize(
    "entry", ["text", 5, ("echo",), ("echo", ()), ("echo", (), {}, 1), (5, (), {}), (["echo"], (), {})]
)
def test_malformed_batches(bench: Bench, entry: Any) -> None:
    """[WIRE-74]: nothing of such a batch is run."""
    answer = bench.batch(("echo", (1,), {}), entry)
    assert_failure(bench, answer, ProtocolError, "malformed request")
    assert bench.thing.calls == []


def test_wrong_arguments(bench: Bench) -> None:
    """[WIRE-83]: Python's own TypeError."""
    assert_failure(bench, bench.call("fail", 1, 2, 3), TypeError)
    payload = get_serializer("marshal").dumps(("thing", "echo", [], {7: 8}))
    assert isinstance(bench.value(*bench.send(bench.frame(payload, serializer="marshal"))), Exception)


def test_compressed_request(bench: Bench) -> None:
    """[WIRE-40]: whatever the own configuration says."""
    payload = zlib.compress(get_serializer("serpent").dumpsCall("thing", "echo", ("x" * 500,), {}))
    assert bench.value(*bench.send(bench.frame(payload, FLAGS_COMPRESSED))) == [["x" * 500], {}]
    assert bench.message.flags == 0


@pytest.mark.parametrize("payload", [b"no zlib", zlib.compress(b"x" * 100)[:-3], zlib.compress(b"x") + b"more"])
def test_wrong_compression(bench: Bench, payload: bytes) -> None:
    """[WIRE-42], [WIRE-86], [HRD-4]"""
    answer = bench.value(*bench.send(bench.frame(payload, FLAGS_COMPRESSED)))
    assert_failure(bench, answer, SerializeError)
    assert str(answer).startswith("cannot deserialize request: ")


def test_bomb() -> None:
    """[WIRE-42], [HRD-4]"""
    bench = Bench(MAX_MESSAGE_SIZE=10000)
    answer = bench.value(*bench.send(bench.frame(zlib.compress(bytes(1_000_000)), FLAGS_COMPRESSED)))
    assert_failure(bench, answer, MessageTooLargeError)


# ---- serializers that are not accepted


def test_serializer_not_accepted() -> None:
    """[WIRE-85], [DMN-52], [SEC-20]: answered with that very serializer; then the connection ends."""
    bench = Bench(("serpent",))
    message, fatal = bench.send(bench.frame(b"\x80 cannot be unpickled", serializer="pickle"))
    assert isinstance(fatal, SerializeError)
    error = bench.value(message, None)
    assert bench.message.serializer_id == 4
    assert_failure(bench, error, SerializeError, "message used serializer that is not accepted: 4")


def test_unknown_serializer(bench: Bench) -> None:
    """[WIRE-85]: answered with marshal."""
    message, fatal = bench.send(bench.frame(b"", serializer=77))
    assert isinstance(fatal, SerializeError)
    assert message is not None
    assert message.serializer_id == 3
    error = bench.value(message, None)
    assert_failure(bench, error, SerializeError, "message used serializer that is not accepted: 77")


def test_oneway_with_refused_serializer(bench: Bench) -> None:
    """[WIRE-100]: not answered, but the connection ends."""
    message, fatal = bench.send(bench.frame(b"", FLAGS_ONEWAY, 77))
    assert message is None
    assert isinstance(fatal, SerializeError)


# ---- results


def test_compressed_results() -> None:
    """[WIRE-40], [WIRE-41]: results by the server's configuration, exceptions never."""
    bench = Bench(COMPRESSION=True)
    message, _ = bench.send(bench.frame(get_serializer("serpent").dumpsCall("thing", "echo", ("x" * 500,), {})))
    assert message.flags == FLAGS_COMPRESSED
    assert bench.value(message, None) == [["x" * 500], {}]
    assert_failure(bench, bench.call("fail", ValueError("x" * 500)), ValueError)


def test_results_that_cannot_be_serialized(bench: Bench) -> None:
    """[DMN-56]"""
    bench.objects["runner"] = runner = Thing()
    runner.echo = pyrolite.expose(lambda: object())  # type: ignore[method-assign]
    assert isinstance(bench.call("echo", target="runner", serializer="marshal"), Exception)
    assert bench.message.flags == FLAGS_EXCEPTION


def test_coroutines(bench: Bench, recwarn: pytest.WarningsRecorder) -> None:
    """[DMN-62]: not supported, but clearly so."""
    answer = bench.call("asynchronous")
    assert isinstance(answer, Exception)
    assert "coroutine" in str(answer)
    gc.collect()
    recwarn.clear()  # Python warns of coroutines that never ran


class Stubborn(Exception):
    """Refuses attributes, and to be serialized."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError("no attributes here")

    def __reduce__(self) -> Any:
        raise TypeError("and no pickles")


def test_exceptions_that_refuse_attributes(bench: Bench) -> None:
    """[DMN-56], [WIRE-81]"""
    bench.objects["runner"] = runner = Thing()

    def stubborn() -> None:
        raise Stubborn("why")

    runner.echo = pyrolite.expose(stubborn)  # type: ignore[method-assign]
    for serializer in ("serpent", "json", "marshal", "msgpack"):
        payload = get_serializer(serializer).dumpsCall("runner", "echo", (), {})
        message, fatal = bench.send(bench.frame(payload, serializer=serializer))
        assert fatal is None
        assert message.flags == FLAGS_EXCEPTION


def test_exceptions_that_cannot_be_serialized(bench: Bench) -> None:
    """[WIRE-81], [DMN-56], [HRD-23]"""
    bench.objects["runner"] = runner = Thing()

    def unserializable() -> None:
        raise ValueError(object, "\ud800")

    runner.echo = pyrolite.expose(unserializable)  # type: ignore[method-assign]
    for serializer in ("serpent", "json", "marshal", "msgpack"):
        answer = bench.call("echo", target="runner", serializer=serializer)
        assert_failure(bench, answer, PyroError)
        assert str(answer).startswith("Error serializing exception: ")
        assert ". Original exception: <class 'ValueError'>: (<class 'object'>, " in str(answer)


def test_results_that_are_too_large() -> None:
    """[WIRE-44], [HRD-25], [DMN-55]: told in an exception result, with the traceback only if there is room for it."""
    bench = Bench(MAX_MESSAGE_SIZE=5000)
    answer = bench.call("echo", "x" * 4990)
    assert_failure(bench, answer, MessageTooLargeError)
    assert "where max=5000" in str(answer)
    bench.config.MAX_MESSAGE_SIZE = 300
    answer = bench.call("echo", "x" * 290)
    assert type(answer) is MessageTooLargeError
    assert not hasattr(answer, "_pyroTraceback")
    bench.config.MAX_MESSAGE_SIZE = 20
    message, fatal = bench.send(bench.frame(get_serializer("serpent").dumpsCall("thing", "echo", (), {})))
    assert message is None
    assert isinstance(fatal, MessageTooLargeError)


def test_exceptions_that_are_too_large() -> None:
    """[HRD-25]: they lose first the traceback, then their text."""
    bench = Bench(MAX_MESSAGE_SIZE=2000)
    answer = bench.call("fail", ValueError("x" * 1900))
    assert type(answer) is PyroError
    assert str(answer).startswith("ValueError: xxx")
    assert len(str(answer)) < 300


# ---- attributes


def test_attributes(bench: Bench) -> None:
    """[WIRE-95], [PRX-21], [DMN-54]"""
    assert bench.attribute("__getattr__", "size") == 3
    assert bench.attribute("__setattr__", "size", 4) is None
    assert bench.thing.size == 4
    for name in ("constant", "unexposed_property"):
        text = f"attempt to access unexposed or unknown remote attribute '{name}'"
        assert_failure(bench, bench.attribute("__setattr__", name, 1), AttributeError, text)
    text = "type object 'Thing' has no attribute 'missing'"
    assert_failure(bench, bench.attribute("__getattr__", "missing"), AttributeError, text)
    assert_failure(bench, bench.attribute("__getattr__", "_size"), AttributeError)
    for name in ("calls", "echo", "unexposed"):
        assert_failure(bench, bench.attribute("__getattr__", name), AttributeError)


def test_oneway_attribute_access(bench: Bench) -> None:
    """[WIRE-101]: in the connection's thread, without an answer."""
    payload = get_serializer("serpent").dumpsCall("thing", "__setattr__", ("size", 9), None)
    assert bench.send(bench.frame(payload, FLAGS_ONEWAY)) == (None, None)
    assert bench.thing.size == 9
    assert bench.submitted == []


# ---- oneway calls


def oneway(bench: Bench, method: str, *args: Any, target: str = "thing") -> None:
    payload = get_serializer("serpent").dumpsCall(target, method, args, {})
    assert bench.send(bench.frame(payload, FLAGS_ONEWAY)) == (None, None)


def test_oneway(bench: Bench) -> None:
    """[WIRE-100], [WIRE-101], [DMN-63]: the flag decides, not the mark of the method."""
    oneway(bench, "later", 5)
    oneway(bench, "echo", 6)
    assert bench.thing.calls == []
    for task in bench.submitted:
        task()
    assert bench.thing.calls == [5, ((6,), {})]
    assert bench.call("later", 7) == "nobody sees this"


def test_too_many_oneway_calls(bench: Bench) -> None:
    """[DMN-65], [HRD-19]: nothing is dropped, but the connection is not to be read for a while."""
    for number in range(1, 6):
        oneway(bench, "later", number)
        assert (getattr(bench.connection, "hold", None) is not None) == (number > 3)
    assert bench.connection.hold() is True
    assert len(bench.submitted) == 5
    bench.submitted.clear()
    assert bench.connection.hold() is False


def test_oneway_context(bench: Bench) -> None:
    """[DMN-63], [CTX-2]"""
    seen: list[Any] = []
    bench.thing.echo = pyrolite.expose(  # type: ignore[method-assign]
        lambda: seen.append((current_context.seq, current_context.client, current_context.correlation_id))
    )
    payload = get_serializer("serpent").dumpsCall("thing", "echo", (), {})
    bench.send(bench.frame(payload, FLAGS_ONEWAY, annotations={"CORR": CORRELATION.bytes}))
    before = current_context._state
    bench.submitted[0]()
    assert seen == [(0x1234, bench.connection, CORRELATION)]
    assert current_context._state is before


def test_oneway_without_threads() -> None:
    """[DMN-63]: read for each request."""
    bench = Bench(ONEWAY_THREADED=False)
    oneway(bench, "later", 5)
    assert bench.thing.calls == [5]
    assert bench.submitted == []


@pytest.mark.parametrize("threaded", [True, False])
def test_errors_in_oneway_calls(threaded: bool, caplog: pytest.LogCaptureFixture) -> None:
    """[DMN-64]: to the log, with a traceback."""
    bench = Bench(ONEWAY_THREADED=threaded)
    oneway(bench, "fail", ValueError("nobody hears this"))
    for task in bench.submitted:
        task()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("pyrolite.core", "WARNING")
    assert "nobody hears this" in record.getMessage()
    assert record.exc_info


def test_oneway_calls_are_silent(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-100], [DMN-63]: whatever is wrong with them."""
    caplog.set_level(logging.INFO)
    oneway(bench, "echo", target="nothing")
    oneway(bench, "missing")
    oneway(bench, "_private")
    assert bench.send(bench.frame(b"garbage", FLAGS_ONEWAY)) == (None, None)
    assert bench.send(bench.frame(b"garbage", FLAGS_ONEWAY | FLAGS_BATCH)) == (None, None)
    assert caplog.records == []


def test_oneway_batch(bench: Bench) -> None:
    """[WIRE-93], [DMN-63]: in the connection's own thread."""
    payload = get_serializer("serpent").dumpsCall("thing", "<batch>", [("later", (1,), {}), ("later", (2,), {})], None)
    assert bench.send(bench.frame(payload, FLAGS_ONEWAY | FLAGS_BATCH)) == (None, None)
    assert bench.thing.calls == [1, 2]
    assert bench.submitted == []


def test_oneway_iterator(bench: Bench) -> None:
    """[STR-3]: no stream for results that nobody gets."""
    oneway(bench, "items", 3)
    bench.submitted[0]()
    assert not bench.streams.streams


# ---- batches


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
def test_batch(bench: Bench, serializer: str) -> None:
    """[WIRE-90], [BAT-8], [BAT-10], [WIRE-96]"""
    results = bench.batch(("echo", (1,), {"k": 2}), ("later", (3,), {}), ("echo", [], None), serializer=serializer)
    assert results == [[[1], {"k": 2}], "nobody sees this", [[], {}]]
    assert bench.message.flags == FLAGS_BATCH
    assert bench.batch() == []


@pytest.mark.parametrize("error", [ValueError("x"), ConnectionClosedError("x"), SecurityError("x")])
def test_failing_entry(bench: Bench, error: Exception) -> None:
    """[WIRE-91], [BAT-8], [BAT-10]"""
    first, last = bench.batch(("echo", (1,), {}), ("fail", (error,), {}), ("echo", (2,), {}))
    assert first == [[1], {}]
    assert isinstance(last, _ExceptionWrapper)
    assert (type(last.exception), last.exception.args) == (type(error), error.args)
    assert last.exception._pyroTraceback
    assert bench.message.flags == FLAGS_BATCH
    assert bench.thing.calls == [((1,), {})]


@pytest.mark.parametrize("name", ["_private", "unexposed", "missing", "size", "__getattr__", "echo.x"])
def test_entry_with_a_bad_name(bench: Bench, name: str) -> None:
    """[WIRE-92], [BAT-8]: as one that raised."""
    first, last = bench.batch(("echo", (1,), {}), (name, (), {}), ("echo", (2,), {}))
    assert first == [[1], {}]
    assert type(last.exception) is AttributeError
    assert len(bench.thing.calls) == 1


def test_exits_in_batches(bench: Bench) -> None:
    """[WIRE-84], [HRD-22]"""
    _, last = bench.batch(("echo", (), {}), ("raise_kind", ("SystemExit",), {}))
    assert (type(last.exception), str(last.exception)) == (PyroError, "remote SystemExit: 3")


def test_callback_in_a_batch(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """[BAT-10]: no effect."""
    (last,) = bench.batch(("fail_callback", (), {}))
    assert type(last.exception) is ValueError
    assert caplog.records == []


def test_iterator_in_a_batch(bench: Bench) -> None:
    """[BAT-10], [STR-3], [WIRE-91]: an error at its place."""
    first, last = bench.batch(("echo", (), {}), ("items", (2,), {}))
    assert first == [[], {}]
    assert type(last.exception) is TypeError
    assert "iterator" in str(last.exception)
    assert not bench.streams.streams


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
def test_unserializable_exception_in_a_batch(bench: Bench, serializer: str) -> None:
    """[BAT-11], [WIRE-92]"""

    def unserializable() -> None:
        raise ValueError(object)

    bench.thing.run = pyrolite.expose(unserializable)  # type: ignore[method-assign]
    first, last = bench.batch(("echo", (1,), {}), ("run", (), {}), serializer=serializer)
    assert first == [[1], {}]
    assert type(last.exception) is PyroError
    assert str(last.exception).startswith("Error serializing exception: ")


def test_unserializable_result_in_a_batch(bench: Bench) -> None:
    """[DMN-56]: an exception result for all of it."""
    bench.thing.run = pyrolite.expose(lambda: object)  # type: ignore[method-assign]
    answer = bench.batch(("echo", (1,), {}), ("run", (), {}))
    assert isinstance(answer, Exception)
    assert bench.message.flags == FLAGS_EXCEPTION


def test_large_batch() -> None:
    """[HRD-8]: it ends as soon as the results are too large together."""
    bench = Bench(MAX_MESSAGE_SIZE=10000)
    calls = 0

    def large() -> str:
        nonlocal calls
        calls += 1
        return "x" * 4000

    bench.thing.run = pyrolite.expose(large)  # type: ignore[method-assign]
    *results, last = bench.batch(*[("run", (), {})] * 100)
    assert results == ["x" * 4000] * 2
    assert type(last.exception) is MessageTooLargeError
    assert calls == 3


def test_memory_error_in_a_batch(bench: Bench) -> None:
    """[HRD-8]"""
    (last,) = bench.batch(("fail", (MemoryError("full"),), {}))
    assert type(last.exception) is MemoryError


def test_batch_on_one_instance(bench: Bench) -> None:
    """[DMN-70], [BAT-12], [WIRE-90]: counts as one call."""

    @pyrolite.expose
    @pyrolite.behavior("percall")
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def up(self) -> int:
            self.count += 1
            return self.count

    bench.objects["counter"] = Counter
    for _ in range(2):
        payload = get_serializer("serpent").dumpsCall("counter", "<batch>", [("up", (), {})] * 3, None)
        assert bench.value(*bench.send(bench.frame(payload, FLAGS_BATCH))) == [1, 2, 3]


def test_name_of_a_batch_does_not_matter(bench: Bench) -> None:
    """[WIRE-90]"""
    payload = get_serializer("serpent").dumpsCall("thing", "_anything", [("echo", (1,), {})], None)
    assert bench.value(*bench.send(bench.frame(payload, FLAGS_BATCH))) == [[[1], {}]]


# ---- streams


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
def test_stream(bench: Bench, serializer: str) -> None:
    """[STR-1], [WIRE-110], [WIRE-27]: no CORR, nothing of the method's, but the daemon's annotations."""
    bench.owner.extra = {"DAEM": b"1"}
    error = bench.call("items", 2, serializer=serializer)
    assert (type(error), str(error), error._pyroTraceback) == (ProtocolError, "result of call is an iterator", None)
    assert bench.message.flags == FLAGS_EXCEPTION | FLAGS_ITEMSTREAMRESULT == 0x21
    assert list(bench.message.annotations) == ["STRM", "DAEM"]
    (stream_id,) = bench.streams.streams
    assert bench.message.annotations["STRM"] == stream_id.encode()
    assert str(uuid.UUID(stream_id)) == stream_id
    assert bench.streams.streams[stream_id][0] is bench.connection


def test_streaming_disabled() -> None:
    """[STR-2], [WIRE-110]"""
    bench = Bench(ITER_STREAMING=False)
    bench.call("items", 2)
    assert bench.message.flags == 0x21
    assert bench.message.annotations == {}
    assert not bench.streams.streams


@pytest.mark.parametrize(
    ("result", "streamed"),
    [
        (lambda: iter([1]), True),
        (lambda: map(str, [1]), True),
        (lambda: zip([1], [2], strict=True), True),
        (lambda: (x for x in [1]), True),
        (lambda: [1], False),
        (lambda: (1, 2), False),
        (lambda: {"a": 1}, False),
        (lambda: {1}, False),
        (lambda: {"a": 1}.keys(), False),
        (lambda: {"a": 1}.values(), False),
        (lambda: {"a": 1}.items(), False),
        (lambda: "text", False),
    ],
)
def test_what_is_streamed(bench: Bench, result: Callable[[], Any], streamed: bool) -> None:
    """[STR-1], [STR-3], [WIRE-115]"""
    bench.thing.run = pyrolite.expose(result)  # type: ignore[method-assign]
    bench.call("run")
    assert bool(bench.message.flags & FLAGS_ITEMSTREAMRESULT) is streamed
    assert bool(bench.streams.streams) is streamed


def test_iterators_elsewhere(bench: Bench) -> None:
    """[STR-3], [WIRE-95]: nested ones are errors."""
    bench.thing.run = pyrolite.expose(lambda: [iter([1])])  # type: ignore[method-assign]
    for answer in (bench.call("run", serializer="json"),):
        assert isinstance(answer, Exception)
        assert bench.message.flags == FLAGS_EXCEPTION
    assert not bench.streams.streams


def test_too_many_streams() -> None:
    """[STR-10], [SEC-41]"""
    bench = Bench(ITER_STREAM_MAX=2)
    for _ in range(2):
        bench.call("items", 2)
    assert_failure(bench, bench.call("items", 2), PyroError)
    assert len(bench.streams.streams) == 2


# ---- blobs


def blob_frame(
    bench: Bench,
    data: Any = (1, [2]),
    annotation: bytes | None = None,
    flags: int = FLAGS_KEEPSERIALIZED,
    serializer: str = "serpent",
) -> Frame:
    payload = get_serializer(serializer).dumpsCall("first receiver", "other", data, {})
    annotations = {} if annotation is None else {"BLBI": annotation}
    return bench.frame(payload, flags, serializer, annotations)


INFO = marshal.dumps(("info", "thing", "blob"), 2)


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
@pytest.mark.parametrize("version", [2, 4])
def test_blob(bench: Bench, serializer: str, version: int) -> None:
    """[BLOB-3], [BLOB-4], [BLOB-5], [BLOB-10], [BLOB-11], [BLOB-12]: the annotation says where it goes."""
    annotation = marshal.dumps(("info", "thing", "blob"), version)
    frame = blob_frame(bench, [1, "two"], annotation, serializer=serializer)
    assert bench.value(*bench.send(frame)) == ["SerializedBlob", "info", [1, "two"]]


@pytest.mark.parametrize("data", [{"a": 1}, "text", 5, None, [1, 2], {"nested": [{"b": 2}]}])
@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack"])
def test_blob_data(bench: Bench, data: Any, serializer: str) -> None:
    """[BLOB-4]: anything, not just sequences."""
    frame = blob_frame(bench, data, INFO, serializer=serializer)
    assert bench.value(*bench.send(frame))[2] == data


def test_blob_is_decoded_late(bench: Bench) -> None:
    """[BLOB-4], [BLOB-16]: an error appears where the data is wanted; the description is there without it."""
    seen: list[Any] = []
    bench.thing.blob = pyrolite.expose(lambda blob: seen.append(blob))  # type: ignore[method-assign]
    for payload, flags in ((b"garbage", 0), (b"no zlib", FLAGS_COMPRESSED)):
        frame = Frame(MSG_INVOKE, FLAGS_KEEPSERIALIZED | flags, 1, 1, {"BLBI": INFO}, payload)
        _, fatal = bench.dispatcher.answer(frame, bench.connection)
        assert fatal is None
        assert seen[-1].info == "info"
        with pytest.raises(SerializeError):
            seen[-1].deserialized()


def test_blob_outlives_its_request(bench: Bench) -> None:
    """[BLOB-3]"""
    seen: list[SerializedBlob] = []
    bench.thing.blob = pyrolite.expose(lambda blob: seen.append(blob))  # type: ignore[method-assign]
    bench.send(blob_frame(bench, ["data"], INFO))
    assert seen[0].deserialized() == ["data"]
    assert seen[0].deserialized() == ["data"]


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        b"",
        b"garbage",
        marshal.dumps("text"),
        marshal.dumps(("info", "thing")),
        marshal.dumps(("info", "thing", "blob", 1)),
        marshal.dumps(("info", 1, "blob")),
        marshal.dumps(("info", "thing", b"blob")),
        marshal.dumps(["info", "thing", "blob"]),
        marshal.dumps((compile("1", "", "eval"), "thing", "blob")),
        INFO + b"more",
    ],
)
def test_malformed_blob(bench: Bench, annotation: bytes | None) -> None:
    """[BLOB-12], [BLOB-13], [HRD-1]"""
    answer = bench.value(*bench.send(blob_frame(bench, annotation=annotation)))
    assert_failure(bench, answer, ProtocolError, "malformed blob annotation")


def test_blob_in_a_batch(bench: Bench) -> None:
    """[BLOB-13]"""
    frame = blob_frame(bench, annotation=INFO, flags=FLAGS_KEEPSERIALIZED | FLAGS_BATCH)
    assert_failure(bench, bench.value(*bench.send(frame)), ProtocolError, "malformed blob annotation")


def test_blob_bypasses_no_check(bench: Bench) -> None:
    """[BLOB-13], [SEC-20]"""
    for name in ("unexposed", "_private", "missing"):
        frame = blob_frame(bench, annotation=marshal.dumps(("info", "thing", name)))
        assert_failure(bench, bench.value(*bench.send(frame)), AttributeError)
    frame = blob_frame(bench, annotation=marshal.dumps(("info", "nothing", "blob")))
    assert_failure(bench, bench.value(*bench.send(frame)), DaemonError)
    _, fatal = bench.send(blob_frame(bench, annotation=INFO, serializer="pickle"))
    assert isinstance(fatal, SerializeError)


def test_blob_annotation_without_flag(bench: Bench) -> None:
    """[HRD-1]: ignored."""
    assert bench.call("echo", 1, annotations={"BLBI": b"garbage"}) == [[1], {}]


def test_oneway_blob(bench: Bench) -> None:
    """[BLOB-18]"""
    frame = blob_frame(bench, annotation=INFO, flags=FLAGS_KEEPSERIALIZED | FLAGS_ONEWAY)
    assert bench.send(frame) == (None, None)
    assert len(bench.submitted) == 1


def test_blobs_are_no_results(bench: Bench) -> None:
    """[BLOB-2]"""
    answer = bench.call("give_blob", False)
    assert_failure(bench, answer, SerializeError, "a SerializedBlob cannot be returned")
    assert_failure(bench, bench.call("give_blob", True), SerializeError)


# ---- classes


def test_registered_class(bench: Bench) -> None:
    """[DMN-53], [DMN-70], [DMN-71]"""

    @pyrolite.expose
    @pyrolite.behavior("session")
    class Session:
        def __init__(self) -> None:
            self.client = current_context.client

        def me(self) -> list[Any]:
            return [id(self), self.client is current_context.client]

    bench.objects["session"] = Session
    first = bench.call("me", target="session")
    assert first[1] is True
    assert bench.call("me", target="session") == first
    assert list(bench.connection.pyroInstances) == [Session]
    bench.connection = MemoryConnection()
    assert bench.call("me", target="session") != first


def test_failing_constructor(bench: Bench) -> None:
    """[DMN-71], [HRD-22]"""

    @pyrolite.expose
    @pyrolite.behavior("session")
    class Broken:
        def __init__(self) -> None:
            raise SystemExit("never")

        def method(self) -> None:
            pass

    bench.objects["broken"] = Broken
    assert_failure(bench, bench.call("method", target="broken"), PyroError, "remote SystemExit: never")


# ---- HMAC


def test_signed_answers(bench: Bench) -> None:
    """[WIRE-31]: results, exceptions and streams; `send` checks the signatures."""
    bench.dispatcher.hmac_key = b"secret"
    assert bench.call("echo", 1) == [[1], {}]
    assert list(bench.message.annotations) == ["CORR", "HMAC"]
    bench.call("fail", ValueError())
    assert list(bench.message.annotations) == ["CORR", "HMAC"]
    bench.call("items", 1)
    assert list(bench.message.annotations) == ["STRM", "HMAC"]
