"""Remote iterators from end to end (chapters 30 and 31)."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pyrolite
from pyrolite.errors import ConnectionClosedError, ProtocolError, PyroError
from pyrolite.futures import FutureResult
from pyrolite.testing import running_daemon

PATIENCE = 10.0


@pyrolite.expose
class Source:
    """Produces items, and tells when somebody has stopped it."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def count(self, end: int) -> Iterator[int]:
        try:
            yield from range(end)
        finally:
            self.closed.set()

    def fail(self) -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("x")

    def leave(self) -> Iterator[int]:
        yield 1
        raise SystemExit(3)

    def mapped(self) -> Any:
        return map(str, [1, 2])

    def plain(self) -> list[int]:
        return [1, 2]

    def keys(self) -> Any:
        return {"a": 1}.keys()

    @property
    def numbers(self) -> Any:
        return iter([1])

    def echo(self, value: Any) -> Any:
        return value


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.mark.parametrize("serializer", ["serpent", "json", "marshal", "msgpack", "pickle"])
def test_items(start: Any, connect: Any, source: Source, serializer: str) -> None:
    """[PRX-50], [PRX-52], [STR-1], [STR-4], [WIRE-110] to [WIRE-112]"""
    running = start({"source": source}, SERIALIZERS_ACCEPTED={serializer})
    proxy = connect(running.uris["source"], Serializer=serializer)
    items = proxy.count(3)
    assert next(items) == 0
    assert len(running.daemon.streaming_responses) == 1
    assert list(items) == [1, 2]
    assert running.daemon.streaming_responses == {}
    assert source.closed.is_set()
    with pytest.raises(StopIteration):
        next(items)
    assert list(proxy.mapped()) == ["1", "2"]
    assert proxy.plain() == [1, 2]


def test_views(start: Any, connect: Any, source: Source) -> None:
    """[STR-3], [WIRE-115]: are no iterators."""
    running = start({"source": source}, SERIALIZERS_ACCEPTED=["serpent", "json"])
    proxy = connect(running.uris["source"])
    assert list(proxy.keys()) == ["a"]
    assert running.daemon.streaming_responses == {}


def test_attributes(start: Any, connect: Any, source: Source) -> None:
    """[STR-3], [WIRE-95]: an iterator there is an error, not a stream."""
    running = start({"source": source})
    with pytest.raises(Exception, match="iterator"):
        connect(running.uris["source"]).numbers
    assert running.daemon.streaming_responses == {}


def test_errors(start: Any, connect: Any, source: Source) -> None:
    """[PRX-52], [STR-4], [HRD-22]"""
    running = start({"source": source})
    proxy = connect(running.uris["source"])
    items = proxy.fail()
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError):
        next(items)
    with pytest.raises(PyroError, match="(?m)^item stream terminated$"):
        next(items)
    items = proxy.leave()
    next(items)
    with pytest.raises(PyroError, match="(?m)^remote SystemExit: 3$"):
        next(items)
    assert running.daemon.streaming_responses == {}


def test_disabled(start: Any, connect: Any, source: Source) -> None:
    """[STR-2], [PRX-50]"""
    running = start({"source": source}, ITER_STREAMING=False)
    proxy = connect(running.uris["source"])
    with pytest.raises(ProtocolError, match="^result of call is an iterator, but the server is not configured"):
        proxy.count(3)
    assert proxy.echo(1) == 1


def test_interleaved(start: Any, connect: Any, source: Source) -> None:
    """[PRX-56]"""
    proxy = connect(start({"source": source}).uris["source"])
    first, second = proxy.count(3), proxy.count(3)
    assert [next(first), next(second), proxy.echo("x"), next(first), next(second)] == [0, 0, "x", 1, 1]


def test_closing(start: Any, connect: Any, source: Source) -> None:
    """[PRX-53], [STR-5], [WIRE-113]"""
    running = start({"source": source})
    proxy = connect(running.uris["source"])
    items = proxy.count(3)
    next(items)
    items.close()
    assert source.closed.wait(PATIENCE)
    with pytest.raises(StopIteration):
        next(items)
    items.close()
    assert proxy.echo(1) == 1
    assert running.daemon.streaming_responses == {}


def test_dropping(start: Any, connect: Any, source: Source) -> None:
    """[PRX-54], [PRX-43]: without another call on the proxy, and in the middle of loops."""
    proxy = connect(start({"source": source}).uris["source"])
    for number in proxy.count(1000):
        if number == 3:
            break
    gc.collect()
    assert source.closed.wait(PATIENCE)
    assert proxy.echo(1) == 1


def test_dropping_during_calls(start: Any, connect: Any, source: Source, eventually: Any) -> None:
    """[PRX-43], [PRX-54]: many times, from many threads."""
    running = start({"source": source})
    proxy = connect(running.uris["source"])

    def use(number: int) -> Any:
        next(proxy.count(5))
        return proxy.echo(number)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(200))) == list(range(200))
    proxy.echo(1)
    eventually(lambda: (gc.collect(), proxy.echo(1), running.daemon.streaming_responses == {})[2])


def test_disconnected(start: Any, connect: Any, source: Source) -> None:
    """[PRX-51], [STR-6]: never connects by itself; goes on after a reconnect while the stream lingers."""
    running = start({"source": source}, ITER_STREAM_LINGER=30.0)
    proxy = connect(running.uris["source"])
    items = proxy.count(5)
    assert next(items) == 0
    proxy._pyroRelease()
    with pytest.raises(ConnectionClosedError, match="^the proxy for this stream result has been closed$"):
        next(items)
    proxy._pyroReconnect(1)
    assert list(items) == [1, 2, 3, 4]


def test_no_lingering(start: Any, connect: Any, source: Source) -> None:
    """[STR-6], [STR-5]: 0 ends it with the connection; its iterator is closed."""
    running = start({"source": source}, ITER_STREAM_LINGER=0.0)
    proxy = connect(running.uris["source"])
    items = proxy.count(5)
    next(items)
    proxy._pyroRelease()
    assert source.closed.wait(PATIENCE)
    proxy._pyroReconnect(1)
    with pytest.raises(PyroError, match="(?m)^item stream terminated$"):
        next(items)


def test_expiry(start: Any, connect: Any, source: Source) -> None:
    """[STR-6], [STR-7]: housekeeping ends what lingers or lives for too long."""
    running = start({"source": source}, ITER_STREAM_LINGER=0.05, POLLTIMEOUT=0.05)
    proxy = connect(running.uris["source"])
    next(proxy.count(5))
    proxy._pyroRelease()
    assert source.closed.wait(PATIENCE)
    source.closed.clear()
    running = start({"other": Source()}, ITER_STREAM_LIFETIME=0.05, POLLTIMEOUT=0.05)
    other = running.daemon.objectsById["other"]
    items = connect(running.uris["other"]).count(5)
    next(items)
    assert other.closed.wait(PATIENCE)
    with pytest.raises(PyroError, match="(?m)^item stream terminated$"):
        next(items)


def test_shutdown(connect: Any, source: Source, servertype: str) -> None:
    """[STR-8]"""
    with running_daemon({"source": source}, servertype=servertype) as running:
        items = connect(running.uris["source"]).count(5)
        next(items)
    assert source.closed.is_set()


def test_limit(start: Any, connect: Any, source: Source, eventually: Any) -> None:
    """[STR-10], [SEC-41]: per connection."""
    running = start({"source": source}, ITER_STREAM_MAX=2)
    proxy = connect(running.uris["source"])
    kept = [proxy.count(5), proxy.count(5)]
    with pytest.raises(PyroError, match="ITER_STREAM_MAX=2"):
        proxy.count(5)
    kept[0].close()
    eventually(lambda: len(running.daemon.streaming_responses) == 1)
    kept.append(proxy.count(5))
    other = connect(running.uris["source"])
    assert next(other.count(5)) == 0


def test_another_connection_of_the_same_peer(start: Any, connect: Any, source: Source) -> None:
    """[STR-9], [WIRE-114], [HRD-27], [SEC-16]: may take over when the owner has gone, not before, but close always."""
    running = start({"source": source})
    first, second = connect(running.uris["source"]), connect(running.uris["source"])
    items = first.count(5)
    assert next(items) == 0
    second._pyroBind()
    # kept, because dropping it would close the stream
    refused = pyrolite.core._StreamResultIterator(items.streamId, second)
    with pytest.raises(PyroError, match="item stream terminated"):
        next(refused)
    assert next(items) == 1
    first._pyroRelease()
    taken = pyrolite.core._StreamResultIterator(items.streamId, second)
    assert next(taken) == 2
    third = connect(running.uris["source"])
    third._pyroBind()
    pyrolite.core._StreamResultIterator(items.streamId, third).close()
    assert source.closed.wait(PATIENCE)


def test_unknown_streams(start: Any, connect: Any, source: Source) -> None:
    """[STR-4], [STR-5], [WIRE-112], [WIRE-113]"""
    running = start({"source": source})
    proxy = connect(f"PYRO:Pyro.Daemon@{running.daemon.locationStr}")
    with pytest.raises(PyroError, match="(?m)^item stream terminated$"):
        proxy.get_next_stream_item("12345678-1234-4234-8234-123456789abc")
    assert proxy.close_stream("12345678-1234-4234-8234-123456789abc") is None


def test_shared_iterator(start: Any, connect: Any, source: Source) -> None:
    """[STR-10]: each item to exactly one."""
    running = start({"source": source})
    proxy = connect(running.uris["source"])
    items = proxy.count(300)
    with ThreadPoolExecutor(4) as pool:
        received = [item for part in pool.map(lambda _: list(items), range(4)) for item in part]
    assert sorted(received) == list(range(300))


def test_asynchronous(start: Any, connect: Any, source: Source, eventually: Any) -> None:
    """[PRX-55], [ASY-6]: the connection stays until the iterator is exhausted, closed or dropped."""
    running = start({"source": source})
    proxy = connect(running.uris["source"])
    proxy._pyroAsync()
    stats = running.daemon.stats
    for finish in (list, lambda items: items.close(), lambda items: None):
        future = proxy.count(3)
        assert isinstance(future, FutureResult)
        items = future.value
        assert next(items) == 0
        assert stats()["connections_open"] == 2
        finish(items)
        del items, future
        eventually(lambda: (gc.collect(), stats()["connections_open"] == 1)[1])
