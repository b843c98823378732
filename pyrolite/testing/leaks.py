"""Finds threads and sockets that a piece of code leaves behind ([BYD-30])."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["LeakError", "leak_check"]

#: Threads that serve the whole process and may stay: they have nothing to do with a particular daemon or proxy.
_SHARED_THREADS = ("oneway-call", "pyrolite-shared")
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


class LeakError(AssertionError):
    """Threads or sockets were left behind."""


@contextlib.contextmanager
def leak_check(patience: float = 2.0, *, collect: bool = False) -> Iterator[None]:
    """Check on exit that no thread and no socket is left that was not there before.

    Sockets are checked where the system lists the descriptors of a process (Linux, macOS, BSD).

    Args:
        patience: seconds to wait for threads and sockets that are just ending.
        collect: run the garbage collector at once, not only when something seems to be left.

    Raises:
        LeakError: with the names of the threads and the addresses of the sockets.

    Thread safety: what other threads start meanwhile counts as a leak.
    """
    threads, sockets = set(threading.enumerate()), _open_sockets()
    yield
    if collect:
        gc.collect()
    deadline = time.monotonic() + patience
    collected = collect
    while True:
        leaked = _leaked_threads(threads) + _leaked_sockets(sockets)
        if not leaked:
            return
        if not collected:  # proxies in reference cycles, for instance with a traceback
            gc.collect()
            collected = True
        elif time.monotonic() > deadline:
            raise LeakError("left behind: " + "; ".join(leaked))
        else:
            time.sleep(0.01)


def _leaked_threads(before: set[threading.Thread]) -> list[str]:
    return [
        f"thread {thread.name!r}"
        for thread in threading.enumerate()
        if thread not in before and not thread.name.startswith(_SHARED_THREADS)
    ]


def _open_sockets() -> dict[int, int]:
    """Descriptor and inode of each open socket of this process; empty where that cannot be known."""
    for directory in _DESCRIPTORS:
        if Path(directory).is_dir():
            found = {}
            for name in os.listdir(directory):
                with contextlib.suppress(OSError):  # the descriptor that listed the directory is closed by now
                    status = os.fstat(int(name))
                    if stat.S_ISSOCK(status.st_mode):
                        found[int(name)] = status.st_ino
            return found
    return {}


def _leaked_sockets(before: dict[int, int]) -> list[str]:
    return [_socket_text(fd) for fd, inode in _open_sockets().items() if before.get(fd) != inode]


def _socket_text(fd: int) -> str:
    """What is known about a socket that nobody closed."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as sock:
        peer = ""
        with contextlib.suppress(OSError):
            peer = f" to {sock.getpeername()!r}"
        return f"socket {fd} at {sock.getsockname()!r}{peer}"
    return f"socket {fd}"
