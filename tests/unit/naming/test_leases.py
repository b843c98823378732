"""Registrations that vanish unless they are renewed ([BYD-14]), on every storage, with a clock that the tests move."""

from __future__ import annotations

import dbm
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from pyrolite.errors import NamingError
from pyrolite.naming import MemoryStorage, NameServer, leases
from pyrolite.naming_storage import DbmStorage, SqlStorage

from .conftest import ForeignStorage

OBJ = "PYRO:obj@host:1"
OTHER = "PYRO:other@host:2"


class Clock:
    """Both clocks of the module, moved by hand."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.adjusted = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def time(self) -> float:
        return 1.7e9 + self.passed + self.adjusted


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(leases, "time", clock)
    return clock


def test_lease_ends(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] The entry vanishes for all operations at that moment; those without a lease stay."""
    nameserver.register("stays", OBJ)
    nameserver.register("a.leased", OBJ, ttl=10)
    nameserver.register("a.longer", OTHER, ttl=20.5)
    clock.passed = 9.9
    assert nameserver.count() == 3
    assert str(nameserver.lookup("a.leased")) == OBJ
    assert nameserver.list(prefix="a.") == {"a.leased": OBJ, "a.longer": OTHER}
    clock.passed = 10
    assert nameserver.count() == 2
    with pytest.raises(NamingError, match="^unknown name: a.leased$"):
        nameserver.lookup("a.leased")
    clock.passed = 20.5
    assert nameserver.list() == nameserver.list(regex=".*") == {"stays": OBJ}
    assert nameserver.list(prefix="a.") == {}
    assert nameserver.remove("a.longer") == 0
    with pytest.raises(NamingError, match="^unknown name: a.longer$"):
        nameserver.set_metadata("a.longer", ["x"])


def test_renewal(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] Registered again in time, it stays; registered again without a ttl, it stays for ever."""
    for _ in range(5):
        nameserver.register("a", OBJ, ttl=10)
        clock.passed += 9
        assert nameserver.count() == 1
    nameserver.register("a", OBJ, ttl=100)
    clock.passed += 99
    assert nameserver.count() == 1
    nameserver.register("a", OBJ)
    clock.passed += 1000
    assert nameserver.list() == {"a": OBJ}
    nameserver.register("a", OBJ, ttl=1)  # and a lease may come later
    clock.passed += 1
    assert nameserver.list() == {}


def test_lease_is_of_one_registration(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] When the entry was removed in whatever way, a later one of that name is another matter."""
    for remove in ({"name": "a"}, {"prefix": "a"}, {"regex": "a"}):
        nameserver.register("a", OBJ, ttl=10)
        assert nameserver.remove(**remove) == 1
        nameserver.register("a", OBJ)
        clock.passed += 10
        assert nameserver.list() == {"a": OBJ}
        nameserver.remove("a")
    nameserver.register("a", OBJ, ttl=10)
    nameserver.register("a", OTHER)
    clock.passed += 10
    assert nameserver.list() == {"a": OTHER}


def test_safe_registration(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] [NS-7] A name is taken as long as the lease lasts."""
    nameserver.register("a", OBJ, ttl=10)
    with pytest.raises(NamingError, match="^name already registered: a$"):
        nameserver.register("a", OTHER, safe=True, ttl=10)
    clock.passed = 10
    nameserver.register("a", OTHER, safe=True)
    clock.passed = 100
    assert nameserver.list() == {"a": OTHER}


@pytest.mark.usefixtures("with_metadata")
def test_metadata(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] [NS-8] [NS-14] The lease is invisible among the metadata, and is kept when these are replaced."""
    nameserver.register("a", OBJ, metadata=["x", "y"], ttl=10)
    nameserver.register("b", OBJ, ttl=20)
    for _ in range(2):
        assert nameserver.lookup("a", return_metadata=True)[1] == ["x", "y"]
        assert nameserver.list(return_metadata=True) == {"a": (OBJ, ["x", "y"]), "b": (OBJ, [])}
        assert nameserver.list(prefix="a", return_metadata=True) == {"a": (OBJ, ["x", "y"])}
        assert nameserver.list(regex="a", return_metadata=True) == {"a": (OBJ, ["x", "y"])}
        assert nameserver.list(metadata_all=["x", "y"], return_metadata=True) == {"a": (OBJ, ["x", "y"])}
        assert nameserver.yplookup(meta_any=["y"]) == {"a": (OBJ, ["x", "y"])}
        nameserver.set_metadata("a", ["y", "x"])
    clock.passed = 9.9
    nameserver.set_metadata("a", None)
    assert nameserver.lookup("a", return_metadata=True)[1] == []
    clock.passed = 10
    assert nameserver.list(return_metadata=True) == {"b": (OBJ, [])}
    nameserver.set_metadata("b", ["z"])
    clock.passed = 20
    assert nameserver.list(metadata_any=["z"]) == {}


@pytest.mark.usefixtures("with_metadata")
def test_clients_cannot_forge_leases(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] What looks like a lease in metadata that clients give is dropped."""
    forged = "pyrolite.lease:1.0:5.000"
    nameserver.register("a", OBJ, metadata=[forged, "x"])
    nameserver.register("b", OBJ)
    nameserver.set_metadata("b", [forged, "pyrolite.lease:nonsense"])
    clock.passed = 1e6
    assert nameserver.list(return_metadata=True) == {"a": (OBJ, ["x"]), "b": (OBJ, [])}
    nameserver.register("a", OBJ, metadata=[forged], ttl=5)
    clock.passed += 4.9
    assert nameserver.count() == 2


@pytest.mark.parametrize(
    ("ttl", "error"),
    [
        ("5", TypeError),
        (True, TypeError),
        ([1], TypeError),
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (1e10, ValueError),
    ],
)
def test_wrong_ttl(nameserver: NameServer, ttl: Any, error: type[Exception]) -> None:
    """[BYD-14] Refused, with nothing registered."""
    with pytest.raises(error, match="^ttl must be"):
        nameserver.register("a", OBJ, ttl=ttl)
    assert nameserver.count() == 0


def test_clock_is_set(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] Setting the time of day ends no lease that was given here, and prolongs none."""
    nameserver.register("a", OBJ, ttl=10)
    clock.adjusted = 3600
    assert nameserver.count() == 1
    clock.passed, clock.adjusted = 9.9, -3600
    assert nameserver.count() == 1
    clock.passed = 10
    assert nameserver.count() == 0


def test_threads(nameserver: NameServer, clock: Clock) -> None:
    """[BYD-14] [NS-3] Renewed from many threads while leases end."""
    failures: list[BaseException] = []

    def renew(number: int) -> None:
        try:
            for turn in range(20):
                nameserver.register(f"n{number}", OBJ, ttl=1000)
                nameserver.register(f"t{number}.{turn}", OBJ, ttl=1)
                clock.passed += 0.01
                nameserver.list(prefix="t")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=renew, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    clock.passed += 1
    assert set(nameserver.list()) == {f"n{number}" for number in range(4)}


def test_memory_is_bounded(nameserver: NameServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """[BYD-14] Renewals and removals leave nothing behind, however long the leases are."""
    monkeypatch.setattr(leases, "MANY_KNOWN", 20)
    nameserver._leases._many_known = 20
    for number in range(80):
        clock.passed += 1
        nameserver.register("renewed", OBJ, ttl=1e9)
        nameserver.register(f"n{number}", OBJ, ttl=1e8)
        assert nameserver.remove(prefix="n") == 1
        assert len(nameserver._leases._known) <= 50
        assert len(nameserver._leases._ends) <= 2 * 50 + leases.MANY_ENDS
    clock.passed += 1e9
    assert nameserver.count() == 0


# ---- restarts


@pytest.mark.parametrize("make", [SqlStorage, DbmStorage])
@pytest.mark.parametrize("kill", [False, True])
def test_leases_survive(make: Any, kill: bool, tmp_path: Path, clock: Clock) -> None:
    """[BYD-14] [BYD-15] After a restart, what had a lease has it once more, in its full length."""
    first = NameServer(make(tmp_path / "names"))
    first.register("leased", OBJ, ttl=10)
    first.register("later.without", OBJ, ttl=10)
    first.register("later.without", OBJ)
    first.register("removed", OBJ, ttl=10)
    first.remove("removed")
    first.register("moved", OBJ, ttl=10)
    first.register("moved", OTHER, ttl=30)
    first.register("stays", OBJ)
    if not kill:
        first._leases.close()
    first.storage.close()
    if kill:  # what the system does with the locks of a process that ends
        first._leases._beside and first._leases._beside._journal and first._leases._beside._journal.close()
    clock.passed = 100
    second = NameServer(make(tmp_path / "names"))
    clock.passed = 109.9  # the name server was away, so that nobody could renew anything
    assert set(second.list()) == {"leased", "later.without", "moved", "stays"}
    second.register("leased", OBJ, ttl=20)
    clock.passed = 110
    assert set(second.list()) == {"leased", "later.without", "moved", "stays"}
    clock.passed = 130
    assert second.list() == {"later.without": OBJ, "stays": OBJ}
    second._leases.close()
    second.storage.close()
    third = NameServer(make(tmp_path / "names"))
    clock.passed = 1e6
    assert third.list() == {"later.without": OBJ, "stays": OBJ}
    third._leases.close()
    third.storage.close()
    assert not list(tmp_path.glob("*.leases"))


def test_sql_file(tmp_path: Path) -> None:
    """[BYD-14] [NS-24] For Pyro4 a lease is a piece of metadata like any other; replacing the entry removes it."""
    nameserver = NameServer(SqlStorage(tmp_path / "names"))
    nameserver.register("a", OBJ, ttl=10, metadata=["x"])
    with sqlite3.connect(tmp_path / "names") as db:
        rows = db.execute("SELECT m.metadata FROM pyro_names n JOIN pyro_metadata m ON m.object = n.id").fetchall()
    db.close()
    assert sorted(rows) == [("pyrolite.lease:10.0:1700000010.000",), ("x",)]
    nameserver.storage.close()


def test_dbm_file(tmp_path: Path, clock: Clock) -> None:
    """[BYD-14] [NS-25] The file has nothing but names; leases are beside it, and those of other URIs do not count."""
    nameserver = NameServer(DbmStorage(tmp_path / "names"))
    nameserver.register("a", OBJ, ttl=10)
    nameserver.register("b", OBJ, ttl=10)
    nameserver._leases.close()
    nameserver.storage.close()
    with dbm.open(str(tmp_path / "names"), "w") as db:
        assert sorted(db.keys()) == [b"a", b"b"]
        db[b"b"] = OTHER.encode()  # Pyro4 used the file meanwhile
    assert (tmp_path / "names.leases").stat().st_mode & 0o777 == 0o600
    nameserver = NameServer(DbmStorage(tmp_path / "names"))
    clock.passed = 1000
    assert nameserver.list() == {"b": OTHER}
    nameserver._leases.close()
    nameserver.storage.close()


def test_many_renewals_on_dbm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[BYD-14] The journal of leases does not grow for ever."""
    monkeypatch.setattr(leases, "LARGE_JOURNAL", 4096)
    nameserver = NameServer(DbmStorage(tmp_path / "names"))
    for _ in range(400):
        nameserver.register("a", OBJ, ttl=10)
    assert (tmp_path / "names.leases").stat().st_size < 8192
    nameserver._leases.close()
    nameserver.storage.close()


def test_damaged_leases(tmp_path: Path) -> None:
    """[BYD-14] [BYD-15] Damaged or in use: an error that names the file, and nothing is lost."""
    nameserver = NameServer(DbmStorage(tmp_path / "names"))
    nameserver.register("a", OBJ, ttl=10)
    nameserver._leases.close()
    nameserver.storage.close()
    path = tmp_path / "names.leases"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"set", b"sit"))
    storage = DbmStorage(tmp_path / "names")
    with pytest.raises(NamingError, match=r"^dbm error in leases: .*names.leases is damaged at line 2"):
        NameServer(storage)
    assert b"sit" in path.read_bytes()
    path.write_bytes(content)
    assert NameServer(storage).list() == {"a": OBJ}
    storage.close()
    assert json.loads(content.splitlines()[1].partition(b" ")[2])[:2] == ["set", "a"]


# ---- stores that several name servers share


def test_shared_store(clock: Clock) -> None:
    """[BYD-14] [BYD-10] Each of them renews and ends leases that another one has given."""
    store = ForeignStorage()
    first, second = NameServer(store), NameServer(store)
    clock.passed = 100
    first.register("a", OBJ, ttl=10, metadata=["x"])
    assert second.list(return_metadata=True) == {"a": (OBJ, ["x"])}
    second.set_metadata("a", ["y"])
    clock.passed = 105
    second.register("a", OBJ, ttl=10, metadata=["y"])
    clock.passed = 114
    assert first.lookup("a", return_metadata=True)[1] == ["y"]
    first.register("b", OBJ, ttl=5)
    clock.passed = 115
    assert first.list() == second.list() == {"b": OBJ}
    assert list(store) == ["b"]
    clock.passed = 120
    with pytest.raises(NamingError):  # the first one may be gone by now
        second.lookup("b")
    second.ping()
    second.count()
    assert store == {}


def test_shared_store_safe(clock: Clock) -> None:
    """[BYD-14] [NS-7] An entry whose lease has ended is not in the way, though its name server could not remove it."""
    store = ForeignStorage()
    first, second = NameServer(store), NameServer(store)
    clock.passed = 100
    first.register("a", OBJ, ttl=10)
    with pytest.raises(NamingError, match="already registered"):
        second.register("a", OTHER, safe=True)
    clock.passed = 110
    second.register("a", OTHER, safe=True)
    clock.passed = 200
    assert first.list() == second.list() == {"a": OTHER}


class Unreliable(MemoryStorage):
    """A store that can be switched off."""

    off = False

    def snapshot(self, *, metadata: bool = True) -> Any:
        self._check()
        return super().snapshot(metadata=metadata)

    def entry(self, name: str) -> Any:
        self._check()
        return super().entry(name)

    def _check(self) -> None:
        if self.off:
            raise NamingError("name store unavailable: switched off")


def test_store_does_not_work(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """[BYD-14] [BYD-10] What could not be removed is removed when the store works again; also a store that is late."""
    store = Unreliable()
    NameServer(store).register("old", OBJ, ttl=10)
    store.off = True
    nameserver = NameServer(store)
    assert "cannot look for leases yet: name store unavailable" in caplog.text
    nameserver.register("a", OBJ, ttl=10)
    clock.passed = 10
    assert nameserver.count() == 2
    assert "cannot remove 'a', whose lease has ended: name store unavailable" in caplog.text
    clock.passed = 14.9
    store.off = False
    assert nameserver.count() == 2
    clock.passed = 15
    assert nameserver.count() == 0
