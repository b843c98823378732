"""A daemon without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.core import current_context
from pyrolite.core import daemon as daemon_module
from pyrolite.core.context import CallState


class NoServer:
    """Stands in for the transport server of a daemon: nothing is ever read from it."""

    location = "127.0.0.1:9999"

    def __init__(self) -> None:
        self.sock: Any = None
        self.sockets: list[Any] = []
        self.locationStr = ""
        self.closed = False
        self.shut_down: list[float] = []

    def init(self, daemon: Any, host: Any, port: Any, unixsocket: str | None = None) -> None:
        self.arguments = (host, port, unixsocket)
        self.locationStr = f"./u:{unixsocket}" if unixsocket else self.location

    def close(self) -> None:
        self.closed = True

    def shutdown(self, drain: float) -> None:
        self.shut_down.append(drain)

    def stats(self) -> dict[str, int]:
        return {}


MakeDaemon = Callable[..., Any]


@pytest.fixture
def make_daemon(monkeypatch: pytest.MonkeyPatch) -> MakeDaemon:
    """Make a daemon of a class, with configuration items of its own, that has no socket."""

    def make(daemon_class: type[pyrolite.Daemon] = pyrolite.Daemon, *args: Any, **options: Any) -> pyrolite.Daemon:
        items = options.pop("items", {})
        monkeypatch.setattr(daemon_module, "make_server", lambda servertype: NoServer())
        return daemon_class(*args, **options, config=pyrolite.config.copy(**items))

    return make


@pytest.fixture(autouse=True)
def fresh_context() -> Iterator[None]:
    """The call context of a thread that has done nothing yet."""
    before = current_context._state
    current_context._state = CallState()
    yield
    current_context._state = before
