"""Bad input over raw sockets: what is answered, whether the connection ends, and that nobody else notices.

The rows of [WIRE-63], [WIRE-83] to [WIRE-86], [WIRE-22] and [WIRE-46]. After each of them an honest client that was
there before still works, a new one is let in, and the daemon has neither threads nor sockets more than before.
"""

from __future__ import annotations

import contextlib
import logging
import marshal
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.errors import ConnectionClosedError
from pyrolite.message import Message
from pyrolite.serializers import get_serializer, get_serializer_by_id
from pyrolite.testing import RunningDaemon, leak_check, running_daemon

PATIENCE = 10.0
CONNECT, CONNECTOK, CONNECTFAIL, INVOKE, RESULT, PING = 1, 2, 3, 4, 5, 6
EXCEPTION, COMPRESSED, ONEWAY, BATCH, META = 1, 2, 4, 8, 16
SEQ = 0x4321
SERPENT, MARSHAL = 1, 3


@pyrolite.expose
class Thing:
    def echo(self, value: Any) -> Any:
        return value

    def make(self, size: int) -> str:
        return "x" * size

    def fail(self, error: Any) -> None:
        raise error

    def exit(self, name: str) -> None:
        raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt, "GeneratorExit": GeneratorExit}[name]

    @pyrolite.callback
    def fail_callback(self) -> None:
        raise ValueError("in a callback")


class Strict(pyrolite.Daemon):
    """Refuses those who say ``"bad"``."""

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        if data == "bad":
            raise ValueError("go away")
        return "hello"


def serpent(value: Any) -> bytes:
    return get_serializer("serpent").dumps(value)


HELLO = serpent({"handshake": "hello", "object": "thing"})
CALL = get_serializer("serpent").dumpsCall("thing", "echo", (5,), {})


def message(kind: int, payload: bytes = b"", flags: int = 0, serializer: int = SERPENT, **fields: Any) -> bytes:
    """The bytes of a message; fields of the header can be set to anything, ``annotations`` are raw bytes."""
    annotations: bytes = fields.pop("annotations", b"")
    version: int = fields.pop("version", 48)
    size: int = fields.pop("size", len(payload))
    total: int = fields.pop("annotations_size", len(annotations))
    checksum = fields.pop("checksum", kind + version + size + total + serializer + flags + SEQ + 0x34E9)
    assert not fields
    header = struct.pack(
        "!4sHHHHiHHHH", b"PYRO", version, kind, flags, SEQ, size, serializer, total, 0, checksum & 0xFFFF
    )
    return header + annotations + payload


def shown(value: Any) -> str | None:
    """Bytes in the names of tests: by their number."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else None


def chunk(name: bytes, value: bytes) -> bytes:
    return struct.pack("!4sH", name, len(value)) + value


class Attacker:
    """A raw client."""

    def __init__(self, location: str) -> None:
        host, port = location.split(":")
        self.sock = socket.create_connection((host, int(port)), PATIENCE)

    def __enter__(self) -> Attacker:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def recv(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise ConnectionClosedError("closed")
            data += piece
        return data

    def close(self) -> None:
        """For `Message.recv`."""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(data)

    def answer(self, key: bytes | None = None) -> Message:
        return Message.recv(self, hmac_key=key)

    def shake(self) -> Attacker:
        self.send(message(CONNECT, HELLO, META))
        assert self.answer().type == CONNECTOK
        return self

    def ping(self) -> None:
        """The connection is still there, and in step."""
        self.send(message(PING, b"ping", 0, 42))
        answer = self.answer()
        assert (answer.type, answer.seq, bytes(answer.data)) == (PING, SEQ, b"pong")

    def assert_closed(self) -> None:
        with contextlib.suppress(ConnectionError):
            assert self.sock.recv(100) == b""


def decoded(answer: Message) -> Any:
    return get_serializer_by_id(answer.serializer_id).loads(answer.decompress_if_needed().data)


Attack = Callable[..., Attacker]


@pytest.fixture(params=["thread", "multiplex"])
def running(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[RunningDaemon]:
    """A daemon with an honest client, whom nothing may bother."""
    caplog.set_level(logging.INFO)
    with (
        leak_check(),
        running_daemon({"thing": Thing()}, servertype=request.param, daemon_class=Strict, **ITEMS) as running,
        pyrolite.Proxy(running.uris["thing"]) as honest,
    ):
        assert honest.echo(1) == 1
        threads = threading.active_count()
        yield running
        assert honest.echo(2) == 2
        with pyrolite.Proxy(running.uris["thing"]) as another:
            assert another.echo(3) == 3
        deadline = time.monotonic() + PATIENCE
        while running.daemon.stats()["connections_open"] > 1:
            assert time.monotonic() < deadline, "a connection of the attacker is still there"
            time.sleep(0.002)
        # workers stay for a while; no attack made more of them than the pool has
        assert threading.active_count() <= threads + ITEMS["THREADPOOL_SIZE"] + 2


ITEMS = {"MAX_MESSAGE_SIZE": 100_000, "ITER_STREAM_LINGER": 0.0, "THREADPOOL_SIZE": 5}


@pytest.fixture
def attack(running: RunningDaemon) -> Iterator[Attack]:
    """A new raw connection, with or without handshake."""
    with contextlib.ExitStack() as stack:

        def attack(*, handshake: bool = True) -> Attacker:
            attacker = stack.enter_context(Attacker(running.daemon.locationStr))
            return attacker.shake() if handshake else attacker

        yield attack


# ---- before the handshake


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.0\r\nHost: example\r\n\r\n", "invalid data or unsupported protocol version"),
        (bytes(24), "invalid data or unsupported protocol version"),
        (b"\xff" * 1000, "invalid data or unsupported protocol version"),
        (b"\x16\x03\x01" + b"tls client hello" * 10, "invalid data or unsupported protocol version"),
        (message(CONNECT, HELLO, META, version=47), "invalid data or unsupported protocol version"),
        (message(CONNECT, HELLO, META, checksum=1), "header checksum mismatch"),
        (message(INVOKE, CALL), "invalid msg type 4 received"),
        (message(PING, b"ping", 0, 42), "invalid msg type 6 received"),
        (message(RESULT, HELLO), "invalid msg type 5 received"),
        (message(0, HELLO), "invalid msg type 0 received"),
        (message(65535, HELLO), "invalid msg type 65535 received"),
        (message(CONNECT, HELLO, META, annotations=chunk(b"HMAC", bytes(20))), "hmac key config not symmetric"),
        (message(CONNECT, HELLO, META, size=-1), "invalid message size"),
        (message(CONNECT, HELLO, META, annotations=b"ABCD\x00\x09only"), "malformed annotations"),
        (message(CONNECT, HELLO, META, annotations=b"ABC"), "malformed annotations"),
        (message(CONNECT, HELLO, META, annotations=chunk(b"\xff\xfe\xfd\xfc", b"")), "malformed annotations"),
    ],
    ids=shown,
)
def test_unreadable_handshakes(attack: Attack, data: bytes, reason: str) -> None:
    """[WIRE-63], [WIRE-66], [WIRE-22], [WIRE-46], [HRD-29], [DMN-42]: marshal, number 0, then closed."""
    attacker = attack(handshake=False)
    attacker.send(data)
    answer = attacker.answer()
    assert (answer.type, answer.flags, answer.seq, answer.serializer_id) == (CONNECTFAIL, 0, 0, MARSHAL)
    assert answer.annotations == {}
    assert decoded(answer).startswith(reason)
    attacker.assert_closed()


@pytest.mark.parametrize(
    ("data", "reason", "serializer"),
    [
        (message(CONNECT, HELLO, META, 4), "message used serializer that is not accepted: 4", MARSHAL),
        (message(CONNECT, b"cos\nsystem\n", META, 4), "message used serializer that is not accepted: 4", MARSHAL),
        (message(CONNECT, HELLO, META, 99), "message used serializer that is not accepted: 99", MARSHAL),
        (message(CONNECT, HELLO, META, annotations=chunk(b"CORR", b"short")), "bytes is not a 16-char string", MARSHAL),
        (message(CONNECT, serpent({"handshake": "bad", "object": "thing"}), META), "go away", SERPENT),
        (message(CONNECT, serpent({"handshake": "x", "object": "nothing"}), META), "unknown object", SERPENT),
    ],
    ids=shown,
)
def test_refused_handshakes(attack: Attack, data: bytes, reason: str, serializer: int) -> None:
    """[WIRE-63], [DMN-41]: the number of the CONNECT, then closed."""
    attacker = attack(handshake=False)
    attacker.send(data)
    answer = attacker.answer()
    assert (answer.type, answer.flags, answer.seq, answer.serializer_id) == (CONNECTFAIL, 0, SEQ, serializer)
    assert decoded(answer) == reason
    attacker.assert_closed()


@pytest.mark.parametrize(
    "data",
    [
        message(CONNECT, b"garbage", META),
        message(CONNECT, b"\xff\xfe", META),
        message(CONNECT, b"(" * 50_000, META),
        message(CONNECT, b"", META),
        message(CONNECT, serpent("text"), META),
        message(CONNECT, serpent([1, 2]), META),
        message(CONNECT, serpent({"handshake": "x"}), META),
        message(CONNECT, serpent({"object": "thing"}), META),
        message(CONNECT, serpent({"handshake": "x", "object": ["thing"]}), META),
        message(CONNECT, serpent({"handshake": {"__class__": "os.system"}, "object": "thing"}), META),
        message(CONNECT, HELLO, META | COMPRESSED),
        message(CONNECT, zlib.compress(HELLO) + b"x", META | COMPRESSED),
        message(CONNECT, b"[\xff\xff\xff\x7f", META, MARSHAL),
        message(CONNECT, b"(\x01\x00\x00\x00<\x01\x00\x00\x00r\x00\x00\x00\x00", META, MARSHAL),
        message(CONNECT, marshal.dumps(compile("1", "", "eval")), META, MARSHAL),
        message(CONNECT, b"[" * 100_000, META, 2),
    ],
    ids=shown,
)
def test_malformed_handshakes(attack: Attack, data: bytes) -> None:
    """[WIRE-63], [WIRE-65], [HRD-1], [HRD-7]"""
    attacker = attack(handshake=False)
    attacker.send(data)
    answer = attacker.answer()
    assert (answer.type, answer.flags, answer.seq) == (CONNECTFAIL, 0, SEQ)
    assert decoded(answer).startswith("invalid handshake: ")
    attacker.assert_closed()


def test_bomb_in_the_handshake(attack: Attack) -> None:
    """[WIRE-42], [HRD-4]"""
    attacker = attack(handshake=False)
    attacker.send(message(CONNECT, zlib.compress(bytes(10_000_000)), META | COMPRESSED))
    assert decoded(attacker.answer()).startswith("max message size exceeded")
    attacker.assert_closed()


@pytest.mark.parametrize(
    "data",
    [b"", b"P", b"!" * 16, b"x" * 23, message(CONNECT, HELLO, META)[:-1], message(CONNECT, HELLO, META)[:30]],
    ids=shown,
)
def test_incomplete_handshakes(attack: Attack, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-64]: no answer, no noise."""
    caplog.clear()
    attacker = attack(handshake=False)
    attacker.send(data)
    attacker.sock.shutdown(socket.SHUT_WR)
    attacker.assert_closed()
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_large_handshakes(attack: Attack) -> None:
    """[WIRE-64]: announced, or sent."""
    for data in (message(CONNECT, b"", META, size=0x7FFFFFFF), message(CONNECT, b"x" * 200_000, META)):
        attacker = attack(handshake=False)
        attacker.send(data)
        attacker.assert_closed()


# ---- requests that end the connection without an answer


@pytest.mark.parametrize(
    "data",
    [
        b"garbage" * 10,
        bytes(24),
        message(INVOKE, CALL, version=47),
        message(INVOKE, CALL, checksum=1),
        message(CONNECT, HELLO, META),
        message(CONNECTOK, HELLO),
        message(CONNECTFAIL, HELLO),
        message(RESULT, CALL),
        message(7, CALL),
        message(INVOKE, CALL, annotations=b"ABCD\x00\x09only"),
        message(INVOKE, CALL, annotations=b"ABC"),
        message(INVOKE, CALL, annotations=chunk(b"GOOD", b"1") + b"AB"),
        message(INVOKE, CALL, annotations=chunk(b"\xff\xfe\xfd\xfc", b"")),
        message(INVOKE, CALL, annotations=chunk(b"HMAC", bytes(20))),
        message(PING, b"ping", 0, 42, annotations=chunk(b"HMAC", bytes(20))),
        message(INVOKE, CALL, size=-1),
        message(INVOKE, CALL, size=-0x80000000),
        message(PING, b"ping", 0, 42, annotations=chunk(b"CORR", b"short")),
        message(PING, b"x" * 200_000, 0, 42),
        message(INVOKE, CALL, ONEWAY, 99),
        message(INVOKE, b"x" * 200_000, ONEWAY),
    ],
    ids=shown,
)
def test_connections_that_end(attack: Attack, data: bytes) -> None:
    """[WIRE-121], [WIRE-22], [WIRE-46], [WIRE-100], [HRD-29], [SEC-70]"""
    attacker = attack()
    attacker.send(data)
    attacker.assert_closed()


def test_half_a_request(attack: Attack) -> None:
    """[WIRE-50]: the end of the stream in the middle of a message."""
    whole = message(INVOKE, CALL, annotations=chunk(b"USER", b"1"))
    for end in (1, 23, 24, 30, len(whole) - 1):
        attacker = attack()
        attacker.send(whole[:end])
        attacker.sock.shutdown(socket.SHUT_WR)
        attacker.assert_closed()


def test_huge_announcements(attack: Attack) -> None:
    """[WIRE-46], [HRD-5], [HRD-6]: cost nothing; the client is told."""
    attacker = attack()
    attacker.send(message(INVOKE, CALL, size=0x7FFFFFFF))
    answer = attacker.answer()
    assert (answer.type, answer.flags, answer.seq) == (RESULT, EXCEPTION, SEQ)
    assert type(decoded(answer)) is pyrolite.errors.MessageTooLargeError
    attacker.assert_closed()


def test_too_large_requests(attack: Attack) -> None:
    """[WIRE-45], [HRD-6]: the answer is not lost in a reset, although the client sends for a long time."""
    attacker = attack()
    attacker.send(message(INVOKE, b"x" * 20_000_000))
    answer = attacker.answer()
    assert type(decoded(answer)) is pyrolite.errors.MessageTooLargeError
    attacker.assert_closed()


@pytest.mark.parametrize(("serializer", "answered"), [(4, 4), (5, 5), (7, 7), (99, MARSHAL), (0, MARSHAL)])
def test_refused_serializers(attack: Attack, serializer: int, answered: int) -> None:
    """[WIRE-85], [DMN-52], [SEC-20]: answered, then closed, though more is on its way."""
    attacker = attack()
    attacker.send(message(INVOKE, CALL, 0, serializer) + message(INVOKE, CALL) * 1000)
    answer = attacker.answer()
    assert (answer.type, answer.flags, answer.seq, answer.serializer_id) == (RESULT, EXCEPTION, SEQ, answered)
    error = decoded(answer)
    assert type(error) is pyrolite.errors.SerializeError
    assert str(error) == f"message used serializer that is not accepted: {serializer}"
    attacker.assert_closed()


# ---- requests that are answered, and the connection stays


def call(method: str, *args: Any, target: str = "thing") -> bytes:
    return get_serializer("serpent").dumpsCall(target, method, args, {})


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (message(INVOKE, b"garbage"), "SerializeError"),
        (message(INVOKE, b""), "SerializeError"),
        (message(INVOKE, b"(" * 50_000), "SerializeError"),
        (message(INVOKE, b"[" * 90_000, 0, 2), "SerializeError"),
        (message(INVOKE, b"[\xff\xff\xff\x7f", 0, MARSHAL), "SerializeError"),
        (message(INVOKE, b"(\x01\x00\x00\x00<\x01\x00\x00\x00r\x00\x00\x00\x00", 0, MARSHAL), "SerializeError"),
        (message(INVOKE, CALL, COMPRESSED), "SerializeError"),
        (message(INVOKE, zlib.compress(bytes(10_000_000)), COMPRESSED), "MessageTooLargeError"),
        (message(INVOKE, serpent(("thing", "echo"))), "ProtocolError"),
        (message(INVOKE, serpent([1, 2, 3, 4])), "ProtocolError"),
        (message(INVOKE, serpent(5)), "ProtocolError"),
        (message(INVOKE, CALL, BATCH), "ProtocolError"),
        (message(INVOKE, CALL, 64), "ProtocolError"),
        (message(INVOKE, CALL, 64, annotations=chunk(b"BLBI", b"garbage")), "ProtocolError"),
        (message(INVOKE, CALL, annotations=chunk(b"CORR", b"short")), "ValueError"),
        (message(INVOKE, call("echo", target="nothing")), "DaemonError"),
        (message(INVOKE, call("_private")), "AttributeError"),
        (message(INVOKE, call("__class__")), "AttributeError"),
        (message(INVOKE, call("unknown")), "AttributeError"),
        (message(INVOKE, call("echo.__globals__")), "AttributeError"),
        (message(INVOKE, call("echo")), "TypeError"),
        (message(INVOKE, call("fail", pyrolite.errors.ConnectionClosedError("x"))), "ConnectionClosedError"),
        (message(INVOKE, call("fail", pyrolite.errors.SecurityError("x"))), "SecurityError"),
        (message(INVOKE, call("fail", pyrolite.errors.SerializeError("x"))), "SerializeError"),
        (message(INVOKE, call("fail", MemoryError("x"))), "MemoryError"),
        (message(INVOKE, call("exit", "SystemExit")), "PyroError"),
        (message(INVOKE, call("exit", "KeyboardInterrupt")), "PyroError"),
        (message(INVOKE, call("exit", "GeneratorExit")), "PyroError"),
        (message(INVOKE, call("fail_callback")), "ValueError"),
        (message(INVOKE, call("make", 100_000)), "MessageTooLargeError"),
        (message(INVOKE, call("get_next_stream_item", "no id", target="Pyro.Daemon")), "PyroError"),
        (message(INVOKE, call("get_next_stream_item", ["no id"], target="Pyro.Daemon")), None),
        (message(INVOKE, call("get_metadata", ["no id"], target="Pyro.Daemon")), None),
    ],
    ids=shown,
)
def test_answered_requests(attack: Attack, data: bytes, kind: str | None) -> None:
    """[WIRE-83], [WIRE-84], [WIRE-86], [WIRE-74], [WIRE-44], [DMN-56], [DMN-57], [HRD-24]"""
    attacker = attack()
    attacker.send(data)
    answer = attacker.answer()
    assert (answer.type, answer.flags, answer.seq) == (RESULT, EXCEPTION, SEQ)
    error = decoded(answer)
    assert isinstance(error, Exception)
    assert kind in {None, type(error).__name__}
    attacker.ping()


@pytest.mark.parametrize(
    "data",
    [
        message(INVOKE, b"garbage", ONEWAY),
        message(INVOKE, serpent(5), ONEWAY),
        message(INVOKE, call("echo", target="nothing"), ONEWAY),
        message(INVOKE, call("unknown"), ONEWAY),
        message(INVOKE, call("fail", ValueError("x")), ONEWAY),
        message(INVOKE, call("exit", "SystemExit"), ONEWAY),
        message(INVOKE, CALL, ONEWAY | BATCH),
        message(INVOKE, CALL, ONEWAY, annotations=chunk(b"CORR", b"short")),
        message(PING, b"\xff" * 1000, 0xFFFF, 12345)[:0],
    ],
    ids=shown,
)
def test_silent_requests(attack: Attack, data: bytes) -> None:
    """[WIRE-100]: the next answer is that of the ping."""
    attacker = attack()
    attacker.send(data)
    attacker.ping()


def test_tolerated_requests(attack: Attack) -> None:
    """[WIRE-2], [WIRE-22], [WIRE-14]: unknown flags, reserved field, empty, unknown and repeated annotations."""
    attacker = attack()
    annotations = chunk(b"USER", b"") + chunk(b"USER", b"2") + chunk(b"ABCD", b"x" * 1000)
    data = bytearray(message(INVOKE, CALL, 0xFF00, annotations=annotations))
    data[20:22] = b"\xff\xff"
    attacker.send(bytes(data))
    answer = attacker.answer()
    assert (answer.type, answer.flags, answer.seq, decoded(answer)) == (RESULT, 0, SEQ, 5)
    attacker.ping()


def test_pipelined_and_split(attack: Attack) -> None:
    """[WIRE-1]: any number of messages at once, and one message in any pieces."""
    attacker = attack()
    attacker.send(message(INVOKE, CALL) * 50)
    for _ in range(50):
        assert decoded(attacker.answer()) == 5
    for byte in message(INVOKE, CALL):
        attacker.send(bytes([byte]))
    assert decoded(attacker.answer()) == 5
    attacker.ping()


def test_many_at_once(attack: Attack) -> None:
    """More attackers than the daemon has workers."""
    attackers = [attack(handshake=False) for _ in range(12)]
    for number, attacker in enumerate(attackers):
        attacker.send([b"garbage" * 5, message(INVOKE, CALL), message(CONNECT, b"garbage", META), b""][number % 4])
    for number, attacker in enumerate(attackers):
        if number % 4 != 3:
            assert attacker.answer().type == CONNECTFAIL
            attacker.assert_closed()


@pytest.mark.parametrize("server_key", [b"K", None])
def test_signatures(server_key: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    """[WIRE-33], [WIRE-63], [SEC-32]: refused with the server's signature, logged with the peer's address."""
    with (
        leak_check(),
        running_daemon({"thing": Thing()}, hmac_key=server_key) as running,
        Attacker(running.daemon.locationStr) as attacker,
    ):
        key = b"other" if server_key else b"some key"
        attacker.send(Message(CONNECT, HELLO, SERPENT, META, SEQ, hmac_key=key).to_bytes())
        answer = attacker.answer(server_key)
        assert decoded(answer) == ("message hmac mismatch" if server_key else "hmac key config not symmetric")
        attacker.assert_closed()
        address = str(attacker.sock.getsockname())
        assert any(address in record.getMessage() for record in caplog.records if record.levelname == "WARNING")


@pytest.mark.parametrize("kind", ["unsigned", "wrong", "handshake"])
def test_flood_of_wrong_signatures(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """[SEC-32]: one warning a second for a daemon, however many messages have wrong digests."""
    with leak_check(), running_daemon({"thing": Thing()}, hmac_key=b"K") as running:
        begin = time.monotonic()
        for _ in range(20):
            with Attacker(running.daemon.locationStr) as attacker:
                if kind == "handshake":
                    attacker.send(message(CONNECT, HELLO, META))
                    attacker.answer(b"K")
                else:
                    attacker.send(Message(CONNECT, HELLO, SERPENT, META, SEQ, hmac_key=b"K").to_bytes())
                    assert attacker.answer(b"K").type == CONNECTOK
                    key = None if kind == "unsigned" else b"other"
                    attacker.send(Message(INVOKE, CALL, SERPENT, 0, SEQ, hmac_key=key).to_bytes())
                attacker.assert_closed()
        seconds = time.monotonic() - begin
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert 1 <= len(warnings) <= 1 + seconds
