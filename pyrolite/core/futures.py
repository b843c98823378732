"""Results that arrive later: `FutureResult` of asynchronous calls, and `Future` to run any callable in the background.

No sockets here. The library fills a `FutureResult` from a background thread; programs wait for it, or chain functions
that process the value when it arrives.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily
from pyrolite.core.background import run_in_background

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures as other_futures
else:
    asyncio = lazily.module("asyncio", globals())
    other_futures = lazily.module("concurrent.futures", globals(), "other_futures")

__all__ = ["Future", "FutureResult", "_ExceptionWrapper"]

log: logging.Logger = logging.getLogger("pyrolite.futures")

_EVALUATED: Final = "the future has already been evaluated"

#: A function to call with the value, and its further arguments.
ChainEntry = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class _ExceptionWrapper:
    """An exception that takes the place of a value: in a batch's results, or set in a `FutureResult` ([BAT-9]).

    Its state is the dict ``{"exception": exception}``, also when it is pickled.
    """

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception

    def raiseIt(self) -> None:
        """Raise the exception."""
        try:
            raise self.exception
        finally:
            del self  # as in FutureResult.set_value

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} at 0x{id(self):x}; {self.exception!r}>"


class FutureResult:
    """A value that will be there later ([FUT-1]).

    ``callchain`` holds the functions that wait for the value, ``exceptionhandler`` is the function that is told of a
    failure, ``valueLock`` protects both. In asyncio's coroutines it can be awaited.

    Thread safety: may be shared between threads. Functions of the program run without a lock held, one at a time.
    """

    def __init__(self) -> None:
        self.callchain: list[ChainEntry] = []
        self.exceptionhandler: Callable[[BaseException], Any] | None = None
        # protects all attributes; a leaf lock, never held while a function of the program runs
        self.valueLock: threading.Lock = threading.Lock()
        self._changed = threading.Condition(self.valueLock)
        self._ready = False
        self._value: Any = None
        # the thread that is running functions of the program for this result: only one does at any time
        self._runner: int | None = None
        # made by `as_future`, for as long as the value is not there
        self._others: list[other_futures.Future[Any]] | None = None

    # ---- looking at the value

    @property
    def ready(self) -> bool:
        """Whether the value, or an exception in its place, is there."""
        return self._ready

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the value is there; False when it is not after ``timeout`` seconds (None: wait for ever)."""
        if self._ready:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: self._ready, timeout)

    def get_value(self) -> Any:
        """Wait for the value and return it.

        Raises: the exception that took its place; every time the same object ([FUT-6]).
        """
        self.wait()
        value = self._value
        if isinstance(value, _ExceptionWrapper):
            try:
                value.raiseIt()
            finally:
                del self, value  # as in set_value
        return value

    # ---- setting it

    def set_value(self, value: Any) -> None:
        """Set the value; an `_ExceptionWrapper` makes the result an exception ([FUT-1]).

        The functions added with `then`, or the exception handler, run first, here ([FUT-2], [FUT-8]). An exception of a
        function becomes the result; one that is not an ``Exception``, such as KeyboardInterrupt, is raised as well.

        Raises:
            RuntimeError: called by one of these functions.
        """
        self._take_turn()
        escaped: BaseException | None = None
        told: Callable[[BaseException], Any] | None = None
        try:
            while (task := self._next_task(value, told)) is not None:
                try:
                    if isinstance(task, tuple):
                        value = _call_with(value, task)
                    else:
                        told = task
                        _call_handler(task, value.exception)
                except BaseException as error:
                    if isinstance(task, tuple):
                        value = _ExceptionWrapper(error)
                    if not isinstance(error, Exception):
                        escaped = error
            if self._others is not None:
                self._tell_others()
            if escaped is not None:
                raise escaped
        finally:
            del self, value, escaped  # the traceback refers to this frame: no cycle with the exception

    def _next_task(
        self, value: Any, told: Callable[[BaseException], Any] | None
    ) -> ChainEntry | Callable[[BaseException], Any] | None:
        """What to run before ``value`` can be stored; None when there was nothing more, and it is stored now.

        ``told`` is the exception handler that knows of the failure already.
        """
        with self._changed:
            if isinstance(value, _ExceptionWrapper):
                self.callchain.clear()
                if self.exceptionhandler is not None and self.exceptionhandler is not told:
                    return self.exceptionhandler
            elif self.callchain:
                return self.callchain.pop(0)
            self._value = value
            self._ready = True
            self._runner = None
            self._changed.notify_all()
            return None

    value: property = property(
        get_value, set_value, doc="The value, waited for; raises what took its place. Can be assigned."
    )

    def set_cancelled(self) -> None:
        """Make the result an exception, ``RuntimeError`` ([FUT-7])."""
        self.set_value(_ExceptionWrapper(RuntimeError("future has been cancelled")))

    def _take_turn(self) -> None:
        """Become the thread that runs functions of the program."""
        with self._changed:
            if self._runner == threading.get_ident():
                raise RuntimeError("the value cannot be set by a function that is called with it")
            self._changed.wait_for(lambda: self._runner is None)
            self._runner = threading.get_ident()

    # ---- being told of it

    def then(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> FutureResult:
        """Have the value replaced by ``call(value, *args, **kwargs)``; returns the result itself ([FUT-2], [FUT-4]).

        If the value is there already this happens at once. Nothing is called when an exception took its place.

        Raises: what ``call`` raises at once; the value then stays what it was ([FUT-3]).
        """
        with self._changed:
            if not self._ready or self._runner == threading.get_ident():
                # also from within such a function: it runs after that one, in the same way
                if not self._failed:
                    self.callchain.append((call, args, kwargs))
                return self
        self._take_turn()
        try:
            if not self._failed:
                self._run_chain(self._value, (call, args, kwargs))
        finally:
            with self._changed:
                self._runner = None
                self._changed.notify_all()
        return self

    def _run_chain(self, value: Any, entry: ChainEntry | None) -> None:
        """Replace the value that is there by what the chain, beginning with ``entry``, makes of it."""
        try:
            while entry is not None:
                value = _call_with(value, entry)
                with self._changed:
                    entry = self.callchain.pop(0) if self.callchain else None
        except BaseException:
            with self._changed:
                self.callchain.clear()
            raise
        with self._changed:
            self._value = value

    def iferror(self, exceptionhandler: Callable[[BaseException], Any]) -> FutureResult:
        """Have ``exceptionhandler(exception)`` called if an exception is set; returns the result itself ([FUT-5]).

        If that has happened already it is called at once. Exceptions of the handler are logged.
        """
        with self._changed:
            self.exceptionhandler = exceptionhandler
            failure = self._value if self._failed else None
        if failure is not None:
            _call_handler(exceptionhandler, failure.exception)
        return self

    # ---- as a future of the standard library

    def as_future(self) -> other_futures.Future[Any]:
        """A future of `concurrent.futures` that gets the value, or the exception in its place ([FUT-28]).

        It is for programs that wait for futures of several kinds. Functions that are added with `then` when the value
        is there already, and cancelling the new future, have no effect on the other one of the two.

        Thread safety: may be called from any thread.
        """
        future: other_futures.Future[Any] = other_futures.Future()
        with self._changed:
            if not self._ready:
                self._others = [*(self._others or ()), future]
                return future
        _hand_over(self._value, future)
        return future

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in a coroutine, while others go on: ``value = await proxy.method()`` ([FUT-28])."""
        return asyncio.wrap_future(self.as_future()).__await__()

    def _tell_others(self) -> None:
        with self._changed:
            others, self._others = self._others, None
        for future in others or ():
            _hand_over(self._value, future)

    @property
    def _failed(self) -> bool:
        return self._ready and isinstance(self._value, _ExceptionWrapper)


def _call_with(value: Any, entry: ChainEntry) -> Any:
    call, args, kwargs = entry
    return call(value, *args, **kwargs)


def _hand_over(value: Any, future: other_futures.Future[Any]) -> None:
    """Set a future that may have been cancelled meanwhile."""
    if not future.set_running_or_notify_cancel():
        return
    if not isinstance(value, _ExceptionWrapper):
        future.set_result(value)
    elif isinstance(value.exception, StopIteration):  # would end the coroutine that awaits it, or get lost
        error = RuntimeError("a StopIteration took the place of the value")
        error.__cause__ = value.exception
        future.set_exception(error)
    else:
        future.set_exception(value.exception)


def _call_handler(handler: Callable[[BaseException], Any], error: BaseException) -> None:
    try:
        handler(error)
    except Exception:
        log.warning("error in exception handler %r of a future", handler, exc_info=True)


class Future:
    """A callable that can be started in the background, once, possibly after a delay ([FUT-20]).

    ``chain`` holds the functions added with `then`, ``call_delay`` is the delay in seconds set last, ``cancelled`` and
    ``completed`` tell whether it was cancelled, and whether its evaluation has begun (or never will).

    Thread safety: may be shared between threads.
    """

    def __init__(self, callable: Callable[..., Any]) -> None:  # noqa: A002 - the documented name
        self.callable = callable
        self.chain: list[ChainEntry] = []
        self.exceptionhandler: Callable[[BaseException], Any] | None = None
        self.call_delay: float = 0
        self.cancelled: bool = False
        self.completed: bool = False
        # protects all attributes and is signalled when they change; a leaf lock
        self._changed = threading.Condition(threading.Lock())
        self._result: FutureResult | None = None
        self._start_time = 0.0

    def __call__(self, /, *args: Any, **kwargs: Any) -> FutureResult:
        """Start the callable with these arguments; returns the result-to-be at once.

        If the system cannot start a thread, that ``RuntimeError`` is the result.

        Raises:
            RuntimeError: it was started or cancelled before ([FUT-21]).
        """
        with self._changed:
            if self._result is not None:
                raise RuntimeError(_EVALUATED)
            if self.cancelled:
                raise RuntimeError("the future has been cancelled")
            result = self._result = FutureResult()
            self._start_time = time.monotonic() + self.call_delay
        try:
            run_in_background(functools.partial(self._evaluate, result, args, kwargs), "future")
        except RuntimeError as error:
            with self._changed:
                self.completed = True
            result.set_value(_ExceptionWrapper(error))
        return result

    def _evaluate(self, result: FutureResult, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._wait_for_start():
            return
        value: Any = None
        try:
            value = self.callable(*args, **kwargs)
            for entry in self.chain:
                value = _call_with(value, entry)
        except BaseException as error:  # also those that end a thread: somebody waits for the result
            value = _ExceptionWrapper(error)
            if self.exceptionhandler is not None:
                _call_handler(self.exceptionhandler, error)
        finally:
            result.set_value(value)
            del self, result, value  # as in set_value

    def _wait_for_start(self) -> bool:
        """Wait until the delay is over and begin the evaluation; False when it was cancelled."""
        with self._changed:
            while not self.cancelled:
                remaining = self._start_time - time.monotonic()
                if remaining <= 0:
                    self.completed = True
                    return True
                self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
            return False

    def delay(self, seconds: float) -> bool:
        """Let the evaluation begin ``seconds`` from its start, or from now if it was started ([FUT-23]).

        Returns False, and changes nothing, when it began or was cancelled before.
        """
        with self._changed:
            if self.completed:
                return False
            self.call_delay = seconds
            self._start_time = time.monotonic() + seconds
            self._changed.notify_all()
            return True

    def cancel(self) -> bool:
        """Keep the evaluation from beginning; the result of a started one becomes an exception at once ([FUT-24]).

        Returns False when it began before.
        """
        with self._changed:
            if self.cancelled or self.completed:
                return self.cancelled
            self.cancelled = self.completed = True
            self._changed.notify_all()
        if self._result is not None:
            self._result.set_cancelled()
        return True

    def then(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Have the value replaced by ``call(value, *args, **kwargs)`` before it is set ([FUT-22], [FUT-25]).

        Returns the future itself.

        Raises:
            RuntimeError: the future was started before.
        """
        with self._changed:
            if self._result is not None:
                raise RuntimeError(_EVALUATED)
            self.chain.append((call, args, kwargs))
        return self

    def iferror(self, exceptionhandler: Callable[[BaseException], Any]) -> Future:
        """Have ``exceptionhandler(exception)`` called if the callable or the chain fails; returns the future itself.

        Exceptions of the handler are logged.
        """
        self.exceptionhandler = exceptionhandler
        return self


# where programs know them from; also the name under which they are pickled
for _class in (Future, FutureResult, _ExceptionWrapper):
    _class.__module__ = "pyrolite.futures"
del _class
