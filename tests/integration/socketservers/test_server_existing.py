"""The server for a connected socket of the user."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.errors import ProtocolError, PyroError, SecurityError, TimeoutError  # noqa: A004
from pyrolite.net.connection import SocketConnection
from pyrolite.socketserver.existingconnectionserver import SocketServer_ExistingConnection
from pyrolite.wire.message import MSG_INVOKE

from .conftest import EchoDaemon, RawClient


class Pair:
    """A server on one end of a socket pair, its loop in a thread, and a client on the other."""

    def __init__(self, **settings: Any) -> None:
        ours, self.users_socket = socket.socketpair()
        self.daemon = EchoDaemon(config.copy(**settings))
        self.server = SocketServer_ExistingConnection()
        self.server.init(self.daemon, self.users_socket)
        self.client = RawClient(ours)
        self.thread = threading.Thread(target=self.server.loop)
        self.thread.start()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair(POLLTIMEOUT=30.0)
    with contextlib.closing(made.client), contextlib.closing(made.users_socket):
        yield made
        made.server.shutdown()
        made.thread.join(5)
        assert not made.thread.is_alive()


def test_requests_without_handshake(pair: Pair) -> None:
    """[SRV-50], [SRV-52] The first message is a request; housekeeping after each; the end when the peer closes."""
    assert pair.client.call(b"first") == b"first"
    for _ in range(20):
        pair.client.send(MSG_INVOKE, b"piped")
    assert all(pair.client.receive().data == b"piped" for _ in range(20))
    pair.daemon.wait_until(lambda: pair.daemon.housekeepings >= 21)
    pair.client.close()
    pair.thread.join(5)
    assert not pair.thread.is_alive()
    assert len(pair.daemon.disconnected) == 1


def test_socket_stays_open(pair: Pair) -> None:
    """[SRV-53] shutdown and close never close the user's socket."""
    pair.server.shutdown()
    pair.thread.join(5)
    pair.server.close()
    pair.client.sock.sendall(b"still")
    assert pair.users_socket.recv(5) == b"still"
    assert len(pair.daemon.disconnected) == 1


def test_shutdown_within_a_call(pair: Pair) -> None:
    """[DMN-32] The reply of the call that shuts down is delivered."""

    def stop(conn: SocketConnection) -> bytes:
        pair.server.shutdown()
        return b"stopped"

    pair.daemon.behaviours[b"stop"] = stop
    assert pair.client.call(b"stop") == b"stopped"
    pair.thread.join(5)
    assert not pair.thread.is_alive()


@pytest.mark.parametrize(
    ("error", "ends"), [(SecurityError("no"), True), (ProtocolError("bad"), True), (TimeoutError("late"), False)]
)
def test_errors(pair: Pair, error: Exception, ends: bool) -> None:
    """[SRV-52], [SRV-7] Security and protocol errors end the loop, a timeout does not."""

    def fail(conn: SocketConnection) -> bytes:
        raise error

    pair.daemon.behaviours[b"fail"] = fail
    pair.client.send(MSG_INVOKE, b"fail")
    if ends:
        pair.thread.join(5)
        assert not pair.thread.is_alive()
    else:
        assert pair.client.call(b"on") == b"on"


def test_condition() -> None:
    """[SRV-52] A false condition ends the loop; a socket timeout does not."""
    ours, users = socket.socketpair()
    with ours, users:
        users.settimeout(0.02)
        server = SocketServer_ExistingConnection()
        server.init(EchoDaemon(config.copy(POLLTIMEOUT=0.05)), users)
        began = time.monotonic()
        server.loop(lambda: time.monotonic() - began < 0.2)
        assert 0.2 <= time.monotonic() - began < 2
        server.close()


def test_interface_details(pair: Pair) -> None:
    """[SRV-51], [SRV-54], [SRV-55] What this server can not do, and how it is called."""
    server = pair.server
    assert server.sockets == [pair.users_socket]
    assert server.locationStr == "./u:<<not-bound>>"
    assert repr(server) == "<SocketServer_ExistingConnection on ./u:<<not-bound>>>"
    with pytest.raises(PyroError, match="cannot combine servers when using user-supplied connected socket"):
        server.combine_loop(server)
    with pytest.raises(PyroError, match="cannot combine events when using user-supplied connected socket"):
        server.events([pair.users_socket])
    with pytest.raises(TypeError, match="single-connection server doesn't have multiplexing selector"):
        _ = server.selector


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_location_of_tcp_sockets(family: int) -> None:
    """[SRV-51] host:port or [ipv6]:port of the local end."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener, socket.create_connection(listener.getsockname()[:2]) as users:
        server = SocketServer_ExistingConnection()
        server.init(EchoDaemon(config.copy()), users)
        port = users.getsockname()[1]
        assert server.locationStr == (f"127.0.0.1:{port}" if family == socket.AF_INET else f"[::1]:{port}")
        server.close()


def test_unsuitable_sockets() -> None:
    """[SRV-50], [SEC-39] An unconnected socket, and a plain one when SSL is configured, are refused."""
    server = SocketServer_ExistingConnection()
    with socket.socket() as unconnected, pytest.raises(OSError):
        server.init(EchoDaemon(config.copy()), unconnected)
    ours, users = socket.socketpair()
    with ours, users, pytest.raises(OSError, match="existing socket is not a SSL socket"):
        server.init(EchoDaemon(config.copy(SSL=True)), users)
