"""Errors of decoding and encoding ([SER-5], [SER-6], [BYD-42], [HRD-3])."""

from __future__ import annotations

import contextlib
import datetime
import gc
import weakref
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.errors import MessageTooLargeError, SecurityError, SerializeError
from pyrolite.serializers import SerializerBase, get_serializer

NAMES = ["serpent", "json", "marshal", "msgpack"]
ALL_NAMES = [*NAMES, "pickle", "cloudpickle", "dill"]


def encoded(name: str, literal: Any) -> bytes:
    """``literal`` in that format, without a look at what is in it."""
    return get_serializer(name).dumps(literal)


@pytest.mark.parametrize("name", ALL_NAMES)
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\xff\xff\xff\xff", b"garbage", b"(((((", b"\x80\x05.", b"\x9f"], ids=repr
)
def test_garbage(name: str, data: bytes) -> None:
    """[SER-5]: every failure is a SerializeError with its cause."""
    serializer = get_serializer(name)
    for loads in (serializer.loads, serializer.loadsCall, serializer.deserializeData, serializer.deserializeCall):
        for buffer in (data, bytearray(data), memoryview(data)):
            if name == "msgpack" and data[:1] in (b"\0", b"g", b"(") and len(data) == 1:
                assert isinstance(get_serializer(name).loads(data), int)  # a value, by accident
                continue
            with pytest.raises(SerializeError) as caught:
                loads(buffer)
            assert type(caught.value) is SerializeError
            assert isinstance(caught.value.__cause__, Exception)
            assert str(caught.value)


@pytest.mark.parametrize("name", ALL_NAMES)
@pytest.mark.parametrize("call", [5, None, [], [1, 2, 3], [1, 2, 3, 4, 5], "abc", {"object": 1}], ids=repr)
def test_calls_of_wrong_shape(name: str, call: Any) -> None:
    """[SER-5], [WIRE-74]: something that is no call at all."""
    with pytest.raises(SerializeError):
        get_serializer(name).loadsCall(encoded(name, call))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "data",
    [
        {"__class__": "Pyro4.core.URI"},
        {"__class__": "Pyro4.core.URI", "state": 5},
        {"__class__": "Pyro4.core.URI", "state": [1]},
        {"__class__": "Pyro4.core.Proxy", "state": []},
        {"__class__": "Pyro4.core.Proxy", "state": ["nonsense", [], [], [], 0, None, "h", 0]},
        {"__class__": "Pyro4.futures._ExceptionWrapper"},
        {"__class__": "Pyro4.futures._ExceptionWrapper", "exception": 5},
        {"__class__": "builtins.ValueError", "__exception__": True},
        {"__class__": "builtins.ValueError", "__exception__": True, "args": 5},
        {"__class__": "builtins.ValueError", "__exception__": True, "args": [], "attributes": 5},
        {"__class__": "Pyro4.errors.NamingError"},
        {"__class__": 5},
        {"__class__": None},
        {"__class__": ["a"]},
        {"__class__": {"__class__": "x"}},
    ],
    ids=repr,
)
def test_malformed_class_dicts(name: str, data: Any) -> None:
    """[SER-5], [SER-31]: missing and wrong parts."""
    serializer = get_serializer(name)
    for literal in (data, [[data]], {"key": data}):
        with pytest.raises(SerializeError):
            serializer.loads(encoded(name, literal))
    with pytest.raises(SerializeError):
        serializer.loadsCall(serializer.dumpsCall("o", "m", (data,), {}))
    with pytest.raises(SerializeError):
        serializer.loadsCall(serializer.dumpsCall("o", "m", (), {"key": data}))


def test_class_name_as_bytes() -> None:
    """[SER-31] 1: bytes are decoded, if they can be."""
    assert isinstance(
        get_serializer("marshal").loads(encoded("marshal", {"__class__": b"Pyro4.util.JsonSerializer"})), SerializerBase
    )
    with pytest.raises(SerializeError):
        get_serializer("marshal").loads(encoded("marshal", {"__class__": b"\xff"}))


@pytest.mark.parametrize("name", NAMES)
def test_security_error_passes(name: str) -> None:
    """[SER-5]: unchanged."""
    with pytest.raises(SecurityError) as caught:
        get_serializer(name).loads(encoded(name, [{"__class__": "__main__.Thing"}]))
    assert str(caught.value) == "refused to deserialize types with double underscores in their name: __main__.Thing"


def test_text_of_decoding_errors() -> None:
    """[SER-5], [WIRE-86]: it says what is wrong."""
    with pytest.raises(SerializeError, match="KeyError: 'object'"):
        get_serializer("json").loadsCall(b"{}")
    with pytest.raises(SerializeError, match="Expecting value"):
        get_serializer("json").loads(b"[")


def test_decompression() -> None:
    """[WIRE-42]: errors of decompressing are those of `pyrolite.compression`."""
    serializer = get_serializer("json")
    with pytest.raises(SerializeError, match="compressed"):
        serializer.deserializeData(b"no zlib", compressed=True)
    data, compressed = serializer.serializeData("x" * 100_000, compress=True)
    assert compressed
    with config.override(MAX_MESSAGE_SIZE=1000), pytest.raises(MessageTooLargeError):
        serializer.deserializeData(data, compressed=True)
    with config.override(MAX_MESSAGE_SIZE=1000), pytest.raises(MessageTooLargeError):
        serializer.deserializeCall(data, compressed=True)


@pytest.mark.parametrize("name", ["serpent", "json", "marshal"])
def test_circular_references(name: str) -> None:
    """[SER-6]: a ValueError, for all kinds of circles."""
    in_list: list[Any] = [1]
    in_list.append([in_list])
    in_dict: dict[str, Any] = {}
    in_dict["key"] = (in_dict,)

    class Node:
        pass

    in_object = Node()
    in_object.me = [in_object]  # type: ignore[attr-defined]
    serializer = get_serializer(name)
    for value in (in_list, in_dict, in_object, [datetime.time(1), in_list]):
        with pytest.raises(ValueError, match="(?i)circular reference"):
            serializer.dumps(value)
        with pytest.raises(ValueError, match="(?i)circular reference"):
            serializer.dumpsCall("o", "m", (value,), {})
        with pytest.raises(ValueError, match="(?i)circular reference"):
            serializer.dumpsCall("o", "m", (), {"key": value})


@pytest.mark.parametrize("name", NAMES)
def test_shared_references_are_no_circles(name: str) -> None:
    """[SER-6]: they arrive as copies."""
    shared = [datetime.time(1)]
    received = get_serializer(name).loads(get_serializer(name).dumps([shared, shared, {"key": shared}]))
    assert received == [["01:00:00"], ["01:00:00"], {"key": ["01:00:00"]}]


class Marker:
    def __init__(self) -> None:
        self.unfit = (item for item in ())


@pytest.mark.parametrize("name", ALL_NAMES)
def test_errors_are_freed_at_once(name: str) -> None:
    """[HRD-44]: nobody has to wait for the garbage collector."""
    serializer = get_serializer(name)

    def decoding(action: Any) -> Any:
        try:
            return action(b"\xc1")
        except SerializeError as error:
            return weakref.ref(error)

    def encoding(action: Any) -> Any:
        marker = Marker()
        with contextlib.suppress(TypeError, ValueError, SerializeError):
            return action(marker)
        return weakref.ref(marker)  # which the frames of the traceback refer to

    was = gc.isenabled()
    gc.disable()
    try:
        assert decoding(serializer.loads)() is None
        assert decoding(serializer.loadsCall)() is None
        assert encoding(serializer.dumps)() is None
        assert encoding(lambda marker: serializer.dumpsCall("o", "m", (marker,), {}))() is None
    finally:
        if was:
            gc.enable()


class Owner:
    def __init__(self) -> None:
        self.name = "x"
        self.items = (item for item in ())


class Frame:
    def __init__(self) -> None:
        self.size = 5
        self.owner = Owner()


class TestPaths:
    """[BYD-42]."""

    @pytest.mark.parametrize("name", ALL_NAMES)
    def test_results(self, name: str) -> None:
        value = {"frames": [1, 2, Frame()], "other": [1]}
        serializer = get_serializer(name)
        with pytest.raises(Exception) as caught:
            serializer.dumps(value)
        text = str(caught.value)
        assert "result['frames'][2].owner.items" in text
        assert "builtins.generator" in text
        assert type(serializer).__name__ in text
        for way_out in ("Convert it", "register_class_to_dict", "another serializer"):
            assert way_out in text

    @pytest.mark.parametrize("name", ALL_NAMES)
    def test_calls(self, name: str) -> None:
        serializer = get_serializer(name)
        with pytest.raises(Exception, match=r"at args\[1\]\['key'\]\[0\]: "):
            serializer.dumpsCall("o", "m", (1, {"key": [(item for item in ())]}), {"a": 1})
        with pytest.raises(Exception, match=r"at kwargs\['a'\]\.items: "):
            serializer.dumpsCall("o", "m", (1,), {"a": Owner()})

    @pytest.mark.parametrize("name", NAMES)
    def test_exceptions(self, name: str) -> None:
        error = ValueError("x", [(item for item in ())])
        with pytest.raises(Exception, match=r"at result\.args\[1\]\[0\]: "):
            get_serializer(name).dumps(error)

    def test_keys(self) -> None:
        with pytest.raises(TypeError, match=r"at result\[0\]: an object of class builtins.dict"):
            get_serializer("serpent").dumps([{None: 1}])
        with pytest.raises(TypeError, match=r"keys must be str.*at result\['a'\]: an object of class builtins.dict"):
            get_serializer("json").dumps({"a": {(1,): 2}})

    def test_sets(self) -> None:
        with pytest.raises(ValueError, match=r"at result\[0\] element <object object at 0x"):
            get_serializer("marshal").dumps([{object()}])

    def test_surrogates(self) -> None:
        with pytest.raises(
            UnicodeEncodeError, match=r"surrogates not allowed \(at result\['a'\]\[0\]: an object of class"
        ):
            get_serializer("json").dumps({"a": ["\ud800"]})

    def test_circles(self) -> None:
        circle: list[Any] = []
        circle.append({"again": circle})
        with pytest.raises(ValueError, match=r"at result\[0\]\['again'\]: an object of class builtins.list"):
            get_serializer("json").dumps(circle)

    def test_long_paths_and_keys(self) -> None:
        value: Any = object()
        for _ in range(100):
            value = {"k" * 100: value}
        with pytest.raises(SerializeError) as caught:
            get_serializer("json").dumps(value)
        assert len(str(caught.value)) < 1500

    def test_keys_without_a_text(self) -> None:
        class Key:
            def __repr__(self) -> str:
                raise RuntimeError

        with pytest.raises(ValueError, match=r"\[<Key>\]"):
            get_serializer("marshal").dumps({Key(): object()})

    def test_errors_of_users_are_left_alone(self) -> None:
        class Thing:
            pass

        def refuse(thing: Any) -> Any:
            raise error

        SerializerBase.register_class_to_dict(Thing, refuse)
        try:
            for name in NAMES:
                for value in (Thing(), [Thing()]):
                    for error in (ValueError("not this one"), SerializeError("not this one")):
                        with pytest.raises(type(error)) as caught:
                            get_serializer(name).dumps(value)
                        assert caught.value is error
                        assert error.args == ("not this one",)
        finally:
            SerializerBase.unregister_class_to_dict(Thing)

    def test_large_graphs_do_not_take_long(self) -> None:
        value = [[list(range(100)) for _ in range(300)] for _ in range(10)] + [[object()]]
        with pytest.raises(SerializeError):
            get_serializer("json").dumps(value)
