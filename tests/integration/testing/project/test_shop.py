"""Tests of a program that uses pyrolite: the project on which `test_fixtures.py` tries the fixtures ([BYD-30])."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.errors import CommunicationError, DaemonError
from pyrolite.testing import RunningNameServer

Serve = Callable[..., pyrolite.Proxy]
BOTH = pytest.mark.parametrize("pyro_daemon", ["thread", "multiplex"], indirect=True)


@pyrolite.expose
class Shop:
    def __init__(self) -> None:
        self._stock: dict[str, int] = {}

    def buy(self, item: str) -> int:
        self._stock[item] = self._stock.get(item, 0) + 1
        return self._stock[item]

    def items(self) -> Iterator[str]:
        yield from sorted(self._stock)

    def fail(self) -> None:
        raise ValueError("sold out")


SHARED = Shop()


@BOTH
@pytest.mark.parametrize("again", range(3))
def test_serving_an_object(pyro_serve: Serve, pyro_leakcheck: None, again: int) -> None:
    """The same object in many tests, and in none of them is anything left of the others."""
    shop = pyro_serve(SHARED, "shop")
    count = shop.buy("apple")
    assert shop.buy("apple") == count + 1
    assert "apple" in list(shop.items())
    with pytest.raises(ValueError, match="sold out"):
        shop.fail()


@pytest.mark.parametrize("again", range(3))
def test_serving_a_class(pyro_leakcheck: None, pyro_serve: Serve, again: int) -> None:
    first, second = pyro_serve(Shop), pyro_serve(Shop())
    assert first._pyroUri != second._pyroUri
    assert first.buy("pear") == second.buy("pear") == 1


def test_unregistered_by_the_test(pyro_serve: Serve, pyro_daemon: pyrolite.Daemon) -> None:
    pyro_serve(SHARED)
    pyro_daemon.unregister(SHARED)
    with pytest.raises(DaemonError):
        pyro_daemon.uriFor(SHARED)


@BOTH
def test_daemon(pyro_leakcheck: None, pyro_daemon: pyrolite.Daemon, request: pytest.FixtureRequest) -> None:
    uri = pyro_daemon.register(Shop())
    assert uri.host == "127.0.0.1"
    assert request.node.callspec.params["pyro_daemon"] in type(pyro_daemon.transportServer).__name__.lower()
    with pyrolite.Proxy(uri) as shop:
        assert shop.buy("plum") == 1


@pytest.mark.parametrize("pyro_daemon", [{"hmac_key": "secret", "servertype": "multiplex"}], indirect=True)
def test_daemon_with_options(pyro_leakcheck: None, pyro_serve: Serve) -> None:
    shop = pyro_serve(Shop())
    assert shop.buy("plum") == 1
    with pytest.raises(CommunicationError), pyrolite.Proxy(shop._pyroUri) as stranger:
        stranger.buy("plum")


@pytest.mark.parametrize("again", range(3))
def test_name_server(
    pyro_leakcheck: None, pyro_nameserver: RunningNameServer, pyro_daemon: pyrolite.Daemon, again: int
) -> None:
    """Each test has one of its own, where nothing else is registered."""
    uri = pyro_daemon.register(Shop())
    with pyrolite.locateNS() as nameserver:
        assert list(nameserver.list()) == ["Pyro.NameServer"]
        nameserver.register("example.shop", uri)
    assert pyrolite.config.NS_PORT == pyro_nameserver.uri.port
    with pyrolite.Proxy("PYRONAME:example.shop") as shop:
        assert shop.buy("cherry") == 1


@pytest.mark.parametrize("pyro_nameserver", ["multiplex", {"broadcast": True}], indirect=True)
def test_name_server_with_options(pyro_leakcheck: None, pyro_nameserver: RunningNameServer) -> None:
    with pyrolite.locateNS() as nameserver:
        nameserver.ping()


@pytest.mark.parametrize("change", [("SERIALIZER", "json"), ("COMMTIMEOUT", 7.5), ("SERIALIZERS_ACCEPTED", {"json"})])
def test_configuration(pyro_config: Configuration, change: tuple[str, object]) -> None:
    """Whatever one test changes, the next one does not see."""
    assert pyro_config is pyrolite.config
    assert (pyro_config.SERIALIZER, pyro_config.COMMTIMEOUT) == ("serpent", 0.0)
    assert pyro_config.SERIALIZERS_ACCEPTED == {"serpent", "marshal", "json"}
    setattr(pyro_config, *change)
    pyro_config.SERIALIZERS_ACCEPTED.add("marshal")


def test_threads_of_the_test(pyro_leakcheck: None, pyro_serve: Serve) -> None:
    """Proxies of several threads; all of them are gone when the check looks."""
    uri = pyro_serve(SHARED)._pyroUri
    counts: list[int] = []

    def buy() -> None:
        with pyrolite.Proxy(uri) as shop:
            counts.append(shop.buy("fig"))

    threads = [threading.Thread(target=buy) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(counts)) == 5
