"""The worker pool."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.socketserver.threadpool import NoFreeWorkersError, Pool, PoolError, Worker


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.001)


class Blocking:
    """A job that runs until it is released."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.release = threading.Event()
        self.done = threading.Event()
        self.name = ""

    def __call__(self) -> None:
        self.name = threading.current_thread().name
        self.started.set()
        assert self.release.wait(10)
        self.done.set()


@pytest.fixture
def make_pool() -> Iterator[Callable[..., Pool]]:
    pools: list[Pool] = []

    def make(size: int = 4, minimum: int = 2) -> Pool:
        pool = Pool(config.copy(THREADPOOL_SIZE=size, THREADPOOL_SIZE_MIN=minimum))
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close()
    eventually(lambda: not any(isinstance(thread, Worker) for thread in threading.enumerate()))


@pytest.mark.parametrize(
    ("size", "minimum", "text"),
    [
        (0, 1, "threadpool sizes must be greater than zero"),
        (4, 0, "threadpool sizes must be greater than zero"),
        (2, 3, "minimum threadpool size must be less than or equal to max size"),
    ],
)
def test_sizes(size: int, minimum: int, text: str) -> None:
    """[SRV-13] Sizes that make no sense are refused."""

    class Sizes:
        THREADPOOL_SIZE = size
        THREADPOOL_SIZE_MIN = minimum

    sizes: Any = Sizes()
    with pytest.raises(ValueError, match=text):
        Pool(sizes)


def test_grows_and_shrinks(make_pool: Callable[..., Pool]) -> None:
    """[SRV-14] MIN idle workers, up to SIZE on demand, back to MIN after the burst."""
    pool = make_pool(4, 2)
    assert (len(pool.idle), len(pool.busy), pool.num_workers()) == (2, 0, 2)
    jobs = [Blocking() for _ in range(4)]
    for job in jobs:
        pool.process(job)
    assert all(job.started.wait(5) for job in jobs)
    assert (len(pool.idle), len(pool.busy)) == (0, 4)
    with pytest.raises(NoFreeWorkersError, match="^no free workers available, increase thread pool size$"):
        pool.process(Blocking())
    for job in jobs:
        job.release.set()
    eventually(lambda: pool.num_workers() == 2)
    assert (len(pool.idle), len(pool.busy)) == (2, 0)
    assert len({job.name for job in jobs}) == 4


def test_workers(make_pool: Callable[..., Pool]) -> None:
    """[SRV-15] Workers are daemon threads with a telling name."""
    pool = make_pool()
    for worker in pool.idle:
        assert worker.daemon
        assert worker.name.startswith("Pyro-Worker-")
        assert int(worker.name.rpartition("-")[2]) > 0


@pytest.mark.parametrize("error", [ValueError("failing job"), SystemExit("leaving job")])
def test_failing_jobs(make_pool: Callable[..., Pool], caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    """[SRV-14], [HRD-22] Whatever a job raises is logged, and its worker returns to the pool."""
    pool = make_pool(1, 1)

    def fail() -> None:
        raise error

    pool.process(fail)
    eventually(lambda: pool.idle)
    assert str(error) in caplog.text
    job = Blocking()
    pool.process(job)
    assert job.started.wait(5)
    job.release.set()


def test_size_is_read_when_needed(make_pool: Callable[..., Pool]) -> None:
    """[SRV-14] THREADPOOL_SIZE counts at the moment of `process`."""
    settings = config.copy(THREADPOOL_SIZE=1, THREADPOOL_SIZE_MIN=1)
    with Pool(settings) as pool:
        jobs = [Blocking(), Blocking()]
        pool.process(jobs[0])
        with pytest.raises(NoFreeWorkersError):
            pool.process(jobs[1])
        settings.THREADPOOL_SIZE = 2
        pool.process(jobs[1])
        assert jobs[1].started.wait(5)
        for job in jobs:
            job.release.set()


def test_close(make_pool: Callable[..., Pool]) -> None:
    """[SRV-15] After close the sets are empty and nothing is taken; close does not wait long for busy workers."""
    pool = make_pool(10, 2)
    jobs = [Blocking() for _ in range(10)]
    for job in jobs:
        pool.process(job)
    began = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - began < 1
    assert pool.closed
    assert (pool.idle, pool.busy) == (set(), set())
    with pytest.raises(PoolError, match="^job queue is closed$"):
        pool.process(Blocking())
    with pytest.raises(PoolError, match="^job queue is closed$"):
        pool.submit(Blocking())
    for job in jobs:
        job.release.set()
        assert job.done.wait(5)


def test_close_from_a_worker(make_pool: Callable[..., Pool]) -> None:
    """[SRV-15] A job may close its pool."""
    pool = make_pool(2, 2)
    closed = threading.Event()

    def job() -> None:
        pool.close()
        closed.set()

    pool.process(job)
    assert closed.wait(5)


def test_no_thread_can_be_started(make_pool: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-19] When no thread can be started it is as if there was no free worker."""
    pool = make_pool(4, 1)
    job = Blocking()
    pool.process(job)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(NoFreeWorkersError):
        pool.process(Blocking())
    assert pool.num_workers() == 1
    job.release.set()


def test_line(make_pool: Callable[..., Pool]) -> None:
    """[BYD-2] Jobs that wait in line are run first come first served; one that is withdrawn is not."""
    pool = make_pool(1, 1)
    first = Blocking()
    assert pool.submit(first)
    order: list[int] = []
    waiting = [lambda number=number: order.append(number) for number in range(4)]
    assert [pool.submit(job) for job in waiting] == [False] * 4
    assert pool.attention
    assert pool.waits(waiting[2])
    assert pool.withdraw(waiting[2])
    assert not pool.withdraw(waiting[2])
    first.release.set()
    eventually(lambda: pool.idle)
    assert order == [0, 1, 3]
    assert not pool.attention
    assert not pool.withdraw(waiting[0])


class Idling:
    """A job that has nothing to do until it is told, or until its worker is lent."""

    def __init__(self) -> None:
        self.idle = threading.Event()
        self.ended = ""

    def __call__(self) -> None:
        worker = threading.current_thread()
        assert isinstance(worker, Worker)
        if not worker.pool.begin_idle(worker):
            self.ended = "wanted"
            return
        self.idle.set()
        worker.wait_for_input(worker._waker.fileno(), 10)  # type: ignore[union-attr]
        self.ended = "kept" if worker.pool.end_idle(worker) else "lent"


def test_lending(make_pool: Callable[..., Pool]) -> None:
    """[BYD-1] The worker that has been idle for longest is lent; its job steps aside."""
    pool = make_pool(2, 1)
    idling = [Idling(), Idling()]
    for job in idling:
        assert pool.submit(job)
        assert job.idle.wait(5)
    urgent = Blocking()
    assert pool.submit(urgent)
    assert urgent.started.wait(5)
    assert idling[0].ended == "lent"
    assert idling[1].ended == ""
    with pytest.raises(NoFreeWorkersError):
        pool.process(Blocking())  # plain jobs never make others step aside
    urgent.release.set()
    eventually(lambda: urgent.done.is_set() and len(pool.busy) == 1)
    assert pool.wind_down() == []
    eventually(lambda: idling[1].ended == "kept")


def test_idle_job_steps_aside_for_the_line(make_pool: Callable[..., Pool]) -> None:
    """[BYD-1] A job that becomes idle while others wait steps aside at once; one between requests when it is asked."""
    pool = make_pool(1, 1)
    busy = Blocking()
    late = Idling()

    def first() -> None:
        busy()
        late()

    assert pool.submit(first)
    assert busy.started.wait(5)
    waiting = Blocking()
    assert not pool.submit(waiting)
    busy.release.set()
    assert waiting.started.wait(5)
    assert late.ended == "wanted"
    waiting.release.set()
