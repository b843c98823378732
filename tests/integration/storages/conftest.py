"""The kinds of storages that are on a server, for the tests that storages of all kinds have to pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyrolite.core import URI
from pyrolite.naming import NameServer
from pyrolite.naming.storage import Storage, open_storage

from ... import stores
from ..naming.conftest import Tool, start_tool

__all__ = ["start_tool"]


class ServerKind(NamedTuple):
    """A kind of storage, and the server that it is on."""

    name: str
    server: Any
    metadata: bool = True
    persistent: bool = True

    def make(self, path: Path) -> Any:
        """Storages on one server are all the same, wherever a file would be."""
        return open_storage(self.server.url)


@pytest.fixture(scope="session", params=["redis", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[ServerKind, Storage]]:
    """A kind of storage, and a storage to clear it with."""
    kind = ServerKind(request.param, request.getfixturevalue(f"{request.param}_server"))
    storage: Storage = open_storage(kind.server.url)
    yield kind, storage
    storage.close()


@pytest.fixture
def kind(server: tuple[ServerKind, Storage]) -> ServerKind:
    """A kind of storage, with nothing in it."""
    kind, storage = server
    storage.clear()
    return kind


@pytest.fixture
def storage(kind: ServerKind, tmp_path: Path) -> Iterator[Storage]:
    """An empty storage of that kind."""
    storage = kind.make(tmp_path)
    yield storage
    storage.close()


@pytest.fixture
def nameserver(storage: Storage) -> NameServer:
    """A name server, without a daemon, on that storage."""
    return NameServer(storage)


@pytest.fixture
def with_metadata() -> None:
    """All of them have metadata."""


@pytest.fixture(scope="session")
def durable_redis() -> Iterator[stores.Store]:
    """A Redis server that writes everything to its disk at once."""
    pytest.importorskip("redis")
    yield from running(lambda: stores.RedisServer(appendonly="yes", appendfsync="always"))


@pytest.fixture(scope="session")
def durable_postgresql() -> Iterator[stores.Store]:
    """A PostgreSQL server that does so, too."""
    pytest.importorskip("psycopg_pool")
    yield from running(stores.PostgresqlServer)


def running(start: Callable[[], stores.Store]) -> Iterator[stores.Store]:
    """Start a server and end it afterwards, or skip the test."""
    try:
        server = start()
    except stores.Missing as reason:
        pytest.skip(str(reason))
    with contextlib.closing(server):
        yield server


@pytest.fixture
def own_server(request: pytest.FixtureRequest) -> stores.Store:
    """A server with nothing in it that may be stopped and killed; the parameter is the name of the kind."""
    server: stores.Store = request.getfixturevalue(f"durable_{request.param}")
    if server.process is None:
        server.start()
    storage = open_storage(server.url)
    storage.clear()
    storage.close()
    return server


StartNameServer = Callable[..., tuple[Tool, URI]]


@pytest.fixture
def start_nameserver(start_tool: Callable[..., Tool]) -> StartNameServer:
    """Start a name server as a process of its own, on a storage; returns it when it serves, and its URI."""

    def start(storage: str, port: int = 0, **environment: str) -> tuple[Tool, URI]:
        tool = start_tool("pyrolite.naming", "-p", str(port), "-n", "127.0.0.1", "-s", storage, **environment)
        return tool, URI(tool.wait_for("URI = "))

    return start
