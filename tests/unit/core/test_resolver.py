"""Finding name servers and resolving names, with proxies and sockets that are not real (chapter 32, RES)."""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.core import locating, resolver
from pyrolite.core.context import current_context
from pyrolite.errors import CommunicationError, NamingError, PyroError

NS = "PYRO:Pyro.NameServer@"


class Network:
    """Where name servers are, and what is asked of them."""

    def __init__(self) -> None:
        self.reachable: set[str] = set()
        self.names: dict[str, Any] = {}
        self.tried: list[str] = []
        self.keys: list[Any] = []
        self.released = 0
        self.tags: list[Any] = []
        self.patience: list[float] = []

    def make_proxy(self, uri: pyrolite.URI) -> Any:
        return NameServerProxy(self, uri)


class NameServerProxy:
    """A proxy for a name server."""

    def __init__(self, network: Network, uri: pyrolite.URI) -> None:
        self.network = network
        self._pyroUri = uri
        self._pyroHmacKey: Any = None
        self.bound = False

    def _pyroBind(self) -> bool:
        assert self._pyroUri.object == "Pyro.NameServer"
        self.network.tried.append(self._pyroUri.location)
        self.network.keys.append(self._pyroHmacKey)
        if self._pyroUri.location not in self.network.reachable:
            raise CommunicationError("cannot connect")
        self.bound = True
        return True

    def _pyroBindBefore(self, deadline: float) -> bool:
        self.network.patience.append(deadline - time.monotonic())
        return self._pyroBind()

    def lookup(self, name: str) -> Any:
        current_context.annotations = {"NOIS": b"1"}
        if name not in self.network.names:
            raise NamingError(f"unknown name: {name}")
        return self.network.names[name]

    def list(self, metadata_all: Any) -> dict[str, str]:
        self.network.tags.append(metadata_all)
        return {name: str(uri) for name, uri in self.network.names.items() if name.startswith("tagged")}

    def __enter__(self) -> NameServerProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.network.released += 1


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """No broadcast, no second loopback address, unless a test says so."""
    network = Network()
    monkeypatch.setattr(resolver, "_ask_by_broadcast", lambda port, config, deadline: None)
    monkeypatch.setattr(socket, "gethostbyaddr", _no_address)
    return network


def _no_address(address: str) -> Any:
    raise OSError("unknown host")


def find(network: Network, host: str | None = None, port: int | None = None, **options: Any) -> Any:
    items = options.pop("items", {})
    arguments = {"broadcast": True, "hmac_key": None, **options}
    return resolver.find_nameserver(
        host, port, make_proxy=network.make_proxy, config=pyrolite.config.copy(**items), **arguments
    )


# ---- locateNS


@pytest.mark.parametrize(
    ("host", "port", "location"),
    [
        ("some.host", None, "some.host:9090"),
        ("some.host", 77, "some.host:77"),
        ("10.0.0.1", 77, "10.0.0.1:77"),
        ("::1", 77, "[::1]:77"),
        ("[::1]", 77, "[::1]:77"),
        ("fe80::1%eth0", 77, "[fe80::1%eth0]:77"),
        ("./u:name", None, "./u:name"),
    ],
)
def test_given_host(network: Network, host: str, port: int | None, location: str) -> None:
    """[RES-10], [RES-11], [RES-16]"""
    network.reachable = {location}
    proxy = find(network, host, port, hmac_key=b"key")
    assert str(proxy._pyroUri) == NS + location
    assert proxy.bound
    assert network.tried == [location]
    assert network.keys == [b"key"]


def test_given_host_fails(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RES-11], [RES-5]: no broadcast then."""
    monkeypatch.setattr(resolver, "_ask_by_broadcast", lambda port, config, deadline: pytest.fail("it broadcasts"))
    with pytest.raises(
        NamingError, match=r"^Failed to locate the nameserver \(some.host:9090: cannot connect\)$"
    ) as raised:
        find(network, "some.host")
    assert isinstance(raised.value.__cause__, CommunicationError)
    with pytest.raises(NamingError, match="^Failed to locate the nameserver ") as raised:
        find(network, "not a host [")
    assert isinstance(raised.value.__cause__, PyroError)


@pytest.mark.parametrize("ns_host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_first(network: Network, ns_host: str) -> None:
    """[RES-12], [RES-15], [RES-16]: step 1; the port is the TCP port."""
    location = f"[{ns_host}]" if ":" in ns_host else ns_host
    network.reachable = {f"{location}:9090", f"{location}:77"}
    assert find(network, items={"NS_HOST": ns_host}).bound
    assert find(network, port=77, items={"NS_HOST": ns_host}).bound
    assert network.tried == [f"{location}:9090", f"{location}:77"]


def test_second_loopback_address(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RES-12]: if it is in use on this machine."""
    monkeypatch.setattr(socket, "gethostbyaddr", lambda address: (address, [], []))
    network.reachable = {"127.0.1.1:9090"}
    assert find(network).bound
    assert network.tried == ["localhost:9090", "127.0.1.1:9090"]
    network.tried.clear()
    network.reachable = set()
    with pytest.raises(NamingError):
        find(network, items={"NS_HOST": "127.0.1.1"})
    assert network.tried == ["127.0.1.1:9090", "127.0.1.1:9090"]


def test_broadcast(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RES-12], [RES-13], [RES-15], [RES-10]: step 2; the port is the UDP port, the proxy is not connected yet."""
    ports: list[int] = []

    def ask(port: int, config: Configuration, deadline: float | None) -> pyrolite.URI:
        ports.append(port)
        return pyrolite.URI(NS + "far:1")

    monkeypatch.setattr(resolver, "_ask_by_broadcast", ask)
    proxy = find(network, hmac_key=b"key", items={"NS_HOST": "elsewhere"})
    assert (str(proxy._pyroUri), proxy._pyroHmacKey, proxy.bound) == (NS + "far:1", b"key", False)
    find(network, port=77, items={"NS_HOST": "elsewhere"})
    assert ports == [9091, 77]
    assert network.tried == []
    network.reachable = {"elsewhere:9090"}
    for options in ({"broadcast": False}, {"items": {"PREFER_IP_VERSION": 6}}):
        items = {"NS_HOST": "elsewhere", **options.pop("items", {})}  # type: ignore[dict-item]
        assert find(network, items=items, **options).bound
    assert len(ports) == 2


def test_last_step(network: Network) -> None:
    """[RES-12], [RES-5]: step 3, where the given port does not matter."""
    network.reachable = {"elsewhere:55"}
    assert find(network, port=77, items={"NS_HOST": "elsewhere", "NS_PORT": 55}).bound
    assert network.tried == ["elsewhere:55"]
    network.reachable = {"./u:socket"}
    assert find(network, items={"NS_HOST": "./u:socket"}).bound
    network.reachable = set()
    text = "Failed to locate the nameserver (localhost:9090: cannot connect; broadcast to UDP port 9091: no answer)"
    with pytest.raises(NamingError, match=f"^{re.escape(text)}$") as raised:  # [BYD-16]
        find(network)
    assert isinstance(raised.value.__cause__, CommunicationError)


# ---- lists


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    ("hosts", "locations"),
    [
        ("one,two", ["one:9090", "two:9090"]),
        (" one:1 , ::1,[::1]:2,[fe80::2], ./u:name,", ["one:1", "[::1]:9090", "[::1]:2", "[fe80::2]:9090", "./u:name"]),
        ("localhost:7,127.0.0.1", ["localhost:7", "127.0.0.1:9090"]),
        ("elsewhere:7", ["elsewhere:7"]),
    ],
)
def test_lists(
    network: Network, monkeypatch: pytest.MonkeyPatch, hosts: str, locations: list[str], given: bool
) -> None:
    """[BYD-11] [BYD-16] All are tried in order, and nothing else; the first that answers is taken."""
    monkeypatch.setattr(resolver, "_ask_by_broadcast", lambda port, config, deadline: pytest.fail("it broadcasts"))
    items = {} if given else {"NS_HOST": hosts}
    host = hosts if given else None
    text = "; ".join(f"{location}: cannot connect" for location in locations)
    with pytest.raises(NamingError, match=f"^{re.escape(f'Failed to locate the nameserver ({text})')}$"):
        find(network, host, items=items)
    assert network.tried == locations
    for count, location in enumerate(locations, 1):
        network.reachable, network.tried = {location}, []
        assert find(network, host, items=items)._pyroUri.location == location
        assert network.tried == locations[:count]


def test_port_for_a_list(network: Network) -> None:
    """[BYD-11] [RES-11] For the entries that have none."""
    network.reachable = {"two:77"}
    assert find(network, "one:1,two", 77).bound
    assert network.tried == ["one:1", "two:77"]


def test_nobody_waits_long_for_one_of_many(network: Network) -> None:
    """[BYD-11] Without a configured timeout the next one is tried after a few seconds."""
    network.reachable = {"three:9090"}
    find(network, "one,two,three")
    assert [round(seconds) for seconds in network.patience] == [resolver.NEXT_IN_LIST] * 2
    network.patience.clear()
    find(network, "one,two,three", items={"CONNECT_TIMEOUT": 1.0})
    assert network.patience == []
    find(network, "one,two,three", deadline=time.monotonic() + 100, items={"CONNECT_TIMEOUT": 1.0})
    assert [round(seconds) for seconds in network.patience] == [100] * 3
    network.patience.clear()
    find(network, "one,two,three", deadline=time.monotonic() + 1)
    assert [round(seconds) for seconds in network.patience] == [1] * 3


class Radio:
    """A datagram socket."""

    def __init__(self, answers: list[Any], clock: Any) -> None:
        self.answers = answers
        self.clock = clock
        self.sent: list[Any] = []
        self.refuse: set[str] = set()
        self.closed = False

    def sendto(self, data: bytes, flags: int, address: tuple[str, int]) -> None:
        self.sent.append((data, address))
        if address[0] in self.refuse:
            raise OSError("network is unreachable")

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def recvfrom(self, size: int) -> Any:
        assert size == 4096
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            self.clock.now += self.timeout
            raise TimeoutError
        if isinstance(answer, OSError):
            self.clock.now += 0.1
            raise answer
        self.clock.now += 0.1
        return answer, ("10.0.0.9", 9091)

    def __enter__(self) -> Radio:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


class Clock:
    now = 100.0


@pytest.fixture
def radio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Radio]:
    clock = Clock()
    radio = Radio([], clock)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(resolver.sockets, "createBroadcastSocket", lambda **options: radio)
    yield radio
    assert radio.closed


def ask(radio: Radio, addresses: str = "255.255.255.255, 10.255.255.255") -> pyrolite.URI | None:
    return resolver._ask_by_broadcast(9091, pyrolite.config.copy(BROADCAST_ADDRS=addresses))


def test_question(radio: Radio) -> None:
    """[RES-13]: three rounds of 0.7 s, to all addresses."""
    assert ask(radio) is None
    assert radio.sent == [
        (b"GET_NSURI", (address, 9091)) for _ in range(3) for address in ("255.255.255.255", "10.255.255.255")
    ]
    assert radio.clock.now == pytest.approx(102.1)


def test_answer(radio: Radio) -> None:
    """[RES-13], [RES-14], [SEC-60]: what is no URI of a name server is ignored within the round."""
    good = (NS + "there:1").encode()
    radio.answers = [b"\xff\xfe", b"PYRO:x", b"PYRO:other@there:1", b"PYRONAME:Pyro.NameServer@there:1", good]
    assert ask(radio) == pyrolite.URI(NS + "there:1")
    assert len(radio.sent) == 2


def test_answer_in_a_later_round(radio: Radio) -> None:
    """[RES-13]"""
    radio.answers = [None, ConnectionRefusedError(), (NS + "there:1").encode()]
    assert ask(radio) == pyrolite.URI(NS + "there:1")
    assert len(radio.sent) == 4


def test_unreachable_addresses(radio: Radio) -> None:
    """[RES-14]: one that fails does not end the search."""
    radio.refuse = {"255.255.255.255"}
    radio.answers = [(NS + "there:1").encode()]
    assert ask(radio) is not None
    assert len(radio.sent) == 2


# ---- resolve


def resolve(network: Network, uri: str, key: bytes | None = None) -> pyrolite.URI:
    return resolver.resolve(pyrolite.URI(uri), key, network.make_proxy, pyrolite.config.copy())


def test_name(network: Network) -> None:
    """[RES-2], [SEC-33]: with the key of the proxy, at the URI's location; the name server's proxy is released."""
    network.reachable = {"localhost:9090", "far:5", "./u:socket"}
    network.names = {"a": pyrolite.URI("PYRO:obj@h:1"), "text": "PYRO:text@h:1"}
    assert resolve(network, "PYRONAME:a", b"key") == pyrolite.URI("PYRO:obj@h:1")
    assert resolve(network, "PYRONAME:text@far:5") == pyrolite.URI("PYRO:text@h:1")
    assert network.tried == ["localhost:9090", "far:5"]
    assert network.keys == [b"key", None]
    assert network.released == 2
    with pytest.raises(NamingError, match="^unknown name: b$"):
        resolve(network, "PYRONAME:b")
    assert network.released == 3


def test_unix_location(network: Network) -> None:
    """[RES-4]"""
    network.reachable = {"./u:socket"}
    network.names = {"a": "PYRO:obj@h:1", "tagged": "PYRO:obj2@h:1"}
    assert resolve(network, "PYRONAME:a@./u:socket").object == "obj"
    assert resolve(network, "PYROMETA:t@./u:socket").object == "obj2"
    assert network.tried == ["./u:socket", "./u:socket"]


def test_metadata(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RES-3]: one of those that have all tags, at random."""
    network.reachable = {"localhost:9090"}
    network.names = {"tagged1": "PYRO:one@h:1", "tagged2": "PYRO:two@h:1", "other": "PYRO:three@h:1"}
    offered: list[Any] = []

    def shuffle(candidates: Any) -> Any:
        offered.append(sorted(candidates))
        candidates.sort(key="PYRO:one@h:1".__eq__)

    monkeypatch.setattr(random, "shuffle", shuffle)
    assert resolve(network, "PYROMETA:a,b").object == "two"
    assert offered == [["PYRO:one@h:1", "PYRO:two@h:1"]]
    assert network.tags == [{"a", "b"}]
    network.names = {}
    with pytest.raises(NamingError, match="^no registrations available with desired metadata properties {'a'}$"):
        resolve(network, "PYROMETA:a")


def test_names_for_names(network: Network) -> None:
    """[RES-2]: once by `resolve`, at most ten times for connecting."""
    network.reachable = {"localhost:9090"}
    network.names = {f"n{i}": f"PYRONAME:n{i + 1}" for i in range(9)}
    network.names["n9"] = "PYRO:end@h:1"
    assert str(resolve(network, "PYRONAME:n0")) == "PYRONAME:n1"
    config = pyrolite.config.copy()
    found = resolver.resolve_for_connection(pyrolite.URI("PYRONAME:n0"), None, network.make_proxy, config)
    assert found.object == "end"
    network.names["n9"] = "PYRONAME:n0"
    with pytest.raises(NamingError, match="^too many indirections"):
        resolver.resolve_for_connection(pyrolite.URI("PYRONAME:n0"), None, network.make_proxy, config)


def test_context_is_left_alone(network: Network) -> None:
    """[WIRE-26], [PRX-4]: annotations for the first call are not used up, nor sent to the name server."""
    network.reachable = {"localhost:9090"}
    network.names = {"a": "PYRO:obj@h:1"}
    current_context.annotations = {"USER": b"1"}
    resolver.resolve_for_connection(pyrolite.URI("PYRONAME:a"), None, network.make_proxy, pyrolite.config.copy())
    assert current_context.annotations == {"USER": b"1"}


def test_public_resolve(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RES-1]"""
    uri = pyrolite.URI("PYRO:obj@h:1")
    assert pyrolite.resolve(uri) is uri
    assert pyrolite.resolve("PYRO:obj@h:1") == uri
    for wrong in (None, 5, b"PYRO:obj@h:1"):
        with pytest.raises(TypeError, match="^can only resolve Pyro URIs$"):
            pyrolite.resolve(wrong)  # type: ignore[arg-type]
    with pytest.raises(PyroError, match="^invalid uri$"):
        pyrolite.resolve("x")
    monkeypatch.setattr(locating, "Proxy", lambda at, config=None: network.make_proxy(at))
    network.reachable = {"h:9090"}
    network.names = {"a": "PYRO:obj@h:1"}
    assert pyrolite.resolve("PYRONAME:a@h", hmac_key="schlüssel") == uri
    assert network.keys == ["schlüssel".encode()]


def test_public_locate(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """[RES-10], [BYD-33]"""
    configs: list[Any] = []

    def make(at: pyrolite.URI, config: Any = None) -> Any:
        configs.append(config)
        return network.make_proxy(at)

    monkeypatch.setattr(locating, "Proxy", make)
    network.reachable = {"h:9090", "h:55"}
    assert pyrolite.locateNS("h", hmac_key="key").bound  # type: ignore[attr-defined]
    own = pyrolite.config.copy(NS_PORT=55)
    assert pyrolite.locateNS("h", config=own).bound  # type: ignore[attr-defined]
    assert network.tried == ["h:9090", "h:55"]
    assert network.keys == [b"key", None]
    assert configs == [None, own]
