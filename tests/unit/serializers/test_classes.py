"""Instances as dicts and back, and the library's own classes ([SER-30] to [SER-44], [SER-57], [SEC-22], [SEC-23])."""

from __future__ import annotations

import collections
import dataclasses
import logging
import types
from typing import Any

import pytest

from pyrolite import errors
from pyrolite.core import URI, Daemon, Proxy
from pyrolite.errors import ProtocolError, SecurityError, SerializeError
from pyrolite.futures import _ExceptionWrapper
from pyrolite.serializers import SerializerBase, get_serializer, register_library_class

NAMES = ["serpent", "json", "marshal", "msgpack"]
NAME = __name__

each_name = pytest.mark.parametrize("name", NAMES)


class Plain:
    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int


class Slots:
    __slots__ = ("__hidden", "a", "never")

    def __init__(self) -> None:
        self.a = 1
        self.__hidden = 2


class OneSlot:
    __slots__ = "only"  # noqa: PLC0205 - allowed by Python


class StateDict:
    def __getstate__(self) -> Any:
        return {"k": "v"}


class StateNamed:
    def __getstate__(self) -> Any:
        return {"__class__": "my.Name", "k": "v"}


class StateOther:
    def __init__(self) -> None:
        self.field = 1

    def __getstate__(self) -> Any:
        return ("t", 1)


class Inherits(StateDict):
    pass


def literal(name: str, value: Any) -> Any:
    """What travels, without class conversion on arrival."""
    serializer = get_serializer(name)
    data = serializer.dumps(value)
    hidden = data.replace(b"__class__", b"__klass__")
    return serializer.loads(hidden)


class TestClassToDict:
    def test_instances(self) -> None:
        """[SER-30] 5: a copy of the attributes, the name comes last."""
        thing = Plain(a=1, b=[2])
        result = SerializerBase.class_to_dict(thing)
        assert result == {"a": 1, "b": [2], "__class__": f"{NAME}.Plain"}
        assert list(result)[-1] == "__class__"
        assert vars(thing) == {"a": 1, "b": [2]}

    @pytest.mark.parametrize("container", [{1}, {"a": 1}, (1,), [1]], ids=repr)
    def test_containers(self, container: Any) -> None:
        """[SER-30] 2."""
        with pytest.raises(ValueError, match=f"can't serialize type {type(container)} into a dict"):
            SerializerBase.class_to_dict(container)

    def test_own_getstate(self) -> None:
        """[SER-30] 4: a dict as it is; with serpent its class is added."""
        assert SerializerBase.class_to_dict(StateDict()) == {"k": "v"}
        assert SerializerBase.class_to_dict(Inherits()) == {"k": "v"}
        assert SerializerBase.class_to_dict(StateNamed()) == {"__class__": "my.Name", "k": "v"}
        for name in ("json", "marshal", "msgpack"):
            assert get_serializer(name).loads(get_serializer(name).dumps([StateDict()])) == [{"k": "v"}]
        assert literal("serpent", [StateDict()]) == [{"k": "v", "__klass__": f"{NAME}.StateDict"}]

    def test_other_states(self) -> None:
        """[SER-30] 4: a state that is no dict is for serpent only."""
        assert SerializerBase.class_to_dict(StateOther()) == {"field": 1, "__class__": f"{NAME}.StateOther"}
        assert literal("serpent", [StateOther()]) == [("t", 1)]
        assert literal("json", [StateOther()]) == [{"field": 1, "__klass__": f"{NAME}.StateOther"}]

    def test_slots(self) -> None:
        """[SER-30] 6: assigned slots of the class, private names, a single name."""
        assert SerializerBase.class_to_dict(Slots()) == {"__hidden": 2, "a": 1, "__class__": f"{NAME}.Slots"}
        only = OneSlot()
        only.only = 5
        assert SerializerBase.class_to_dict(only) == {"only": 5, "__class__": f"{NAME}.OneSlot"}

    def test_nothing(self) -> None:
        """[SER-30] 7."""
        with pytest.raises(
            SerializeError, match=r"don't know how to serialize class <class 'object'> using serializer"
        ):
            SerializerBase.class_to_dict(object())
        with pytest.raises(TypeError, match=r"don't know how to serialize class <class 'object'>\. Give"):
            get_serializer("serpent").class_to_dict(object())

    @each_name
    @pytest.mark.parametrize(
        "value",
        [Plain(a=1), Point(1, 2), types.SimpleNamespace(a=1), collections.ChainMap({"a": 1}), Plain()],
        ids=lambda value: type(value).__name__,
    )
    def test_as_on_python_310(self, name: str, value: Any) -> None:
        """[SER-57]: object.__getstate__ of Python 3.11+ makes no difference: the class name is there, and refused."""
        sent = literal(name, [value])[0]
        cls = type(value)
        assert sent == {**vars(value), "__klass__": f"{cls.__module__}.{cls.__name__}"}
        with pytest.raises(SerializeError, match=f"unsupported serialized class: {cls.__module__}.{cls.__name__}"):
            get_serializer(name).loads(get_serializer(name).dumps(value))

    @each_name
    def test_registered_objects(self, name: str) -> None:
        """[SER-34]: the ties to a daemon stay here, and are not cut."""
        thing = Plain(a=1, _pyroDaemon=object(), _pyroId="obj_1")
        before = dict(vars(thing))
        assert literal(name, [thing]) == [{"a": 1, "__klass__": f"{NAME}.Plain"}]
        assert vars(thing) == before

    @each_name
    def test_nested(self, name: str) -> None:
        """[SER-33]: at every level, also inside of instances."""
        value = {"x": [Plain(inner=Plain(a=(1,)))]}
        inner = {"a": [1] if name in ("json", "msgpack") else (1,), "__klass__": f"{NAME}.Plain"}
        assert literal(name, value) == {"x": [{"inner": inner, "__klass__": f"{NAME}.Plain"}]}


class TestDictToClass:
    @each_name
    def test_unknown(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        """[SER-31] 6, [SEC-22]: logged and refused; nothing is imported."""
        serializer = get_serializer(name)
        caplog.set_level(logging.WARNING, logger="pyrolite.serializers")
        for known in (
            "no.such.Class",
            "os.system",
            "builtins.int",
            "subprocess.Popen",
            "builtins.eval",
            "Pyro4.core.X",
        ):
            caplog.clear()
            with pytest.raises(SerializeError) as caught:
                serializer.loads(serializer.dumps({"__class__": known, "args": [1]}))
            assert str(caught.value) == f"unsupported serialized class: {known}"
            assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
                ("WARNING", f"unsupported serialized class: {known}")
            ]

    @each_name
    @pytest.mark.parametrize(
        "known", ["Pyro4.util.Nothing", "Pyro4.errors.Nothing", "Pyro4.errors.Exception", "URI", "Pyro4"]
    )
    def test_unknown_library_names(self, name: str, known: str) -> None:
        """[SER-42]."""
        serializer = get_serializer(name)
        for data in ({"__class__": known}, {"__class__": known, "args": [], "__exception__": True}):
            with pytest.raises(SerializeError, match=f"unsupported serialized class: {known}"):
                serializer.loads(serializer.dumps(data))

    @each_name
    def test_double_underscore(self, name: str) -> None:
        """[SER-31] 3: whatever else the name is."""
        serializer = get_serializer(name)
        for known in ("__main__.Thing", "a.__b", "builtins.__import__", "__class__"):
            with pytest.raises(
                SecurityError, match="refused to deserialize types with double underscores in their name"
            ):
                serializer.loads(serializer.dumps([{"__class__": known}]))

    def test_recreate_classes(self) -> None:
        """[SER-4], [SER-31]: in lists, tuples, dicts; the argument is not changed; sets and other values pass."""
        uri = {"__class__": "Pyro4.core.URI", "state": ("PYRO", "o", None, "h", 1)}
        value = [uri, (uri, {"key": uri}), {1, 2}, "text", None]
        for name in NAMES:
            received = get_serializer(name).recreate_classes(value)
            expected = URI("PYRO:o@h:1")
            assert received == [expected, (expected, {"key": expected}), {1, 2}, "text", None]
            assert value[0] is uri
        assert get_serializer("pickle").recreate_classes(value) is value
        assert SerializerBase.dict_to_class(uri) == URI("PYRO:o@h:1")

    def test_subclasses_of_containers_pass(self) -> None:
        """[SER-31]: exact types only."""
        data = collections.OrderedDict(__class__="no.such.Class")
        assert get_serializer("json").recreate_classes([data]) == [data]

    def test_names_of_serpent(self) -> None:
        """[SER-10] (b), [SER-12], [SER-16]: what serpent writes for values without a literal is for serpent only."""
        for data in (
            {"__class__": "float", "value": "nan"},
            {"__class__": "complex", "real": 1, "imag": 2},
            {"__class__": "collections.OrderedDict", "items": []},
        ):
            for name in ("json", "marshal", "msgpack"):
                with pytest.raises(SerializeError):
                    get_serializer(name).loads(get_serializer(name).dumps(data))
        loads = get_serializer("serpent").loads
        assert loads(b"{'__class__':'collections.OrderedDict','items':[(1,{'__class__':'float','value':'inf'})]}") == {
            1: float("inf")
        }
        with pytest.raises(SerializeError):
            loads(b"{'__class__':'complex','real':'x','imag':2}")


def described(value: Any) -> Any:
    if isinstance(value, Proxy):
        return (type(value), value.__getstate__()[:4], value._pyroHmacKey, value._pyroHandshake, value._pyroSerializer)
    return (type(value), value)


class TestLibraryClasses:
    """[SER-40]."""

    @each_name
    @pytest.mark.parametrize("text", ["PYRO:o@h:1", "PYRO:o@./u:sock", "PYRONAME:n@h:5", "PYROMETA:a,b"])
    def test_uri(self, name: str, text: str) -> None:
        uri = URI(text)
        sent = literal(name, uri)
        listed = name in ("json", "msgpack")
        named = list(uri.object) if listed and isinstance(uri.object, set) else uri.object
        state = (uri.protocol, named, uri.sockname, uri.host, uri.port)
        assert sent == {"__klass__": "Pyro4.core.URI", "state": list(state) if listed else state}
        serializer = get_serializer(name)
        received = serializer.loads(serializer.dumps([uri]))[0]
        assert type(received) is URI
        assert received == uri
        assert type(received.object) is type(uri.object)

    @each_name
    def test_proxy(self, name: str) -> None:
        proxy = Proxy("PYRO:o@h:1")
        proxy._pyroOneway, proxy._pyroMethods, proxy._pyroAttrs = {"a"}, {"b"}, {"c"}
        proxy._pyroHandshake = ["hs"]
        proxy._pyroSerializer = "json"
        proxy._pyroHmacKey = b"key"
        serializer = get_serializer(name)
        received = serializer.loads(serializer.dumps({"key": [proxy]}))["key"][0]
        assert described(received) == described(proxy)
        assert received._pyroConnection is None  # [SEC-23]
        state = list(literal(name, proxy)["state"])
        assert [list(item) if isinstance(item, tuple) else item for item in state] == [
            *("PYRO:o@h:1", ["a"], ["b"], ["c"]),
            *(0.0, "b64:a2V5", ["hs"], 0, "json"),
        ]

    @each_name
    def test_proxy_states(self, name: str) -> None:
        serializer = get_serializer(name)

        def received(*state: Any) -> Any:
            return serializer.loads(serializer.dumps({"__class__": "Pyro4.core.Proxy", "state": state}))

        start = ("PYRO:o@h:1", ("a",), ("b",), (), 5.0)
        assert received(*start, None, "hello", 3)._pyroSerializer is None
        assert received(*start, None, "hello", 3, None)._pyroMethods == {"b"}
        with pytest.raises((ProtocolError, SerializeError), match="hmac encoding error"):
            received(*start, "plain text", "hello", 3, None)

    @each_name
    def test_wrapped_exceptions(self, name: str) -> None:
        """[SER-54]."""
        sent = literal(name, [_ExceptionWrapper(ValueError("w"))])[0]
        assert sent["__klass__"] == "Pyro4.futures._ExceptionWrapper"
        assert sent["exception"]["__klass__"] == "builtins.ValueError"
        serializer = get_serializer(name)
        received = serializer.loads(serializer.dumps([1, _ExceptionWrapper(ValueError("w"))]))
        assert isinstance(received[1], _ExceptionWrapper)
        assert isinstance(received[1].exception, ValueError)

    @each_name
    def test_daemon(self, name: str) -> None:
        """[SER-40]: an unusable object arrives, so that what refers to its daemon can be sent."""
        serializer = get_serializer(name)
        daemon = Daemon.__new__(Daemon)  # what it is bound to does not matter
        sent = literal(name, [daemon])[0]
        received = serializer.loads(serializer.dumps([daemon]))[0]
        assert sent == {"__klass__": "Pyro4.core.Daemon", "state": [] if name in ("json", "msgpack") else ()}
        assert isinstance(received, Daemon)
        assert "unusable" in repr(received)

    @each_name
    def test_synonyms(self, name: str) -> None:
        """[SER-42]: the names of pyrolite are read, and never written."""
        serializer = get_serializer(name)
        for prefix in ("Pyro4", "pyrolite"):
            data = [
                {"__class__": f"{prefix}.core.URI", "state": ("PYRO", "o", None, "h", 1)},
                {"__class__": f"{prefix}.errors.NamingError", "__exception__": True, "args": ["x"], "attributes": {}},
                {"__class__": f"{prefix}.util.JsonSerializer"},
            ]
            uri, error, json_serializer = serializer.loads(serializer.dumps(data))
            assert uri == URI("PYRO:o@h:1")
            assert type(error) is errors.NamingError
            assert json_serializer == get_serializer("json")
            assert b"pyrolite." not in serializer.dumps([uri, error, json_serializer])

    @each_name
    def test_subclasses(self, name: str) -> None:
        """[SER-43]: under the name of the library's class."""

        class MyUri(URI):
            pass

        class MyProxy(Proxy):
            pass

        serializer = get_serializer(name)
        received = serializer.loads(serializer.dumps([MyUri("PYRO:o@h:1"), MyProxy("PYRO:o@h:1")]))
        assert [type(item) for item in received] == [URI, Proxy]

    @each_name
    def test_nested_in_states(self, name: str) -> None:
        """[SER-32]: class dicts within the dicts of the library's classes."""

        class Box:
            def __init__(self, content: Any) -> None:
                self.content = content

        register_library_class(
            Box,
            "Pyro4.test.Box",
            lambda box: {"__class__": "Pyro4.test.Box", "content": box.content},
            lambda data: Box(data["content"]),
        )
        serializer = get_serializer(name)
        content = [URI("PYRO:o@h:1"), {"key": ValueError("x")}]
        received = serializer.loads(serializer.dumps(Box(content)))
        assert type(received) is Box
        assert received.content[0] == content[0]
        assert isinstance(received.content[1]["key"], ValueError)
        # what is unknown does not spoil the rest
        received = serializer.loads(serializer.dumps(Box([Plain(a=1), URI("PYRO:o@h:1")])))
        assert received.content == [{"a": 1, "__class__": f"{NAME}.Plain"}, URI("PYRO:o@h:1")]
