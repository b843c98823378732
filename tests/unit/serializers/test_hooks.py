"""What users register: converters of classes, replacements of types ([SER-60] to [SER-64])."""

from __future__ import annotations

import abc
import copyreg
import datetime
import decimal
import enum
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from pyrolite.configuration import config
from pyrolite.serializers import SerializerBase, get_serializer
from pyrolite.serializers.classes import ClassTable

NAMES = ["serpent", "json", "marshal", "msgpack"]
PICKLES = ["pickle", "cloudpickle", "dill"]

each_name = pytest.mark.parametrize("name", NAMES)


class Base:
    def __init__(self, value: Any = 1) -> None:
        self.value = value


class Derived(Base):
    pass


class Interface(abc.ABC):
    @abc.abstractmethod
    def method(self) -> None: ...


class Implements(Interface):
    def method(self) -> None: ...


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    HIGH = 3


class Pair(NamedTuple):
    left: int
    right: int


class Names(dict):
    pass


class Number(int):
    pass


class Mixin:
    pass


class MixedList(Mixin, list):
    pass


@pytest.fixture
def hook() -> Iterator[Callable[..., None]]:
    """Registers a converter for the time of a test."""
    registered = []

    def register(clazz: type, converter: Any, **more: Any) -> None:
        registered.append(clazz)
        SerializerBase.register_class_to_dict(clazz, converter, **more)

    yield register
    for clazz in registered:
        SerializerBase.unregister_class_to_dict(clazz)


@pytest.fixture
def replace() -> Iterator[Callable[[type, Any], None]]:
    """Registers a replacement in all serializers for the time of a test."""
    serializers = [type(get_serializer(name)) for name in (*NAMES, *PICKLES)]
    before = [serializer._replacements for serializer in serializers]

    def register(clazz: type, function: Any) -> None:
        for serializer in serializers:
            serializer.register_type_replacement(clazz, function)

    yield register
    for serializer, replacements in zip(serializers, before, strict=True):
        serializer._replacements = replacements
        serializer._hooks_changed()


def round_trip(name: str, value: Any) -> Any:
    serializer = get_serializer(name)
    received = serializer.loads(serializer.dumps(value))
    _, _, vargs, kwargs = serializer.loadsCall(serializer.dumpsCall("o", "m", (1, value), {"key": value}))
    nested = serializer.loads(serializer.dumps({"a": [(1, value)]}))["a"][0][1]
    assert vargs[1] == kwargs["key"] == nested == received
    return received


def tagged(text: str) -> Callable[[Any], dict[str, Any]]:
    return lambda obj: {"tag": text}


class TestClassToDict:
    """[SER-60]."""

    @each_name
    def test_plain(self, name: str, hook: Any) -> None:
        hook(Base, lambda obj: {"value": obj.value})
        assert round_trip(name, Base(5)) == {"value": 5}
        assert round_trip(name, Derived([uuid.UUID(int=1)])) == {"value": [str(uuid.UUID(int=1))]}
        assert SerializerBase.class_to_dict(Derived(5)) == {"value": 5}
        SerializerBase.unregister_class_to_dict(Base)
        assert SerializerBase.class_to_dict(Base(5)) == {"value": 5, "__class__": f"{__name__}.Base"}
        SerializerBase.unregister_class_to_dict(Base)  # no error

    @each_name
    def test_both_ways(self, name: str, hook: Any) -> None:
        """[SER-61]."""
        hook(Base, lambda obj: {"__class__": "my.base", "inner": obj.value})
        received = []

        def make(classname: str, data: dict[str, Any]) -> Base:
            received.append((classname, dict(data)))
            inner = data["inner"]
            if isinstance(inner, dict) and "__class__" in inner:
                inner = SerializerBase.dict_to_class(inner)
            return Base(inner)

        SerializerBase.register_dict_to_class("my.base", make)
        try:
            got = get_serializer(name).loads(get_serializer(name).dumps(Base(Base(2))))
        finally:
            SerializerBase.unregister_dict_to_class("my.base")
            SerializerBase.unregister_dict_to_class("my.base")  # no error
        assert got.value.value == 2
        inner = {"__class__": "my.base", "inner": 2}
        if name == "msgpack":  # [SER-31]: there values are converted first
            assert received[0] == ("my.base", inner)
            assert isinstance(received[1][1]["inner"], Base)
        else:  # [SER-32]: the dict as it came
            assert received[0] == ("my.base", {"__class__": "my.base", "inner": inner})
            assert received[1] == ("my.base", inner)

    @each_name
    def test_most_specific_wins(self, name: str, hook: Any) -> None:
        """(a) whatever the order of registration."""
        hook(Base, tagged("base"))
        hook(Derived, tagged("derived"))
        assert round_trip(name, [Base(), Derived()]) == [{"tag": "base"}, {"tag": "derived"}]
        SerializerBase.unregister_class_to_dict(Derived)
        assert round_trip(name, [Base(), Derived()]) == [{"tag": "base"}, {"tag": "base"}]

    @each_name
    def test_abstract_bases_come_last(self, name: str, hook: Any) -> None:
        """(a)"""
        Interface.register(Derived)
        hook(Interface, tagged("interface"))
        assert round_trip(name, [Implements(), Derived()]) == [{"tag": "interface"}] * 2
        hook(Base, tagged("base"))
        assert round_trip(name, [Implements(), Derived()]) == [{"tag": "interface"}, {"tag": "base"}]

    @each_name
    @pytest.mark.parametrize(
        "value",
        [
            datetime.datetime(2020, 1, 1),
            datetime.date(2020, 1, 1),
            decimal.Decimal(1),
            uuid.UUID(int=1),
            Color.RED,
            Level.HIGH,
            1 + 2j,
            b"bytes",
            bytearray(b"bytes"),
            Pair(1, 2),
            Names(a=1),
            Number(5),
            ValueError("x"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_before_the_format(self, name: str, value: Any, hook: Any) -> None:
        """(b) types that a format writes itself in some other way."""
        hook(type(value), tagged("mine"))
        assert round_trip(name, value) == {"tag": "mine"}
        assert round_trip(name, [1, "x", {"y": [2.5, None]}]) == [1, "x", {"y": [2.5, None]}]
        SerializerBase.unregister_class_to_dict(type(value))
        assert get_serializer(name).dumps([1, "x"])
        if type(value) is not ValueError and not (name == "json" and type(value) is complex):
            assert round_trip(name, value) != {"tag": "mine"}

    @each_name
    def test_abstract_bases_of_builtins(self, name: str, hook: Any) -> None:
        hook(Mapping, tagged("mapping"))
        assert round_trip(name, [{"a": 1}, Names(a=1)])[0] == {"a": 1}
        assert round_trip(name, Names(a=1)) == {"tag": "mapping"}

    @each_name
    def test_mixins(self, name: str, hook: Any) -> None:
        hook(Mixin, tagged("mixin"))
        assert round_trip(name, MixedList([1])) == {"tag": "mixin"}

    @each_name
    def test_no_effect(self, name: str, hook: Any) -> None:
        """Hooks on the builtin containers, texts and numbers."""
        value = {"a": [1, 2.5, "x", None, True]}
        sets = [{1}, frozenset([2])]
        expected = round_trip(name, sets)
        for clazz in (set, frozenset, dict, list, tuple, str, int, float, bool, type(None)):
            hook(clazz, tagged("wrong"))
        assert round_trip(name, value) == value
        assert round_trip(name, sets) == expected

    @each_name
    @pytest.mark.parametrize("result", [None, "text", [1], 5], ids=repr)
    def test_result_is_no_dict(self, name: str, result: Any, hook: Any) -> None:
        """(c)"""
        hook(Base, lambda obj: result)
        with pytest.raises(TypeError, match="instead of a dict"):
            get_serializer(name).dumps([Base()])
        with pytest.raises(TypeError, match="instead of a dict"):
            SerializerBase.class_to_dict(Base())

    @each_name
    def test_errors_propagate(self, name: str, hook: Any) -> None:
        error = KeyError("mine")

        def fail(obj: Any) -> Any:
            raise error

        hook(Base, fail)
        for action in (
            lambda: get_serializer(name).dumps([Base()]),
            lambda: get_serializer(name).dumpsCall("o", "m", (Base(),), {}),
            lambda: SerializerBase.class_to_dict(Base()),
        ):
            with pytest.raises(KeyError) as caught:
                action()
            assert caught.value is error
            assert error.args == ("mine",)

    def test_not_for_serpent(self, hook: Any) -> None:
        hook(Base, tagged("mine"), serpent_too=False)
        hook(uuid.UUID, tagged("mine"), serpent_too=False)
        for name in ("json", "marshal", "msgpack"):
            assert round_trip(name, [Base(), uuid.UUID(int=1)]) == [{"tag": "mine"}] * 2
        assert b"hooks.Base" in get_serializer("serpent").dumps(Base())
        assert round_trip("serpent", uuid.UUID(int=1)) == str(uuid.UUID(int=1))

    @pytest.mark.parametrize(
        "value", [1 + 2j, b"b", bytearray(b"b"), memoryview(b"b"), Number(5)], ids=lambda v: type(v).__name__
    )
    def test_not_for_serpent_builtin(self, value: Any, hook: Any) -> None:
        expected = round_trip("serpent", value)
        hook(type(value), tagged("mine"), serpent_too=False)
        assert round_trip("serpent", value) == expected
        assert round_trip("msgpack", value) == {"tag": "mine"}

    @each_name
    @pytest.mark.parametrize(
        "value", [1 + 2j, b"b", bytearray(b"b"), memoryview(b"b"), [1, "x"]], ids=lambda v: type(v).__name__
    )
    @pytest.mark.parametrize("clazz", [complex, bytes, bytearray, memoryview])
    def test_a_hook_on_one_changes_no_other(self, name: str, clazz: type, value: Any, hook: Any) -> None:
        if (name, type(value)) == ("json", complex):
            return
        expected = round_trip(name, [value])
        hook(clazz, tagged("mine"))
        assert round_trip(name, [value]) == ([{"tag": "mine"}] if type(value) is clazz else expected)

    def test_pickle_does_not_ask(self, hook: Any) -> None:
        """[SER-30]."""
        hook(decimal.Decimal, tagged("mine"))
        for name in PICKLES:
            assert round_trip(name, decimal.Decimal(5)) == decimal.Decimal(5)


class TestDictToClass:
    """[SER-61]."""

    @each_name
    @pytest.mark.parametrize(
        "known",
        ["builtins.ValueError", "Pyro4.core.URI", "__main__.Thing", "collections.OrderedDict", "float", "ValueError"],
    )
    def test_before_everything_else(self, name: str, known: str) -> None:
        data = {"__class__": known, "__exception__": True, "args": ["x"], "attributes": {}}
        SerializerBase.register_dict_to_class(known, lambda classname, data: (classname, data["args"][0]))
        try:
            assert get_serializer(name).loads(get_serializer(name).dumps([data])) == [(known, "x")]
        finally:
            SerializerBase.unregister_dict_to_class(known)

    @each_name
    def test_errors(self, name: str) -> None:
        """[SER-5]: what a converter raises while decoding is a SerializeError."""
        SerializerBase.register_dict_to_class("my.name", lambda classname, data: data["missing"])
        try:
            with pytest.raises(Exception, match="KeyError: 'missing'"):
                get_serializer(name).loads(get_serializer(name).dumps({"__class__": "my.name"}))
        finally:
            SerializerBase.unregister_dict_to_class("my.name")


class TestReplacements:
    """[SER-62]."""

    @pytest.mark.parametrize("name", [*NAMES, *PICKLES])
    def test_plain(self, name: str, replace: Any) -> None:
        replace(Base, lambda obj: {"replaced": obj.value})
        assert round_trip(name, Base(5)) == {"replaced": 5}
        assert round_trip(name, [1, "x", {"y": (2,)}][:2]) == [1, "x"]

    @pytest.mark.parametrize("name", [*NAMES, *PICKLES])
    def test_the_object_itself(self, name: str, replace: Any) -> None:
        """[SER-63]: a replacement that has nothing to replace with."""
        replace(Base, lambda obj: obj)
        serializer = get_serializer(name)
        if name in PICKLES:
            received = serializer.loads(serializer.dumps([Base(5)]))
            assert received[0].value == 5
            assert type(received[0]).__name__ == "Base"
        else:
            with pytest.raises(Exception, match=r"unsupported serialized class: .*\.Base"):
                serializer.loads(serializer.dumps([Base(5)]))

    @pytest.mark.parametrize("name", [*NAMES, *PICKLES])
    @pytest.mark.parametrize("result", [None, 5, "text", [1], {"a": (1,)}, datetime.date(2020, 1, 1)], ids=repr)
    def test_results_of_all_kinds(self, name: str, result: Any, replace: Any) -> None:
        replace(Base, lambda obj: result)
        serializer = get_serializer(name)
        assert round_trip(name, Base()) == serializer.loads(serializer.dumps(result))

    def test_exact_type(self, replace: Any) -> None:
        """Subclasses with serpent only."""
        replace(Base, lambda obj: "replaced")
        assert round_trip("serpent", Derived()) == "replaced"
        for name in ("json", "marshal", "msgpack"):
            with pytest.raises(Exception, match="Derived"):
                round_trip(name, Derived())
        for name in PICKLES:
            assert get_serializer(name).loads(get_serializer(name).dumps(Derived(3))).value == 3

    @pytest.mark.parametrize("name", [*NAMES, *PICKLES])
    @pytest.mark.parametrize(
        "value", [Names(a=1), Pair(1, 2), Number(5), Color.RED, MixedList()], ids=lambda v: type(v).__name__
    )
    def test_types_that_formats_write(self, name: str, value: Any, replace: Any) -> None:
        """[SER-63]: objects of classes that are derived from builtin ones can be registered, too."""
        replace(type(value), lambda obj: "replaced")
        assert round_trip(name, value) == "replaced"

    @each_name
    def test_same_type(self, name: str, replace: Any) -> None:
        """A replacement of the same type is final."""
        for clazz in (bytes, bytearray):
            replace(clazz, lambda obj: obj + obj)
        if name == "serpent":
            assert b"'YWI='" not in get_serializer(name).dumps([b"ab"])
            assert round_trip(name, [b"ab"]) == round_trip(name, [bytearray(b"ab")])
        elif name != "json":
            assert round_trip(name, [b"ab", bytearray(b"ab")]) == [b"abab", b"abab"]
        replace(Base, lambda obj: Base(obj.value + 1))
        sent = get_serializer(name).dumps(Base(5)).replace(b"__class__", b"__klass__")
        assert get_serializer(name).loads(sent)["value"] == 6

    @pytest.mark.parametrize("wrong", [type, 5, "Base", None, Base()], ids=lambda value: type(value).__name__)
    def test_refused(self, wrong: Any) -> None:
        for name in (*NAMES, *PICKLES):
            with pytest.raises(
                ValueError, match="refusing to register replacement for a non-type or the type 'type' itself"
            ):
                type(get_serializer(name)).register_type_replacement(wrong, lambda obj: obj)

    def test_own_registry(self, replace: Any) -> None:
        """Each serializer has its own; ordinary pickling is not concerned."""
        before = dict(copyreg.dispatch_table)
        type(get_serializer("json")).register_type_replacement(Implements, lambda obj: "json only")
        replace(Base, lambda obj: "replaced")
        assert copyreg.dispatch_table == before
        assert pickle.loads(pickle.dumps(decimal.Decimal(1))) == 1
        assert get_serializer("json").loads(get_serializer("json").dumps(Implements())) == "json only"
        assert Implements not in type(get_serializer("msgpack"))._replacements

    @each_name
    def test_errors_propagate(self, name: str, replace: Any) -> None:
        def fail(obj: Any) -> Any:
            raise KeyError("mine")

        replace(Base, fail)
        with pytest.raises(KeyError) as caught:
            get_serializer(name).dumps([Base()])
        assert caught.value.args == ("mine",)

    @pytest.mark.parametrize("name", [*NAMES, *PICKLES])
    def test_unpicklable_objects(self, name: str, replace: Any) -> None:
        """[SER-63]: what is replaced need not be serializable itself."""
        replace(Base, lambda obj: "replaced")
        assert round_trip(name, [Base(threading.Lock()), Base(item for item in ())]) == ["replaced"] * 2


class TestAutoproxy:
    """[SER-35], [SER-63], with the replacement that daemons use."""

    @pytest.mark.parametrize("name", [*NAMES, *PICKLES])
    def test_nested(self, name: str, replace: Any) -> None:
        from pyrolite.core import Proxy, pyroObjectToAutoProxy

        class FakeDaemon:
            _pyroConfig = config

            def proxyFor(self, obj: Any) -> Proxy:
                proxy = Proxy("PYRO:obj@host:1")
                proxy._pyroMethods = {"method"}
                return proxy

        replace(Base, pyroObjectToAutoProxy)
        registered = Base(5)
        registered._pyroDaemon = FakeDaemon()  # type: ignore[attr-defined]
        serializer = get_serializer(name)
        for value in (registered, [registered], {"a": [registered]}):
            received = serializer.loads(serializer.dumps(value))
            while isinstance(received, (list, dict)):
                received = received["a"] if isinstance(received, dict) else received[0]
            assert isinstance(received, Proxy)
            assert received._pyroMethods == {"method"}
        assert isinstance(registered._pyroDaemon, FakeDaemon)  # type: ignore[attr-defined]


class TestClassTable:
    """[SER-60] (a), [SER-64]."""

    def test_many_classes(self) -> None:
        """Looking up classes without end does not fill the memory."""
        table: ClassTable[str] = ClassTable()
        table.register(Base, "base")
        for number in range(3000):
            assert table.find(type(f"T{number}", (Base,), {})) == "base"
        assert len(table._found) <= 1000

    def test_registration_while_others_serialize(self) -> None:
        """[SER-64]: no lookup fails, and none is answered with what was removed."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def serialize() -> None:
            try:
                while not stop.is_set():
                    for name in NAMES:
                        assert get_serializer(name).dumps([uuid.UUID(int=1), [1, 2j] if name != "json" else 1])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=serialize) for _ in range(3)]
        for thread in threads:
            thread.start()
        classes = [type(f"T{number}", (Base,), {}) for number in range(30)]
        try:
            for clazz in classes:
                SerializerBase.register_class_to_dict(clazz, tagged(clazz.__name__))
                SerializerBase.register_class_to_dict(complex, tagged("complex"))
                assert SerializerBase.class_to_dict(clazz()) == {"tag": clazz.__name__}
                SerializerBase.unregister_class_to_dict(complex)
                SerializerBase.unregister_class_to_dict(clazz)
                assert SerializerBase.class_to_dict(clazz()) != {"tag": clazz.__name__}
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failures
