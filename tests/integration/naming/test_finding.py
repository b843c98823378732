"""Name servers and objects that are late, move, or are not there ([BYD-11] to [BYD-13], [BYD-16])."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.core import URI, Daemon, Proxy
from pyrolite.errors import CommunicationError, ConnectionClosedError, NamingError, PyroError
from pyrolite.testing import running_daemon, running_nameserver

LATE = 0.3


@pyrolite.expose
class Thing:
    """Knows who it is."""

    def __init__(self, name: str = "thing") -> None:
        self._name = name

    def name(self) -> str:
        return self._name


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens, and nobody else will."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextlib.contextmanager
def later(action: Callable[[], object]) -> Iterator[None]:
    """Do something a little later, in the background."""
    timer = threading.Timer(LATE, action)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


# ---- proxies of servers that move


@pytest.mark.parametrize("bind", [True, False])
@pytest.mark.parametrize("uri", ["PYRONAME:some.thing", "PYROMETA:tag"])
def test_server_moves(pyro_nameserver: Any, uri: str, bind: bool) -> None:
    """[BYD-11] [RES-2] The next call after the loss goes to the new place, also when the proxy was bound."""
    with pyrolite.locateNS() as nameserver, Proxy(uri) as proxy:
        with running_daemon({"thing": Thing("first")}) as running:
            nameserver.register("some.thing", running.uris["thing"], metadata=["tag"])
            if bind:
                assert proxy._pyroBind()
                assert proxy._pyroUri == running.uris["thing"]
            assert proxy.name() == "first"
        with running_daemon({"other": Thing("second")}) as running:
            nameserver.register("some.thing", running.uris["other"], metadata=["tag"])
            with pytest.raises(ConnectionClosedError):
                proxy.name()
            assert proxy.name() == "second"
            assert proxy._pyroUri == (running.uris["other"] if bind else URI(uri))
            copied = proxy.__copy__()
        with running_daemon({"third": Thing("third")}) as running:
            nameserver.register("some.thing", running.uris["third"], metadata=["tag"])
            proxy._pyroReconnect(tries=1)
            assert proxy.name() == "third"
            with copied:  # copies remember the name, too
                assert copied.name() == "third"


def test_retries_follow_the_server(pyro_nameserver: Any, pyro_config: Any) -> None:
    """[BYD-11] [BYD-35] With MAX_RETRIES the call itself arrives there."""
    pyro_config.MAX_RETRIES = 1
    with pyrolite.locateNS() as nameserver, Proxy("PYRONAME:some.thing") as proxy:
        for name in ("first", "second"):
            with running_daemon({name: Thing(name)}) as running:
                nameserver.register("some.thing", running.uris[name])
                assert proxy.name() == name


def test_bound_proxy_needs_no_name_server_to_reconnect(pyro_config: Any) -> None:
    """[BYD-11] [PRX-34] As in Pyro4, where a bound proxy knows the location; if that fails it says so."""
    with running_daemon({"thing": Thing()}) as running:
        with running_nameserver(), pyrolite.locateNS() as nameserver:
            nameserver.register("some.thing", running.uris["thing"])
            proxy = Proxy("PYRONAME:some.thing")
            proxy._pyroBind()
        pyro_config.NS_HOST = "./u:/nonexistent/nameserver"
        pyro_config.BROADCAST_ADDRS = "127.0.0.1"
        proxy._pyroReconnect(tries=1)
        assert proxy.name() == "thing"
    proxy._pyroRelease()
    with pytest.raises(CommunicationError, match="cannot connect to .*refused"):
        proxy.name()


def test_changed_uri_is_respected(pyro_nameserver: Any, nobody: int) -> None:
    """[BYD-11] A program that gives the proxy another URI does not get the object of the old name."""
    with running_daemon({"thing": Thing()}) as running, pyrolite.locateNS() as nameserver:
        nameserver.register("some.thing", running.uris["thing"])
        with Proxy("PYRONAME:some.thing") as proxy:
            proxy._pyroBind()
            proxy._pyroRelease()
            proxy._pyroUri = URI(f"PYRO:thing@127.0.0.1:{nobody}")
            with pytest.raises(CommunicationError, match="refused"):
                proxy.name()


# ---- one of several


def test_candidates_that_refuse_are_skipped(pyro_nameserver: Any, nobody: int) -> None:
    """[BYD-12] Whatever order chance makes: the one that lives is found."""
    with running_daemon({"thing": Thing()}) as running, pyrolite.locateNS() as nameserver:
        nameserver.register("alive", running.uris["thing"], metadata=["tag"])
        for number in range(4):
            nameserver.register(f"dead{number}", f"PYRO:o{number}@127.0.0.1:{nobody}", metadata=["tag"])
        nameserver.register("gone", f"PYRO:gone@{running.uris['thing'].location}", metadata=["tag"])
        nameserver.register("nowhere", "PYRONAME:no.such.name", metadata=["tag"])
        for _ in range(8):
            with Proxy("PYROMETA:tag") as proxy:
                assert proxy.name() == "thing"
                assert proxy._pyroUri.protocol == "PYROMETA"


def test_no_candidate_can_be_connected(pyro_nameserver: Any, nobody: int) -> None:
    """[BYD-12] The error lists all attempts with their causes."""
    with running_daemon({"thing": Thing()}) as running, pyrolite.locateNS() as nameserver:
        gone = f"PYRO:gone@{running.uris['thing'].location}"
        nameserver.register("dead1", f"PYRO:o1@127.0.0.1:{nobody}", metadata=["tag"])
        nameserver.register("dead2", "PYRO:o2@./u:/nonexistent/socket", metadata=["tag"])
        nameserver.register("gone", gone, metadata=["tag"])
        with Proxy("PYROMETA:tag") as proxy, pytest.raises(CommunicationError) as raised:
            proxy._pyroBind()
    text = str(raised.value)
    assert text.startswith("cannot connect to any object of PYROMETA:tag (")
    for part in (
        f"PYRO:o1@127.0.0.1:{nobody}: refused",
        "PYRO:o2@./u:/nonexistent/socket: no such file or directory",
        f"{gone}: rejected: ",
    ):
        assert part in text
    assert isinstance(raised.value.__cause__, CommunicationError)


def test_only_candidate(pyro_nameserver: Any, nobody: int) -> None:
    """[BYD-12] [PRX-29] The error of a single one is Pyro4's."""
    with pyrolite.locateNS() as nameserver:
        nameserver.register("dead", f"PYRO:o@127.0.0.1:{nobody}", metadata=["tag"])
    with Proxy("PYROMETA:tag") as proxy, pytest.raises(CommunicationError, match="^cannot connect to"):
        proxy._pyroBind()


# ---- waiting


def test_wait_for_name_server(free_port: int, start_tool: Any, pyro_config: Any, capfd: Any) -> None:
    """[BYD-13] `locateNS` finds one that starts a little later, and prints nothing."""
    tools: list[Any] = []
    with later(lambda: tools.append(start_tool("pyrolite.naming", "-p", str(free_port)))):
        with pyrolite.locateNS("localhost", free_port, timeout=30) as nameserver:
            assert nameserver.count() == 1
        assert capfd.readouterr() == ("", "")
    assert tools[0].end() == 0


def test_wait_for_configured_name_server(pyro_config: Any) -> None:
    """[BYD-13] The same by default rules, with a broadcast in each round."""
    with running_nameserver(broadcast=True) as running:
        pyro_config.NS_HOST = "./u:/nonexistent/nameserver"
        with pyrolite.locateNS(timeout=20) as nameserver:
            assert nameserver._pyroUri == running.uri


@pytest.mark.parametrize("uri", ["PYRONAME:late", "PYROMETA:tag1,tag2"])
def test_wait_for_name(pyro_nameserver: Any, uri: str) -> None:
    """[BYD-13] `resolve` waits until somebody registers the name."""
    with pyrolite.locateNS() as nameserver:
        nameserver._pyroRelease()
        target = URI("PYRO:o@h:1")
        with later(lambda: nameserver.register("late", target, metadata=["tag1", "tag2"])):
            begin = time.monotonic()
            assert pyrolite.resolve(uri, timeout=30) == target
            assert time.monotonic() - begin >= LATE
        nameserver._pyroRelease()


def test_time_is_over(pyro_nameserver: Any, nobody: int) -> None:
    """[BYD-13] Then the last cause is raised; None and not given: one round, as in Pyro4."""
    for action, text in (
        (lambda: pyrolite.resolve("PYRONAME:never", timeout=LATE), "^unknown name: never"),
        (lambda: pyrolite.resolve("PYROMETA:never", timeout=LATE), "^no registrations available"),
        (lambda: pyrolite.locateNS("127.0.0.1", nobody, timeout=LATE), "^Failed to locate the nameserver .*refused"),
    ):
        begin = time.monotonic()
        with pytest.raises(NamingError, match=text):
            action()
        assert LATE <= time.monotonic() - begin < 10
    with pytest.raises(NamingError, match="^unknown name: never"):
        pyrolite.resolve("PYRONAME:never", timeout=None)
    with pytest.raises(NamingError):
        pyrolite.locateNS("127.0.0.1", nobody, timeout=0)
    with pytest.raises(TypeError):
        pyrolite.resolve("PYRONAME:x", None, 5)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        pyrolite.locateNS("127.0.0.1", nobody, True, None, 5)  # type: ignore[call-arg]


def test_wait_is_not_held_up(pyro_config: Any) -> None:
    """[BYD-13] Somebody who accepts connections and says nothing does not make the wait longer."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        begin = time.monotonic()
        with pytest.raises(NamingError, match="timed out"):
            pyrolite.locateNS("127.0.0.1", port, timeout=LATE)
        with Proxy(f"PYRO:o@127.0.0.1:{port}") as proxy, pytest.raises(CommunicationError):
            proxy._pyroWait(LATE)
        assert 2 * LATE <= time.monotonic() - begin < 10


def test_wait_for_object(pyro_nameserver: Any, pyro_config: Any, free_port: int, capfd: Any) -> None:
    """[BYD-13] `_pyroWait` waits for name, server and object; then the metadata is there."""
    with pyrolite.locateNS() as nameserver, running_daemon() as running, Proxy("PYRONAME:late") as proxy:
        with pytest.raises(NamingError, match="unknown name: late"):
            proxy._pyroWait(0)
        thing = Thing()
        nameserver.register("late", f"PYRO:thing@127.0.0.1:{free_port}")
        with pytest.raises(CommunicationError, match="refused"):
            proxy._pyroWait(0.1)
        nameserver.register("late", f"PYRO:thing@{running.daemon.locationStr}")
        with pytest.raises(CommunicationError, match="rejected"):
            proxy._pyroWait(0.1)
        with later(lambda: running.daemon.register(thing, "thing")):
            proxy._pyroWait(timeout=30)
        assert proxy._pyroMethods == {"name"}
        assert proxy._pyroConnection is not None
        connection = proxy._pyroConnection
        proxy._pyroWait(30)  # it is there
        assert proxy._pyroConnection is connection
        assert connection.getTimeout() is None
        running.daemon.unregister(thing)
    assert capfd.readouterr() == ("", "")


def test_wait_notices_a_lost_connection() -> None:
    """[BYD-13] A connection that is there is tested, and made anew."""
    with running_daemon({"thing": Thing()}) as running:
        proxy = Proxy(running.uris["thing"])
        proxy._pyroBind()
        port = running.uris["thing"].port or 0
    with pytest.raises(CommunicationError):
        proxy._pyroWait(0.1)
    with running_daemon({"thing": Thing()}, port=port):
        proxy._pyroWait(10)
        assert proxy.name() == "thing"
        proxy._pyroRelease()


def test_wait_on_a_connected_socket() -> None:
    """[BYD-13] [PRX-41] A socket of the user's is tested once: when it is lost, nobody can connect it again."""
    ours, theirs = socket.socketpair()
    with ours, Daemon(connected_socket=theirs) as daemon:
        daemon.register(Thing(), "thing")
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        proxy = Proxy("thing", connected_socket=ours)
        proxy._pyroWait(30)
        assert proxy.name() == "thing"
        theirs.shutdown(socket.SHUT_RDWR)
        thread.join()
        for _ in range(2):
            with pytest.raises(CommunicationError):
                proxy._pyroWait(None)
        theirs.close()


@pyrolite.expose
class Empty:
    """Exposes nothing."""


def test_wait_for_nothing() -> None:
    """[BYD-13] [PRX-29] An object without members cannot be used, and the error says why."""
    with running_daemon({"thing": Empty()}) as running:
        proxy = Proxy(running.uris["thing"])
        with pytest.raises(PyroError, match="doesn't expose any methods or attributes"):
            proxy._pyroWait(0.1)


# ---- errors with causes


def failure(*arguments: Any, **options: Any) -> str:
    """What `locateNS` says."""
    with pytest.raises(NamingError) as raised:
        pyrolite.locateNS(*arguments, **options)
    assert isinstance(raised.value.__cause__, PyroError)
    text = str(raised.value)
    assert text.startswith("Failed to locate the nameserver (")
    return text.removeprefix("Failed to locate the nameserver ")


def test_refused_and_unknown(nobody: int, pyro_config: Any) -> None:
    """[BYD-16] [RES-5] Nobody there, no such host, no such socket."""
    assert failure("127.0.0.1", nobody) == f"(127.0.0.1:{nobody}: refused)"
    assert failure("no.such.host.invalid", 9).startswith("(no.such.host.invalid:9: unknown host (")
    assert failure("./u:/nonexistent/ns") == "(./u:/nonexistent/ns: no such file or directory)"
    pyro_config.NS_HOST, pyro_config.NS_PORT, pyro_config.NS_BCPORT = "127.0.0.1", nobody, nobody
    pyro_config.BROADCAST_ADDRS = "127.0.0.1"
    assert f"broadcast to UDP port {nobody}: no answer" in failure()
    assert re.fullmatch(rf"\(127.0.0.1:{nobody}: refused(; 127.0.1.1:{nobody}: refused)?\)", failure(broadcast=False))


def test_silent(pyro_config: Any) -> None:
    """[BYD-16] Somebody who says nothing."""
    pyro_config.COMMTIMEOUT = 0.2
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert failure("127.0.0.1", port) == f"(127.0.0.1:{port}: timed out)"


@pytest.mark.parametrize(("theirs", "ours"), [("theirs", None), (None, "ours"), ("theirs", "ours")])
def test_wrong_key(pyro_config: Any, theirs: str | None, ours: str | None) -> None:
    """[BYD-16] [RES-5] The keys do not fit."""
    with running_nameserver(hmac_key=theirs) as running:
        text = failure("127.0.0.1", running.uri.port, hmac_key=ours)
    assert re.match(rf"\(127.0.0.1:{running.uri.port}: rejected: .*(hmac|key)", text), text


def test_wrong_serializer(pyro_config: Any) -> None:
    """[BYD-16] The name server does not accept the serializer."""
    with running_nameserver() as running:
        pyro_config.SERIALIZER = "pickle"
        text = failure("127.0.0.1", running.uri.port)
    assert text.startswith(f"(127.0.0.1:{running.uri.port}: rejected: ")
    assert "serializer that is not accepted" in text


def test_closed_without_a_word(pyro_config: Any) -> None:
    """[BYD-16] As servers with TLS do when a client has none."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]

        def hang_up() -> None:
            connection, _ = sock.accept()
            with connection:
                connection.recv(4096)

        with later(hang_up):
            text = failure("127.0.0.1", port)
    assert text == f"(127.0.0.1:{port}: closed by the other side, which may speak TLS, or not Pyro's protocol)"


def test_tls_here_only(pyro_config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[BYD-16] The client speaks TLS, the name server does not."""
    with running_nameserver() as running:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        monkeypatch.setattr("pyrolite.net.tls.client_context", lambda *_, **__: context)
        pyro_config.SSL, pyro_config.COMMTIMEOUT = True, 5
        text = failure("127.0.0.1", running.uri.port)
        pyro_config.SSL = False
    assert text.startswith(f"(127.0.0.1:{running.uri.port}: TLS: "), text
