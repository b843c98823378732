"""What a daemon is, and what it registers, without any socket (chapter 31)."""

from __future__ import annotations

import pickle
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.core import DaemonObject, pyroObjectToAutoProxy
from pyrolite.errors import DaemonError, PyroError, SerializeError
from pyrolite.serializers import get_serializer


@pyrolite.expose
class Thing:
    def method(self) -> None:
        pass


class Plain:
    def method(self) -> None:
        pass


@pytest.fixture
def daemon(make_daemon: Any) -> pyrolite.Daemon:
    return make_daemon()


# ---- location


def test_where_it_listens(make_daemon: Any) -> None:
    """[DMN-1], [DMN-5]"""
    assert make_daemon(items={"HOST": "some.host"}).transportServer.arguments == ("some.host", 0, None)
    assert make_daemon(host="", port=12).transportServer.arguments == ("", 12, None)
    daemon = make_daemon(unixsocket="name")
    assert (daemon.locationStr, str(daemon.uriFor("x"))) == ("./u:name", "PYRO:x@./u:name")


def test_nat(make_daemon: Any) -> None:
    """[DMN-1], [DMN-2], [DMN-6], [DMN-20]"""
    daemon = make_daemon(nathost="outside", natport=80)
    assert daemon.natLocationStr == "outside:80"
    assert str(daemon.uriFor("x")) == "PYRO:x@outside:80"
    assert str(daemon.uriFor("x", nat=False)) == "PYRO:x@127.0.0.1:9999"
    assert make_daemon(nathost="::2", natport=80).natLocationStr == "[::2]:80"
    assert make_daemon(items={"NATHOST": "outside", "NATPORT": 81}).natLocationStr == "outside:81"
    assert make_daemon(nathost="outside", items={"NATPORT": 81}).natLocationStr == "outside:81"
    assert make_daemon().natLocationStr is None
    for options in ({"nathost": "h", "natport": 1}, {"items": {"NATHOST": "h", "NATPORT": 1}}):
        with pytest.raises(ValueError, match="^cannot use nathost together with unixsocket$"):
            make_daemon(unixsocket="name", **options)
    with pytest.raises(ValueError, match="^must provide natport with nathost$"):
        make_daemon(natport=80)


def test_accepted_serializers(make_daemon: Any) -> None:
    """[DMN-4]: as a set, a list or a text; unknown ones are errors."""
    for names in ({"json"}, ["json"], ("json",), "json"):
        daemon = make_daemon(items={"SERIALIZERS_ACCEPTED": names})
        assert list(daemon._pyroDispatcher.serializers) == [2]
    with pytest.raises(SerializeError, match="^serializer 'nonsense' is unknown or not available$"):
        make_daemon(items={"SERIALIZERS_ACCEPTED": ["nonsense"]})


def test_unknown_server_type() -> None:
    """[DMN-3]"""
    config = pyrolite.config.copy()
    object.__setattr__(config, "SERVERTYPE", "nonsense")
    with pytest.raises(PyroError, match="^invalid server type 'nonsense'$"):
        pyrolite.Daemon(config=config)


def test_failing_construction_closes_the_server(make_daemon: Any) -> None:
    """[DMN-4]: at any later step."""
    made: list[Any] = []

    class Interface(DaemonObject):
        def __init__(self, daemon: pyrolite.Daemon) -> None:
            made.append(daemon.transportServer)
            raise ValueError("not today")

    with pytest.raises(ValueError, match="^not today$"):
        make_daemon(interface=Interface)
    assert made[0].closed


# ---- attributes


def test_attributes(daemon: pyrolite.Daemon) -> None:
    """[DMN-7]"""
    assert list(daemon.objectsById) == ["Pyro.Daemon"]
    assert type(daemon.objectsById["Pyro.Daemon"]) is DaemonObject
    assert daemon.streaming_responses == {}
    assert daemon._pyroInstances == {}
    assert daemon._shutting_down is False
    assert daemon.sock is None
    assert daemon.sockets == []
    assert daemon._pyroHmacKey is None
    daemon._pyroHmacKey = "schlüssel"
    assert daemon._pyroHmacKey == "schlüssel".encode()
    for key in (b"bytes", bytearray(b"bytes"), memoryview(b"bytes")):
        daemon._pyroHmacKey = key
        assert daemon._pyroHmacKey == b"bytes"
    for empty in ("", b"", None):
        daemon._pyroHmacKey = empty
        assert daemon._pyroHmacKey is None


def test_text(daemon: pyrolite.Daemon) -> None:
    """[DMN-8], [OV-6]"""
    text = rf"<pyrolite\.core\.Daemon at 0x{id(daemon):x}; 127\.0\.0\.1:9999 - closed; 1 objects>"
    assert re.fullmatch(text, repr(daemon))
    assert str(daemon) == repr(daemon)
    shell = pyrolite.Daemon.__new__(pyrolite.Daemon)
    assert repr(shell) == f"<pyrolite.core.Daemon at 0x{id(shell):x}; unusable>"


@pytest.mark.parametrize("name", ["pickle", "cloudpickle", "dill", "serpent", "json", "marshal", "msgpack"])
def test_serialized(daemon: pyrolite.Daemon, name: str) -> None:
    """[DMN-11]: an unusable shell."""
    serializer = get_serializer(name)
    shell = serializer.loads(serializer.dumps(daemon))
    assert type(shell) is pyrolite.Daemon
    assert repr(shell).endswith("; unusable>")


def test_context_manager(daemon: pyrolite.Daemon) -> None:
    """[DMN-10], [DMN-33]"""
    with daemon as entered:
        assert entered is daemon
        assert not daemon.transportServer.closed
    assert daemon.transportServer.closed
    with pytest.raises(PyroError, match="^cannot reuse this object$"):
        daemon.__enter__()
    daemon.close()


def test_interface(make_daemon: Any) -> None:
    """[DMN-9]: added methods have to be exposed."""

    class Interface(DaemonObject):
        def hidden(self) -> None:
            pass

        @pyrolite.expose
        def extra(self) -> str:
            return self.daemon.locationStr

    daemon = make_daemon(interface=Interface)
    methods = daemon.objectsById["Pyro.Daemon"].get_metadata("Pyro.Daemon")["methods"]
    assert "extra" in methods
    assert "registered" in methods
    assert "hidden" not in methods


# ---- registration


def test_register(daemon: pyrolite.Daemon) -> None:
    """[DMN-12], [DMN-13]"""
    thing = Thing()
    uri = daemon.register(thing, "thing")
    assert isinstance(uri, pyrolite.URI)
    assert str(uri) == "PYRO:thing@127.0.0.1:9999"
    assert (thing._pyroId, thing._pyroDaemon) == ("thing", daemon)
    assert daemon.objectsById["thing"] is thing
    for none in (None, ""):
        assert re.fullmatch("obj_[0-9a-f]{32}", daemon.register(Thing(), none).object)
    for wrong in (17, b"id", ["x"]):
        with pytest.raises(TypeError, match="^objectId must be a string or None$"):
            daemon.register(Thing(), wrong)


class Slotted:
    __slots__ = ("_pyroId",)


class Frozen:
    __slots__ = ()


@pytest.mark.parametrize("thing", [5, "text", [], Frozen(), object(), Slotted(), int])
def test_objects_without_attributes(daemon: pyrolite.Daemon, thing: Any) -> None:
    """[DMN-13]: nothing is registered then."""
    with pytest.raises((AttributeError, TypeError)):
        daemon.register(thing, "id")
    assert "id" not in daemon.objectsById
    assert not hasattr(thing, "_pyroId")


def test_register_class(daemon: pyrolite.Daemon) -> None:
    """[DMN-14], [DMN-74]"""

    class Fresh(Plain):
        pass

    @pyrolite.behavior("single")
    class Marked(Plain):
        pass

    daemon.register(Fresh)
    daemon.register(Marked)
    assert Fresh._pyroInstancing == ("session", None)
    assert Marked._pyroInstancing == ("single", None)
    assert Fresh()._pyroId == Fresh._pyroId
    assert Fresh()._pyroDaemon is daemon


def test_registered_twice(daemon: pyrolite.Daemon) -> None:
    """[DMN-15], [DMN-16]"""
    thing = Thing()
    daemon.register(thing, "thing")
    with pytest.raises(DaemonError, match="^object or class already has a Pyro id$"):
        daemon.register(thing, "other")
    for taken in ("thing", "Pyro.Daemon"):
        with pytest.raises(DaemonError, match="^an object or class is already registered with that id$"):
            daemon.register(Thing(), taken)
    daemon.register(thing, "other", force=True)
    assert thing._pyroId == "other"
    assert daemon.objectsById["thing"] is daemon.objectsById["other"] is thing
    replacement = Thing()
    daemon.register(replacement, "thing", force=True)
    assert daemon.objectsById["thing"] is replacement
    with pytest.raises(DaemonError):
        daemon.register(Thing(), "Pyro.Daemon", force=True)


def test_inherited_ids_do_not_count(daemon: pyrolite.Daemon) -> None:
    """[DMN-15]: a class, its subclass and an instance can all be registered."""

    class Base(Plain):
        pass

    class Derived(Base):
        pass

    daemon.register(Base, "base")
    daemon.register(Derived, "derived")
    instance = Derived()
    daemon.register(instance, "instance")
    assert (Base._pyroId, Derived._pyroId, instance._pyroId) == ("base", "derived", "instance")
    for again in (Base, Derived, instance):
        with pytest.raises(DaemonError):
            daemon.register(again)


@pytest.mark.parametrize("wrong", ["with blank", "tab\t", "line\n", "x\u2003y"])
def test_ids_that_no_uri_can_have(daemon: pyrolite.Daemon, wrong: str) -> None:
    """[DMN-17]: refused before anything is changed."""
    thing = Thing()
    with pytest.raises(PyroError, match="^invalid uri$"):
        daemon.register(thing, wrong)
    assert not hasattr(thing, "_pyroId")
    assert list(daemon.objectsById) == ["Pyro.Daemon"]


def test_unregister(daemon: pyrolite.Daemon) -> None:
    """[DMN-19]"""
    thing = Thing()
    daemon.register(thing, "thing")
    daemon.unregister(thing)
    assert "thing" not in daemon.objectsById
    assert not hasattr(thing, "_pyroId")
    assert not hasattr(thing, "_pyroDaemon")
    daemon.register(thing, "thing")
    daemon.unregister("thing")
    assert "thing" not in daemon.objectsById
    assert thing._pyroId == "thing"
    with pytest.raises(DaemonError):
        daemon.register(thing, "thing")
    daemon.register(thing, "thing", force=True)
    with pytest.raises(ValueError, match="^object or objectid argument expected$"):
        daemon.unregister(None)
    with pytest.raises(DaemonError, match="^object isn't registered$"):
        daemon.unregister(Thing())
    daemon.unregister("unknown")
    daemon.unregister("Pyro.Daemon")
    daemon.unregister(daemon.objectsById["Pyro.Daemon"])
    assert "Pyro.Daemon" in daemon.objectsById


def test_unregister_a_class(daemon: pyrolite.Daemon) -> None:
    """[DMN-19]"""

    class Fresh(Plain):
        pass

    daemon.register(Fresh, "fresh")
    daemon.unregister(Fresh)
    assert not hasattr(Fresh, "_pyroId")
    daemon.register(Fresh, "fresh")


def test_unregister_only_what_is_meant(daemon: pyrolite.Daemon, make_daemon: Any) -> None:
    """[DMN-19], [DMN-20]: not the class of an instance, nor what has the same id in another daemon."""

    class Fresh(Plain):
        pass

    daemon.register(Fresh, "fresh")
    with pytest.raises(DaemonError, match="^object isn't registered$"):
        daemon.unregister(Fresh())
    assert daemon.objectsById["fresh"] is Fresh
    mine, theirs, other = Thing(), Thing(), make_daemon()
    daemon.register(mine, "same")
    other.register(theirs, "same")
    daemon.unregister(theirs)
    assert daemon.objectsById["same"] is mine
    assert other.objectsById["same"] is theirs
    assert theirs._pyroId == "same"
    with pytest.raises(DaemonError, match="^object isn't registered in this daemon$"):
        daemon.uriFor(theirs)


def test_unregister_a_replaced_object(daemon: pyrolite.Daemon) -> None:
    """[DMN-19], [DMN-16]: the one that has its place now stays."""
    first, second = Thing(), Thing()
    daemon.register(first, "id")
    daemon.register(second, "id", force=True)
    daemon.unregister(first)
    assert daemon.objectsById["id"] is second


def test_uri_for(daemon: pyrolite.Daemon) -> None:
    """[DMN-20]"""
    assert str(daemon.uriFor("unknown")) == "PYRO:unknown@127.0.0.1:9999"
    thing = Thing()
    with pytest.raises(DaemonError, match="^object isn't registered in this daemon$"):
        daemon.uriFor(thing)
    uri = daemon.register(thing)
    assert daemon.uriFor(thing) == uri
    daemon.unregister(uri.object)
    with pytest.raises(DaemonError, match="^object isn't registered in this daemon$"):
        daemon.uriFor(thing)


def test_proxy_for(daemon: pyrolite.Daemon) -> None:
    """[DMN-21]"""
    thing = Thing()
    uri = daemon.register(thing, "thing")
    for what in (thing, "thing"):
        proxy = daemon.proxyFor(what)
        assert type(proxy) is pyrolite.Proxy
        assert (proxy._pyroUri, proxy._pyroConnection, proxy._pyroMethods) == (uri, None, {"method"})
    for unknown in ("unknown", Thing()):
        with pytest.raises(DaemonError, match="^object isn't registered in this daemon$"):
            daemon.proxyFor(unknown)


def test_changed_sets_of_one_proxy_are_its_own(daemon: pyrolite.Daemon) -> None:
    """[DMN-21]: `_pyroMethods.add(...)` as programs do it."""
    daemon.register(Thing(), "thing")
    daemon.proxyFor("thing")._pyroMethods.add("more")
    assert daemon.proxyFor("thing")._pyroMethods == {"method"}


def test_metadata_cache(daemon: pyrolite.Daemon) -> None:
    """[EXP-10]"""

    @pyrolite.expose
    class Growing(Plain):
        def first(self) -> None:
            pass

    thing = Growing()
    daemon.register(thing, "thing")
    interface = daemon.objectsById["Pyro.Daemon"]
    assert interface.get_metadata("thing", as_lists=True)["methods"] == ["first"]
    Growing.second = pyrolite.expose(lambda self: None)  # type: ignore[attr-defined]
    assert interface.get_metadata("thing", as_lists=True)["methods"] == ["first"]
    daemon.resetMetadataCache(thing)
    assert sorted(interface.get_metadata("thing", as_lists=True)["methods"]) == ["first", "second"]
    assert daemon.proxyFor("thing")._pyroMethods == {"first", "second"}
    daemon.resetMetadataCache("unknown")
    with pytest.raises(DaemonError):
        daemon.resetMetadataCache(Thing())


def test_registration_from_many_threads(daemon: pyrolite.Daemon) -> None:
    """[OV-42]: exactly one gets a wanted id; no registration is lost."""
    barrier = threading.Barrier(8)

    def register(_: int) -> int:
        barrier.wait(10)
        won = 0
        for number in range(50):
            try:
                daemon.register(Thing(), f"wanted{number}")
            except DaemonError:
                pass
            else:
                won += 1
            daemon.register(Thing())
        return won

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(register, range(8))) == 50
    assert len(daemon.objectsById) == 1 + 50 + 8 * 50


# ---- autoproxy


@pytest.mark.parametrize("name", ["serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill"])
def test_autoproxy(daemon: pyrolite.Daemon, name: str) -> None:
    """[DMN-18], [DMN-25], [DMN-27], [SER-63]: at any depth; a normal object again when it is not registered."""

    @pyrolite.expose
    class Fresh:
        def method(self) -> None:
            pass

    thing = Fresh()
    uri = daemon.register(thing, "thing")
    serializer = get_serializer(name)
    for value, find in ((thing, lambda v: v), ([1, {"k": thing}], lambda v: v[1]["k"])):
        proxy = find(serializer.loads(serializer.dumps(value)))
        assert type(proxy) is pyrolite.Proxy
        assert (proxy._pyroUri, proxy._pyroMethods) == (uri, {"method"})


@pytest.mark.parametrize("by_id", [True, False])
def test_no_autoproxy_after_unregistering(daemon: pyrolite.Daemon, by_id: bool) -> None:
    """[DMN-25]"""
    thing = Thing()
    daemon.register(thing, "thing")
    assert isinstance(pyroObjectToAutoProxy(thing), pyrolite.Proxy)
    daemon.unregister("thing" if by_id else thing)
    assert pyroObjectToAutoProxy(thing) is thing
    assert pyroObjectToAutoProxy(5) == 5


def test_autoproxy_switched_off(make_daemon: Any) -> None:
    """[DMN-18], [DMN-25]: read when something is serialized."""
    daemon = make_daemon()
    thing = Thing()
    daemon.register(thing)
    daemon._pyroConfig.AUTOPROXY = False
    assert pyroObjectToAutoProxy(thing) is thing


def test_autoproxy_of_instances(daemon: pyrolite.Daemon) -> None:
    """[DMN-26]: a proxy to the registration of the class."""

    class Fresh(Plain):
        pass

    uri = daemon.register(Fresh, "fresh")
    assert pyroObjectToAutoProxy(Fresh())._pyroUri == uri


# ---- the object Pyro.Daemon


def test_daemon_object(daemon: pyrolite.Daemon) -> None:
    """[DMN-80], [SEC-14]"""
    daemon.register(Thing(), "thing")
    interface = daemon.objectsById["Pyro.Daemon"]
    assert sorted(interface.registered()) == ["Pyro.Daemon", "thing"]
    assert interface.ping() is None
    assert re.fullmatch(
        r"Pyro\.Daemon bound on 127\.0\.0\.1:9999, NAT None, 2 objects registered\. Servertype: .*NoServer.*",
        interface.info(),
    )
    metadata = interface.get_metadata("Pyro.Daemon")
    assert metadata == {
        "methods": {"registered", "ping", "info", "get_metadata", "get_next_stream_item", "close_stream"},
        "oneway": set(),
        "attrs": set(),
    }
    assert interface.get_metadata("thing", as_lists=True) == {"methods": ["method"], "oneway": [], "attrs": []}
    with pytest.raises(DaemonError, match="^unknown object$"):
        interface.get_metadata("unknown")


def test_nothing_exposed(daemon: pyrolite.Daemon, make_daemon: Any) -> None:
    """[DMN-81]"""
    daemon.register(Plain(), "plain")
    with pytest.warns(
        UserWarning, match=r"^Class <class '.*Plain'> doesn't expose any methods or attributes\. Did you"
    ):
        metadata = daemon.objectsById["Pyro.Daemon"].get_metadata("plain")
    assert metadata == {"methods": set(), "oneway": set(), "attrs": set()}
    open_daemon = make_daemon(items={"REQUIRE_EXPOSE": False})
    open_daemon.register(Plain(), "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_daemon.objectsById["Pyro.Daemon"].get_metadata("plain")["methods"] == {"method"}


# ---- housekeeping and the end


def test_housekeeping(make_daemon: Any) -> None:
    """[DMN-35], [OV-40]: never twice at the same time, never after a shutdown."""
    calls: list[str] = []

    class Tidy(pyrolite.Daemon):
        def housekeeping(self) -> None:
            calls.append("run")
            self._housekeeping()  # as from another thread

    daemon = make_daemon(Tidy)
    daemon._housekeeping()
    daemon._housekeeping()
    assert calls == ["run", "run"]
    daemon.shutdown()
    daemon._housekeeping()
    assert calls == ["run", "run"]


def test_failing_housekeeping(make_daemon: Any) -> None:
    """[DMN-35], [HRD-20]: the transport logs it; the next one takes place."""

    class Failing(pyrolite.Daemon):
        failures = 0

        def housekeeping(self) -> None:
            self.failures += 1
            raise ValueError("oops")

    daemon = make_daemon(Failing)
    for _ in range(2):
        with pytest.raises(ValueError):
            daemon._housekeeping()
    assert daemon.failures == 2


def test_shutdown(daemon: pyrolite.Daemon) -> None:
    """[DMN-32], [STR-8]"""
    daemon._pyroStreams.open(None, iter([1]))
    daemon.shutdown(drain=1.5)
    assert daemon._shutting_down is True
    assert daemon.streaming_responses == {}
    assert daemon.transportServer.shut_down == [1.5]
    with pytest.raises(PyroError, match="^cannot reuse this object$"):
        daemon.__enter__()


def test_close(daemon: pyrolite.Daemon) -> None:
    """[DMN-33], [STR-8]"""
    daemon._pyroStreams.open(None, iter([1]))
    for _ in range(2):
        daemon.close()
    assert daemon.streaming_responses == {}
    assert daemon.transportServer.closed


def test_configuration_is_its_own(pyro_config: Configuration) -> None:
    """[DMN-4]: later changes of the accepted serializers do not matter; see also test_accepted_serializers."""
    with pyrolite.Daemon(host="127.0.0.1") as daemon:
        pyro_config.SERIALIZERS_ACCEPTED = {"json"}
        assert sorted(daemon._pyroDispatcher.serializers) == [1, 2, 3]


def test_pickled_state(daemon: pyrolite.Daemon) -> None:
    """[DMN-11]"""
    assert daemon.__getstate__() == {}
    assert isinstance(pickle.loads(pickle.dumps(daemon)), pyrolite.Daemon)
