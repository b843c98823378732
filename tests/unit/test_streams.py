"""Item streams of the server (chapter 31, STR)."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from pyrolite.configuration import Configuration, config
from pyrolite.core import streams as streams_module
from pyrolite.core.streams import Stream, StreamTable, peer_identity
from pyrolite.errors import PyroError
from pyrolite.testing.memory import MemoryConnection

LONG = 20.0
TERMINATED = r"^item stream terminated$"


class Connection:
    """A connection that only says where it comes from."""

    def __init__(self, host: str | None = "10.0.0.1", certificate: dict[str, Any] | None = None) -> None:
        # without a descriptor: as if the other end had closed it
        self.sock: Any = SimpleNamespace(family=socket.AF_INET)
        self.peer_address = None if host is None else (host, id(self) % 60000)
        self.certificate = certificate

    def getpeercert(self) -> dict[str, Any] | None:
        return self.certificate


class Items:
    """An iterator with a ``close`` that can be counted."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = self.items.pop(0) if self.items else StopIteration()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


class Slow(Items):
    """Waits in ``__next__`` until it is let go."""

    def __init__(self) -> None:
        super().__init__(1, 2)
        self.inside = threading.Event()
        self.go_on = threading.Event()
        self.running = 0

    def __next__(self) -> Any:
        self.running += 1
        assert self.running == 1, "two at the same time"
        self.inside.set()
        self.go_on.wait(LONG)
        self.running -= 1
        return super().__next__()


@pytest.fixture
def settings() -> Configuration:
    return config.copy(ITER_STREAM_LINGER=30.0, ITER_STREAM_LIFETIME=0.0, ITER_STREAM_MAX=0)


@pytest.fixture
def table(settings: Configuration) -> StreamTable:
    return StreamTable(settings)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The monotonic clock that the streams see; it stands still."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(streams_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def owner() -> Any:
    return Connection()


class TestItems:
    def test_open(self, table: StreamTable, owner: Any, clock: SimpleNamespace) -> None:
        """[STR-1]"""
        items = Items(1)
        stream_id = table.open(owner, items)
        assert str(uuid.UUID(stream_id)) == stream_id
        assert uuid.UUID(stream_id).version == 4
        assert table.streams == {stream_id: (owner, 1000.0, 0, items)}
        assert isinstance(table.streams[stream_id], Stream)

    def test_items(self, table: StreamTable, owner: Any) -> None:
        """[STR-4]"""
        stream_id = table.open(owner, Items("a", None))
        assert table.next_item(stream_id, owner) == "a"
        assert table.next_item(stream_id, owner) is None
        with pytest.raises(StopIteration):
            table.next_item(stream_id, owner)
        assert table.streams == {}
        with pytest.raises(PyroError, match=TERMINATED):
            table.next_item(stream_id, owner)

    def test_unknown(self, table: StreamTable, owner: Any) -> None:
        """[STR-4], [WIRE-112]"""
        with pytest.raises(PyroError, match=TERMINATED):
            table.next_item("unknown", owner)

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(), KeyboardInterrupt(), GeneratorExit()])
    def test_any_exception_ends_it(self, table: StreamTable, owner: Any, error: BaseException) -> None:
        """[STR-4], [HRD-22]"""
        items = Items(error)
        stream_id = table.open(owner, items)
        with pytest.raises(type(error)) as caught:
            table.next_item(stream_id, owner)
        assert caught.value is error
        assert table.streams == {}
        assert items.closed == 1

    def test_two_streams(self, table: StreamTable, owner: Any) -> None:
        """[STR-4]: do not mix."""
        one, two = table.open(owner, Items(1, 1)), table.open(owner, Items(2, 2))
        assert [table.next_item(stream_id, owner) for stream_id in (one, two, one, two)] == [1, 2, 1, 2]


class TestRemoval:
    def test_close(self, table: StreamTable, owner: Any) -> None:
        """[STR-5]"""
        items = Items(1)
        stream_id = table.open(owner, items)
        table.close(stream_id, owner)
        table.close(stream_id, owner)
        table.close("unknown", owner)
        assert items.closed == 1
        assert table.streams == {}

    def test_generators_are_closed(self, table: StreamTable, owner: Any) -> None:
        """[STR-5]"""
        ended: list[str] = []

        def generator() -> Iterator[int]:
            try:
                yield 1
                yield 2
            finally:
                ended.append("ended")

        stream_id = table.open(owner, generator())
        assert table.next_item(stream_id, owner) == 1
        table.close(stream_id, owner)
        assert ended == ["ended"]

    def test_iterators_without_close(self, table: StreamTable, owner: Any) -> None:
        """[STR-5]"""
        table.close(table.open(owner, iter([1])), owner)
        assert table.streams == {}

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    def test_close_that_fails(
        self, table: StreamTable, owner: Any, error: type[BaseException], caplog: pytest.LogCaptureFixture
    ) -> None:
        """[STR-5], [HRD-20]: is logged; the other streams are closed as well."""

        class Broken(Items):
            def close(self) -> None:
                raise error("close failed")

        broken, good = Broken(), Items()
        table.open(owner, broken)
        table.open(owner, good)
        with caplog.at_level(logging.WARNING, "pyrolite.core"):
            table.clear()
        assert good.closed == 1
        assert table.streams == {}
        assert "close failed" in caplog.text

    def test_clear(self, table: StreamTable, owner: Any) -> None:
        """[STR-8]"""
        all_items = [Items(1), Items(2)]
        ids = [table.open(owner, items) for items in all_items]
        table.clear()
        assert [items.closed for items in all_items] == [1, 1]
        for stream_id in ids:
            with pytest.raises(PyroError, match=TERMINATED):
                table.next_item(stream_id, owner)

    def test_disconnect_with_linger(self, table: StreamTable, owner: Any, clock: SimpleNamespace) -> None:
        """[STR-6]: ownerless, then removed by housekeeping."""
        items, others = Items(1), Items(2)
        stream_id = table.open(owner, items)
        other_id = table.open(Connection("10.0.0.2"), others)  # type: ignore[arg-type]
        clock.now += 5
        table.disconnected(owner)
        assert table.streams[stream_id][:3] == (None, 1000.0, 1005.0)
        assert table.streams[other_id].connection is not None
        clock.now += 30
        table.expire()
        assert stream_id in table.streams
        clock.now += 0.1
        table.expire()
        assert list(table.streams) == [other_id]
        assert (items.closed, others.closed) == (1, 0)

    def test_disconnect_without_linger(self, table: StreamTable, settings: Configuration, owner: Any) -> None:
        """[STR-6]"""
        settings.ITER_STREAM_LINGER = 0.0
        items = Items(1)
        table.open(owner, items)
        other_id = table.open(Connection("10.0.0.2"), Items(1))  # type: ignore[arg-type]
        table.disconnected(owner)
        assert items.closed == 1
        assert list(table.streams) == [other_id]

    def test_lifetime(self, table: StreamTable, settings: Configuration, owner: Any, clock: SimpleNamespace) -> None:
        """[STR-7]: since creation, even while in use; 0 means for ever."""
        items = Items(1, 2, 3)
        stream_id = table.open(owner, items)
        clock.now += 1e6
        table.expire()
        assert table.next_item(stream_id, owner) == 1
        settings.ITER_STREAM_LIFETIME = 1e6
        table.expire()
        assert table.next_item(stream_id, owner) == 2
        clock.now += 0.1
        table.expire()
        assert items.closed == 1
        with pytest.raises(PyroError, match=TERMINATED):
            table.next_item(stream_id, owner)

    def test_nothing_open(self, table: StreamTable, owner: Any) -> None:
        """[STR-6], [STR-7], [STR-8]"""
        table.disconnected(owner)
        table.expire()
        table.clear()
        assert table.streams == {}


class TestOwners:
    def test_lingering_stream_gets_a_new_owner(self, table: StreamTable, owner: Any, clock: SimpleNamespace) -> None:
        """[STR-4]: whoever knows its id; linger is cleared."""
        stream_id = table.open(owner, Items(1, 2, 3))
        table.disconnected(owner)
        other: Any = Connection("10.9.9.9")
        assert table.next_item(stream_id, other) == 1
        assert table.streams[stream_id][:3] == (other, 1000.0, 0)
        clock.now += 1000
        table.expire()
        assert table.next_item(stream_id, other) == 2
        with pytest.raises(PyroError, match=TERMINATED):
            table.next_item(stream_id, owner)

    def test_other_peers_are_refused(self, table: StreamTable, owner: Any) -> None:
        """[STR-9], [WIRE-114], [HRD-27]"""
        items = Items(1, 2)
        stream_id = table.open(owner, items)
        for stranger in (Connection("10.0.0.2"), Connection(None), Connection("10.0.0.1", CERTIFICATE), None):
            with pytest.raises(PyroError, match=TERMINATED):
                table.next_item(stream_id, stranger)  # type: ignore[arg-type]
            table.close(stream_id, stranger)  # type: ignore[arg-type]
        assert items.closed == 0
        assert table.next_item(stream_id, owner) == 1

    def test_same_address(self, table: StreamTable, owner: Any) -> None:
        """[STR-9]: a client that comes back overtakes the news of its disconnection."""
        stream_id = table.open(owner, Items(1, 2, 3))
        again: Any = Connection()
        assert table.next_item(stream_id, again) == 1
        assert table.streams[stream_id].connection is again
        table.disconnected(owner)
        assert table.streams[stream_id].connection is again
        assert table.next_item(stream_id, again) == 2

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
    def test_same_address_while_the_owner_is_open(self, table: StreamTable, owner: Any) -> None:
        """[HRD-27], [STR-9]: nobody but the owner gets items, until the other end of its connection is closed."""
        near, far = socket.socketpair()
        with near, far:
            owner.sock = near
            far.send(b"a message")
            stream_id = table.open(owner, Items(1, 2, 3))
            again: Any = Connection()
            with pytest.raises(PyroError, match=TERMINATED):
                table.next_item(stream_id, again)
            assert table.next_item(stream_id, owner) == 1
            far.close()
            assert table.next_item(stream_id, again) == 2

    def test_same_address_may_close(self, table: StreamTable, owner: Any) -> None:
        """[STR-9]: Pyro4 clients do that from a second connection."""
        items = Items(1)
        table.close(table.open(owner, items), Connection())  # type: ignore[arg-type]
        assert items.closed == 1

    def test_owner_that_cannot_tell_any_more(self, table: StreamTable) -> None:
        """[STR-9]: who it was is known from the time when it opened the stream."""
        owner: Any = Connection(None, CERTIFICATE)
        stream_id = table.open(owner, Items(1))
        owner.certificate = None
        assert table.next_item(stream_id, Connection(None, dict(CERTIFICATE))) == 1  # type: ignore[arg-type]

    def test_connections_without_identity(self, table: StreamTable) -> None:
        """[STR-9], [OV-37]: are never taken for each other."""
        one, two = MemoryConnection(), MemoryConnection()
        stream_id = table.open(one, Items(1, 2))  # type: ignore[arg-type]
        with pytest.raises(PyroError, match=TERMINATED):
            table.next_item(stream_id, two)  # type: ignore[arg-type]
        assert table.next_item(stream_id, one) == 1  # type: ignore[arg-type]

    def test_limit_per_connection(self, table: StreamTable, settings: Configuration, owner: Any) -> None:
        """[STR-10]"""
        settings.ITER_STREAM_MAX = 2
        ids = [table.open(owner, Items(1)) for _ in range(2)]
        other: Any = Connection("10.0.0.2")
        table.open(other, Items(1))
        with pytest.raises(PyroError, match="too many open item streams"):
            table.open(owner, Items(1))
        table.close(ids[0], owner)
        table.open(owner, Items(1))


CERTIFICATE = {"issuer": ((("commonName", "CA"),),), "serialNumber": "01", "subject": ((("commonName", "me"),),)}


class TestIdentity:
    def test_address(self) -> None:
        """[STR-9]"""
        assert peer_identity(Connection("10.0.0.1")) == peer_identity(Connection("10.0.0.1"))  # type: ignore[arg-type]
        assert peer_identity(Connection("10.0.0.1")) != peer_identity(Connection("10.0.0.2"))  # type: ignore[arg-type]

    def test_certificate(self) -> None:
        """[STR-9]: counts more than the address; the same one means issuer and serial number."""
        one: Any = Connection("10.0.0.1", CERTIFICATE)
        same: Any = Connection("10.0.0.2", dict(CERTIFICATE))
        assert peer_identity(one) == peer_identity(same) is not None
        for change in ({"serialNumber": "02"}, {"issuer": ((("commonName", "Other"),),)}):
            other: Any = Connection("10.0.0.1", {**CERTIFICATE, **change})
            assert peer_identity(other) != peer_identity(one)
        assert peer_identity(one) != peer_identity(Connection("10.0.0.1"))  # type: ignore[arg-type]

    @pytest.mark.parametrize("error", [OSError, ValueError])
    def test_connection_that_ends(self, error: type[Exception]) -> None:
        """[STR-9]"""

        class Ending(Connection):
            def getpeercert(self) -> dict[str, Any]:
                raise error("not connected")

        assert peer_identity(Ending()) is None  # type: ignore[arg-type]

    def test_nothing_known(self) -> None:
        """[STR-9], [OV-37]"""
        assert peer_identity(None) is None
        assert peer_identity(MemoryConnection()) is None  # type: ignore[arg-type]
        assert peer_identity(Connection(None)) is None  # type: ignore[arg-type]

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
    def test_unix_user(self) -> None:
        """[STR-9]: for local sockets."""
        near, far = socket.socketpair()
        connection: Any = Connection(None)
        connection.sock = near
        with near, far:
            assert peer_identity(connection) == ("user", os.getuid())
        assert peer_identity(connection) is None


class TestThreads:
    def test_one_item_at_a_time(self, table: StreamTable, owner: Any) -> None:
        """[STR-10], [HRD-27]"""
        items = Slow()
        stream_id = table.open(owner, items)
        with ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(table.next_item, stream_id, owner) for _ in range(2)]
            assert items.inside.wait(LONG)
            items.go_on.set()
            assert sorted(call.result(LONG) for call in calls) == [1, 2]

    def test_streams_do_not_wait_for_each_other(self, table: StreamTable, owner: Any) -> None:
        """[STR-10]"""
        items = Slow()
        slow, quick = table.open(owner, items), table.open(owner, Items("quick"))
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(table.next_item, slow, owner)
            assert items.inside.wait(LONG)
            assert table.next_item(quick, owner) == "quick"
            table.open(owner, Items())
            table.expire()
            items.go_on.set()
            assert call.result(LONG) == 1

    @pytest.mark.parametrize("way", ["close", "clear", "disconnected"])
    def test_removed_while_an_item_is_made(
        self, table: StreamTable, settings: Configuration, owner: Any, way: str
    ) -> None:
        """[STR-10]: the item arrives, then the iterator is closed, once."""
        settings.ITER_STREAM_LINGER = 0.0
        items = Slow()
        stream_id = table.open(owner, items)
        with ThreadPoolExecutor(2) as pool:
            call = pool.submit(table.next_item, stream_id, owner)
            assert items.inside.wait(LONG)
            waiting = pool.submit(table.next_item, stream_id, owner)
            if way == "clear":
                table.clear()
            elif way == "close":
                table.close(stream_id, owner)
            else:
                table.disconnected(owner)
            assert table.streams == {}
            assert items.closed == 0
            items.go_on.set()
            assert call.result(LONG) == 1
            with pytest.raises(PyroError, match=TERMINATED):
                waiting.result(LONG)
        assert items.closed == 1

    def test_taken_over_while_it_expires(self, table: StreamTable, owner: Any, clock: SimpleNamespace) -> None:
        """[STR-6]: housekeeping that saw it lingering does not remove it from its new owner."""
        stream_id = table.open(owner, Items(1, 2))
        table.disconnected(owner)
        seen = table.streams[stream_id]
        assert table.next_item(stream_id, owner) == 1
        table._remove(stream_id, seen)
        assert table.next_item(stream_id, owner) == 2

    def test_many_at_once(self, table: StreamTable, settings: Configuration, owner: Any) -> None:
        """[STR-10]: every item exactly once, every iterator closed exactly once, whatever happens meanwhile."""
        settings.ITER_STREAM_LINGER = 0.0
        all_items = [Items(*range(50)) for _ in range(20)]
        ids = [table.open(owner, items) for items in all_items]
        received: list[list[int]] = [[] for _ in ids]

        def fetch() -> None:
            for _ in range(60):
                for number, stream_id in enumerate(ids):
                    with contextlib.suppress(PyroError, StopIteration):
                        received[number].append(table.next_item(stream_id, owner))

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(fetch) for _ in range(4)]
            for stream_id in ids[::2]:
                table.close(stream_id, owner)
            for call in calls:
                call.result(LONG)
        table.clear()
        assert [items.closed for items in all_items] == [1] * 20
        assert [sorted(items) for items in received[1::2]] == [list(range(50))] * 10
        assert all(len(set(items)) == len(items) for items in received)
