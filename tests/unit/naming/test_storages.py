"""What all storages have in common ([NS-22]): the mapping, and operations that happen in one step."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyrolite.errors import NamingError
from pyrolite.naming import storage as storage_package
from pyrolite.naming.storage import as_storage, open_storage, register_kind

URI = "PYRO:obj@host:1"


def test_mapping(storage: Any) -> None:
    """[NS-22] A storage is a mutable mapping of names to URI and metadata."""
    storage["a"] = URI, None
    storage["b"] = URI + "2", set()
    assert storage["a"] == (URI, frozenset()) or storage["a"] == (URI, None)
    assert storage["b"][0] == URI + "2"
    assert len(storage) == 2
    assert sorted(storage) == ["a", "b"]
    assert "a" in storage
    assert "c" not in storage
    storage["a"] = "PYRO:other@host:2", None
    assert storage["a"][0] == "PYRO:other@host:2"
    assert len(storage) == 2
    del storage["a"]
    assert sorted(storage) == ["b"]
    for missing in ("a", ""):
        with pytest.raises(KeyError):
            storage[missing]
        with pytest.raises(KeyError):
            del storage[missing]


def test_everything_remove_and_clear(storage: Any) -> None:
    """[NS-22] ``everything``, ``remove_items``, which ignores what it does not know, and ``clear``."""
    for name in "abc":
        storage[name] = URI + name, None
    assert storage.everything() == {"a": URI + "a", "b": URI + "b", "c": URI + "c"}
    assert {name: value[0] for name, value in storage.everything(return_metadata=True).items()} == storage.everything()
    storage.remove_items(["a", "unknown", "b"])
    assert storage.everything() == {"c": URI + "c"}
    storage.clear()
    assert storage.everything() == {}
    assert len(storage) == 0
    storage["d"] = URI, None
    assert storage.everything() == {"d": URI}


@pytest.mark.usefixtures("with_metadata")
def test_metadata(storage: Any) -> None:
    """[NS-22] Metadata is kept as a set, and replaced with the URI."""
    storage["a"] = URI, ["x", "y", "x"]
    assert set(storage["a"][1]) == {"x", "y"}
    uri, tags = storage.everything(return_metadata=True)["a"]
    assert (uri, set(tags)) == (URI, {"x", "y"})
    storage["a"] = URI, {"z"}
    assert set(storage["a"][1]) == {"z"}
    storage["a"] = URI, None
    assert not storage["a"][1]


def test_optimised_functions_filter_or_decline(storage: Any) -> None:
    """[NS-22] The optimised functions give the right answer, or None."""
    for name in ("test.a", "test.b", "best.a"):
        storage[name] = URI + name, None
    found = storage.optimized_prefix_list("test.")
    assert found in (None, {"test.a": URI + "test.a", "test.b": URI + "test.b"})
    detailed = storage.optimized_prefix_list("test.", return_metadata=True)
    assert detailed is None or {name: value[0] for name, value in detailed.items()} == found
    assert storage.optimized_regex_list("test") is None
    assert storage.optimized_metadata_search(metadata_all=set()) in (None, storage.everything())


NAMES = ("", *"a_b a%b aXb A_b a ab \xe4 \xe4b z\U0010ffff z\U0010ffffx z \ud7ffa \ue000".split())


@pytest.mark.parametrize("prefix", [*NAMES, "a_", "a%", "%", "_", "\ud7ff", "\U0010ffff", "nothing"])
def test_prefixes_are_exact(storage: Any, prefix: str) -> None:
    """[NS-11] [HRD-35] Prefixes mean what they say: in upper and lower case, without wildcards, for all characters."""
    names = as_storage(storage)
    for name in NAMES:
        names.put(name, URI, frozenset())
    expected = {name for name in NAMES if name.startswith(prefix)}
    assert set(names.with_prefix(prefix)) == expected
    assert set(names.with_prefix(prefix, metadata=False)) == expected
    assert names.discard_prefix(prefix, keep=("a",)) == len(expected - {"a"})
    assert set(names) == set(NAMES) - (expected - {"a"})


def test_atomic_operations(storage: Any) -> None:
    """[NS-7] [NS-8] [NS-9] What the name server does is one operation of the storage each."""
    names = as_storage(storage)
    assert names.put("a", URI, frozenset())
    assert not names.put("a", URI + "9", frozenset(), safe=True)
    assert names.entry("a") == (URI, frozenset())
    assert names.put("a", URI + "2", frozenset())
    assert names.put("b", URI + "3", frozenset(), safe=True)
    assert names.entry("unknown") is None
    assert names.put_metadata("a", frozenset())
    assert not names.put_metadata("unknown", frozenset())
    assert names.snapshot() == {"a": (URI + "2", frozenset()), "b": (URI + "3", frozenset())}
    assert names.discard(["a"], uri=URI) == 0  # registered with another URI meanwhile
    assert names.discard(["a", "a", "unknown", "b"]) == 2
    assert names.snapshot() == {}


@pytest.mark.usefixtures("with_metadata")
def test_metadata_operations(storage: Any) -> None:
    """[NS-8] [NS-13] Metadata is replaced, searched, and gone with its entry."""
    names = as_storage(storage)
    names.put("a", URI, frozenset("xy"))
    names.put("b", URI, frozenset("yz"))
    names.put("c", URI, frozenset())

    def found(**search: frozenset[str]) -> set[str]:
        return set(names.with_metadata(**search))

    assert found(all_of=frozenset("xy")) == {"a"}
    assert found(all_of=frozenset("y")) == {"a", "b"}
    assert found(any_of=frozenset("xz")) == {"a", "b"}
    assert found(all_of=frozenset("y"), any_of=frozenset("z")) == {"b"}
    assert found(all_of=frozenset(("y", "nothing"))) == set()
    assert found(any_of=frozenset(("z", "nothing"))) == {"b"}
    assert found() == {"a", "b", "c"}
    assert names.with_metadata(all_of=frozenset("x")) == {"a": (URI, frozenset("xy"))}
    assert names.put_metadata("a", frozenset("z"))
    assert found(all_of=frozenset("z")) == {"a", "b"}
    assert found(all_of=frozenset("x")) == set()
    names.put("b", URI, frozenset())
    assert found(any_of=frozenset("yz")) == {"a"}
    names.discard(["a"])
    assert found(any_of=frozenset("xyz")) == set()
    many = frozenset(map(str, range(2000)))
    names.put("d", URI, many)
    assert found(all_of=many) == {"d"}
    assert found(any_of=many) == {"d"}
    assert found(all_of=many | {"x"}) == set()


def test_many_names_at_once(storage: Any) -> None:
    """[NS-9] Removing more names than one statement of a database has parameters."""
    names = as_storage(storage)
    for number in range(2500):
        names.put(f"n{number:04}", URI, frozenset())
    assert names.discard(f"n{number:04}" for number in range(2400)) == 2400
    assert len(names.with_prefix("n24")) == 100
    assert names.discard_prefix("n") == 100


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in threads, with their numbers; raises what they raise."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_one_of_many_wins(storage: Any) -> None:
    """[NS-7] ``safe`` is check and store in one step: of several threads exactly one succeeds for each name."""
    names = as_storage(storage)
    winners: list[tuple[str, int]] = []

    def register(number: int) -> None:
        for name in range(20):
            if names.put(str(name), f"PYRO:o@h:{number}", frozenset(), safe=True):
                winners.append((str(name), number))

    in_threads(4, register)
    assert len(winners) == 20
    assert {name: f"PYRO:o@h:{number}" for name, number in winners} == {
        name: entry[0] for name, entry in names.snapshot().items()
    }


def test_listing_while_others_change(storage: Any) -> None:
    """[NS-3] [HRD-46] Listings are of one moment, whatever others add and remove meanwhile."""
    names = as_storage(storage)
    for name in ("left", "right"):
        names.put(f"{name}.fixed", URI, frozenset())
    done = threading.Event()

    def change(number: int) -> None:
        if number:
            for turn in range(60):
                # both or none of them exist between the steps of one thread, and "b" never without "a"
                names.put(f"{number}.a", f"{turn}", frozenset())
                names.put(f"{number}.b", f"{turn}", frozenset())
                names.discard([f"{number}.a", f"{number}.b"])
            if number == 1:
                done.set()
            return
        while not done.is_set():
            found = names.snapshot()
            assert {"left.fixed", "right.fixed"} <= set(found)
            for thread in (1, 2):
                assert f"{thread}.b" not in found or f"{thread}.a" in found
            assert set(names.with_prefix("left")) == {"left.fixed"}

    in_threads(3, change)
    assert set(names) == {"left.fixed", "right.fixed"}


def test_close_is_idempotent(storage: Any) -> None:
    """[NS-19] A storage may be closed again."""
    storage["a"] = URI, None
    storage.close()
    storage.close()


def test_unknown_attributes(storage: Any) -> None:
    """[NS-26] What a storage does not have it does not pretend to have."""
    assert not hasattr(storage, "no_such_thing")


def test_persistence(kind: Any, tmp_path: Path) -> None:
    """[NS-24] [NS-25] What was stored is there when the file is opened again."""
    if not kind.persistent:
        pytest.skip("this storage is volatile")
    path = tmp_path / "names"
    storage = kind.make(path)
    storage["\xfcml\xe4ut \u20ac\U0001f600"] = URI, None
    storage["b"] = URI + "2", None
    del storage["b"]
    storage["c"] = URI + "3", ["x"] if kind.metadata else None
    storage.close()
    for _ in range(2):
        storage = kind.make(path)
        try:
            assert storage.everything() == {"\xfcml\xe4ut \u20ac\U0001f600": URI, "c": URI + "3"}
            assert storage["c"][1] == ({"x"} if kind.metadata else set())
        finally:
            storage.close()


def test_names_that_cannot_be_written(kind: Any, storage: Any) -> None:
    """[NS-24] [NS-25] Texts that are not Unicode are refused by files, and nothing else is lost."""
    storage["a"] = URI, None
    if kind.persistent:
        with pytest.raises(NamingError, match=f"{'sqlite' if kind.name == 'sql' else kind.name} error in setitem: "):
            storage["\ud800"] = URI, None
    assert storage.everything() == {"a": URI}


@pytest.mark.parametrize("text", ["", "foo", "sql", "sql:", "dbm:", "dbm", "foo:bar", "Memory", ":", "redis"])
def test_invalid_kinds(text: str) -> None:
    """[NS-18] What is no kind of storage, or has no file, is refused."""
    with pytest.raises(ValueError, match=f"invalid storage type '{text}'"):
        open_storage(text)


def test_kinds(tmp_path: Path, storage: Any) -> None:
    """[NS-18] Storages are chosen by a text; an object is a storage already."""
    assert type(open_storage()).__name__ == "MemoryStorage"
    assert type(open_storage("memory")).__name__ == "MemoryStorage"
    for kind, name in (("sql", "SqlStorage"), ("dbm", "DbmStorage")):
        opened = open_storage(f"{kind}:{tmp_path / kind}:x")
        assert type(opened).__name__ == name
        opened.close()
    assert open_storage(storage) is storage


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("redis://host", "redis", "redis"),
        ("rediss://host", "redis", "redis"),
        ("unix:///socket", "redis", "redis"),
        ("postgresql://host/names", "psycopg", "postgresql"),
        ("postgres://host/names", "psycopg_pool", "postgresql"),
    ],
)
def test_missing_packages(url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """[OV-3] [BYD-10] [BYD-60] What is not installed is asked for by its name, when it is needed."""
    for name in list(sys.modules):
        if name.partition(".")[0] == package or name == f"pyrolite.naming.storage.{extra}":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    kind = url.partition(":")[0]
    with pytest.raises(
        NamingError, match=rf"^storages of the kind {kind} need .*: pip install 'pyrolite-rpc\[{extra}\]' \("
    ):
        open_storage(url)


def test_kinds_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-18] [NS-22] With the text after the colon, or all of it."""
    for whole, expected in ((False, "//a/b"), (True, "made:up://a/b")):
        monkeypatch.setitem(storage_package._KINDS, "made", storage_package._KINDS["sql"])
        register_kind("made", "collections", "UserString", whole=whole)
        assert open_storage("made:" + ("up:" if whole else "") + "//a/b") == expected
