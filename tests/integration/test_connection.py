"""SocketConnection, by itself ([SOC-18] to [SOC-24], [HRD-15])."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.errors import (
    ConnectionClosedError,
    MessageTooLargeError,
    ProtocolError,
    TimeoutError,  # noqa: A004 - [ERR-2]
)
from pyrolite.net.connection import SocketConnection
from pyrolite.wire import v48
from pyrolite.wire.message import MSG_INVOKE, MSG_PING


def message(data: bytes, msg_type: int = MSG_INVOKE) -> bytes:
    return b"".join(v48.encode(msg_type, 0, 7, 3, data))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, SocketConnection]]:
    """A plain socket, and the connection at the other end of it."""
    one, other = socket.socketpair()
    connection = SocketConnection(other)
    with one, connection:
        yield one, connection


@pytest.fixture
def in_thread() -> Iterator[Callable[..., threading.Thread]]:
    """Runs functions in threads, which have to end."""
    threads: list[threading.Thread] = []

    def run(function: Callable[..., object], *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments)
        threads.append(thread)
        thread.start()
        return thread

    yield run
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


# ---- attributes and lifetime


def test_attributes(pair: Any) -> None:
    """[SOC-20] The documented attributes."""
    _, connection = pair
    assert connection.objectId is None
    assert connection.keep_open is False
    assert connection.pyroInstances == {}
    assert list(connection.tracked_resources) == []
    assert connection.fileno() == connection.sock.fileno() >= 0
    assert connection.family() in {"Unix", "IPv4"}
    assert connection.getpeercert() is None
    connection.custom = "users may add attributes"
    one, other = socket.socketpair()
    with one, SocketConnection(other, "object", True) as second:
        assert (second.objectId, second.keep_open) == ("object", True)
    other.close()


def test_timeout_property(pair: Any) -> None:
    """[SOC-20] The timeout, in both spellings; 0 means none."""
    _, connection = pair
    connection.timeout = 2
    assert connection.timeout == connection.getTimeout() == connection.sock.gettimeout() == 2.0
    connection.setTimeout(0)
    assert connection.timeout is None
    connection.setTimeout(None)
    assert connection.timeout is None


def test_close(pair: Any) -> None:
    """[SOC-21], [SOC-22], [HRD-30] Closing: resources first, then instances; repeatable; the socket attribute stays."""
    one, connection = pair
    events: list[str] = []

    class Resource:
        def __init__(self, name: str, fails: bool) -> None:
            self.name, self.fails = name, fails

        def close(self) -> None:
            events.append(f"{self.name} {len(connection.pyroInstances)}")
            if self.fails:
                raise RuntimeError("cannot be closed")

    resources = [Resource("a", True), Resource("b", False)]
    connection.pyroInstances[Resource] = resources[0]
    for resource in resources:
        connection.tracked_resources.add(resource)
    connection.close()
    assert sorted(events) == ["a 1", "b 1"]
    assert connection.pyroInstances == {}
    assert list(connection.tracked_resources) == []
    assert connection.sock is not None
    assert connection.fileno() == -1
    assert one.recv(10) == b""
    connection.close()
    assert len(events) == 2
    assert "closed" in repr(connection)


def test_resources_are_weak(pair: Any) -> None:
    """[SOC-20] A resource that nobody else has is forgotten."""

    class Resource:
        def close(self) -> None:
            pytest.fail("nobody has it any more")

    _, connection = pair
    connection.tracked_resources.add(Resource())
    gc.collect()
    connection.close()


def test_keep_open() -> None:
    """[SOC-21] A socket of the user is not touched, and nothing of the session either."""
    one, other = socket.socketpair()
    with one, other:
        connection = SocketConnection(other, keep_open=True)
        connection.pyroInstances[int] = 1
        connection.close()
        assert connection.fileno() >= 0
        assert connection.pyroInstances == {int: 1}
        del connection
        gc.collect()
        other.sendall(b"x")
        assert one.recv(1) == b"x"


def test_garbage() -> None:
    """[SOC-20] A connection that nobody has any more is closed."""
    one, other = socket.socketpair()
    with one:
        connection = SocketConnection(other)
        del connection, other
        gc.collect()
        assert one.recv(1) == b""


@pytest.mark.skipif(not hasattr(os, "dup"), reason="needs dup")
def test_abandon() -> None:
    """[HRD-33] Abandoning closes this descriptor only; the connection itself lives on."""
    one, other = socket.socketpair()
    inherited = socket.socket(fileno=os.dup(other.fileno()))
    with one, other:
        connection = SocketConnection(inherited)
        connection.abandon()
        assert connection.fileno() == -1
        connection.close()
        other.sendall(b"alive")
        assert one.recv(5) == b"alive"


# ---- receiving


MODES = pytest.mark.parametrize("timeout", [None, 5.0], ids=["blocking", "timeout"])


@MODES
@pytest.mark.parametrize("size", [0, 10, 65_000, 66_000, 3_000_000])
def test_receive_frame(pair: Any, in_thread: Any, timeout: float | None, size: int) -> None:
    """[WIRE-50] Messages of any size, several in one piece, raw bytes in between."""
    one, connection = pair
    connection.setTimeout(timeout)
    data = os.urandom(1000) * (size // 1000) + b"x" * (size % 1000)
    in_thread(one.sendall, message(data) + b"raw" + message(b"next", MSG_PING))
    frame = connection.receive_frame((MSG_INVOKE,))
    assert (frame.type, frame.seq) == (MSG_INVOKE, 7)
    assert frame.data == data
    assert connection.recv(3) == b"raw"
    frame = connection.receive_frame()
    assert (frame.type, bytes(frame.data)) == (MSG_PING, b"next")
    assert connection.buffered == 0


@MODES
def test_receive_byte_by_byte(pair: Any, in_thread: Any, timeout: float | None) -> None:
    """[WIRE-50] A message that comes in pieces of one byte."""
    one, connection = pair
    connection.setTimeout(timeout)

    def dribble() -> None:
        for byte in message(b"hello"):
            one.sendall(bytes([byte]))

    in_thread(dribble)
    assert bytes(connection.receive_frame().data) == b"hello"


@pytest.mark.parametrize("sent", [0, 10, 30, 100_000])
def test_closed_early(pair: Any, in_thread: Any, sent: int) -> None:
    """[SOC-15], [WIRE-50] The other end closes: what came is in the error, up to 64 KiB of it."""
    one, connection = pair
    data = message(b"x" * 200_000)

    def send() -> None:
        one.sendall(data[:sent])
        one.shutdown(socket.SHUT_WR)

    in_thread(send)
    with pytest.raises(ConnectionClosedError, match="^receiving: not enough data$") as caught:
        connection.receive_frame()
    assert caught.value.partialData == data[: min(sent, 65536)]
    assert connection.eof


def test_lost(pair: Any) -> None:
    """[SOC-15] An error of the socket."""
    _, connection = pair
    connection.sock.close()
    with pytest.raises(ConnectionClosedError, match="^receiving: connection lost: "):
        connection.receive_frame()
    assert connection.eof


def test_nothing_comes(pair: Any) -> None:
    """[HRD-15], [SOC-15] A timeout without any byte leaves the stream intact."""
    one, connection = pair
    connection.setTimeout(0.05)
    with pytest.raises(TimeoutError, match="^receiving: timeout$") as caught:
        connection.receive_frame()
    assert caught.value.partialData == b""
    assert not connection.eof
    one.sendall(message(b"late"))
    assert bytes(connection.receive_frame().data) == b"late"


class Dribble(threading.Thread):
    """Sends bytes one at a time until the other end has had enough."""

    def __init__(self, sock: socket.socket, data: bytes, pause: float, piece: int = 1) -> None:
        super().__init__()
        self._sock, self._data, self._pause, self._piece = sock, data, pause, piece
        self.enough = threading.Event()

    def run(self) -> None:
        for start in range(0, len(self._data), self._piece):
            self._sock.sendall(self._data[start : start + self._piece])
            if self.enough.wait(self._pause):
                return


@pytest.mark.parametrize("size", [0, 900, 500_000])
def test_header_deadline(pair: Any, size: int) -> None:
    """[HRD-15] The timeout does not start anew with every byte: it is a deadline for header and small messages."""
    one, connection = pair
    connection.setTimeout(0.4)
    dribble = Dribble(one, message(b"x" * size), 0.03)
    dribble.start()
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="^receiving: timeout$") as caught:
        connection.receive_frame()
    taken = time.monotonic() - began
    dribble.enough.set()
    dribble.join()
    assert 0.35 < taken < 0.8
    assert len(caught.value.partialData) > 2
    assert connection.eof


def test_stalled_body(pair: Any) -> None:
    """[HRD-15] A body that stops coming."""
    one, connection = pair
    connection.setTimeout(0.2)
    one.sendall(message(b"x" * 100_000)[:50_000])
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="^receiving: timeout$"):
        connection.receive_frame()
    assert time.monotonic() - began < 1.0


def test_slow_body(pair: Any) -> None:
    """[HRD-15] 1 KiB in each period is enough, however long it takes."""
    one, connection = pair
    connection.setTimeout(0.2)
    dribble = Dribble(one, message(b"x" * 60_000), 0.03, 3000)
    dribble.start()
    began = time.monotonic()
    frame = connection.receive_frame()
    dribble.join()
    assert len(frame.data) == 60_000
    assert time.monotonic() - began > 0.4


@pytest.mark.parametrize(("data", "error"), [(message(b"x" * 100), MessageTooLargeError), (b"x" * 200, ProtocolError)])
def test_bad_messages(pair: Any, data: bytes, error: type[Exception]) -> None:
    """[WIRE-50] Garbage, and messages that are too large."""
    one, connection = pair
    one.sendall(data)
    with pytest.raises(error):
        connection.receive_frame(max_size=99)


@pytest.mark.parametrize("waitall", [False, True])
def test_raw(pair: Any, in_thread: Any, waitall: bool) -> None:
    """[SOC-20], [SOC-15] Raw bytes, the buffered ones first."""
    one, connection = pair
    with config.override(USE_MSG_WAITALL=waitall):
        one.sendall(message(b"first") + b"abc")
        connection.receive_frame()
        in_thread(one.sendall, b"def" * 100_000)
        assert connection.recv(0) == b""
        assert connection.recv(2) == b"ab"
        assert connection.recv(4) == b"cdef"
        assert connection.recv(299_996) == (b"def" * 100_000)[3:-1]
        one.sendall(b"gh")
        one.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionClosedError, match="^receiving: not enough data$") as caught:
            connection.recv(10)
        assert caught.value.partialData == b"fgh"


# ---- idle connections of servers


def test_brief_waits(pair: Any) -> None:
    """[BYD-1] A receive that ends by itself when the client is idle."""
    one, connection = pair
    if not connection.brief_waits(0.01):
        pytest.skip("not possible on this system")
    assert connection.receive_some() is False
    one.sendall(message(b"x")[:10])
    assert connection.receive_some() is True
    assert connection.buffered == 10
    one.sendall(message(b"x")[10:])
    assert bytes(connection.receive_frame().data) == b"x"
    one.close()
    assert connection.receive_some() is True
    assert connection.eof


def test_brief_waits_does_not_end_messages(pair: Any, in_thread: Any) -> None:
    """[BYD-1] Messages, raw bytes and answers are not affected by it, and waiting for them costs no CPU."""
    one, connection = pair
    connection.brief_waits(0.002)

    def send_late() -> None:
        data = message(b"late")
        for piece in (data[:10], data[10:26], data[26:], b"ra", b"w", b""):
            time.sleep(0.1)
            one.sendall(piece)
        one.sendall(b"!")

    in_thread(send_late)
    cpu = time.thread_time()
    assert bytes(connection.receive_frame().data) == b"late"
    assert connection.recv(3) == b"raw"
    assert connection.recv(1) == b"!"
    assert time.thread_time() - cpu < 0.1


def test_no_brief_waits(pair: Any) -> None:
    """[HRD-15] Sockets with a timeout, as those of proxies and with COMMTIMEOUT, do without."""
    _, connection = pair
    connection.setTimeout(5)
    assert connection.brief_waits(0.01) is False


def test_non_blocking(pair: Any, in_thread: Any) -> None:
    """A non-blocking socket waits for the rest of a message without using CPU."""
    one, connection = pair
    connection.sock.setblocking(False)

    def send_late() -> None:
        one.sendall(message(b"late")[:10])
        time.sleep(0.3)
        one.sendall(message(b"late")[10:])

    in_thread(send_late)
    cpu = time.thread_time()
    assert bytes(connection.receive_frame().data) == b"late"
    assert time.thread_time() - cpu < 0.1


def test_wait_readable(pair: Any) -> None:
    """Waiting for a message, which may be buffered already."""
    one, connection = pair
    assert connection.wait_readable(0) is False
    assert connection.wait_readable(0.01) is False
    one.sendall(message(b"x") + message(b"y"))
    assert connection.wait_readable(None) is True
    connection.receive_frame()
    assert connection.wait_readable(0) is True
    connection.receive_frame()
    assert connection.wait_readable(0) is False


# ---- sending


class Spy:
    """A socket that notes what is sent at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sent: list[bytes] = []

    def send(self, data: Any) -> int:
        self.sent.append(bytes(data))
        return self._sock.send(data)

    def sendmsg(self, parts: Any) -> int:
        self.sent.append(b"".join(parts))
        return self._sock.sendmsg(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@pytest.mark.parametrize("size", [0, 100, 65_535, 65_536, 100_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_one_send(pair: Any, in_thread: Any, size: int, kind: type) -> None:
    """[SOC-18], [WIRE-6] Head and payload go out in one piece."""
    one, connection = pair
    spy = connection.sock = Spy(connection.sock)
    received = bytearray()

    def receive() -> None:
        while len(received) < size + 4:
            received.extend(one.recv(1_000_000))

    in_thread(receive)
    payload = os.urandom(size)
    connection.send_parts(b"head", kind(payload))
    assert spy.sent[0] == b"head" + payload
    deadline = time.monotonic() + 10
    while len(received) < size + 4:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert bytes(received) == b"head" + payload


@pytest.mark.parametrize("size", [100, 10_000_000])
def test_send_timeout(pair: Any, size: int) -> None:
    """[SOC-17] The other end takes nothing: the timeout is waited for once."""
    _, connection = pair
    connection.setTimeout(0.2)

    def fill() -> None:
        for _ in range(100_000):
            connection.send_parts(b"head", b"x" * size)

    began = time.monotonic()
    with pytest.raises(TimeoutError, match="^sending: timeout$"):
        fill()
    assert time.monotonic() - began < 2.0


def test_send_lost(pair: Any) -> None:
    """[SOC-17] The other end is gone."""
    one, connection = pair
    one.close()
    for payload in (b"x", b"x" * 1_000_000):
        with pytest.raises(ConnectionClosedError, match="^sending: connection lost: "):
            connection.send_parts(b"head", payload)


def test_queued_output(pair: Any, in_thread: Any) -> None:
    """[SRV-37] For event loops: sending never waits, the rest goes out later."""
    one, connection = pair
    connection.sock.setblocking(False)
    connection.buffer_output()
    data = os.urandom(5_000_000)
    connection.send_parts(b"head", data)
    connection.send(b"tail")
    assert connection.output_pending > 0
    received = bytearray()

    def receive() -> None:
        while piece := one.recv(1_000_000):
            received.extend(piece)

    in_thread(receive)
    deadline = time.monotonic() + 10
    while not connection.flush():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert connection.output_pending == 0
    connection.close()
    while len(received) < len(data) + 8 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert bytes(received) == b"head" + data + b"tail"
