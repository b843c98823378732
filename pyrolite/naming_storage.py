"""The storages of the name server that survive a restart, under Pyro4's name for this module ([OV-20])."""

from __future__ import annotations

try:
    import dbm

    from pyrolite.naming.storage.dbm import DbmStorage
except ImportError:  # left out by some distributors of Python
    dbm = None  # type: ignore[assignment]
try:
    import sqlite3

    from pyrolite.naming.storage.sql import SqlStorage
except ImportError:
    sqlite3 = None  # type: ignore[assignment]

__all__ = ["DbmStorage", "SqlStorage", "dbm", "sqlite3"]
