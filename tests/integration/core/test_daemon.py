"""Daemons in operation: loop, hooks, instances, the end, serveSimple, connected sockets."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context
from pyrolite.errors import ConnectionClosedError, DaemonError, NamingError, PyroError
from pyrolite.message import Message

PATIENCE = 10.0


@pyrolite.expose
class Thing:
    def echo(self, value: Any) -> Any:
        return value


@pytest.fixture
def daemon(servertype: str) -> Any:
    """A daemon that is not serving yet."""
    with pyrolite.Daemon(host="127.0.0.1", config=pyrolite.config.copy(SERVERTYPE=servertype)) as daemon:
        yield daemon


def serving(daemon: pyrolite.Daemon, **options: Any) -> threading.Thread:
    thread = threading.Thread(target=daemon.requestLoop, kwargs=options)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    thread.join(PATIENCE)
    return not thread.is_alive()


# ---- what it is


def test_location(daemon: pyrolite.Daemon) -> None:
    """[DMN-5], [DMN-7], [DMN-8]"""
    host, port = daemon.locationStr.split(":")
    assert (host, int(port)) == daemon.sock.getsockname()
    assert repr(daemon).endswith(f"; {daemon.locationStr} - IPv4; 1 objects>")
    assert daemon.sockets == [daemon.sock] or daemon.sock in daemon.sockets
    daemon.register(Thing())
    assert repr(daemon).endswith("; 2 objects>")
    daemon.close()
    assert repr(daemon).endswith(f"; {daemon.locationStr} - closed; 2 objects>")
    assert daemon.sock is None
    assert daemon.sockets == []


def test_names_stay_names(servertype: str) -> None:
    """[DMN-5]: the host as given; the bound address when there is none."""
    config = pyrolite.config.copy(SERVERTYPE=servertype)
    with pyrolite.Daemon(host="localhost", config=config) as daemon:
        assert daemon.locationStr.startswith("localhost:")
    with pyrolite.Daemon(host="", config=config) as daemon:
        assert daemon.locationStr.startswith("0.0.0.0:")


def test_taken_port(daemon: pyrolite.Daemon, servertype: str) -> None:
    """[DMN-5]"""
    port = daemon.sock.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        pyrolite.Daemon(host="127.0.0.1", port=port, config=pyrolite.config.copy(SERVERTYPE=servertype))
    with pytest.raises(socket.gaierror):
        pyrolite.Daemon(host="no.such.host.invalid")


def test_nat(servertype: str) -> None:
    """[DMN-6]: port 0 is the internal one."""
    config = pyrolite.config.copy(SERVERTYPE=servertype)
    with pyrolite.Daemon(host="127.0.0.1", nathost="outside", natport=0, config=config) as daemon:
        assert daemon.natLocationStr == f"outside:{daemon.sock.getsockname()[1]}"
        assert daemon.register(Thing(), "x").host == "outside"


def test_private_unix_socket(servertype: str, tmp_path: Any) -> None:
    """[DMN-1], [DMN-33], [SEC-2]"""
    path = tmp_path / "socket"
    config = pyrolite.config.copy(SERVERTYPE=servertype)
    with pyrolite.Daemon(unixsocket=str(path), unixsocket_mode=0o600, config=config):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_abstract_unix_socket(start: Any, connect: Any) -> None:
    """[DMN-33], [URI-7]"""
    running = start({"thing": Thing()}, unixsocket=f"\0pyrolite-test-{os.getpid()}")
    assert connect(running.uris["thing"]).echo(1) == 1


def test_failing_construction(servertype: str) -> None:
    """[DMN-4]: the socket is closed again; the leak check of this folder would see it."""

    def interface(daemon: pyrolite.Daemon) -> Any:
        raise ValueError("not today")

    with pytest.raises(ValueError, match="^not today$"):
        pyrolite.Daemon(host="127.0.0.1", interface=interface, config=pyrolite.config.copy(SERVERTYPE=servertype))


class Interface(pyrolite.core.DaemonObject):
    """[DMN-9], [SEC-14]: says less than usual, and one thing more."""

    @pyrolite.expose
    def registered(self) -> list[str]:
        return []

    @pyrolite.expose
    def location(self) -> str:
        return self.daemon.locationStr


def test_interface(servertype: str, connect: Any) -> None:
    """[DMN-9], [DMN-80], [SEC-14]"""
    config = pyrolite.config.copy(SERVERTYPE=servertype)
    with pyrolite.Daemon(host="127.0.0.1", interface=Interface, config=config) as daemon:
        thread = serving(daemon)
        proxy = connect(f"PYRO:Pyro.Daemon@{daemon.locationStr}")
        assert proxy.registered() == []
        assert proxy.location() == daemon.locationStr
        assert proxy.ping() is None
        assert proxy.info().startswith(f"Pyro.Daemon bound on {daemon.locationStr}, NAT None, 1 objects registered.")
        daemon.shutdown()
        assert ended(thread)


# ---- the loop


def test_condition(daemon: pyrolite.Daemon) -> None:
    """[DMN-30]: false at once; later; and the loop may run again."""
    daemon.requestLoop(loopCondition=lambda: False)
    daemon._pyroConfig.POLLTIMEOUT = 0.02
    for _ in range(2):
        begin = time.monotonic()
        daemon.requestLoop(loopCondition=lambda begin=begin: time.monotonic() < begin + 0.1)  # type: ignore[misc]
        assert 0.09 < time.monotonic() - begin < PATIENCE
    daemon.register(Thing(), "thing")
    thread = serving(daemon)
    with pyrolite.Proxy(daemon.uriFor("thing")) as proxy:
        assert proxy.echo(1) == 1
    daemon.shutdown()
    assert ended(thread)


def test_outside_loop(daemon: pyrolite.Daemon, servertype: str) -> None:
    """[DMN-31], [CTX-3]: `events` in the program's own loop; its correlation id stays."""
    import select
    import uuid

    current_context.correlation_id = mine = uuid.uuid4()
    daemon.register(Thing(), "thing")
    with ThreadPoolExecutor(1) as pool, pyrolite.Proxy(daemon.uriFor("thing")) as proxy:
        result = pool.submit(lambda: proxy.echo(7))
        deadline = time.monotonic() + PATIENCE
        while not result.done():
            assert time.monotonic() < deadline
            ready, _, _ = select.select(daemon.sockets, [], [], 0.05)
            daemon.events(ready)
        assert result.result() == 7
    assert current_context.correlation_id == mine


def test_combined_daemons(connect: Any) -> None:
    """[DMN-34]"""
    config = pyrolite.config.copy(SERVERTYPE="multiplex")
    with (
        pyrolite.Daemon(host="127.0.0.1", config=config) as first,
        pyrolite.Daemon(host="127.0.0.1", config=config) as second,
    ):
        first.register(Thing(), "a")
        second.register(Thing(), "b")
        first.combine(second)
        thread = serving(first)
        assert connect(first.uriFor("a")).echo(1) == 1
        assert connect(second.uriFor("b")).echo(2) == 2
        first.shutdown()
        assert ended(thread)
    config = pyrolite.config.copy(SERVERTYPE="thread")
    with pyrolite.Daemon(host="127.0.0.1", config=config) as threaded, pytest.raises(TypeError):
        threaded.combine(threaded)


INTERRUPTED = """
    import _thread, os, signal, sys, threading
    import pyrolite

    @pyrolite.expose
    class Thing:
        def nothing(self):
            pass

        def interrupt(self):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(100_000_000):
                pass

    config = pyrolite.config.copy(SERVERTYPE=sys.argv[1], POLLTIMEOUT=0.2)
    daemon = pyrolite.Daemon(host="127.0.0.1", config=config)
    uri = daemon.register(Thing(), "thing")

    def client():
        try:
            with pyrolite.Proxy(uri) as proxy:
                proxy.nothing()
                if sys.argv[2] == "idle":
                    os.kill(os.getpid(), signal.SIGINT)
                else:
                    proxy.interrupt()
        except pyrolite.errors.PyroError:
            pass

    thread = threading.Thread(target=client, daemon=True)
    thread.start()
    with daemon:
        daemon.requestLoop()
    print("ended")
"""


@pytest.mark.parametrize("when", ["idle", "busy"])
def test_interrupt(run_python: Any, servertype: str, when: str) -> None:
    """[DMN-30], [DMN-60]: Ctrl-C ends the loop normally, also while a method runs."""
    if (servertype, when) == ("thread", "busy"):
        pytest.skip("methods do not run in the main thread")
    done = run_python(INTERRUPTED, servertype, when)
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)


# ---- the end


class Ending:
    """Ends its own daemon."""

    def __init__(self, daemon: pyrolite.Daemon) -> None:
        self.daemon = daemon

    @pyrolite.expose
    def shutdown(self) -> str:
        self.daemon.shutdown()
        return "bye"

    @pyrolite.expose
    def echo(self, value: Any) -> Any:
        return value


def test_shutdown_by_a_call(daemon: pyrolite.Daemon, connect: Any) -> None:
    """[DMN-32], [HRD-32]: the reply is delivered, nothing waits for itself."""
    proxy, other = connect(daemon.register(Ending(daemon), "ending")), connect(daemon.uriFor("ending"))
    thread = serving(daemon)
    assert other.echo(1) == 1
    begin = time.monotonic()
    assert proxy.shutdown() == "bye"
    assert ended(thread)
    assert time.monotonic() - begin < 4
    for connection in (proxy, other):
        with pytest.raises(ConnectionClosedError):
            connection.echo(2)
    daemon.shutdown()
    daemon.close()


def test_shutdown_from_elsewhere(daemon: pyrolite.Daemon, connect: Any) -> None:
    """[DMN-32]: established connections end, the loop has ended when it returns."""
    thread = serving(daemon)
    proxy = connect(daemon.register(Thing(), "thing"))
    assert proxy.echo(1) == 1
    begin = time.monotonic()
    daemon.shutdown()
    assert time.monotonic() - begin < 4
    assert ended(thread)
    with pytest.raises(ConnectionClosedError):
        proxy.echo(2)
    with pytest.raises(PyroError, match="^cannot reuse this object$"):
        daemon.__enter__()


class Slow:
    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    @pyrolite.expose
    def work(self) -> str:
        self.entered.set()
        assert self.leave.wait(PATIENCE)
        return "done"


def test_calls_in_progress(connect: Any) -> None:
    """[HRD-32], [DMN-32]: may finish."""
    slow = Slow()
    with pyrolite.Daemon(host="127.0.0.1", config=pyrolite.config.copy(SERVERTYPE="thread")) as daemon:
        proxy = connect(daemon.register(slow, "slow"))
        thread = serving(daemon)
        with ThreadPoolExecutor(2) as pool:
            result = pool.submit(proxy.work)
            assert slow.entered.wait(PATIENCE)
            ending = pool.submit(daemon.shutdown)
            while not daemon._shutting_down:
                time.sleep(0.001)
            slow.leave.set()
            assert result.result(PATIENCE) == "done"
            ending.result(PATIENCE)
        assert ended(thread)


def test_pending_oneway_calls(start: Any, connect: Any) -> None:
    """[DMN-66], [DMN-65], [STR-8]: are not waited for, and not started any more."""

    class Later:
        def __init__(self) -> None:
            self.calls: list[int] = []
            self.entered, self.leave = threading.Event(), threading.Event()

        @pyrolite.expose
        @pyrolite.oneway
        def later(self, value: int) -> None:
            self.calls.append(value)
            self.entered.set()
            assert self.leave.wait(PATIENCE)

        @pyrolite.expose
        def thread_names(self) -> list[str]:
            return [thread.name for thread in threading.enumerate()]

    later = Later()
    running = start({"later": later}, ONEWAY_POOL_SIZE=1)
    proxy = connect(running.uris["later"])
    for value in range(5):
        proxy.later(value)
    assert later.entered.wait(PATIENCE)
    assert "oneway-call" in proxy.thread_names()
    assert running.daemon.stats()["oneway_queue"] == 4
    begin = time.monotonic()
    running.daemon.shutdown()
    assert time.monotonic() - begin < 4
    later.leave.set()
    assert later.calls == [0]


class Flooded:
    """Its oneway calls need the daemon themselves."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.uri: Any = None
        self.leave = threading.Event()

    @pyrolite.expose
    @pyrolite.oneway
    def later(self, number: int) -> None:
        assert self.leave.wait(PATIENCE)
        with pyrolite.Proxy(self.uri) as proxy:
            assert proxy.echo(number) == number
        self.calls.append(number)

    @pyrolite.expose
    def echo(self, value: Any) -> Any:
        return value


def test_flood_of_oneway_calls(start: Any, connect: Any, eventually: Any) -> None:
    """[DMN-65], [HRD-19], [SEC-41]: the client that sends too many is not read, all others are served, none is lost."""
    flooded = Flooded()
    running = start({"flooded": flooded}, ONEWAY_QUEUE_SIZE=3, ONEWAY_POOL_SIZE=1)
    flooded.uri = running.uris["flooded"]
    proxy, other = connect(flooded.uri), connect(flooded.uri)
    for number in range(50):
        proxy.later(number)
    eventually(lambda: running.daemon.stats()["oneway_queue"] >= 3)
    for number in range(20):
        assert other.echo(number) == number
    assert 3 <= running.daemon.stats()["oneway_queue"] <= 4
    flooded.leave.set()
    eventually(lambda: len(flooded.calls) == 50)
    assert flooded.calls == list(range(50))
    assert proxy.echo("still here") == "still here"


def test_end_of_a_flood(start: Any, connect: Any, eventually: Any) -> None:
    """[DMN-65]: a client that leaves in the middle of it, and a shutdown."""
    flooded = Flooded()
    running = start({"flooded": flooded}, ONEWAY_QUEUE_SIZE=1, ONEWAY_POOL_SIZE=1)
    flooded.uri = running.uris["flooded"]
    with pyrolite.Proxy(flooded.uri) as proxy:
        for number in range(5):
            proxy.later(number)
    eventually(lambda: running.daemon.stats()["oneway_queue"] >= 1)
    flooded.leave.set()
    eventually(lambda: len(flooded.calls) == 5)
    eventually(lambda: running.daemon.stats()["connections_open"] == 0)
    flooded.leave.clear()
    proxy = connect(flooded.uri)
    for number in range(5):
        proxy.later(number)
    eventually(lambda: running.daemon.stats()["oneway_queue"] >= 1)
    begin = time.monotonic()
    running.daemon.close()
    assert time.monotonic() - begin < 4
    flooded.leave.set()


# ---- hooks


class Observed(pyrolite.Daemon):
    """Says what happens to its connections."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.events: list[Any] = []
        self.happened = threading.Condition()
        self.fail = False

    def tell(self, event: Any) -> None:
        with self.happened:
            self.events.append(event)
            self.happened.notify_all()

    def wait_for(self, condition: Callable[[], object]) -> None:
        with self.happened:
            assert self.happened.wait_for(condition, PATIENCE), self.events

    def clientDisconnect(self, conn: Any) -> None:
        self.tell(("disconnect", len(conn.pyroInstances), len(conn.tracked_resources)))
        if self.fail:
            raise ValueError("in the hook")


class Resource:
    def __init__(self, daemon: Observed) -> None:
        self.daemon = daemon

    def close(self) -> None:
        self.daemon.tell("closed")
        raise ValueError("nobody cares")


@pyrolite.behavior("session")
class Session:
    """Holds something for its client."""

    def __init__(self) -> None:
        self.resource: Any = None

    @pyrolite.expose
    def hold(self) -> None:
        self.resource = Resource(self._pyroDaemon)
        current_context.track_resource(self.resource)

    @pyrolite.expose
    def release(self) -> None:
        current_context.untrack_resource(self.resource)
        current_context.untrack_resource(Resource(self._pyroDaemon))

    def __del__(self) -> None:
        self._pyroDaemon.tell("collected")


def test_disconnect(start: Any, connect: Any) -> None:
    """[DMN-36], [CTX-5], [DMN-70], [HRD-30]: hook, then resources, then session objects; each once."""
    running = start({"session": Session}, daemon_class=Observed)
    proxy = connect(running.uris["session"])
    proxy.hold()
    proxy._pyroRelease()
    daemon = running.daemon
    daemon.wait_for(lambda: (gc.collect(), "collected" in daemon.events)[1])
    assert daemon.events == [("disconnect", 1, 1), "closed", "collected"]


def test_untracked_resources(start: Any, connect: Any) -> None:
    """[CTX-5]"""
    running = start({"session": Session}, daemon_class=Observed)
    proxy = connect(running.uris["session"])
    proxy.hold()
    proxy.release()
    proxy._pyroRelease()
    daemon = running.daemon
    daemon.wait_for(lambda: "collected" in daemon.events)
    assert "closed" not in daemon.events


def test_failing_disconnect_hook(start: Any, connect: Any, caplog: pytest.LogCaptureFixture, eventually: Any) -> None:
    """[DMN-36], [HRD-20], [HRD-30]: logged; the rest takes place."""
    running = start({"session": Session}, daemon_class=Observed)
    running.daemon.fail = True
    proxy = connect(running.uris["session"])
    proxy.hold()
    proxy._pyroRelease()
    running.daemon.wait_for(lambda: "closed" in running.daemon.events)
    assert "Error in clientDisconnect: in the hook" in caplog.text
    with pyrolite.Proxy(running.uris["session"]) as other:
        other.hold()


def test_no_disconnect_without_handshake(start: Any, connect: Any, eventually: Any) -> None:
    """[DMN-36]: refused clients do not count."""
    running = start({"session": Session}, daemon_class=Observed, SERIALIZERS_ACCEPTED={"json"})
    with pytest.raises(PyroError):
        connect(running.uris["session"]).hold()
    eventually(lambda: running.daemon.stats()["connections_open"] == 0)
    assert running.daemon.events == []


def test_locks_and_hooks(connect: Any) -> None:
    """[HRD-18]: a hook that takes its time holds up nobody else."""

    class Stuck(Observed):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.leave = threading.Event()

        def clientDisconnect(self, conn: Any) -> None:
            self.tell("entered")
            assert self.leave.wait(PATIENCE)

    from pyrolite.testing import running_daemon

    with running_daemon({"thing": Thing()}, servertype="thread", daemon_class=Stuck) as running:
        daemon = running.daemon
        assert isinstance(daemon, Stuck)
        try:
            for number in (1, 2):
                with pyrolite.Proxy(running.uris["thing"]) as proxy:
                    assert proxy.echo(number) == number
                daemon.wait_for(lambda number=number: len(daemon.events) == number)  # type: ignore[misc]
        finally:
            daemon.leave.set()


def test_housekeeping(connect: Any, servertype: str) -> None:
    """[DMN-35], [HRD-20]: goes on after a failure; SystemExit ends the loop."""

    class Tidy(Observed):
        def housekeeping(self) -> None:
            self.tell("housekeeping")
            if len(self.events) == 1:
                raise ValueError("oops")
            if len(self.events) == 3:
                raise SystemExit(3)

    with Tidy(host="127.0.0.1", config=pyrolite.config.copy(SERVERTYPE=servertype, POLLTIMEOUT=0.05)) as daemon:
        with pytest.raises(SystemExit):
            daemon.requestLoop()
        assert daemon.events == ["housekeeping"] * 3


# ---- instances


def test_instance_modes(start: Any, connect: Any) -> None:
    """[DMN-70], [DMN-72], [DMN-74], [HRD-31]: also of classes whose instances are falsy."""

    class Counting:
        made = 0

        def __init__(self) -> None:
            type(self).made += 1
            self.number = type(self).made

        def __len__(self) -> int:
            return 0

        @pyrolite.expose
        def who(self) -> list[Any]:
            return [self.number, self._pyroId]

    @pyrolite.behavior("single")
    class Single(Counting):
        pass

    @pyrolite.behavior("session")
    class Session(Counting):
        pass

    @pyrolite.behavior("percall")
    class Percall(Counting):
        pass

    running = start({"single": Single, "session": Session, "percall": Percall})
    seen: dict[str, list[int]] = {}
    for name, uri in running.uris.items():
        first, second = connect(uri), connect(uri)
        answers = [first.who(), first.who(), second.who(), second.who()]
        assert {answer[1] for answer in answers} == {name}
        seen[name] = [answer[0] for answer in answers]
    assert seen == {"single": [1, 1, 1, 1], "session": [1, 1, 2, 2], "percall": [1, 2, 3, 4]}
    assert list(running.daemon._pyroInstances) == [Single]


def test_sessions_end_with_their_connection(start: Any, connect: Any, eventually: Any) -> None:
    """[DMN-70]"""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    class Session:
        def __init__(self) -> None:
            alive.add(self)

        @pyrolite.expose
        def work(self) -> int:
            return len(alive)

    proxy = connect(start({"session": Session}).uris["session"])
    assert proxy.work() == 1
    proxy._pyroRelease()
    eventually(lambda: not alive)
    assert proxy.work() == 1


def test_creators(start: Any, connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[DMN-71]: they run in the request; errors are returned and logged."""

    def create(cls: type) -> Any:
        kind = current_context.annotations.get("KIND")
        if kind is not None and bytes(kind) == b"wrong":
            return 17
        if kind is not None:
            raise ValueError("not possible")
        return cls()

    @pyrolite.behavior("percall", instance_creator=create)
    class Made:
        @pyrolite.expose
        def work(self) -> str:
            return "fine"

    proxy = connect(start({"made": Made}).uris["made"])
    assert proxy.work() == "fine"
    current_context.annotations = {"KIND": b"wrong"}
    with pytest.raises(TypeError, match="(?m)^instance creator returned object of different type$"):
        proxy.work()
    current_context.annotations = {"KIND": b"error"}
    with pytest.raises(ValueError, match="(?m)^not possible$"):
        proxy.work()
    assert "could not create an instance" in caplog.text


def test_concurrent_calls(connect: Any) -> None:
    """[DMN-73]: of one object, in the thread server."""
    from pyrolite.testing import running_daemon

    barrier = threading.Barrier(3)

    class Meeting:
        @pyrolite.expose
        def meet(self) -> bool:
            barrier.wait(PATIENCE)
            return True

    with running_daemon({"meeting": Meeting()}, servertype="thread") as running, ThreadPoolExecutor(3) as pool:
        proxies = [connect(running.uris["meeting"]) for _ in range(3)]
        assert list(pool.map(lambda proxy: proxy.meet(), proxies)) == [True] * 3


# ---- serveSimple


def test_serve_simple(servertype: str, capsys: pytest.CaptureFixture[str]) -> None:
    """[DMN-22]: without a name server the names are the ids."""
    daemon = pyrolite.Daemon(host="127.0.0.1", config=pyrolite.config.copy(SERVERTYPE=servertype))
    thing = Thing()
    thread = threading.Thread(
        target=pyrolite.Daemon.serveSimple, args=({thing: "thing"},), kwargs={"daemon": daemon, "ns": False}
    )
    thread.start()
    with pyrolite.Proxy(f"PYRO:thing@{daemon.locationStr}") as proxy:
        assert proxy.echo(1) == 1
    daemon.shutdown()
    assert ended(thread)
    expected = f"Object {thing!r}:\n    uri = PYRO:thing@{daemon.locationStr}\nPyro daemon running.\n"
    assert capsys.readouterr().out == expected
    with pytest.raises(PyroError, match="^cannot reuse this object$"):
        daemon.__enter__()


def test_serve_simple_with_names(pyro_nameserver: Any, capsys: pytest.CaptureFixture[str], eventually: Any) -> None:
    """[DMN-22]: the name server's proxy is released before the loop starts."""
    daemon = pyrolite.Daemon(host="127.0.0.1")
    named, unnamed = Thing(), Thing()
    thread = threading.Thread(
        target=pyrolite.Daemon.serveSimple, args=({named: "some.name", unnamed: None},), kwargs={"daemon": daemon}
    )
    thread.start()
    try:
        eventually(lambda: "Pyro daemon running" in capsys.readouterr().out)
        with pyrolite.Proxy("PYRONAME:some.name") as proxy:
            assert proxy.echo(1) == 1
            proxy._pyroRelease()
        eventually(lambda: pyro_nameserver.daemon.stats()["connections_open"] == 0)
        assert named._pyroId.startswith("obj_")
    finally:
        daemon.shutdown()
    assert ended(thread)


def test_serve_simple_without_name_server(pyro_nameserver: Any) -> None:
    """[DMN-22]: the daemon is closed; the leak check of this folder would see it."""
    pyrolite.config.NS_HOST = "./u:/nonexistent/nameserver"
    pyrolite.config.BROADCAST_ADDRS = ""
    with pytest.raises(NamingError):
        pyrolite.Daemon.serveSimple({Thing(): "x"}, host="127.0.0.1", verbose=False)


# ---- connected sockets


@pytest.fixture
def socket_daemon() -> Any:
    """A daemon on one end of a socket pair, and the other end."""
    mine, theirs = socket.socketpair()
    with pyrolite.Daemon(connected_socket=mine) as daemon, theirs, mine:
        daemon.register(Thing(), "thing")
        thread = serving(daemon)
        yield daemon, theirs, thread
        theirs.close()
        assert ended(thread)


def test_connected_socket(socket_daemon: Any) -> None:
    """[PRX-40], [DMN-3], [WIRE-124], [WIRE-125], [SEC-15]: no handshake; the socket stays the user's."""
    _, sock, _ = socket_daemon
    proxy = pyrolite.Proxy("thing", connected_socket=sock)
    assert str(proxy._pyroUri) == "PYRO:thing@<<connected-socket>>:0"
    assert proxy._pyroMethods == {"echo"}
    assert proxy._pyroSeq == 1
    connection = proxy._pyroConnection
    assert proxy.echo(1) == 1
    with proxy:
        assert proxy.echo(2) == 2
    proxy._pyroRelease()
    assert proxy._pyroConnection is connection
    del proxy, connection
    gc.collect()
    with pyrolite.Proxy("thing", connected_socket=sock) as proxy:
        assert proxy.echo(3) == 3
    assert sock.fileno() != -1


def test_unknown_object_on_a_connected_socket(socket_daemon: Any) -> None:
    """[PRX-40]"""
    _, sock, _ = socket_daemon
    with pytest.raises(DaemonError, match="(?m)^unknown object$"):
        pyrolite.Proxy("nothing", connected_socket=sock)
    with pyrolite.Proxy("thing", connected_socket=sock) as proxy:
        assert proxy.echo(1) == 1


def test_names_for_connected_sockets() -> None:
    """[PRX-40], [PRX-1]"""
    left, right = socket.socketpair()
    with left, right:
        with pytest.raises(TypeError, match="^expected Pyro URI$"):
            pyrolite.Proxy(pyrolite.URI("PYRO:a@b:1"), connected_socket=left)
        with pytest.raises(PyroError, match="^invalid uri$"):
            pyrolite.Proxy("thing")
        config = pyrolite.config.copy(SSL=True)
        with pytest.raises(OSError, match="^SSL configured for Pyro but existing socket is not a SSL socket$"):
            pyrolite.Proxy("thing", connected_socket=left, config=config)


def test_handshake_on_a_connected_socket(socket_daemon: Any) -> None:
    """[WIRE-125]: a CONNECT ends the serving, but not the socket."""
    _, sock, thread = socket_daemon
    sock.sendall(Message(1, b"", 1, 0, 0).to_bytes())
    assert ended(thread)
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        sock.recv(1)


def test_failure_on_a_connected_socket(socket_daemon: Any) -> None:
    """[PRX-41], [PRX-40]: no stale answers afterwards."""
    daemon, sock, _ = socket_daemon
    slow = Slow()
    daemon.register(slow, "slow")
    proxy = pyrolite.Proxy("slow", connected_socket=sock)
    connection = proxy._pyroConnection
    proxy._pyroTimeout = 0.05
    with pytest.raises(pyrolite.errors.TimeoutError):
        proxy.work()
    slow.leave.set()
    with pytest.raises(ConnectionClosedError, match="out of step"):
        proxy.work()
    assert proxy._pyroConnection is connection
    assert sock.fileno() != -1


# ---- more than one thread


def test_registration_while_serving(start: Any, connect: Any) -> None:
    """[OV-42]"""
    running = start({"thing": Thing()})
    daemon = running.daemon
    stop = threading.Event()

    def register() -> int:
        count = 0
        while not stop.is_set():
            thing = Thing()
            with pyrolite.Proxy(daemon.register(thing)) as proxy:
                assert proxy.echo(count) == count
            daemon.unregister(thing)
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(register) for _ in range(3)]
        proxy = connect(running.uris["thing"])
        for number in range(200):
            assert proxy.echo(number) == number
        stop.set()
        assert all(worker.result(PATIENCE) for worker in workers)
    assert sorted(daemon.objectsById) == ["Pyro.Daemon", "thing"]


def test_log(start: Any, connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A working client leaves no warnings."""
    with caplog.at_level(logging.INFO):
        proxy = connect(start({"thing": Thing()}).uris["thing"])
        assert proxy.echo(1) == 1
        proxy._pyroRelease()
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_signal_is_usable() -> None:
    """The tests above leave Ctrl-C alone."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
