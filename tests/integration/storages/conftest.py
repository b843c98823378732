"""The kinds of storages that are on a server, for the tests that storages of all kinds have to pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyrolite.naming import NameServer
from pyrolite.naming.storage import Storage, open_storage


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
