"""Proxies and daemons with TLS: certificates in the hooks, and what ends a connection."""

from __future__ import annotations

from typing import Any

import pytest

import pyrolite
from pyrolite.errors import CommunicationError, MessageTooLargeError, SerializeError


@pyrolite.expose
class Thing:
    def echo(self, value: Any) -> Any:
        return value

    def items(self) -> Any:
        yield 1
        yield 2


class Checking(pyrolite.Daemon):
    """Lets in the clients of one organisation only."""

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        certificate = conn.getpeercert()
        if not certificate or "serialNumber" not in certificate:
            raise ValueError("who are you")
        return certificate["serialNumber"]


class Pinned(pyrolite.Proxy):
    """Talks to one particular server only."""

    def _pyroValidateHandshake(self, response: Any) -> None:
        certificate = self._pyroConnection.getpeercert()
        names = [value for kind, value in certificate["subjectAltName"] if kind == "DNS"]
        if names != self.__dict__.get("_expected", ["localhost"]):
            raise ValueError("not the right server")


@pytest.fixture
def tls(start: Any, certificates: Any, pyro_config: Any) -> Any:
    """A function that starts a daemon with TLS and returns the URI of a thing; clients trust it."""
    pyro_config.SSL = True
    pyro_config.SSL_CACERTS = str(certificates.ca)
    pyro_config.SSL_CLIENTCERT = str(certificates.client)
    settings = {"SSL": True, "SSL_SERVERCERT": str(certificates.server), "SSL_CACERTS": str(certificates.ca)}

    def serve(**options: Any) -> Any:
        return start({"thing": Thing()}, **settings, **options).uris["thing"]

    return serve


def test_calls(tls: Any, connect: Any) -> None:
    """[SEC-36], [PRX-29]"""
    proxy = connect(tls())
    assert proxy.echo("x" * 1_000_000) == "x" * 1_000_000
    proxy._pyroSerializer = "marshal"
    assert proxy.echo(b"y" * 1_000_000) == b"y" * 1_000_000
    proxy._pyroSerializer = "serpent"
    assert list(proxy.items()) == [1, 2]
    proxy._pyroAsync()
    assert [future.value for future in [proxy.echo(number) for number in range(5)]] == list(range(5))


def test_certificates_in_hooks(tls: Any, connect: Any) -> None:
    """[SEC-37], [DMN-43], [PRX-33], [WIRE-68]"""
    uri = tls(daemon_class=Checking, SSL_REQUIRECLIENTCERT=True)
    proxy = connect(uri, Pinned)
    assert proxy.echo(1) == 1
    proxy._pyroRelease()
    proxy.__dict__["_expected"] = ["example.com"]
    for _ in range(2):
        with pytest.raises(ValueError, match="^not the right server$"):
            proxy.echo(1)
        assert proxy._pyroConnection is None


def test_no_certificate(tls: Any, connect: Any) -> None:
    """[SEC-37]: there is none when none is asked for."""
    with pytest.raises(CommunicationError, match="rejected: who are you$"):
        connect(tls(daemon_class=Checking)).echo(1)


def test_untrusted_server(tls: Any, connect: Any, certificates: Any, pyro_config: Any) -> None:
    """[SEC-36], [PRX-31]"""
    uri = tls()
    pyro_config.SSL_CACERTS = str(certificates.client)
    with pytest.raises(CommunicationError, match="^cannot connect to .*CERTIFICATE_VERIFY_FAILED"):
        connect(uri).echo(1)


def test_last_answers(tls: Any, connect: Any) -> None:
    """[HRD-6], [WIRE-85]: are not lost, whatever is still on its way to the server."""
    proxy = connect(tls(MAX_MESSAGE_SIZE=5000, SERIALIZERS_ACCEPTED={"serpent"}))
    assert proxy.echo(1) == 1
    for _ in range(3):
        with pytest.raises(MessageTooLargeError):
            proxy.echo("x" * 3_000_000)
        assert proxy.echo(2) == 2
    proxy._pyroSerializer = "json"
    proxy._pyroConnection
    with pytest.raises(SerializeError, match="message used serializer that is not accepted: 2"):
        proxy.echo(3)
    proxy._pyroSerializer = None
    assert proxy.echo(4) == 4


def test_plain_client(tls: Any, connect: Any, pyro_config: Any) -> None:
    """[SEC-36]: is not served, and stops nobody."""
    uri = tls()
    pyro_config.SSL = False
    with pytest.raises(CommunicationError):
        connect(uri).echo(1)
    pyro_config.SSL = True
    assert connect(uri).echo(1) == 1
