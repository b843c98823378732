"""Daemons of both server types for the tests of proxies and daemons; no test may leave threads or sockets behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context
from pyrolite.core.context import CallState
from pyrolite.testing import RunningDaemon, running_daemon

#: Seconds that nothing here needs, unless something is broken.
PATIENCE = 10.0

StartDaemon = Callable[..., RunningDaemon]
Connect = Callable[..., Any]


@pytest.fixture(autouse=True)
def clean(pyro_leakcheck: None) -> Iterator[None]:
    """A context without history, and nothing left behind."""
    before = current_context._state
    current_context._state = CallState()
    yield
    current_context._state = before


@pytest.fixture(params=["thread", "multiplex"])
def servertype(request: pytest.FixtureRequest) -> str:
    """Both kinds of servers."""
    kind: str = request.param
    return kind


@pytest.fixture
def start(servertype: str) -> Iterator[StartDaemon]:
    """Start daemons, as `pyrolite.testing.running_daemon`; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(objects: Any = None, **options: Any) -> RunningDaemon:
            options.setdefault("servertype", servertype)
            return stack.enter_context(running_daemon(objects, **options))

        yield start


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Proxies that are released at the end of the test: ``connect(uri, attribute=value...)``."""
    with contextlib.ExitStack() as stack:

        def connect(uri: Any, proxy_class: type[pyrolite.Proxy] = pyrolite.Proxy, **attributes: Any) -> Any:
            proxy = proxy_class(uri)
            stack.callback(proxy._pyroRelease)
            for name, value in attributes.items():
                setattr(proxy, f"_pyro{name}", value)
            return proxy

        yield connect


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait for something that tells nobody when it happens."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.002)

    return wait
