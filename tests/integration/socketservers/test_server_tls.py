"""TLS on the socket servers: the negotiation never blocks anybody."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from pyrolite.wire.message import MSG_INVOKE

from .conftest import RawClient, Running

BOTH = pytest.mark.parametrize("name", ["thread", "multiplex"])


@pytest.fixture
def certificate(certificates: Any) -> Path:
    """[TLS-11] The certificate of a server for localhost, with its key in the same file."""
    path: Path = certificates.server
    return path


def start_tls(start_server: Any, name: str, certificate: Path, **settings: Any) -> Running:
    running: Running = start_server(name, SSL=True, SSL_SERVERCERT=str(certificate), **settings)
    return running


def tls_client(running: Running, certificate: Path) -> RawClient:
    client = running.connect()
    context = ssl.create_default_context(cafile=str(certificate.parent / "ca.pem"))
    client.sock = context.wrap_socket(client.sock, server_hostname="localhost")
    return client


@BOTH
def test_calls(start_server: Any, certificate: Path, name: str) -> None:
    """[TLS-9] Calls of all sizes, and several requests in one record."""
    running = start_tls(start_server, name, certificate)
    clients = [tls_client(running, certificate).handshake() for _ in range(5)]
    for client in clients:
        assert client.call(b"secret") == b"secret"
        assert len(client.call(b"L" * 3_000_000)) == 3_000_000
    client.sock.sendall(b"".join(client.message(4, b"%d" % number) for number in range(50)))
    assert [bytes(client.receive().data) for _ in range(50)] == [b"%d" % number for number in range(50)]


@BOTH
def test_silent_client(start_server: Any, certificate: Path, name: str) -> None:
    """[HRD-14], [SRV-11] Clients that do not begin, or do not go on with, the TLS negotiation stop nobody."""
    running = start_tls(start_server, name, certificate, HANDSHAKE_TIMEOUT=0.5)
    silent, half, garbage = running.connect(), running.connect(), running.connect()
    half.sock.sendall(b"\x16\x03\x01\x02\x00\x01")
    garbage.sock.sendall(b"PYRO this is no TLS at all, and more than a few bytes of it")
    assert tls_client(running, certificate).handshake().call(b"fine") == b"fine"
    assert garbage.closed_by_server()
    assert silent.closed_by_server()
    assert half.closed_by_server()
    assert tls_client(running, certificate).handshake().call(b"still") == b"still"


def test_parking(start_server: Any, certificate: Path) -> None:
    """[BYD-1] The TLS state survives parking."""
    running = start_tls(start_server, "thread", certificate, THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    clients = [tls_client(running, certificate).handshake() for _ in range(12)]
    for _ in range(2):
        for number, client in enumerate(clients):
            assert client.call(b"%d" % number) == b"%d" % number
    assert running.server.stats()["connections_parked"] >= 10


def test_half_messages_bind_no_worker(start_server: Any, certificate: Path) -> None:
    """[HRD-13], [SEC-40] Half messages over TLS: other clients are served all the same."""
    running = start_tls(start_server, "thread", certificate, THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    slow = [tls_client(running, certificate).handshake() for _ in range(4)]
    messages = [client.message(MSG_INVOKE, bytes([number]) * 50_000) for number, client in enumerate(slow)]
    for client, message in zip(slow, messages, strict=True):
        client.sock.sendall(message[:25_000])
    assert tls_client(running, certificate).handshake().call(b"x") == b"x"
    for number, client in enumerate(slow):
        client.sock.sendall(messages[number][25_000:])
        assert bytes(client.receive().data) == bytes([number]) * 50_000
        assert len(client.call(b"L" * 3_000_000)) == 3_000_000


@BOTH
def test_shutdown(start_server: Any, certificate: Path, name: str) -> None:
    """[SRV-27] TLS connections end promptly too."""
    running = start_tls(start_server, name, certificate)
    client = tls_client(running, certificate).handshake()
    client.call(b"x")
    began = time.monotonic()
    running.server.shutdown()
    assert time.monotonic() - began < 1
    assert client.closed_by_server()


def test_no_certificate(start_server: Any) -> None:
    """[TLS-5] SSL without a configured certificate is refused with a clear text."""
    with pytest.raises(ValueError, match="SSL requested but SSL_SERVERCERT is not configured"):
        start_server(SSL=True)
