"""The storage in a dbm file, without metadata, which Pyro4 can read and write as well ([NS-25]).

The dbm modules cannot promise that what was stored survives a crash. So this one is read when the storage is opened and
written when it is closed; what happens in between is kept in memory and in a journal beside the file ([HRD-37]).
"""

from __future__ import annotations

import contextlib
import dbm
import importlib
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pyrolite.errors import NamingError
from pyrolite.naming.storage.interface import NO_METADATA, Entry, SearchableStorage
from pyrolite.naming.storage.journal import Journal, JournalError, replay, sync_directory, sync_files
from pyrolite.naming.storage.sortednames import SortedNames

__all__ = ["DbmStorage", "dbm"]

log: logging.Logger = logging.getLogger("pyrolite.naming_storage")

#: A journal of this size in bytes is written anew, if it is also several times larger than what it stands for.
LARGE_JOURNAL: Final = 1 << 20
#: The dbm modules add one of these to the name of the file.
_SUFFIXES: Final = ("", ".dat", ".dir", ".bak", ".db", ".pag")


class DbmStorage(SearchableStorage):
    """Names in the dbm file ``dbmfile`` of any kind; what has been stored survives the end of the process.

    Only one process can use the file at a time. A process that is killed leaves a file ``<dbmfile>.journal`` behind,
    with which the next one that uses this storage restores what was stored.

    Raises:
        NamingError: the file cannot be used; also from all operations, when something cannot be written.

    Thread safety: as `Storage`.
    """

    def __init__(self, dbmfile: str | os.PathLike[str]) -> None:
        super().__init__()
        self.dbmfile: str = os.fspath(dbmfile)
        self._path = Path(self.dbmfile)
        self._closed = False
        self._table: dict[str, str] = {}
        with self._errors("open"):
            self._journal = Journal(self._path.with_name(self._path.name + ".journal"))
            try:
                self._load()
            except BaseException:
                self._journal.close(remove=not self._journal.changes)
                raise
        self._names = SortedNames(self._table)
        size = sum(len(name) + len(uri) for name, uri in self._table.items())
        #: size of the journal at which it is written anew
        self._compact_at = max(LARGE_JOURNAL, 4 * size)

    def _load(self) -> None:
        """Read the file, and what happened after it was written."""
        changes = self._journal.changes
        # a journal that begins with everything was written because the file was about to be
        if not (changes and changes[0][0] == "all"):
            with dbm.open(self.dbmfile, "c", 0o600) as db:
                keys: Iterable[Any] = db.keys()
                for key in keys:
                    self._table[key.decode("utf-8")] = db[key].decode("utf-8")
        if changes:
            log.info("%s: restoring what an earlier process did not save", self.dbmfile)
            replay(changes, self._table)
            self._save()
            self._journal.reset()
            changes.clear()

    def _save(self) -> None:
        """Write the file; at no moment does less than everything exist on the disk."""
        self._journal.replace(self._table)
        kind = dbm.whichdb(self.dbmfile)
        module: Any = importlib.import_module(kind) if kind else dbm
        with module.open(self.dbmfile, "n", 0o600) as db:
            for name, uri in self._table.items():
                db[name.encode("utf-8")] = uri.encode("utf-8")
        sync_files(Path(self.dbmfile + suffix) for suffix in _SUFFIXES)
        sync_directory(self._path.parent)

    @contextlib.contextmanager
    def _errors(self, operation: str) -> Iterator[None]:
        try:
            yield
        except (*dbm.error, OSError, JournalError, UnicodeError) as error:
            place = "" if self.dbmfile in str(error) else f" ({self.dbmfile})"
            raise NamingError(f"dbm error in {operation}: {error}{place}") from error

    def _record(self, operation: str, change: list[Any]) -> None:
        """Make a change durable; to be done before it is made in memory. The lock is held."""
        with self._errors(operation):
            if self._closed:
                raise OSError("the storage is closed")
            self._journal.append(change)
            if self._journal.size > self._compact_at:
                pending = dict(self._table)
                replay([change], pending)
                self._journal.replace(pending)
                self._compact_at = max(LARGE_JOURNAL, 4 * self._journal.size)

    # ---- the mapping

    def __getitem__(self, name: str) -> Entry:
        return self._table[name], NO_METADATA

    def __setitem__(self, name: str, value: tuple[str, Collection[str] | None]) -> None:
        uri, metadata = value
        if metadata:
            log.warning("DbmStorage doesn't support metadata, silently discarded")
        with self._lock:
            with self._errors("setitem"):
                (name + uri).encode("utf-8")  # what cannot be written to the file is refused now
            if self._table.get(name) == uri:
                return
            self._record("setitem", ["set", name, uri])
            if name not in self._table:
                self._names.add(name)
            self._table[name] = uri

    def __delitem__(self, name: str) -> None:
        if not self._remove("delitem", [name]):
            raise KeyError(name)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._table))

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._record("clear", ["all", {}])
            self._table.clear()
            self._names = SortedNames()

    def close(self) -> None:
        """Write the file; may be repeated."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with self._errors("close"):
                try:
                    if not self._journal.empty:
                        self._save()
                except BaseException:
                    self._journal.close()  # what could not be saved is in there
                    raise
                self._journal.close(remove=True)

    # ---- the operations of the name server

    def discard(self, names: Iterable[str], *, uri: str | None = None) -> int:
        """Remove these names, with ``uri`` only those that have it; returns how many were removed."""
        return self._remove("remove_items", names, uri)

    def _remove(self, operation: str, names: Iterable[str], uri: str | None = None) -> int:
        with self._lock:
            known = [name for name in dict.fromkeys(names) if name in self._table and uri in {None, self._table[name]}]
            if known:
                self._record(operation, ["del", known])
                for name in known:
                    del self._table[name]
                    self._names.remove(name)
        return len(known)

    def with_prefix(self, prefix: str, *, metadata: bool = True) -> dict[str, Entry]:
        """The entries whose name starts with ``prefix``."""
        with self._lock:
            return {name: (self._table[name], NO_METADATA) for name in self._names.starting_with(prefix)}

    def with_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA
    ) -> dict[str, Entry]:
        """Everything when nothing is searched for.

        Raises:
            NamingError: something is.
        """
        if all_of or any_of:
            raise NamingError("DbmStorage doesn't support metadata")
        return self.snapshot()

    def snapshot(self, *, metadata: bool = True) -> dict[str, Entry]:
        """All entries at one moment."""
        with self._lock:
            return {name: (uri, NO_METADATA) for name, uri in self._table.items()}
