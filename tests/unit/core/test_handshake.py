"""The server's side of the handshake and of single messages, over a connection in memory ([OV-37])."""

from __future__ import annotations

import logging
import marshal
import uuid
import zlib
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context
from pyrolite.core.context import CallState
from pyrolite.errors import (
    ConnectionClosedError,
    MessageTooLargeError,
    ProtocolError,
    SecurityError,
    SerializeError,
)
from pyrolite.message import (
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_META_ON_CONNECT,
    FLAGS_ONEWAY,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
    MSG_INVOKE,
    MSG_PING,
    MSG_RESULT,
    Message,
)
from pyrolite.serializers import get_serializer, get_serializer_by_id
from pyrolite.testing import MemoryConnection

SEQ = 0x1234
CORRELATION = uuid.UUID("12345678-1234-4234-8234-123456789abc")
HELLO = {"handshake": "hello", "object": "thing"}


@pyrolite.expose
class Thing:
    def echo(self, value: Any) -> Any:
        return value

    @pyrolite.oneway
    def later(self) -> None:
        pass

    @property
    def size(self) -> int:
        return 3


class Observed(pyrolite.Daemon):
    """Keeps what its hooks see."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[Any] = []
        self.answer: Any = "hello"

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        self.seen.append((conn, data, current_context.to_global()))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Conversation:
    """One connection to a daemon."""

    def __init__(self, daemon: pyrolite.Daemon) -> None:
        self.daemon = daemon
        self.connection = MemoryConnection()

    def message(
        self,
        kind: int = MSG_CONNECT,
        data: Any = HELLO,
        flags: int = FLAGS_META_ON_CONNECT,
        serializer: str = "serpent",
        **fields: Any,
    ) -> bytes:
        number = get_serializer(serializer).serializer_id
        payload = data if isinstance(data, bytes) else get_serializer(serializer).dumps(data)
        return Message(
            kind,
            payload,
            fields.pop("serializer_id", number),
            flags,
            SEQ,
            fields.pop("annotations", None),
            fields.pop("hmac_key", None),
        ).to_bytes()

    def shake(self, data: bytes | None = None, denied: str | None = None, key: bytes | None = None) -> tuple[bool, Any]:
        """What `Daemon._handshake` returns and answers."""
        self.connection.feed(self.message() if data is None else data)
        before = current_context._state
        accepted = self.daemon._handshake(self.connection, denied_reason=denied)
        assert current_context._state is before
        answers = self.connection.take_messages(key)
        assert len(answers) <= 1
        return accepted, answers[0] if answers else None

    def handle(self, data: bytes, key: bytes | None = None) -> Message | None:
        """What `Daemon.handleRequest` answers."""
        self.connection.feed(data)
        try:
            self.daemon.handleRequest(self.connection)
        finally:
            self.answers = self.connection.take_messages(key)
        assert len(self.answers) <= 1
        return self.answers[0] if self.answers else None


@pytest.fixture
def daemon(make_daemon: Any) -> Observed:
    daemon = make_daemon(Observed)
    daemon.register(Thing(), "thing")
    return daemon


@pytest.fixture
def conversation(daemon: Observed) -> Conversation:
    return Conversation(daemon)


def decoded(message: Message) -> Any:
    return get_serializer_by_id(message.serializer_id).loads(message.decompress_if_needed().data)


def assert_refused(result: tuple[bool, Any], reason: str, *, serializer_id: int = 3, seq: int = SEQ) -> Message:
    accepted, message = result
    assert accepted is False
    assert (message.type, message.flags, message.seq) == (MSG_CONNECTFAIL, 0, seq)
    assert message.serializer_id == serializer_id
    assert decoded(message) == reason
    return message


# ---- accepted


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal"])
def test_accepted(conversation: Conversation, serializer: str) -> None:
    """[WIRE-60], [WIRE-61], [WIRE-62], [DMN-40]: lists in every serializer."""
    accepted, message = conversation.shake(conversation.message(serializer=serializer))
    assert accepted is True
    assert (message.type, message.flags, message.seq) == (MSG_CONNECTOK, FLAGS_META_ON_CONNECT, SEQ)
    assert message.serializer_id == get_serializer(serializer).serializer_id
    answer = decoded(message)
    assert list(answer) == ["handshake", "meta"]
    assert answer["handshake"] == "hello"
    meta = {key: sorted(names) for key, names in answer["meta"].items()}
    assert meta == {"methods": ["echo", "later"], "oneway": ["later"], "attrs": ["size"]}
    assert all(isinstance(names, list) for names in answer["meta"].values())


def test_without_metadata(conversation: Conversation) -> None:
    """[WIRE-60], [WIRE-62]: the object is not looked at."""
    for data in ({"handshake": "hello"}, {"handshake": "hello", "object": "unknown"}):
        accepted, message = conversation.shake(conversation.message(data=data, flags=0))
        assert accepted is True
        assert (message.flags, decoded(message)) == (0, "hello")


def test_hook(conversation: Conversation, daemon: Observed) -> None:
    """[WIRE-61], [DMN-43], [OV-40], [HRD-26]: it sees the client's data, and the context of this message alone."""
    current_context.response_annotations = {"OLD_": b"x"}
    daemon.answer = {"welcome": [1, 2]}
    data = {"handshake": {"user": "me"}, "object": "thing"}
    annotations = {"USER": b"1", "CORR": CORRELATION.bytes}
    accepted, message = conversation.shake(conversation.message(data=data, annotations=annotations))
    assert accepted is True
    assert decoded(message)["handshake"] == {"welcome": [1, 2]}
    ((conn, seen, context),) = daemon.seen
    assert conn is conversation.connection
    assert seen == {"user": "me"}
    assert context["client"] is conversation.connection
    assert (context["seq"], context["msg_flags"], context["serializer_id"]) == (SEQ, FLAGS_META_ON_CONNECT, 1)
    assert context["annotations"] == annotations
    assert context["correlation_id"] == CORRELATION
    assert context["response_annotations"] == {}


def test_annotations(make_daemon: Any) -> None:
    """[WIRE-27], [WIRE-29], [DMN-42], [DMN-43]"""

    class Annotating(pyrolite.Daemon):
        def validateHandshake(self, conn: Any, data: Any) -> Any:
            current_context.response_annotations = {"RESP": b"1"}
            if data == "bad":
                raise ValueError("bad")
            return "hello"

        def annotations(self) -> dict[str, bytes]:
            return {"DAEM": b"2"}

    daemon = make_daemon(Annotating)
    daemon.register(Thing(), "thing")
    conversation = Conversation(daemon)
    _, message = conversation.shake(conversation.message(annotations={"CORR": CORRELATION.bytes}))
    assert list(message.annotations) == ["RESP", "CORR", "DAEM"]
    assert message.annotations["CORR"] == CORRELATION.bytes
    _, message = conversation.shake()
    assert uuid.UUID(bytes=bytes(message.annotations["CORR"])).version == 4
    data = {"handshake": "bad", "object": "thing"}
    _, message = conversation.shake(conversation.message(data=data, annotations={"CORR": CORRELATION.bytes}))
    assert message.annotations == {"CORR": CORRELATION.bytes, "DAEM": b"2"}
    _, message = conversation.shake(b"garbage" * 4)
    assert message.annotations == {"DAEM": b"2"}


def test_failing_annotations(make_daemon: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[HRD-21]: the client is refused, and told so."""

    class Failing(pyrolite.Daemon):
        def annotations(self) -> dict[str, bytes]:
            raise ValueError("no annotations today")

    daemon = make_daemon(Failing)
    daemon.register(Thing(), "thing")
    conversation = Conversation(daemon)
    assert_refused(conversation.shake(), "no annotations today", serializer_id=1)
    assert "annotations() failed" in caplog.text


def test_leftovers_of_other_connections(conversation: Conversation, daemon: Observed) -> None:
    """[WIRE-28], [WIRE-29], [SEC-51]: no correlation id of an earlier connection of the same thread."""
    current_context._state = CallState(CORRELATION.bytes)
    current_context.response_annotations = {"OLD_": b"x"}
    message = assert_refused(conversation.shake(b"garbage" * 4), "invalid data or unsupported protocol version", seq=0)
    assert message.annotations == {}
    assert current_context.correlation_id == CORRELATION


def test_compression(make_daemon: Any) -> None:
    """[WIRE-41]: requests and answers, but no refusals."""
    daemon = make_daemon(Observed, items={"COMPRESSION": True})
    daemon.register(Thing(), "thing")
    conversation = Conversation(daemon)
    daemon.answer = "x" * 500
    payload = zlib.compress(get_serializer("serpent").dumps({"handshake": "y" * 500, "object": "thing"}))
    flags = FLAGS_META_ON_CONNECT | FLAGS_COMPRESSED
    accepted, message = conversation.shake(conversation.message(data=payload, flags=flags))
    assert accepted is True
    assert message.flags == flags
    assert decoded(message)["handshake"] == "x" * 500
    assert daemon.seen[0][1] == "y" * 500
    daemon.answer = ValueError("x" * 500)
    assert_refused(conversation.shake(), "x" * 500, serializer_id=1)


# ---- refused


@pytest.mark.parametrize("data", [b"x" * 24, b"GET / HTTP/1.0\r\n\r\n       ", b"PYRO\x00\x2f" + bytes(18), bytes(24)])
def test_garbage(conversation: Conversation, data: bytes) -> None:
    """[WIRE-63], [WIRE-66], [DMN-42]: port scanners get to see tag and version."""
    assert_refused(conversation.shake(data), "invalid data or unsupported protocol version", seq=0)


def test_checksum(conversation: Conversation) -> None:
    """[WIRE-63]"""
    data = bytearray(conversation.message())
    data[22] ^= 1
    assert_refused(conversation.shake(bytes(data)), "header checksum mismatch", seq=0)


@pytest.mark.parametrize("kind", [0, MSG_CONNECTOK, MSG_CONNECTFAIL, MSG_INVOKE, MSG_RESULT, MSG_PING, 99])
def test_other_messages_first(conversation: Conversation, kind: int) -> None:
    """[WIRE-63], [WIRE-61], [WIRE-120]"""
    assert_refused(conversation.shake(conversation.message(kind)), f"invalid msg type {kind} received", seq=0)


@pytest.mark.parametrize(
    ("client", "server", "reason"),
    [  # the keys, and what is wrong with them
        (None, b"K", "hmac key config not symmetric"),
        (b"K", None, "hmac key config not symmetric"),
        (b"other", b"K", "message hmac mismatch"),
    ],
)
def test_hmac(
    conversation: Conversation,
    client: bytes | None,
    server: bytes | None,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """[WIRE-33], [WIRE-63], [SEC-32]: signed with the server's key; a warning in the log."""
    conversation.daemon._pyroHmacKey = server
    assert_refused(conversation.shake(conversation.message(hmac_key=client), key=server), reason, seq=0)
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert reason in record.getMessage()


def test_same_keys(conversation: Conversation) -> None:
    """[WIRE-33]"""
    conversation.daemon._pyroHmacKey = "K"
    accepted, message = conversation.shake(conversation.message(hmac_key=b"K"), key=b"K")
    assert accepted is True
    assert list(message.annotations) == ["CORR", "HMAC"]


def test_denied(conversation: Conversation, daemon: Observed) -> None:
    """[WIRE-61], [WIRE-63]: before anything else is looked at."""
    reason = "no free workers, increase server threadpool size"
    for data in (conversation.message(), conversation.message(serializer_id=77), conversation.message(data=b"garbage")):
        assert_refused(conversation.shake(data, denied=reason), reason)
    assert daemon.seen == []


@pytest.mark.parametrize("serializer_id", [4, 5, 7, 6, 0, 77])
def test_serializer(conversation: Conversation, daemon: Observed, serializer_id: int) -> None:
    """[WIRE-63], [DMN-40], [SEC-20]: nothing is decoded."""
    data = conversation.message(data=b"\x80\x04N.", serializer_id=serializer_id)
    assert_refused(conversation.shake(data), f"message used serializer that is not accepted: {serializer_id}")
    assert daemon.seen == []


@pytest.mark.parametrize("value", [b"", b"x" * 15, b"x" * 17])
def test_correlation_id(conversation: Conversation, value: bytes) -> None:
    """[WIRE-29], [WIRE-63]"""
    message = assert_refused(
        conversation.shake(conversation.message(annotations={"CORR": value})), "bytes is not a 16-char string"
    )
    assert message.annotations == {}


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"garbage", None),
        ({"object": "thing"}, "KeyError"),
        ({"handshake": "hello"}, "KeyError"),
        ("text", "TypeError"),
        (17, "TypeError"),
        ([1, 2], "TypeError"),
        (None, "TypeError"),
        ({"handshake": "hello", "object": ["thing"]}, "TypeError"),
        ({"handshake": "hello", "object": 17}, "TypeError"),
        ({"handshake": "hello", "object": None}, "TypeError"),
    ],
)
def test_malformed(conversation: Conversation, serializer: str, data: Any, kind: str | None) -> None:
    """[WIRE-63], [WIRE-65]: "invalid handshake", with the type of the exception."""
    accepted, message = conversation.shake(conversation.message(data=data, serializer=serializer))
    assert accepted is False
    assert (message.type, message.seq) == (MSG_CONNECTFAIL, SEQ)
    assert message.serializer_id == get_serializer(serializer).serializer_id
    assert decoded(message).startswith(f"invalid handshake: {kind or ''}")


def test_unknown_object(conversation: Conversation) -> None:
    """[WIRE-63], [DMN-81]"""
    data = {"handshake": "hello", "object": "unknown"}
    assert_refused(conversation.shake(conversation.message(data=data)), "unknown object", serializer_id=1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("wrong code"), "wrong code"),
        (SecurityError("not you"), "not you"),
        (ConnectionClosedError("not now"), "not now"),
        (SystemExit(3), "3"),
        (GeneratorExit("x"), "x"),
        (Exception(), ""),
        (ValueError("\udc80"), None),
    ],
)
def test_validator(conversation: Conversation, daemon: Observed, error: BaseException, reason: str | None) -> None:
    """[WIRE-63], [DMN-41], [HRD-22], [HRD-23]: any exception refuses the client, with its text."""
    daemon.answer = error
    accepted, message = conversation.shake()
    assert accepted is False
    assert (message.type, message.seq, message.serializer_id) == (MSG_CONNECTFAIL, SEQ, 1)
    assert decoded(message) == reason or reason is None


def test_unserializable_response(conversation: Conversation, daemon: Observed) -> None:
    """[DMN-41]"""
    daemon.answer = object
    accepted, message = conversation.shake()
    assert accepted is False
    assert message.type == MSG_CONNECTFAIL


def test_too_large_response(make_daemon: Any) -> None:
    """[WIRE-44]"""
    daemon = make_daemon(Observed, items={"MAX_MESSAGE_SIZE": 300})
    daemon.register(Thing(), "thing")
    daemon.answer = "x" * 500
    accepted, message = Conversation(daemon).shake()
    assert accepted is False
    assert decoded(message).startswith("max message size exceeded (")


def test_compressed_bomb(make_daemon: Any) -> None:
    """[WIRE-42], [HRD-4]"""
    daemon = make_daemon(Observed, items={"MAX_MESSAGE_SIZE": 5000})
    conversation = Conversation(daemon)
    data = conversation.message(data=zlib.compress(bytes(100000)), flags=FLAGS_META_ON_CONNECT | FLAGS_COMPRESSED)
    accepted, message = conversation.shake(data)
    assert accepted is False
    assert "max message size exceeded" in decoded(message)


def test_marshal_bomb(conversation: Conversation) -> None:
    """[HRD-1]"""
    for payload in (b"[\xff\xff\xff\x7f", marshal.dumps(compile("1", "", "eval"))):
        accepted, message = conversation.shake(conversation.message(data=payload, serializer="marshal"))
        assert accepted is False
        assert decoded(message).startswith("invalid handshake: ")


# ---- no answer


@pytest.mark.parametrize("data", [b"", b"PYRO", b"!" * 16, b"x" * 23])
def test_incomplete(conversation: Conversation, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-64], [WIRE-66], [DMN-41]: nothing above debug in the log."""
    caplog.set_level(logging.INFO)
    assert conversation.shake(data) == (False, None)
    assert Conversation(conversation.daemon).shake(conversation.message()[:-1]) == (False, None)
    assert caplog.records == []


def test_too_large(make_daemon: Any) -> None:
    """[WIRE-64]"""
    daemon = make_daemon(Observed, items={"MAX_MESSAGE_SIZE": 50})
    conversation = Conversation(daemon)
    assert conversation.shake(conversation.message(data={"handshake": "x" * 100})) == (False, None)


def test_answer_that_cannot_be_sent(conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    """[WIRE-64]"""

    def send(*parts: Any) -> None:
        raise ConnectionClosedError("sending: connection lost")

    monkeypatch.setattr(conversation.connection, "send_parts", send)
    assert conversation.shake() == (False, None)
    assert conversation.shake(b"garbage" * 4) == (False, None)


class OldStyle:
    """Nothing but what [OV-37] asks of a stand-in."""

    keep_open = False

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = b""
        self.closed = False

    def recv(self, size: int) -> bytes:
        if len(self.data) < size:
            raise ConnectionClosedError("receiving: not enough data")
        data, self.data = self.data[:size], self.data[size:]
        return data

    def send(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True


def test_stand_ins_of_programs(conversation: Conversation, daemon: Observed) -> None:
    """[OV-37], [DMN-50]: no socket is needed."""
    double = OldStyle(conversation.message())
    assert daemon._handshake(double) is True
    assert double.sent[:6] == b"PYRO\x00\x30"
    call = get_serializer("serpent").dumpsCall("thing", "echo", ("x",), {})
    double = OldStyle(Message(MSG_INVOKE, call, 1, 0, 7).to_bytes())
    daemon.handleRequest(double)
    answer = Message.recv(OldStyle(double.sent))
    assert (answer.type, answer.seq, decoded(answer)) == (MSG_RESULT, 7, "x")


# ---- requests


def invoke(method: str, *args: Any, **fields: Any) -> bytes:
    payload = fields.pop("payload", None)
    if payload is None:
        payload = get_serializer("serpent").dumpsCall("thing", method, args, {})
    return Message(
        fields.pop("type", MSG_INVOKE),
        payload,
        fields.pop("serializer_id", 1),
        fields.pop("flags", 0),
        SEQ,
        fields.pop("annotations", None),
        fields.pop("hmac_key", None),
    ).to_bytes()


def test_request(conversation: Conversation) -> None:
    """[DMN-50], [WIRE-14]"""
    message = conversation.handle(invoke("echo", 5))
    assert (message.type, message.flags, message.seq, decoded(message)) == (MSG_RESULT, 0, SEQ, 5)


@pytest.mark.parametrize("kind", [0, MSG_CONNECT, MSG_CONNECTOK, MSG_CONNECTFAIL, MSG_RESULT, 99])
def test_other_messages(conversation: Conversation, kind: int) -> None:
    """[WIRE-121]: the error is raised, for the transport to close the connection; no answer."""
    with pytest.raises(ProtocolError, match=f"^invalid msg type {kind} received$"):
        conversation.handle(invoke("echo", type=kind))
    assert conversation.answers == []


def test_reading_errors(conversation: Conversation) -> None:
    """[DMN-50], [WIRE-121]: propagate without an answer."""
    with pytest.raises(ProtocolError):
        conversation.handle(b"garbage" * 4)
    assert conversation.answers == []
    conversation.connection = MemoryConnection()
    with pytest.raises(ConnectionClosedError):
        conversation.handle(invoke("echo")[:-1])
    assert conversation.answers == []


@pytest.mark.parametrize("kind", [MSG_INVOKE, MSG_PING])
@pytest.mark.parametrize(("client", "server"), [(None, b"K"), (b"K", None), (b"other", b"K")])
def test_signatures(conversation: Conversation, kind: int, client: Any, server: Any) -> None:
    """[WIRE-33], [SEC-70]: no answer after the handshake."""
    conversation.daemon._pyroHmacKey = server
    with pytest.raises(SecurityError):
        conversation.handle(invoke("echo", type=kind, hmac_key=client))
    assert conversation.answers == []


def test_refused_serializer(conversation: Conversation) -> None:
    """[DMN-52], [WIRE-85]: answered and raised."""
    with pytest.raises(SerializeError, match="^message used serializer that is not accepted: 4$"):
        conversation.handle(invoke("echo", serializer_id=4))
    (message,) = conversation.answers
    assert (message.flags, message.serializer_id) == (FLAGS_EXCEPTION, 4)


def test_too_large_request(make_daemon: Any) -> None:
    """[HRD-6], [WIRE-45]: its header is known, so the caller can be told before the connection ends."""
    daemon = make_daemon(Observed, items={"MAX_MESSAGE_SIZE": 1000})
    conversation = Conversation(daemon)
    with pytest.raises(MessageTooLargeError):
        conversation.handle(invoke("echo", "x" * 2000))
    (message,) = conversation.answers
    assert (message.type, message.flags, message.seq, message.serializer_id) == (MSG_RESULT, FLAGS_EXCEPTION, SEQ, 1)
    assert type(decoded(message)) is MessageTooLargeError
    for silent in (invoke("echo", "x" * 2000, flags=FLAGS_ONEWAY), invoke("", "x" * 2000, type=MSG_PING)):
        conversation = Conversation(daemon)
        with pytest.raises(MessageTooLargeError):
            conversation.handle(silent)
        assert conversation.answers == []


@pytest.mark.parametrize("serializer_id", [42, 1, 4, 77])
@pytest.mark.parametrize("flags", [0, FLAGS_ONEWAY, 0xFF])
def test_ping(conversation: Conversation, serializer_id: int, flags: int) -> None:
    """[WIRE-120], [DMN-51]: nothing of it is decoded."""
    message = conversation.handle(invoke("", type=MSG_PING, payload=b"\xff", serializer_id=serializer_id, flags=flags))
    assert (message.type, message.flags, message.seq) == (MSG_PING, 0, SEQ)
    assert (message.serializer_id, message.data) == (serializer_id, b"pong")


def test_annotations_of_pings(make_daemon: Any) -> None:
    """[WIRE-27], [WIRE-29], [DMN-51]: the hook sees the context of the ping."""
    seen: list[Any] = []

    class Annotating(pyrolite.Daemon):
        def annotations(self) -> dict[str, bytes]:
            seen.append((current_context.correlation_id, current_context.seq, current_context.client))
            return {"DAEM": b"2"}

    conversation = Conversation(make_daemon(Annotating))
    current_context.correlation_id = uuid.uuid4()
    mine = current_context.correlation_id
    message = conversation.handle(invoke("", type=MSG_PING, annotations={"CORR": CORRELATION.bytes, "USER": b"1"}))
    assert message.annotations == {"CORR": CORRELATION.bytes, "DAEM": b"2"}
    assert seen == [(CORRELATION, SEQ, conversation.connection)]
    assert current_context.correlation_id == mine
    message = conversation.handle(invoke("", type=MSG_PING))
    assert bytes(message.annotations["CORR"]) not in (CORRELATION.bytes, mine.bytes)


def test_signed_ping(conversation: Conversation) -> None:
    """[WIRE-34], [WIRE-31]"""
    conversation.daemon._pyroHmacKey = b"K"
    assert conversation.handle(invoke("", type=MSG_PING, hmac_key=b"K"), key=b"K").data == b"pong"


def test_logged_messages(make_daemon: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-126]"""
    daemon = make_daemon(items={"LOGWIRE": True})
    daemon.register(Thing(), "thing")
    conversation = Conversation(daemon)
    with caplog.at_level(logging.DEBUG, "pyrolite.core"):
        conversation.shake(conversation.message(annotations={"CORR": CORRELATION.bytes}))
        conversation.handle(invoke("echo", 1))
        conversation.handle(invoke("missing"))
        conversation.handle(invoke("", type=MSG_PING))
    texts = [r.getMessage().partition(":")[0] for r in caplog.records if "msgtype=" in r.getMessage()]
    assert texts == [
        "daemon handshake received",
        "daemon handshake response",
        "daemon wiredata received",
        "daemon wiredata sending",
        "daemon wiredata received",
        "daemon wiredata sending (error response)",
        "daemon wiredata received",
        "daemon wiredata sending",
    ]
    received = next(r.getMessage() for r in caplog.records if r.getMessage().startswith("daemon handshake received"))
    assert received.startswith(f"daemon handshake received: msgtype=1 flags=0x10 ser=1 seq={SEQ} corr={CORRELATION}\n")


def test_nothing_is_logged_otherwise(conversation: Conversation, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-126], [SEC-52]"""
    with caplog.at_level(logging.DEBUG, "pyrolite"):
        conversation.shake()
        conversation.handle(invoke("echo", "a secret"))
    assert "msgtype" not in caplog.text
    assert "a secret" not in caplog.text
