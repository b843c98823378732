"""The doctor names the cause, whatever is broken ([BYD-20]). The set-ups are broken on purpose, one by one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pyrolite.cli import doctor
from pyrolite.cli.doctor import Step, Walk
from pyrolite.configuration import Configuration, config
from pyrolite.core import URI, Daemon, Proxy, expose, oneway
from pyrolite.errors import PyroError
from pyrolite.naming import locateNS
from pyrolite.net import addresses
from pyrolite.testing import running_daemon, running_nameserver

from ...interop.peers import peer_python

pytestmark = pytest.mark.usefixtures("pyro_leakcheck", "pyro_config")


@expose
class Thing:
    def __init__(self) -> None:
        self.busy = threading.Event()
        self.done = threading.Event()

    def method(self) -> None:
        """Nothing."""

    @oneway
    def tell(self) -> None:
        """Nothing."""

    def wait(self) -> None:
        self.busy.set()
        assert self.done.wait(20)

    @property
    def size(self) -> int:
        return 1


class Closed:
    """Exposes nothing."""

    def method(self) -> None:
        """Nothing."""


def walk(
    uri: URI | str, key: bytes | None = None, timeout: float = 3.0, **items: Any
) -> tuple[list[Step], Step | None]:
    """All steps, and the failed one."""
    steps: list[Step] = []
    walking = Walk(config.copy(**items), key, timeout, steps.append)
    succeeded = walking.run(URI(uri))
    failed = [step for step in steps if not step.ok]
    assert failed == ([] if succeeded else [steps[-1]])
    assert walking.failed == (None if succeeded else steps[-1])
    return steps, walking.failed


def failure(uri: URI | str, **options: Any) -> Step:
    """The step that fails, which has to."""
    _, failed = walk(uri, **options)
    assert failed is not None
    assert failed.cause.endswith((".", "?"))
    assert failed.remedy.endswith((".", ")"))
    return failed


@pytest.fixture
def thing() -> Iterator[URI]:
    with running_daemon({"thing": Thing()}) as running:
        yield running.uris["thing"]


# ---- nothing is broken


def test_all_is_well(thing: URI) -> None:
    """[BYD-20] One step after the other, each with its time."""
    steps, failed = walk(thing)
    assert failed is None
    assert [step.name for step in steps] == [
        "address",
        "connect",
        "handshake",
        "serializer",
        "HMAC",
        "metadata",
        "ping",
    ]
    assert all(step.seconds >= 0 and step.text and not step.cause for step in steps)
    texts = {step.name: step.text for step in steps}
    assert texts["metadata"] == "3 methods: method, tell, wait; 1 attributes: size; oneway: tell"
    assert texts["ping"].startswith("20 round trips: ") and texts["ping"].endswith(" ms median")
    assert texts["serializer"] == "serpent is accepted"


@pytest.mark.parametrize("form", ["PYRONAME:it", "PYRONAME:again", "PYROMETA:red,big"])
def test_names_are_followed(thing: URI, form: str) -> None:
    """[BYD-20] Names, names of names, and metadata."""
    with running_nameserver() as running, locateNS() as nameserver:
        nameserver.register("it", thing, metadata={"red", "big"})
        nameserver.register("again", "PYRONAME:it")
        steps, failed = walk(form)
        assert failed is None
        assert steps[0].name == "name server"
        assert steps[0].text == f"found at {running.uri.location}"
        assert [step.name for step in steps].count("name") == (2 if form.endswith("again") else 1)
        assert str(thing) in next(step.text for step in reversed(steps) if step.name == "name")
        assert walk(f"{form}@127.0.0.1:{running.uri.port}")[1] is None


def test_unix_socket(tmp_path: Path) -> None:
    """[BYD-20]"""
    with running_daemon({"thing": Thing()}, unixsocket=str(tmp_path / "sock"), hmac_key="k") as running:
        steps, failed = walk(running.uris["thing"], key=b"k")
    assert failed is None
    assert [step.name for step in steps][:2] == ["connect", "handshake"]
    assert next(step.text for step in steps if step.name == "HMAC") == "all messages are signed"


# ---- names


def test_unknown_name(thing: URI) -> None:
    """[BYD-20] With similar names."""
    with running_nameserver(), locateNS() as nameserver:
        nameserver.register("example.printer", thing)
        failed = failure("PYRONAME:exmple.printer")
        assert failed.name == "name"
        assert "does not know it" in failed.cause and "similar are: example.printer" in failed.cause
        failed = failure("PYRONAME:zzz")
        assert "Of its 2 names, some are: Pyro.NameServer, example.printer" in failed.cause
        failed = failure("PYROMETA:unknown")
        assert failed.text == "nothing is registered with this metadata"
        assert "does not know it" in failed.cause
        nameserver.register("circle", "PYRONAME:circle")
        assert "stands for a name" in failure("PYRONAME:circle").cause


def test_name_server_is_down(free_port: int) -> None:
    """[BYD-20] The failing step is one on the way to the name server."""
    config.NS_PORT = config.NS_BCPORT = free_port
    config.BROADCAST_ADDRS = "127.0.0.1"
    for uri in ("PYRONAME:thing", f"PYRONAME:thing@127.0.0.1:{free_port}"):
        failed = failure(uri)
        assert failed.name == "name server: connect"
        assert f"Nobody listens at port {free_port}" in failed.cause
        assert "pyrolite-ns" in failed.remedy


def test_name_server_has_a_key() -> None:
    """[BYD-20]"""
    with running_nameserver(hmac_key="k"):
        failed = failure(f"PYRONAME:thing@127.0.0.1:{config.NS_PORT}")
        assert failed.name == "name server: handshake"
        assert "The server has an HMAC key, and this client has none." in failed.cause
        assert failure("PYRONAME:thing", key=b"k").name == "name"


def test_old_registration(thing: URI) -> None:
    """[BYD-20] The server has been started again since, with other ids."""
    old = URI(thing)
    old.object = "thang"
    failed = failure(old)
    assert failed.name == "handshake"
    assert failed.text == "refused: unknown object"
    assert "has no object with the id thang" in failed.cause and "thing" in failed.cause
    assert "registration" in failed.remedy


# ---- addresses and connections


def test_unknown_host() -> None:
    """[BYD-20]"""
    failed = failure("PYRO:thing@no-such-host.invalid:1000")
    assert failed.name == "address"
    assert "There is no host of the name no-such-host.invalid" in failed.cause


def test_closed_port(free_port: int) -> None:
    """[BYD-20]"""
    failed = failure(f"PYRO:thing@127.0.0.1:{free_port}")
    assert failed.name == "connect"
    assert f"Nobody listens at port {free_port} of 127.0.0.1" in failed.cause


def test_registered_as_localhost_elsewhere(free_port: int) -> None:
    """[BYD-20] A server that runs on another machine has registered a loopback address."""
    with running_nameserver(), locateNS() as nameserver:
        nameserver.register("remote", f"PYRO:thing@localhost:{free_port}")
        failed = failure("PYRONAME:remote")
    assert "runs on another machine and has registered itself as localhost" in failed.cause
    assert "Daemon(host=...)" in failed.remedy


def test_loopback_only(thing: URI) -> None:
    """[BYD-20] It listens, but not on the address that others use."""
    try:
        outside = addresses.getInterfaceAddress("192.0.2.77")
    except OSError:
        pytest.skip("this machine has no address that is not loopback")
    if outside.startswith("127."):
        pytest.skip("this machine has no address that is not loopback")
    failed = failure(f"PYRO:thing@{outside}:{thing.port}")
    assert failed.name == "connect"
    assert "on the loopback address only" in failed.cause
    assert "Daemon(host=...)" in failed.remedy


def test_unix_socket_is_gone(tmp_path: Path) -> None:
    """[BYD-20] No file; a file that nobody listens at."""
    failed = failure(f"PYRO:thing@./u:{tmp_path}/none")
    assert "There is no socket of this name" in failed.cause
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "stale"))
    failed = failure(f"PYRO:thing@./u:{tmp_path}/stale")
    assert "the server that made it has ended" in failed.cause


# ---- serializers and keys


def test_serializer_refused_by_server() -> None:
    """[BYD-20] Accepted ones are named."""
    with running_daemon({"thing": Thing()}, SERIALIZERS_ACCEPTED={"marshal", "json"}) as running:
        failed = failure(running.uris["thing"])
    assert failed.name == "handshake"
    assert "does not accept the serializer serpent. Accepted are: json, marshal." in failed.cause
    assert "PYRO_SERIALIZER" in failed.remedy


def test_serializer_missing_here(thing: URI) -> None:
    """[BYD-20] The client has not got it."""
    failed = failure(thing, SERIALIZER="morse")
    assert "The serializer of this client (morse) is not installed" in failed.cause
    assert "Available: " in failed.remedy


@pytest.mark.parametrize(
    ("here", "there", "cause"),
    [
        (None, "k", "The server has an HMAC key, and this client has none."),
        (b"k", None, "This client has an HMAC key, and the server has none."),
        (b"k", "other", "Client and server have different HMAC keys."),
    ],
)
@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_keys(here: bytes | None, there: str | None, cause: str, servertype: str) -> None:
    """[BYD-20] Missing or wrong on either side."""
    with running_daemon({"thing": Thing()}, hmac_key=there, servertype=servertype) as running:
        failed = failure(running.uris["thing"], key=here)
    assert failed.name == "handshake"
    assert failed.cause == cause
    assert "PYRO_HMAC_KEY" in failed.remedy


# ---- TLS


def tls_items(certificates: Any, certificate: Path) -> dict[str, Any]:
    return {"SSL": True, "SSL_SERVERCERT": str(certificate), "SSL_CACERTS": str(certificates.ca)}


def test_tls(certificates: Any) -> None:
    """[BYD-20] Version, name and expiry of the certificate are told."""
    items = tls_items(certificates, certificates.server)
    with running_daemon({"thing": Thing()}, **items) as running:
        steps, failed = walk(running.uris["thing"], SSL=True, SSL_CACERTS=str(certificates.ca))
        assert failed is None
        text = next(step.text for step in steps if step.name == "TLS")
        assert text.startswith("TLSv1.") and "certificate of localhost, valid until " in text


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_tls_against_plain(certificates: Any, thing: URI, servertype: str) -> None:
    """[BYD-20] On either side."""
    failed = failure(thing, SSL=True, SSL_CACERTS=str(certificates.ca))
    assert failed.name == "TLS"
    assert "The server does not speak TLS" in failed.cause
    items = tls_items(certificates, certificates.server)
    with running_daemon({"thing": Thing()}, servertype=servertype, **items) as running:
        failed = failure(running.uris["thing"])
    assert failed.name == "handshake"
    assert "The server speaks TLS, and this client does not." in failed.cause


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("expired", "The certificate of the server is not valid any more."),
        ("elsewhere", "The certificate is of another host than 127.0.0.1."),
        ("stranger", "The certificate of the server is signed by nobody whom this client trusts."),
    ],
)
def test_certificates(certificates: Any, kind: str, cause: str) -> None:
    """[BYD-20] Expired, of another host, of a CA that is not trusted."""
    with running_daemon({"thing": Thing()}, **tls_items(certificates, getattr(certificates, kind))) as running:
        failed = failure(running.uris["thing"], SSL=True, SSL_CACERTS=str(certificates.ca))
    assert (failed.name, failed.cause) == ("TLS", cause)


def test_client_certificate(certificates: Any, thing: URI) -> None:
    """[BYD-20] The server wants one; and settings of the client that cannot be used."""
    items = tls_items(certificates, certificates.server)
    with running_daemon({"thing": Thing()}, SSL_REQUIRECLIENTCERT=True, **items) as running:
        failed = failure(running.uris["thing"], SSL=True, SSL_CACERTS=str(certificates.ca))
        assert "wants a certificate of the client" in failed.cause
        own = {"SSL": True, "SSL_CACERTS": str(certificates.ca), "SSL_CLIENTCERT": str(certificates.client)}
        assert walk(running.uris["thing"], **own)[1] is None
    failed = failure(thing, SSL=True, SSL_CACERTS="/no/such/file")
    assert "TLS settings of this client" in failed.cause


# ---- objects and servers


def test_nothing_exposed() -> None:
    """[BYD-20]"""
    with pytest.warns(UserWarning, match="doesn't expose"), running_daemon({"closed": Closed()}) as running:
        failed = failure(running.uris["closed"])
    assert failed.name == "metadata"
    assert "does not expose anything" in failed.cause
    assert "@expose" in failed.remedy


def test_pool_is_full() -> None:
    """[BYD-20] All workers are busy."""
    thing = Thing()
    pool = {"THREADPOOL_SIZE": 1, "THREADPOOL_SIZE_MIN": 1, "THREADPOOL_WAIT": 0.1}
    with (
        running_daemon({"thing": thing}, servertype="thread", **pool) as running,
        Proxy(running.uris["thing"]) as proxy,
    ):
        proxy._pyroAsync()
        answer = proxy.wait()
        assert thing.busy.wait(10)
        try:
            failed = failure(running.uris["thing"])
        finally:
            thing.done.set()
        assert answer.wait(10)
    assert failed.name == "handshake"
    assert "The pool of the server is full" in failed.cause
    assert "THREADPOOL_SIZE" in failed.remedy


def test_too_many_connections() -> None:
    """[BYD-20] [BYD-3]"""
    with running_daemon({"thing": Thing()}, MAX_CONNECTIONS=1) as running, Proxy(running.uris["thing"]) as proxy:
        proxy.method()
        failed = failure(running.uris["thing"])
    assert "The pool of the server is full" in failed.cause
    assert "MAX_CONNECTIONS" in failed.remedy


def test_handshake_is_not_wanted() -> None:
    """[BYD-20]"""

    class Picky(Daemon):
        def validateHandshake(self, conn: Any, data: Any) -> Any:
            raise PyroError("say please")

    with running_daemon({"thing": Thing()}, daemon_class=Picky) as running:
        failed = failure(running.uris["thing"])
    assert failed.text == "refused: say please"
    assert "validateHandshake" in failed.cause


@contextlib.contextmanager
def answering(reaction: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that does something strange with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(10)
                        reaction(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"PYRO:thing@127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def test_http_server() -> None:
    """[BYD-20] One that answers to garbage, and one that waits for a line that never comes."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            failed = failure(f"PYRO:thing@127.0.0.1:{server.server_address[1]}", timeout=0.7)
        finally:
            server.shutdown()
            thread.join()
    assert failed.name == "handshake"
    assert "It is an HTTP server, no Pyro server." in failed.cause
    with answering(lambda sock: sock.recv(1000) and sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as uri:
        assert "It is an HTTP server" in failure(uri).cause


@pytest.mark.parametrize(
    ("reaction", "cause"),
    [
        (lambda sock: sock.recv(1000) and sock.sendall(b"220 mail.example ESMTP\r\n"), "It is no Pyro server."),
        (lambda sock: sock.recv(1000) and sock.sendall(b"PYRO\x00\x30" + b"\xff" * 18), "It is no Pyro server."),
        (lambda sock: sock.recv(1000) and sock.sendall(b"PYRO\x00\x30"), "It is no Pyro server."),
        (lambda sock: sock.recv(1000), "The server has closed the connection"),
        (lambda sock: [None for _ in iter(lambda: sock.recv(1000), b"")], "Somebody listens there and says nothing"),
        (
            lambda sock: sock.recv(1000) and sock.sendall(b"PYRO\x00\x2f" + bytes(18)),
            "This is a server of another version of Pyro; it speaks protocol 47",
        ),
    ],
)
def test_strange_servers(reaction: Any, cause: str) -> None:
    """[BYD-20] Whatever comes back, it is said what it is, and nothing of it reaches the terminal as it is."""
    with answering(reaction) as uri:
        failed = failure(uri, timeout=0.5)
    assert failed.name == "handshake"
    assert failed.cause.startswith(cause)


def test_control_characters_are_escaped() -> None:
    """[BYD-20] Servers do not steer the terminal."""
    assert doctor.visible("a\x1b[31m\nb\u202ec") == "a\\x1b[31m\\nb\\u202ec"


PYRO5 = """
import Pyro5.api
@Pyro5.api.expose
class Thing:
    def method(self): return 1
daemon = Pyro5.api.Daemon()
print(daemon.register(Thing, "thing"), flush=True)
daemon.requestLoop()
"""


@pytest.mark.interop
@pytest.mark.timeout(300)
def test_pyro5_server() -> None:
    """[BYD-20] A Pyro5 server is recognised, or spoken with if proxies can do that."""
    with subprocess.Popen([peer_python(), "-c", PYRO5], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            uri = process.stdout.readline().strip()
            steps, failed = walk(uri)
            _, forced = walk(uri, PROTOCOL=48)
        finally:
            process.kill()
    if failed is None:
        assert "protocol 502" in next(step.text for step in steps if step.name == "handshake")
    failed = failed or forced
    assert failed is not None
    assert "This is a Pyro5 server; it speaks protocol 502" in failed.cause


def test_configuration_is_left_alone(thing: URI) -> None:
    """[BYD-20] The program's settings are not changed."""
    before = config.asDict()
    own = Configuration()
    Walk(own, None, 1.5, lambda step: None).run(thing)
    assert config.asDict() == before
    assert own.COMMTIMEOUT == before["COMMTIMEOUT"]


def test_server_that_ends_while_pinged(monkeypatch: pytest.MonkeyPatch, thing: URI) -> None:
    """[BYD-20]"""

    def lost(*arguments: Any) -> None:
        raise ssl.SSLError("gone")

    monkeypatch.setattr(doctor.Message, "ping", lost)
    failed = failure(thing)
    assert failed.name == "ping"
    assert "The connection was lost after 0 pings." in failed.cause
