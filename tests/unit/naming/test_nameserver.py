"""The name server object ([NS-1] to [NS-16]), the same on every storage."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import pyrolite
from pyrolite import constants, naming
from pyrolite.core import URI, current_context
from pyrolite.core.exposure import get_exposed_members
from pyrolite.errors import NamingError, PyroError
from pyrolite.naming import MemoryStorage, NameServer

OBJ = "PYRO:obj@host:1"
OWN = constants.NAMESERVER_NAME


@pytest.fixture
def in_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the calls came from a client."""
    monkeypatch.setattr(current_context._state, "client", object())


def test_public_names() -> None:
    """[OV-17] [OV-18] [OV-19] [OV-36] What can be imported from where."""
    assert sorted(naming.__all__) == ["locateNS", "resolve", "startNS", "startNSloop", "type_meta"]
    assert naming.locateNS is pyrolite.locateNS is pyrolite.core._locateNS
    assert naming.resolve is pyrolite.resolve is pyrolite.core._resolve
    names: dict[str, Any] = {}
    exec("from pyrolite.naming import *; from pyrolite.naming_storage import *", names)
    assert set(naming.__all__) | {"SqlStorage", "DbmStorage"} <= set(names)
    for name in ("NameServer", "NameServerDaemon", "MemoryStorage", "AutoCleaner", "BroadcastServer", "main"):
        assert callable(getattr(naming, name))


def test_naming_storage_modules() -> None:
    """[OV-20] The modules that the storages use."""
    import dbm
    import sqlite3

    from pyrolite import naming_storage

    assert naming_storage.dbm is dbm
    assert naming_storage.sqlite3 is sqlite3


def test_remote_methods() -> None:
    """[NS-3] [P5-52] Exactly these can be called remotely."""
    members = get_exposed_members(NameServer)
    assert members["methods"] == {
        "count", "list", "lookup", "ping", "register", "remove", "set_metadata", "yplookup",
    }  # fmt: skip
    assert members["attrs"] == set()
    assert members["oneway"] == set()


def test_storage_attribute(storage: Any) -> None:
    """[NS-4] The storage that was given is the attribute, and a new one in memory the default."""
    assert NameServer(storage).storage is storage
    assert NameServer(storageProvider=storage).storage is storage
    assert type(NameServer().storage) is MemoryStorage
    assert NameServer().storage is not NameServer().storage


def test_count_and_ping(nameserver: NameServer) -> None:
    """[NS-5]."""
    assert nameserver.count() == 0
    nameserver.register("a", OBJ)
    nameserver.register("A", OBJ)  # [NS-1] names are case-sensitive
    assert nameserver.count() == 2
    assert nameserver.ping() is None


def test_lookup(nameserver: NameServer) -> None:
    """[NS-6] A URI object, never a text."""
    nameserver.register("a", OBJ)
    found = nameserver.lookup("a")
    assert type(found) is URI
    assert found == URI(OBJ)
    uri, metadata = nameserver.lookup("a", return_metadata=True)
    assert (type(uri), uri, metadata) == (URI, URI(OBJ), [])
    assert isinstance(nameserver.lookup("a", True), tuple)
    for unknown in ("", "A", "unknown", None, 5, ["a"]):
        with pytest.raises(NamingError) as error:
            nameserver.lookup(unknown)  # type: ignore[arg-type]
        assert str(error.value) == f"unknown name: {unknown}"


def test_register(nameserver: NameServer) -> None:
    """[NS-7] URIs and texts, of any protocol, are stored as they are."""
    for name, uri in {
        "a": URI(OBJ),
        "b": OBJ,
        "c": "PYRONAME:name",
        "d": "PYROMETA:x,y",
        "e": "PYRO:o@./u:sock",
        "f": "pyro:o@h:1",
    }.items():
        assert nameserver.register(name, uri) is None
        assert nameserver.list()[name] == str(uri)
    assert nameserver.lookup("d") == URI("PYROMETA:x,y")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((5, 5, False, 5), TypeError, "only URIs or strings can be registered"),
        ((5, b"PYRO:o@h:1"), TypeError, "only URIs or strings can be registered"),
        ((5, None), TypeError, "only URIs or strings can be registered"),
        ((5, "nonsense", False, 5), PyroError, "invalid uri"),
        ((5, OBJ, False, 5), TypeError, "name must be a str"),
        ((b"a", OBJ), TypeError, "name must be a str"),
        (("a", OBJ, False, "x"), TypeError, "metadata should not be a str, but another iterable (set, list, etc)"),
        (("a", OBJ, False, 5), TypeError, "'int' object is not iterable"),
        (("a", OBJ, False, [5]), TypeError, "metadata must contain only str"),
        (("a", OBJ, False, b"x"), TypeError, "metadata must contain only str"),
    ],
)
def test_register_wrongly(nameserver: NameServer, arguments: Any, error: type[Exception], text: str) -> None:
    """[NS-7] [NS-14] URI, name and metadata are checked in this order, before anything is stored."""
    with pytest.raises(error) as raised:
        nameserver.register(*arguments)
    assert str(raised.value) == text
    assert nameserver.count() == 0


def test_register_safely(nameserver: NameServer) -> None:
    """[NS-7] ``safe`` refuses a name that is there already, whatever is registered."""
    nameserver.register("a", OBJ, safe=True)
    with pytest.raises(NamingError, match="^name already registered: a$"):
        nameserver.register("a", OBJ, safe=True)
    nameserver.register("a", OBJ + "2")
    assert nameserver.list() == {"a": OBJ + "2"}


@pytest.mark.usefixtures("with_metadata")
def test_metadata_is_replaced(nameserver: NameServer) -> None:
    """[NS-7] [NS-8] [NS-14] Registering again loses old metadata; metadata is returned as a sorted list."""
    nameserver.register("a", OBJ, metadata=["c", "a", "b", "a"])
    assert nameserver.lookup("a", return_metadata=True) == (URI(OBJ), ["a", "b", "c"])
    assert nameserver.list(return_metadata=True) == {"a": (OBJ, ["a", "b", "c"])}
    nameserver.register("a", OBJ)
    assert nameserver.lookup("a", return_metadata=True)[1] == []
    nameserver.set_metadata("a", {"X", "x"})
    assert nameserver.lookup("a", return_metadata=True)[1] == ["X", "x"]
    nameserver.set_metadata("a", (tag for tag in ("z",)))  # any iterable
    assert nameserver.lookup("a", return_metadata=True)[1] == ["z"]
    for nothing in (None, [], set()):
        nameserver.set_metadata("a", {"x"})
        nameserver.set_metadata("a", nothing)
        assert nameserver.lookup("a", return_metadata=True)[1] == []


def test_set_metadata_wrongly(nameserver: NameServer) -> None:
    """[NS-8] The name is checked first."""
    nameserver.register("a", OBJ)
    with pytest.raises(TypeError, match="^name must be a str$"):
        nameserver.set_metadata(5, "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^metadata should not be a str, but another iterable"):
        nameserver.set_metadata("unknown", "x")
    with pytest.raises(TypeError):
        nameserver.set_metadata("a", 5)  # type: ignore[arg-type]
    with pytest.raises(NamingError, match="^unknown name: unknown$"):
        nameserver.set_metadata("unknown", ["x"])


@pytest.fixture
def filled(nameserver: NameServer) -> NameServer:
    """Some names, and the name server's own."""
    nameserver._register_own(URI(f"PYRO:{OWN}@host:9090"))
    for name in ("test.a", "test.b", "test_c", "Test.a", "other"):
        nameserver.register(name, OBJ)
    return nameserver


def names(nameserver: NameServer) -> set[str]:
    return set(nameserver.list()) - {OWN}


ALL = {"test.a", "test.b", "test_c", "Test.a", "other"}


@pytest.mark.parametrize(
    ("arguments", "count", "left"),
    [
        ({}, 0, ALL),
        ({"name": ""}, 0, ALL),
        ({"name": "unknown"}, 0, ALL),
        ({"name": 5}, 0, ALL),
        ({"name": "test.a"}, 1, ALL - {"test.a"}),
        ({"name": "test.a", "prefix": "test"}, 1, ALL - {"test.a"}),
        ({"name": "unknown", "prefix": "test."}, 2, ALL - {"test.a", "test.b"}),
        ({"name": "unknown", "prefix": "", "regex": "test.$"}, 0, ALL),
        ({"name": "unknown", "regex": "test"}, 3, ALL - {"test.a", "test.b", "test_c"}),
        ({"prefix": "test."}, 2, ALL - {"test.a", "test.b"}),
        ({"prefix": "test_"}, 1, ALL - {"test_c"}),
        ({"prefix": "t%"}, 0, ALL),
        ({"prefix": ""}, 0, ALL),
        ({"prefix": "P"}, 0, ALL),
        ({"prefix": "test.", "regex": "other"}, 2, ALL - {"test.a", "test.b"}),
        ({"regex": "test."}, 3, ALL - {"test.a", "test.b", "test_c"}),
        ({"regex": ".est\\.a"}, 2, ALL - {"test.a", "Test.a"}),
        ({"regex": ".*"}, 5, set()),
        ({"regex": ""}, 0, ALL),
        ({"regex": "Pyro.*"}, 0, ALL),
        ({"name": OWN}, 0, ALL),
        ({"name": OWN, "prefix": "Pyro"}, 0, ALL),
    ],
)
def test_remove(filled: NameServer, arguments: Any, count: int, left: set[str]) -> None:
    """[NS-9] [NS-11] Name, then prefix, then expression; the name server's own entry always stays."""
    assert filled.remove(**arguments) == count
    assert names(filled) == left
    assert OWN in filled.list()


@pytest.mark.usefixtures("with_metadata")
def test_remove_by_metadata(nameserver: NameServer) -> None:
    """[NS-9] [NS-13] [BYD-10] All that have all, or any, of it; nothing without any; never the own entry."""
    nameserver._register_own(URI("PYRO:ns@host:1"))
    for name, tags in (("a", "xy"), ("b", "yz"), ("c", "z"), ("d", "")):
        nameserver.register(name, OBJ, metadata=tuple(tags))
    assert nameserver.remove(metadata_all=[]) == nameserver.remove(metadata_any=set()) == nameserver.remove() == 0
    assert nameserver.remove(metadata_all=["x", "z"]) == 0
    assert nameserver.remove(metadata_all=["y", "x", "x"]) == 1
    assert nameserver.remove("unknown", metadata_any=["z", "unknown"]) == 2
    assert nameserver.remove(metadata_any=["class:Pyro4.naming.NameServer"]) == 0
    assert set(nameserver.list()) == {OWN, "d"}
    for arguments in ({"metadata_all": "x"}, {"metadata_any": "x"}, {"metadata_all": 5}, {"metadata_any": [5]}):
        with pytest.raises(TypeError):
            nameserver.remove(**arguments)
    assert nameserver.remove("d", metadata_any=["z"]) == 1


def test_remove_by_expression_sees_names_that_come_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-9] [NS-15] What is registered while nothing is locked is removed if it matches, or was removed before."""
    nameserver = NameServer()
    nameserver.register("a1", OBJ)
    snapshot = nameserver._names.snapshot
    later = iter(["a2", "b", "a3"])

    def registering(**options: Any) -> Any:
        found = snapshot(**options)
        for name in later:
            nameserver.register(name, OBJ)
            break
        return found

    monkeypatch.setattr(nameserver._names, "snapshot", registering)
    assert nameserver.remove(regex=".*[0-9]") == 3
    monkeypatch.undo()
    assert set(nameserver.list()) == {"b"}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, ALL | {OWN}),
        ({"prefix": "test."}, {"test.a", "test.b"}),
        ({"prefix": "test_"}, {"test_c"}),
        ({"prefix": "TEST"}, set()),
        ({"prefix": "%"}, set()),
        ({"prefix": ""}, ALL | {OWN}),
        ({"regex": "test"}, {"test.a", "test.b", "test_c"}),
        ({"regex": "est"}, set()),
        ({"regex": "test.a$"}, {"test.a"}),
        ({"regex": "(?i)test"}, ALL - {"other"}),
        ({"regex": "[tT]est[.]"}, {"test.a", "test.b", "Test.a"}),
        ({"regex": ""}, ALL | {OWN}),
        ({"metadata_all": []}, ALL | {OWN}),
        ({"metadata_any": set()}, ALL | {OWN}),
    ],
)
def test_list(filled: NameServer, arguments: Any, found: set[str]) -> None:
    """[NS-10] [NS-11] [NS-12] Filters; an empty one is none. Expressions are anchored at the start only."""
    assert set(filled.list(**arguments)) == found
    if "metadata_all" not in arguments and "metadata_any" not in arguments:
        detailed = filled.list(return_metadata=True, **arguments)
        assert set(detailed) == found
        assert all(type(entry) is tuple and type(entry[1]) is list for entry in detailed.values())


def test_list_wrongly(nameserver: NameServer) -> None:
    """[NS-10] [NS-12] [NS-13] One filter at most, of the right type."""
    for one, other in (("prefix", "regex"), ("regex", "metadata_all"), ("metadata_all", "metadata_any")):
        with pytest.raises(ValueError, match="^you can only filter on one thing at a time$"):
            nameserver.list(**{one: "", other: ""})  # type: ignore[arg-type]
    for argument in ("metadata_all", "metadata_any"):
        with pytest.raises(TypeError, match=f"^{argument} should not be a str, but another iterable"):
            nameserver.list(**{argument: "x"})  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            nameserver.list(**{argument: 5})  # type: ignore[arg-type]
    for argument in ("prefix", "regex"):
        with pytest.raises(TypeError, match=f"{argument} must be a str"):
            nameserver.list(**{argument: 5})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=f"{argument} must be a str"):
            nameserver.remove(**{argument: 5})  # type: ignore[arg-type]
    for use in (nameserver.list, nameserver.remove):
        with pytest.raises(NamingError, match="^invalid regex: missing \\), unterminated subpattern"):
            use(regex="((")
        with pytest.raises(NamingError, match="^invalid regex: longer than 1000 characters"):
            use(regex="a" * 1001)
        with pytest.raises(NamingError, match="^invalid regex: it repeats something"):
            use(regex="(a+)+$")


@pytest.mark.usefixtures("with_metadata")
def test_search_by_metadata(nameserver: NameServer) -> None:
    """[NS-13] All or any of the given metadata; duplicates do not matter."""
    nameserver.register("a", OBJ, metadata={"x", "y"})
    nameserver.register("b", OBJ, metadata={"y", "z"})
    nameserver.register("c", OBJ)

    def found(**search: Any) -> set[str]:
        return set(nameserver.list(**search))

    assert found(metadata_all=["x", "x", "y"]) == {"a"}
    assert found(metadata_all={"y"}) == {"a", "b"}
    assert found(metadata_all=("x", "z")) == set()
    assert found(metadata_all=["Y"]) == set()
    assert found(metadata_any=["x", "z", "x"]) == {"a", "b"}
    assert found(metadata_any={"nothing"}) == set()
    assert nameserver.list(metadata_any=["x"], return_metadata=True) == {"a": (OBJ, ["x", "y"])}
    assert nameserver.list(metadata_all=["x"]) == {"a": OBJ}
    with pytest.raises(TypeError, match="metadata_any must contain only str"):
        nameserver.list(metadata_any=[5])  # type: ignore[list-item]


def test_metadata_without_support(kind: Any, nameserver: NameServer) -> None:
    """[NS-25] Where there is no metadata, names are registered without, and cannot be searched."""
    if kind.metadata:
        pytest.skip("this storage has metadata")
    nameserver.register("a", OBJ, metadata={"x"})
    assert nameserver.lookup("a", return_metadata=True) == (URI(OBJ), [])
    nameserver.set_metadata("a", {"x"})
    assert nameserver.list(return_metadata=True) == {"a": (OBJ, [])}
    with pytest.raises(NamingError, match="^DbmStorage doesn't support metadata$"):
        nameserver.list(metadata_all={"x"})


@pytest.mark.usefixtures("with_metadata")
def test_yplookup(nameserver: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """[P5-51] [P5-52] The search of Pyro5, with its own defaults; sets on its protocol."""
    nameserver.register("a", OBJ, metadata={"x", "y"})
    nameserver.register("b", OBJ, metadata={"y"})
    assert nameserver.yplookup(meta_all={"x", "y"}) == {"a": (OBJ, ["x", "y"])}
    assert nameserver.yplookup(meta_any=["x", "y"], return_metadata=False) == {"a": OBJ, "b": OBJ}
    assert nameserver.yplookup() == nameserver.yplookup(meta_all=[]) == {}
    with pytest.raises(ValueError, match="^you can't use meta_all or meta_any at the same time$"):
        nameserver.yplookup(meta_all=["x"], meta_any=["x"])
    with pytest.raises(TypeError):
        nameserver.yplookup(meta_all="x")
    monkeypatch.setattr(type(current_context), "protocol", 502)
    assert nameserver.yplookup(meta_all={"x"}) == {"a": (OBJ, {"x", "y"})}
    assert nameserver.lookup("a", return_metadata=True)[1] == {"x", "y"}


@pytest.mark.usefixtures("in_request")
def test_clients_cannot_change_the_own_entry(filled: NameServer) -> None:
    """[HRD-43] Clients cannot take over the name server's own registration."""
    before = filled.lookup(OWN, return_metadata=True)
    with pytest.raises(NamingError, match="own registration cannot be changed"):
        filled.register(OWN, "PYRO:evil@host:1")
    with pytest.raises(NamingError, match="own registration cannot be changed"):
        filled.set_metadata(OWN, {"evil"})
    assert filled.lookup(OWN, return_metadata=True) == before
    filled.register("mine", OBJ)
    filled.set_metadata("mine", [])


def test_the_program_itself_can_change_the_own_entry(filled: NameServer) -> None:
    """[HRD-43] Local calls can."""
    filled.register(OWN, OBJ)
    assert filled.lookup(OWN) == URI(OBJ)
    filled.set_metadata(OWN, [])


def test_type_meta() -> None:
    """[NS-16] Metadata for every class of the MRO outside of builtins."""

    class Base:
        pass

    class Derived(Base, dict[str, int]):
        pass

    here = f"{__name__}.test_type_meta.<locals>"
    expected = {f"class:{__name__}.Base", f"class:{__name__}.Derived"}
    assert here.startswith(__name__)
    assert naming.type_meta(Derived) == expected
    assert naming.type_meta(Derived()) == expected
    assert naming.type_meta(Base, prefix="") == {f"{__name__}.Base"}
    for thing in (int, 5, "text", object(), dict):
        assert naming.type_meta(thing) == set()
    assert naming.type_meta(NameServer) == {"class:pyrolite.naming.NameServer"}


def test_nothing_is_locked_while_expressions_are_matched(filled: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-15] [HRD-17] Other clients are served while an expression is being matched."""
    matching, release = threading.Event(), threading.Event()

    def slowly(self: Any, candidates: Any) -> Any:
        for name in candidates:
            matching.set()
            assert release.wait(10)
            yield name

    monkeypatch.setattr("pyrolite.naming.patterns.CheckedPattern.matching", slowly)
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(filled.list(regex="t"))),
        threading.Thread(target=lambda: results.append(filled.remove(regex="o"))),
    ]
    for thread in threads:
        thread.start()
        assert matching.wait(10)
        matching.clear()
    start = time.monotonic()
    filled.register("new", OBJ)
    assert filled.lookup("test.a") == URI(OBJ)
    filled.remove("new")
    assert time.monotonic() - start < 5
    release.set()
    for thread in threads:
        thread.join()
    assert len(results) == 2
