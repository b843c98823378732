"""Where the name server keeps its names: in memory or in a file, chosen by a text such as ``sql:names.db`` ([NS-18]).

Each kind of storage is a module of its own, loaded when it is chosen. A kind is added by `register_kind`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pyrolite.naming.storage.interface import NO_METADATA, Entry, Storage, as_storage
from pyrolite.naming.storage.memory import MemoryStorage

__all__ = ["NO_METADATA", "Entry", "MemoryStorage", "Storage", "as_storage", "open_storage", "register_kind"]


class _Kind(NamedTuple):
    """How a kind of storage is made: ``factory`` in ``module``, called with what follows the colon, or all of it."""

    module: str
    factory: str
    whole: bool


_KINDS: Final = {
    "dbm": _Kind("pyrolite.naming.storage.dbm", "DbmStorage", whole=False),
    "sql": _Kind("pyrolite.naming.storage.sql", "SqlStorage", whole=False),
}


def register_kind(name: str, module: str, factory: str, *, whole: bool = False) -> None:
    """Make storages of a kind available as ``name:...``.

    Args:
        name: what the text that chooses the storage starts with, before the colon.
        module: the module to load when one is opened.
        factory: what to call there, with the text after the colon.
        whole: call it with the whole text, as for URLs.

    Thread safety: to be called before name servers are started.
    """
    _KINDS[name] = _Kind(module, factory, whole)


def open_storage(storage: Any = None) -> Any:
    """The storage that ``storage`` stands for: None or ``memory``, ``dbm:file``, ``sql:file``, or a storage itself.

    Raises:
        ValueError: there is no such kind, or the file is missing in the text.
        NamingError: it cannot be opened.
    """
    if storage is None or storage == "memory":
        return MemoryStorage()
    if not isinstance(storage, str):
        return storage
    kind, _, rest = storage.partition(":")
    if not rest or kind not in _KINDS:
        raise ValueError(f"invalid storage type '{storage}'")
    module, factory, whole = _KINDS[kind]
    make: Callable[[str], Any] = getattr(importlib.import_module(module), factory)
    return make(storage if whole else rest)
