"""Item streams of the server: iterators whose items clients fetch one by one (chapter 31, STR)."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from pyrolite.errors import PyroError

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration
    from pyrolite.net.connection import SocketConnection

__all__ = ["Stream", "StreamTable"]

log = logging.getLogger("pyrolite.core")


class Stream(NamedTuple):
    """One open stream; times are those of the monotonic clock, ``linger_since`` is 0 while it has an owner."""

    connection: SocketConnection | None
    created: float
    linger_since: float
    iterator: Iterator[Any]


def _peer_identity(connection: SocketConnection | None) -> Any:
    """What has to be the same for another connection to take over a stream ([STR-9])."""
    if connection is None:
        return None
    certificate = connection.getpeercert() if hasattr(connection, "getpeercert") else None
    if certificate:
        return "certificate", certificate.get("serialNumber"), certificate.get("issuer")
    address = getattr(connection, "peer_address", None)
    return ("address", address[0]) if isinstance(address, tuple) else ("local", None)


class StreamTable:
    """The open streams of a daemon.

    Thread safety: all methods may be called from any thread. Items of one stream are fetched one at a time.
    """

    def __init__(self, config: Configuration) -> None:
        self._config = config
        # protects the two dicts; never held while an iterator runs. Per-stream locks are taken without it.
        self._table_lock = threading.Lock()
        self.streams: dict[str, Stream] = {}
        self._item_locks: dict[str, threading.Lock] = {}

    def open(self, connection: SocketConnection | None, iterator: Iterator[Any]) -> str:
        """Add a stream owned by ``connection``; returns its id.

        Raises:
            PyroError: the connection has ITER_STREAM_MAX open streams already ([STR-10]).
        """
        stream_id = str(uuid.uuid4())
        limit = self._config.ITER_STREAM_MAX
        with self._table_lock:
            if limit and len(self.streams) >= limit:
                owned = sum(stream.connection is connection for stream in self.streams.values())
                if owned >= limit:
                    raise PyroError(f"too many open item streams on this connection (ITER_STREAM_MAX={limit})")
            self.streams[stream_id] = Stream(connection, time.monotonic(), 0, iterator)
            self._item_locks[stream_id] = threading.Lock()
        return stream_id

    def next_item(self, stream_id: str, connection: SocketConnection | None) -> Any:
        """The next item for ``connection``; any exception of the iterator ends the stream ([STR-4]).

        Raises:
            PyroError: the stream is unknown, expired, or somebody else's.
        """
        item_lock = self._item_locks.get(stream_id)
        if item_lock is None:
            raise PyroError("item stream terminated")
        with item_lock:
            stream = self._own(stream_id, connection)
            try:
                return next(stream.iterator)
            except BaseException:
                self._remove(stream_id)
                raise
            finally:
                if stream_id not in self.streams:  # removed while the iterator was running
                    _close_iterator(stream.iterator)

    def _own(self, stream_id: str, connection: SocketConnection | None) -> Stream:
        with self._table_lock:
            stream = self.streams.get(stream_id)
            if stream is None or not _may_use(stream, connection):
                raise PyroError("item stream terminated")
            if stream.connection is not connection:
                stream = self.streams[stream_id] = stream._replace(connection=connection, linger_since=0)
            return stream

    def close(self, stream_id: str, connection: SocketConnection | None) -> None:
        """Remove a stream; unknown ones are ignored ([STR-5]). A peer other than the owner's is refused silently."""
        stream = self.streams.get(stream_id)
        if stream is not None and _may_use(stream, connection):
            self._remove(stream_id)

    def disconnected(self, connection: SocketConnection) -> None:
        """The streams of ``connection`` wait for a new owner, or end when they may not linger ([STR-6])."""
        if not self.streams:
            return
        linger = self._config.ITER_STREAM_LINGER > 0
        for stream_id, stream in list(self.streams.items()):
            if stream.connection is connection:
                if linger:
                    with self._table_lock:
                        if stream_id in self.streams:
                            self.streams[stream_id] = stream._replace(connection=None, linger_since=time.monotonic())
                else:
                    self._remove(stream_id)

    def expire(self) -> None:
        """Remove the streams that lingered or lived too long ([STR-6], [STR-7])."""
        if not self.streams:
            return
        lifetime, linger, now = self._config.ITER_STREAM_LIFETIME, self._config.ITER_STREAM_LINGER, time.monotonic()
        for stream_id, stream in list(self.streams.items()):
            too_old = 0 < lifetime < now - stream.created
            lingered = stream.linger_since and now - stream.linger_since > linger
            if too_old or lingered:
                self._remove(stream_id)

    def clear(self) -> None:
        """Remove all streams ([STR-8])."""
        for stream_id in list(self.streams):
            self._remove(stream_id)

    def _remove(self, stream_id: str) -> None:
        with self._table_lock:
            stream = self.streams.pop(stream_id, None)
            item_lock = self._item_locks.pop(stream_id, None)
        # an iterator that is running is closed by next_item when it returns
        if stream is not None and item_lock is not None and item_lock.acquire(blocking=False):
            try:
                _close_iterator(stream.iterator)
            finally:
                item_lock.release()


def _may_use(stream: Stream, connection: SocketConnection | None) -> bool:
    if stream.connection is None or stream.connection is connection:
        return True
    return bool(_peer_identity(stream.connection) == _peer_identity(connection))


def _close_iterator(iterator: Iterator[Any]) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            log.warning("closing the iterator of an item stream failed", exc_info=True)

