"""The storages of the name server that survive a restart, under Pyro4's name for this module ([OV-20])."""

from __future__ import annotations

try:
    from pyrolite.naming.storage.dbm import DbmStorage, dbm
except ImportError:  # left out by some distributors of Python
    dbm = None  # type: ignore[assignment]
try:
    from pyrolite.naming.storage.sql import SqlStorage, sqlite3
except ImportError:
    sqlite3 = None  # type: ignore[assignment]

__all__ = ["DbmStorage", "SqlStorage", "dbm", "sqlite3"]
