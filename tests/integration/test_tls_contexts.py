"""TLS contexts, and TLS at the level of sockets ([TLS-1] to [TLS-11], [SOC-10])."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite.configuration import Configuration, config
from pyrolite.net import tls
from pyrolite.net.connection import SocketConnection
from pyrolite.net.sockets import createSocket, receiveData, sendData
from pyrolite.net.tls import client_context, getSSLcontext, server_context

pytest.importorskip("cryptography")

PASSWORD = "open sesame"


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    with config.override(SSL_REQUIRECLIENTCERT=False, PREFER_IP_VERSION=4):
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Runs a TLS server for one connection in a thread: it sends back what it gets, and what it saw of the client."""
    threads: list[threading.Thread] = []
    servers: list[socket.socket] = []

    def start(context: ssl.SSLContext, bind: Any = ("localhost", 0)) -> Any:
        server = createSocket(bind=bind, sslContext=context)
        server.settimeout(10)
        servers.append(server)
        seen: dict[str, Any] = {}

        def run() -> None:
            sock, _ = server.accept()
            with sock:
                sock.settimeout(10)
                try:
                    data = receiveData(sock, 5)
                    seen["certificate"] = sock.getpeercert()  # type: ignore[attr-defined]
                    sendData(sock, data)
                except Exception as error:
                    seen["error"] = error

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return server, seen, thread

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    for server in servers:
        server.close()


def talk(address: Any, context: ssl.SSLContext) -> Any:
    """Call the server of `serve` and return its certificate."""
    with createSocket(connect=address, timeout=10, sslContext=context) as sock:
        sendData(sock, b"hello")
        assert receiveData(sock, 5) == b"hello"
        assert sock.version() in {"TLSv1.2", "TLSv1.3"}  # type: ignore[attr-defined]
        return sock.getpeercert()  # type: ignore[attr-defined]


# ---- contexts


def test_server_context(certificates: Any) -> None:
    """[TLS-2], [TLS-6] A server asks for no certificate, unless configured to; TLS 1.2 is the least."""
    context = getSSLcontext(servercert=str(certificates.server))
    assert context.verify_mode == ssl.CERT_NONE
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    config.SSL_REQUIRECLIENTCERT = True
    context = getSSLcontext(servercert=str(certificates.server), cacerts=str(certificates.ca))
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_client_context(certificates: Any) -> None:
    """[TLS-2], [TLS-6] A client verifies certificate and host name; the CAs are added to those of the system."""
    context = getSSLcontext()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    more = getSSLcontext(cacerts=str(certificates.ca))
    assert more.cert_store_stats()["x509_ca"] == context.cert_store_stats()["x509_ca"] + 1


def test_both_certificates(certificates: Any) -> None:
    """[TLS-3] One context is for one role."""
    with pytest.raises(ValueError, match="^can't have both server cert and client cert$"):
        getSSLcontext(servercert=str(certificates.server), clientcert=str(certificates.client))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"servercert": "missing.pem"}, "server cert file not found: missing.pem"),
        ({"servercert": "HERE", "serverkey": "missing.pem"}, "server key file not found: missing.pem"),
        ({"clientcert": "missing.pem"}, "client cert file not found: missing.pem"),
        ({"clientcert": "HERE", "clientkey": "missing.pem"}, "client key file not found: missing.pem"),
        ({"cacerts": "missing.pem"}, "CA certs not found: missing.pem"),
        ({"servercert": "HERE", "cacerts": "missing.pem"}, "CA certs not found: missing.pem"),
    ],
)
def test_missing_files(certificates: Any, arguments: dict[str, str], text: str) -> None:
    """[TLS-3] The path that is missing is named."""
    given = {name: str(certificates.server) if path == "HERE" else path for name, path in arguments.items()}
    with pytest.raises(OSError, match=f"^{text}$"):
        getSSLcontext(**given)


def test_key_in_file_of_its_own(certificates: Any) -> None:
    """[TLS-1] An encrypted key with its password; a missing password is an error and not a question at the terminal."""
    files = {"servercert": str(certificates.server_alone), "serverkey": str(certificates.server_key_encrypted)}
    getSSLcontext(**files, keypassword=PASSWORD)
    for wrong in ("", "wrong"):
        with pytest.raises(OSError, match=r".") as caught:
            getSSLcontext(**files, keypassword=wrong)
        assert PASSWORD not in str(caught.value)


def test_cache(certificates: Any, tmp_path: Path) -> None:
    """[TLS-4] The same parameters give the same context, until a file changes or is gone."""
    path = tmp_path / "server.pem"
    shutil.copy(certificates.server, path)
    first = getSSLcontext(servercert=str(path))
    assert getSSLcontext(servercert=str(path)) is first
    config.SSL_REQUIRECLIENTCERT = True
    assert getSSLcontext(servercert=str(path)) is not first
    config.SSL_REQUIRECLIENTCERT = False
    assert getSSLcontext(servercert=str(path), cacerts=str(certificates.ca)) is not first
    assert getSSLcontext(servercert=str(path)) is first
    shutil.copy(certificates.stranger, path)
    os.utime(path, ns=(1, 1))
    second = getSSLcontext(servercert=str(path))
    assert second is not first
    assert getSSLcontext(servercert=str(path)) is second
    path.write_bytes(b"garbage")
    with pytest.raises(ssl.SSLError):
        getSSLcontext(servercert=str(path))
    path.unlink()
    with pytest.raises(OSError, match="^server cert file not found"):
        getSSLcontext(servercert=str(path))


def test_cache_is_bounded(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[TLS-4] Contexts that nobody asks for any more go."""
    monkeypatch.setattr(tls, "CACHE_SIZE", 3)
    monkeypatch.setattr(tls, "_cache", {})
    contexts = [getSSLcontext(servercert=str(certificates.server), keypassword=str(number)) for number in range(5)]
    assert len(tls._cache) == 3
    assert getSSLcontext(servercert=str(certificates.server), keypassword="4") is contexts[4]
    assert getSSLcontext(servercert=str(certificates.server), keypassword="0") is not contexts[0]


def test_no_password_in_repr(certificates: Any) -> None:
    """[LOG-11] What contexts are made of shows no password."""
    getSSLcontext(servercert=str(certificates.server), keypassword=PASSWORD)
    assert PASSWORD not in repr(tls._cache)


# ---- from configuration


def configured(**items: Any) -> Configuration:
    return config.copy(SSL=True, **{name: str(value) for name, value in items.items()})


def test_server_configuration(certificates: Any) -> None:
    """[TLS-1], [TLS-5] The items of a server."""
    own = configured(
        SSL_SERVERCERT=certificates.server_alone,
        SSL_SERVERKEY=certificates.server_key_encrypted,
        SSL_SERVERKEYPASSWD=PASSWORD,
        SSL_CACERTS=certificates.ca,
    )
    assert server_context(own).verify_mode == ssl.CERT_NONE
    own.SSL_REQUIRECLIENTCERT = True
    assert server_context(own).verify_mode == ssl.CERT_REQUIRED
    own.SSL_SERVERCERT = ""
    with pytest.raises(ValueError, match="^SSL requested but SSL_SERVERCERT is not configured$"):
        server_context(own)


def test_client_configuration(certificates: Any) -> None:
    """[TLS-1], [TLS-6] The items of a client; over Unix sockets only SSL_CACERTS counts."""
    own = configured(SSL_CLIENTCERT=certificates.client, SSL_CACERTS=certificates.ca)
    assert client_context(own).check_hostname
    unix = client_context(own, unixsocket=True)
    assert not unix.check_hostname
    assert unix.verify_mode == ssl.CERT_REQUIRED
    assert unix.cert_store_stats()["x509_ca"] == 1
    own.SSL_CACERTS = ""
    with pytest.raises(ValueError, match="needs SSL_CACERTS"):
        client_context(own, unixsocket=True)


# ---- talking


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_talk(certificates: Any, serve: Any, tmp_path: Path, host: str, kind: str) -> None:
    """[TLS-2], [TLS-8], [SOC-10] Host name and address are verified, with CAs from a file or a directory."""
    cacerts = certificates.ca
    if kind == "directory":
        cacerts = tmp_path
        digest = ca_hash(certificates.ca)
        (tmp_path / f"{digest}.0").write_bytes(certificates.ca.read_bytes())
    server, seen, thread = serve(getSSLcontext(servercert=str(certificates.server)))
    found = talk((host, server.getsockname()[1]), getSSLcontext(cacerts=str(cacerts)))
    assert found.keys() >= {"subject", "issuer", "serialNumber", "notBefore", "notAfter", "version", "subjectAltName"}
    assert ("DNS", "localhost") in found["subjectAltName"]
    thread.join(10)
    assert seen == {"certificate": None}


def ca_hash(path: Path) -> str:
    """The name under which OpenSSL looks for a CA in a directory."""
    import subprocess

    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the openssl program")
    done = subprocess.run(
        [program, "x509", "-hash", "-noout", "-in", str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["stranger", "expired", "elsewhere"])
def test_refused_server(certificates: Any, serve: Any, name: str) -> None:
    """[TLS-7] Untrusted, expired, or for another host: the client refuses."""
    server, _seen, _thread = serve(getSSLcontext(servercert=str(getattr(certificates, name))))
    with pytest.raises(ssl.SSLCertVerificationError, match="CERTIFICATE_VERIFY_FAILED"):
        talk(("localhost", server.getsockname()[1]), getSSLcontext(cacerts=str(certificates.ca)))


def test_client_certificate(certificates: Any, serve: Any) -> None:
    """[TLS-1], [TLS-8] Two-way TLS: the server sees the client's certificate."""
    own = configured(
        SSL_SERVERCERT=certificates.server, SSL_CACERTS=certificates.ca, SSL_CLIENTCERT=certificates.client
    )
    own.SSL_REQUIRECLIENTCERT = True
    server, seen, thread = serve(server_context(own))
    talk(("localhost", server.getsockname()[1]), client_context(own))
    thread.join(10)
    assert seen["certificate"]["subject"] == ((("commonName", "client"),),)


@pytest.mark.parametrize("name", [None, "stranger"])
def test_client_without_certificate(certificates: Any, serve: Any, name: str | None) -> None:
    """[TLS-7] A server that requires a certificate refuses clients without, or with one that it does not trust."""
    own = configured(SSL_SERVERCERT=certificates.server, SSL_CACERTS=certificates.ca)
    own.SSL_REQUIRECLIENTCERT = True
    own.SSL_CLIENTCERT = "" if name is None else str(getattr(certificates, name))
    server, seen, thread = serve(server_context(own))
    with pytest.raises(Exception, match="connection lost|SSL|not enough data|reset|EOF|[Bb]roken pipe"):
        talk(("localhost", server.getsockname()[1]), client_context(own))
    thread.join(10)
    assert "certificate" not in seen
    assert "SSL" in str(seen["error"])


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix domain sockets here")
def test_unix_socket(certificates: Any, serve: Any, tmp_path: Path) -> None:
    """[TLS-6] TLS over a Unix socket: any host name, but the certificate must be trusted."""
    own = configured(SSL_SERVERCERT=certificates.elsewhere, SSL_CACERTS=certificates.ca)
    path = str(tmp_path / "s")
    serve(server_context(own), path)
    talk(path, client_context(own, unixsocket=True))
    other = str(tmp_path / "t")
    serve(server_context(configured(SSL_SERVERCERT=certificates.stranger)), other)
    with pytest.raises(ssl.SSLCertVerificationError):
        talk(other, client_context(own, unixsocket=True))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix domain sockets here")
def test_unix_socket_with_host_check(certificates: Any, tmp_path: Path) -> None:
    """[TLS-6] A context that wants to check a host name cannot be used on a Unix socket."""
    path = str(tmp_path / "s")
    with (
        createSocket(bind=path),
        pytest.raises(ValueError, match="no host name"),
    ):
        createSocket(connect=path, sslContext=getSSLcontext(cacerts=str(certificates.ca)))


def test_accept_does_not_wait(certificates: Any) -> None:
    """[SOC-10], [SRV-11] Accepting a TLS connection does not wait for its negotiation."""
    context = getSSLcontext(servercert=str(certificates.server))
    server = createSocket(bind=("localhost", 0), sslContext=context, timeout=5)
    with server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        accepted.close()


def test_close_does_not_wait(certificates: Any, serve: Any) -> None:
    """[SOC-23] Closing a TLS connection does not wait for the other end."""
    import time

    context = getSSLcontext(servercert=str(certificates.server))
    server, _seen, _thread = serve(context)
    sock = createSocket(
        connect=server.getsockname(), timeout=10, sslContext=getSSLcontext(cacerts=str(certificates.ca))
    )
    connection = SocketConnection(sock)
    began = time.monotonic()
    connection.close()
    assert time.monotonic() - began < 1
    assert connection.fileno() == -1


def test_blocks(certificates: Any, serve: Any) -> None:
    """[TLS-9] Large blocks pass, although MSG_WAITALL cannot be used."""
    context = getSSLcontext(servercert=str(certificates.server))
    with createSocket(bind=("localhost", 0), sslContext=context, timeout=10) as server:
        received: list[bytes] = []

        def run() -> None:
            sock, _ = server.accept()
            with sock:
                sock.settimeout(10)
                received.append(receiveData(sock, 3_000_000))
                sendData(sock, received[0])

        thread = threading.Thread(target=run)
        thread.start()
        client = createSocket(
            connect=server.getsockname(), timeout=10, sslContext=getSSLcontext(cacerts=str(certificates.ca))
        )
        with client:
            data = os.urandom(3_000_000)
            client.settimeout(0.0)
            sendData(client, data)
            assert receiveData(client, 3_000_000) == data
        thread.join(10)
        assert received == [data]
