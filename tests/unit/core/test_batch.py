"""Batches as the client sees them (chapter 33)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import pyrolite
from pyrolite.core import _BatchedRemoteMethod, _BatchProxyAdapter, asynchronous
from pyrolite.core.context import current_context
from pyrolite.errors import ConnectionClosedError, ProtocolError, PyroError
from pyrolite.futures import FutureResult, _ExceptionWrapper


class Double:
    """What a batch needs of a proxy ([BAT-13]), as test doubles of programs have it."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[Any], bool]] = []
        self.results: Any = []
        self.error: BaseException | None = None

    def _pyroInvokeBatch(self, calls: list[Any], oneway: bool = False) -> Any:
        self.sent.append((list(calls), oneway))
        if self.error is not None:
            raise self.error
        return self.results

    def _pyroBatch(self) -> _BatchProxyAdapter:
        return _BatchProxyAdapter(self)  # type: ignore[arg-type]


@pytest.fixture
def double() -> Double:
    return Double()


@pytest.fixture
def batch(double: Double) -> _BatchProxyAdapter:
    return pyrolite.batch(double)  # type: ignore[arg-type]


def test_recording(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-1]: any name, nothing is sent."""
    assert type(batch) is _BatchProxyAdapter
    assert batch.add(1, 2) is None
    assert batch.any.dotted.name(k=3) is None
    assert batch._pyroRelease("x") is None
    assert isinstance(batch.add, _BatchedRemoteMethod)
    assert double.sent == []
    batch()
    assert double.sent == [
        ([("add", (1, 2), {}), ("any.dotted.name", (), {"k": 3}), ("_pyroRelease", ("x",), {})], False)
    ]


def test_a_batch_of_a_proxy() -> None:
    """[BAT-1]"""
    proxy = pyrolite.Proxy("PYRO:x@h:1")
    assert isinstance(proxy._pyroBatch(), _BatchProxyAdapter)
    assert isinstance(pyrolite.batch(proxy), _BatchProxyAdapter)
    assert proxy._pyroConnection is None


def test_keyword_names(double: Double, batch: _BatchProxyAdapter) -> None:
    """[PRX-23]: no name is taken."""
    batch.add(self=1, name=2, calls=3)
    batch()
    assert double.sent[0][0] == [("add", (), {"self": 1, "name": 2, "calls": 3})]


def test_results(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-2], [BAT-3]: a generator; the request is made when the batch is called."""
    double.results = [1, 2]
    batch.a()
    batch.b()
    results = batch()
    assert len(double.sent) == 1
    assert iter(results) is results
    assert (next(results), next(results)) == (1, 2)
    with pytest.raises(StopIteration):
        next(results)
    assert len(double.sent) == 1


def test_empty(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-2]: still one request."""
    assert list(batch()) == []
    assert double.sent == [([], False)]


def test_exception(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-3]: raised at its place; then the results are exhausted."""
    error = ZeroDivisionError("x")
    double.results = [1, _ExceptionWrapper(error)]
    results = batch()
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError) as raised:
        next(results)
    assert raised.value is error
    with pytest.raises(StopIteration):
        next(results)


def test_stop_iteration(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-3]: a generator cannot raise that one; it must not be taken for the end of the results either."""
    double.results = [_ExceptionWrapper(StopIteration("x")), 2]
    with pytest.raises(RuntimeError):
        list(batch())


def test_oneway(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-4]"""
    batch.a()
    assert batch(oneway=True) is None
    assert double.sent == [([("a", (), {})], True)]
    with pytest.raises(PyroError, match="^async oneway calls make no sense$"):
        batch(oneway=True, asynchronous=True)


def test_reuse(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-5]: empty after a success; kept after a failure."""
    batch.a()
    batch()
    batch.b()
    double.error = ConnectionClosedError("gone")
    with pytest.raises(ConnectionClosedError):
        batch()
    double.error = None
    batch.c()
    batch()
    assert [[name for name, _, _ in calls] for calls, _ in double.sent] == [["a"], ["b"], ["b", "c"]]


def test_copy(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-7]"""
    batch.a()
    other = copy.copy(batch)
    assert type(other) is _BatchProxyAdapter
    other.b()
    batch()
    other()
    assert [[name for name, _, _ in calls] for calls, _ in double.sent] == [["a"], ["a", "b"]]


def test_context_manager(double: Double, batch: _BatchProxyAdapter) -> None:
    """[BAT-7]: does nothing."""
    with batch as entered:
        assert entered is batch
        entered.a()
    assert double.sent == []


def test_asynchronous(double: Double, batch: _BatchProxyAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """[BAT-6], [ASY-8], [ASY-9], [CTX-7]: over the same proxy, emptied at once, with the caller's context."""
    tasks: list[Any] = []
    monkeypatch.setattr(asynchronous, "run_in_background", lambda task, name: tasks.append(task))
    double.results = [1, _ExceptionWrapper(ValueError("x"))]
    batch.a()
    current_context.annotations = {"USER": b"1"}
    future = batch(asynchronous=True)
    assert isinstance(future, FutureResult)
    assert not future.ready
    assert current_context.annotations == {}
    batch.b()
    seen: list[Any] = []
    original = double._pyroInvokeBatch

    def invoke(calls: list[Any], oneway: bool = False) -> Any:
        seen.append(dict(current_context.annotations))
        return original(calls, oneway)

    double._pyroInvokeBatch = invoke  # type: ignore[method-assign]
    before = current_context._state
    tasks[0]()
    current_context._state = before
    assert seen == [{"USER": b"1"}]
    assert double.sent == [([("a", (), {})], False)]
    results = future.value
    assert next(results) == 1
    with pytest.raises(ValueError):
        next(results)
    batch()
    assert double.sent[1] == ([("b", (), {})], False)


@pytest.mark.parametrize("error", [ConnectionClosedError("x"), SystemExit(1)])
def test_failing_asynchronous(
    double: Double, batch: _BatchProxyAdapter, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """[ASY-8], [ASY-11]"""
    monkeypatch.setattr(asynchronous, "run_in_background", lambda task, name: task())
    double.error = error
    future = batch(asynchronous=True)
    assert future.ready
    with pytest.raises(type(error)):
        future.value


def test_answer_that_is_no_list(double: Double, batch: _BatchProxyAdapter) -> None:
    """[HRD-3]"""
    double.results = 17
    with pytest.raises(ProtocolError):
        batch()


def test_python_protocols(batch: _BatchProxyAdapter) -> None:
    """[BAT-1]: names of Python's own protocols are no recorded calls."""
    with pytest.raises(AttributeError):
        batch.__deepcopy_me__
    with pytest.raises(TypeError):
        len(batch)  # type: ignore[arg-type]
    assert not hasattr(_BatchProxyAdapter.__new__(_BatchProxyAdapter), "anything")


def test_method_objects() -> None:
    """[OV-15]"""
    calls: list[Any] = []
    _BatchedRemoteMethod(calls, "name")(1)
    assert calls == [("name", (1,), {})]
