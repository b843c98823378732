"""Every kind of storage, for the tests that all of them have to pass: a new kind is added to `KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyrolite.naming import MemoryStorage, NameServer
from pyrolite.naming_storage import DbmStorage, SqlStorage


class ForeignStorage(dict[str, Any]):
    """What somebody wrote for Pyro4: a mapping with the functions of [NS-22], and no idea of anything newer."""

    def optimized_prefix_list(self, prefix: str, return_metadata: bool = False) -> Any:
        # as the SQL storage of Pyro4, which ignores case
        found = {name: value for name, value in self.items() if name.lower().startswith(prefix.lower())}
        return found if return_metadata else {name: value[0] for name, value in found.items()}

    def optimized_regex_list(self, regex: str, return_metadata: bool = False) -> Any:
        return None

    def optimized_metadata_search(
        self, metadata_all: Any = None, metadata_any: Any = None, return_metadata: bool = False
    ) -> Any:
        return None

    def everything(self, return_metadata: bool = False) -> Any:
        return dict(self) if return_metadata else {name: value[0] for name, value in self.items()}

    def remove_items(self, items: Any) -> None:
        for item in items:
            self.pop(item, None)

    def close(self) -> None:
        pass


class Kind(NamedTuple):
    """A kind of storage, how to make one that uses a file, and what it can do."""

    name: str
    make: Callable[[Path], Any]
    metadata: bool
    persistent: bool


KINDS = [
    Kind("memory", lambda path: MemoryStorage(), metadata=True, persistent=False),
    Kind("sql", SqlStorage, metadata=True, persistent=True),
    Kind("dbm", DbmStorage, metadata=False, persistent=True),
    Kind("foreign", lambda path: ForeignStorage(), metadata=True, persistent=False),
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """A kind of storage."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def storage(kind: Kind, tmp_path: Path) -> Iterator[Any]:
    """An empty storage of that kind."""
    storage = kind.make(tmp_path / "names")
    yield storage
    storage.close()


@pytest.fixture
def nameserver(storage: Any) -> NameServer:
    """A name server, without a daemon, on that storage."""
    return NameServer(storage)


@pytest.fixture
def with_metadata(kind: Kind) -> None:
    """Skips the test for storages that have no metadata."""
    if not kind.metadata:
        pytest.skip("this storage has no metadata")
