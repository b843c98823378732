"""Several name servers on one store: who wins, what is left when one of them ends, and what they keep to themselves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import pyrolite
from pyrolite.configuration import config
from pyrolite.core import URI, Proxy
from pyrolite.errors import CommunicationError, NamingError
from pyrolite.naming import NameServer, locateNS
from pyrolite.testing import running_daemon

SERVERS, CLIENTS, NAMES = 4, 8, 12


def in_threads(work: list[Callable[[], None]]) -> None:
    """Do all of it at the same time; raises what one of them raises."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(each: Callable[[], None]) -> None:
        start.wait()
        try:
            each()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_exactly_one_wins(kind: Any, start_nameserver: Any) -> None:
    """[BYD-10] [NS-7] Of 8 clients at each of 4 name servers one gets each name."""
    uris = [start_nameserver(kind.server.url)[1] for _ in range(SERVERS)]
    won: list[tuple[str, str]] = []
    refusals: set[str] = set()

    def client(uri: URI, number: int) -> None:
        own = f"PYRO:client{number}@host:1"
        with Proxy(uri) as nameserver:
            for name in range(NAMES):
                try:
                    nameserver.register(f"name.{name}", own, safe=True, metadata=["tag"])
                except NamingError as error:
                    refusals.add(str(error))
                else:
                    won.append((f"name.{name}", own))

    in_threads([lambda u=uri, n=n: client(u, n) for n, uri in enumerate(uris * CLIENTS)])  # type: ignore[misc]
    assert refusals <= {f"name already registered: name.{name}" for name in range(NAMES)}
    assert sorted(name for name, _ in won) == sorted(f"name.{name}" for name in range(NAMES))
    for uri in uris:
        with Proxy(uri) as nameserver:
            assert nameserver.list(prefix="name.") == dict(won)
            assert nameserver.count() == NAMES + 1


@pytest.mark.parametrize("how", ["prefix", "regex", "names"])
def test_each_name_is_removed_once(kind: Any, storage: Any, how: str) -> None:
    """[BYD-10] [NS-9] Removals by several name servers at once: what they say they removed adds up."""
    others = [kind.make(None) for _ in range(3)]
    nameservers = [NameServer(each) for each in (storage, *others)]
    removed: list[int] = []
    expected = 120
    for number in range(expected):
        nameservers[0].register(f"n{number:03}", "PYRO:o@h:1", metadata=["tag", str(number % 3)])

    def remove(nameserver: NameServer) -> None:
        if how == "names":
            removed.extend(nameserver.remove(f"n{number:03}") for number in range(expected))
        else:
            removed.append(nameserver.remove(**{how: "n"}))

    try:
        in_threads([lambda n=each: remove(n) for each in nameservers])  # type: ignore[misc]
    finally:
        for each in others:
            each.close()
    assert sum(removed) == expected
    assert nameservers[0].count() == 0


def test_removal_is_one_step(kind: Any, storage: Any) -> None:
    """[BYD-10] Others see all that is removed at once, or nothing of it: by prefix, by metadata, and by expression."""
    other = kind.make(None)
    nameserver, rounds = NameServer(other), 15
    names = {f"some.{number}" for number in range(40)}
    done = threading.Event()
    seen: list[int] = []

    def change() -> None:
        try:
            for number in range(rounds):
                for name in names:
                    storage.put(name, "PYRO:o@h:1", frozenset(("tag",)))
                removals = [
                    lambda: storage.discard_prefix("some."),
                    lambda: storage.discard_metadata(frozenset(("tag",))),
                    lambda: storage.discard_metadata(any_of=frozenset(("tag", "other"))),
                    lambda: nameserver.remove(regex="some[.]"),
                ]
                storage.put("removing", "PYRO:o@h:1", frozenset())  # from here on there are all of them, or none
                assert removals[number % len(removals)]() == len(names)
                storage.discard(["removing"])
        finally:
            done.set()

    def look() -> None:
        while not done.is_set():
            found = set(other.snapshot())
            if "removing" in found:
                seen.append(len(found & names))

    try:
        in_threads([change, look])
    finally:
        other.close()
    assert set(seen) <= {0, len(names)}


def test_removal_by_expression_while_others_register(kind: Any, storage: Any) -> None:
    """[BYD-10] [NS-9] What another name server registers in the last moment is removed as well, or comes afterwards."""
    other = kind.make(None)
    late = iter([*(f"late.{number}" for number in range(3)), None, None])
    threads: list[threading.Thread] = []

    def select(names: Any) -> set[str]:
        name = next(late)
        if name is not None:  # where writers have to wait, they do so until the removal is over
            thread = threading.Thread(target=other.put, args=(name, "PYRO:o@h:1", frozenset()))
            threads.append(thread)
            thread.start()
            thread.join(0.2)
        return {each for each in names if each.startswith("late.")}

    storage.put("late.first", "PYRO:o@h:1", frozenset())
    storage.put("stays", "PYRO:o@h:1", frozenset())
    removed = storage.discard_selected("", select)
    for thread in threads:
        thread.join()
    assert (removed, set(storage.snapshot())) in [(4, {"stays"}), (1, {"stays", "late.0", "late.1"})]
    other.close()


def test_own_entries_are_not_shared(kind: Any, start_nameserver: Any) -> None:
    """[BYD-10] [NS-2] [NS-9] Each name server knows itself under its name, and nobody can remove or take it."""
    uris = [start_nameserver(kind.server.url)[1] for _ in range(2)]
    for uri in uris:
        with Proxy(uri) as nameserver:
            assert nameserver.lookup("Pyro.NameServer") == uri
            assert nameserver.list() == nameserver.list(prefix="Pyro.") == {"Pyro.NameServer": str(uri)}
            assert nameserver.list(metadata_any=["class:Pyro4.naming.NameServer"]) == {"Pyro.NameServer": str(uri)}
            assert nameserver.count() == 1
            for filters in ({"name": "Pyro.NameServer"}, {"prefix": "Pyro"}, {"regex": ".*"}):
                assert nameserver.remove(**filters) == 0
            with pytest.raises(NamingError, match="the name server's own registration cannot be changed"):
                nameserver.register("Pyro.NameServer", "PYRO:evil@host:1")
    storage = kind.make(None)
    assert storage.snapshot() == {}
    storage.close()


@pyrolite.expose
class Thing:
    """Has a name."""

    def name(self) -> str:
        return "thing"


def test_clients_go_on_when_one_is_killed(kind: Any, start_nameserver: Any, pyro_config: Any) -> None:
    """[BYD-10] [BYD-11] Nothing is lost, and who has a list of name servers does not even notice."""
    tools = [start_nameserver(kind.server.url) for _ in range(2)]
    config.NS_HOST = ",".join(uri.location for _, uri in tools)
    with running_daemon({"thing": Thing()}) as daemon:
        with locateNS() as nameserver:
            assert nameserver._pyroUri.location == tools[0][1].location
            nameserver.register("some.thing", daemon.uris["thing"], metadata=["tag"])
        named, tagged = Proxy("PYRONAME:some.thing"), Proxy("PYROMETA:tag")
        with named, tagged, Proxy(tools[0][1]) as lost:
            lost.ping()
            assert named.name() == "thing"
            tools[0][0].end(signal.SIGKILL)
            with pytest.raises(CommunicationError):
                lost.ping()
            assert tagged.name() == "thing"
            named._pyroRelease()
            assert named.name() == "thing"
            with locateNS() as nameserver:
                assert nameserver._pyroUri.location == tools[1][1].location
                assert nameserver.list(prefix="some") == {"some.thing": str(daemon.uris["thing"])}
                nameserver.register("other.thing", daemon.uris["thing"])
            _, again = start_nameserver(kind.server.url, port=tools[0][1].port)
            with locateNS() as nameserver:
                assert nameserver._pyroUri.location == again.location
                assert set(nameserver.list()) == {"Pyro.NameServer", "some.thing", "other.thing"}
