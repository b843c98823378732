"""The multiplex server, with raw clients."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.net.connection import SocketConnection
from pyrolite.socketserver.multiplexserver import SocketServer_Multiplex
from pyrolite.wire.message import MSG_CONNECT, MSG_INVOKE

from .conftest import EchoDaemon, RawClient


def test_calls_in_the_loop_thread(start_server: Any) -> None:
    """[SRV-30] All calls are executed in one thread; there is no limit on connections."""
    running = start_server("multiplex")
    clients = [running.client() for _ in range(60)]
    assert {client.call(b"thread") for client in clients} == {running.thread.name.encode()}
    stats = running.server.stats()
    assert stats["connections_open"] == stats["connections_total"] == 60
    assert repr(running.server) == f"<SocketServer_Multiplex on {running.server.locationStr}; 60 connections>"


def test_silent_and_slow_clients(start_server: Any) -> None:
    """[SRV-11], [SRV-37], [SEC-40] Silence, half a handshake and half a request delay nobody."""
    running = start_server("multiplex")
    running.connect()
    running.connect().sock.sendall(b"PYRO\x00\x30\x00")
    half = running.client()
    half.sock.sendall(b"PYRO\x00\x30\x00\x04")
    good = running.client()
    began = time.monotonic()
    for _ in range(20):
        assert good.call(b"quick") == b"quick"
    assert time.monotonic() - began < 2


def test_messages_in_pieces(start_server: Any) -> None:
    """[SRV-37] Handshake and requests that come byte by byte, and large ones."""
    running = start_server("multiplex")
    client = running.connect()
    data = client.message(MSG_CONNECT, b"hi") + client.message(MSG_INVOKE, b"bytes")
    for position in range(len(data)):
        client.sock.sendall(data[position : position + 1])
    client.receive()
    assert client.receive().data == b"bytes"
    large = bytes(range(256)) * 20000
    assert client.call(large) == large


def test_pipelined_requests_are_fair(start_server: Any) -> None:
    """[SRV-39] Buffered requests are all answered without a further event, and others get their turn between them."""
    running = start_server("multiplex")
    order: list[str] = []
    gate = threading.Event()
    entered = threading.Event()

    def gated(conn: SocketConnection) -> bytes:
        entered.set()
        assert gate.wait(10)
        return b""

    def note(name: str) -> Any:
        def behaviour(conn: SocketConnection) -> bytes:
            order.append(name)
            return b""

        return behaviour

    running.daemon.behaviours.update({b"gate": gated, b"many": note("many"), b"one": note("one")})
    greedy, modest = running.client(), running.client()
    greedy.send(MSG_INVOKE, b"gate")
    assert entered.wait(10)
    for _ in range(50):
        greedy.send(MSG_INVOKE, b"many")
    modest.send(MSG_INVOKE, b"one")
    gate.set()
    for _ in range(51):
        greedy.receive()
    modest.receive()
    assert order.count("many") == 50
    assert order.index("one") < 10


def test_slow_reader(start_server: Any) -> None:
    """[HRD-12], [SRV-37] A client that does not read its answers delays nobody, is not read on, and loses nothing."""
    running = start_server("multiplex")
    slow, good = running.client(), running.client()
    payload = b"x" * 1_000_000
    sender = threading.Thread(target=lambda: [slow.send(MSG_INVOKE, payload) for _ in range(30)])
    sender.start()
    running.eventually(lambda: running.daemon.requests >= 3)
    for _ in range(20):
        assert good.call(b"quick") == b"quick"
    served = running.daemon.requests
    assert served - 20 < 30  # back pressure
    for _ in range(30):
        assert len(slow.receive().data) == len(payload)
    sender.join(10)


def test_stuck_reader_is_disconnected(start_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-37] A client that takes nothing of its answer for COMMTIMEOUT is disconnected."""
    running = start_server("multiplex", COMMTIMEOUT=0.4)
    running.daemon.behaviours[b"big"] = lambda conn: bytes(30_000_000)
    stuck = running.client()
    stuck.send(MSG_INVOKE, b"big")
    running.daemon.wait_until(lambda: running.daemon.disconnected)
    assert "sending: timeout" in caplog.text


def test_half_closed_client_gets_its_answer(start_server: Any) -> None:
    """[SRV-37] A client may close its sending side and still read a large answer."""
    running = start_server("multiplex")
    client = running.client()
    client.send(MSG_INVOKE, b"z" * 5_000_000)
    client.sock.shutdown(socket.SHUT_WR)
    assert len(client.receive().data) == 5_000_000
    assert client.closed_by_server()


def test_timeouts(start_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-38], [HRD-15], [DMN-44] COMMTIMEOUT ends handshakes and messages that stall, but no idle connections."""
    running = start_server("multiplex", COMMTIMEOUT=0.3)
    idle, half, silent = running.client(), running.client(), running.connect()
    half.sock.sendall(b"PYRO\x00\x30\x00\x04")
    assert half.closed_by_server()
    assert silent.closed_by_server()
    time.sleep(0.4)
    assert idle.call(b"here") == b"here"
    assert len(running.daemon.disconnected) == 1
    assert "error during handleRequest: receiving: timeout" in caplog.text


def test_slow_but_steady_message(start_server: Any) -> None:
    """[HRD-15] A large message that makes progress is not cut off by COMMTIMEOUT."""
    running = start_server("multiplex", COMMTIMEOUT=0.3)
    client = running.client()
    data = client.message(MSG_INVOKE, b"s" * 20000)
    for position in range(0, len(data), 2000):
        client.sock.sendall(data[position : position + 2000])
        time.sleep(0.06)
    assert len(client.receive().data) == 20000


def test_pending_limit(start_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-10] Beyond the limit the oldest pending connections are dropped."""
    monkeypatch.setattr("pyrolite.socketserver.eventconnections.MAX_PENDING", 5)
    running = start_server("multiplex")
    clients = [running.connect() for _ in range(8)]
    assert all(client.closed_by_server() for client in clients[:3])
    for client in clients[3:]:
        client.handshake()


def test_housekeeping(start_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-34], [HRD-20] Housekeeping after events and at each idle POLLTIMEOUT, whatever it raises."""
    running = start_server("multiplex", POLLTIMEOUT=0.05)

    def fail() -> None:
        raise ValueError("in housekeeping")

    running.daemon.on_housekeeping = fail
    running.daemon.wait_until(lambda: running.daemon.housekeepings >= 5)
    assert running.client().call(b"ok") == b"ok"
    assert "in housekeeping" in caplog.text


@pytest.mark.parametrize("request_type", [SystemExit, KeyboardInterrupt])
def test_exit_from_housekeeping(start_server: Any, request_type: type[BaseException]) -> None:
    """[HRD-20], [SRV-31] SystemExit from housekeeping leaves the loop, KeyboardInterrupt ends it normally."""
    running = start_server("multiplex", POLLTIMEOUT=0.05)

    def leave() -> None:
        raise request_type

    running.daemon.on_housekeeping = leave
    running.thread.join(5)
    assert not running.thread.is_alive()
    assert (type(running.error) is SystemExit) is (request_type is SystemExit)


@contextlib.contextmanager
def made_server(**settings: Any) -> Any:
    """A multiplex server whose loop does not run."""
    daemon = EchoDaemon(config.copy(**settings))
    server = SocketServer_Multiplex()
    server.init(daemon, "127.0.0.1", 0)
    daemon.server = server
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def connected(server: SocketServer_Multiplex) -> Any:
    assert server.sock is not None
    with socket.create_connection(server.sock.getsockname()) as sock:
        yield RawClient(sock)


def test_events_for_outside_loops() -> None:
    """[DMN-31], [SRV-32], [SRV-33], [SRV-39] `sockets` and `events` are all that an outside loop needs."""
    with made_server() as server, contextlib.ExitStack() as stack:
        stop = threading.Event()

        def outside_loop() -> None:
            while not stop.is_set():
                ready, _, _ = select.select(server.sockets, [], [], 0.02)
                if ready:
                    server.events(ready)

        thread = threading.Thread(target=outside_loop)
        thread.start()
        try:
            clients = [stack.enter_context(connected(server)).handshake() for _ in range(5)]
            for client in clients:
                for _ in range(20):
                    client.send(MSG_INVOKE, b"piped")
            assert all(client.receive().data == b"piped" for client in clients for _ in range(20))
            large = clients[0].call(b"L" * 9_000_000)
            assert len(large) == 9_000_000
            assert len(server.sockets) == 6
            assert server.sock in server.sockets
            assert sum(isinstance(sock, SocketConnection) for sock in server.sockets) == 5
        finally:
            stop.set()
            thread.join(5)


def test_combined_servers() -> None:
    """[SRV-36], [DMN-34] One loop serves two servers; either may be closed."""
    with made_server(POLLTIMEOUT=5.0) as master, made_server() as member, contextlib.ExitStack() as stack:
        early = stack.enter_context(connected(member))
        member.events([member.sock])
        master.combine_loop(member)
        assert member.selector is master.selector
        assert member.sock in master.sockets
        assert len(member.sockets) == 2
        thread = threading.Thread(target=master.loop)
        thread.start()
        try:
            assert early.handshake().call(b"early") == b"early"
            first = stack.enter_context(connected(master)).handshake()
            second = stack.enter_context(connected(member)).handshake()
            assert first.call(b"1") == b"1"
            assert second.call(b"2") == b"2"
            member.close()
            assert second.closed_by_server()
            assert len(member.daemon.disconnected) == 2
            assert first.call(b"3") == b"3"
            assert len(master.sockets) == 2
        finally:
            master.shutdown()
            thread.join(5)
        assert not thread.is_alive()


class Responder:
    """Something that is no socket server but has sockets and events."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sockets = [self.sock]
        self.received: list[bytes] = []
        self.selector: Any = None
        self.got = threading.Event()

    def events(self, eventsockets: list[Any]) -> None:
        assert eventsockets == [self.sock]
        self.received.append(self.sock.recv(100))
        self.got.set()
        if self.received[-1] == b"fail":
            raise ValueError("failing responder")


def test_combined_with_something_else(caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-36] A responder in the loop; its errors and its unannounced end harm nobody."""
    responder = Responder()
    address = responder.sock.getsockname()
    with made_server(POLLTIMEOUT=0.05) as master, contextlib.ExitStack() as stack:
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        master.combine_loop(responder)
        assert responder.selector is master.selector
        thread = threading.Thread(target=master.loop)
        thread.start()
        try:
            sender.sendto(b"fail", address)
            assert responder.got.wait(5)
            client = stack.enter_context(connected(master)).handshake()
            assert client.call(b"on") == b"on"
            responder.sock.close()
            # the descriptor of the closed socket may be used again now, by connections of the master
            clients = [stack.enter_context(connected(master)).handshake() for _ in range(5)]
            assert all(each.call(b"x") == b"x" for each in clients)
        finally:
            master.shutdown()
            thread.join(5)
        assert not thread.is_alive()
    assert "failing responder" in caplog.text


@pytest.mark.slow
def test_many_idle_connections(start_server: Any) -> None:
    """[BYD-3] Idle connections do not slow down an active one."""
    resource = pytest.importorskip("resource")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(2000, (soft - 200) // 2)
    running = start_server("multiplex")
    running.daemon.behaviours[b"cpu"] = lambda conn: b"%.9f" % time.thread_time()
    client = running.client()

    def cpu_time() -> float:
        """CPU seconds that the server's thread needs for 200 calls."""
        times = []
        for _ in range(7):
            began = float(client.call(b"cpu"))
            for _ in range(200):
                client.call(b"x")
            times.append(float(client.call(b"cpu")) - began)
        return min(times)

    alone = cpu_time()
    for _ in range(count):
        running.client()
    # on a busy machine a single measurement may be off
    assert any(cpu_time() < alone * 2 for _ in range(4))
