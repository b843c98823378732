"""Slow and rude clients do not stop others ([HRD-10] to [HRD-15], [SEC-40])."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyrolite.wire import v48
from pyrolite.wire.message import MSG_PING

from ..certificates import Certificates
from .harness import MEGABYTE, RawClient, Server, eventually

#: Three times as many attackers as workers.
WORKERS = 4
ATTACKERS = 3 * WORKERS


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(THREADPOOL_SIZE=WORKERS, THREADPOOL_SIZE_MIN=2)


def silent_before_handshake(server: Server) -> None:
    server.connect()


def half_a_greeting(server: Server) -> None:
    client = server.connect()
    client.send(client.greeting()[:11])


def half_a_greeting_with_header(server: Server) -> None:
    client = server.connect()
    client.send(client.greeting()[:-3])


def silent_after_handshake(server: Server) -> None:
    server.client()


def half_a_header(server: Server) -> None:
    client = server.client()
    client.send(client.invocation("echo", 1)[:13])


def half_a_call(server: Server) -> None:
    client = server.client()
    client.send(client.invocation("echo", "x" * 100)[:-20])


def half_a_large_call(server: Server) -> None:
    client = server.client()
    client.send(client.invocation("echo", "x" * 300_000)[:200_000])


def never_reading_the_answer(server: Server) -> None:
    client = server.client(receive_buffer=4096)
    client.send(client.invocation("big", 6 * MEGABYTE, serializer="marshal"))


def never_reading_many_answers(server: Server) -> None:
    client = server.client(receive_buffer=4096)
    client.sock.settimeout(0.3)
    call = client.invocation("text", 60_000)
    with contextlib.suppress(OSError):
        for _ in range(400):
            client.send(call)


def pinging_without_reading(server: Server) -> None:
    client = server.client(receive_buffer=4096)
    client.sock.settimeout(0.2)
    ping = b"".join(v48.encode(MSG_PING, 0, 1, 42, b"ping")) * 1000
    with contextlib.suppress(OSError):
        for _ in range(300):
            client.send(ping)


def vanishing_in_the_answer(server: Server) -> None:
    client = server.client(receive_buffer=4096)
    client.send(client.invocation("big", 3 * MEGABYTE, serializer="marshal"))
    assert client.sock.recv(1000)
    client.vanish()


def half_closing(server: Server) -> None:
    """Says that it has said everything, and does not read the answers."""
    client = server.client(receive_buffer=4096)
    client.send(client.invocation("big", 3 * MEGABYTE, serializer="marshal"))
    client.sock.shutdown(socket.SHUT_WR)


RUDE = [
    silent_before_handshake,
    half_a_greeting,
    half_a_greeting_with_header,
    silent_after_handshake,
    half_a_header,
    half_a_call,
    half_a_large_call,
    never_reading_the_answer,
    never_reading_many_answers,
    pinging_without_reading,
    vanishing_in_the_answer,
    half_closing,
]


@pytest.mark.parametrize("attack", RUDE, ids=lambda attack: attack.__name__)
def test_rude_clients(server: Server, watch: Any, attack: Callable[[Server], None]) -> None:
    """Three times as many of them as workers do not delay others, and leave nothing behind."""
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        threads = [threading.Thread(target=attack, args=(server,)) for _ in range(ATTACKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        watched.begun = time.monotonic()
        watched.at_least(0.4)
    watched.was_undisturbed()
    server.hang_up()
    server.settle(before, threads=WORKERS + 2, descriptors=WORKERS + 3, megabytes=48)


def test_one_byte_after_the_other(server: Server, watch: Any) -> None:
    """Bytes that drip bind no worker either; in the end the call is answered."""
    with watch(server) as watched:
        clients = [server.client() for _ in range(ATTACKERS)]
        calls = [client.invocation("echo", number) for number, client in enumerate(clients)]
        for position in range(max(map(len, calls))):
            for client, call in zip(clients, calls, strict=True):
                client.send(call[position : position + 1])
            time.sleep(0.004)
        assert [client.result() for client in clients] == list(range(ATTACKERS))
    watched.was_undisturbed()


def test_dripping_with_a_timeout(start_server: Callable[..., Server], watch: Any) -> None:
    """[HRD-15]: COMMTIMEOUT is a deadline for a message, not a pause between its bytes; and it binds no worker."""
    timeout = 0.6
    server = start_server(THREADPOOL_SIZE=WORKERS, THREADPOOL_SIZE_MIN=2, COMMTIMEOUT=timeout)
    with watch(server) as watched:
        clients = [server.client() for _ in range(ATTACKERS)]
        calls = [client.invocation("echo", "x" * 3000) for client in clients]
        begin = time.monotonic()
        closed: dict[int, float] = {}
        for position in range(300):
            for number, client in enumerate(clients):
                if number in closed:
                    continue
                try:
                    client.send(calls[number][position : position + 1])
                except OSError:
                    closed[number] = time.monotonic() - begin
                else:
                    if client.is_closed():
                        closed[number] = time.monotonic() - begin
            if len(closed) == ATTACKERS:
                break
            time.sleep(0.02)
        assert len(closed) == ATTACKERS, "clients that drip are not disconnected"
        assert min(closed.values()) >= 0.9 * timeout
        assert max(closed.values()) < 3 * timeout + 2
    watched.was_undisturbed()


def test_steady_messages_with_a_timeout(start_server: Callable[..., Server]) -> None:
    """[HRD-15]: a message that makes progress is not cut off, however long it takes."""
    server = start_server(COMMTIMEOUT=0.5)
    client = server.client()
    call = client.invocation("echo", "x" * 12_000)
    begin = time.monotonic()
    for start in range(0, len(call), 1500):
        client.send(call[start : start + 1500])
        time.sleep(0.15)
    assert time.monotonic() - begin > 1.0
    assert client.result() == "x" * 12_000


def test_handshake_deadline(start_server: Callable[..., Server], watch: Any) -> None:
    """[DMN-44]: also when a byte comes now and then."""
    server = start_server(HANDSHAKE_TIMEOUT=0.5)
    with watch(server, quiet=0.2):
        silent, dripping = server.connect(), server.connect()
        greeting = dripping.greeting()
        begin = time.monotonic()
        for position in range(len(greeting) - 1):
            try:
                dripping.send(greeting[position : position + 1])
            except OSError:
                break
            if dripping.is_closed():
                break
            time.sleep(0.05)
        else:
            pytest.fail("the handshake may take for ever")
        assert 0.4 < time.monotonic() - begin < 3
        assert silent.closed_by_server()


def test_a_full_pool(start_server: Callable[..., Server], servertype: str, watch: Any) -> None:
    """[HRD-13], [SRV-21]: with all workers in calls, new clients are told so, or wait; silent ones disturb nobody."""
    if servertype == "multiplex":
        pytest.skip("has no pool")
    server = start_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    busy = [server.client() for _ in range(2)]
    for client in busy:
        client.send(client.invocation("wait_at_gate"))
    eventually(lambda: server.command("stats")["workers_busy"] == 2)
    silent = [server.connect() for _ in range(30)]
    begin = time.monotonic()
    for _ in range(5):
        client = server.connect()
        client.send(client.greeting())
        assert b"no free workers, increase server threadpool size" in bytes(client.receive().data)
    assert time.monotonic() - begin < 3
    gate = server.connect()
    gate.send(gate.greeting())
    for client in busy[:1]:  # a worker becomes free in time
        client.vanish()
    del silent
    gate.close()
    server.kill()


@pytest.mark.parametrize("attack", ["silent", "half a hello", "silent after the negotiation", "garbage", "vanish"])
def test_tls(start_server: Callable[..., Server], certificates: Certificates, attack: str) -> None:
    """[HRD-14]: nobody waits for the TLS negotiation of others."""
    server = start_server(
        THREADPOOL_SIZE=WORKERS,
        THREADPOOL_SIZE_MIN=2,
        SSL=True,
        SSL_SERVERCERT=str(certificates.server),
    )
    context = ssl.create_default_context(cafile=str(certificates.ca))
    latencies = []

    def honest_call() -> None:
        begin = time.monotonic()
        with context.wrap_socket(socket.create_connection(server.address, 10), server_hostname="localhost") as sock:
            assert RawClient(sock).handshake().call("echo", 5) == 5
        latencies.append(time.monotonic() - begin)

    for _ in range(5):
        honest_call()
    quiet = max(latencies)
    sockets = []
    for _ in range(ATTACKERS):
        client = server.connect()
        if attack == "half a hello":
            client.send(bytes.fromhex("160301020001000"[:14]))
        elif attack == "garbage":
            client.send(b"GET / HTTP/1.0\r\n\r\n")
        elif attack == "vanish":
            client.send(b"\x16\x03\x01")
            client.vanish()
        elif attack == "silent after the negotiation":
            sockets.append(context.wrap_socket(client.sock, server_hostname="localhost"))
    latencies.clear()
    for _ in range(10):
        honest_call()
    assert max(latencies) < max(10 * quiet, 1.0)
    for sock in sockets:
        sock.close()


def test_too_large(start_server: Callable[..., Server]) -> None:
    """[HRD-6]: the answer is not lost in a reset although most of the request is never read; nor is the next call."""
    server = start_server(MAX_MESSAGE_SIZE=100_000)
    for size in (200_000, 20 * MEGABYTE):
        with server.proxy() as proxy:
            with pytest.raises(Exception, match="max message size exceeded"):
                proxy.echo("x" * size)
            assert proxy.echo("small") == "small"


def test_unread_answers_are_dropped_in_the_end(start_server: Callable[..., Server]) -> None:
    """[HRD-12]: who takes no byte of the answer for COMMTIMEOUT is disconnected."""
    server = start_server(COMMTIMEOUT=0.5, THREADPOOL_SIZE=WORKERS, THREADPOOL_SIZE_MIN=2)
    before = server.usage()
    for _ in range(ATTACKERS):
        never_reading_the_answer(server)
    server.settle(before, threads=WORKERS + 2, descriptors=WORKERS + 3, megabytes=48)
    server.is_well()
