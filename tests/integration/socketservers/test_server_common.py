"""What the listening servers have in common: locations, log lines, old-style request handlers."""

from __future__ import annotations

import socket
from typing import Any

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
