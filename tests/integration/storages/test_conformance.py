"""Storages on servers do what all the others do: the same tests, and the same model ([BYD-10])."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyrolite.naming.storage import Storage

from ...property.test_storages import StorageMachine, follow_the_model
from ...unit.naming import test_nameserver, test_storages

# every test that takes a storage, a kind of storage, or a name server on one
for _module in (test_storages, test_nameserver):
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and {"storage", "kind", "nameserver", "filled"} & set(_test.__code__.co_varnames):
            assert _name not in globals()
            globals()[_name] = _test
filled, in_request = test_nameserver.filled, test_nameserver.in_request


def test_storages_follow_the_model(kind: Any) -> None:
    """[NS-22] [NS-9] [NS-13] [BYD-10] As the model, through an own connection in every example."""

    def make(path: Path) -> Storage:
        storage: Storage = kind.make(path)
        return storage

    machine = type("ServerMachine", (StorageMachine,), {"make": staticmethod(make), "persistent": True, "shared": True})
    follow_the_model(machine)
