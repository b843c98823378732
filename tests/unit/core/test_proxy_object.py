"""What a proxy is and does without any connection (chapter 30)."""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import re
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pyrolite
from pyrolite.configuration import Configuration
from pyrolite.core import _AsyncRemoteMethod, _RemoteMethod, current_context
from pyrolite.core import proxy as proxy_module
from pyrolite.errors import (
    CommunicationError,
    ConnectionClosedError,
    NamingError,
    ProtocolError,
    PyroError,
    SerializeError,
    TimeoutError,  # noqa: A004
)
from pyrolite.serializers import get_serializer

URI = "PYRO:thing@127.0.0.1:9"
METADATA = {"methods": {"add", "later"}, "attrs": {"size"}, "oneway": {"later"}}

Invocation = tuple[str, Any, Any, int, "str | None"]


class Recorder(pyrolite.Proxy):
    """Makes no connection: keeps what would have been sent."""

    def __init__(self, uri: Any = URI, answer: Callable[..., Any] = lambda *args: None) -> None:
        super().__init__(uri)
        self.__dict__["invocations"] = []
        self.__dict__["answer"] = answer

    def _pyroInvoke(self, methodname: str, vargs: Any, kwargs: Any, flags: int = 0, objectId: str | None = None) -> Any:
        self.__dict__["invocations"].append((methodname, vargs, kwargs, flags, objectId))
        return self.__dict__["answer"](methodname, vargs, kwargs)


@pytest.fixture
def recorder() -> Recorder:
    proxy = Recorder()
    proxy._pyroGetMetadata(known_metadata=METADATA)
    return proxy


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting is an error of the test."""

    def connect(*args: Any) -> None:
        raise AssertionError("it connects")

    monkeypatch.setattr(proxy_module, "open_connection", connect)


# ---- construction and attributes


def test_what_it_is_made_from() -> None:
    """[PRX-1], [PRX-2]: a URI or its text; nobody listens there, and that does not matter."""
    uri = pyrolite.URI(URI)
    assert pyrolite.Proxy(URI)._pyroUri == pyrolite.Proxy(uri)._pyroUri == uri
    for wrong in (None, 12, b"PYRO:thing@127.0.0.1:9", object()):
        with pytest.raises(TypeError, match="^expected Pyro URI$"):
            pyrolite.Proxy(wrong)  # type: ignore[arg-type]
    with pytest.raises(PyroError, match="^invalid uri$"):
        pyrolite.Proxy("x")


def test_serializer_has_to_be_there(pyro_config: Configuration) -> None:
    """[PRX-3]"""
    pyro_config.SERIALIZER = "nonsense"
    with pytest.raises(SerializeError, match="^serializer 'nonsense' is unknown or not available$"):
        pyrolite.Proxy(URI)


def test_construction_leaves_the_context_alone() -> None:
    """[PRX-4], [WIRE-26]: annotations that were set before the first call are still there for it."""
    current_context.annotations = {"USER": b"1"}
    current_context.response_annotations = {"RESP": b"2"}
    try:
        pyrolite.Proxy(URI)
        assert (current_context.annotations, current_context.response_annotations) == ({"USER": b"1"}, {"RESP": b"2"})
    finally:
        current_context.annotations, current_context.response_annotations = {}, {}


def test_defaults(pyro_config: Configuration) -> None:
    """[PRX-5]"""
    pyro_config.COMMTIMEOUT, pyro_config.MAX_RETRIES = 4.5, 3
    proxy = pyrolite.Proxy(URI)
    pyro_config.COMMTIMEOUT, pyro_config.MAX_RETRIES = 0.0, 0
    assert proxy._pyroConnection is proxy._pyroSerializer is proxy._pyroHmacKey is None
    assert proxy._pyroMethods == proxy._pyroAttrs == proxy._pyroOneway == set()
    assert (proxy._pyroTimeout, proxy._pyroMaxRetries) == (4.5, 3)
    assert (proxy._pyroHandshake, proxy._pyroSeq, proxy._pyroRawWireResponse) == ("hello", 0, False)
    assert proxy._pyroProtocol == pyro_config.PROTOCOL
    proxy._pyroHmacKey = "schlüssel"
    assert proxy._pyroHmacKey == "schlüssel".encode()
    for empty in ("", b"", None):
        proxy._pyroHmacKey = empty
        assert proxy._pyroHmacKey is None


def test_no_timeout(pyro_config: Configuration) -> None:
    """[PRX-5], [PRX-30]: no configured timeout means for ever."""
    pyro_config.COMMTIMEOUT = 0.0
    proxy = pyrolite.Proxy(URI)
    assert proxy._pyroTimeout is None
    proxy._pyroTimeout = 2
    assert proxy._pyroTimeout == 2


@pytest.mark.usefixtures("no_network")
def test_local_names() -> None:
    """[PRX-6]: private state and Python's hooks never lead to the network."""
    proxy = pyrolite.Proxy(URI)
    for name, value in (
        ("_pyroUri", pyrolite.URI("PYRO:other@h:1")),
        ("_pyroSerializer", "json"),
        ("_pyroMethods", {"m"}),
        ("_pyroAttrs", {"a"}),
        ("_pyroOneway", {"m"}),
        ("_pyroTimeout", 2.0),
        ("_pyroMaxRetries", 5),
        ("_pyroHandshake", ("x", 1)),
        ("_pyroHmacKey", b"k"),
        ("_pyroSeq", 77),
        ("_pyroRawWireResponse", True),
        ("_pyroProtocol", 48),
    ):
        setattr(proxy, name, value)
        assert getattr(proxy, name) == value
    for hook in ("__getnewargs__", "__getnewargs_ex__", "__getinitargs__"):
        with pytest.raises(AttributeError):
            getattr(proxy, hook)


def test_unknown_pyro_names_are_remote(recorder: Recorder) -> None:
    """[PRX-6], [PRX-19]"""
    with pytest.raises(AttributeError, match=f"^remote object '{URI}' has no exposed attribute '_pyroFoo'$"):
        recorder._pyroFoo = 1
    recorder.__dict__["_own"] = 3
    assert recorder._own == 3
    assert recorder.__dict__["invocations"] == []


def test_text() -> None:
    """[PRX-7], [OV-6]"""
    proxy = pyrolite.Proxy(URI)
    text = rf"<pyrolite\.core\.Proxy at 0x{id(proxy):x}; not connected; for {re.escape(URI)}>"
    assert re.fullmatch(text, repr(proxy))
    assert str(proxy) == repr(proxy)
    assert repr(Recorder()).startswith(f"<{__name__}.Recorder at 0x")


def test_equality() -> None:
    """[PRX-8]"""
    proxy, same, other = pyrolite.Proxy(URI), pyrolite.Proxy(URI), pyrolite.Proxy("PYRO:other@127.0.0.1:9")
    same._pyroTimeout = 5
    assert proxy == same
    assert not proxy != same  # noqa: SIM202
    assert proxy != other
    assert hash(proxy) == hash(same) == hash(proxy._pyroUri)
    assert {proxy, same, other} == {proxy, other}
    assert proxy != URI
    assert proxy != proxy._pyroUri
    assert proxy != None  # noqa: E711
    assert bool(proxy) is True


@pytest.mark.usefixtures("no_network")
def test_dir(recorder: Recorder) -> None:
    """[PRX-9]"""
    names = dir(recorder)
    assert names == sorted(names)
    assert {"add", "later", "size", "_pyroBind", "_pyroUri"} <= set(names)
    assert "add" not in dir(pyrolite.Proxy(URI))


@pytest.mark.usefixtures("no_network")
def test_operators_are_not_forwarded(recorder: Recorder) -> None:
    """[PRX-10]"""
    for operate in (len, iter, lambda p: p[0], lambda p: p(), lambda p: p + 1, lambda p: 1 in p):
        with pytest.raises(TypeError):
            operate(recorder)  # type: ignore[operator]
    with pytest.raises(AttributeError):
        del recorder.size
    assert recorder.__dict__["invocations"] == []


def test_dunder_methods_are_ordinary_methods() -> None:
    """[PRX-10]: when called by name."""
    proxy = Recorder(answer=lambda *args: 7)
    proxy._pyroMethods = {"__len__"}
    assert proxy.__len__() == 7
    assert proxy.__dict__["invocations"] == [("__len__", (), {}, 0, None)]


def test_unfinished_proxies_can_be_collected(recwarn: pytest.WarningsRecorder) -> None:
    """[PRX-12]: a constructor that failed leaves something without state."""

    class Impatient(pyrolite.Proxy):
        def __init__(self) -> None:
            raise ValueError("never mind")

    with pytest.raises(ValueError):
        Impatient()
    empty = pyrolite.Proxy.__new__(pyrolite.Proxy)
    with pytest.raises(AttributeError):
        empty.anything
    del empty
    gc.collect()
    assert not list(recwarn)


# ---- copies and pickles


def configured() -> pyrolite.Proxy:
    proxy = pyrolite.Proxy(URI)
    proxy._pyroGetMetadata(known_metadata=METADATA)
    proxy._pyroSerializer = "marshal"
    proxy._pyroTimeout = 2.5
    proxy._pyroHandshake = {"user": "me"}
    proxy._pyroHmacKey = b"key"
    proxy._pyroRawWireResponse = True
    proxy._pyroMaxRetries = 7
    proxy._pyroAsync()
    proxy._pyroSeq = 99
    return proxy


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_copy(make: Callable[[pyrolite.Proxy], pyrolite.Proxy]) -> None:
    """[PRX-13], [PRX-14], [ASY-7]"""
    proxy = configured()
    other = make(proxy)
    assert type(other) is pyrolite.Proxy
    assert other == proxy
    assert other._pyroUri is not proxy._pyroUri
    for name in ("_pyroMethods", "_pyroAttrs", "_pyroOneway"):
        assert getattr(other, name) == getattr(proxy, name)
        assert getattr(other, name) is not getattr(proxy, name)
    for name in ("Serializer", "Timeout", "Handshake", "HmacKey", "RawWireResponse", "MaxRetries", "Protocol"):
        assert getattr(other, "_pyro" + name) == getattr(proxy, "_pyro" + name)
    assert isinstance(other.add, _AsyncRemoteMethod)
    assert other._pyroConnection is None


def test_copy_of_subclasses() -> None:
    """[OV-41]: their constructor gets the URI."""
    proxy = Recorder()
    other = copy.copy(proxy)
    assert type(other) is Recorder
    assert other.__dict__["invocations"] == []
    assert other == proxy


PICKLES = ("pickle", "cloudpickle", "dill")


@pytest.mark.parametrize("name", [*PICKLES, "serpent", "json", "marshal", "msgpack"])
def test_serialized(name: str, pyro_config: Configuration) -> None:
    """[PRX-15], [PRX-16], [ASY-7], [SEC-35]"""
    serializer = get_serializer(name)
    data = serializer.dumps(configured())
    pyro_config.COMMTIMEOUT, pyro_config.MAX_RETRIES = 9.5, 1
    proxy = serializer.loads(data)
    assert type(proxy) is pyrolite.Proxy
    assert proxy._pyroUri == pyrolite.URI(URI)
    assert (proxy._pyroMethods, proxy._pyroAttrs, proxy._pyroOneway) == tuple(METADATA.values())
    assert (proxy._pyroTimeout, proxy._pyroMaxRetries) == (9.5, 1)
    assert (proxy._pyroHmacKey, proxy._pyroHandshake, proxy._pyroSerializer) == (b"key", {"user": "me"}, "marshal")
    assert (proxy._pyroSeq, proxy._pyroConnection) == (0, None)
    assert isinstance(proxy.add, _RemoteMethod)


def test_pickled_state() -> None:
    """[PRX-15]: the nine of Pyro4."""
    state = configured().__getstate__()
    uri, oneway, methods, attrs, timeout, key, handshake, retries, serializer = state
    assert (uri, oneway, methods, attrs) == (pyrolite.URI(URI), {"later"}, {"add", "later"}, {"size"})
    assert (timeout, key, handshake, retries, serializer) == (2.5, b"key", {"user": "me"}, 7, "marshal")


def test_state_of_older_peers() -> None:
    """[PRX-15]: without the serializer."""
    proxy = pyrolite.Proxy.__new__(pyrolite.Proxy)
    proxy.__setstate__(configured().__getstate__()[:8])
    assert proxy._pyroSerializer is None
    assert proxy._pyroMethods == {"add", "later"}


def test_wrong_hmac_text() -> None:
    """[PRX-15]: inside of a message it is, as everything that cannot be decoded, a SerializeError ([SER-5])."""
    state = [URI, (), ("add",), (), 0.0, "no prefix", "hello", 0, None]
    data = get_serializer("json").dumps({"__class__": "Pyro4.core.Proxy", "state": state})
    with pytest.raises(SerializeError, match="hmac encoding error$") as raised:
        get_serializer("json").loads(data)
    assert isinstance(raised.value.__cause__, ProtocolError)


def test_key_may_stay_at_home(pyro_config: Configuration) -> None:
    """[PRX-16], [SER-44]"""
    pyro_config.PROXY_SEND_HMAC_KEY = False
    assert pickle.loads(pickle.dumps(configured()))._pyroHmacKey is None


class WithState(pyrolite.Proxy):
    """Carries something of its own."""

    def __init__(self, uri: Any) -> None:
        super().__init__(uri)
        self.__dict__["_label"] = "mine"

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._label

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state[0])
        self.__dict__["_label"] = state[1]


@pytest.mark.parametrize("name", ["pickle", "dill", "cloudpickle"])
def test_subclass_with_state(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """[OV-41]"""
    monkeypatch.setitem(importlib.import_module("sys").modules, __name__, importlib.import_module("builtins"))
    monkeypatch.setattr(importlib.import_module("builtins"), "WithState", WithState, raising=False)
    proxy = WithState(URI)
    proxy.__dict__["_label"] = "changed"
    serializer = get_serializer(name)
    other = serializer.loads(serializer.dumps(proxy))
    assert (type(other), other._label, other) == (WithState, "changed", proxy)


# ---- attributes and methods


@pytest.mark.usefixtures("no_network")
def test_private_names_never_connect() -> None:
    """[PRX-18]: debuggers, notebooks and copies ask for all kinds of names."""
    proxy = pyrolite.Proxy(URI)
    for name in ("_x", "__x", "_repr_html_", "__deepcopy__x_", "__wrapped__", "_ipython_display_"):
        with pytest.raises(
            AttributeError, match=f"^remote object '{URI}' has no exposed attribute or method '{name}'$"
        ):
            getattr(proxy, name)
    assert not hasattr(proxy, "__dataclass_params__x")


def test_attribute_access(recorder: Recorder) -> None:
    """[PRX-17], [PRX-19], [PRX-21]"""
    recorder.__dict__["answer"] = lambda *args: 12
    assert recorder.size == 12
    recorder.size = 13
    method = recorder.add
    assert isinstance(method, _RemoteMethod)
    assert recorder.__dict__["invocations"] == [
        ("__getattr__", ("size",), None, 0, None),
        ("__setattr__", ("size", 13), None, 0, None),
    ]
    assert not hasattr(recorder, "unknown")
    with pytest.raises(AttributeError, match=f"^remote object '{URI}' has no exposed attribute or method 'unknown'$"):
        recorder.unknown
    for name in ("unknown", "add"):
        with pytest.raises(AttributeError, match=f"^remote object '{URI}' has no exposed attribute '{name}'$"):
            setattr(recorder, name, 1)


def test_names_in_messages_are_those_of_the_user() -> None:
    """[PRX-17]: the PYRONAME form when the proxy is not bound."""
    proxy = pyrolite.Proxy("PYRONAME:some.name")
    proxy._pyroMethods = {"m"}
    with pytest.raises(AttributeError, match="^remote object 'PYRONAME:some.name' has no exposed attribute"):
        proxy.unknown


@pytest.mark.usefixtures("no_network")
def test_without_metadata(pyro_config: Configuration) -> None:
    """[PRX-20]"""
    pyro_config.METADATA = False
    proxy = Recorder(answer=lambda name, *args: name)
    for name in ("anything", "_private", "__dunder__", "__nothing"):
        assert getattr(proxy, name)(1) == name
    proxy.colour = "red"
    assert proxy.colour == "red"
    assert proxy.__dict__["colour"] == "red"
    assert proxy._pyroOneway == set()


def test_arguments(recorder: Recorder) -> None:
    """[PRX-23]: no name of a keyword is taken."""
    recorder.add(1, 2, method=3, args=4, objectId=5, self=6, flags=7, kwargs=8, name=9, methodname=10)
    assert recorder.__dict__["invocations"] == [
        (
            "add",
            (1, 2),
            {"method": 3, "args": 4, "objectId": 5, "self": 6, "flags": 7, "kwargs": 8, "name": 9, "methodname": 10},
            0,
            None,
        )
    ]


def test_dotted_names(recorder: Recorder) -> None:
    """[PRX-22], [SEC-10]: only the first part is checked here."""
    recorder.add.b.c(1)
    assert recorder.__dict__["invocations"][0][:2] == ("add.b.c", (1,))
    with pytest.raises(AttributeError):
        recorder.unknown.add
    recorder.__dict__["answer"] = lambda *args: 3 + 4j
    assert recorder.size.imag == 4


def test_known_metadata() -> None:
    """[PRX-24], [PRX-25]"""
    proxy = Recorder()
    proxy._pyroGetMetadata(known_metadata={"methods": ["a"], "attrs": [], "oneway": []})
    assert (proxy._pyroMethods, proxy._pyroAttrs, proxy._pyroOneway) == ({"a"}, set(), set())
    with pytest.raises(PyroError, match="^remote object doesn't expose any methods or attributes. Did you forget"):
        proxy._pyroGetMetadata(known_metadata={"methods": [], "attrs": (), "oneway": set()})
    for wrong in ({"methods": []}, {"methods": 1, "attrs": [], "oneway": []}):
        with pytest.raises(ProtocolError, match="^malformed metadata$"):
            proxy._pyroGetMetadata(known_metadata=wrong)
    assert proxy.__dict__["invocations"] == []


def test_method_objects() -> None:
    """[OV-15]: they can be made by hand."""
    sent: list[Any] = []
    method = _RemoteMethod(lambda *call: sent.append(call), "name", 0)
    method(1, k=2)
    assert sent == [("name", (1,), {"k": 2})]
    assert repr(method) == "<pyrolite.core._RemoteMethod 'name'>"


# ---- retries


@pytest.mark.parametrize("error", [ConnectionClosedError, TimeoutError])
def test_retries(recorder: Recorder, error: type[Exception]) -> None:
    """[PRX-35]: so many as the proxy says when the method object is made."""

    def fail(*args: Any) -> None:
        raise error("gone")

    recorder.__dict__["answer"] = fail
    recorder._pyroMaxRetries = 3
    method = recorder.add
    recorder._pyroMaxRetries = 0
    with pytest.raises(error):
        method()
    assert len(recorder.__dict__["invocations"]) == 4


def test_success_after_retry(recorder: Recorder) -> None:
    """[PRX-35]"""

    def fail_once(*args: Any) -> str:
        if len(recorder.__dict__["invocations"]) == 1:
            raise ConnectionClosedError("gone")
        return "fine"

    recorder.__dict__["answer"] = fail_once
    recorder._pyroMaxRetries = 1
    assert recorder.add() == "fine"


@pytest.mark.parametrize("error", [CommunicationError, ProtocolError, NamingError, SerializeError, ValueError])
def test_what_is_not_retried(recorder: Recorder, error: type[Exception]) -> None:
    """[PRX-35]"""

    def fail(*args: Any) -> None:
        raise error("no")

    recorder.__dict__["answer"] = fail
    recorder._pyroMaxRetries = 3
    with pytest.raises(error):
        recorder.add()
    assert len(recorder.__dict__["invocations"]) == 1


def test_attributes_are_not_retried(recorder: Recorder) -> None:
    """[PRX-35]: nor are batches."""

    def fail(*args: Any) -> None:
        raise ConnectionClosedError("gone")

    recorder.__dict__["answer"] = fail
    recorder._pyroMaxRetries = 3
    with pytest.raises(ConnectionClosedError):
        recorder.size
    with pytest.raises(ConnectionClosedError):
        recorder.size = 1
    batch = pyrolite.batch(recorder)
    batch.add()
    with pytest.raises(ConnectionClosedError):
        batch()
    assert len(recorder.__dict__["invocations"]) == 3


# ---- reconnecting


def test_reconnect_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """[PRX-36]"""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)

    class Unreachable(pyrolite.Proxy):
        def _pyroBind(self) -> bool:
            raise CommunicationError("nobody there")

    for tries, pauses in ((0, []), (1, []), (3, [2.0, 2.0])):
        slept.clear()
        with pytest.raises(ConnectionClosedError, match="^failed to reconnect$"):
            Unreachable(URI)._pyroReconnect(tries)
        assert slept == pauses


def test_reconnect_stops_at_other_errors() -> None:
    """[PRX-36]: an unknown name will not become known by waiting."""

    class Unknown(pyrolite.Proxy):
        def _pyroBind(self) -> bool:
            raise NamingError("unknown name: x")

    with pytest.raises(NamingError):
        Unknown(URI)._pyroReconnect(5)


# ---- subclasses as they are seen in programs


class Logged(pyrolite.Proxy):
    """A proxy with hooks of its own in all the places where programs have them."""

    def __init__(self, uri: Any, label: str = "none") -> None:
        self.__dict__["_label"] = label
        self.__dict__["_seen"] = []
        super().__init__(uri)

    def __getattr__(self, name: str) -> Any:
        if name == "label":
            return self.__dict__["_label"]
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "label":
            self.__dict__["_label"] = value
        else:
            super().__setattr__(name, value)

    def _pyroInvoke(self, methodname: str, vargs: Any, kwargs: Any, flags: int = 0, objectId: str | None = None) -> Any:
        self._seen.append(methodname)
        return len(self._seen)


def test_subclass_with_hooks() -> None:
    """[OV-40], [OV-41]"""
    proxy = Logged(URI, "first")
    proxy._pyroMethods.add("add")
    proxy._pyroAttrs.add("size")
    assert (proxy.label, proxy.add(1), proxy.size) == ("first", 1, 2)
    proxy.label = "second"
    proxy.size = 5
    batch = pyrolite.batch(proxy)
    batch.add()
    batch(oneway=True)
    assert proxy._seen == ["add", "__getattr__", "__setattr__", "<batch>"]
    other = copy.copy(proxy)
    assert (type(other), other.label, other._seen) == (Logged, "none", [])


def test_asynchronous_by_class() -> None:
    """[ASY-1]: in a constructor, or for all proxies of a class."""

    class Asynchronous(pyrolite.Proxy):
        def __init__(self, uri: Any) -> None:
            super().__init__(uri)
            self._pyroAsync()

    proxy = Asynchronous(URI)
    proxy._pyroMethods = {"add"}
    assert isinstance(proxy.add, _AsyncRemoteMethod)
    assert isinstance(copy.copy(proxy).add, _AsyncRemoteMethod)


def test_switching_asynchronous_mode() -> None:
    """[ASY-1]"""
    proxy = pyrolite.Proxy(URI)
    proxy._pyroMethods = {"add"}
    assert pyrolite.asyncproxy(proxy) is None  # type: ignore[func-returns-value]
    assert isinstance(proxy.add, _AsyncRemoteMethod)
    assert isinstance(proxy.add.b, _AsyncRemoteMethod)
    assert repr(proxy.add.b) == "<pyrolite.core._AsyncRemoteMethod 'add.b'>"
    pyrolite.asyncproxy(proxy, asynchronous=False)
    assert isinstance(proxy.add, _RemoteMethod)
    assert proxy._pyroAsync() is None  # type: ignore[func-returns-value]
    assert proxy._pyroAsync(asynchronous=False) is None  # type: ignore[func-returns-value]


def test_nothing_keeps_a_proxy_alive() -> None:
    """[PRX-12]"""
    proxy = pyrolite.Proxy(URI)
    proxy._pyroMethods = {"add"}
    proxy.add
    gone = weakref.ref(proxy)
    del proxy
    assert gone() is None
