"""Several calls in one request (chapter 33, BAT)."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from pyrolite.core.asynchronous import perform_later
from pyrolite.core.futures import _ExceptionWrapper
from pyrolite.errors import ProtocolError, PyroError

if TYPE_CHECKING:
    from pyrolite.core.futures import FutureResult
    from pyrolite.core.proxy import Proxy

__all__ = ["_BatchProxyAdapter", "_BatchedRemoteMethod", "batch"]

#: A recorded call: method name, positional and keyword arguments.
_Call: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]


def batch(proxy: Proxy) -> _BatchProxyAdapter:
    """Record calls on the result, then call it to make them all with one request ([BAT-1], [BAT-2])."""
    return proxy._pyroBatch()


class _BatchedRemoteMethod:
    """Records the calls of one method."""

    __slots__ = ("_calls", "_name")

    def __init__(self, calls: list[_Call], name: str) -> None:
        self._calls = calls
        self._name = name

    def __getattr__(self, name: str) -> _BatchedRemoteMethod:
        return type(self)(self._calls, f"{self._name}.{name}")

    def __call__(self, /, *args: Any, **kwargs: Any) -> None:
        self._calls.append((self._name, args, kwargs))


class _BatchProxyAdapter:
    """The calls recorded for one proxy.

    Thread safety: none; a batch is made by one thread.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._pyroBatchProxy = proxy
        self._pyroBatchCalls: list[_Call]
        self._begin()

    def _begin(self) -> None:
        """Begin with an empty batch; the methods that were looked up belong to the one before."""
        self.__dict__ = {"_pyroBatchProxy": self._pyroBatchProxy, "_pyroBatchCalls": []}

    def __getattr__(self, name: str) -> _BatchedRemoteMethod:
        if name.startswith("__") or "_pyroBatchCalls" not in self.__dict__:  # Python's own protocols: copy, pickle
            raise AttributeError(name)
        method = _BatchedRemoteMethod(self._pyroBatchCalls, name)
        if not name.startswith("_pyro"):
            self.__dict__[name] = method  # a batch often has many calls of it
        return method

    def __call__(self, oneway: bool = False, asynchronous: bool = False) -> Any:
        """Make the recorded calls.

        Returns a generator over the results, which raises the exception of a failed call at its place; None with
        ``oneway``; a `FutureResult` for the generator with ``asynchronous``.

        Raises:
            PyroError: both oneway and asynchronous.
            Exception: as a call of the proxy; the recorded calls are kept then.
        """
        if asynchronous:
            if oneway:
                raise PyroError("async oneway calls make no sense")
            return self._call_later()
        results = self._pyroBatchProxy._pyroInvokeBatch(self._pyroBatchCalls, oneway)
        self._begin()
        return None if oneway else _results(results)

    def _call_later(self) -> FutureResult:
        """Make the calls in the background, over the proxy itself ([ASY-8])."""
        calls = self._pyroBatchCalls
        self._begin()
        return perform_later(lambda: _results(self._pyroBatchProxy._pyroInvokeBatch(calls)), "async-batch")

    def __enter__(self) -> _BatchProxyAdapter:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing happens here: the calls are made by calling the adapter ([BAT-7])."""

    def __copy__(self) -> _BatchProxyAdapter:
        other = type(self)(self._pyroBatchProxy)
        other._pyroBatchCalls = list(self._pyroBatchCalls)
        return other


def _results(results: Any) -> Iterator[Any]:
    """The results one by one; a wrapped exception is raised at its place ([BAT-3])."""
    if not isinstance(results, (list, tuple)):
        raise ProtocolError("the answer to a batch is no list")
    return _each_result(results)


def _each_result(results: Any) -> Iterator[Any]:
    for result in results:
        if isinstance(result, _ExceptionWrapper):
            result.raiseIt()
        yield result
