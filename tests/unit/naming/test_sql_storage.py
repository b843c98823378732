"""The storage in an SQLite file ([NS-24])."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite.errors import NamingError
from pyrolite.naming_storage import SqlStorage

URI = "PYRO:obj@host:1"


@contextlib.contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as another program sees it."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        yield db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.sqlite"


@pytest.fixture
def storage(path: Path) -> Iterator[SqlStorage]:
    with contextlib.closing(SqlStorage(path)) as storage:
        yield storage


def test_memory_database_is_refused() -> None:
    """[NS-24] A volatile database is of no use."""
    with pytest.raises(ValueError, match="We don't support the sqlite :memory: database type. Just use the default"):
        SqlStorage(":memory:")
    with pytest.raises(ValueError, match="no file given"):
        SqlStorage("")


def test_schema(storage: SqlStorage, path: Path) -> None:
    """[NS-24] The tables are those of Pyro4; what is in them, too. The indexes are additions."""
    storage["a"] = URI, ["x", "y"]
    storage["b"] = URI + "2", None
    with connected(path) as db:
        names = {row[1]: row[0] for row in db.execute("SELECT id, name, uri FROM pyro_names")}
        assert set(names) == {"a", "b"}
        metadata = sorted(db.execute("SELECT object, metadata FROM pyro_metadata"))
        assert metadata == [(names["a"], "x"), (names["a"], "y")]
        indexed = {row[0] for row in db.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'index'")}
        assert "pyro_metadata" in indexed
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_plans_use_the_indexes(storage: SqlStorage) -> None:
    """[NS-24] Prefixes and metadata are found without looking at every row."""
    statements: list[str] = []
    storage._connection.set_trace_callback(statements.append)
    storage["abc"] = URI, ["x"]
    storage.with_prefix("ab")
    storage.with_metadata(any_of=frozenset("x"))
    storage._connection.set_trace_callback(None)
    plans = [
        row[3]
        for statement in statements
        if statement.startswith("SELECT n.")
        for row in storage._connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert any("SEARCH n USING INDEX" in plan for plan in plans), plans
    assert any("pyro_metadata_metadata" in plan for plan in plans), plans
    assert not [plan for plan in plans if plan.startswith("SCAN") and "SUBQUERY" not in plan], plans


@pytest.mark.parametrize(
    "table",
    [
        "pyro_names(name nvarchar PRIMARY KEY NOT NULL, uri nvarchar NOT NULL)",
        "pyro_names(id integer PRIMARY KEY, name nvarchar NOT NULL UNIQUE, uri nvarchar NOT NULL)",
    ],
)
def test_migration(path: Path, table: str) -> None:
    """[NS-24] A file from before there was metadata keeps its names, and gets metadata."""
    with connected(path) as db:
        db.execute(f"CREATE TABLE {table}")
        db.executemany("INSERT INTO pyro_names(name, uri) VALUES(?, ?)", [("a", URI), ("b", URI + "2")])
    for _ in range(2):
        with contextlib.closing(SqlStorage(path)) as storage:
            assert storage.everything() == {"a": URI, "b": URI + "2"}
            storage["a"] = URI, ["x"]
            assert storage["a"] == (URI, {"x"})


def test_two_processes_one_after_the_other(path: Path) -> None:
    """[NS-24] Also while the first one is still there, each sees what the other has stored."""
    with contextlib.closing(SqlStorage(path)) as one, contextlib.closing(SqlStorage(path)) as other:
        one["a"] = URI, ["x"]
        assert other["a"] == (URI, {"x"})
        other["b"] = URI, None
        assert set(one) == {"a", "b"}


def test_errors_name_the_operation(path: Path) -> None:
    """[NS-24] Errors of the database are NamingErrors that say what was being done."""
    storage = SqlStorage(path)
    storage["a"] = URI, None
    with connected(path) as db:
        db.execute("DROP TABLE pyro_metadata")
        db.execute("DROP TABLE pyro_names")

    def delete() -> None:
        del storage["a"]

    def store() -> None:
        storage["a"] = URI, None

    operations: dict[str, Any] = {
        "getitem": lambda: storage["a"],
        "setitem": store,
        "len": lambda: len(storage),
        "contains": lambda: "a" in storage,
        "delitem": delete,
        "iter": lambda: list(storage),
        "clear": storage.clear,
        "optimized_prefix_list": lambda: storage.optimized_prefix_list("a"),
        "optimized_metadata_search": lambda: storage.optimized_metadata_search(metadata_all={"a"}),
        "remove_items": lambda: storage.remove_items(["a"]),
        "everything": storage.everything,
    }
    for operation, use in operations.items():
        with pytest.raises(NamingError, match=f"sqlite error in {operation}: no such table"):
            use()
    storage.close()
    with pytest.raises(NamingError, match="sqlite error in len: "):
        len(storage)


def test_failed_change_changes_nothing(storage: SqlStorage) -> None:
    """[NS-24] Replacing an entry is one transaction."""
    storage["a"] = URI, ["x"]
    with pytest.raises(NamingError, match="sqlite error in setitem"):
        storage["a"] = "PYRO:other@h:1", ["y", "\ud800"]
    assert storage["a"] == (URI, {"x"})


def test_damaged_file(path: Path) -> None:
    """[BYD-15] [HRD-45] A damaged file is reported with its name and what to do, and left as it is."""
    garbage = b"SQLite format 3\0" + b"nonsense" * 1000
    path.write_bytes(garbage)
    with pytest.raises(NamingError, match=r"sqlite error in open: .*names\.sqlite: this file is damaged"):
        SqlStorage(path)
    assert path.read_bytes() == garbage
    with pytest.raises(NamingError, match="sqlite error in open: unable to open database file .*missing/names: "):
        SqlStorage(path.parent / "missing" / "names")


def test_locked_file(storage: SqlStorage, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[BYD-15] A file that another process does not let go of is reported with its name and what is the matter."""
    storage._connection.execute("PRAGMA busy_timeout = 50")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(NamingError, match=r"database is locked \(.*names\.sqlite: another process is using"):
            storage["a"] = URI, None
    storage["a"] = URI, None  # and works again afterwards


def test_kill_at_any_moment(path: Path) -> None:
    """[BYD-15] What has been acknowledged survives kill -9."""
    code = f"""if True:
        from pyrolite.naming_storage import SqlStorage
        storage = SqlStorage({str(path)!r})
        number = 0
        while True:
            storage.put(f"name{{number}}", "PYRO:o@h:1", frozenset({{"x", str(number)}}))
            print(number, flush=True)
            number += 1
    """
    acknowledged = -1
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged == 40:
                process.send_signal(signal.SIGKILL)
    with contextlib.closing(SqlStorage(path)) as storage:
        assert acknowledged >= 40
        for number in range(acknowledged + 1):
            assert storage[f"name{number}"] == ("PYRO:o@h:1", {"x", str(number)})


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list the descriptors of a process")
def test_descriptors_do_not_grow(tmp_path: Path) -> None:
    """[HRD-38]: operations from many threads leave no connection to the file behind."""
    path = tmp_path / "names.sqlite"

    def open_files() -> int:
        return sum(str(path) in os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())

    with contextlib.closing(SqlStorage(str(path))) as storage:
        storage["first"] = (URI, None)
        before = open_files()

        def work(number: int) -> None:
            for index in range(10):
                storage[f"name.{number}.{index}"] = (URI, {"tag"})
                assert f"name.{number}.{index}" in storage

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(24)))
        assert len(storage) == 241
        assert open_files() <= before + 1  # the write-ahead log may have been opened meanwhile
    assert open_files() == 0
