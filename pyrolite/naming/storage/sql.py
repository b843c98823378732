"""The storage in an SQLite file, which Pyro4 can read and write as well ([NS-24])."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from pyrolite.errors import NamingError
from pyrolite.naming.storage.interface import (
    NO_METADATA,
    Entry,
    Listing,
    SearchableStorage,
    end_of_prefix,
    entry_of,
    listing_of,
)

__all__ = ["SqlStorage", "sqlite3"]

#: Seconds to wait for another process that is writing to the file.
BUSY_TIMEOUT: Final = 5.0
#: Parameters of one statement, at most; old versions of SQLite allow 999.
MAX_PARAMETERS: Final = 900

_NAMES_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS pyro_names(
        id integer PRIMARY KEY,
        name nvarchar NOT NULL UNIQUE,
        uri nvarchar NOT NULL
    )"""
_OTHER_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS pyro_metadata(
        object integer NOT NULL,
        metadata nvarchar NOT NULL,
        FOREIGN KEY(object) REFERENCES pyro_names(id)
    )""",
    "CREATE INDEX IF NOT EXISTS pyro_metadata_object ON pyro_metadata(object)",
    "CREATE INDEX IF NOT EXISTS pyro_metadata_metadata ON pyro_metadata(metadata, object)",
)
_SELECT: Final = {
    True: "SELECT n.name, n.uri, m.metadata FROM pyro_names n LEFT JOIN pyro_metadata m ON m.object = n.id",
    False: "SELECT n.name, n.uri, NULL FROM pyro_names n",
}
#: What to do about errors of SQLite, by a part of their text.
_REMEDIES: Final = (
    ("locked", "another process is using this file"),
    ("malformed", "this file is damaged: restore a copy, or recover it with the sqlite3 program"),
    ("not a database", "this file is damaged or something else: name another one, or restore a copy"),
    ("full", "the disk is full: make room; what has been stored is not lost"),
    ("disk I/O", "the disk does not take or give what it should: see the log of the system"),
    ("readonly", "this file and its directory must be writable"),
    ("unable to open", "this file cannot be opened or created"),
)


class SqlStorage(SearchableStorage):
    """Names and metadata in the SQLite file ``dbfile``; what has been stored survives the end of the process.

    Uses the journal mode WAL where the file system allows it.

    Raises:
        ValueError: ``dbfile`` is ``:memory:`` or empty.
        NamingError: the file cannot be used; also from all operations, when SQLite reports an error.

    Thread safety: as `Storage`; there is one connection, used by one thread at a time.
    """

    def __init__(self, dbfile: str | os.PathLike[str]) -> None:
        super().__init__()
        if dbfile == ":memory:":
            raise ValueError(
                "We don't support the sqlite :memory: database type. Just use the default volatile in-memory store."
            )
        if not dbfile:  # SQLite would take that for a temporary file
            raise ValueError("no file given for the SQL storage")
        self.dbfile: str = os.fspath(dbfile)
        with self._errors("open"):
            self._connection = sqlite3.connect(
                self.dbfile, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors("open"):
                self._connection.execute("PRAGMA foreign_keys = ON")
                self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
                self._connection.execute("PRAGMA synchronous = FULL")
            with self._transaction("open"):
                self._create_tables()
        except BaseException:
            self._connection.close()
            raise

    def _create_tables(self) -> None:
        """Create what is missing; files of old Pyro4 versions have names without ids and no metadata."""
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(pyro_names)")]
        if columns and "id" not in columns:
            self._connection.execute("ALTER TABLE pyro_names RENAME TO pyro_names_without_ids")
            self._connection.execute(_NAMES_TABLE)
            self._connection.execute("INSERT INTO pyro_names(name, uri) SELECT name, uri FROM pyro_names_without_ids")
            self._connection.execute("DROP TABLE pyro_names_without_ids")
        else:
            self._connection.execute(_NAMES_TABLE)
        for statement in _OTHER_TABLES:
            self._connection.execute(statement)

    # ---- errors and transactions

    @contextlib.contextmanager
    def _errors(self, operation: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:
            remedy = next((text for part, text in _REMEDIES if part in str(error)), None)
            hint = f" ({self.dbfile}: {remedy})" if remedy else ""
            raise NamingError(f"sqlite error in {operation}: {error}{hint}") from error

    @contextlib.contextmanager
    def _reading(self, operation: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors(operation):
            yield self._connection

    @contextlib.contextmanager
    def _transaction(self, operation: str) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it ends."""
        with self._lock, self._errors(operation):
            if self._connection.in_transaction:  # part of a larger one
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # some errors have ended the transaction already
                    self._connection.execute("ROLLBACK")
                raise

    # ---- the mapping

    def __getitem__(self, name: str) -> Entry:
        found = self._select("getitem", "n.name = ?", (name,)) if isinstance(name, str) else {}
        return found[name]

    def __setitem__(self, name: str, value: tuple[str, Collection[str] | None]) -> None:
        uri, metadata = entry_of(value)
        self.put(name, uri, metadata)

    def __delitem__(self, name: str) -> None:
        if not self._delete_names("delitem", [name]):
            raise KeyError(name)

    def __len__(self) -> int:
        with self._reading("len") as db:
            count: int = db.execute("SELECT count(*) FROM pyro_names").fetchone()[0]
        return count

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        with self._reading("contains") as db:
            return db.execute("SELECT 1 FROM pyro_names WHERE name = ?", (name,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        with self._reading("iter") as db:
            return iter([row[0] for row in db.execute("SELECT name FROM pyro_names")])

    def clear(self) -> None:
        """Remove everything, and give the space back."""
        with self._transaction("clear") as db:
            db.execute("DELETE FROM pyro_metadata")
            db.execute("DELETE FROM pyro_names")
        with self._reading("clear") as db:
            db.execute("VACUUM")

    def close(self) -> None:
        """Close the file; may be repeated."""
        with self._reading("close") as db:
            db.close()

    # ---- the functions that go with it

    def optimized_prefix_list(self, prefix: str, return_metadata: bool = False) -> Listing | None:
        """The entries whose name starts with ``prefix``, in upper and lower case as given ([NS-11])."""
        condition, parameters = _in_prefix(prefix)
        found = self._select("optimized_prefix_list", condition, parameters, metadata=return_metadata)
        return listing_of(found, return_metadata=return_metadata)

    # ---- the operations of the name server

    def entry(self, name: str) -> Entry | None:
        """The entry of ``name``, None when unknown."""
        return self._select("getitem", "n.name = ?", (name,)).get(name)

    def put(self, name: str, uri: str, metadata: frozenset[str], *, safe: bool = False) -> bool:
        """Store an entry in place of the one there is; with ``safe`` only if there is none. Returns whether it did."""
        with self._transaction("setitem") as db:
            if safe and db.execute("SELECT 1 FROM pyro_names WHERE name = ?", (name,)).fetchone():
                return False
            self._delete_names("setitem", [name])
            object_id = db.execute("INSERT INTO pyro_names(name, uri) VALUES(?, ?)", (name, uri)).lastrowid
            self._insert_metadata(db, object_id, metadata)
        return True

    def put_metadata(self, name: str, metadata: frozenset[str]) -> bool:
        """Replace the metadata of an entry; False when the name is unknown."""
        with self._transaction("setitem") as db:
            row = db.execute("SELECT id FROM pyro_names WHERE name = ?", (name,)).fetchone()
            if row is None:
                return False
            db.execute("DELETE FROM pyro_metadata WHERE object = ?", row)
            self._insert_metadata(db, row[0], metadata)
        return True

    @staticmethod
    def _insert_metadata(db: sqlite3.Connection, object_id: int | None, metadata: frozenset[str]) -> None:
        if metadata:
            rows = [(object_id, tag) for tag in sorted(metadata)]
            db.executemany("INSERT INTO pyro_metadata(object, metadata) VALUES(?, ?)", rows)

    def discard(self, names: Iterable[str], *, uri: str | None = None) -> int:
        """Remove these names, with ``uri`` only those that have it; returns how many were removed."""
        return self._delete_names("remove_items", names, uri)

    def _delete_names(self, operation: str, names: Iterable[str], uri: str | None = None) -> int:
        removed = 0
        remaining = iter(names)
        with self._transaction(operation):
            while batch := list(islice(remaining, MAX_PARAMETERS)):
                condition = f"name IN ({_marks(batch)})"
                if uri is None:
                    removed += self._delete_where(condition, batch)
                else:
                    removed += self._delete_where(f"{condition} AND uri = ?", [*batch, uri])
        return removed

    def discard_prefix(self, prefix: str, keep: Collection[str] = ()) -> int:
        """Remove all names that start with ``prefix`` except those to ``keep``; returns how many were removed."""
        condition, parameters = _in_prefix(prefix, column="name")
        with self._transaction("remove_items"):
            return self._delete_where(f"{condition} AND name NOT IN ({_marks(keep)})", [*parameters, *keep])

    def discard_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA, keep: Collection[str] = ()
    ) -> int:
        """Remove what `with_metadata` finds except those to ``keep``; returns how many were removed."""
        with self._transaction("remove_items"):  # also of other processes, none can write meanwhile
            return super().discard_metadata(all_of, any_of, keep)

    def discard_selected(self, prefix: str, select: Callable[[Iterable[str]], Collection[str]]) -> int:
        """Remove those of the names that start with ``prefix`` which ``select`` returns; returns how many."""
        with self._transaction("remove_items"):
            return super().discard_selected(prefix, select)

    def discard_entry(self, name: str, entry: Entry) -> bool:
        """Remove a name if it still has exactly this entry; returns whether it had."""
        with self._transaction("remove_items"):
            return super().discard_entry(name, entry)

    def _delete_where(self, condition: str, parameters: Collection[str]) -> int:
        values = tuple(parameters)
        metadata = f"DELETE FROM pyro_metadata WHERE object IN (SELECT id FROM pyro_names WHERE {condition})"  # noqa: S608
        self._connection.execute(metadata, values)
        return self._connection.execute(f"DELETE FROM pyro_names WHERE {condition}", values).rowcount  # noqa: S608

    def with_prefix(self, prefix: str, *, metadata: bool = True) -> dict[str, Entry]:
        """The entries whose name starts with ``prefix``; metadata may be left out when not asked for."""
        return self._select("optimized_prefix_list", *_in_prefix(prefix), metadata=metadata)

    def with_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA
    ) -> dict[str, Entry]:
        """The entries that have all of ``all_of`` and, unless it is empty, at least one of ``any_of``."""
        if len(all_of) + len(any_of) > MAX_PARAMETERS:
            return super().with_metadata(all_of, any_of)
        conditions: list[str] = []
        parameters: list[str] = []
        if all_of:
            conditions.append(
                f"n.id IN (SELECT object FROM pyro_metadata WHERE metadata IN ({_marks(all_of)}) "  # noqa: S608
                f"GROUP BY object HAVING count(DISTINCT metadata) = {len(all_of)})"
            )
            parameters += all_of
        if any_of:
            conditions.append(f"n.id IN (SELECT object FROM pyro_metadata WHERE metadata IN ({_marks(any_of)}))")  # noqa: S608
            parameters += any_of
        return self._select("optimized_metadata_search", " AND ".join(conditions), parameters)

    def snapshot(self, *, metadata: bool = True) -> dict[str, Entry]:
        """All entries at one moment; metadata may be left out when not asked for."""
        return self._select("everything", metadata=metadata)

    def _select(
        self, operation: str, condition: str = "", parameters: Iterable[Any] = (), *, metadata: bool = True
    ) -> dict[str, Entry]:
        """The entries that fulfil the condition, in one query, hence of one moment."""
        where = f" WHERE {condition}" if condition else ""
        with self._reading(operation) as db:
            rows = db.execute(_SELECT[metadata] + where, tuple(parameters)).fetchall()
        uris: dict[str, str] = {}
        tags: dict[str, list[str]] = {}
        for name, uri, tag in rows:
            uris[name] = uri
            if tag is not None:
                tags.setdefault(name, []).append(tag)
        return {name: (uri, frozenset(tags[name]) if name in tags else NO_METADATA) for name, uri in uris.items()}


def _marks(parameters: Collection[str]) -> str:
    return ",".join("?" * len(parameters))


def _in_prefix(prefix: str, column: str = "n.name") -> tuple[str, list[str]]:
    """A condition that is true for names that start with ``prefix``, for which SQLite can use the index ([HRD-35]).

    Text is compared by its UTF-8 bytes, whose order is that of the characters.
    """
    end = end_of_prefix(prefix)
    return (f"{column} >= ?", [prefix]) if end is None else (f"{column} >= ? AND {column} < ?", [prefix, end])
