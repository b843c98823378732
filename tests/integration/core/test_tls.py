"""TLS from proxy to method, one way and both ways, with checks by the program ([SEC-36] to [SEC-38])."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyrolite
from pyrolite.errors import CommunicationError
from pyrolite.testing import running_daemon

BOTH = pytest.mark.parametrize("servertype", ["thread", "multiplex"])


@pyrolite.expose
class Target:
    def echo(self, value: Any) -> Any:
        return value


class CheckingDaemon(pyrolite.Daemon):
    """Lets only clients in whose certificate says that they are ``client``."""

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        certificate = conn.getpeercert()
        names = dict(field[0] for field in certificate["subject"]) if certificate else {}
        if "client" not in names.get("commonName", ""):
            raise ValueError(f"no client: {sorted(names.values())}")
        return "welcome"


class CheckingProxy(pyrolite.Proxy):
    """Talks only to a server with a certificate for ``localhost``."""

    def _pyroValidateHandshake(self, response: Any) -> None:
        assert self._pyroConnection is not None
        certificate = self._pyroConnection.getpeercert()
        assert certificate is not None
        if ("DNS", "localhost") not in certificate["subjectAltName"]:
            raise ValueError("not my server")


@pytest.fixture
def tls(pyro_config: Any, certificates: Any) -> Callable[..., Any]:
    """A function that switches TLS on, with other certificates where it is told so."""

    def configure(**items: Any) -> Any:
        pyro_config.SSL = True
        pyro_config.SSL_SERVERCERT = str(certificates.server)
        pyro_config.SSL_CACERTS = str(certificates.ca)
        pyro_config.COMMTIMEOUT = 10.0
        for name, value in items.items():
            setattr(pyro_config, name, value)
        return pyro_config

    return configure


@BOTH
def test_server_certificate_only(tls: Callable[..., Any], servertype: str) -> None:
    """[SEC-36], [TLS-8]: calls of all sizes; the server sees no certificate of the client."""
    tls()
    seen = []

    class Daemon(pyrolite.Daemon):
        def validateHandshake(self, conn: Any, data: Any) -> Any:
            seen.append(conn.getpeercert())
            return "hello"

    with (
        running_daemon({"t": Target()}, host="localhost", servertype=servertype, daemon_class=Daemon) as running,
        CheckingProxy(running.uris["t"]) as proxy,
    ):
        assert proxy.echo("small") == "small"
        assert proxy.echo("x" * 200_000) == "x" * 200_000
    assert seen in ([None], [{}])


@BOTH
def test_both_certificates(tls: Callable[..., Any], certificates: Any, servertype: str) -> None:
    """[SEC-36], [SEC-37]: both sides check the other's certificate."""
    tls(SSL_REQUIRECLIENTCERT=True, SSL_CLIENTCERT=str(certificates.client))
    with (
        running_daemon(
            {"t": Target()}, host="localhost", servertype=servertype, daemon_class=CheckingDaemon
        ) as running,
        CheckingProxy(running.uris["t"]) as proxy,
    ):
        assert proxy.echo(1) == 1


@BOTH
def test_clients_that_are_refused(tls: Callable[..., Any], certificates: Any, servertype: str) -> None:
    """[SEC-36], [SEC-37]: without certificate, with one of nobody trusted, or with one that the program refuses."""
    config = tls(SSL_REQUIRECLIENTCERT=True, SSL_CLIENTCERT=str(certificates.client))
    with running_daemon(
        {"t": Target()}, host="localhost", servertype=servertype, daemon_class=CheckingDaemon
    ) as running:
        for certificate in ("", str(certificates.stranger)):
            config.SSL_CLIENTCERT = certificate
            with pyrolite.Proxy(running.uris["t"]) as proxy, pytest.raises(CommunicationError):
                proxy.echo(1)
        config.SSL_CLIENTCERT = str(certificates.elsewhere)
        with pyrolite.Proxy(running.uris["t"]) as proxy, pytest.raises(CommunicationError):
            proxy.echo(1)
        config.SSL_CLIENTCERT = str(certificates.client)
        with pyrolite.Proxy(running.uris["t"]) as proxy:
            assert proxy.echo("the others did no harm") == "the others did no harm"


@pytest.mark.parametrize("which", ["elsewhere", "expired", "stranger"])
def test_servers_that_are_refused(tls: Callable[..., Any], certificates: Any, which: str) -> None:
    """[SEC-36], [SEC-38], [TLS-7]: for another host, no longer valid, or of nobody trusted."""
    tls(SSL_SERVERCERT=str(getattr(certificates, which)))
    with (
        running_daemon({"t": Target()}, host="localhost") as running,
        pyrolite.Proxy(running.uris["t"]) as proxy,
        pytest.raises(CommunicationError, match="cannot connect to .*CERTIFICATE_VERIFY_FAILED"),
    ):
        proxy.echo(1)


def test_no_certificate_configured(tls: Callable[..., Any]) -> None:
    """[SEC-38], [TLS-5]: reported when the daemon is made."""
    tls(SSL_SERVERCERT="")
    with pytest.raises(ValueError, match="SSL_SERVERCERT is not configured"):
        pyrolite.Daemon()


def test_refused_by_the_proxy_closes(tls: Callable[..., Any]) -> None:
    """[SEC-37], [WIRE-68]: a client that refuses its server is not connected to it."""
    tls()

    class Picky(pyrolite.Proxy):
        def _pyroValidateHandshake(self, response: Any) -> None:
            raise ValueError("not my server")

    with running_daemon({"t": Target()}, host="localhost") as running:
        proxy = Picky(running.uris["t"])
        for _ in range(2):
            with pytest.raises(ValueError, match="not my server"):
                proxy.echo(1)
            assert proxy._pyroConnection is None
