"""The threads that run oneway calls: few, reused, with a bounded queue ([DMN-63] to [DMN-66])."""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration

__all__ = ["OnewayPool"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: Seconds that a thread without work waits for some before it ends.
_IDLE_SECONDS = 5.0


class OnewayPool:
    """Runs tasks in at most ONEWAY_POOL_SIZE daemon threads named ``oneway-call``, starting them in order of arrival.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, config: Configuration) -> None:
        self._config = config
        #: for servers whose thread must not wait in `submit`: called when the queue is not too long any more
        self.on_room: Callable[[], None] | None = None
        # protects everything below; never held while a task runs
        # reentrant, because handlers of signals may shut the daemon down at any moment
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._queue: collections.deque[Callable[[], None]] = collections.deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, task: Callable[[], None]) -> None:
        """Have ``task`` run; waits while the queue is full, which keeps the caller from reading more requests.

        With `on_room` it does not wait: then nothing more is to be read from this client while the pool is `overfull`.
        If no thread at all can be started, the task runs in the calling one: nothing is dropped ([HRD-19]).
        """
        config = self._config
        with self._lock:
            while self.on_room is None and len(self._queue) >= config.ONEWAY_QUEUE_SIZE and not self._closed:
                self._room.wait()
            if self._closed:
                return
            self._queue.append(task)
            if self._idle >= len(self._queue):
                self._work.notify()
                return
            if self._threads >= (config.ONEWAY_POOL_SIZE or config.THREADPOOL_SIZE) or self._start_thread():
                return
            self._queue.pop()
        task()

    def _start_thread(self) -> bool:
        """Add a thread; False when there is none at all, and none can be started."""
        self._threads += 1
        try:
            threading.Thread(target=self._run, name="oneway-call", daemon=True).start()
        except RuntimeError:
            self._threads -= 1
            log.warning("cannot start another thread for oneway calls, which have %d", self._threads)
        return self._threads > 0

    def _run(self) -> None:
        while True:
            with self._lock:
                signalled = True
                while not self._queue:
                    if self._closed or not signalled:
                        self._threads -= 1
                        return
                    self._idle += 1
                    signalled = self._work.wait(_IDLE_SECONDS)
                    self._idle -= 1
                overfull = self.overfull()
                task = self._queue.popleft()
                self._room.notify()
                announce = self.on_room if overfull and not self.overfull() else None
            if announce is not None:
                announce()
            try:
                task()
            except BaseException:
                with contextlib.suppress(BaseException):  # of handlers of the user, or of the exception itself
                    log.exception("oneway call ended its thread's task")
            del task

    def overfull(self) -> bool:
        """Whether more calls wait for a thread than should."""
        return len(self._queue) > self._config.ONEWAY_QUEUE_SIZE

    @property
    def queued(self) -> int:
        """Number of calls that wait for a thread."""
        return len(self._queue)

    def close(self) -> None:
        """Forget what has not been started ([DMN-66]); threads end when their call does."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            self._work.notify_all()
            self._room.notify_all()
