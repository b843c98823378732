"""A hostile server cannot do more to a client than make it raise the right errors ([SEC-21], [HRD-1] to [HRD-3])."""

from __future__ import annotations

import contextlib
import json
import marshal
import pickle
import random
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pyrolite.serializers import get_serializer, get_serializer_by_id
from pyrolite.wire import v48
from pyrolite.wire.message import (
    FLAGS_BATCH,
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_ITEMSTREAMRESULT,
    FLAGS_META_ON_CONNECT,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
    MSG_INVOKE,
    MSG_RESULT,
    Frame,
)

from ..mutations import announced_size, answers, damaged, recorded
from .harness import MEGABYTE, CommandedProcess, RawClient, Usage
from .test_network_bytes import MARSHAL_GARBAGE, PRIME, zlib_bomb

#: Gives what to send for a request; None: close the connection.
Script: TypeAlias = "Callable[[Frame, socket.socket], bytes | None]"
Try: TypeAlias = "Callable[..., dict[str, Any]]"

SERIALIZERS = ["serpent", "json", "marshal", "msgpack"]
METADATA = {"methods": ["echo", "numbers", "fail"], "oneway": [], "attrs": ["x"]}


def welcome(frame: Frame, metadata: Any = METADATA) -> bytes:
    """The answer of an honest server to CONNECT."""
    serializer = get_serializer_of(frame)
    payload = bytes(serializer.dumps({"handshake": "hello", "meta": metadata}))
    return answer(frame, MSG_CONNECTOK, payload, FLAGS_META_ON_CONNECT)


def get_serializer_of(frame: Frame) -> Any:
    return get_serializer_by_id(frame.serializer_id)


def answer(
    frame: Frame, kind: int, payload: bytes, flags: int = 0, serializer: int | None = None, **annotations: bytes
) -> bytes:
    number = frame.serializer_id if serializer is None else serializer
    return b"".join(v48.encode(kind, flags, frame.seq, number, payload, annotations))


class HostileServer:
    """Answers each message as the script says."""

    def __init__(self) -> None:
        self.script: Script = lambda frame, sock: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(10)
                self._connections = [sock]
                if sock.getpeername()[1] == self._stopper():
                    return
                with contextlib.suppress(Exception):
                    self._serve(sock)

    def _stopper(self) -> int:
        return getattr(self, "_stop_port", -1)

    def _serve(self, sock: socket.socket) -> None:
        client = RawClient(sock)
        while True:
            data = self.script(client.receive(), sock)
            if data is None:
                return
            sock.sendall(data)

    def stop(self) -> None:
        for sock in self._connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self._stop_port = sock.getsockname()[1]
            sock.connect(("127.0.0.1", self.port))
            self._thread.join(20)
        assert not self._thread.is_alive()
        self._listener.close()


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    server = HostileServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def victim_process() -> Iterator[CommandedProcess]:
    process = CommandedProcess("victim.py")
    yield process
    code = process.stop()
    assert (code, process.complaints()) == (0, "")


@pytest.fixture
def attempt(hostile: HostileServer, victim_process: CommandedProcess) -> Try:
    """Have the client do something with the server, which acts as scripted; gives what came of it."""

    def attempt(action: str, script: Script, **order: Any) -> dict[str, Any]:
        hostile.script = script
        order |= {"action": action, "port": hostile.port}
        told: dict[str, Any] = victim_process.command(json.dumps(order), timeout=40)
        return told

    return attempt


def is_a(told: dict[str, Any], *names: str) -> bool:
    return bool(set(told.get("error", ())) & set(names))


class Poison:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


PLACES = ["welcome", "refusal", "result", "exception", "batch", "stream item", "attribute", "metadata"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_pickles(attempt: Try, tmp_path: Path, place: str, serializer: str) -> None:
    """[SEC-21], [HRD-2]: no answer is decoded by what the server chose, in no place."""
    marker = tmp_path / "code has run"
    poison = pickle.dumps({"handshake": Poison(marker), "meta": Poison(marker)}, 2)
    for number in (4, 5, 7):  # pickle, dill, cloudpickle

        def script(frame: Frame, sock: socket.socket, number: int = number) -> bytes:
            if frame.type == MSG_CONNECT:
                if place == "welcome":
                    return answer(frame, MSG_CONNECTOK, poison, FLAGS_META_ON_CONNECT, number)
                if place == "refusal":
                    return answer(frame, MSG_CONNECTFAIL, poison, 0, number)
                return welcome(frame)
            flags = FLAGS_EXCEPTION if place == "exception" else FLAGS_BATCH if place == "batch" else 0
            if place == "stream item" and b"get_next" not in bytes(frame.data):
                flags = FLAGS_EXCEPTION | FLAGS_ITEMSTREAMRESULT
                return answer(frame, MSG_RESULT, b"", flags, STRM=b"s" * 36)
            return answer(frame, MSG_RESULT, poison, flags, number)

        action = {"batch": "batch", "stream item": "stream", "attribute": "attribute"}.get(place, "echo")
        told = attempt(action, script, serializer=serializer, config={"METADATA": place != "metadata"})
        assert not marker.exists(), "the server ran code in the client"
        assert is_a(told, "CommunicationError", "SerializeError", "ProtocolError"), told


@pytest.mark.parametrize("kind", [MSG_CONNECTOK, MSG_CONNECTFAIL, MSG_RESULT])
def test_marshal_garbage(attempt: Try, kind: int) -> None:
    """[HRD-1]: in refusals, which every client has to understand, and in answers to a client that uses it itself."""
    for what, garbage in MARSHAL_GARBAGE.items():

        def script(frame: Frame, sock: socket.socket, garbage: bytes = garbage) -> bytes:
            if frame.type == MSG_CONNECT and kind == MSG_RESULT:
                return welcome(frame)
            return answer(frame, kind, garbage, 0, 3)

        for serializer in ("marshal", "serpent"):
            told = attempt("echo", script, serializer=serializer)
            assert is_a(told, "CommunicationError", "SerializeError", "ProtocolError"), (what, told)
            if what:
                assert told["seconds"] < 3


def test_refusals_are_texts(attempt: Try) -> None:
    """[HRD-2]: a refusal in marshal may be nothing but a text."""
    for value in ("no!", b"no!", 5, None, ["no!"], {"__class__": "ValueError", "__exception__": True, "args": ["no!"]}):

        def script(frame: Frame, sock: socket.socket, value: Any = value) -> bytes:
            return answer(frame, MSG_CONNECTFAIL, marshal.dumps(value), 0, 3)

        told = attempt("bind", script)
        assert is_a(told, "CommunicationError"), told
        assert ("rejected: no!" in told["text"]) is (value == "no!")


def test_damaged_answers(attempt: Try, record: Any) -> None:
    """[HRD-3]: whatever arrives, the client raises errors of the library, or returns, and can go on afterwards."""
    _bombard(attempt, 1500, 5, record)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_damaged_answers_by_the_hundred_thousand(attempt: Try, record: Any) -> None:
    _bombard(attempt, 100_000, 6, record)


def _bombard(attempt: Try, count: int, seed: int, record: Any) -> None:
    rnd = random.Random(seed)
    messages = damaged(answers() + recorded(requests=False), rnd)
    kinds: dict[str, int] = {}
    for _ in range(count):
        message = bytearray(next(messages))
        honest = rnd.random() < 0.8  # in the handshake
        sent = 0

        def script(
            frame: Frame, sock: socket.socket, message: bytearray = message, honest: bool = honest
        ) -> bytes | None:
            nonlocal sent
            if frame.type == MSG_CONNECT and (honest or sent):
                return welcome(frame)
            if sent:
                return answer(frame, MSG_RESULT, bytes(get_serializer_of(frame).dumps("fine")))
            sent = 1
            if len(message) >= 24:  # let it be the answer to this request
                message[10:12] = frame.seq.to_bytes(2, "big")
                message[16:18] = frame.serializer_id.to_bytes(2, "big") if rnd.random() < 0.9 else message[16:18]
                fields = struct.unpack_from(v48.HEADER_FORMAT, message)
                message[22:24] = (sum(fields[1:8]) + v48.CHECKSUM_MAGIC & 0xFFFF).to_bytes(2, "big")
            sock.sendall(message)
            size = announced_size(message)
            if len(message) < 24 or (size is not None and size > len(message)):
                return None  # or the client would wait for the rest
            return b""

        serializer = rnd.choice(SERIALIZERS)
        action = rnd.choice(["echo", "echo", "attribute", "batch", "stream"])
        told = attempt(action, script, serializer=serializer, again=True, timeout=2)
        names = told.get("error", ["none"])
        kinds[names[0]] = kinds.get(names[0], 0) + 1
        told["message"] = bytes(message).hex()
        assert "value" in told or "Exception" in names, told
        raised_by_library = is_a(told, "PyroError") or "value" in told
        if not honest:  # what the metadata do not name is not there
            raised_by_library |= is_a(told, "AttributeError") and "has no exposed attribute" in told["text"]
        exceptional = len(message) >= 24 and message[9] & FLAGS_EXCEPTION
        # what a batch or a stream raises may be in the data
        assert raised_by_library or exceptional or action in {"batch", "stream"}, told
        assert told["seconds"] < 10, told
        assert not told["text"].startswith("no text") if "text" in told else True, told
        assert told["again"].get("value") == "'fine'" or is_a(told["again"], "PyroError", "AttributeError"), told
    record(count=count, outcomes=kinds)
    assert len(kinds) > 4


def test_remote_exits(attempt: Try) -> None:
    """[HRD-3], [SER-56]: a server cannot end its client."""
    for error in (SystemExit(3), KeyboardInterrupt(), GeneratorExit("x")):
        for serializer in SERIALIZERS:
            payload = bytes(get_serializer(serializer).dumps(error))

            def script(frame: Frame, sock: socket.socket, payload: bytes = payload) -> bytes:
                return welcome(frame) if frame.type == MSG_CONNECT else answer(frame, MSG_RESULT, payload, 1)

            for action in ("echo", "attribute", "stream"):
                told = attempt(action, script, serializer=serializer)
                assert told["error"][0] == "PyroError", told
                assert type(error).__name__ in told["text"]


ODD_EXCEPTIONS = [
    {"args": 5},
    {"args": None},
    {"args": ["x"] * 50, "attributes": {}},
    {"args": ["x"], "attributes": 5},
    {"args": ["x"], "attributes": {"_pyroTraceback": 5}},
    {"args": ["x"], "attributes": {"_pyroTraceback": [5, None, b"x"]}},
    {"args": ["x"], "attributes": {"_pyroTraceback": "text"}},
    {"args": ["x"], "attributes": {"__traceback__": 5, "__cause__": 6, "__context__": 7, "__dict__": {}, "args": 9}},
    {"args": ["x"], "attributes": {"__class__": "builtins.SystemExit", "__init__": 1, "with_traceback": None}},
    {"args": ["x"], "attributes": {"__notes__": 5}},
    {"args": ["x"], "attributes": {"__notes__": ["a", 5, None]}},
    {"args": [["x"]], "attributes": {"": 1, "a b": 2, "\u20ac": 3}},
    {"args": ["x"], "attributes": {"__suppress_context__": "x", "errno": "x", "strerror": [], "filename": {}}},
    {},
]
CLASSES = """ValueError builtins.OSError builtins.UnicodeDecodeError builtins.UnicodeEncodeError builtins.SyntaxError
builtins.ExceptionGroup builtins.BaseExceptionGroup builtins.KeyError builtins.StopIteration builtins.SystemExit
builtins.BaseException builtins.ImportError builtins.AttributeError builtins.NameError builtins.StopAsyncIteration
Pyro4.errors.PyroError Pyro4.errors.MessageTooLargeError Pyro4.errors.SecurityError Pyro4.errors.ConnectionClosedError
subprocess.CalledProcessError json.decoder.JSONDecodeError socket.gaierror ssl.SSLError struct.error
builtins.eval os.system builtins.type builtins.__import__ unknown.Error .x x. . builtins.Exception.mro""".split()


def test_odd_exceptions(attempt: Try) -> None:
    """[SER-52], [SER-56]: exceptions with arguments and attributes that make no sense for their class."""
    for name in CLASSES:
        for data in ODD_EXCEPTIONS:
            state = {"__class__": name, "__exception__": True, **data}

            def script(frame: Frame, sock: socket.socket, state: Any = state) -> bytes:
                if frame.type == MSG_CONNECT:
                    return welcome(frame)
                return answer(frame, MSG_RESULT, json.dumps(state).encode(), FLAGS_EXCEPTION)

            told = attempt("echo", script, serializer="json")
            assert is_a(told, "Exception"), (state, told)
            assert not told["text"].startswith("no text"), (state, told)
            assert told["traceback"], (state, told)


ODD_METADATA: list[Any] = [
    None,
    5,
    [],
    {},
    {"methods": 5, "oneway": [], "attrs": []},
    {"methods": None, "oneway": None, "attrs": None},
    {"methods": [["unhashable"]], "oneway": [], "attrs": []},
    {"methods": [{"a": 1}], "oneway": [], "attrs": []},
    {"methods": ["echo"], "attrs": ["x"]},
    {"methods": [1, None, 2.5], "oneway": [3], "attrs": [4]},
    {"methods": ["_pyroInvoke", "__class__", "__init__", "_pyroUri"], "oneway": [], "attrs": ["_pyroConnection"]},
    {"methods": ["echo"] * 100_000, "oneway": [], "attrs": []},
    {"methods": "echo", "oneway": "", "attrs": ""},
]


@pytest.mark.parametrize("serializer", ["json", "marshal"])
def test_odd_metadata(attempt: Try, serializer: str) -> None:
    for metadata in ODD_METADATA:

        def script(frame: Frame, sock: socket.socket, metadata: Any = metadata) -> bytes:
            if frame.type == MSG_CONNECT:
                return welcome(frame, metadata)
            return answer(frame, MSG_RESULT, bytes(get_serializer_of(frame).dumps("fine")))

        told = attempt("echo", script, serializer=serializer)
        assert "value" in told or is_a(told, "PyroError", "AttributeError"), (metadata, told)


def test_odd_stream_ids(attempt: Try) -> None:
    for stream in (b"", b"\xff" * 36, b"x" * 65_000, b"a\0b", b"'); drop"):

        def script(frame: Frame, sock: socket.socket, stream: bytes = stream) -> bytes:
            if frame.type == MSG_CONNECT:
                return welcome(frame)
            flags = FLAGS_EXCEPTION | FLAGS_ITEMSTREAMRESULT
            return answer(frame, MSG_RESULT, b"", flags, STRM=stream)

        told = attempt("stream", script)
        assert "value" in told or is_a(told, "PyroError"), told


@pytest.mark.parametrize("place", ["welcome", "result"])
def test_memory(attempt: Try, victim_process: CommandedProcess, place: str) -> None:
    """[HRD-4], [HRD-5]: bombs, and claims that are not kept."""
    before = victim_process.usage()
    bomb = zlib_bomb(200 * MEGABYTE)

    def bombs(frame: Frame, sock: socket.socket) -> bytes:
        if frame.type == MSG_CONNECT and place == "result":
            return welcome(frame)
        kind = MSG_CONNECTOK if frame.type == MSG_CONNECT else MSG_RESULT
        return answer(frame, kind, bomb, FLAGS_COMPRESSED)

    told = attempt("echo", bombs)
    assert is_a(told, "MessageTooLargeError", "CommunicationError"), told
    assert "max message size exceeded" in told["text"]

    def claims(frame: Frame, sock: socket.socket) -> bytes:
        if frame.type == MSG_CONNECT and place == "result":
            return welcome(frame)
        kind = MSG_CONNECTOK if frame.type == MSG_CONNECT else MSG_RESULT
        sock.sendall(v48.pack(kind, 0, frame.seq, frame.serializer_id, 0x7FFFFFFF) + bytes(66_000))
        time.sleep(0.2)
        usage.append(victim_process.usage())
        return b""

    usage: list[Usage] = []
    told = attempt("echo", claims, timeout=0.5)
    assert is_a(told, "TimeoutError"), told
    assert usage[0].resident < before.resident + 100 * MEGABYTE
    told = attempt("echo", claims, config={"MAX_MESSAGE_SIZE": 100_000})
    assert is_a(told, "MessageTooLargeError"), told


@pytest.mark.parametrize("place", ["welcome", "result"])
def test_dripping_answers(attempt: Try, place: str) -> None:
    """[HRD-15]: the timeout of a proxy is a deadline, not a pause between bytes."""

    def script(frame: Frame, sock: socket.socket) -> bytes | None:
        if frame.type == MSG_CONNECT and place == "result":
            return welcome(frame)
        message = welcome(frame) if place == "welcome" else answer(frame, MSG_RESULT, b"'" + b"x" * 500 + b"'")
        for byte in message:
            sock.sendall(bytes([byte]))
            time.sleep(0.02)
        return None

    told = attempt("echo", script, timeout=0.5)
    assert is_a(told, "TimeoutError"), told
    assert told["seconds"] < 3


def test_silence(attempt: Try) -> None:
    """Before, in and after the handshake, and without reading."""

    for talkative in (False, True):

        def script(frame: Frame, sock: socket.socket, talkative: bool = talkative) -> bytes:
            return welcome(frame) if frame.type == MSG_CONNECT and talkative else b""

        told = attempt("echo", script, timeout=0.4)
        assert is_a(told, "TimeoutError"), told
        assert told["seconds"] < 3


def test_answers_to_other_calls(attempt: Try) -> None:
    """[WIRE-123]: a late, early or repeated answer is never taken for that of another call."""

    def value(frame: Frame, text: str, seq: int) -> bytes:
        return answer(frame._replace(seq=seq & 0xFFFF), MSG_RESULT, bytes(get_serializer_of(frame).dumps(text)))

    connections: list[socket.socket] = []

    def repeated(frame: Frame, sock: socket.socket) -> bytes:
        if sock not in connections:
            connections.append(sock)
        if frame.type == MSG_CONNECT:
            return welcome(frame)
        honest = value(frame, "fine", frame.seq)
        return honest + value(frame, "wrong", frame.seq) if len(connections) == 1 else honest

    told = attempt("echo", repeated, again=True)
    assert told["value"] == "'fine'"
    assert is_a(told["again"], "ProtocolError"), told

    for shift in (-1, 1, 2, 0x8000):

        def shifted(frame: Frame, sock: socket.socket, shift: int = shift) -> bytes:
            if frame.type == MSG_CONNECT:
                return welcome(frame)
            return value(frame, "wrong", frame.seq + shift)

        assert is_a(attempt("echo", shifted), "ProtocolError")

    def early(frame: Frame, sock: socket.socket) -> bytes:
        return welcome(frame) + value(frame, "wrong", frame.seq + 1) if frame.type == MSG_CONNECT else b""

    told = attempt("echo", early, timeout=0.5)  # nothing tells it from the right one
    assert "value" in told or is_a(told, "PyroError")


@pytest.mark.parametrize("kind", [MSG_CONNECT, MSG_CONNECTFAIL, MSG_INVOKE, 0, 77])
def test_wrong_types_of_messages(attempt: Try, kind: int) -> None:
    def script(frame: Frame, sock: socket.socket) -> bytes:
        if frame.type == MSG_CONNECT:
            return welcome(frame)
        return answer(frame, kind, b"'x'")

    assert is_a(attempt("echo", script), "ProtocolError", "CommunicationError")


def test_costly_results(attempt: Try) -> None:
    """[HRD-7], [HRD-9]: what takes no long time in servers takes none in clients either."""
    payloads = [
        ("serpent", b"[" * 100_000 + b"]" * 100_000),
        ("json", b"[" * 100_000 + b"]" * 100_000),
        ("msgpack", b"\x91" * 100_000 + b"\xc0"),
        ("marshal", b"[\1\0\0\0" * 100_000 + b"N"),
        ("serpent", b"9" * 1_000_000),
        ("json", b"9" * 1_000_000),
        ("serpent", b"{" + b",".join(b"%d" % (number * PRIME) for number in range(20_000)) + b"}"),
        ("serpent", b"{" + b",".join(b"%d:0" % (number * PRIME) for number in range(20_000)) + b"}"),
    ]
    for serializer, payload in payloads:

        def script(frame: Frame, sock: socket.socket, payload: bytes = payload) -> bytes:
            return welcome(frame) if frame.type == MSG_CONNECT else answer(frame, MSG_RESULT, payload)

        told = attempt("echo", script, serializer=serializer)
        assert is_a(told, "SerializeError", "ProtocolError"), (serializer, payload[:20], told)
        assert told["seconds"] < 5, (serializer, payload[:20], told)


def test_wrong_signatures(attempt: Try) -> None:
    """[SEC-30]: a server without the key, or with another one."""
    for key in (None, b"other"):

        def script(frame: Frame, sock: socket.socket, key: bytes | None = key) -> bytes:
            data = bytes(get_serializer_of(frame).dumps("hello"))
            kind = MSG_CONNECTOK if frame.type == MSG_CONNECT else MSG_RESULT
            return b"".join(v48.encode(kind, 0, frame.seq, frame.serializer_id, data, None, key))

        told = attempt("bind", script, hmac_key="secret", config={"METADATA": False})
        assert is_a(told, "CommunicationError", "SecurityError"), told
        assert "hmac" in told["text"]


def test_broken_compression(attempt: Try) -> None:
    """[HRD-3], [HRD-4]: raised as an error of the library; the next call is made over a new connection."""
    good = zlib.compress(b"'x'")
    for data in (b"", b"x", good[:-3], good + b"x", zlib.compress(good)):
        greetings = 0

        def script(frame: Frame, sock: socket.socket, data: bytes = data) -> bytes:
            nonlocal greetings
            if frame.type == MSG_CONNECT:
                greetings += 1
                return welcome(frame)
            if greetings > 1:
                return answer(frame, MSG_RESULT, good, FLAGS_COMPRESSED)
            return answer(frame, MSG_RESULT, data, FLAGS_COMPRESSED)

        told = attempt("echo", script, again=True)
        assert is_a(told, "SerializeError", "ProtocolError"), (data, told)
        assert told["again"]["value"] == "'x'", (data, told)
