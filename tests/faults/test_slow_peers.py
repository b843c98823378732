"""Slow and rude clients do not stop others ([HRD-10] to [HRD-15], [SEC-40])."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyrolite.errors import ConnectionClosedError
from pyrolite.wire import v48
from pyrolite.wire.message import MSG_PING

from ..certificates import Certificates
from .harness import MEGABYTE, RawClient, Server, eventually, in_threads

#: Three times as many attackers as workers.
WORKERS = 4
ATTACKERS = 3 * WORKERS
#: On a busy machine even quick calls may keep all workers for longer than the usual tenth of a second ([BYD-2]).
POOL = {"THREADPOOL_SIZE": WORKERS, "THREADPOOL_SIZE_MIN": 2, "THREADPOOL_WAIT": 5.0}


@pytest.fixture
def server(share_server: Callable[..., Server]) -> Server:
    """The same one for all tests that need no other settings."""
    return share_server(**POOL)


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


def reading_drop_by_drop(server: Server) -> None:
    client = server.client(receive_buffer=4096)
    client.send(client.invocation("big", 3 * MEGABYTE, serializer="marshal"))
    for _ in range(30):
        assert client.sock.recv(200)
        time.sleep(0.01)


def calling_and_vanishing(server: Server) -> None:
    client = server.client()
    client.send(client.invocation("slow", 0.01))
    client.vanish()


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
    reading_drop_by_drop,
    vanishing_in_the_answer,
    calling_and_vanishing,
    half_closing,
]


@pytest.mark.parametrize("attack", RUDE, ids=lambda attack: attack.__name__)
def test_rude_clients(server: Server, watch: Any, record: Any, attack: Callable[[Server], None]) -> None:
    """Three times as many of them as workers do not delay others, and leave nothing behind."""
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        in_threads([lambda: attack(server)] * ATTACKERS)
        time.sleep(0.3)
    record(count=ATTACKERS)
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
    server = start_server(COMMTIMEOUT=timeout, **POOL)
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
    timeout = 0.6
    server = start_server(COMMTIMEOUT=timeout)
    for _ in range(5):
        client = server.client()
        call = client.invocation("echo", "x" * 12_000)
        begin = latest = time.monotonic()
        pauses = []
        try:
            for start in range(0, len(call), 1500):
                client.send(call[start : start + 1500])
                pauses.append(time.monotonic() - latest)
                latest += pauses[-1]
                time.sleep(0.15)
            assert client.result() == "x" * 12_000
        except (OSError, ConnectionClosedError):
            if max(pauses) < 0.8 * timeout:
                raise
            continue  # this process was held up for too long itself
        assert time.monotonic() - begin > 1.5 * timeout
        break
    else:
        pytest.skip("the machine is too busy to send a piece in time")


def test_handshake_deadline(start_server: Callable[..., Server], watch: Any) -> None:
    """[DMN-44]: also when a byte comes now and then."""
    server = start_server(HANDSHAKE_TIMEOUT=0.5)
    with watch(server):
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
        assert 0.4 < time.monotonic() - begin < 10
        assert silent.closed_by_server()


@pytest.mark.parametrize("servertype", ["thread"])  # the other one has no pool
def test_a_full_pool(start_server: Callable[..., Server], servertype: str) -> None:
    """[HRD-13], [SRV-21]: with all workers in calls, new clients are told so; silent ones disturb nobody."""
    server = start_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    before = server.usage()
    busy = [server.client() for _ in range(3)]
    for client in busy[:2]:
        client.send(client.invocation("wait_at_gate", target="gate"))

    def is_told() -> bool:
        client = server.connect()
        answer = client.send(client.greeting()).receive()
        client.close()
        return b"no free workers, increase server threadpool size" in bytes(answer.data)

    eventually(is_told)  # as soon as both calls have begun
    busy[2].send(busy[2].invocation("echo", "later"))  # who is in already waits
    for _ in range(30):
        server.connect()
    begin = time.monotonic()
    assert all(is_told() for _ in range(5))
    assert time.monotonic() - begin < 10
    busy[0].vanish()
    server.command("open gate")
    assert isinstance(busy[1].result(), int)
    assert busy[2].result() == "later"
    server.is_well()
    server.hang_up()
    server.settle(before, threads=2, descriptors=WORKERS)


TLS_ATTACKS = [
    "silent",
    "half a hello",
    "dripping hello",
    "garbage",
    "vanish",
    "silent after the negotiation",
    "half a greeting",
    "half a call",
    "unread answers",
]


@pytest.mark.parametrize("attack", TLS_ATTACKS)
def test_tls(share_server: Callable[..., Server], certificates: Certificates, attack: str, record: Any) -> None:
    """[HRD-14], [HRD-10]: nobody waits for the TLS negotiation of others, nor for anything else of theirs."""
    server = share_server(
        **POOL,
        SSL=True,
        SSL_SERVERCERT=str(certificates.server),
    )
    context = ssl.create_default_context(cafile=str(certificates.ca))
    latencies: list[float] = []

    def honest_call() -> None:
        begin = time.monotonic()
        with context.wrap_socket(socket.create_connection(server.address, 10), server_hostname="localhost") as sock:
            assert RawClient(sock).handshake().call("echo", 5) == 5
        latencies.append(time.monotonic() - begin)

    for _ in range(5):
        honest_call()
    quiet = max(latencies)
    before = server.usage()
    sockets: list[ssl.SSLSocket] = []
    attackers = [server.connect() for _ in range(ATTACKERS)]
    for client in attackers:
        if attack == "half a hello":
            client.send(HALF_A_HELLO)
        elif attack == "garbage":
            client.send(b"GET / HTTP/1.0\r\n\r\n")
        elif attack == "vanish":
            client.send(b"\x16\x03\x01")
            client.vanish()
        elif attack not in {"silent", "dripping hello"}:
            sockets.append(context.wrap_socket(client.sock, server_hostname="localhost"))
            be_rude(RawClient(sockets[-1]), attack)
    latencies.clear()
    for number in range(10):
        if attack == "dripping hello" and number < len(HALF_A_HELLO):
            for client in attackers:
                client.send(HALF_A_HELLO[number : number + 1])
        honest_call()
    record(count=ATTACKERS, seconds_quiet=round(quiet, 4), seconds_attack=round(max(latencies), 4))
    assert sorted(latencies)[5] < max(3 * quiet, 1.0)
    assert max(latencies) < max(10 * quiet, 5.0)
    for sock in sockets:
        sock.close()
    server.hang_up()
    server.settle(before, threads=WORKERS, descriptors=WORKERS, megabytes=32)


#: The beginning of a record with a TLS handshake message, which is longer.
HALF_A_HELLO = bytes.fromhex("1603010200010001fc0303")


def be_rude(client: RawClient, attack: str) -> None:
    """What an attacker does after the TLS negotiation."""
    if attack == "half a greeting":
        client.send(client.greeting()[:30])
    elif attack == "half a call":
        client.handshake().send(client.invocation("echo", "x" * 50_000)[:-10])
    elif attack == "unread answers":
        client.handshake().send(client.invocation("big", 3 * MEGABYTE, serializer="marshal"))


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
    server = start_server(COMMTIMEOUT=0.5, **POOL)
    before = server.usage()
    for _ in range(ATTACKERS):
        never_reading_the_answer(server)
    server.settle(before, threads=WORKERS + 2, descriptors=WORKERS + 3, megabytes=48)
    server.is_well()
