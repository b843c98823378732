"""What of an object may be called from outside (chapter 31, EXP)."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pyrolite
from pyrolite import core, util
from pyrolite.configuration import config
from pyrolite.core import exposure
from pyrolite.core.exposure import (
    behavior,
    callback,
    expose,
    exposed_names,
    find_method,
    get_exposed_members,
    get_exposed_property_value,
    getAttribute,
    is_private_attribute,
    oneway,
    reset_exposed_members,
    set_exposed_property_value,
)

PRIVATE_DUNDERS = """
    __init__ __init_subclass__ __class__ __module__ __weakref__ __call__ __new__ __del__ __repr__ __unicode__ __str__
    __format__ __nonzero__ __bool__ __coerce__ __cmp__ __eq__ __ne__ __hash__ __ge__ __gt__ __le__ __lt__ __dir__
    __enter__ __exit__ __copy__ __deepcopy__ __sizeof__ __getattr__ __setattr__ __hasattr__ __getattribute__
    __delattr__ __instancecheck__ __subclasscheck__ __getinitargs__ __getnewargs__ __getstate__ __setstate__ __reduce__
    __reduce_ex__ __getstate_for_dict__ __setstate_from_dict__ __subclasshook__
    __dict__ __slots__ __doc__ __annotations__ __getnewargs_ex__ __set_name__ __mro_entries__ __prepare__
    __class_getitem__ __objclass__ __wrapped__ __globals__ __code__ __closure__ __func__ __self__ __builtins__
""".split()

PRIVATE = "exposing private names (starting with _) is not allowed"


class Plain:
    """Nothing is exposed."""

    attribute = 5

    def __init__(self) -> None:
        self.instance_attribute = 6
        self.ran: list[str] = []

    def method(self) -> str:
        return "method"

    @property
    def prop(self) -> str:
        self.ran.append("prop")
        return "value"

    def _private(self) -> None: ...

    def __len__(self) -> int:
        return 3


def exposed_function() -> Callable[..., Any]:
    def function(self: Any = None) -> None: ...

    return expose(function)


def flagged(thing: Any) -> bool:
    return getattr(thing, "_pyroExposed", False) is True


class TestNames:
    def test_public_paths(self) -> None:
        """[OV-10], [OV-16], [OV-23]: one function, several doors."""
        for name in ("expose", "oneway", "callback", "behavior"):
            assert getattr(pyrolite, name) is getattr(core, name) is getattr(exposure, name)
        for name in (
            "getAttribute get_exposed_members reset_exposed_members get_exposed_property_value "
            "set_exposed_property_value is_private_attribute"
        ).split():
            assert getattr(util, name) is getattr(exposure, name)

    @pytest.mark.parametrize("name", ["method", "x", "m_", "m__", "a__b", "", "ä"])
    def test_public(self, name: str) -> None:
        """[EXP-1]"""
        assert is_private_attribute(name) is False

    @pytest.mark.parametrize("name", ["__len__", "__getitem__", "__iter__", "__call_it__", "__x__"])
    def test_dunders_are_public(self, name: str) -> None:
        """[EXP-1], [P5-60]"""
        assert is_private_attribute(name) is False

    @pytest.mark.parametrize("name", ["_", "__", "___", "____", "_x", "__x", "_x_", "_x__", "_pyroId", "__secret"])
    def test_private(self, name: str) -> None:
        """[EXP-1]"""
        assert is_private_attribute(name) is True

    @pytest.mark.parametrize("name", PRIVATE_DUNDERS)
    def test_private_dunders(self, name: str) -> None:
        """[EXP-2]"""
        assert is_private_attribute(name) is True


class TestExpose:
    def test_function(self) -> None:
        """[EXP-3]"""

        def function() -> None: ...

        assert expose(function) is function
        assert flagged(function)

    @pytest.mark.parametrize("missing", [0, 1, 2])
    def test_property(self, missing: int) -> None:
        """[EXP-3]: the getter, or else the setter, or else the deleter."""

        def get(self: Any) -> None: ...
        def put(self: Any, value: Any) -> None: ...
        def delete(self: Any) -> None: ...

        accessors = [get, put, delete]
        prop = property(*[None] * missing, *accessors[missing:])  # type: ignore[arg-type]
        assert expose(prop) is prop
        assert [flagged(accessor) for accessor in accessors] == [i == missing for i in range(3)]

    def test_class(self) -> None:
        """[EXP-3], [EXP-4]"""

        class Base:
            def inherited(self) -> None: ...

        class Thing(Base):
            attribute = 5

            class Nested:
                def method(self) -> None: ...

            def method(self) -> None: ...
            @classmethod
            def class_method(cls) -> None: ...
            @staticmethod
            def static_method() -> None: ...
            @property
            def prop(self) -> int:
                return 1

            @prop.setter
            def prop(self, value: int) -> None: ...
            @prop.deleter
            def prop(self) -> None: ...
            def _private(self) -> None: ...
            def __secret(self) -> None: ...
            def __len__(self) -> int:
                return 1

            async def coroutine(self) -> None: ...

        assert expose(Thing) is Thing
        assert flagged(Thing)
        for member in (Thing.method, Thing.class_method, Thing.static_method, Thing.__len__, Thing.coroutine):
            assert flagged(member)
        assert all(map(flagged, (Thing.prop.fget, Thing.prop.fset, Thing.prop.fdel)))
        for member in (Thing.inherited, Thing.Nested, Thing.Nested.method, Thing._private, Thing._Thing__secret):  # type: ignore[attr-defined]
            assert not flagged(member)
        assert get_exposed_members(Thing) == {
            "methods": {"method", "class_method", "static_method", "__len__", "coroutine"},
            "oneway": set(),
            "attrs": {"prop"},
        }

    def test_added_later(self) -> None:
        """[EXP-4]"""

        @expose
        class Thing:
            def method(self) -> None: ...

        Thing.later = lambda self: None  # type: ignore[attr-defined]
        assert get_exposed_members(Thing)["methods"] == {"method"}

    def test_subclass(self) -> None:
        """[EXP-4]: inherits the exposure, but not for what it defines itself (measured)."""

        @expose
        class Base:
            def kept(self) -> None: ...
            def overridden(self) -> None: ...

        class Sub(Base):
            def overridden(self) -> None: ...
            def own(self) -> None: ...

        assert get_exposed_members(Sub)["methods"] == {"kept"}
        with pytest.raises(AttributeError, match="unexposed attribute 'overridden'"):
            getAttribute(Sub(), "overridden", True)
        assert get_exposed_members(expose(Sub), use_cache=False)["methods"] == {"kept", "overridden", "own"}

    def test_private_names(self) -> None:
        """[EXP-5]"""

        class Thing:
            def _private(self) -> None: ...
            def __call__(self) -> None: ...
            def __len__(self) -> int:
                return 1

        for thing in (Thing._private, property(Thing._private), type("_Private", (), {}), Thing.__call__):
            with pytest.raises(AttributeError) as caught:
                expose(thing)
            assert str(caught.value) == PRIVATE
            assert not flagged(thing)
        assert flagged(expose(Thing.__len__))

    @pytest.mark.parametrize("kind", [classmethod, staticmethod])
    def test_wrong_order(self, kind: Callable[..., Any]) -> None:
        """[EXP-5], [EXP-6]"""

        def some_name(*args: Any) -> None: ...

        with pytest.raises(AttributeError) as caught:
            expose(kind(some_name))
        assert str(caught.value) == (
            "using @expose on a classmethod/staticmethod must be done after @classmethod/@staticmethod. "
            "Method: some_name"
        )

    def test_right_order(self) -> None:
        """[EXP-5]"""

        class Thing:
            @classmethod
            @expose
            def class_method(cls) -> None: ...
            @staticmethod
            @expose
            def static_method() -> None: ...

        assert get_exposed_members(Thing)["methods"] == {"class_method", "static_method"}
        assert callable(getAttribute(Thing(), "class_method", True))
        assert callable(getAttribute(Thing(), "static_method", True))

    @pytest.mark.parametrize("thing", [5, None, "text", object(), property()])
    def test_nameless(self, thing: Any) -> None:
        """[EXP-5]"""
        with pytest.raises(AttributeError) as caught:
            expose(thing)
        assert str(caught.value) == f"@expose cannot determine what this is: {thing!r}"

    def test_foreign_classes(self) -> None:
        """[EXP-6]: as a function, on classes with members of all kinds."""

        class Foreign:
            builtin = staticmethod(len)
            builtin_class = classmethod(print)
            partial = functools.partial(print)
            descriptor = str.upper
            type_ = staticmethod(int)
            __slots__ = ("slot",)

            def method(self) -> None: ...

        assert expose(Foreign) is Foreign
        assert get_exposed_members(Foreign)["methods"] == {"method"}


class TestOtherDecorators:
    def test_oneway_and_callback(self) -> None:
        """[EXP-7]"""

        def function() -> None: ...

        assert oneway(function) is function
        assert function._pyroOneway is True  # type: ignore[attr-defined]
        assert callback(function) is function
        assert function._pyroCallback is True  # type: ignore[attr-defined]

    def test_any_order(self) -> None:
        """[EXP-7], [EXP-9]"""

        class Thing:
            @expose
            @oneway
            def one(self) -> None: ...
            @oneway
            @expose
            def two(self) -> None: ...
            @oneway
            def three(self) -> None: ...

        members = get_exposed_members(Thing)
        assert members["methods"] == members["oneway"] == {"one", "two"}
        assert get_exposed_members(Thing, only_exposed=False)["oneway"] == {"one", "two", "three"}

    def test_behavior(self) -> None:
        """[EXP-8]"""

        def creator(cls: type) -> Any:
            return cls()

        for mode in ("single", "session", "percall"):
            cls = behavior(instance_mode=mode, instance_creator=creator)(type("Thing", (), {}))
            assert cls._pyroInstancing == (mode, creator)  # type: ignore[attr-defined]
        thing = type("Thing", (), {})
        assert behavior()(thing) is thing
        assert thing._pyroInstancing == ("session", None)  # type: ignore[attr-defined]

    def test_behavior_with_expose(self) -> None:
        """[EXP-8]"""

        @expose
        @behavior("percall")
        class One:
            def method(self) -> None: ...

        @behavior("percall")
        @expose
        class Two:
            def method(self) -> None: ...

        for cls in (One, Two):
            assert cls._pyroInstancing == ("percall", None)  # type: ignore[attr-defined]
            assert get_exposed_members(cls)["methods"] == {"method"}

    def test_behavior_used_wrongly(self) -> None:
        """[EXP-8]"""
        with pytest.raises(SyntaxError, match=r"^behavior decorator is missing argument\(s\)$"):
            behavior(Plain)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^behavior decorator can only be used on a class$"):
            behavior("wrong")(len)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^invalid instance mode: wrong$"):
            behavior("wrong")(Plain)
        with pytest.raises(TypeError, match=r"^instance_creator must be a callable$"):
            behavior("single", instance_creator=5)(Plain)  # type: ignore[arg-type]
        assert not hasattr(Plain, "_pyroInstancing")


@pytest.fixture
def thing_class() -> type:
    class Thing(Plain):
        @expose
        def exposed_method(self) -> str:
            return "exposed"

        @expose
        @property
        def exposed_prop(self) -> int:
            return self.__dict__.get("stored", 1)

        @exposed_prop.setter
        def exposed_prop(self, value: int) -> None:
            self.__dict__["stored"] = value

        @expose
        @property
        def read_only(self) -> int:
            return 2

        @property
        def _hidden(self) -> int:
            return 3

        @_hidden.setter
        def _hidden(self, value: int) -> None:
            raise AssertionError("set")

        write_only = expose(property(None, lambda self, value: self.ran.append(value)))

    return Thing


class TestMembers:
    def test_only_exposed(self, thing_class: type) -> None:
        """[EXP-9]: of the class, for instances too."""
        expected = {
            "methods": {"exposed_method"},
            "oneway": set(),
            "attrs": {"exposed_prop", "read_only", "write_only"},
        }
        assert get_exposed_members(thing_class) == expected
        thing = thing_class()
        thing.extra = exposed_function()
        assert get_exposed_members(thing) == expected

    def test_everything(self, thing_class: type) -> None:
        """[EXP-9], [EXP-14]: plain attributes never, private names never."""
        members = get_exposed_members(thing_class, only_exposed=False)
        assert members["methods"] == {"method", "exposed_method", "__len__"}
        assert members["attrs"] == {"prop", "exposed_prop", "read_only", "write_only"}
        assert get_exposed_members(object, only_exposed=False) == {"methods": set(), "oneway": set(), "attrs": set()}

    def test_as_lists(self, thing_class: type) -> None:
        """[EXP-9]"""
        lists = get_exposed_members(thing_class, as_lists=True)
        assert all(type(names) is list for names in lists.values())
        assert {kind: set(names) for kind, names in lists.items()} == get_exposed_members(thing_class)

    def test_descriptors_that_fail_on_the_class(self) -> None:
        """[EXP-9]: are no members, and spoil nothing."""

        class Broken:
            def __get__(self, instance: Any, owner: Any) -> None:
                raise RuntimeError("not on the class")

        @expose
        class Thing:
            broken = Broken()

            def method(self) -> None: ...

        for only_exposed in (True, False):
            assert get_exposed_members(Thing, only_exposed)["methods"] == {"method"}

    def test_descriptors_do_not_run_for_a_list(self) -> None:
        """[HRD-28], [EXP-9]: unless they are exposed."""
        ran: list[str] = []

        class Descriptor:
            def __init__(self, name: str) -> None:
                self.name = name

            def __get__(self, instance: Any, owner: Any) -> Any:
                ran.append(self.name)
                return expose(lambda: None) if self.name == "open" else None

        class Thing:
            hidden = Descriptor("hidden")
            open = Descriptor("open")

            @expose
            def method(self) -> None: ...

        Thing.__dict__["open"]._pyroExposed = True
        get_exposed_members(Thing)
        assert ran == ["open"]

    def test_cache(self, thing_class: type) -> None:
        """[EXP-10]"""
        first = get_exposed_members(thing_class)
        assert get_exposed_members(thing_class) is first
        as_lists = get_exposed_members(thing_class, as_lists=True)
        expose(thing_class.method)  # type: ignore[attr-defined]
        try:
            assert "method" not in get_exposed_members(thing_class)["methods"]
            reset_exposed_members(thing_class())
            assert "method" in get_exposed_members(thing_class)["methods"]
            assert get_exposed_members(thing_class, as_lists=True) is as_lists
            assert "method" in get_exposed_members(thing_class, as_lists=True, use_cache=False)["methods"]
            assert "method" in get_exposed_members(thing_class, as_lists=True)["methods"]
        finally:
            del Plain.method._pyroExposed  # type: ignore[attr-defined]

    def test_reset_of_unknown(self) -> None:
        """[EXP-10]"""
        reset_exposed_members(type("Unknown", (), {}))

    def test_cache_keeps_no_class_alive(self) -> None:
        """[EXP-10]: and a class at the same address starts afresh."""
        references = []
        for number in range(20):
            cls = type("Thing", (), {f"method{number}": exposed_function()})
            assert get_exposed_members(cls)["methods"] == {f"method{number}"}
            references.append(weakref.ref(cls))
            del cls
            gc.collect()
        assert [reference() for reference in references] == [None] * 20

    @pytest.mark.parametrize("only_exposed", [True, False])
    @pytest.mark.parametrize("name", ["exposed_method", "method", "missing", "_private", "__init__", "__len__"])
    def test_find_method(self, thing_class: type, name: str, only_exposed: bool) -> None:
        """[EXP-9], [EXP-11]: the quick way gives what the careful one gives, with and without a cached class."""
        thing = thing_class()

        def outcome(find: Any) -> Any:
            try:
                return find(thing, name, only_exposed)
            except AttributeError as error:
                return str(error)

        expected = outcome(getAttribute)
        assert outcome(find_method) == expected
        assert outcome(find_method) == expected
        reset_exposed_members(thing, only_exposed)
        assert outcome(find_method) == expected

    def test_find_method_looks_at_the_instance(self, thing_class: type) -> None:
        """[EXP-11]: an unexposed function put in the place of an exposed method is refused."""
        thing: Any = thing_class()
        assert find_method(thing, "exposed_method", True)() == "exposed"
        thing.exposed_method = lambda: "replaced"
        with pytest.raises(AttributeError, match="unexposed attribute 'exposed_method'"):
            find_method(thing, "exposed_method", True)

    def test_exposed_names(self, thing_class: type) -> None:
        """[DMN-81], [WIRE-67]"""
        assert exposed_names(get_exposed_members(thing_class))
        assert not exposed_names(get_exposed_members(Plain))
        assert exposed_names({"methods": [], "oneway": [], "attrs": ["x"]})


class TestGetAttribute:
    def test_exposed(self, thing_class: type) -> None:
        """[EXP-11]"""
        assert getAttribute(thing_class(), "exposed_method")() == "exposed"

    @pytest.mark.parametrize("name", ["_private", "__init__", "__class__", "__dict__", "_Thing__x", "_"])
    @pytest.mark.parametrize("only_exposed", [True, False])
    def test_private(self, thing_class: type, name: str, only_exposed: bool) -> None:
        """[EXP-11], [WIRE-72]"""
        with pytest.raises(AttributeError) as caught:
            getAttribute(thing_class(), name, only_exposed)
        assert str(caught.value) == f"attempt to access private attribute '{name}'"

    @pytest.mark.parametrize("name", ["method", "attribute", "instance_attribute", "__len__", "prop", "exposed_prop"])
    def test_unexposed(self, thing_class: type, name: str) -> None:
        """[EXP-11], [WIRE-72]"""
        with pytest.raises(AttributeError) as caught:
            getAttribute(thing_class(), name)
        assert str(caught.value) == f"attempt to access unexposed attribute '{name}'"

    @pytest.mark.parametrize("name", ["missing", "exposed_method.__globals__", "ran.append", ""])
    def test_unknown(self, thing_class: type, name: str) -> None:
        """[EXP-11], [WIRE-72]: Python's own error; dots are part of the name."""
        with pytest.raises(AttributeError, match="'Thing' object has no attribute") as caught:
            getAttribute(thing_class(), name)
        assert repr(name) in str(caught.value)

    def test_getters_do_not_run(self, thing_class: type) -> None:
        """[EXP-11], [HRD-28]"""
        thing = thing_class()
        with pytest.raises(AttributeError):
            getAttribute(thing, "prop")
        assert thing.ran == []

    @pytest.mark.parametrize("data", [False, True])
    def test_other_descriptors_do_not_run(self, data: bool) -> None:
        """[HRD-28]"""
        ran: list[str] = []

        class Descriptor:
            def __get__(self, instance: Any, owner: Any) -> Any:
                ran.append("get")
                return exposed_function()

        if data:
            Descriptor.__set__ = lambda self, instance, value: None  # type: ignore[attr-defined]

        class Thing:
            descriptor = Descriptor()

        with pytest.raises(AttributeError, match="attempt to access unexposed attribute 'descriptor'"):
            getAttribute(Thing(), "descriptor")
        assert ran == []

    def test_wrapped_methods(self) -> None:
        """[EXP-3], [EXP-11]: what a decorator made of a method can be exposed as well."""

        class Thing:
            @expose
            @functools.lru_cache  # noqa: B019
            def one(self) -> int:
                return 1

            @functools.lru_cache  # noqa: B019
            @expose
            def two(self) -> int:
                return 2

        assert getAttribute(Thing(), "one")() == 1
        assert getAttribute(Thing(), "two")() == 2

    def test_instance_attributes(self) -> None:
        """[EXP-11]: one that holds an exposed object passes."""

        @expose
        class Helper:
            pass

        class Thing:
            __slots__ = ("__dict__", "slot")

        thing = Thing()
        thing.helper = thing.slot = Helper()  # type: ignore[attr-defined]
        thing.other = Plain()  # type: ignore[attr-defined]
        assert getAttribute(thing, "helper") is getAttribute(thing, "slot") is thing.helper  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="unexposed attribute 'other'"):
            getAttribute(thing, "other")

    def test_without_require_expose(self, thing_class: type, monkeypatch: pytest.MonkeyPatch) -> None:
        """[EXP-14]"""
        monkeypatch.setattr(config, "REQUIRE_EXPOSE", False)
        thing = thing_class()
        assert getAttribute(thing, "method")() == "method"
        assert getAttribute(thing, "instance_attribute") == 6
        with pytest.raises(AttributeError, match="private attribute '_private'"):
            getAttribute(thing, "_private")


class TestProperties:
    @pytest.fixture
    def thing(self, thing_class: type) -> Any:
        return thing_class()

    def test_exposed(self, thing: Any) -> None:
        """[EXP-12]: both give what the accessor returns; the exposed getter makes the setter usable (measured)."""
        assert get_exposed_property_value(thing, "exposed_prop") == 1
        assert set_exposed_property_value(thing, "exposed_prop", 5) is None
        assert get_exposed_property_value(thing, "exposed_prop") == 5

    @pytest.mark.parametrize("name", ["prop", "method", "exposed_method", "attribute"])
    def test_unexposed(self, thing: Any, name: str) -> None:
        """[EXP-12], [WIRE-95]"""
        text = f"attempt to access unexposed or unknown remote attribute '{name}'"
        with pytest.raises(AttributeError) as caught:
            get_exposed_property_value(thing, name)
        assert str(caught.value) == text
        with pytest.raises(AttributeError) as caught:
            set_exposed_property_value(thing, name, 5)
        assert str(caught.value) == text
        assert thing.ran == []

    @pytest.mark.parametrize("name", ["missing", "instance_attribute", "exposed_prop.real"])
    def test_unknown(self, thing: Any, name: str) -> None:
        """[EXP-12], [WIRE-95]"""
        for access in (get_exposed_property_value, lambda *args: set_exposed_property_value(*args, 5)):
            with pytest.raises(AttributeError) as caught:
                access(thing, name)
            assert str(caught.value) == f"type object 'Thing' has no attribute '{name}'"

    def test_read_only(self, thing: Any) -> None:
        """[EXP-12], [WIRE-95]"""
        with pytest.raises(AttributeError, match="unexposed or unknown remote attribute 'read_only'"):
            set_exposed_property_value(thing, "read_only", 5)

    def test_write_only(self, thing: Any) -> None:
        """[EXP-12], [EXP-3]"""
        with pytest.raises(AttributeError, match="unexposed or unknown remote attribute 'write_only'"):
            get_exposed_property_value(thing, "write_only")

    def test_private(self, thing: Any) -> None:
        """[EXP-13]: whatever REQUIRE_EXPOSE says."""
        for only_exposed in (True, False):
            for name in ("_hidden", "__dict__", "__class__", "__doc__"):
                text = f"attempt to access private attribute '{name}'"
                with pytest.raises(AttributeError) as caught:
                    get_exposed_property_value(thing, name, only_exposed)
                assert str(caught.value) == text
                with pytest.raises(AttributeError) as caught:
                    set_exposed_property_value(thing, name, 5, only_exposed)
                assert str(caught.value) == text

    def test_without_require_expose(self, thing: Any) -> None:
        """[EXP-14]"""
        assert get_exposed_property_value(thing, "prop", only_exposed=False) == "value"
        set_exposed_property_value(thing, "write_only", 7, only_exposed=False)
        assert thing.ran == ["prop", 7]

    def test_descriptors_do_not_run_on_the_class(self) -> None:
        """[HRD-28]"""
        ran: list[str] = []

        class Descriptor:
            def __get__(self, instance: Any, owner: Any) -> Any:
                ran.append("get")

            def __set__(self, instance: Any, value: Any) -> None:
                ran.append("set")

        class Thing:
            descriptor = Descriptor()

        for access in (get_exposed_property_value, lambda *args: set_exposed_property_value(*args, 5)):
            with pytest.raises(AttributeError, match="unexposed or unknown remote attribute 'descriptor'"):
                access(Thing(), "descriptor")
        assert ran == []
