"""Daemons that keep their objects registered ([BYD-14]), with name servers and servers as processes."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pyrolite
from pyrolite.core import Daemon, Proxy
from pyrolite.errors import CommunicationError, DaemonError, NamingError
from pyrolite.naming import NameServer
from pyrolite.testing import running_daemon, running_nameserver

PATIENCE = 30.0
#: Offers an object until it is ended, by SIGTERM in an orderly way; with "stuck" its loop hangs after a while.
SERVER = """
import sys, signal, threading, time
import pyrolite

@pyrolite.expose
class Thing:
    def name(self):
        return "thing"

class StuckDaemon(pyrolite.Daemon):
    def housekeeping(self):
        if sys.argv[2] == "stuck":
            time.sleep(60)

daemon = StuckDaemon()
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=daemon.shutdown).start())
print(daemon.register_ns(Thing(), "some.thing", metadata={"tag"}, ttl=float(sys.argv[1])), flush=True)
daemon.requestLoop()
"""


@pyrolite.expose
class Thing:
    """Something to register."""

    def name(self) -> str:
        return "thing"


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that another process is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


@pytest.fixture
def nameserver(start_tool: Any, pyro_config: Any, free_port: int) -> Iterator[Any]:
    """A name server process, which `locateNS` finds; ``restart`` kills it and starts another one in its place."""

    class Running:
        port = free_port

        def start(self, *arguments: str) -> None:
            self.tool = start_tool("pyrolite.naming", "-p", str(free_port), *arguments, PYRO_POLLTIMEOUT="0.1")
            self.tool.wait_for("URI = ")

        def kill(self) -> None:
            assert self.tool.end(signal.SIGKILL) == -signal.SIGKILL

        def names(self) -> set[str]:
            with pyrolite.locateNS(timeout=PATIENCE) as proxy:
                return set(proxy.list()) - {"Pyro.NameServer"}

    pyro_config.NS_HOST, pyro_config.NS_PORT, pyro_config.BROADCAST_ADDRS = "localhost", free_port, "127.0.0.1"
    running = Running()
    running.start()
    yield running
    assert running.tool.end() == 0
    assert running.tool.errors == ""


@pytest.fixture
def start_server(start_python: Any, nameserver: Any) -> Any:
    """Start the server process; its URI has been printed when this returns."""

    def start(ttl: float, mode: str = "", servertype: str = "thread") -> Any:
        process = start_python(
            SERVER,
            str(ttl),
            mode,
            PYRO_NS_HOST="localhost",
            PYRO_NS_PORT=str(nameserver.port),
            PYRO_SERVERTYPE=servertype,
            PYRO_POLLTIMEOUT="0.1",
        )
        process.wait_for("PYRO:")
        return process

    return start


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_name_lives_as_long_as_the_server(start_server: Any, nameserver: Any, servertype: str) -> None:
    """[BYD-14] Renewed while it serves; at its end removed at once, and gone soon when it is killed."""
    for end in (signal.SIGTERM, signal.SIGKILL):
        server = start_server(1.0, servertype=servertype)
        with Proxy("PYROMETA:tag") as proxy:
            if end == signal.SIGTERM:
                time.sleep(1.8)  # without a renewal it would be gone for good by then
            eventually(lambda: nameserver.names() == {"some.thing"}, "the name is kept")
            assert proxy.name() == "thing"
        assert server.end(end) in {0, -signal.SIGKILL}
        if end == signal.SIGTERM:
            assert nameserver.names() == set()
        else:
            eventually(lambda: nameserver.names() == set(), "the lease ends")
        assert server.errors == ""


def test_stuck_server_loses_its_name(start_server: Any, nameserver: Any) -> None:
    """[BYD-14] It is renewed from the housekeeping: who does not serve any more cannot keep a name."""
    server = start_server(0.5, "stuck", servertype="multiplex")
    eventually(lambda: nameserver.names() == set(), "the lease ends")
    server.process.kill()


def test_name_server_restarts(start_server: Any, nameserver: Any) -> None:
    """[BYD-14] [BYD-12] One that has forgotten everything is told again, and finds the same object."""
    server = start_server(3.0)
    with Proxy("PYRONAME:some.thing") as proxy:
        assert proxy.name() == "thing"
        nameserver.kill()
        nameserver.start()
        uri = pyrolite.resolve("PYRONAME:some.thing", timeout=PATIENCE)
        assert str(uri) == server.lines[0]
        proxy._pyroRelease()
        assert proxy.name() == "thing"
    assert server.end() == 0
    assert nameserver.names() == set()


def test_leases_survive_in_files(start_server: Any, nameserver: Any) -> None:
    """[BYD-14] [BYD-15] Killed together, the name server's file does not keep the dead name for ever."""
    assert nameserver.tool.end() == 0
    for kind in ("sql", "dbm"):
        nameserver.start("-s", f"{kind}:names.{kind}")
        server = start_server(1.0)
        eventually(lambda: nameserver.names() == {"some.thing"}, "it is registered")
        nameserver.kill()
        server.send(signal.SIGKILL)
        server.wait()
        nameserver.start("-s", f"{kind}:names.{kind}")
        assert "Persistent store contains 2 existing registrations." in nameserver.tool.lines
        eventually(lambda: nameserver.names() == set(), "the lease ends")
        if kind == "sql":
            assert nameserver.tool.end() == 0


def test_expired_by_itself(nameserver: Any) -> None:
    """[BYD-14] `register` with a ttl, by hand; a client that knows nothing of it sees an ordinary entry."""
    with pyrolite.locateNS() as proxy:
        proxy.register("a", "PYRO:o@h:1", metadata=["x"], ttl=0.3)
        assert proxy.lookup("a", return_metadata=True) == (pyrolite.URI("PYRO:o@h:1"), ["x"])
        eventually(lambda: proxy.count() == 1, "the lease ends")
        with pytest.raises(NamingError, match="unknown name: a"):
            proxy.lookup("a")
        with pytest.raises(ValueError, match="ttl must be"):
            proxy.register("a", "PYRO:o@h:1", ttl=-1)


# ---- in this process


@pytest.fixture
def quick(pyro_nameserver: Any, pyro_config: Any) -> Any:
    """A name server, and daemons whose housekeeping is often."""
    pyro_config.POLLTIMEOUT = 0.1
    return pyro_nameserver


def names() -> set[str]:
    with pyrolite.locateNS() as proxy:
        return set(proxy.list()) - {"Pyro.NameServer"}


def test_objects_and_names(quick: Any) -> None:
    """[BYD-14] Several names for an object, objects that are registered already; `unregister` removes the names."""
    with running_daemon({"known": Thing()}) as running:
        daemon, thing = running.daemon, Thing()
        uri = daemon.register_ns(thing, "one")
        assert daemon.register_ns(thing, "two", metadata=["tag"], ttl=5) == uri
        known = daemon.objectsById["known"]
        assert daemon.register_ns(known, "three") == running.uris["known"]
        with pyrolite.locateNS() as proxy:
            assert (
                proxy.list(return_metadata=True).items()
                >= {
                    "one": (str(uri), []),
                    "two": (str(uri), ["tag"]),
                    "three": (str(running.uris["known"]), []),
                }.items()
            )
        with Proxy("PYRONAME:two") as proxy:
            assert proxy.name() == "thing"
        assert daemon._pyroNames is not None
        assert len({id(entry.server) for entry in daemon._pyroNames._entries}) == 1  # they share a connection
        daemon.register_ns(thing, "one", metadata=["again"])
        assert len(daemon._pyroNames._entries) == 3
        daemon.unregister(thing)
        assert names() == {"three"}
        daemon.register_ns(Thing, "class")
        assert names() == {"class", "three"}
        daemon.unregister(Thing)
    assert names() == set()
    daemon.shutdown()  # once more
    with pytest.raises(Exception, match="the daemon has ended"):
        daemon.register_ns(Thing(), "late")


def test_close_removes_names(quick: Any) -> None:
    """[BYD-14] [DMN-32] Also a daemon that has never served, and one that is closed at once."""
    with Daemon() as daemon:
        daemon.register_ns(Thing(), "a")
        assert names() == {"a"}
    assert names() == set()


def test_where_the_name_server_is(pyro_config: Any) -> None:
    """[BYD-14] A proxy, a URI, or the name server itself; with a key; the proxy given is not used further."""
    pyro_config.NS_HOST, pyro_config.BROADCAST_ADDRS = "./u:/nonexistent/ns", "127.0.0.1"
    with running_nameserver(hmac_key="k") as running, running_daemon(hmac_key="k") as served:
        pyro_config.NS_HOST = "./u:/nonexistent/ns"
        with pyrolite.locateNS("127.0.0.1", running.uri.port, hmac_key="k") as proxy:
            served.daemon.register_ns(Thing(), "by proxy", ns=proxy)
            served.daemon.register_ns(Thing(), "by uri", ns=running.uri)
            served.daemon.register_ns(Thing(), "by text", ns=str(running.uri))
            assert set(proxy.list()) == {"Pyro.NameServer", "by proxy", "by uri", "by text"}
        served.daemon.shutdown()
        with pyrolite.locateNS("127.0.0.1", running.uri.port, hmac_key="k") as proxy:
            assert set(proxy.list()) == {"Pyro.NameServer"}
    local = NameServer()
    with Daemon() as daemon:
        daemon.register_ns(Thing(), "local", ns=local)
        assert set(local.list()) == {"local"}
    assert local.count() == 0


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_idle_daemon_keeps_its_names(quick: Any, servertype: str, caplog: pytest.LogCaptureFixture) -> None:
    """[BYD-14] One with nothing else to do, and no housekeeping of its own."""
    with running_daemon(servertype=servertype) as running, pyrolite.locateNS() as proxy:
        running.daemon.register_ns(Thing(), "a", ttl=0.4)
        time.sleep(1.2)  # without renewals it would be gone for good by then
        eventually(lambda: "a" in proxy.list(), "the name is kept")
    assert "does not serve" not in caplog.text


def test_renewal_leaves_others_alone(quick: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[BYD-14] Who has registered the name meanwhile keeps it, also when this daemon ends; free again, it is taken."""
    with running_daemon(), pyrolite.locateNS() as proxy:
        with running_daemon() as first:
            first.daemon.register_ns(Thing(), "a", ttl=0.3)
            proxy.register("a", "PYRO:other@h:1")
            eventually(lambda: "it is registered as PYRO:other@h:1" in caplog.text, "the daemon notices")
            assert str(proxy.lookup("a")) == "PYRO:other@h:1"
            proxy.remove("a")
            eventually(lambda: "a" in proxy.list(), "it comes back")
            proxy.register("a", "PYRO:other@h:2")
        assert str(proxy.lookup("a")) == "PYRO:other@h:2"
    assert caplog.text.count("it is registered as PYRO:other@h:1") == 1


def test_failures(quick: Any, pyro_config: Any) -> None:
    """[BYD-14] What cannot be registered there is not registered here either."""
    with Daemon() as daemon:
        thing = Thing()
        for arguments, error in (
            ({"ttl": 0}, ValueError),
            ({"ttl": "5"}, TypeError),
            ({"ttl": True}, TypeError),
            ({"metadata": "text"}, TypeError),
            ({"ns": "PYRO:Pyro.NameServer@127.0.0.1:1"}, CommunicationError),
        ):
            with pytest.raises(error):
                daemon.register_ns(thing, "a", **arguments)
            assert not hasattr(thing, "_pyroId")
        with pytest.raises(NamingError, match="own registration"):
            daemon.register_ns(thing, "Pyro.NameServer")
        daemon.register_ns(thing, "a")
        with Daemon() as other, pytest.raises(DaemonError, match="already has a Pyro id"):
            other.register_ns(thing, "b")
        assert daemon.objectsById[thing._pyroId] is thing  # type: ignore[attr-defined]
        pyro_config.NS_PORT, pyro_config.BROADCAST_ADDRS = 1, "127.0.0.1"
        with Daemon() as other, pytest.raises(NamingError, match="^Failed to locate the nameserver"):
            other.register_ns(Thing(), "c")


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_end_without_name_server(servertype: str, pyro_config: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[BYD-5] [BYD-14] A name server that is gone, or says nothing, does not hold up the end for long."""
    pyro_config.SERVERTYPE = servertype
    with running_nameserver() as running:
        daemon = Daemon()
        daemon.register_ns(Thing(), "a", ns=running.uri)
    begin = time.monotonic()
    daemon.shutdown()
    assert time.monotonic() - begin < 5
    assert "could not remove 'a' from the name server" in caplog.text
    with socket.create_server(("127.0.0.1", 0)) as mute:
        local = NameServer()
        daemon = Daemon()
        daemon.register_ns(Thing(), "b", ns=local)
        assert daemon._pyroNames is not None
        daemon._pyroNames._entries[0].server.given = f"PYRO:Pyro.NameServer@127.0.0.1:{mute.getsockname()[1]}"
        begin = time.monotonic()
        daemon.close()
        assert time.monotonic() - begin < 8


def test_no_threads_are_left(quick: Any) -> None:
    """[BYD-14] The thread ends with the daemon."""
    with Daemon() as daemon:
        assert not [thread for thread in threading.enumerate() if thread.name == "pyrolite-names"]
        daemon.register_ns(Thing(), "a")
        assert [thread for thread in threading.enumerate() if thread.name == "pyrolite-names"]
    assert not [thread for thread in threading.enumerate() if thread.name == "pyrolite-names"]


def test_own_name_server(quick: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """[BYD-14] A NameServerDaemon may keep other objects of its own in itself."""
    caplog.set_level(logging.WARNING)
    quick.daemon.register_ns(Thing(), "beside", ns=quick.daemon.nameserver)
    assert names() == {"beside"}
