"""A pool of worker threads that grows on demand and shrinks when the work is done ([SRV-13]..[SRV-15]).

Beyond plain jobs the pool knows two things that the thread pool server needs. A worker whose job has nothing to do
for now may be *lent*: it declares so with `Pool.begin_idle`, and the pool may then assign it another job ([BYD-1]).
And a job may *wait in line* for the first worker that is free or can be lent ([BYD-2]).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Final, TypeAlias

from pyrolite.configuration import Configuration, config
from pyrolite.socketserver.wakeup import Waker, wait_readable

__all__ = ["Job", "NoFreeWorkersError", "Pool", "PoolError", "Worker"]

log: logging.Logger = logging.getLogger("pyrolite.threadpool")

#: What a worker runs: anything that can be called without arguments.
Job: TypeAlias = Callable[[], object]

#: Seconds that `Pool.close` waits for one busy worker, and for all of them together.
CLOSE_WAIT_ONE: Final = 0.1
CLOSE_WAIT_ALL: Final = 0.5

_numbers = itertools.count(1)


class PoolError(Exception):
    """The pool cannot do what was asked."""


class NoFreeWorkersError(PoolError):
    """All workers are busy and the pool may not grow."""


class Worker(threading.Thread):
    """One thread of a `Pool`."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(daemon=True, name=f"Pyro-Worker-{next(_numbers)}")
        self.pool = pool
        #: True while the worker's job is between two requests: within moments it takes from the line or can be lent
        self.between: bool = False
        #: the job that a lent worker runs next; protected by the lock of the pool
        self.assigned: Job | None = None
        #: the job that runs now
        self.job: Job | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._waker: Waker | None = None

    def process(self, job: Job | None) -> None:
        """Give the idle worker something to do; None ends it."""
        self._jobs.put(job)

    def run(self) -> None:
        """Run jobs until told to end."""
        job = self._jobs.get()
        try:
            while job is not None:
                self.job = job
                self.between = False
                try:
                    job()
                except BaseException:  # SystemExit of user code included: the worker must return to the pool [HRD-22]
                    with contextlib.suppress(BaseException):  # of handlers of the user, or of the exception itself
                        log.exception("unhandled exception in job of %s", self.name)
                self.job = job = None  # let go of it before waiting for the next one
                job = self.pool.notify_done(self) or self._jobs.get()
        finally:
            if self._waker is not None:
                self._waker.close()

    def can_be_woken(self) -> bool:
        """Whether the worker's wait can be interrupted; makes the descriptor for that at the first call."""
        if self._waker is None:
            try:
                self._waker = Waker()
            except OSError:  # no descriptor left: this worker waits without being lendable
                return False
        return True

    def wait_for_input(self, descriptor: int, timeout: float | None) -> bool:
        """Wait until ``descriptor`` is readable or `wake` is called; False after ``timeout`` seconds."""
        waker = self._waker
        return wait_readable((descriptor,) if waker is None else (descriptor, waker.fileno()), timeout)

    def wake(self) -> None:
        """Interrupt `wait_for_input`."""
        if self._waker is not None:
            self._waker.wake()

    def woken(self) -> None:
        """Take back `wake`."""
        if self._waker is not None:
            self._waker.clear()


class Pool:
    """At most THREADPOOL_SIZE workers, of which THREADPOOL_SIZE_MIN are kept when idle.

    ``configuration`` is the owner's configuration (default: the global one).

    Raises:
        ValueError: the configured sizes make no sense.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._config = configuration or config
        if self._config.THREADPOOL_SIZE < 1 or self._config.THREADPOOL_SIZE_MIN < 1:
            raise ValueError("threadpool sizes must be greater than zero")
        if self._config.THREADPOOL_SIZE_MIN > self._config.THREADPOOL_SIZE:
            raise ValueError("minimum threadpool size must be less than or equal to max size")
        self.idle: set[Worker] = set()
        self.busy: set[Worker] = set()
        self.closed: bool = False
        #: True when a worker between two requests has to look up: jobs wait in line, or the end is near. Read without
        #: the lock, so that a busy connection pays one attribute access for it.
        self.attention: bool = False
        self._ending = False
        # protects all sets and queues below and above; taken last, never held over foreign code or waiting
        # reentrant, because handlers of signals may shut the server down at any moment; so is that of the lobby
        self._lock = threading.RLock()
        self._line: OrderedDict[Job, None] = OrderedDict()  # jobs that wait for a worker, first come first served
        self._lendable: OrderedDict[Worker, None] = OrderedDict()  # the one that is idle for longest comes first
        for _ in range(self._config.THREADPOOL_SIZE_MIN):
            worker = Worker(self)
            worker.start()
            self.idle.add(worker)
        log.debug("worker pool created with initial size %d", self.num_workers())

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pyrolite.socketserver.threadpool.Pool at 0x{id(self):x}; {self.num_workers()} workers>"

    def num_workers(self) -> int:
        """How many threads there are."""
        return len(self.busy) + len(self.idle)

    def process(self, job: Job) -> None:
        """Run ``job`` in a worker at once.

        Raises:
            NoFreeWorkersError: all workers are busy and there may be no more, or no thread can be started.
            PoolError: the pool is closed.
        """
        if not self._run(job):
            raise NoFreeWorkersError("no free workers available, increase thread pool size")

    def submit(self, job: Job) -> bool:
        """Run ``job`` in a free, new or lent worker; without one put it in the line of those who wait (False).

        Raises:
            PoolError: the pool is closed.
        """
        if self._run(job):
            return True
        with self._lock:
            self._check_open()
            if self._lendable:
                worker, _ = self._lendable.popitem(last=False)
                worker.assigned = job
                worker.wake()
            elif self.idle:  # came back in this moment
                worker = self.idle.pop()
                self.busy.add(worker)
                worker.process(job)
            else:
                self._line[job] = None
                self.attention = True
                return False
        return True

    def withdraw(self, job: Job) -> bool:
        """Take ``job`` out of the line; False when it is not there, because a worker has it."""
        with self._lock:
            if job not in self._line:
                return False
            del self._line[job]
            self._set_attention()
            return True

    def waits(self, job: Job) -> bool:
        """Whether ``job`` is still in line."""
        return job in self._line

    def lends_soon(self) -> bool:
        """Whether some worker is between two requests, and so will take from the line within moments."""
        with self._lock:
            return any(worker.between for worker in self.busy)

    def _set_attention(self) -> None:
        self.attention = bool(self._line) or self._ending

    def _next_in_line(self) -> Job:
        job, _ = self._line.popitem(last=False)
        self._set_attention()
        return job

    def _check_open(self) -> None:
        if self._ending:
            raise PoolError("job queue is closed")

    def _run(self, job: Job) -> bool:
        """Give ``job`` to an idle or new worker; False when there is none."""
        with self._lock:
            self._check_open()
            if self.idle:
                worker = self.idle.pop()
                self.busy.add(worker)
                worker.process(job)
                return True
            if len(self.busy) >= self._config.THREADPOOL_SIZE:
                return False
            worker = Worker(self)
            self.busy.add(worker)
        try:
            worker.start()
        except RuntimeError as error:  # can't start new thread: as if the pool could not grow ([HRD-19])
            log.warning("cannot start worker thread: %s", error)
            with self._lock:
                self.busy.discard(worker)
            return False
        worker.process(job)
        return True

    # ---- called by workers and their jobs

    def notify_done(self, worker: Worker) -> Job | None:
        """The job of ``worker`` is done; gives it the next one from the line.

        None: it has to wait for `Worker.process`, which also tells it to end when there are idle workers enough.
        """
        with self._lock:
            if worker.assigned is not None:
                job, worker.assigned = worker.assigned, None
                return job
            if self.closed:
                return None
            if self._line:
                return self._next_in_line()
            self.busy.discard(worker)
            if len(self.idle) < self._config.THREADPOOL_SIZE_MIN:
                self.idle.add(worker)
            else:
                worker.process(None)
            return None

    def take_over(self, worker: Worker) -> bool:
        """The job of ``worker`` can step aside: True when it has to, because another job has been assigned."""
        with self._lock:
            if not self._line:
                return False
            worker.assigned = self._next_in_line()
            return True

    def begin_idle(self, worker: Worker) -> bool:
        """The job of ``worker`` has nothing to do: it may be lent until `end_idle`; False: it has to step aside."""
        lendable = worker.can_be_woken()
        with self._lock:
            if self._line:
                worker.assigned = self._next_in_line()
            if worker.assigned is not None or self._ending:
                return False
            if lendable:
                self._lendable[worker] = None
            return True

    def end_idle(self, worker: Worker) -> bool:
        """The job of ``worker`` has something to do again; False: the worker was lent meanwhile."""
        with self._lock:
            if worker in self._lendable:
                del self._lendable[worker]
                return True
            lent = worker.assigned is not None
        if lent:
            worker.woken()
        return not lent

    # ---- the end

    def wind_down(self, keep: Callable[[Job], bool] = lambda _: False) -> list[Job]:
        """Make every job step aside after its present request; gives back the jobs that were waiting in line.

        Those that are to be kept stay there, and have their turn as long as the pool is not closed.
        """
        with self._lock:
            self._ending = self.attention = True
            line = [job for job in self._line if not keep(job)]
            for job in line:
                del self._line[job]
            for worker in self._lendable:
                worker.wake()
        return line

    def close(self) -> None:
        """End all workers: the idle ones at once, the others after their job, for which is not waited long.

        May be called from a worker.
        """
        with self._lock:
            if self.closed:
                return
            self.closed = self._ending = True
            workers = [*self.idle, *self.busy]
            self.idle.clear()
            self.busy.clear()
        self.wind_down()
        for worker in workers:
            worker.process(None)
        deadline = time.monotonic() + CLOSE_WAIT_ALL
        for worker in workers:
            if worker is not threading.current_thread() and worker.ident is not None:
                worker.join(min(CLOSE_WAIT_ONE, max(0.0, deadline - time.monotonic())))
