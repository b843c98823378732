"""Streams whose items come in batches ([BYD-57])."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.testing import running_daemon


@pyrolite.expose
class Source:
    """Counts how far its generators have run."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = threading.Event()

    def count(self, number: int) -> Iterator[int]:
        try:
            for value in range(number):
                self.made += 1
                yield value
        finally:
            self.closed.set()

    def break_after(self, number: int) -> Iterator[int]:
        yield from range(number)
        raise ValueError("broken")


@pytest.fixture(params=["thread", "multiplex"])
def source(request: pytest.FixtureRequest) -> Iterator[tuple[Source, Any]]:
    """The object, and a proxy of it that fetches 10 items at once."""
    thing = Source()
    with (
        running_daemon({"source": thing}, servertype=request.param) as running,
        pyrolite.Proxy(running.uris["source"]) as proxy,
    ):
        proxy._pyroStreamPrefetch = 10
        yield thing, proxy


@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 35])
def test_all_items_in_order(source: tuple[Source, Any], number: int) -> None:
    """[BYD-57], [PRX-52]: also when the end is at the edge of a batch; the end is the end."""
    iterator = source[1].count(number)
    assert list(iterator) == list(range(number))
    assert iterator.proxy is None
    with pytest.raises(StopIteration):
        next(iterator)


def test_the_generator_runs_ahead(source: tuple[Source, Any]) -> None:
    """[BYD-57]: that is why it is not the default."""
    thing, proxy = source
    assert next(proxy.count(100)) == 0
    assert thing.made == 10
    thing.made = 0
    proxy._pyroStreamPrefetch = 1
    assert next(proxy.count(100)) == 0
    assert thing.made == 1


def test_exception_at_its_place(source: tuple[Source, Any]) -> None:
    """[BYD-57], [PRX-52]: what came before it is delivered; afterwards the stream is gone."""
    iterator = source[1].break_after(13)
    for value in range(13):
        assert next(iterator) == value
    with pytest.raises(ValueError, match="broken"):
        next(iterator)
    with pytest.raises(pyrolite.errors.PyroError, match="item stream terminated"):
        next(iterator)


def test_early_close(source: tuple[Source, Any]) -> None:
    """[BYD-57], [PRX-53]: items that were fetched ahead are forgotten, the server closes its generator."""
    thing, proxy = source
    iterator = proxy.count(100)
    assert [next(iterator), next(iterator)] == [0, 1]
    iterator.close()
    assert thing.closed.wait(10)
    with pytest.raises(StopIteration):
        next(iterator)


def test_configured(pyro_config: Any) -> None:
    """[BYD-57], [CFG-11]: the default of new proxies, kept by copies."""
    assert pyrolite.Proxy("PYRO:x@localhost:1")._pyroStreamPrefetch == 1
    pyro_config.ITER_STREAM_PREFETCH = 7
    proxy = pyrolite.Proxy("PYRO:x@localhost:1")
    assert proxy._pyroStreamPrefetch == 7
    proxy._pyroStreamPrefetch = 3
    assert proxy.__copy__()._pyroStreamPrefetch == 3
