"""The thread pool server, with raw clients."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.errors import ConnectionClosedError, SecurityError, TimeoutError  # noqa: A004
from pyrolite.net.connection import SocketConnection
from pyrolite.socketserver.lobby import NO_WORKERS
from pyrolite.socketserver.threadpoolserver import SocketServer_Threadpool
from pyrolite.wire.message import MSG_CONNECT, MSG_CONNECTFAIL, MSG_INVOKE

from .conftest import EchoDaemon, RawClient


class Gate:
    """A method that stays in progress until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, conn: SocketConnection) -> bytes:
        self.entered.release()
        assert self.open.wait(10)
        return b"opened"


def occupy(running: Any, count: int) -> tuple[Gate, list[Any]]:
    """Make ``count`` workers be in the middle of a request."""
    gate = Gate()
    running.daemon.behaviours[b"gate"] = gate
    clients = [running.client() for _ in range(count)]
    for client in clients:
        client.send(MSG_INVOKE, b"gate")
        assert gate.entered.acquire(timeout=10)
    return gate, clients


def test_requests_in_parallel_and_thread_affinity(start_server: Any) -> None:
    """[SRV-20] One worker per connection, for its whole life."""
    running = start_server(THREADPOOL_SIZE=10, THREADPOOL_SIZE_MIN=2)
    clients = [running.client() for _ in range(10)]
    names = [client.call(b"thread") for client in clients]
    assert len(set(names)) == 10
    assert all(name.startswith(b"Pyro-Worker-") for name in names)
    time.sleep(0.05)  # beyond the brief wait: the workers are lendable now, and nobody wants them
    assert [client.call(b"thread") for client in clients] == names
    stats = running.server.stats()
    assert stats["connections_open"] == stats["connections_total"] == 10
    assert stats["connections_parked"] == 0
    assert stats["workers_limit"] == stats["workers_busy"] == 10


def test_large_message_in_pieces(start_server: Any) -> None:
    """[SRV-20] A message that does not come in one piece."""
    client = start_server().client()
    data = bytes(range(256)) * 4000
    assert client.call(data) == data


@pytest.mark.parametrize("pool_size", [1, 4])
def test_parking(start_server: Any, pool_size: int) -> None:
    """[BYD-1] 200 idle connections on a few workers: the 201st is served, and so are all the others."""
    running = start_server(THREADPOOL_SIZE=pool_size, THREADPOOL_SIZE_MIN=1)
    clients = [running.client() for _ in range(200)]
    assert running.client().call(b"x") == b"x"
    for number, client in enumerate(clients):
        assert client.call(b"%d" % number) == b"%d" % number
    stats = running.server.stats()
    assert stats["connections_open"] == 201
    assert stats["workers_busy"] <= pool_size
    assert stats["connections_parked"] >= 201 - pool_size
    assert not running.daemon.disconnected


def test_parked_connection_ends(start_server: Any) -> None:
    """[BYD-1], [DMN-36] A parked client that goes away gets its disconnect hook, in a worker."""
    running = start_server(THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1)
    threads: list[str] = []
    running.daemon.on_disconnect = lambda conn: threads.append(threading.current_thread().name)
    first, second = running.client(), running.client()
    second.call()
    first.close()
    running.daemon.wait_until(lambda: running.daemon.disconnected)
    assert second.call(b"y") == b"y"
    assert all(name.startswith("Pyro-Worker-") for name in threads)


def test_parked_connection_with_half_a_message(start_server: Any) -> None:
    """[BYD-1], [HRD-10] Half a message on a parked connection binds no worker."""
    running = start_server(THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1)
    slow, other = running.client(), running.client()
    other.call()
    slow.sock.sendall(b"PYRO\x00\x30")
    time.sleep(0.05)
    assert other.call(b"z") == b"z"


@pytest.mark.parametrize("size", [10, 500_000])
def test_half_messages_bind_no_worker(start_server: Any, size: int) -> None:
    """[HRD-13], [SEC-40] More clients than workers send half a message and wait: the others are served all the same."""
    running = start_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1, THREADPOOL_WAIT=5.0)
    slow = [running.client() for _ in range(6)]
    messages = [client.message(MSG_INVOKE, bytes([number]) * size) for number, client in enumerate(slow)]
    for client, message in zip(slow, messages, strict=True):
        client.sock.sendall(message[: len(message) // 2])
    for _ in range(3):
        client = running.client()
        assert [client.call(b"x") for _ in range(3)] == [b"x"] * 3
    for number in (5, 0, 3, 1, 2, 4):
        slow[number].sock.sendall(messages[number][len(messages[number]) // 2 :])
        frame = slow[number].receive()
        assert (frame.seq, bytes(frame.data)) == (slow[number].seq, bytes([number]) * size)
        assert slow[number].call(b"again") == b"again"


def test_more_active_connections_than_workers(start_server: Any) -> None:
    """[BYD-1] With more busy clients than workers they take turns."""
    running = start_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    clients = [running.client() for _ in range(6)]
    done: list[int] = []

    def work(client: Any) -> None:
        for number in range(50):
            assert client.call(b"%d" % number) == b"%d" % number
        done.append(1)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(done) == 6


def test_pipelined_requests(start_server: Any) -> None:
    """[SRV-39] Several requests in one segment are all answered, in order."""
    client = start_server().client()
    for number in range(100):
        client.send(MSG_INVOKE, b"%d" % number)
    assert [bytes(client.receive().data) for _ in range(100)] == [b"%d" % number for number in range(100)]


def test_denied_when_all_workers_are_in_requests(start_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-21], [BYD-2] The denial comes after THREADPOOL_WAIT, with the sequence number of the CONNECT."""
    running = start_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1, THREADPOOL_WAIT=0.2)
    gate, clients = occupy(running, 2)
    late = running.connect()
    began = time.monotonic()
    late.send(MSG_CONNECT, b"hi")
    frame = late.receive()
    assert time.monotonic() - began > 0.15
    assert (frame.type, frame.seq, bytes(frame.data)) == (MSG_CONNECTFAIL, late.seq, NO_WORKERS.encode())
    assert late.closed_by_server()
    assert f"client connection was denied: {NO_WORKERS}" in caplog.text
    gate.open.set()
    assert [bytes(client.receive().data) for client in clients] == [b"opened"] * 2
    assert running.client().call(b"again") == b"again"
    assert len(running.daemon.disconnected) == 0


def test_waits_for_a_worker(start_server: Any) -> None:
    """[BYD-2] A connection is served when a worker becomes free within THREADPOOL_WAIT."""
    running = start_server(THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1, THREADPOOL_WAIT=10.0)
    gate, _ = occupy(running, 1)
    late = running.connect()
    late.send(MSG_CONNECT, b"hi")
    time.sleep(0.1)
    gate.open.set()
    late.receive()
    assert late.call(b"in") == b"in"


def test_no_wait_but_idle_connections(start_server: Any) -> None:
    """[BYD-1], [BYD-2] THREADPOOL_WAIT 0: nobody is denied while connections are just idle."""
    running = start_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1, THREADPOOL_WAIT=0.0)
    for _ in range(20):
        running.client().call()


def test_silent_clients_bind_no_worker(start_server: Any) -> None:
    """[HRD-10], [SRV-11] Clients that connect and stay silent, or send half a header, stop nobody."""
    running = start_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    for number in range(20):
        silent = running.connect()
        if number % 2:
            silent.sock.sendall(b"PYRO\x00\x30\x00")
    assert running.client().call(b"works") == b"works"
    assert running.server.stats()["workers_busy"] == 1


def test_slow_handshake(start_server: Any) -> None:
    """[HRD-10] A CONNECT that comes byte by byte is answered when it is complete."""
    running = start_server()
    client = running.connect()
    data = client.message(MSG_CONNECT, b"hi")
    for position in range(len(data)):
        client.sock.sendall(data[position : position + 1])
    client.receive()
    assert client.call(b"slow") == b"slow"


def test_handshake_deadline(start_server: Any) -> None:
    """[DMN-44], [SEC-40] Without a complete CONNECT the connection is closed in time."""
    running = start_server(HANDSHAKE_TIMEOUT=0.3)
    silent, half = running.connect(), running.connect()
    half.sock.sendall(b"PYRO\x00\x30\x00")
    began = time.monotonic()
    assert silent.closed_by_server()
    assert half.closed_by_server()
    assert 0.2 < time.monotonic() - began < 3
    running.eventually(lambda: running.server.stats()["connections_open"] == 0)
    assert running.daemon.disconnected == []


def test_pending_limit(start_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-10] Beyond the limit the oldest pending connections are dropped."""
    monkeypatch.setattr("pyrolite.socketserver.lobby.MAX_PENDING", 5)
    running = start_server()
    clients = [running.connect() for _ in range(8)]
    assert all(client.closed_by_server() for client in clients[:3])
    for client in clients[3:]:
        client.handshake()


def test_timeout_closes_idle_connection(start_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-25], [SRV-7] With COMMTIMEOUT a silent connection is closed, with a WARNING."""
    running = start_server(COMMTIMEOUT=0.3)
    client = running.client()
    assert client.call(b"1") == b"1"
    began = time.monotonic()
    assert client.closed_by_server()
    assert 0.2 < time.monotonic() - began < 3
    running.daemon.wait_until(lambda: running.daemon.disconnected)
    assert "error during handleRequest: receiving: timeout" in caplog.text
    assert "Traceback" not in caplog.text


def test_timeout_closes_parked_connection(start_server: Any) -> None:
    """[SRV-25], [BYD-1] COMMTIMEOUT holds for parked connections too, and a busy one is not affected."""
    running = start_server(COMMTIMEOUT=0.5, THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1)
    parked, busy = running.client(), running.client()
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        assert busy.call(b"b") == b"b"
        time.sleep(0.02)
    assert parked.closed_by_server()
    running.daemon.wait_until(lambda: len(running.daemon.disconnected) >= 1)


def test_timeout_in_the_middle_of_a_message(start_server: Any) -> None:
    """[HRD-15] Half a message for longer than COMMTIMEOUT ends the connection."""
    running = start_server(COMMTIMEOUT=0.3)
    client = running.client()
    client.sock.sendall(b"PYRO\x00\x30")
    assert client.closed_by_server()


@pytest.mark.parametrize(
    ("error", "level", "text", "traceback"),
    [
        (ConnectionClosedError("gone"), "DEBUG", "client disconnected", False),
        (SecurityError("no!"), "WARNING", "security error on client", False),
        (TimeoutError("late"), "WARNING", "error during handleRequest: late", False),
        (ZeroDivisionError("oops"), "WARNING", "error during handleRequest: oops", True),
    ],
)
@pytest.mark.parametrize("name", ["thread", "multiplex"])
def test_error_ends_only_its_connection(
    start_server: Any,
    caplog: pytest.LogCaptureFixture,
    name: str,
    error: Exception,
    level: str,
    text: str,
    traceback: bool,
) -> None:
    """[SRV-7], [HRD-22] What handleRequest raises ends the connection, at the right log level, and nothing else."""

    def fail(conn: SocketConnection) -> bytes:
        raise error

    caplog.set_level("DEBUG")
    running = start_server(name, THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1)
    running.daemon.behaviours[b"fail"] = fail
    client = running.client()
    client.send(MSG_INVOKE, b"fail")
    assert client.closed_by_server()
    running.daemon.wait_until(lambda: running.daemon.disconnected)
    assert running.client().call(b"alive") == b"alive"
    record = next(record for record in caplog.records if text in record.getMessage())
    assert record.levelname == level
    assert bool(record.exc_info) is traceback


def test_system_exit_ends_only_its_connection(start_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[HRD-22] A SystemExit that gets out of handleRequest costs no worker."""
    running = start_server(THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1)

    def leave(conn: SocketConnection) -> bytes:
        raise SystemExit("out")

    running.daemon.behaviours[b"leave"] = leave
    client = running.client()
    client.send(MSG_INVOKE, b"leave")
    assert client.closed_by_server()
    assert running.client().call(b"alive") == b"alive"
    assert "unhandled exception in job" in caplog.text
    assert len(running.daemon.disconnected) == 1


@pytest.mark.parametrize("name", ["thread", "multiplex"])
def test_crash_in_handshake(start_server: Any, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """[SRV-9] A crash in the handshake closes this connection; the hook for disconnects is not called."""
    running = start_server(name)

    def crash(conn: SocketConnection) -> None:
        raise ZeroDivisionError("in the hook")

    running.daemon.on_handshake = crash
    client = running.connect()
    client.send(MSG_CONNECT, b"hi")
    assert client.closed_by_server()
    running.daemon.on_handshake = lambda conn: None
    assert running.client().call(b"ok") == b"ok"
    assert "error during connect/handshake: in the hook" in caplog.text
    assert running.daemon.disconnected == []


@pytest.mark.parametrize("name", ["thread", "multiplex"])
def test_disconnect_hook(start_server: Any, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """[DMN-36], [SOC-24], [HRD-20] The hook sees the connection intact; then resources are closed in any case."""
    running = start_server(name)
    events: list[str] = []

    class Resource:
        def close(self) -> None:
            events.append("closed")

    resource = Resource()

    def use(conn: SocketConnection) -> bytes:
        conn.tracked_resources.add(resource)
        conn.pyroInstances[int] = 5
        return b"used"

    def hook(conn: SocketConnection) -> None:
        events.append(f"hook {conn.pyroInstances} {len(conn.tracked_resources)} {conn.fileno() >= 0}")
        raise ValueError("from the hook")

    running.daemon.behaviours[b"use"] = use
    running.daemon.on_disconnect = hook
    client = running.client()
    client.call(b"use")
    client.close()
    running.server.wakeup()
    running.eventually(lambda: len(events) >= 2)
    assert events == ["hook {<class 'int'>: 5} 1 True", "closed"]
    assert "Error in clientDisconnect: from the hook" in caplog.text
    assert running.client().call(b"still") == b"still"


@pytest.mark.parametrize("name", ["thread", "multiplex"])
def test_connection_limit(start_server: Any, name: str) -> None:
    """[BYD-3] Beyond MAX_CONNECTIONS new ones are denied; silent ones are closed; a place that becomes free is used."""
    running = start_server(name, MAX_CONNECTIONS=2)
    first, _second = running.client(), running.client()
    third = running.connect()
    third.send(MSG_CONNECT, b"hi")
    frame = third.receive()
    assert (frame.type, frame.seq, bytes(frame.data)) == (MSG_CONNECTFAIL, third.seq, b"too many connections")
    assert third.closed_by_server()
    assert running.connect().closed_by_server()
    first.close()
    running.eventually(lambda: running.server.stats()["connections_open"] == 1)
    assert running.client().call(b"free") == b"free"


def test_housekeeping(start_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """[SRV-16], [HRD-20] Housekeeping goes on after an exception, and stops at close."""
    running = start_server(POLLTIMEOUT=0.1)

    def fail() -> None:
        raise ValueError("in housekeeping")

    running.daemon.on_housekeeping = fail
    running.daemon.wait_until(lambda: running.daemon.housekeepings >= 3)
    assert "in housekeeping" in caplog.text
    assert running.server.housekeeper.name == "housekeeper"
    assert running.server.housekeeper.daemon
    running.server.close()
    assert not running.server.housekeeper.is_alive()


def test_exit_from_housekeeping(start_server: Any) -> None:
    """[HRD-20] SystemExit from the housekeeping ends the loop."""
    running = start_server(POLLTIMEOUT=0.1)

    def leave() -> None:
        raise SystemExit("enough")

    running.daemon.on_housekeeping = leave
    running.thread.join(5)
    assert isinstance(running.error, SystemExit)


def test_interface_details(start_server: Any) -> None:
    """[SRV-22], [SRV-24], [SRV-26] The attributes that the thread pool server has, and does not have."""
    running = start_server()
    server = running.server
    assert server.sockets == [server.sock]
    assert server.locationStr == f"127.0.0.1:{running.address[1]}"
    assert repr(server) == f"<SocketServer_Threadpool on {server.locationStr}; 4 workers>"
    with pytest.raises(TypeError, match="threadpool server doesn't have multiplexing selector"):
        _ = server.selector
    with pytest.raises(TypeError, match="You can't use the loop combiner on the threadpool server type"):
        server.combine_loop(SocketServer_Threadpool())
    server.events(["unrelated"])
    server.close()
    server.close()
    assert server.sockets == []


def test_events_for_outside_loops() -> None:
    """[SRV-22], [DMN-31] One call of `events` accepts one connection, also one that is silent."""
    daemon = EchoDaemon(config.copy(POLLTIMEOUT=5.0))
    server = SocketServer_Threadpool()
    server.init(daemon, "127.0.0.1", 0)
    try:
        assert server.sock is not None
        address = server.sock.getsockname()
        with socket.create_connection(address) as first, socket.create_connection(address) as second:
            server.events(server.sockets)
            server.events(server.sockets)
            assert RawClient(second).handshake().call(b"2") == b"2"
            assert RawClient(first).handshake().call(b"1") == b"1"
    finally:
        server.close()


def test_no_thread_can_be_started(start_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-19] When no thread can be started the server goes on with the workers it has."""
    running = start_server(THREADPOOL_SIZE=10, THREADPOOL_SIZE_MIN=1)
    first = running.client()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    running.connect()  # a pending connection makes the thread of the lobby start
    running.eventually(lambda: any(thread.name == "pyrolite-lobby" for thread in threading.enumerate()))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    second = running.client()
    assert second.call(b"2") == b"2"
    assert first.call(b"1") == b"1"
