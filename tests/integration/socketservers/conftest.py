"""A small daemon that echoes frames, a raw client, and servers in threads, for the tests of the socket servers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from pyrolite.configuration import Configuration, config
from pyrolite.errors import ConnectionClosedError
from pyrolite.net.connection import SocketConnection
from pyrolite.socketserver import make_server
from pyrolite.wire import v48
from pyrolite.wire.message import MSG_CONNECT, MSG_CONNECTFAIL, MSG_CONNECTOK, MSG_INVOKE, MSG_PING, MSG_RESULT, Frame

MARSHAL = 3


class EchoDaemon:
    """Answers each INVOKE with its own payload; some payloads do something else, see `behaviours`."""

    def __init__(self, configuration: Configuration) -> None:
        self._pyroConfig = configuration
        self.server: Any = None
        self.behaviours: dict[bytes, Callable[[SocketConnection], bytes]] = {b"thread": self._thread_name}
        self.handshakes = 0
        self.requests = 0
        self.disconnected: list[SocketConnection] = []
        self.housekeepings = 0
        self.changed = threading.Condition()
        self.on_handshake: Callable[[SocketConnection], None] = lambda conn: None
        self.on_disconnect: Callable[[SocketConnection], None] = lambda conn: None
        self.on_housekeeping: Callable[[], None] = lambda: None

    @staticmethod
    def _thread_name(conn: SocketConnection) -> bytes:
        return threading.current_thread().name.encode()

    def _handshake(self, conn: SocketConnection, denied_reason: str | None = None) -> bool:
        frame = conn.receive_frame((MSG_CONNECT,), None, self._pyroConfig.MAX_MESSAGE_SIZE)
        if denied_reason is None:
            self.on_handshake(conn)
        answer = (MSG_CONNECTOK, b"hello") if denied_reason is None else (MSG_CONNECTFAIL, denied_reason.encode())
        conn.send_parts(*v48.encode(answer[0], 0, frame.seq, MARSHAL, answer[1]))
        self._count("handshakes")
        return denied_reason is None

    def handleRequest(self, conn: SocketConnection) -> None:
        frame = conn.receive_frame((MSG_INVOKE, MSG_PING), None, self._pyroConfig.MAX_MESSAGE_SIZE)
        behaviour = self.behaviours.get(bytes(frame.data)) if len(frame.data) < 100 else None
        data = frame.data if behaviour is None else behaviour(conn)
        conn.send_parts(*v48.encode(MSG_RESULT, 0, frame.seq, frame.serializer_id, data))
        self._count("requests")

    def _clientDisconnect(self, conn: SocketConnection) -> None:
        with self.changed:
            self.disconnected.append(conn)
            self.changed.notify_all()
        self.on_disconnect(conn)

    def _housekeeping(self) -> None:
        self._count("housekeepings")
        self.on_housekeeping()

    def _count(self, name: str) -> None:
        with self.changed:
            setattr(self, name, getattr(self, name) + 1)
            self.changed.notify_all()

    def wait_until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        """Wait until ``condition``, which depends on what this daemon counts, holds."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), "did not happen in time"


class RawClient:
    """A client made of a plain socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        self.sock = sock
        self.seq = 7

    def message(self, msg_type: int, data: bytes) -> bytes:
        self.seq += 1
        return b"".join(v48.encode(msg_type, 0, self.seq, MARSHAL, data))

    def send(self, msg_type: int, data: bytes) -> None:
        self.sock.sendall(self.message(msg_type, data))

    def receive(self) -> Frame:
        head = self._exactly(v48.HEADER_SIZE)
        header = v48.parse_header(head)
        annotations = v48.parse_annotations(self._exactly(header[5]))
        return Frame(header[0], header[1], header[2], header[4], annotations, self._exactly(header[3]))

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise ConnectionClosedError("closed by server")
            data += piece
        return bytes(data)

    def handshake(self) -> RawClient:
        self.send(MSG_CONNECT, b"hi")
        frame = self.receive()
        assert (frame.type, frame.seq) == (MSG_CONNECTOK, self.seq), bytes(frame.data)
        return self

    def call(self, data: bytes = b"ping") -> bytes:
        self.send(MSG_INVOKE, data)
        frame = self.receive()
        assert (frame.type, frame.seq) == (MSG_RESULT, self.seq)
        return bytes(frame.data)

    def closed_by_server(self) -> bool:
        """Wait for the end of the stream."""
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        self.sock.close()


class Running:
    """A server whose loop runs in a thread."""

    def __init__(self, name: str, host: str, unixsocket: str | None, settings: dict[str, Any]) -> None:
        self.config = config.copy(**{"POLLTIMEOUT": 5.0, **settings})
        self.daemon = EchoDaemon(self.config)
        self.server: Any = make_server(name)
        self.server.init(self.daemon, host, 0, unixsocket)
        self.daemon.server = self.server
        self.address: Any = self.server.sock.getsockname()
        self.family = self.server.sock.family
        self._clients: list[RawClient] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._loop)
        self.thread.start()

    def _loop(self) -> None:
        try:
            self.server.loop()
        except BaseException as error:
            self.error = error

    def connect(self) -> RawClient:
        """A new connection, without handshake."""
        sock = socket.socket(self.family)
        sock.settimeout(10)
        sock.connect(self.address)
        client = RawClient(sock)
        self._clients.append(client)
        return client

    def client(self) -> RawClient:
        """A new connection with handshake."""
        return self.connect().handshake()

    @staticmethod
    def eventually(condition: Callable[[], object]) -> None:
        """Wait for something inside the server that tells nobody when it happens."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.002)

    def stop(self) -> None:
        self.server.shutdown(0.5)
        self.thread.join(5)
        assert not self.thread.is_alive()
        for client in self._clients:
            client.close()


class StartServer(Protocol):
    def __call__(
        self, name: str = ..., *, host: str = ..., unixsocket: str | None = ..., **settings: Any
    ) -> Running: ...


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start a server of the given kind with the given configuration; all is cleaned up and checked at the end."""
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:

        def start(
            name: str = "thread", *, host: str = "127.0.0.1", unixsocket: str | None = None, **settings: Any
        ) -> Running:
            running = Running(name, host, unixsocket, settings)
            stack.callback(running.stop)
            return running

        yield start
    deadline = time.monotonic() + 5
    while left := [thread for thread in threading.enumerate() if thread not in before]:
        assert time.monotonic() < deadline, f"threads left behind: {left}"
        left[0].join(0.1)
