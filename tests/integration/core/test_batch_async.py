"""Batches and asynchronous proxies over loopback (chapter 33)."""

from __future__ import annotations

import asyncio
import copy
import itertools
import threading
import time
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context, remotemethod
from pyrolite.errors import CommunicationError, ConnectionClosedError, PyroError
from pyrolite.errors import TimeoutError as PyroTimeoutError
from pyrolite.futures import FutureResult
from pyrolite.testing import running_daemon

PATIENCE = 10.0
ONE_WORKER = {"servertype": "thread", "THREADPOOL_SIZE": 1, "THREADPOOL_SIZE_MIN": 1, "THREADPOOL_WAIT": 0.02}
SAFE = ("serpent", "json", "marshal", "msgpack")


class Thing:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.entered, self.leave = threading.Event(), threading.Event()
        self.meeting = threading.Barrier(3)
        self.done = threading.Event()

    @pyrolite.expose
    def add(self, value: Any) -> list[Any]:
        self.calls.append(value)
        return list(self.calls)

    @pyrolite.expose
    @pyrolite.oneway
    def later(self, value: Any) -> str:
        self.calls.append(value)
        self.done.set()
        return "result"

    @pyrolite.expose
    def fail(self, kind: str) -> None:
        raise {"zero": ZeroDivisionError, "closed": ConnectionClosedError, "timeout": PyroTimeoutError}[kind]("x")

    @pyrolite.expose
    def leave_python(self) -> None:
        raise SystemExit(3)

    @pyrolite.expose
    def wait(self) -> str:
        self.entered.set()
        assert self.leave.wait(PATIENCE)
        return "waited"

    @pyrolite.expose
    def meet(self) -> bool:
        self.meeting.wait(PATIENCE)
        return True

    @pyrolite.expose
    @property
    def size(self) -> int:
        return len(self.calls)

    @size.setter
    def size(self, value: int) -> None:
        del self.calls[value:]

    @pyrolite.expose
    def context(self) -> list[str]:
        return sorted(current_context.annotations)

    def hidden(self) -> None:
        pass


@pytest.fixture
def thing() -> Thing:
    return Thing()


# ---- batches


@pytest.mark.parametrize("serializer", SAFE)
def test_batch(start: Any, connect: Any, thing: Thing, serializer: str) -> None:
    """[BAT-1] to [BAT-3], [BAT-8], [BAT-9], [WIRE-90], [WIRE-91], [WIRE-96]"""
    running = start({"thing": thing}, SERIALIZERS_ACCEPTED={serializer})
    proxy = connect(running.uris["thing"], Serializer=serializer)
    batch = pyrolite.batch(proxy)
    batch.add(1)
    batch.later(2)
    batch.fail("zero")
    batch.add(3)
    results = batch()
    assert thing.calls == [1, 2]
    assert next(results) == [1]
    assert next(results) == "result"
    with pytest.raises(ZeroDivisionError) as raised:
        next(results)
    assert any("ZeroDivisionError" in line for line in raised.value._pyroTraceback)
    with pytest.raises(StopIteration):
        next(results)
    assert list(batch()) == []


@pytest.mark.parametrize("name", ["hidden", "_private", "unknown", "size", "add.more"])
def test_bad_names(start: Any, connect: Any, thing: Thing, name: str) -> None:
    """[BAT-8], [WIRE-92]: the earlier ones have run, and their results arrive."""
    batch = pyrolite.batch(connect(start({"thing": thing}).uris["thing"]))
    batch.add(1)
    getattr(batch, name)()
    batch.add(2)
    results = batch()
    assert next(results) == [1]
    with pytest.raises(AttributeError):
        next(results)
    assert thing.calls == [1]


def test_errors_of_all_kinds(start: Any, connect: Any, thing: Thing) -> None:
    """[BAT-10], [HRD-22]: are delivered as results; the connection stays."""
    proxy = connect(start({"thing": thing}).uris["thing"])
    for name, args, error in (
        ("fail", ("closed",), ConnectionClosedError),
        ("fail", ("timeout",), PyroTimeoutError),
        ("leave_python", (), PyroError),
    ):
        batch = pyrolite.batch(proxy)
        getattr(batch, name)(*args)
        results = batch()
        connection = proxy._pyroConnection
        with pytest.raises(error):
            next(results)
        assert proxy._pyroConnection is connection is not None


def test_oneway_batch(start: Any, connect: Any, thing: Thing) -> None:
    """[BAT-4], [WIRE-93]"""
    proxy = connect(start({"thing": thing}).uris["thing"])
    batch = pyrolite.batch(proxy)
    batch.add(1)
    batch.add(2)
    assert batch(oneway=True) is None
    assert proxy.add(3) == [1, 2, 3]


def test_failed_batches_are_kept(start: Any, connect: Any, thing: Thing) -> None:
    """[BAT-5], [BAT-12]: and not retried by themselves."""
    proxy = connect(start({"thing": thing}).uris["thing"], MaxRetries=3)
    proxy._pyroBind()
    batch = pyrolite.batch(proxy)
    batch.add(1)
    proxy._pyroConnection.sock.shutdown(2)
    with pytest.raises(ConnectionClosedError):
        batch()
    assert list(batch()) == [[1]]
    assert list(batch()) == []


def test_batch_of_a_session(start: Any, connect: Any) -> None:
    """[BAT-12], [DMN-70]: one instance, one thread."""

    @pyrolite.behavior("percall")
    class Percall:
        def __init__(self) -> None:
            self.count = 0

        @pyrolite.expose
        def up(self) -> list[int]:
            self.count += 1
            return [self.count, threading.get_ident()]

    batch = pyrolite.batch(connect(start({"x": Percall}).uris["x"]))
    for _ in range(3):
        batch.up()
    results = list(batch())
    assert [count for count, _ in results] == [1, 2, 3]
    assert len({thread for _, thread in results}) == 1


def test_annotations_of_a_batch(start: Any, connect: Any, thing: Thing) -> None:
    """[BAT-12]"""
    batch = pyrolite.batch(connect(start({"thing": thing}).uris["thing"]))
    batch.context()
    batch.context()
    current_context.annotations = {"USER": b"1"}
    assert list(batch()) == [["USER"], ["USER"]]


def test_asynchronous_batch(start: Any, connect: Any, thing: Thing) -> None:
    """[BAT-6], [ASY-8]: over the same proxy, excluding its other calls."""
    running = start({"thing": thing}, servertype="thread")
    proxy = connect(running.uris["thing"])
    batch = pyrolite.batch(proxy)
    batch.add(1)
    batch.wait()
    batch.fail("zero")
    future = batch(asynchronous=True)
    assert list(pyrolite.batch(connect(running.uris["thing"]))()) == []
    assert isinstance(future, FutureResult)
    assert thing.entered.wait(PATIENCE)
    assert not future.ready
    assert not proxy._pyroLock.acquire(blocking=False)
    thing.leave.set()
    results = future.value
    assert [next(results), next(results)] == [[1], "waited"]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(batch()) == []
    assert running.daemon.stats()["connections_total"] == 2


# ---- asynchronous proxies


def test_asynchronous_calls(start: Any, connect: Any, thing: Thing) -> None:
    """[ASY-1], [ASY-2], [ASY-3]: in parallel, each on a connection of its own; attributes stay synchronous."""
    running = start({"thing": thing}, servertype="thread")
    proxy = connect(running.uris["thing"])
    pyrolite.asyncproxy(proxy)
    futures = [proxy.meet() for _ in range(3)]
    assert all(isinstance(future, FutureResult) for future in futures)
    assert [future.value for future in futures] == [True] * 3
    assert proxy.add(1).value == [1]
    assert proxy.size == 1
    proxy.size = 0
    assert proxy.size == 0
    with pytest.raises(AttributeError):
        proxy.unknown
    with pytest.raises(ZeroDivisionError):
        proxy.fail("zero").value
    pyrolite.asyncproxy(proxy, asynchronous=False)
    assert proxy.add(2) == [2]


def test_awaiting(start: Any, connect: Any, thing: Thing) -> None:
    """[FUT-28], [ASY-2]: calls of an asynchronous proxy in coroutines; several at the same time, and their errors."""
    proxy = connect(start({"thing": thing}, servertype="thread").uris["thing"])
    pyrolite.asyncproxy(proxy)

    async def meet() -> Any:
        return await proxy.meet()

    async def main() -> None:
        assert await asyncio.wait_for(asyncio.gather(*(meet() for _ in range(3))), PATIENCE) == [True] * 3
        with pytest.raises(ZeroDivisionError):
            await proxy.fail("zero")
        assert await proxy.add("x") == ["x"]

    asyncio.run(main())


def test_asynchronous_oneway(start: Any, connect: Any, thing: Thing) -> None:
    """[ASY-6]"""
    proxy = connect(start({"thing": thing}).uris["thing"])
    proxy._pyroAsync()
    assert proxy.later(1).value is None
    assert thing.done.wait(PATIENCE)


def test_chains(start: Any, connect: Any, thing: Thing) -> None:
    """[ASY-2], [ASY-11]: `then` and `iferror`, also for what is no Exception."""
    proxy = connect(start({"thing": thing}).uris["thing"])
    proxy._pyroAsync()
    assert proxy.add(1).then(len).then(lambda n: n + 1).value == 2
    errors: list[BaseException] = []
    future = proxy.leave_python()
    future.iferror(errors.append)
    with pytest.raises(PyroError, match="(?m)^remote SystemExit: 3$"):
        future.value
    assert len(errors) == 1


def test_copies_of_asynchronous_proxies(start: Any, connect: Any, thing: Thing) -> None:
    """[ASY-7]"""
    proxy = connect(start({"thing": thing}).uris["thing"])
    proxy._pyroAsync()
    with copy.copy(proxy) as other:
        assert other.add(1).value == [1]


def test_retries_of_asynchronous_calls(start: Any, connect: Any, thing: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    """[ASY-5]: as many as the proxy says; other errors at once."""
    attempts: list[str] = []

    class Counting(pyrolite.Proxy):
        def _pyroInvoke(self, methodname: str, *args: Any, **options: Any) -> Any:
            attempts.append(methodname)
            return super()._pyroInvoke(methodname, *args, **options)

    proxy = connect(start({"thing": thing}).uris["thing"], Counting, MaxRetries=2)
    proxy._pyroAsync()
    for kind, error, number in (("closed", ConnectionClosedError, 3), ("zero", ZeroDivisionError, 1)):
        attempts.clear()
        with pytest.raises(error):
            proxy.fail(kind).value
        assert attempts == ["fail"] * number


def test_no_free_workers(start: Any, connect: Any, thing: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    """[ASY-4], [HRD-13]: wait, and try again."""
    pauses: list[float] = []
    original = time.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread().name.startswith("pyrolite-shared-async"):
            pauses.append(seconds)
            thing.leave.set()
            seconds = 0.05
        original(seconds)

    monkeypatch.setattr(remotemethod.time, "sleep", sleep)
    running = start(
        {"thing": thing}, servertype="thread", THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1, THREADPOOL_WAIT=0.05
    )
    proxy = connect(running.uris["thing"])
    proxy._pyroGetMetadata()
    proxy._pyroRelease()
    proxy._pyroAsync()
    first = proxy.wait()
    assert thing.entered.wait(PATIENCE)
    second = proxy.add(1)
    assert first.value == "waited"
    assert second.value == [1]
    assert 0.1 <= pauses[0] <= 0.3
    assert all(0.4 <= later - earlier <= 0.9 for earlier, later in itertools.pairwise(pauses))


def test_giving_up(start: Any, connect: Any, thing: Thing, monkeypatch: pytest.MonkeyPatch, pyro_config: Any) -> None:
    """[ASY-4]: with COMMTIMEOUT, when the pauses become longer than half of it."""
    pauses: list[float] = []
    original = time.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread().name.startswith("pyrolite-shared-async"):
            pauses.append(seconds)
            seconds = 0.01
        original(seconds)

    monkeypatch.setattr(remotemethod.time, "sleep", sleep)
    running = start(
        {"thing": thing}, servertype="thread", THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1, THREADPOOL_WAIT=0.01
    )
    busy, proxy = connect(running.uris["thing"]), connect(running.uris["thing"])
    proxy._pyroGetMetadata()
    proxy._pyroRelease()
    proxy._pyroAsync()
    busy._pyroAsync()
    first = busy.wait()
    assert thing.entered.wait(PATIENCE)
    pyro_config.COMMTIMEOUT = 2.0
    future = proxy.add(1)
    with pytest.raises(CommunicationError, match="no free workers, increase server threadpool size"):
        future.value
    assert pauses
    assert all(pause <= 1.0 for pause in pauses)
    thing.leave.set()
    assert first.value == "waited"


def test_many_calls_at_the_same_time(connect: Any) -> None:
    """[ASY-10]: all of them are under way before the first one is answered."""
    number = 100
    arrived = threading.Barrier(number + 1)

    class Crowd:
        @pyrolite.expose
        def meet(self) -> int:
            return arrived.wait(30)

    with running_daemon({"crowd": Crowd()}, servertype="thread", THREADPOOL_SIZE=number + 5) as running:
        proxy = connect(running.uris["crowd"])
        proxy._pyroAsync()
        futures = [proxy.meet() for _ in range(number)]
        arrived.wait(30)
        assert len({future.value for future in futures}) == number


def test_unreachable_server(connect: Any) -> None:
    """[ASY-5]: the error becomes the result."""
    proxy = connect("PYRO:thing@127.0.0.1:1")
    proxy._pyroMethods = {"add"}
    proxy._pyroAsync()
    future = proxy.add(1)
    with pytest.raises(CommunicationError, match="^cannot connect to"):
        future.value
