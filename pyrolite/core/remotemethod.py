"""What attribute access on a proxy gives: something to call ([PRX-22], [PRX-35], [ASY-2])."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily
from pyrolite.core.asynchronous import perform_later
from pyrolite.core.streamiterator import _StreamResultIterator
from pyrolite.errors import CommunicationError, ConnectionClosedError, TimeoutError  # noqa: A004 - [ERR-2]

if TYPE_CHECKING:
    import random

    from pyrolite.core.futures import FutureResult
    from pyrolite.core.proxy import Proxy
else:
    random = lazily.module("random", globals())

__all__ = ["_AsyncRemoteMethod", "_RemoteMethod"]

#: What a server without free workers says; asynchronous calls try again then ([ASY-4]).
_NO_WORKERS: Final = "no free workers"


class _RemoteMethod:
    """A method of a remote object, or of an attribute of it when the name is a dotted one."""

    __slots__ = ("_backoff", "_max_retries", "_name", "_send")

    def __init__(self, send: Callable[..., Any], name: str, max_retries: int, backoff: float = 0.0) -> None:
        self._send = send
        self._name = name
        self._max_retries = max_retries
        self._backoff = backoff

    def __getattr__(self, name: str) -> _RemoteMethod:
        return type(self)(self._send, f"{self._name}.{name}", self._max_retries, self._backoff)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self._max_retries:
            for attempt in range(self._max_retries):
                try:
                    return self._send(self._name, args, kwargs)
                except (ConnectionClosedError, TimeoutError):
                    _pause_before_retry(self._backoff, attempt)
        return self._send(self._name, args, kwargs)

    def __repr__(self) -> str:
        return f"<pyrolite.core._RemoteMethod {self._name!r}>"


def _pause_before_retry(backoff: float, attempt: int) -> None:
    """Wait ``backoff`` seconds, doubled at each attempt, with jitter ([BYD-35])."""
    if backoff:
        time.sleep(backoff * 2**attempt * random.uniform(0.5, 1.5))


class _AsyncRemoteMethod:
    """As `_RemoteMethod`, but a call returns a `FutureResult` at once ([ASY-2] to [ASY-6])."""

    __slots__ = ("_max_retries", "_name", "_proxy")

    def __init__(self, proxy: Proxy, name: str, max_retries: int) -> None:
        self._proxy = proxy
        self._name = name
        self._max_retries = max_retries

    def __getattr__(self, name: str) -> _AsyncRemoteMethod:
        return type(self)(self._proxy, f"{self._name}.{name}", self._max_retries)

    def __call__(self, /, *args: Any, **kwargs: Any) -> FutureResult:
        return perform_later(lambda: self._perform(args, kwargs), "async-call")

    def _perform(self, args: Any, kwargs: Any) -> Any:
        proxy = self._proxy.__copy__()
        proxy._pyroAsync(False)
        keep = False
        try:
            _bind_patiently(proxy)
            value = _RemoteMethod(proxy._pyroInvoke, self._name, self._max_retries, proxy._pyroConfig.RETRY_BACKOFF)(
                *args, **kwargs
            )
            if isinstance(value, _StreamResultIterator):
                value._owns_proxy = keep = True  # the items come over this connection ([PRX-55])
            return value
        finally:
            if not keep:
                proxy._pyroRelease()

    def __repr__(self) -> str:
        return f"<pyrolite.core._AsyncRemoteMethod {self._name!r}>"


def _bind_patiently(proxy: Proxy) -> None:
    """Connect; while the server has no free workers, wait and try again ([ASY-4])."""
    delay = 0.1 + random.random() / 5
    while True:
        try:
            proxy._pyroBind()
        except CommunicationError as error:
            timeout = proxy._pyroConfig.COMMTIMEOUT
            if _NO_WORKERS not in str(error) or (timeout and delay > timeout / 2):
                raise
        else:
            return
        time.sleep(delay)
        delay += 0.4 + random.random() / 2
