"""All storages behave as a simple model does, in any order of operations ([NS-22], [BYD-10])."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyrolite.naming import MemoryStorage
from pyrolite.naming.storage import Storage, as_storage
from pyrolite.naming_storage import DbmStorage, SqlStorage

names = st.text("abAB_%\xe4", max_size=3)
uris = st.sampled_from(["PYRO:o@h:1", "PYRO:o@h:2", "PYRONAME:x"])
tags = st.frozensets(st.sampled_from("xyz"))

Model = dict[str, tuple[str, frozenset[str]]]


class StorageMachine(RuleBasedStateMachine):
    """Does the same to a storage and to a dict."""

    make: Callable[[Path], Any]
    has_metadata = True
    persistent = False
    shared = False  # by all storages of this kind

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.model: Model = {}

    @initialize()
    def open(self) -> None:
        self.storage = type(self).make(Path(self.directory.name) / "names")
        self.names: Storage = as_storage(self.storage)
        if self.shared and not self.model:
            self.storage.clear()

    def teardown(self) -> None:
        if hasattr(self, "storage"):
            self.storage.close()
        self.directory.cleanup()

    def kept(self, metadata: frozenset[str]) -> frozenset[str]:
        return metadata if self.has_metadata else frozenset()

    @rule(name=names, uri=uris, metadata=tags, safe=st.booleans())
    def put(self, name: str, uri: str, metadata: frozenset[str], safe: bool) -> None:
        stored = self.names.put(name, uri, self.kept(metadata), safe=safe)
        assert stored is not (safe and name in self.model)
        if stored:
            self.model[name] = uri, self.kept(metadata)

    @rule(name=names, uri=uris, metadata=st.none() | tags)
    def set_item(self, name: str, uri: str, metadata: Any) -> None:
        self.storage[name] = uri, self.kept(metadata or frozenset()) or None
        self.model[name] = uri, self.kept(metadata or frozenset())

    @rule(name=names, metadata=tags)
    def put_metadata(self, name: str, metadata: frozenset[str]) -> None:
        assert self.names.put_metadata(name, self.kept(metadata)) is (name in self.model)
        if name in self.model:
            self.model[name] = self.model[name][0], self.kept(metadata)

    @rule(some=st.lists(names, max_size=4), uri=st.none() | uris)
    def discard(self, some: list[str], uri: str | None) -> None:
        known = {name for name in some if name in self.model and uri in (None, self.model[name][0])}
        assert self.names.discard(some, uri=uri) == len(known)
        for name in known:
            del self.model[name]

    @rule(prefix=names, keep=st.lists(names, max_size=2))
    def discard_prefix(self, prefix: str, keep: list[str]) -> None:
        known = {name for name in self.model if name.startswith(prefix) and name not in keep}
        assert self.names.discard_prefix(prefix, keep) == len(known)
        for name in known:
            del self.model[name]

    @rule(all_of=tags, any_of=tags, keep=st.lists(names, max_size=2))
    def discard_metadata(self, all_of: frozenset[str], any_of: frozenset[str], keep: list[str]) -> None:
        if not self.has_metadata:
            return
        known = {name for name in self.having(all_of, any_of) if name not in keep}
        assert self.names.discard_metadata(all_of, any_of, keep) == len(known)
        for name in known:
            del self.model[name]

    @rule(prefix=names, wanted=st.lists(names, max_size=4))
    def discard_selected(self, prefix: str, wanted: list[str]) -> None:
        offered = {name for name in self.model if name.startswith(prefix)}
        known = offered & set(wanted)

        def select(candidates: Any) -> set[str]:
            assert set(candidates) <= offered
            return set(wanted) & set(candidates)

        assert self.names.discard_selected(prefix, select) == len(known)
        for name in known:
            del self.model[name]

    @rule(name=names, uri=uris, metadata=tags)
    def discard_entry(self, name: str, uri: str, metadata: frozenset[str]) -> None:
        entry = uri, self.kept(metadata)
        if name in self.model and len(metadata) % 2:
            entry = self.model[name]
        same = self.model.get(name) == entry
        assert self.names.discard_entry(name, entry) is same
        if same:
            del self.model[name]

    @rule()
    def clear(self) -> None:
        self.storage.clear()
        self.model.clear()

    @precondition(lambda self: self.persistent)
    @rule()
    def reopen(self) -> None:
        self.storage.close()
        self.open()

    @rule(prefix=names)
    def with_prefix(self, prefix: str) -> None:
        expected = {name: entry for name, entry in self.model.items() if name.startswith(prefix)}
        assert self.names.with_prefix(prefix) == expected

    @rule(all_of=tags, any_of=tags)
    def with_metadata(self, all_of: frozenset[str], any_of: frozenset[str]) -> None:
        if self.has_metadata:
            assert self.names.with_metadata(all_of, any_of) == self.having(all_of, any_of)

    def having(self, all_of: frozenset[str], any_of: frozenset[str]) -> Model:
        return {
            name: entry
            for name, entry in self.model.items()
            if all_of <= entry[1] and (not any_of or any_of & entry[1])
        }

    @invariant()
    def same(self) -> None:
        if hasattr(self, "storage"):
            assert self.names.snapshot() == self.model
            assert len(self.storage) == len(self.model)
            assert set(self.storage) == set(self.model)


class MemoryMachine(StorageMachine):
    make = staticmethod(lambda path: MemoryStorage())  # type: ignore[assignment]


class SqlMachine(StorageMachine):
    make = SqlStorage
    persistent = True


class DbmMachine(StorageMachine):
    make = DbmStorage
    has_metadata = False
    persistent = True


@pytest.mark.parametrize("machine", [MemoryMachine, SqlMachine, DbmMachine], ids=lambda machine: machine.__name__)
def test_storages_follow_the_model(machine: type[StorageMachine]) -> None:
    """[NS-22] [NS-9] [NS-13] As the model."""
    follow_the_model(machine)


def follow_the_model(machine: type[StorageMachine]) -> None:
    """Try random sequences of operations."""
    case = machine.TestCase
    case.settings = settings(deadline=None, max_examples=25, stateful_step_count=20)
    case().runTest()
