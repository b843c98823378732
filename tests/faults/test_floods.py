"""Floods: refused or delayed, nothing that was accepted is dropped, no busy loop, and all returns to what it was.

A part of the full numbers in normal runs; ``-m slow`` runs them in full ([HRD-16], [HRD-19], [BYD-2], [BYD-3]).
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyrolite.errors import ConnectionClosedError
from pyrolite.wire.message import FLAGS_ONEWAY, MSG_CONNECTFAIL, MSG_CONNECTOK

from .harness import MEGABYTE, RawClient, Server, eventually, in_threads

#: Descriptors of the workers that are kept, and of the lobby.
WAKERS = 6


def share(full: int, part: int) -> Any:
    """A part of ``full``, and ``full`` on demand."""
    return pytest.mark.parametrize("count", [part, pytest.param(full, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    """Let this process have as many descriptors as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def needs_descriptors(count: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count + 200:
        pytest.skip(f"this process may not have {count} descriptors")


@share(5000, 500)
@pytest.mark.timeout(300)
def test_many_connections(start_server: Callable[..., Server], watch: Any, record: Any, count: int) -> None:
    """[BYD-3]: so many clients are connected at the same time, and all of them are served."""
    needs_descriptors(2 * count)
    server = start_server(descriptors=count + 200, POLLTIMEOUT=0.5)
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        clients = [server.client() for _ in range(count)]
        full = server.usage()
        for number, client in enumerate(clients):
            client.send(client.invocation("echo", number))
        assert [client.result() for client in clients] == list(range(count))
        watched.at_least(0.5)
    more = full.threads - before.threads
    record(count=count, threads=more, bytes_each=(full.resident - before.resident) // count)
    watched.was_undisturbed(p99=0.3)
    server.hang_up()
    server.settle(before, threads=2, descriptors=WAKERS, megabytes=6 + count / 200)


@share(20_000, 1600)
@pytest.mark.timeout(300)
def test_connecting_and_disconnecting(start_server: Callable[..., Server], watch: Any, record: Any, count: int) -> None:
    """In every state: at once, in and after the handshake, after a call; closed, reset, half closed."""
    server = start_server()
    server.is_well()
    before = server.usage()
    greeting = RawClient().greeting()
    calls = 0
    with watch(server) as watched:
        for number in range(count):
            client = server.connect()
            kind = number % 8
            if kind in {1, 2}:
                client.send(greeting if kind == 1 else greeting[: number % len(greeting)])
            elif kind > 2:
                client.handshake()
                if kind > 4:
                    calls += client.call("echo", 1)
            if kind == 7:
                client.sock.shutdown(socket.SHUT_WR)
            client.vanish() if kind % 2 else client.close()
            server.forget(client)
    record(count=count)
    assert calls == 3 * (count // 8)
    watched.was_undisturbed(p99=0.3)
    server.settle(before, threads=40, descriptors=WAKERS)
    assert server.command("stats")["connections_open"] == 0


@share(50_000, 2500)
@pytest.mark.timeout(300)
def test_oneway_calls_to_a_slow_method(
    start_server: Callable[..., Server], watch: Any, record: Any, count: int
) -> None:
    """[HRD-19], [DMN-65]: the queue is bounded, nobody else waits, and no call is lost."""
    server = start_server(ONEWAY_POOL_SIZE=8, ONEWAY_QUEUE_SIZE=200)
    server.is_well()
    before = server.usage()
    clients = [server.client() for _ in range(5)]
    call = clients[0].invocation("note", 0.0005, flags=FLAGS_ONEWAY)
    most = []

    def flood(client: RawClient) -> None:
        for _ in range(count // len(clients) // 50):
            client.send(call * 50)
            if client is clients[0]:
                most.append(server.usage())

    with watch(server) as watched:
        in_threads([lambda client=client: flood(client) for client in clients], patience=200)
        with server.proxy() as proxy:
            eventually(lambda: proxy.noted() == count, patience=200, what="oneway calls were lost")
    peak = max(usage.resident for usage in most) - before.resident
    threads = max(usage.threads for usage in most) - before.threads
    record(count=count, threads=threads, peak_megabytes=round(peak / MEGABYTE, 1))
    assert threads <= 8 + 12
    assert peak < 30 * MEGABYTE
    watched.was_undisturbed(p99=0.3)
    server.hang_up()
    kept = 2 if count >= 50_000 else 10  # idle threads end some seconds later
    server.settle(before, threads=kept, descriptors=WAKERS)


def test_full_oneway_queue_holds_up_nobody_else(
    start_server: Callable[..., Server], watch: Any, servertype: str
) -> None:
    """[HRD-19], [DMN-65]: more clients than workers whose oneway calls find the queue full; others are served."""
    server = start_server(ONEWAY_POOL_SIZE=2, ONEWAY_QUEUE_SIZE=10, THREADPOOL_SIZE=4, THREADPOOL_WAIT=5.0)
    server.is_well()
    clients = [server.client() for _ in range(12)]
    with watch(server) as watched:
        for client in clients:
            client.send(client.invocation("note_at_gate", flags=FLAGS_ONEWAY) * 30)
        watched.at_least(0.5)
        assert server.command("stats")["oneway_queue"] <= 10 + len(clients)
    watched.was_undisturbed()
    with server.proxy() as proxy:
        proxy.open_gate()
        eventually(lambda: proxy.noted() == 12 * 30, what="oneway calls were lost")
    # their connections go on as if nothing had been
    assert [client.call("echo", 1) for client in clients] == [1] * 12


def test_no_descriptors_left(start_server: Callable[..., Server], watch: Any, record: Any) -> None:
    """[HRD-16]: connected clients are served, new ones wait, the server does not spin, and all comes back."""
    server = start_server(descriptors=90, HANDSHAKE_TIMEOUT=20)
    server.is_well()
    before = server.usage()
    clients = [server.client() for _ in range(30)]
    with server.proxy() as proxy:
        assert proxy.echo(1) == 1
        waiting = [server.connect() for _ in range(60)]  # the system accepts them on behalf of the server
        eventually(lambda: server.usage().descriptors >= 88)
        cpu, begin = server.usage().cpu, time.monotonic()
        while time.monotonic() - begin < 1.5:
            assert proxy.echo(2) == 2
            assert clients[7].call("echo", 3) == 3
            time.sleep(0.05)
        busy = (server.usage().cpu - cpu) / (time.monotonic() - begin)
        record(cpu=round(busy, 3))
        assert busy < 0.3
    for client in waiting:
        client.close()
    for client in clients:
        client.close()
    eventually(lambda: server.is_well() is None)
    server.settle(before, threads=40, descriptors=WAKERS)


def test_silent_clients_use_up_the_descriptors(start_server: Callable[..., Server]) -> None:
    """[HRD-16], [HRD-10]: whoever says nothing after connecting does not keep others out for long."""
    server = start_server(descriptors=60, HANDSHAKE_TIMEOUT=40)
    silent = [server.connect() for _ in range(150)]
    begin = time.monotonic()
    for _ in range(2):
        client = server.connect()
        client.sock.settimeout(20)
        client.handshake()
        assert client.call("echo", 1) == 1
    assert time.monotonic() - begin < 30  # and they are silent for longer
    del silent


def test_no_threads_left(start_server: Callable[..., Server], servertype: str) -> None:
    """[HRD-19]: when no thread can be started, clients wait or are refused, and oneway calls are made all the same."""
    server = start_server(memory=330 * MEGABYTE, stack=40 * MEGABYTE, THREADPOOL_SIZE=40, THREADPOOL_SIZE_MIN=1)
    server.is_well()
    clients = [server.connect() for _ in range(40)]
    for client in clients:
        client.send(client.greeting())
    answers = [client.receive().type for client in clients]
    assert set(answers) <= {MSG_CONNECTOK, MSG_CONNECTFAIL}
    accepted = [client for client, answer in zip(clients, answers, strict=True) if answer == MSG_CONNECTOK]
    assert len(accepted) >= 3
    for client in accepted:
        client.send(client.invocation("note", 0.001, flags=FLAGS_ONEWAY) * 10)
    with server.proxy() as proxy:
        eventually(lambda: proxy.noted() == 10 * len(accepted), what="oneway calls were lost")
    slow = [client for client in accepted if client.send(client.invocation("slow", 0.02, 5))]
    for client in slow:
        with contextlib.suppress(TimeoutError):
            assert client.result() == 5
    server.is_well()


def test_more_connections_than_allowed(start_server: Callable[..., Server], watch: Any) -> None:
    """[BYD-3]: MAX_CONNECTIONS; the others are told why, as far as that is possible, and cost nothing."""
    server = start_server(MAX_CONNECTIONS=30)

    def is_told() -> bool:
        client = server.connect()
        try:
            return b"too many connections" in bytes(client.send(client.greeting()).receive().data)
        except (OSError, ConnectionClosedError):  # there are too many that would have to be told
            return False
        finally:
            client.close()

    with watch(server) as watched:
        clients = [server.client() for _ in range(20)]
        silent = [server.connect() for _ in range(200)]
        eventually(is_told, patience=20)
        assert [client.call("echo", 1) for client in clients] == [1] * 20
        del silent
    # the well-behaved client connects anew now and then, and may be refused like all others
    expected = ("too many connections", "Closed", "cannot connect")
    assert all(any(text in error for text in expected) for error in watched.errors), watched.errors
    server.hang_up()
    eventually(lambda: server.command("stats")["connections_open"] == 0)
    server.is_well()


@share(2000, 200)
@pytest.mark.timeout(120)
def test_streams_left_behind(start_server: Callable[..., Server], watch: Any, record: Any, count: int) -> None:
    """[SEC-41]: streams that nobody reads to their end are gone with their clients, and do not become too many."""
    server = start_server(ITER_STREAM_LINGER=0.2, ITER_STREAM_LIFETIME=60.0)
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        for _ in range(count // 20):
            client = server.client()
            client.send(client.invocation("numbers", 1_000_000) * 20)
            for _ in range(20):
                assert client.receive().annotations["STRM"]
            client.vanish()
            server.forget(client)
    record(count=count)
    watched.was_undisturbed(p99=0.3)
    eventually(lambda: server.command("stats")["streams"] == 0, patience=20)
    server.settle(before, threads=40, descriptors=WAKERS)


@share(100_000, 5000)
@pytest.mark.timeout(300)
def test_pipelined_calls(start_server: Callable[..., Server], watch: Any, record: Any, count: int) -> None:
    """[SRV-39], [SEC-41]: clients that call without waiting for answers get them all, and do not starve others."""
    server = start_server(THREADPOOL_SIZE=8, THREADPOOL_SIZE_MIN=2, THREADPOOL_WAIT=5.0)
    server.is_well()
    before = server.usage()
    clients = [server.client() for _ in range(10)]

    def call_often(client: RawClient) -> None:
        call = client.invocation("echo", "x" * 50)
        for _ in range(count // 10 // 50):
            client.send(call * 50)
            for _ in range(50):
                assert client.result() == "x" * 50

    with watch(server) as watched:
        in_threads([lambda client=client: call_often(client) for client in clients], patience=200)
    record(count=count)
    watched.was_undisturbed(p99=0.3)
    server.hang_up()
    server.settle(before, threads=8, descriptors=WAKERS)
