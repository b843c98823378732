"""The threads that run oneway calls ([DMN-63] to [DMN-66])."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyrolite.configuration import Configuration, config
from pyrolite.core.onewaypool import OnewayPool

#: The module; as attribute of the package, its name is that of the decorator.
oneway = importlib.import_module("pyrolite.core.onewaypool")
LONG = 20.0


@pytest.fixture(autouse=True)
def threads() -> Iterator[Callable[[], set[threading.Thread]]]:
    """A function that gives the pool's threads, which have ended after the test."""
    before = set(threading.enumerate())

    def mine() -> set[threading.Thread]:
        return {thread for thread in set(threading.enumerate()) - before if thread.name == "oneway-call"}

    yield mine
    for thread in mine():
        thread.join(LONG)
        assert not thread.is_alive()


@pytest.fixture
def settings() -> Configuration:
    return config.copy(ONEWAY_POOL_SIZE=2, ONEWAY_QUEUE_SIZE=3)


@pytest.fixture
def pool(settings: Configuration) -> Iterator[OnewayPool]:
    pool = OnewayPool(settings)
    yield pool
    pool.close()


class Gate:
    """Tasks that wait until they are let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.order: list[Any] = []

    def task(self, name: Any = None) -> Callable[[], None]:
        def run() -> None:
            self.order.append(name)
            self.entered.release()
            assert self.opened.wait(LONG)

        return run

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=LONG)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def test_thread(pool: OnewayPool) -> None:
    """[DMN-63], [WIRE-101]"""
    seen: list[threading.Thread] = []
    done = threading.Event()
    pool.submit(lambda: (seen.append(threading.current_thread()), done.set()))  # type: ignore[arg-type]
    assert done.wait(LONG)
    assert seen[0].name == "oneway-call"
    assert seen[0].daemon
    assert seen[0] is not threading.current_thread()


def test_threads_are_reused(pool: OnewayPool, threads: Callable[[], set[threading.Thread]]) -> None:
    """[DMN-65]: one that has become idle takes the next call."""
    seen: set[threading.Thread] = set()
    for _ in range(5):
        done = threading.Event()
        pool.submit(lambda done=done: (seen.add(threading.current_thread()), done.set()))  # type: ignore[misc]
        assert done.wait(LONG)
        while not pool._idle:
            pass
    assert len(seen) == 1
    assert threads() == seen


def test_idle_threads_end(
    pool: OnewayPool, threads: Callable[[], set[threading.Thread]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[DMN-65]"""
    monkeypatch.setattr(oneway, "_IDLE_SECONDS", 0.05)
    done = threading.Event()
    pool.submit(done.set)
    assert done.wait(LONG)
    for thread in threads():
        thread.join(LONG)
    assert threads() == set()
    assert pool._threads == pool._idle == 0
    again = threading.Event()
    pool.submit(again.set)
    assert again.wait(LONG)


def test_number_of_threads_is_bounded(
    pool: OnewayPool, gate: Gate, threads: Callable[[], set[threading.Thread]]
) -> None:
    """[DMN-65], [HRD-19]: more calls wait, and start in the order of their arrival."""
    for name in range(5):
        pool.submit(gate.task(name))
    gate.wait_for(2)
    assert gate.order == [0, 1]
    assert pool.queued == 3
    assert len(threads()) == 2
    gate.opened.set()
    gate.wait_for(3)
    assert gate.order[:2] == [0, 1]
    assert sorted(gate.order) == [0, 1, 2, 3, 4]
    assert pool.queued == 0


def test_one_thread_keeps_the_order(pool: OnewayPool, settings: Configuration) -> None:
    """[DMN-65]"""
    settings.ONEWAY_POOL_SIZE = 1
    settings.ONEWAY_QUEUE_SIZE = 1000
    order: list[int] = []
    done = threading.Event()
    for number in range(200):
        pool.submit(lambda number=number: order.append(number))  # type: ignore[misc]
    pool.submit(done.set)
    assert done.wait(LONG)
    assert order == list(range(200))


def test_size_of_the_thread_pool_is_the_default(pool: OnewayPool, settings: Configuration, gate: Gate) -> None:
    """[DMN-65]: ONEWAY_POOL_SIZE 0."""
    settings.ONEWAY_POOL_SIZE = 0
    settings.THREADPOOL_SIZE = 3
    for _ in range(4):
        pool.submit(gate.task())
    gate.wait_for(3)
    assert pool.queued == 1


def test_full_queue_holds_up_the_caller(pool: OnewayPool, gate: Gate) -> None:
    """[DMN-65], [HRD-19]: back pressure; nothing is dropped."""
    for name in range(5):
        pool.submit(gate.task(name))
    gate.wait_for(2)
    returned = threading.Event()
    submitter = threading.Thread(target=lambda: (pool.submit(gate.task("last")), returned.set()))
    submitter.start()
    assert not returned.wait(0.05)
    gate.opened.set()
    assert returned.wait(LONG)
    submitter.join()
    gate.wait_for(4)
    assert len(gate.order) == 6


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_thread_survives_its_call(
    pool: OnewayPool, settings: Configuration, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """[DMN-64], [HRD-22]"""
    settings.ONEWAY_POOL_SIZE = 1

    def fail() -> None:
        raise error("call failed")

    done = threading.Event()
    with caplog.at_level(logging.ERROR, "pyrolite.core"):
        pool.submit(fail)
        pool.submit(done.set)
        assert done.wait(LONG)
    assert "call failed" in caplog.text


def test_close(pool: OnewayPool, gate: Gate, threads: Callable[[], set[threading.Thread]]) -> None:
    """[DMN-66]: what has not been started is forgotten, running calls are not waited for."""
    for name in range(4):
        pool.submit(gate.task(name))
    gate.wait_for(2)
    pool.close()
    assert pool.queued == 0
    pool.submit(gate.task("too late"))
    gate.opened.set()
    for thread in threads():
        thread.join(LONG)
    assert gate.order == [0, 1]
    assert threads() == set()


def test_close_releases_callers_that_wait(pool: OnewayPool, gate: Gate) -> None:
    """[DMN-66]"""
    for name in range(5):
        pool.submit(gate.task(name))
    gate.wait_for(2)
    submitter = threading.Thread(target=pool.submit, args=(gate.task("last"),))
    submitter.start()
    submitter.join(0.05)
    assert submitter.is_alive()
    pool.close()
    submitter.join(LONG)
    assert not submitter.is_alive()
    assert "last" not in gate.order


def test_idle_threads_end_at_close(
    pool: OnewayPool, threads: Callable[[], set[threading.Thread]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[DMN-66]: at once, and busy ones right after their call."""
    monkeypatch.setattr(oneway, "_IDLE_SECONDS", 3600)
    inside, finish = threading.Event(), threading.Event()
    pool.submit(lambda: (inside.set(), finish.wait(LONG)))  # type: ignore[arg-type]
    assert inside.wait(LONG)
    pool.submit(int)
    while not pool._idle:
        pass
    pool.close()
    finish.set()
    for thread in threads():
        thread.join(LONG)
        assert not thread.is_alive()


class TestNoThreads:
    """The system gives no more threads."""

    @pytest.fixture
    def refuse(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
        """A function; after it no thread can be started."""

        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            yield lambda: patch.setattr(threading.Thread, "start", start)

    def test_none_at_all(self, pool: OnewayPool, refuse: Callable[[], None], caplog: pytest.LogCaptureFixture) -> None:
        """[HRD-19]: the call is made in the thread that brought it; it is not dropped."""
        refuse()
        seen: list[threading.Thread] = []
        with caplog.at_level(logging.WARNING, "pyrolite.core"):
            pool.submit(lambda: seen.append(threading.current_thread()))
        assert seen == [threading.current_thread()]
        assert pool.queued == pool._threads == 0
        assert "cannot start another thread" in caplog.text

    def test_fewer_than_allowed(self, pool: OnewayPool, gate: Gate, refuse: Callable[[], None]) -> None:
        """[HRD-19]: the call waits for a thread that exists."""
        pool.submit(gate.task(1))
        gate.wait_for(1)
        refuse()
        pool.submit(gate.task(2))
        assert pool.queued == 1
        gate.opened.set()
        gate.wait_for(1)
        assert gate.order == [1, 2]
