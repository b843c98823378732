"""Where the name server keeps its names: in memory, in a file, or on a server that several name servers share.

It is chosen by a text such as ``sql:names.db`` or ``redis://host`` ([NS-18], [BYD-10]). Each kind of storage is a
module of its own, loaded when it is chosen. A kind is added by `register_kind`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pyrolite.errors import NamingError
from pyrolite.naming.storage.interface import NO_METADATA, Entry, Storage, as_storage
from pyrolite.naming.storage.memory import MemoryStorage

__all__ = ["NO_METADATA", "Entry", "MemoryStorage", "Storage", "as_storage", "open_storage", "register_kind"]


class _Kind(NamedTuple):
    """How a kind of storage is made: ``factory`` in ``module``, called with what follows the colon, or all of it.

    ``extra`` is what has to be installed for it, besides pyrolite itself.
    """

    module: str
    factory: str
    whole: bool
    extra: str = ""


_REDIS: Final = _Kind("pyrolite.naming.storage.redis", "RedisStorage", whole=True, extra="redis")
_POSTGRESQL: Final = _Kind("pyrolite.naming.storage.postgresql", "PostgresqlStorage", whole=True, extra="postgresql")

_KINDS: Final = {
    "dbm": _Kind("pyrolite.naming.storage.dbm", "DbmStorage", whole=False),
    "sql": _Kind("pyrolite.naming.storage.sql", "SqlStorage", whole=False),
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
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
    """The storage that ``storage`` stands for.

    None or ``memory``, ``dbm:file``, ``sql:file``, ``redis://host``, ``postgresql://host/database``, or a storage.

    Raises:
        ValueError: there is no such kind, or the file is missing in the text.
        NamingError: it cannot be opened, or a package that it needs is not installed.
    """
    if storage is None or storage == "memory":
        return MemoryStorage()
    if not isinstance(storage, str):
        return storage
    kind, _, rest = storage.partition(":")
    if not rest or kind not in _KINDS:
        shown = f"{kind}://..." if rest.startswith("//") else storage  # URLs have passwords
        raise ValueError(f"invalid storage type '{shown}'")
    module, factory, whole, extra = _KINDS[kind]
    try:
        make: Callable[[str], Any] = getattr(importlib.import_module(module), factory)
    except ImportError as error:
        if not extra:
            raise
        remedy = f"pip install 'pyrolite-rpc[{extra}]'"
        raise NamingError(f"storages of the kind {kind} need more than pyrolite itself: {remedy} ({error})") from error
    return make(storage if whole else rest)
