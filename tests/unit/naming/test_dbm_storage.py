"""The storage in a dbm file ([NS-25]), which loses nothing that was acknowledged ([HRD-37])."""

from __future__ import annotations

import contextlib
import dbm.dumb
import json
import logging
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrolite.errors import NamingError
from pyrolite.naming.storage import dbm as dbm_storage
from pyrolite.naming.storage import journal
from pyrolite.naming_storage import DbmStorage

URI = "PYRO:obj@host:1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.dbm"


@pytest.fixture
def storage(path: Path) -> Iterator[DbmStorage]:
    with contextlib.closing(DbmStorage(path)) as storage:
        yield storage


def contents(path: Path) -> dict[bytes, bytes]:
    """What is in the file, as any program sees it."""
    with dbm.open(str(path), "r") as db:
        return {key: db[key] for key in db.keys()}  # noqa: SIM118 - not all of them are iterable


def test_file(path: Path) -> None:
    """[NS-25] The file exists from the start, only for its owner, and has keys and values in UTF-8."""
    storage = DbmStorage(path)
    assert dbm.whichdb(str(path))
    storage["\xfc"] = "PYRO:\u20ac@host:1", None
    storage["b"] = URI, None
    storage.close()
    assert contents(path) == {"\xfc".encode(): "PYRO:\u20ac@host:1".encode(), b"b": URI.encode()}
    data = [file for file in path.parent.iterdir() if not file.name.endswith((".dir", ".bak"))]
    assert data
    assert {file.stat().st_mode & 0o777 for file in data} == {0o600}
    assert not [file for file in path.parent.iterdir() if "journal" in file.name]


@pytest.mark.parametrize("flavour", ["dbm.dumb", "dbm.gnu", "dbm.ndbm", "dbm.sqlite3"])
def test_flavours(path: Path, flavour: str) -> None:
    """[NS-25] A file of any kind is used, and stays what it is."""
    module = pytest.importorskip(flavour)
    with module.open(str(path), "c") as db:
        db[b"a"] = URI.encode()
    with contextlib.closing(DbmStorage(path)) as storage:
        assert storage.everything() == {"a": URI}
        storage["b"] = URI + "2", None
        del storage["a"]
    assert dbm.whichdb(str(path)) == flavour
    assert contents(path) == {b"b": (URI + "2").encode()}


def test_metadata_is_dropped(storage: DbmStorage, caplog: pytest.LogCaptureFixture) -> None:
    """[NS-25] Metadata is dropped with a warning in the log, and cannot be searched."""
    with caplog.at_level(logging.WARNING, "pyrolite.naming_storage"):
        storage["a"] = URI, ["x"]
    assert "DbmStorage doesn't support metadata, silently discarded" in caplog.text
    assert storage["a"] == (URI, frozenset())
    for search in ({"metadata_all": {"x"}}, {"metadata_any": {"x"}}):
        with pytest.raises(NamingError, match="DbmStorage doesn't support metadata"):
            storage.optimized_metadata_search(**search)
    assert storage.optimized_metadata_search(metadata_all=set()) == {"a": URI}
    assert storage.optimized_metadata_search(metadata_any=[], return_metadata=True) == {"a": (URI, frozenset())}


def test_errors(path: Path, storage: DbmStorage) -> None:
    """[NS-25] [HRD-45] Errors are NamingErrors that say what was being done, with which file."""
    with pytest.raises(KeyError):
        del storage["unknown"]
    with pytest.raises(NamingError, match=r"dbm error in open: .*names\.dbm\.journal is in use"):
        DbmStorage(path)
    with pytest.raises(NamingError, match="dbm error in open: .*missing/names"):
        DbmStorage(path.parent / "missing" / "names")
    other = path.with_name("other")
    other.write_bytes(b"this is no dbm file")
    with pytest.raises(NamingError, match=r"dbm error in open: .*\(.*other\)"):
        DbmStorage(other)
    assert other.read_bytes() == b"this is no dbm file"
    assert not other.with_name("other.journal").exists()
    storage["a"] = URI, None
    storage.close()
    for operation, use in {
        "setitem": lambda: storage.put("b", URI, frozenset()),
        "delitem": lambda: storage.__delitem__("a"),
        "remove_items": lambda: storage.discard(["a"]),
        "clear": storage.clear,
    }.items():
        with pytest.raises(NamingError, match=f"dbm error in {operation}: the storage is closed"):
            use()


def kill(storage: DbmStorage) -> None:
    """End the storage as a killed process does: nothing is written any more."""
    storage._closed = True
    storage._journal.close()


def test_acknowledged_means_durable(path: Path) -> None:
    """[HRD-37] What happened since the file was written is in the journal, and restored from there."""
    storage = DbmStorage(path)
    for number in range(20):
        storage[str(number)] = f"{URI}{number}", None
    storage.remove_items(["3", "4"])
    del storage["5"]
    storage["6"] = "PYRO:new@host:1", None
    expected = storage.everything()
    kill(storage)
    assert contents(path) == {}
    storage = DbmStorage(path)
    assert storage.everything() == expected
    assert contents(path).keys() == {name.encode() for name in expected}  # for Pyro4, too
    storage.clear()
    storage["again"] = URI, None
    kill(storage)
    with contextlib.closing(DbmStorage(path)) as storage:
        assert storage.everything() == {"again": URI}


def test_torn_tail(path: Path) -> None:
    """[HRD-37] A line that was cut off had not been acknowledged; what follows is not harmed by it."""
    file = path.with_name("names.dbm.journal")
    storage = DbmStorage(path)
    storage["a"] = URI, None
    storage["b"] = URI, None
    kill(storage)
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (1, len(lines[-1]) // 2, len(lines[-1]) - 1):
        file.write_bytes(whole[:-cut])
        storage = DbmStorage(path)
        assert storage.everything() == {"a": URI}
        storage["c"] = URI, None
        kill(storage)
        storage = DbmStorage(path)
        assert storage.everything() == {"a": URI, "c": URI}
        storage.clear()
        storage.close()
    file.write_bytes(lines[0][:5])  # not even the first line
    with contextlib.closing(DbmStorage(path)) as storage:
        assert storage.everything() == {}


def test_damaged_journal(path: Path) -> None:
    """[HRD-37] A journal that is damaged in the middle is reported, and left as it is."""
    file = path.with_name("names.dbm.journal")
    storage = DbmStorage(path)
    for name in "abc":
        storage[name] = URI, None
    kill(storage)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"PYRO", b"PYRQ")
    file.write_bytes(b"".join(lines))
    with pytest.raises(NamingError, match=r"names\.dbm\.journal is damaged at line 3: "):
        DbmStorage(path)
    assert file.read_bytes() == b"".join(lines)
    file.write_bytes(b"something else\n")
    with pytest.raises(NamingError, match=r"names\.dbm\.journal is no journal of this storage"):
        DbmStorage(path)


def test_kill_while_the_file_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-37] The file is useless when writing it was interrupted; everything is in the journal then."""
    storage = DbmStorage(path)
    for number in range(10):
        storage[str(number)] = URI, None

    def interrupted(*arguments: object) -> None:
        raise OSError("power failure")

    monkeypatch.setattr(dbm_storage, "sync_files", interrupted)
    with pytest.raises(NamingError, match=r"dbm error in close: power failure \(.*names\.dbm\)"):
        storage.close()
    monkeypatch.undo()
    for file in path.parent.glob("names.dbm.d*"):
        file.unlink()
    with contextlib.closing(DbmStorage(path)) as storage:
        assert len(storage) == 10
        storage["more"] = URI, None
    with contextlib.closing(DbmStorage(path)) as storage:
        assert len(storage) == 11


def test_kill_before_the_file_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-37] A journal that stands for everything replaces an older file, what was removed included."""
    storage = DbmStorage(path)
    storage["a"] = URI, None
    storage["b"] = URI, None
    storage.close()
    storage = DbmStorage(path)
    del storage["a"]
    storage._journal.replace(storage._table)
    storage["c"] = URI, None
    kill(storage)
    with contextlib.closing(DbmStorage(path)) as storage:
        assert storage.everything() == {"b": URI, "c": URI}


def test_large_journal_is_compacted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-37] The journal does not grow for ever."""
    monkeypatch.setattr(dbm_storage, "LARGE_JOURNAL", 2000)
    storage = DbmStorage(path)
    file = path.with_name("names.dbm.journal")
    for number in range(300):
        storage["changing"] = f"{URI}{number}", None
    assert file.stat().st_size < 4000
    assert storage._journal.size == file.stat().st_size
    kill(storage)
    with contextlib.closing(DbmStorage(path)) as storage:
        assert storage.everything() == {"changing": f"{URI}299"}


def test_full_disk(path: Path, storage: DbmStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-37] What could not be written was not stored, and does not harm what is stored later."""
    storage["a"] = URI, None
    real_write = os.write

    def half(descriptor: int, data: bytes) -> int:
        real_write(descriptor, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal.os, "write", half)
    with pytest.raises(NamingError, match="dbm error in setitem: .*No space left on device"):
        storage["b"] = URI, None
    with pytest.raises(NamingError, match="dbm error in remove_items: .*No space left on device"):
        storage.remove_items(["a"])
    monkeypatch.undo()
    assert storage.everything() == {"a": URI}
    storage["c"] = URI, None
    kill(storage)
    with contextlib.closing(DbmStorage(path)) as storage:
        assert storage.everything() == {"a": URI, "c": URI}


def test_journal_format(path: Path) -> None:
    """[HRD-37] Every line has a checksum of what it says."""
    storage = DbmStorage(path)
    storage["\xe4"] = URI, None
    kill(storage)
    header, line = path.with_name("names.dbm.journal").read_text(encoding="ascii").splitlines()
    assert header == "pyrolite journal 1"
    checksum, _, text = line.partition(" ")
    assert int(checksum, 16) == zlib.crc32(text.encode())
    assert json.loads(text) == ["set", "\xe4", URI]


def test_kill_at_any_moment(path: Path) -> None:
    """[HRD-37] What has been acknowledged survives kill -9, again and again."""
    code = f"""if True:
        from pyrolite.naming_storage import DbmStorage
        storage = DbmStorage({str(path)!r})
        number = len(storage)
        while True:
            storage.put(f"name{{number}}", "PYRO:o@h:1", frozenset())
            print(number, flush=True)
            number += 1
    """
    acknowledged = -1
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            target = acknowledged + 30
            for line in process.stdout:
                acknowledged = int(line)
                if acknowledged == target:
                    process.send_signal(signal.SIGKILL)
        assert acknowledged >= target
    with contextlib.closing(DbmStorage(path)) as storage:
        assert {f"name{number}" for number in range(acknowledged + 1)} <= set(storage)
