"""Typed proxies of real objects ([BYD-31])."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.errors import PyroError


class Counting(Protocol):
    def add(self, number: int) -> int: ...

    @property
    def total(self) -> int: ...


class Resetting(Counting, Protocol):
    def reset(self) -> None: ...


@pyrolite.expose
class Counter:
    def __init__(self) -> None:
        self._total = 0

    @property
    def total(self) -> int:
        return self._total

    def add(self, number: int) -> int:
        self._total += number
        return self._total


Serve = Callable[..., pyrolite.Proxy]
REFUSED = "is not what Resetting promises: 'reset' is missing$"


def test_checked_when_it_connects(pyro_leakcheck: None, pyro_serve: Serve) -> None:
    """[BYD-31]: not before, and at each time; the connection that found out is closed."""
    uri = pyro_serve(Counter())._pyroUri
    with pyrolite.Proxy(uri) as proxy:
        counter = pyrolite.typed(Counting, proxy)
        assert (counter.add(3), counter.total) == (3, 3)
    with pyrolite.Proxy(uri) as proxy:
        resetting = pyrolite.typed(Resetting, proxy)
        for _ in range(2):
            with pytest.raises(PyroError, match=REFUSED):
                resetting.add(1)
            assert proxy._pyroConnection is None
    with pytest.raises(PyroError, match=REFUSED):
        pyrolite.typed(Resetting, pyrolite.Proxy(uri))._pyroBind()  # type: ignore[attr-defined]


def test_checked_at_once(pyro_leakcheck: None, pyro_serve: Serve) -> None:
    """[BYD-31]: on demand, and when it is connected already."""
    proxy = pyro_serve(Counter())
    with pytest.raises(PyroError, match=REFUSED):
        pyrolite.typed(Resetting, proxy)
    assert pyrolite.typed(Counting, proxy).add(4) == 4
    with pytest.raises(PyroError, match=REFUSED):
        pyrolite.typed(Resetting, proxy._pyroUri, check=True)
    with pyrolite.Proxy(proxy._pyroUri) as other:
        assert pyrolite.typed(Counting, other, check=True).total == 4
        assert other._pyroConnection is not None


def test_without_metadata(pyro_leakcheck: None, pyro_serve: Serve, pyro_config: Configuration) -> None:
    """[BYD-31]: then only the check on demand asks for them."""
    uri = pyro_serve(Counter())._pyroUri
    pyro_config.METADATA = False
    with pyrolite.Proxy(uri) as proxy:
        assert pyrolite.typed(Resetting, proxy).add(5) == 5
        with pytest.raises(PyroError, match=REFUSED):
            pyrolite.typed(Resetting, proxy, check=True)
