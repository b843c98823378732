"""Future, FutureResult and _ExceptionWrapper (chapter 33)."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pyrolite.futures
from pyrolite.core import background
from pyrolite.core import futures as core_futures
from pyrolite.futures import Future, FutureResult, _ExceptionWrapper

#: Seconds that nothing here needs, unless something is broken.
LONG = 20.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened after the test in any case, so that no thread waits for it for ever."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """Background tasks are collected here instead of being run."""
    tasks: list[Callable[[], Any]] = []
    monkeypatch.setattr(core_futures, "run_in_background", lambda task, name: tasks.append(task))
    return tasks


def failed(error: BaseException) -> FutureResult:
    result = FutureResult()
    result.value = _ExceptionWrapper(error)
    return result


def done(value: Any) -> FutureResult:
    result = FutureResult()
    result.value = value
    return result


class TestModule:
    def test_names(self) -> None:
        """[OV-26]"""
        assert pyrolite.futures.__all__ == ["Future", "FutureResult", "_ExceptionWrapper"]
        for cls in (Future, FutureResult, _ExceptionWrapper):
            assert cls.__module__ == "pyrolite.futures"

    def test_wrapper(self) -> None:
        """[BAT-9]"""
        error = ValueError("x")
        wrapper = _ExceptionWrapper(error)
        assert wrapper.exception is error
        assert vars(wrapper) == {"exception": error}
        with pytest.raises(ValueError, match="x") as caught:
            wrapper.raiseIt()
        assert caught.value is error
        assert "ValueError('x')" in repr(wrapper)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_wrapper_pickles(self, protocol: int) -> None:
        """[BAT-9], [SER-54]: the state is the exception alone."""
        copy = pickle.loads(pickle.dumps(_ExceptionWrapper(ZeroDivisionError("d")), protocol))
        assert type(copy) is _ExceptionWrapper
        assert list(vars(copy)) == ["exception"]
        assert type(copy.exception) is ZeroDivisionError
        assert copy.exception.args == ("d",)


class TestResultValue:
    def test_set(self) -> None:
        """[FUT-1]"""
        result = FutureResult()
        assert result.ready is False
        assert result.wait(0) is False
        assert result.wait(0.001) is False
        result.value = 42
        assert result.ready is True
        assert result.wait(0) is True
        assert result.wait() is True
        assert result.value == 42
        assert result.get_value() == 42

    def test_set_value_method_and_again(self) -> None:
        """[FUT-1]: the last one that was set counts (measured)."""
        result = FutureResult()
        result.set_value(1)
        assert result.value == 1
        result.set_value(_ExceptionWrapper(KeyError(2)))
        with pytest.raises(KeyError):
            _ = result.value
        result.value = 3
        assert result.value == 3

    def test_ready_cannot_be_set(self) -> None:
        """[FUT-1]"""
        with pytest.raises(AttributeError):
            FutureResult().ready = True  # type: ignore[misc]

    def test_waiting_threads_wake_up(self) -> None:
        """[FUT-1]"""
        result = FutureResult()
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(result.wait, LONG) for _ in range(2)]
            reading = [pool.submit(result.get_value) for _ in range(2)]
            result.value = "here"
            assert [future.result(LONG) for future in waiting] == [True, True]
            assert [future.result(LONG) for future in reading] == ["here", "here"]

    def test_exception_is_silent_until_read(self) -> None:
        """[FUT-6]: and then it is always the same object."""
        error = LookupError("gone")
        result = failed(error)
        assert result.ready
        assert result.wait(0) is True
        for _ in range(3):
            with pytest.raises(LookupError) as caught:
                _ = result.value
            assert caught.value is error

    def test_cancelled(self) -> None:
        """[FUT-7]"""
        result = FutureResult()
        result.set_cancelled()
        with pytest.raises(RuntimeError, match=r"^future has been cancelled$"):
            _ = result.value

    def test_visible_attributes(self) -> None:
        """[FUT-9]"""
        result = FutureResult()
        assert result.callchain == []
        assert result.exceptionhandler is None
        result.then(print, 1, end="")
        assert result.callchain == [(print, (1,), {"end": ""})]
        result.iferror(print)
        assert result.exceptionhandler is print
        with result.valueLock:
            assert not result.ready

    def test_exception_result_is_freed_without_collector(self) -> None:
        """[HRD-44]: neither setting nor reading leaves a cycle of exception, traceback and frame."""

        class Failure(Exception):
            pass

        def chain_that_fails(value: Any) -> None:
            raise Failure

        gc.collect()
        gc.disable()
        try:
            result = FutureResult().then(chain_that_fails)
            result.value = 1
            try:
                _ = result.value
            except Failure as error:
                reference = weakref.ref(error)
            del result
            assert reference() is None
        finally:
            gc.enable()


class TestResultThen:
    def test_before(self) -> None:
        """[FUT-2]: one after the other, with further arguments."""
        result = FutureResult()
        assert result.then(lambda v, a, b=0: v + a + b, 10, b=100) is result
        assert result.then(str).then(lambda v: v + "!") is result
        result.value = 1
        assert result.value == "111!"
        assert result.callchain == []

    def test_after(self) -> None:
        """[FUT-2]: at once, in the calling thread."""
        threads = []

        def square(value: int) -> int:
            threads.append(threading.current_thread())
            return value * value

        result = done(3)
        assert result.then(square) is result
        assert threads == [threading.current_thread()]
        assert result.value == 9

    def test_argument_names_are_free(self) -> None:
        """[FUT-2]: any keyword reaches the function."""
        result = FutureResult().then(lambda v, **kw: (v, kw), self=1, call=2, args=3)
        result.value = 0
        assert result.value == (0, {"self": 1, "call": 2, "args": 3})

    def test_runs_in_the_thread_that_sets(self) -> None:
        """[FUT-2]"""
        result = FutureResult().then(lambda _: threading.get_ident())
        with ThreadPoolExecutor(1) as pool:
            ident = pool.submit(threading.get_ident).result(LONG)
            pool.submit(result.set_value, 1).result(LONG)
        assert result.value == ident != threading.get_ident()

    def test_exception_in_chain(self) -> None:
        """[FUT-3]: the rest is skipped."""
        called: list[Any] = []
        result = FutureResult().then(lambda v: v / 0).then(called.append)
        result.value = 1
        assert result.ready
        with pytest.raises(ZeroDivisionError):
            _ = result.value
        assert called == []

    def test_exception_in_immediate_call(self) -> None:
        """[FUT-3]: raised by ``then``; the old value stays (measured)."""
        result = done(5)
        with pytest.raises(ZeroDivisionError):
            result.then(lambda v: v / 0)
        assert result.value == 5
        assert result.then(lambda v: v + 1).value == 6

    def test_failed_results_call_nothing(self) -> None:
        """[FUT-4]"""
        called: list[Any] = []
        result = failed(ValueError(1))
        assert result.then(called.append) is result
        assert called == []
        with pytest.raises(ValueError, match="1"):
            _ = result.value
        pending = FutureResult().then(called.append)
        pending.value = _ExceptionWrapper(ValueError(2))
        assert called == []

    def test_base_exception_completes_the_result(self) -> None:
        """[ASY-11]: nobody waits for ever, and Ctrl-C in a chain is not swallowed."""

        def interrupted(value: Any) -> None:
            raise KeyboardInterrupt

        result = FutureResult().then(interrupted)
        with pytest.raises(KeyboardInterrupt):
            result.value = 1
        assert result.ready
        with pytest.raises(KeyboardInterrupt):
            _ = result.value


class TestResultIfError:
    def test_called_with_the_exception(self) -> None:
        """[FUT-5]: once, before the result is ready."""
        seen: list[tuple[BaseException, bool]] = []
        result = FutureResult()
        assert result.iferror(lambda error: seen.append((error, result.ready))) is result
        error = ValueError("x")
        result.value = _ExceptionWrapper(error)
        assert seen == [(error, False)]
        assert result.ready
        with pytest.raises(ValueError, match="x"):
            _ = result.value
        assert len(seen) == 1

    def test_not_called_for_values(self) -> None:
        """[FUT-5]"""
        seen: list[BaseException] = []
        result = FutureResult().iferror(seen.append)
        result.value = 1
        assert seen == []
        assert done(1).iferror(seen.append).value == 1
        assert seen == []

    def test_called_for_the_chain(self) -> None:
        """[FUT-5], [FUT-3]"""
        seen: list[BaseException] = []
        result = FutureResult().then(lambda v: v / 0).iferror(seen.append)
        result.value = 1
        assert [type(error) for error in seen] == [ZeroDivisionError]

    def test_called_for_cancellation(self) -> None:
        """[FUT-5], [FUT-7]"""
        seen: list[BaseException] = []
        FutureResult().iferror(seen.append).set_cancelled()
        assert [str(error) for error in seen] == ["future has been cancelled"]

    def test_too_late(self) -> None:
        """[FUT-5]: called immediately."""
        error, seen = ValueError("x"), []
        result = failed(error)
        assert result.iferror(seen.append) is result
        assert seen == [error]

    @pytest.mark.parametrize("late", [False, True])
    def test_errors_of_the_handler(self, late: bool, caplog: pytest.LogCaptureFixture) -> None:
        """[FUT-5]: logged; the result becomes ready."""

        def handler(error: BaseException) -> None:
            raise RuntimeError("handler is broken")

        result = FutureResult()
        with caplog.at_level(logging.WARNING, "pyrolite.futures"):
            if not late:
                result.iferror(handler)
            result.value = _ExceptionWrapper(ValueError("original"))
            if late:
                result.iferror(handler)
        assert result.ready
        with pytest.raises(ValueError, match="original"):
            _ = result.value
        (record,) = caplog.records
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == "handler is broken"

    def test_replaced_while_the_first_one_runs(self) -> None:
        """[FUT-5], [FUT-8]"""
        seen: list[str] = []
        result = FutureResult()

        def first(error: BaseException) -> None:
            seen.append("first")
            result.iferror(lambda _: seen.append("second"))

        result.iferror(first)
        result.value = _ExceptionWrapper(ValueError())
        assert seen == ["first", "second"]


class TestResultThreads:
    def test_ready_after_the_chain(self, gate: threading.Event) -> None:
        """[FUT-8]"""
        inside = threading.Event()

        def slow(value: int) -> int:
            inside.set()
            gate.wait(LONG)
            return value + 1

        result = FutureResult().then(slow)
        with ThreadPoolExecutor(1) as pool:
            setting = pool.submit(result.set_value, 1)
            assert inside.wait(LONG)
            assert not result.ready
            assert result.wait(0) is False
            result.then(lambda v: v * 10)  # added while the chain runs
            gate.set()
            setting.result(LONG)
        assert result.value == 20

    def test_chain_may_use_its_result(self) -> None:
        """[FUT-8]: no lock is held over the program's functions."""
        seen: list[Any] = []
        result = FutureResult()

        def curious(value: int) -> int:
            seen.extend([result.ready, result.wait(0), result.valueLock.locked()])
            result.then(lambda v: v + 1)
            return value * 10

        result.then(curious)
        result.value = 1
        assert seen == [False, False, False]
        assert result.value == 11

    def test_immediate_call_may_use_its_result(self) -> None:
        """[FUT-8]: what it adds runs after it."""
        result = done(1)

        def curious(value: int) -> int:
            assert result.ready
            assert result.value == 1
            assert result.then(lambda v: v + 1) is result
            return value * 10

        result.then(curious)
        assert result.value == 11

    def test_failing_immediate_call_drops_what_it_added(self) -> None:
        """[FUT-3], [FUT-8]"""
        result = done(1)

        def broken(value: int) -> None:
            result.then(lambda v: v + 1)
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            result.then(broken)
        assert result.value == 1
        assert result.callchain == []
        assert result.then(lambda v: v + 5).value == 6

    def test_setting_from_within_the_chain(self) -> None:
        """[FUT-8]: an error, not a deadlock."""
        result = FutureResult()
        result.then(lambda _: result.set_value(2))
        result.value = 1
        with pytest.raises(RuntimeError, match="cannot be set by a function"):
            _ = result.value

    @pytest.mark.parametrize("first", ["before", "after"])
    def test_then_from_many_threads(self, first: str) -> None:
        """[FUT-8]: no call is lost."""
        result = FutureResult()
        if first == "after":
            result.value = 0

        def add() -> None:
            for _ in range(100):
                result.then(lambda value: value + 1)

        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(add) for _ in range(4)]
            if first == "before":
                result.value = 0
            for future in futures:
                future.result(LONG)
        assert result.value == 400

    def test_then_waits_for_a_running_immediate_call(self, gate: threading.Event) -> None:
        """[FUT-8]: no update is lost, and readers are not held up."""
        inside = threading.Event()
        result = done(1)

        def slow(value: int) -> int:
            inside.set()
            gate.wait(LONG)
            return value + 1

        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(result.then, slow)
            assert inside.wait(LONG)
            two = pool.submit(result.then, lambda v: v * 10)
            assert result.value == 1
            gate.set()
            one.result(LONG)
            two.result(LONG)
        assert result.value == 20


class TestFuture:
    def test_runs_in_the_background(self) -> None:
        """[FUT-20]"""

        def work(a: int, b: int = 0) -> tuple[int, bool, int]:
            return a + b, threading.current_thread().daemon, threading.get_ident()

        result = Future(work)(1, b=2)
        assert isinstance(result, FutureResult)
        total, daemonic, ident = result.value
        assert total == 3
        assert daemonic
        assert ident != threading.get_ident()

    def test_argument_names_are_free(self) -> None:
        """[FUT-20]"""
        assert Future(lambda **kw: kw)(self=1, callable=2).value == {"self": 1, "callable": 2}

    def test_returns_at_once(self, gate: threading.Event) -> None:
        """[FUT-20]"""
        result = Future(gate.wait)(LONG)
        assert not result.ready
        gate.set()
        assert result.value is True

    def test_only_once(self) -> None:
        """[FUT-21]"""
        future = Future(int)
        assert future().value == 0
        with pytest.raises(RuntimeError, match=r"^the future has already been evaluated$"):
            future()

    def test_cancelled_before_start(self) -> None:
        """[FUT-21], [FUT-24]"""
        future = Future(int)
        assert future.cancel() is True
        assert future.cancelled
        with pytest.raises(RuntimeError, match=r"^the future has been cancelled$"):
            future()
        assert future.cancel() is True
        assert future.delay(1) is False

    def test_then(self) -> None:
        """[FUT-22], [FUT-25]"""
        future = Future(lambda x: x)
        assert future.then(lambda v, a: v + a, 10) is future
        assert future.then(str) is future
        assert len(future.chain) == 2
        assert future(1).value == "11"

    def test_chain_runs_in_the_background_before_the_results_own(self) -> None:
        """[FUT-25]"""
        threads: list[int] = []
        release = threading.Event()
        future = Future(release.wait)
        future.then(lambda _: threads.append(threading.get_ident()))
        result = future(LONG).then(lambda _: threads.append(threading.get_ident()))
        release.set()
        result.wait()
        assert len(threads) == 2
        assert threads[0] == threads[1] != threading.get_ident()

    def test_then_after_start(self) -> None:
        """[FUT-22]"""
        future = Future(int)
        future().wait()
        with pytest.raises(RuntimeError, match=r"^the future has already been evaluated$"):
            future.then(str)

    @pytest.mark.parametrize("in_chain", [False, True])
    def test_iferror(self, in_chain: bool) -> None:
        """[FUT-22], [FUT-25]: the handler runs before the result becomes ready; the result's own one too."""
        seen: list[Any] = []
        results: list[FutureResult] = []
        started = threading.Event()

        def fail(value: Any = None) -> None:
            started.wait(LONG)
            raise ZeroDivisionError("x")

        future = Future(int).then(fail) if in_chain else Future(fail)
        assert future.iferror(lambda error: seen.append((type(error), results[0].ready))) is future
        assert future.exceptionhandler is not None
        results.append(future())
        results[0].iferror(lambda error: seen.append(type(error)))
        started.set()
        with pytest.raises(ZeroDivisionError):
            _ = results[0].value
        assert seen == [(ZeroDivisionError, False), ZeroDivisionError]

    def test_failing_handler(self, caplog: pytest.LogCaptureFixture) -> None:
        """[FUT-25], [FUT-5]"""

        def handler(error: BaseException) -> None:
            raise RuntimeError("handler is broken")

        with caplog.at_level(logging.WARNING, "pyrolite.futures"):
            result = Future(lambda: 1 / 0).iferror(handler)()
            with pytest.raises(ZeroDivisionError):
                _ = result.value
        assert "error in exception handler" in caplog.text

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
    @pytest.mark.parametrize("where", ["callable", "chain", "handler", "result chain"])
    def test_base_exceptions(self, kind: type[BaseException], where: str, caplog: pytest.LogCaptureFixture) -> None:
        """[FUT-27], [ASY-11]: the result is completed, always."""

        def end(value: Any = None) -> None:
            raise kind

        if where == "callable":
            future = Future(end)
        elif where == "handler":
            future = Future(lambda: 1 / 0).iferror(end)
        else:
            future = Future(int)
        if where == "chain":
            future.then(end)
        gate = threading.Event()
        original = future.callable
        future.callable = lambda: (gate.wait(LONG), original())[1]
        result = future()
        if where == "result chain":
            result.then(end)
        gate.set()
        assert result.wait(LONG)
        with pytest.raises(ZeroDivisionError if where == "handler" else kind):
            _ = result.value

    def test_attributes(self, gate: threading.Event) -> None:
        """[FUT-26]: ``completed`` is set when the evaluation begins (measured)."""
        during: list[bool] = []
        started = threading.Event()

        def work() -> None:
            during.append(future.completed)
            started.set()
            gate.wait(LONG)

        future = Future(work)
        assert future.callable is work
        assert future.chain == []
        assert future.exceptionhandler is None
        assert future.call_delay == 0
        assert not future.cancelled
        assert not future.completed
        result = future()
        assert started.wait(LONG)
        assert during == [True]
        assert future.cancel() is False
        assert future.delay(3) is False
        assert future.call_delay == 0
        assert not future.cancelled
        gate.set()
        result.wait()
        assert future.completed
        assert future.cancel() is False

    def test_no_thread_available(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[ASY-11]: the result tells."""

        def fail(task: Any, name: str) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(core_futures, "run_in_background", fail)
        result = Future(int)()
        assert result.ready
        with pytest.raises(RuntimeError, match="can't start new thread"):
            _ = result.value

    def test_failed_future_is_freed_without_collector(self, no_threads: list[Callable[[], Any]]) -> None:
        """[HRD-44]"""

        class Failure(Exception):
            pass

        def fail() -> None:
            raise Failure

        gc.collect()
        gc.disable()
        try:
            result = Future(fail)()
            no_threads.pop()()
            try:
                _ = result.value
            except Failure as error:
                reference = weakref.ref(error)
            del result
            assert reference() is None
        finally:
            gc.enable()


class TestFutureDelay:
    def test_delay_before_start(self, no_threads: list[Callable[[], Any]]) -> None:
        """[FUT-23]"""
        future = Future(int)
        assert future.delay(3600) is True
        assert future.call_delay == 3600
        assert future.delay(0) is True
        result = future()
        no_threads.pop()()
        assert result.value == 0

    def test_delay_postpones(self) -> None:
        """[FUT-23]"""
        future = Future(int)
        future.delay(0.05)
        result = future()
        assert not result.ready
        assert result.wait(LONG)

    def test_shortened_while_delayed(self) -> None:
        """[FUT-23]: at once."""
        future = Future(int)
        future.delay(3600)
        result = future()
        assert result.wait(0.02) is False
        assert future.delay(0) is True
        assert result.wait(LONG)
        assert future.delay(1) is False

    def test_prolonged_while_delayed(self) -> None:
        """[FUT-23]"""
        future = Future(int)
        future.delay(LONG)
        result = future()
        assert future.delay(3600) is True
        assert future.delay(float("inf")) is True
        assert not result.ready
        assert future.delay(-1) is True
        assert result.wait(LONG)

    def test_cancelled_while_delayed(self) -> None:
        """[FUT-24]: the result knows at once; its handler is called, the future's is not (measured)."""
        seen: list[str] = []
        ended = threading.Event()
        future = Future(int).iferror(lambda _: seen.append("future"))
        future.delay(3600)
        result = future().iferror(lambda _: seen.append("result"))
        assert future.cancel() is True
        assert result.ready
        with pytest.raises(RuntimeError, match=r"^future has been cancelled$"):
            _ = result.value
        assert seen == ["result"]
        assert future.cancelled
        assert future.delay(1) is False
        with pytest.raises(RuntimeError, match="already been evaluated"):
            future()
        background.run_in_background(ended.set)
        assert ended.wait(LONG)

    def test_cancelled_between_start_and_thread(self, no_threads: list[Callable[[], Any]]) -> None:
        """[FUT-24]: the callable is not called."""
        called: list[Any] = []
        future = Future(lambda: called.append(1))
        result = future()
        assert future.cancel() is True
        no_threads.pop()()
        assert called == []
        with pytest.raises(RuntimeError, match="cancelled"):
            _ = result.value


class TestOtherFutures:
    """[FUT-28]: futures of the standard library, and coroutines."""

    def test_value_that_comes_later(self) -> None:
        result = FutureResult()
        futures = [result.as_future() for _ in range(3)]
        assert not any(future.done() for future in futures)
        result.then(lambda value: value + 1)
        result.value = 41
        assert [future.result(LONG) for future in futures] == [42] * 3
        assert result.as_future().result(0) == 42

    def test_exceptions(self) -> None:
        error = ValueError("broken")
        result = FutureResult()
        future = result.as_future()
        result.value = _ExceptionWrapper(error)
        assert future.exception(LONG) is result.as_future().exception(0) is error
        stopped = failed(StopIteration("end")).as_future().exception(0)
        assert isinstance(stopped, RuntimeError)
        assert isinstance(stopped.__cause__, StopIteration)

    def test_what_ends_a_thread_is_handed_over_as_well(self) -> None:
        result = FutureResult()
        future = result.as_future()

        def end(value: Any) -> None:
            raise KeyboardInterrupt

        result.then(end)
        with pytest.raises(KeyboardInterrupt):
            result.value = 1
        assert isinstance(future.exception(LONG), KeyboardInterrupt)

    def test_cancelled_ones_are_left_out(self) -> None:
        result = FutureResult()
        cancelled, kept = result.as_future(), result.as_future()
        assert cancelled.cancel()
        result.value = 1
        assert (kept.result(LONG), result.value, cancelled.cancelled()) == (1, 1, True)

    def test_awaiting(self) -> None:
        async def main() -> list[Any]:
            first, second = Future(str.upper)("a"), Future(str.upper)("b")

            async def both() -> list[Any]:
                return [await first, await second]

            values = await asyncio.gather(both(), both())
            with pytest.raises(ZeroDivisionError):
                await Future(lambda: 1 / 0)()
            with pytest.raises(RuntimeError):
                await Future(next)(iter(()))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(_awaited(FutureResult()), 0.01)
            return [*values, await done(3), await done(None)]

        async def _awaited(result: FutureResult) -> Any:
            return await result

        assert asyncio.run(main()) == [["A", "B"], ["A", "B"], 3, None]

    def test_nothing_is_loaded_for_it(self, run_python: Any) -> None:
        """[BYD-60]"""
        code = (
            "import sys, pyrolite; pyrolite.Future(len)('x').value; print({'asyncio', 'concurrent'} & set(sys.modules))"
        )
        assert run_python(code).stdout == "set()\n"
