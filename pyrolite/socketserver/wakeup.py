"""A descriptor that makes another thread's wait in a selector return."""

from __future__ import annotations

import contextlib
import os
import select
import socket

__all__ = ["Waker", "wait_readable"]


class Waker:
    """Wakes a thread that waits for ``fileno()`` to become readable.

    Raises:
        OSError: the process has no free descriptor.

    Thread safety: `wake` may be called from any thread, also after `close`.
    """

    __slots__ = ("_event", "_pair")

    def __init__(self) -> None:
        self._event = -1
        self._pair: tuple[socket.socket, socket.socket] | None = None
        if hasattr(os, "eventfd"):  # Linux: one descriptor instead of two
            self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self._pair = socket.socketpair()
            for end in self._pair:
                end.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to wait for; -1 when closed."""
        return self._event if self._pair is None else self._pair[0].fileno()

    def wake(self) -> None:
        """Make the descriptor readable."""
        # full: it is readable already; bad descriptor: closed, nobody waits any more
        with contextlib.suppress(OSError):
            if self._pair is not None:
                self._pair[1].send(b"!")
            elif self._event >= 0:
                os.eventfd_write(self._event, 1)

    def clear(self) -> None:
        """Take back all `wake` calls so far."""
        with contextlib.suppress(BlockingIOError):
            if self._pair is not None:
                while self._pair[0].recv(4096):
                    pass
            elif self._event >= 0:
                os.eventfd_read(self._event)

    def wait(self, timeout: float | None) -> bool:
        """Wait for `wake` at most ``timeout`` seconds (None: for ever) and take it back; False: it did not come."""
        if not wait_readable((self.fileno(),), timeout):
            return False
        self.clear()
        return True

    def close(self) -> None:
        """Release the descriptor; may be repeated."""
        if self._pair is not None:
            for end in self._pair:
                end.close()
        event, self._event = self._event, -1
        if event >= 0:
            os.close(event)


def wait_readable(descriptors: tuple[int, ...], timeout: float | None) -> bool:
    """Wait until one of the descriptors is readable or broken; False after ``timeout`` seconds (None: no limit)."""
    if hasattr(select, "poll"):
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0.0, timeout * 1000)))
    return bool(select.select(descriptors, (), (), timeout)[0])
