"""The client's end of an item stream ([PRX-50] to [PRX-56])."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from pyrolite import constants, lazily
from pyrolite.core.futures import _ExceptionWrapper
from pyrolite.errors import ConnectionClosedError, ProtocolError
from pyrolite.wire.message import FLAGS_BATCH, FLAGS_ONEWAY

if TYPE_CHECKING:
    import queue

    from pyrolite.core.proxy import Proxy
else:
    queue = lazily.module("queue", globals())

__all__ = ["_StreamResultIterator"]

_NEXT_ITEM: Final = "get_next_stream_item"


class _StreamResultIterator:
    """Iterates over the items of a remote iterator: one request for each, or for as many as the proxy prefetches.

    Thread safety: the calls are serialised by the proxy; sharing an iterator gives each item to one of the threads.
    """

    # not pickled, copied or extended by users; slots keep it small
    __slots__ = ("__weakref__", "_owns_proxy", "_prefetched", "proxy", "pyroseq", "streamId")

    def __init__(self, streamId: str, proxy: Proxy) -> None:
        self.streamId = streamId
        self.proxy: Proxy | None = proxy
        self.pyroseq = proxy._pyroSeq
        #: the proxy was made for this stream only, and is released with it
        self._owns_proxy = False
        #: items that have arrived and are still to be delivered; the last one may be a wrapped exception
        self._prefetched: deque[Any] = deque()
        _closer.start()

    def __iter__(self) -> _StreamResultIterator:
        return self

    def __next__(self) -> Any:
        """The next item.

        Raises:
            ConnectionClosedError: the proxy is not connected.
            PyroError: the server has dropped the stream.
        """
        proxy = self.proxy
        if proxy is None:
            return self._next_prefetched()
        with proxy._pyroLock:
            if self._prefetched or self.proxy is None:  # the latter: another thread has come to the end meanwhile
                return self._next_prefetched()
            if proxy._pyroConnection is None:
                raise ConnectionClosedError("the proxy for this stream result has been closed")
            self.pyroseq = (self.pyroseq + 1) & 0xFFFF
            if proxy._pyroStreamPrefetch > 1:
                self._prefetch(proxy)
                return self._next_prefetched()
            try:
                return proxy._pyroInvoke(_NEXT_ITEM, [self.streamId], {}, objectId=constants.DAEMON_NAME)
            except (StopIteration, GeneratorExit):
                self._detach()
                raise

    def _prefetch(self, proxy: Proxy) -> None:
        """Fetch many items with one batch of calls ([BYD-57])."""
        calls: list[Any] = [(_NEXT_ITEM, (self.streamId,), {})] * proxy._pyroStreamPrefetch
        items = proxy._pyroInvoke("<batch>", calls, None, FLAGS_BATCH, objectId=constants.DAEMON_NAME)
        if not isinstance(items, (list, tuple)) or not items:
            raise ProtocolError("the answer to a batch is no list")
        self._prefetched.extend(items)
        last = items[-1]
        if isinstance(last, _ExceptionWrapper) and isinstance(last.exception, (StopIteration, GeneratorExit)):
            self._detach()

    def _next_prefetched(self) -> Any:
        """The next one of the items that are here already."""
        try:
            item = self._prefetched.popleft()
        except IndexError:
            raise StopIteration from None
        if isinstance(item, _ExceptionWrapper):
            item.raiseIt()
        return item

    def close(self) -> None:
        """Tell the server that no more items are wanted; may be repeated."""
        self._prefetched.clear()
        proxy = self.proxy
        if proxy is None:
            return
        try:
            if proxy._pyroConnection is not None:
                close_stream(proxy, self.streamId)
        finally:
            self._detach()

    def _detach(self) -> None:
        proxy, self.proxy = self.proxy, None
        if self._owns_proxy and proxy is not None:
            proxy._pyroRelease()

    def __del__(self) -> None:
        # No network traffic here: a finalizer may run in the middle of a call over the same proxy ([PRX-54]).
        proxy = getattr(self, "proxy", None)
        if proxy is None or proxy._pyroConnection is None:
            return
        if self._owns_proxy:
            _closer.abandoned.put(proxy)
        else:
            proxy._pyroAbandoned.append(self.streamId)  # closed by the next call, or earlier by the thread
            _closer.abandoned.put(weakref.ref(proxy))


def close_stream(proxy: Proxy, stream_id: str) -> None:
    """Send the oneway request that closes a stream ([WIRE-113])."""
    proxy._pyroInvoke("close_stream", [stream_id], {}, flags=FLAGS_ONEWAY, objectId=constants.DAEMON_NAME)


class _Closer:
    """Closes the streams whose iterators were dropped, in a thread of its own, outside of finalizers."""

    def __init__(self) -> None:
        # there once it was started; SimpleQueue may be used in finalizers, since it takes no lock of Python
        #: proxies that are not used any more, and weak references to those that have abandoned streams
        self.abandoned: queue.SimpleQueue[Any]
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # makes the thread start once
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._starting = threading.Lock()
        if self._thread is not None:
            self.abandoned = queue.SimpleQueue()  # those streams are the parent's

    def start(self) -> None:
        """Make sure that the thread runs."""
        if self._thread is None or not self._thread.is_alive():
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    if self._thread is None:
                        self.abandoned = queue.SimpleQueue()
                    self._thread = threading.Thread(target=self._run, name="pyrolite-shared-stream-closer", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            holder = self.abandoned.get()
            proxy = holder() if isinstance(holder, weakref.ref) else holder
            if proxy is holder:
                proxy._pyroRelease()
            elif proxy is not None:
                proxy._pyroCloseStreams()
            del proxy, holder


_closer: Final = _Closer()
