"""Proxies for names, and the functions that resolve them, with a running name server (chapter 32)."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import pyrolite
from pyrolite import naming
from pyrolite.core import current_context
from pyrolite.errors import CommunicationError, NamingError
from pyrolite.testing import running_nameserver


@pyrolite.expose
class Thing:
    def name(self) -> str:
        return type(self).__name__

    def annotations(self) -> list[str]:
        return sorted(current_context.annotations)


class Other(Thing):
    pass


@pytest.fixture
def named(pyro_nameserver: Any, start: Any) -> Any:
    """Objects with names, tags, and names for names."""
    running = start({"thing": Thing(), "other": Other()})
    with pyrolite.locateNS() as nameserver:
        nameserver.register("some.thing", running.uris["thing"], metadata={"a", "b"})
        nameserver.register("some.other", running.uris["other"], metadata={"a"})
        nameserver.register("alias", "PYRONAME:some.thing")
        nameserver.register("loop", "PYRONAME:loop")
        yield running


def test_locate(pyro_nameserver: Any) -> None:
    """[RES-10], [RES-11], [RES-12]: connected when it was found directly."""
    port = pyro_nameserver.uri.port
    for arguments in ({}, {"host": "127.0.0.1"}, {"host": "127.0.0.1", "port": port}, {"broadcast": False}):
        with pyrolite.locateNS(**arguments) as proxy:
            assert proxy._pyroUri.object == "Pyro.NameServer"
            assert proxy._pyroConnection is not None
            assert proxy.ping() is None
    with pytest.raises(NamingError, match=r"^Failed to locate the nameserver \(127.0.0.1:1: refused\)$") as raised:
        pyrolite.locateNS(host="127.0.0.1", port=1)
    assert isinstance(raised.value.__cause__, CommunicationError)


def test_locate_by_broadcast(pyro_config: Any) -> None:
    """[RES-12], [RES-13], [RES-10]: then it is not connected yet."""
    with running_nameserver(broadcast=True) as running:
        pyro_config.NS_HOST = "no.such.host.invalid"
        with pyrolite.locateNS() as proxy:
            assert proxy._pyroUri == running.uri
            assert proxy._pyroConnection is None
            assert proxy.ping() is None


def test_nothing_to_be_found(pyro_nameserver: Any, pyro_config: Any) -> None:
    """[RES-5], [RES-13]: after about two seconds."""
    pyro_config.NS_HOST = "./u:/nonexistent/nameserver"
    begin = time.monotonic()
    with pytest.raises(
        NamingError, match="^Failed to locate the nameserver .*; ./u:/nonexistent/nameserver: no such file or directory"
    ):
        pyrolite.locateNS()
    assert 1.9 < time.monotonic() - begin < 6
    with pytest.raises(NamingError, match="^Failed to locate the nameserver "):
        pyrolite.locateNS(broadcast=False)


def test_keys(pyro_config: Any) -> None:
    """[RES-5], [RES-10], [RES-11], [SEC-31], [SEC-33]"""
    with running_nameserver(hmac_key="geheim"):
        with pyrolite.locateNS(hmac_key="geheim") as nameserver:
            nameserver.register("x", "PYRO:obj@h:1")
        assert str(pyrolite.resolve("PYRONAME:x", hmac_key=b"geheim")) == "PYRO:obj@h:1"
        with pytest.raises(NamingError):
            pyrolite.locateNS(host="127.0.0.1", hmac_key="wrong")
        with pytest.raises(NamingError):
            pyrolite.resolve("PYRONAME:x")


def test_resolve(named: Any) -> None:
    """[RES-1], [RES-2], [RES-3]"""
    assert pyrolite.resolve("PYRONAME:some.thing") == named.uris["thing"]
    assert pyrolite.resolve(pyrolite.URI("PYRONAME:some.other")) == named.uris["other"]
    assert str(pyrolite.resolve("PYRONAME:alias")) == "PYRONAME:some.thing"
    assert pyrolite.resolve("PYROMETA:a,b") == named.uris["thing"]
    assert {str(pyrolite.resolve("PYROMETA:a")) for _ in range(60)} == {str(uri) for uri in named.uris.values()}
    with pytest.raises(NamingError, match="(?m)^unknown name: unknown$"):
        pyrolite.resolve("PYRONAME:unknown")
    with pytest.raises(NamingError, match="^no registrations available with desired metadata properties {'c'}$"):
        pyrolite.resolve("PYROMETA:c")


@pytest.mark.parametrize("serializer", ["json", "marshal", "serpent"])
def test_tags_in_all_serializers(named: Any, pyro_config: Any, serializer: str) -> None:
    """[RES-3]: as what the serializer has for sets."""
    pyro_config.SERIALIZER = serializer
    assert pyrolite.resolve("PYROMETA:a,b") == named.uris["thing"]


def test_proxies(named: Any, connect: Any) -> None:
    """[RES-2], [PRX-34], [PRX-7]: the name stays, and is resolved again at each reconnect."""
    proxy = connect("PYRONAME:some.thing")
    assert proxy.name() == "Thing"
    assert str(proxy._pyroUri) == "PYRONAME:some.thing"
    with pyrolite.locateNS() as nameserver:
        nameserver.register("some.thing", named.uris["other"])
    assert proxy.name() == "Thing"
    proxy._pyroRelease()
    assert proxy.name() == "Other"
    proxy._pyroRelease()
    assert proxy._pyroBind() is True
    assert proxy._pyroUri == named.uris["other"]
    assert connect("PYROMETA:a").name() == "Other"
    assert connect("PYRONAME:alias").name() == "Other"


def test_circles(named: Any, connect: Any) -> None:
    """[RES-2]: names for names end somewhere."""
    with pytest.raises(NamingError, match="^too many indirections"):
        connect("PYRONAME:loop").name()
    with pytest.raises(NamingError, match="(?m)^unknown name: unknown$"):
        connect("PYRONAME:unknown").name()
    with pytest.raises(NamingError):
        hasattr(connect("PYRONAME:unknown"), "x")


def test_annotations_are_for_the_object(named: Any, connect: Any) -> None:
    """[WIRE-26], [PRX-4]: not for the name server."""
    proxy = connect("PYRONAME:some.thing")
    current_context.annotations = {"USER": b"1"}
    assert proxy.annotations() == ["USER"]


def test_own_configuration(named: Any, pyro_config: Any) -> None:
    """[BYD-33]: also for finding the name server."""
    own = pyro_config.copy()
    pyro_config.NS_PORT = 1
    with pyrolite.locateNS("127.0.0.1", config=own) as nameserver:
        assert nameserver.ping() is None
    with pyrolite.Proxy("PYRONAME:some.thing", config=own) as proxy:
        assert proxy.name() == "Thing"


def test_unix_sockets(tmp_path: Any, connect: Any, pyro_config: Any) -> None:
    """[RES-4], [RES-11]"""
    path = str(tmp_path / "nameserver")
    uri, daemon, broadcast = naming.startNS(unixsocket=path, enableBroadcast=False)
    assert broadcast is None
    thread = threading.Thread(target=daemon.requestLoop)
    thread.start()
    try:
        with pyrolite.locateNS(f"./u:{path}") as nameserver:
            assert nameserver._pyroUri == uri
            nameserver.register("x", "PYRO:obj@h:1", metadata={"t"})
        pyro_config.NS_HOST = "./u:/nonexistent/other"
        assert str(pyrolite.resolve(f"PYRONAME:x@./u:{path}")) == "PYRO:obj@h:1"
        assert str(pyrolite.resolve(f"PYROMETA:t@./u:{path}")) == "PYRO:obj@h:1"
    finally:
        daemon.shutdown()
        thread.join(10)
