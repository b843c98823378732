"""User code that fails in any way: the caller gets an answer, loop and workers live on ([HRD-18] to [HRD-25])."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyrolite.errors import CommunicationError, PyroError
from pyrolite.wire.message import MSG_CONNECTFAIL, MSG_CONNECTOK, MSG_RESULT

from .harness import MEGABYTE, ONEWAY, Server, eventually
from .served import FAILURES, HOOK_FAILURES, MISUSES, STREAMS, WRONG_ANNOTATIONS

#: Twice as many failures as workers: a worker that is lost with each of them would be missed.
WORKERS = 3
TIMES = 2 * WORKERS

#: What arrives at the caller, and a part of its text.
ARRIVES = {
    "value": ("ValueError", "wrong value"),
    "system exit": ("PyroError", "SystemExit"),
    "keyboard interrupt": ("PyroError", "KeyboardInterrupt"),
    "generator exit": ("PyroError", "GeneratorExit"),
    "base exception": ("PyroError", "BaseException"),
    "stop iteration": ("StopIteration", "5"),
    "memory": ("MemoryError", "none left"),
    "recursion": ("RecursionError", "too deep"),
    "os": ("ConnectionResetError", "of some other connection"),
    "connection closed": ("ConnectionClosedError", "of some other connection"),
    "timeout": ("TimeoutError", "of some other connection"),
    "security": ("SecurityError", "of the method"),
    "protocol": ("ProtocolError", "of some other connection"),
    "textless": ("RemoteError", ""),
    "unserializable": ("PyroError", "Error serializing exception"),
    "surrogates": ("", ""),
    "huge": ("ValueError", "xxx"),
    "exit in text": ("RemoteError", ""),
    "endless": ("", ""),
    "no text": ("RemoteError", ""),
    "nameless": ("PyroError", ""),
    "classless": ("", ""),
    "odd attributes": ("", "odd attributes"),
    "odd arguments": ("", ""),
    "huge number": ("", ""),
    "chain": ("ValueError", "1999"),
    "circle": ("ValueError", "one of two"),
    "cancelled": ("PyroError", "CancelledError"),
    "not callable": ("TypeError", "must derive from BaseException"),
    "group": ("", ""),
}


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(log=True, THREADPOOL_SIZE=WORKERS, THREADPOOL_SIZE_MIN=1)


def caught(call: Callable[[], Any]) -> BaseException:
    try:
        result = call()
    except BaseException as error:
        return error
    raise AssertionError(f"no exception but {result!r}")


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal"])
def test_methods(server: Server, watch: Any, serializer: str, record: Any) -> None:
    """[HRD-22], [HRD-23], [HRD-24]: every exception arrives, on a connection that stays open."""
    assert ARRIVES.keys() == FAILURES.keys()
    record(count=len(ARRIVES) * (2 + TIMES))
    with watch(server, quiet=0.2) as watched, server.proxy(serializer=serializer) as proxy:
        assert proxy.echo(0) == 0
        connection = proxy._pyroConnection
        for kind, (name, text) in ARRIVES.items():
            for method in (proxy.fail, proxy.fail_callback):
                error = caught(lambda method=method, kind=kind: method(kind))
                assert isinstance(error, Exception), kind
                assert name in type(error).__name__, (kind, error)
                assert text in str(error), kind
                assert proxy._pyroConnection is connection, kind
            for _ in range(TIMES):
                proxy.fail_oneway(kind)
            assert proxy.echo(kind) == kind
    watched.was_undisturbed(p99=0.4)


def test_batches_properties_and_generators(server: Server) -> None:
    """[HRD-22]"""
    with server.proxy() as proxy:
        for kind in FAILURES:
            if kind == "stop iteration":  # which ends a generator
                continue
            batch = proxy._pyroBatch()
            batch.echo(1)
            batch.fail(kind)
            batch.echo(2)
            results = batch()
            assert next(results) == 1
            assert isinstance(caught(lambda results=results: next(results)), Exception), kind
            numbers = proxy.failing_numbers(kind)
            assert next(numbers) == 1
            assert isinstance(caught(lambda numbers=numbers: next(numbers)), Exception), kind
        assert "SystemExit" in str(caught(lambda: proxy.broken))
        assert "GeneratorExit" in str(caught(lambda: setattr(proxy, "broken", 1)))
        assert proxy.echo(1) == 1
    assert server.command("stats")["streams"] == 0


@pytest.mark.parametrize("serializer", ["serpent", "marshal"])
def test_streams(server: Server, serializer: str) -> None:
    """[HRD-22], [STR-10]: iterators with items that cannot be sent, and such that cannot be closed."""
    with server.proxy(serializer=serializer) as proxy:
        assert proxy.echo(0) == 0
        connection = proxy._pyroConnection
        for _ in range(2):
            for kind in STREAMS:
                items = proxy.stream(kind)
                assert next(items) == 1, kind
                if kind not in {"stays open", "close raises"}:
                    with contextlib.suppress(Exception):
                        next(items)
                items.close()
                assert proxy.echo(kind) == kind
                assert proxy._pyroConnection is connection, kind
                next(proxy.stream(kind))  # and nobody closes it
    eventually(lambda: server.command("stats")["connections_open"] == 0)
    server.is_well()


def test_contexts(server: Server) -> None:
    """[HRD-21], [HRD-26], [HRD-30]: nonsense in the context of a call is nobody's problem but that of its caller."""
    other = server.client()
    for kind in MISUSES:
        client = server.client()
        client.send(client.invocation("misuse", kind))
        frame = client.receive()
        assert (frame.type, frame.seq) == (MSG_RESULT, client.seq), kind
        client.send(client.invocation("echo", 1))
        assert set(client.receive().annotations) <= {"CORR"}, kind
        client.close()
        assert other.call("echo", kind) == kind
        seen = other.call("context")
        assert (set(seen["annotations"]) <= {"CORR"}, seen["responses"]) == (True, []), kind
    eventually(lambda: server.command("stats")["connections_open"] == 1)
    server.is_well()


def test_creators(server: Server) -> None:
    """[HRD-22]: an instance creator that raises SystemExit."""
    for _ in range(TIMES):
        with server.proxy("uncreatable") as proxy:
            for _ in range(2):
                assert "SystemExit" in str(caught(proxy.ping))
    server.is_well()


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal"])
def test_results(server: Server, serializer: str) -> None:
    """[HRD-8], [HRD-23]: results that cannot be serialized, cannot be encoded, are too deep or do not fit in memory."""
    with server.proxy(serializer=serializer) as proxy:
        assert proxy.echo(0) == 0
        connection = proxy._pyroConnection
        for kind in ("lock", "recursive", "deep", "memory", "class", "incomparable", "generators", "function"):
            error = caught(lambda kind=kind: proxy.result(kind))
            assert isinstance(error, (Exception)), kind
            assert proxy._pyroConnection is connection, (kind, error)
        for kind, value in (("surrogate", "\ud800"), ("huge number", 10**5000)):
            with contextlib.suppress(ValueError, PyroError):
                assert proxy.result(kind) == value
            assert proxy._pyroConnection is connection, kind
        batch = proxy._pyroBatch()
        batch.echo(1)
        batch.result("lock")
        assert isinstance(caught(lambda: list(batch())), Exception)
        assert list(proxy.result("iterator")) == [0, 1, 2]
        assert proxy.echo(1) == 1
    server.is_well()


def test_answers_above_the_limit(start_server: Callable[..., Server]) -> None:
    """[HRD-25], [HRD-8]: too large answers are told as an error, errors are shortened, the connection stays."""
    server = start_server(MAX_MESSAGE_SIZE=20_000)
    with server.proxy() as proxy:
        assert proxy.echo(0) == 0
        connection = proxy._pyroConnection
        assert "max message size exceeded" in str(caught(lambda: proxy.text(30_000)))
        assert type(caught(lambda: proxy.fail("huge"))).__name__ in {"ValueError", "PyroError"}
        batch = proxy._pyroBatch()
        for _ in range(50):
            batch.text(1000)
        assert "max message size exceeded" in str(caught(lambda: list(batch())))
        batch = proxy._pyroBatch()
        for _ in range(500):  # of which only the first few are made
            batch.big(MEGABYTE)
        before = server.usage().resident
        assert "max message size exceeded" in str(caught(lambda: list(batch())))
        assert server.usage().resident < before + 30 * MEGABYTE
        assert proxy._pyroConnection is connection
        assert proxy.echo(1) == 1


def test_handshake_hook(start_server: Callable[..., Server], watch: Any) -> None:
    """[SRV-9], [HRD-22]: whatever validateHandshake raises or returns, the client is told, and the worker is back."""
    server = start_server(daemon="FailingHooks", log=True, THREADPOOL_SIZE=WORKERS, THREADPOOL_SIZE_MIN=1)
    with watch(server, quiet=0.2) as watched:
        for kind in [*(f"raise {name}" for name in FAILURES), "raise hook", "unserializable", "surrogates"]:
            for _ in range(TIMES if kind in {"raise system exit", "raise hook"} else 1):
                client = server.connect()
                client.send(client.greeting(kind))
                frame = client.receive()
                assert frame.type in {MSG_CONNECTFAIL, MSG_CONNECTOK}
                if frame.type == MSG_CONNECTFAIL:
                    assert client.closed_by_server()
            with server.proxy() as proxy:
                proxy._pyroHandshake = kind
                if kind not in {"surrogates", "raise surrogates"}:
                    with pytest.raises(CommunicationError, match="rejected"):
                        proxy._pyroBind()
    watched.was_undisturbed()


@pytest.mark.parametrize("kind", WRONG_ANNOTATIONS)
def test_wrong_annotations(start_server: Callable[..., Server], servertype: str, kind: str) -> None:
    """[HRD-21]: the caller gets an error without them, and later answers are not poisoned."""
    server = start_server(daemon="FailingHooks", log=True, THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1)
    with server.proxy() as proxy:
        assert proxy.echo(1) == 1
        connection = proxy._pyroConnection
        server.command(f"fail {kind}")
        if kind == "none":
            assert proxy.echo(1) == 1
        else:
            assert isinstance(caught(lambda: proxy.echo(1)), Exception)
            assert isinstance(caught(lambda: proxy.fail("value")), Exception)
            assert isinstance(caught(lambda: list(proxy.numbers(3))), Exception)
        newcomer = server.connect()
        newcomer.send(newcomer.greeting())
        assert newcomer.receive().type in {MSG_CONNECTFAIL, MSG_CONNECTOK}
        newcomer.close()
        server.command("fail")
        assert proxy.echo(1) == 1
        assert proxy._pyroConnection is connection
    server.is_well()
    assert server.command("stats")["streams"] == 0


@pytest.mark.parametrize("kind", HOOK_FAILURES)
def test_hooks(start_server: Callable[..., Server], kind: str) -> None:
    """[HRD-18], [HRD-20], [DMN-36]: annotations, clientDisconnect and housekeeping raise; the loop goes on."""
    server = start_server(
        daemon="FailingHooks", log=True, THREADPOOL_SIZE=WORKERS, THREADPOOL_SIZE_MIN=1, POLLTIMEOUT=0.1
    )
    before = server.usage()
    server.command(f"fail {kind}")
    for _ in range(TIMES):
        client = server.connect()
        client.send(client.greeting())
        assert client.receive().type == MSG_CONNECTFAIL
        client.close()
    server.command("fail")
    clients = [server.client() for _ in range(TIMES)]
    server.command(f"fail {kind}")
    for client in clients[: TIMES // 2]:
        client.send(client.invocation("echo", 1))
        assert client.receive().flags & 1
        client.vanish()
    for client in clients[TIMES // 2 :]:
        client.close()
    eventually(lambda: server.command("stats")["connections_open"] == 0)
    time.sleep(0.3)  # for some rounds of housekeeping
    server.command("fail")
    server.is_well()
    server.settle(before, threads=WORKERS, descriptors=WORKERS + 3)


def test_hooks_block_nobody(start_server: Callable[..., Server], servertype: str) -> None:
    """[HRD-18]: no lock is held while a hook of user code runs: one that blocks does not block those of others."""
    if servertype == "multiplex":
        pytest.skip("there is one thread for all of them")
    server = start_server(daemon="SlowDisconnects")
    slow = server.client()
    others = [server.client() for _ in range(3)]
    slow.call("echo", "remember me")
    slow.close()
    for client in others:
        client.close()
    eventually(lambda: server.command("stats")["connections_open"] == 1)
    server.is_well()
    with server.proxy("gate") as proxy:
        proxy.open_gate()
    eventually(lambda: server.command("stats")["connections_open"] == 0)


def test_oneway_calls_that_fail(server: Server) -> None:
    """[DMN-64]: threads of oneway calls survive, whatever is raised."""
    client = server.client()
    for kind in FAILURES:
        for _ in range(TIMES):
            client.send(client.invocation("fail_oneway", kind, flags=ONEWAY))
    client.send(client.invocation("note", flags=ONEWAY) * 5)
    with server.proxy() as proxy:
        eventually(lambda: proxy.noted() == 5)
