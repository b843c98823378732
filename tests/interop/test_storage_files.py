"""Files of the name server's storages are used by Pyro4 and pyrolite one after the other ([NS-24], [NS-25])."""

from __future__ import annotations

import contextlib
import dbm
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from peers import command_for, environment_for

from pyrolite.naming import NameServer
from pyrolite.naming_storage import DbmStorage, SqlStorage

pytestmark = pytest.mark.interop

#: Runs under Pyro4: opens the storage, registers and removes what it is told, and prints what is there then.
PROGRAM = """
import json, sys
from Pyro4.naming import NameServer
from Pyro4 import naming_storage
kind, path, actions = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
storage = getattr(naming_storage, kind)(path)
nameserver = NameServer(storageProvider=storage)
for action in actions:
    getattr(nameserver, action[0])(*action[1:])
print(json.dumps([nameserver.count(), nameserver.list(return_metadata=True),
                  nameserver.list(prefix="a", return_metadata=True)]))
storage.close()
"""

URI = "PYRO:obj@host:"
KINDS = {"SqlStorage": SqlStorage, "DbmStorage": DbmStorage}


def in_pyro4(kind: str, path: Path, *actions: list[Any]) -> Any:
    """What Pyro4 finds in the file, after it has done these things."""
    command = command_for("Pyro4", "-c", PROGRAM, kind, str(path), json.dumps(actions))
    done = subprocess.run(
        command, env=environment_for("Pyro4"), capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    count, everything, with_prefix = json.loads(done.stdout)
    assert count == len(everything)
    return normal(everything), normal(with_prefix)


def normal(listing: Any) -> dict[str, tuple[str, list[str]]]:
    return {name: (uri, sorted(metadata)) for name, (uri, metadata) in listing.items()}


def in_pyrolite(kind: str, path: Path, *actions: list[Any]) -> Any:
    """The same with pyrolite."""
    with contextlib.closing(KINDS[kind](path)) as storage:
        nameserver = NameServer(storage)
        for name, *arguments in actions:
            getattr(nameserver, name)(*arguments)
        return tuple(normal(nameserver.list(prefix=prefix, return_metadata=True)) for prefix in (None, "a"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "order", [(in_pyro4, in_pyrolite), (in_pyrolite, in_pyro4)], ids=["pyro4 first", "pyrolite first"]
)
def test_one_after_the_other(kind: str, order: Any, tmp_path: Path) -> None:
    """[NS-24] [NS-25] Each finds what the other has stored, changed and removed."""
    one, other = order
    path = tmp_path / "names"
    tags = ["x", "\xfc"] if kind == "SqlStorage" else None
    kept = sorted(tags or [])
    first = {"a.\xe4\u20ac": (URI + "1", kept), "b": (URI + "2", [])}
    prefixed = {"a.\xe4\u20ac": (URI + "1", kept)}
    actions = [
        ["register", "a.\xe4\u20ac", URI + "1", False, tags],
        ["register", "b", URI + "2"],
        ["register", "c", URI + "3", False, tags],
        ["remove", "c"],
    ]
    assert one(kind, path, *actions) == (first, prefixed)
    assert other(kind, path) == (first, prefixed)
    second = {"a.\xe4\u20ac": (URI + "4", []), "d": (URI + "5", kept)}
    changes = [
        ["remove", "b"],
        ["register", "a.\xe4\u20ac", URI + "4"],
        ["register", "d", URI + "5"],
        ["set_metadata", "d", tags],
    ]
    assert other(kind, path, *changes) == (second, {"a.\xe4\u20ac": (URI + "4", [])})
    assert one(kind, path) == (second, {"a.\xe4\u20ac": (URI + "4", [])})
    assert one(kind, path, ["remove", None, "", ".*"]) == ({}, {})
    assert other(kind, path) == ({}, {})


def test_sql_file_in_use_by_pyrolite(tmp_path: Path) -> None:
    """[NS-24] [BYD-15] Pyro4 reads the file also while pyrolite has it open."""
    path = tmp_path / "names"
    with contextlib.closing(SqlStorage(path)) as storage:
        NameServer(storage).register("a", URI + "1", metadata=["x"])
        assert in_pyro4("SqlStorage", path, ["register", "b", URI + "2"])[0] == {
            "a": (URI + "1", ["x"]),
            "b": (URI + "2", []),
        }
        assert storage["b"] == (URI + "2", set())


def test_dbm_file_after_a_crash(tmp_path: Path) -> None:
    """[HRD-37] After a crash it is complete for Pyro4 as soon as pyrolite has had it open again."""
    path = tmp_path / "names"
    storage = DbmStorage(path)
    NameServer(storage).register("a", URI + "1")
    storage._journal.close()  # as when the process is killed
    storage._closed = True
    DbmStorage(path).close()
    assert dbm.whichdb(str(path))
    assert in_pyro4("DbmStorage", path)[0] == {"a": (URI + "1", [])}
