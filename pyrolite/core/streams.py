"""Item streams of the server: iterators whose items clients fetch one by one (chapter 31, STR)."""

from __future__ import annotations

import logging
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from pyrolite import lazily
from pyrolite.errors import PyroError
from pyrolite.net.sockets import peer_has_ended
from pyrolite.tracebacks import is_interrupt

if TYPE_CHECKING:
    import uuid

    from pyrolite.configuration import Configuration
    from pyrolite.net.connection import SocketConnection
else:
    uuid = lazily.module("uuid", globals())

__all__ = ["Stream", "StreamTable", "peer_identity"]

log: logging.Logger = logging.getLogger("pyrolite.core")


class Stream(NamedTuple):
    """One open stream; times are those of the monotonic clock, ``linger_since`` is 0 while it has an owner."""

    connection: SocketConnection | None
    created: float
    linger_since: float
    iterator: Iterator[Any]


class _Guard:
    """What the table knows of an open stream beside its `Stream`."""

    __slots__ = ("closed", "iterator", "lock", "peer")

    def __init__(self, iterator: Iterator[Any], peer: object) -> None:
        self.iterator = iterator
        # held while the iterator runs or is being closed; taken without the table's lock
        self.lock = threading.Lock()
        self.closed = False
        #: `peer_identity` of the owner; its connection may be unable to tell by the time that it matters
        self.peer = peer


def peer_identity(connection: SocketConnection | None) -> object:
    """What has to be the same for another connection to take over a stream; None when it is not known ([STR-9])."""
    # stand-ins of connections need not have a socket
    sock = getattr(connection, "sock", None)
    if connection is None or sock is None:
        return None
    try:
        certificate = connection.getpeercert()
        if certificate:
            return "certificate", certificate.get("issuer"), certificate.get("serialNumber")
        if isinstance(connection.peer_address, tuple):
            return "address", connection.peer_address[0]
        # only Linux tells the user at the other end of a Unix socket in a way that Python can read
        if sys.platform == "linux" and sock.family == socket.AF_UNIX:
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return "user", struct.unpack("3i", credentials)[1]
    except (OSError, ValueError):  # the connection ends just now
        log.debug("the peer of %r cannot be told", connection, exc_info=True)
    return None


class StreamTable:
    """The open streams of a daemon.

    Thread safety: all methods may be called from any thread. Items of one stream are fetched one at a time.
    """

    def __init__(self, config: Configuration) -> None:
        self._config = config
        # protects the two dicts, which have the same keys; never held while an iterator runs
        # reentrant, because handlers of signals may shut the daemon down at any moment
        self._table_lock = threading.RLock()
        self.streams: dict[str, Stream] = {}
        self._guards: dict[str, _Guard] = {}

    def open(self, connection: SocketConnection | None, iterator: Iterator[Any]) -> str:
        """Add a stream owned by ``connection``; returns its id.

        Raises:
            PyroError: the connection has ITER_STREAM_MAX open streams already ([STR-10]).
        """
        stream_id = str(uuid.uuid4())
        guard = _Guard(iterator, peer_identity(connection))
        limit = self._config.ITER_STREAM_MAX
        with self._table_lock:
            if limit and len(self.streams) >= limit:
                owned = sum(stream.connection is connection for stream in self.streams.values())
                if owned >= limit:
                    raise PyroError(f"too many open item streams on this connection (ITER_STREAM_MAX={limit})")
            self._guards[stream_id] = guard
            self.streams[stream_id] = Stream(connection, time.monotonic(), 0, iterator)
        return stream_id

    def next_item(self, stream_id: str, connection: SocketConnection | None) -> Any:
        """The next item for ``connection``; any exception of the iterator ends the stream ([STR-4]).

        Raises:
            PyroError: the stream is unknown, expired, or somebody else's.
        """
        guard = self._guards.get(stream_id)
        if guard is None:
            raise PyroError("item stream terminated")
        try:
            with guard.lock:
                self._own(stream_id, guard, connection)
                try:
                    return next(guard.iterator)
                except BaseException:
                    self._remove(stream_id)
                    raise
        finally:
            if stream_id not in self.streams:
                # removed by somebody who could not close the iterator, because the lock was held here
                _close(guard)

    def _own(self, stream_id: str, guard: _Guard, connection: SocketConnection | None) -> None:
        """Make ``connection`` the owner of the stream, if it may be."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.connection is connection:
            return  # the usual case
        peer = peer_identity(connection)
        with self._table_lock:
            stream = self.streams.get(stream_id)
            if stream is None or not _may_use(stream, guard, peer) or not _is_abandoned(stream):
                raise PyroError("item stream terminated")
            self.streams[stream_id] = stream._replace(connection=connection, linger_since=0)
            guard.peer = peer

    def close(self, stream_id: str, connection: SocketConnection | None) -> None:
        """Remove a stream; unknown ones are ignored ([STR-5]). A peer other than the owner's is refused silently."""
        stream, guard = self.streams.get(stream_id), self._guards.get(stream_id)
        if stream is None or guard is None:
            return
        if stream.connection is connection or _may_use(stream, guard, peer_identity(connection)):
            self._remove(stream_id)

    def disconnected(self, connection: SocketConnection) -> None:
        """The streams of ``connection`` wait for a new owner, or end when they may not linger ([STR-6])."""
        if not self.streams:
            return
        linger = self._config.ITER_STREAM_LINGER > 0
        for stream_id, stream in list(self.streams.items()):
            if stream.connection is not connection:
                continue
            if linger:
                with self._table_lock:
                    if self.streams.get(stream_id) is stream:
                        self.streams[stream_id] = stream._replace(connection=None, linger_since=time.monotonic())
            else:
                self._remove(stream_id, stream)

    def expire(self) -> None:
        """Remove the streams that lingered or lived too long ([STR-6], [STR-7])."""
        if not self.streams:
            return
        lifetime, linger, now = self._config.ITER_STREAM_LIFETIME, self._config.ITER_STREAM_LINGER, time.monotonic()
        for stream_id, stream in list(self.streams.items()):
            too_old = 0 < lifetime < now - stream.created
            lingered = stream.linger_since and now - stream.linger_since > linger
            if too_old or lingered:
                self._remove(stream_id, stream)

    def clear(self) -> None:
        """Remove all streams ([STR-8])."""
        for stream_id in list(self.streams):
            self._remove(stream_id)

    def _remove(self, stream_id: str, expected: Stream | None = None) -> None:
        """Remove a stream; with ``expected`` only as long as it is still in that state."""
        with self._table_lock:
            stream = self.streams.get(stream_id)
            if stream is None or (expected is not None and stream is not expected):
                return
            self.streams.pop(stream_id, None)
            guard = self._guards.pop(stream_id, None)
        if guard is not None:
            _close(guard)


def _may_use(stream: Stream, guard: _Guard, peer: object) -> bool:
    """Whether another connection than the owner, that of ``peer``, may close the stream."""
    return stream.connection is None or (peer is not None and peer == guard.peer)


def _is_abandoned(stream: Stream) -> bool:
    """Whether the owner is gone, perhaps only a moment ago, so that a client that comes back may take the stream."""
    return stream.connection is None or peer_has_ended(stream.connection.sock)


def _close(guard: _Guard) -> None:
    """Close the iterator of a removed stream, once; while it is running, that is left to `next_item`."""
    if not guard.lock.acquire(blocking=False):
        return
    try:
        close = None if guard.closed else getattr(guard.iterator, "close", None)
        guard.closed = True
        if close is not None:
            close()
    except BaseException as error:
        log.warning("closing the iterator of an item stream failed", exc_info=True)
        if is_interrupt(error):
            raise
    finally:
        guard.lock.release()
