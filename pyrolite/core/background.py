"""Threads for asynchronous work: one set for the whole process, reused, without limit of their number ([ASY-10]).

Asynchronous calls and futures may all wait at the same time, also for each other, so there is no queue: a task gets an
idle thread, or a new one. Idle threads end after a few seconds. All are daemon threads, so none keeps the interpreter
from exiting.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pyrolite import lazily

if TYPE_CHECKING:
    import queue
else:
    queue = lazily.module("queue", globals())

__all__ = ["run_in_background"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: Seconds that a thread without work waits for some before it ends.
IDLE_SECONDS: Final = 5.0
#: What the names of these threads begin with.
NAME_PREFIX: Final = "pyrolite-shared"

Task = Callable[[], object]


class _Worker(threading.Thread):
    """One thread: runs its first task, then whatever it is given while it is among the idle ones."""

    def __init__(self, task: Task, name: str) -> None:
        super().__init__(name=f"{NAME_PREFIX}-{name}", daemon=True)
        self._tasks: queue.SimpleQueue[tuple[Task, str]] = queue.SimpleQueue()
        self.give(task, name)

    def give(self, task: Task, name: str) -> None:
        """Have the thread run ``task``; only for the one who made it or took it from the idle ones."""
        self._tasks.put((task, name))

    def run(self) -> None:
        """Run tasks until none has come for IDLE_SECONDS."""
        task, name = self._tasks.get()
        while True:
            try:
                task()
            except SystemExit:  # as in any thread
                pass
            except BaseException:
                log.exception("background task %r failed", name)
            del task  # and all that it refers to, before the wait
            self.name = f"{NAME_PREFIX}-idle"
            with _shared.lock:
                _shared.idle.append(self)
            try:
                task, name = self._tasks.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with _shared.lock:
                    if self in _shared.idle:
                        _shared.idle.remove(self)
                        return
                task, name = self._tasks.get()  # somebody was just about to give it
            self.name = f"{NAME_PREFIX}-{name}"


class _Shared:
    """The idle threads of this process."""

    def __init__(self) -> None:
        # protects `idle`; a leaf lock, held for single list operations only
        self.lock = threading.Lock()
        #: the last one is used first, so that those not needed any more grow old
        self.idle: list[_Worker] = []


_shared = _Shared()


def run_in_background(task: Task, name: str = "task") -> None:
    """Run ``task`` in a daemon thread, at once, however many others are running.

    Args:
        task: called without arguments. It is expected to deal with its exceptions; those that escape are logged, and
            ``SystemExit`` is ignored as in any thread.
        name: second part of the thread's name while it runs the task, after ``pyrolite-shared-``.

    Raises:
        RuntimeError: the system cannot start another thread.

    Thread safety: may be called from any thread. After ``fork`` the child starts with no threads.
    """
    with _shared.lock:
        worker = _shared.idle.pop() if _shared.idle else None
    if worker is None:
        _Worker(task, name).start()
    else:
        worker.give(task, name)


def _after_fork() -> None:
    # the threads exist in the parent only, and the lock may have been held by one of them
    global _shared  # noqa: PLW0603
    _shared = _Shared()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
