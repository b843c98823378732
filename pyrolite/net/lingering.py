"""Closes connections without losing what was sent last ([HRD-6]).

A socket that is closed while bytes from the other end are still unread, or still on their way, is reset, and a reset
makes the other end forget what it has received. So after an answer that ends a connection in the middle of a message
the rest is read and thrown away, for a short time, by a thread that does so for the whole process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from typing import Final

__all__ = ["LINGER_SECONDS", "close_later"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: How long to wait for the other end, and how many connections may do so at the same time.
LINGER_SECONDS: Final = 2.0
MOST: Final = 64
#: The thread looks around so often, in seconds, also where a selector does not notice what is added while it waits.
_PERIOD: Final = 0.25
_PIECE: Final = 1 << 18


class _Lingering:
    """The sockets that are read from until their other end closes."""

    def __init__(self) -> None:
        # protects everything below; held for moments
        self._lock = threading.Lock()
        self._deadlines: dict[socket.socket, float] = {}
        self._selector: selectors.BaseSelector | None = None

    def add(self, sock: socket.socket) -> bool:
        """Take over a non-blocking socket; False when there are too many already."""
        with self._lock:
            if len(self._deadlines) >= MOST:
                return False
            if self._selector is None:
                selector = selectors.DefaultSelector()
                try:
                    selector.register(sock, selectors.EVENT_READ)
                    threading.Thread(
                        target=self._run, args=(selector,), name="pyrolite-shared-lingering", daemon=True
                    ).start()
                except BaseException:
                    selector.close()
                    raise
                self._selector = selector
            else:
                self._selector.register(sock, selectors.EVENT_READ)
            self._deadlines[sock] = time.monotonic() + LINGER_SECONDS
        return True

    def _run(self, selector: selectors.BaseSelector) -> None:
        while True:
            for key, _ in selector.select(_PERIOD):
                if _is_over(key.fileobj):  # type: ignore[arg-type]
                    self._end(selector, key.fileobj)  # type: ignore[arg-type]
            now = time.monotonic()
            for sock in [sock for sock, deadline in list(self._deadlines.items()) if deadline <= now]:
                self._end(selector, sock)
            with self._lock:
                if not self._deadlines:
                    self._selector = None
                    selector.close()
                    return

    def _end(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        with self._lock:
            if self._deadlines.pop(sock, None) is not None:
                selector.unregister(sock)
                sock.close()


def _is_over(sock: socket.socket) -> bool:
    """Read a piece; True when there will be no more."""
    try:
        return not sock.recv(_PIECE)
    except BlockingIOError:
        return False
    except OSError:
        return True


_lingering = _Lingering()


def close_later(sock: socket.socket) -> None:
    """Close a connected socket, whose descriptor this takes over, when the other end has closed or after a while.

    Nothing more is sent; what arrives is thrown away.

    Thread safety: may be called from any thread.
    """
    with contextlib.suppress(OSError):  # not connected any more: reading will tell
        socket.socket.shutdown(sock, socket.SHUT_WR)
    # without the TLS layer, which has nothing to say any more
    descriptor = sock.detach()
    if descriptor < 0:
        return
    plain = socket.socket(sock.family, sock.type, sock.proto, fileno=descriptor)
    taken = False
    try:
        plain.setblocking(False)
        taken = _lingering.add(plain)
    except (OSError, ValueError, RuntimeError) as error:
        log.debug("a connection was closed at once: %s", error)
    finally:
        if not taken:
            plain.close()


def _after_fork() -> None:
    # the thread exists in the parent only, and the sockets are the parent's
    global _lingering  # noqa: PLW0603
    for sock in _lingering._deadlines:
        sock.detach()
    _lingering = _Lingering()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
