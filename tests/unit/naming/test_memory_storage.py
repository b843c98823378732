"""The storage in memory: it is a dict ([NS-23]), and stays fast and small with many names."""

from __future__ import annotations

import copy
import pickle
import random
import time
from typing import Any

import pytest

from pyrolite.naming import MemoryStorage
from pyrolite.naming.storage.sortednames import LIMIT, SortedNames

URI = "PYRO:obj@host:1"
ENTRY = (URI, frozenset({"x"}))


def indexed(storage: MemoryStorage) -> dict[str, Any]:
    """What the indexes know; they must always agree with the dict."""
    by_prefix = storage.with_prefix("")
    for tag in ("x", "y", "z"):
        expected = {name for name, (_, tags) in storage.items() if tag in tags}
        assert set(storage.with_metadata(all_of=frozenset(tag))) == expected
        assert set(storage.with_metadata(any_of=frozenset(tag))) == expected
    assert by_prefix == dict(storage)
    assert list(by_prefix) == sorted(storage)
    return by_prefix


def test_is_a_dict() -> None:
    """[NS-23] It is a dict, made like one; missing metadata becomes an empty frozenset."""
    storage = MemoryStorage(a=(URI, None), b=(URI, ["x", "x"]))
    assert isinstance(storage, dict)
    assert storage == {"a": (URI, frozenset()), "b": ENTRY}
    assert MemoryStorage({"a": (URI, {"x"})}) == {"a": ENTRY}
    assert MemoryStorage([("a", (URI, {"x"}))], b=ENTRY) == {"a": ENTRY, "b": ENTRY}
    assert MemoryStorage() == {}
    assert storage.optimized_prefix_list("a") is None
    assert storage.optimized_regex_list("a") is None
    assert storage.optimized_metadata_search(metadata_all={"x"}) is None
    assert storage.optimized_metadata_search(metadata_any={"x"}, return_metadata=True) is None


def test_all_ways_to_change_it() -> None:
    """[NS-23] The indexes follow every method that changes a dict."""
    storage = MemoryStorage(a=(URI, {"x"}))
    storage.update({"b": (URI, {"y"})}, c=(URI, {"x", "y"}))
    assert set(indexed(storage)) == set("abc")
    storage |= {"d": (URI, {"z"})}
    assert set(indexed(storage)) == set("abcd")
    assert storage.setdefault("a", ("other", None)) == ENTRY
    assert storage.setdefault("e", (URI, {"x"})) == ENTRY
    assert storage.pop("b") == (URI, frozenset("y"))
    assert storage.pop("b", None) is None
    with pytest.raises(KeyError):
        storage.pop("b")
    assert storage.popitem() == ("e", ENTRY)
    assert set(indexed(storage)) == set("acd")
    storage["a"] = URI, {"z"}
    storage["c"] = URI, None
    assert storage.get("a") == (URI, frozenset("z"))
    indexed(storage)
    for twin in (copy.copy(storage), copy.deepcopy(storage), pickle.loads(pickle.dumps(storage))):
        assert twin == storage
        assert type(twin) is MemoryStorage
        twin.clear()
        assert indexed(twin) == {}
        with pytest.raises(KeyError):
            twin.popitem()
    assert set(indexed(storage)) == set("acd")


def test_equal_metadata_is_kept_once() -> None:
    """[NS-23] Many registrations with the same metadata share it, until the last of them is gone."""
    storage = MemoryStorage()
    for name in "abc":
        storage[name] = URI, {"x", "y"}
    assert storage["b"][1] is storage["c"][1]
    assert len(storage._tags) == 1
    for name in "abc":
        del storage[name]
    assert len(storage._tags) == 0
    assert not storage._tags._tagged


def test_search_among_many() -> None:
    """[NS-13] With metadata of all kinds: the same for all, for some, and different for each."""
    storage = MemoryStorage()
    rng = random.Random(5)
    for number in range(600):
        storage[str(number)] = URI, {"all", f"some{number % 7}", *([f"own{number}"] if number % 2 else [])}
    for number in rng.sample(range(600), 300):
        if number % 3:
            del storage[str(number)]
        else:
            storage[str(number)] = URI, {"all", "changed"}
    tags = ["all", "changed", "some1", "some2", "own1", "own3", "own5", "nothing"]
    for _ in range(200):
        all_of, any_of = (frozenset(rng.sample(tags, rng.randrange(3))) for _ in range(2))
        expected = {
            name for name, (_, own) in storage.items() if all_of <= own and (not any_of or not any_of.isdisjoint(own))
        }
        assert set(storage.with_metadata(all_of, any_of)) == expected


def test_sorted_names() -> None:
    """[NS-11] Names in order, through all splits and removals, in any order of arrival."""
    names = [f"n{number:05}" for number in range(3 * LIMIT)]
    arrival = names[:]
    random.Random(1).shuffle(arrival)
    table = SortedNames(arrival[:LIMIT])
    for name in arrival[LIMIT:]:
        table.add(name)
    assert list(table.starting_with("")) == names
    assert list(table.starting_with("n000")) == names[:100]
    assert list(table.starting_with("n00")) == names[:1000]
    assert list(table.starting_with("m")) == list(table.starting_with("o")) == []
    for name in arrival[: 2 * LIMIT]:
        table.remove(name)
    left = sorted(arrival[2 * LIMIT :])
    assert list(table.starting_with("n")) == left
    for name in left:
        table.remove(name)
    assert list(table.starting_with("")) == []
    table.add("again")
    assert list(table.starting_with("ag")) == ["again"]


def fastest(work: Any, repetitions: int = 30) -> float:
    """The shortest time that ``work`` takes."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_prefix_listing_costs_what_it_finds() -> None:
    """[NS-11] Listing 100 names costs about the same among 1,000 and among 100,000, and changing the table, too."""
    costs = []
    for count in (1_000, 100_000):
        storage = MemoryStorage({f"group{number % (count // 100):04}.{number:06}": ENTRY for number in range(count)})

        def use(storage: MemoryStorage = storage) -> None:
            assert len(storage.with_prefix("group0007.")) == 100
            storage["group0007.new"] = ENTRY
            del storage["group0007.new"]

        costs.append(fastest(use))
    assert costs[1] < 5 * costs[0], costs


@pytest.mark.slow
def test_a_million_names(run_python: Any) -> None:
    """[NS-23] A million names of usual length, with two pieces of metadata each, take less than 400 MB."""
    done = run_python("""
        import gc
        from pyrolite.naming import MemoryStorage
        gc.disable()  # which takes half of the time, and finds nothing
        storage = MemoryStorage()
        for number in range(1_000_000):
            name, uri = f"service.group.object{number:07}", f"PYRO:obj_{number:032x}@host.example.net:4444"
            storage.put(name, uri, frozenset({"class:service.Object", f"zone:{number % 100}"}))
        assert len(storage.with_prefix("service.group.object00012")) == 100
        with open("/proc/self/status") as status:
            print(status.read().partition("VmHWM:")[2].split()[0])
    """)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 400_000
