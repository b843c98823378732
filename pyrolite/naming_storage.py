"""The storages of the name server that survive a restart, under Pyro4's name for this module ([OV-20])."""

from __future__ import annotations

from types import ModuleType

#: The modules of the standard library; None where a distributor of Python has left them out.
dbm: ModuleType | None = None
sqlite3: ModuleType | None = None

try:
    from pyrolite.naming.storage.dbm import DbmStorage
    from pyrolite.naming.storage.dbm import dbm as _dbm
except ImportError:
    pass
else:
    dbm = _dbm
try:
    from pyrolite.naming.storage.sql import SqlStorage
    from pyrolite.naming.storage.sql import sqlite3 as _sqlite3
except ImportError:
    pass
else:
    sqlite3 = _sqlite3

__all__ = ["DbmStorage", "SqlStorage", "dbm", "sqlite3"]
