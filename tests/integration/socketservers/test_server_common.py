"""What the listening servers have in common: locations, log lines, old-style request handlers."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from typing import Any, ClassVar

import pytest

from pyrolite.net import sockets
from pyrolite.net.connection import SocketConnection
from pyrolite.socketserver import make_server
from pyrolite.wire import v48
from pyrolite.wire.message import MSG_CONNECTFAIL, MSG_INVOKE, MSG_RESULT

from .conftest import MARSHAL, EchoDaemon

BOTH = pytest.mark.parametrize("name", ["thread", "multiplex"])


class OldStyleDaemon(EchoDaemon):
    """Reads requests with `recv`, as overrides written for Pyro4 do."""

    def handleRequest(self, conn: SocketConnection) -> None:
        header = v48.parse_header(bytes(conn.recv(v48.HEADER_SIZE)))
        conn.recv(header[5])
        data = bytes(conn.recv(header[3]))
        conn.send(b"".join(v48.encode(MSG_RESULT, 0, header[2], MARSHAL, data)))


@BOTH
def test_old_style_request_handler(start_server: Any, name: str) -> None:
    """[SRV-37] Overrides of handleRequest that read through `conn.recv` work, also with several requests buffered."""
    running = start_server(name)
    running.server.daemon = OldStyleDaemon(running.config)
    client = running.client()
    for data in (b"small", b"L" * 1_000_000):
        assert client.call(data) == data
    client.sock.sendall(client.message(MSG_INVOKE, b"one") + client.message(MSG_INVOKE, b"two"))
    assert [bytes(client.receive().data) for _ in range(2)] == [b"one", b"two"]


@BOTH
def test_log_lines(start_server: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-5] The kind of server and the absence of TLS are logged at INFO."""
    caplog.set_level("INFO")
    start_server(name)
    text = {"thread": "starting thread pool socketserver", "multiplex": "starting multiplexed socketserver"}[name]
    assert text in caplog.messages
    assert "not using SSL" in caplog.messages


@BOTH
def test_weird_dns(
    start_server: Any, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[SRV-4], [DMN-5] A host name that resolves to 127.x is warned about; the location has the host as given."""
    original = sockets.createSocket

    def create(bind: Any, **options: Any) -> socket.socket:
        return original(bind=("127.0.0.1", bind[1]), **options)

    monkeypatch.setattr(sockets, "createSocket", create)
    running = start_server(name, host="my.host")
    assert "weird DNS setup: my.host resolves to localhost (127.x.x.x)" in caplog.text
    assert running.server.locationStr == f"my.host:{running.address[1]}"


@BOTH
@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6(start_server: Any, name: str) -> None:
    """[DMN-5] Location of IPv6 servers."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    running = start_server(name, host="::1")
    assert running.server.locationStr == f"[::1]:{running.address[1]}"
    assert running.client().call(b"six") == b"six"


@BOTH
def test_garbage(start_server: Any, name: str) -> None:
    """[WIRE-66] 24 bytes of anything are given to the daemon's handshake; fewer are not."""
    running = start_server(name, HANDSHAKE_TIMEOUT=0.3)

    def refuse(conn: SocketConnection, denied_reason: str | None = None) -> bool:
        running.daemon.handshakes += 1
        conn.send_parts(*v48.encode(MSG_CONNECTFAIL, 0, 0, MARSHAL, b"invalid data"))
        return False

    running.daemon._handshake = refuse
    garbage, short = running.connect(), running.connect()
    garbage.sock.sendall(b"!" * 24)
    short.sock.sendall(b"!" * 16)
    assert garbage.receive().type == MSG_CONNECTFAIL
    assert garbage.closed_by_server()
    assert short.sock.recv(100) == b""
    assert running.daemon.handshakes == 1


@BOTH
def test_never_initialised(name: str) -> None:
    """[SRV-1], [SRV-10] A server that was never initialised can be closed, and has no sockets."""
    server: Any = make_server(name)
    assert server.sockets == []
    server.shutdown()
    server.close()


@BOTH
def test_listening_socket(start_server: Any, name: str) -> None:
    """[SRV-3] Its options, and how many clients may wait to be accepted."""
    sock = start_server(name).server.sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) or sys.platform == "win32"
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert not sock.get_inheritable()
    sock = start_server(name, SOCK_REUSE=False, SOCK_NODELAY=False).server.sock
    assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@BOTH
@pytest.mark.parametrize("nodelay", [True, False])
def test_accepted_socket(start_server: Any, name: str, nodelay: bool) -> None:
    """[BYD-6], [BYD-58], [SRV-3] Accepted connections have the options too, wherever they get them from."""
    running = start_server(name, SOCK_NODELAY=nodelay)
    seen: list[tuple[int, int, bool]] = []

    def look(conn: SocketConnection) -> bytes:
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_NODELAY)]
        keepalive, no_delay = (conn.sock.getsockopt(*option) for option in options)
        seen.append((bool(keepalive), bool(no_delay), conn.sock.get_inheritable()))
        return b""

    running.daemon.behaviours[b"look"] = look
    running.client().call(b"look")
    assert seen == [(True, nodelay, False)]


def test_accepted_socket_timeout(start_server: Any) -> None:
    """[SRV-6] The thread server's connections have COMMTIMEOUT as it was when they were accepted."""
    running = start_server("thread", COMMTIMEOUT=7.0)
    running.daemon.behaviours[b"timeout"] = lambda conn: repr(conn.timeout).encode()
    first = running.client()
    assert first.call(b"timeout") == b"7.0"
    running.config.COMMTIMEOUT = 0.0
    second = running.client()
    assert second.call(b"timeout") == b"None"
    assert first.call(b"timeout") == b"7.0"


@BOTH
def test_errors_of_accept(
    start_server: Any, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[SRV-8] An error of `accept` is logged and does not end the loop."""
    running = start_server(name)

    class Failing:
        """The listening socket, whose first `accept` fails."""

        failures: ClassVar[list[OSError]] = [OSError(errno.EPROTO, "protocol error"), ConnectionAbortedError("aborted")]

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def accept(self) -> Any:
            if self.failures:
                raise self.failures.pop()
            return self._sock.accept()

        def __getattr__(self, attribute: str) -> Any:
            return getattr(self._sock, attribute)

    acceptor = running.server._acceptor
    monkeypatch.setattr(acceptor, "sock", Failing(acceptor.sock))
    assert running.client().call(b"x") == b"x"
    assert Failing.failures == []
    assert [message for message in caplog.messages if "accept" in message] == [
        "error during accept(): [Errno 71] protocol error"
    ]
    assert running.thread.is_alive()


@BOTH
def test_stats(start_server: Any, name: str) -> None:
    """[BYD-7] Connections and workers are counted."""
    running = start_server(name, THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    clients = [running.client() for _ in range(4)]
    for client in clients:
        client.call(b"x")
    stats = running.server.stats()
    assert (stats["connections_open"], stats["connections_total"]) == (4, 4)
    if name == "thread":
        assert (stats["workers_limit"], stats["workers_busy"] + stats["workers_idle"]) == (2, 2)
        assert stats["connections_parked"] >= 2
    else:
        assert (stats["workers_limit"], stats["workers_busy"], stats["connections_parked"]) == (0, 0, 0)
    for client in clients[:3]:
        client.close()
    running.eventually(lambda: running.server.stats()["connections_open"] == 1)
    assert running.server.stats()["connections_total"] == 4


def test_repr(start_server: Any) -> None:
    """[SRV-35], [SRV-26] What the servers say of themselves."""
    running = start_server("multiplex")
    assert repr(running.server) == f"<SocketServer_Multiplex on {running.server.locationStr}; 0 connections>"
    running.client()
    assert repr(running.server) == f"<SocketServer_Multiplex on {running.server.locationStr}; 1 connections>"
    running = start_server("thread", THREADPOOL_SIZE_MIN=3)
    assert repr(running.server) == f"<SocketServer_Threadpool on {running.server.locationStr}; 3 workers>"


@BOTH
def test_buffered_input_is_bounded(start_server: Any, name: str) -> None:
    """[SEC-41], [HRD-11], [HRD-5] A server takes in little more than the message it works on, whatever is sent."""
    running = start_server(name, THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    release, buffered = threading.Event(), []

    def block(conn: SocketConnection) -> bytes:
        release.wait(10)
        buffered.append(conn.buffered)
        return b""

    running.daemon.behaviours[b"block"] = block
    client = running.client()
    message = client.message(MSG_INVOKE, b"block")
    client.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.sock.sendall(message + client.message(MSG_INVOKE, b"x" * 100_000) * 400)
    release.set()
    running.eventually(lambda: buffered)
    assert buffered[0] <= 1 << 17
