"""What of an object may be called from outside: the decorators and the checks (chapter 31, EXP)."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from pyrolite import lazily
from pyrolite.configuration import config
from pyrolite.core.names import is_private_attribute

if TYPE_CHECKING:
    import inspect
else:
    inspect = lazily.module("inspect", globals())

__all__ = [
    "behavior",
    "callback",
    "expose",
    "exposed_names",
    "find_method",
    "getAttribute",
    "get_exposed_members",
    "get_exposed_property_value",
    "is_private_attribute",
    "oneway",
    "reset_exposed_members",
    "set_exposed_property_value",
]

T = TypeVar("T")

_MISSING: Final = object()
#: Descriptors that run no code of the program when they are fetched.
_HARMLESS: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    classmethod,
    staticmethod,
)

# ---- decorators


def expose(method_or_class: T) -> T:
    """Mark a method, property or class as callable from outside ([EXP-3] to [EXP-6]).

    A class exposes all public methods and properties of its own body, but not what it inherits.

    Raises:
        AttributeError: private names, wrong decorator order, or something that cannot be exposed.
    """
    if _is_data_descriptor(method_or_class):
        _expose_property(method_or_class)
        return method_or_class
    name = getattr(method_or_class, "__name__", None)
    if isinstance(method_or_class, (classmethod, staticmethod)):
        raise AttributeError(
            "using @expose on a classmethod/staticmethod must be done after @classmethod/@staticmethod. "
            f"Method: {name or method_or_class.__func__.__name__}"
        )
    if name is None:
        raise AttributeError(f"@expose cannot determine what this is: {method_or_class!r}")
    if is_private_attribute(name):
        raise AttributeError("exposing private names (starting with _) is not allowed")
    if isinstance(method_or_class, type):
        for member_name, member in list(vars(method_or_class).items()):
            _expose_class_member(member_name, member)
    cast("Any", method_or_class)._pyroExposed = True
    return method_or_class


# These are `inspect.isdatadescriptor` and what `inspect` takes for methods; its import takes longer than all of the
# decorators of a program ([BYD-60]).


def _is_data_descriptor(member: Any) -> bool:
    """Whether this is a property, or anything else that decides what assignment does."""
    if isinstance(member, (type, types.FunctionType, types.MethodType)):
        return False
    return hasattr(type(member), "__set__") or hasattr(type(member), "__delete__")


def _is_method(member: Any) -> bool:
    """Whether this is a function, a bound method, or another descriptor that attribute access makes one of."""
    if isinstance(member, (types.FunctionType, types.MethodType)):
        return True
    if isinstance(member, (type, functools.partial)):  # from 3.13 on partial has a __get__ that does nothing
        return False
    return hasattr(type(member), "__get__") and not _is_data_descriptor(member)


def _expose_class_member(name: str, member: Any) -> None:
    if is_private_attribute(name):
        return
    if isinstance(member, (classmethod, staticmethod)):
        _flag(member.__func__)
    elif _is_method(member):
        _flag(member)
    elif _is_data_descriptor(member):
        for accessor in _accessors(member):
            _flag(accessor)


def _flag(function: Any) -> None:
    try:
        function._pyroExposed = True
    except (AttributeError, TypeError):
        # builtin functions, types and descriptors take no attributes; they stay unexposed
        return


def _accessors(descriptor: Any) -> list[Any]:
    found = (getattr(descriptor, kind, None) for kind in ("fget", "fset", "fdel"))
    return [accessor for accessor in found if accessor is not None]


def _expose_property(descriptor: Any) -> None:
    accessors = _accessors(descriptor)
    if not accessors:
        raise AttributeError(f"@expose cannot determine what this is: {descriptor!r}")
    if is_private_attribute(accessors[0].__name__):
        raise AttributeError("exposing private names (starting with _) is not allowed")
    accessors[0]._pyroExposed = True


def oneway(method: T) -> T:
    """Mark a method as one whose callers do not wait for an answer ([EXP-7])."""
    cast("Any", method)._pyroOneway = True
    return method


def callback(method: T) -> T:
    """Mark a method whose exceptions are also raised, and so logged, on its own side ([EXP-7])."""
    cast("Any", method)._pyroCallback = True
    return method


def behavior(
    instance_mode: Literal["single", "session", "percall"] = "session",
    instance_creator: Callable[[type], Any] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Class decorator: how instances of a registered class are made ([EXP-8]).

    ``instance_mode`` is ``single`` (one for the daemon), ``session`` (one per client connection) or ``percall``;
    ``instance_creator`` is called with the class to make one.

    Raises:
        SyntaxError, TypeError, ValueError: used wrongly.
    """
    if not isinstance(instance_mode, str):
        raise SyntaxError("behavior decorator is missing argument(s)")

    def decorate(cls: type[T]) -> type[T]:
        if not isinstance(cls, type):
            raise TypeError("behavior decorator can only be used on a class")
        if instance_mode not in ("single", "session", "percall"):
            raise ValueError(f"invalid instance mode: {instance_mode}")
        if instance_creator is not None and not callable(instance_creator):
            raise TypeError("instance_creator must be a callable")
        cast("Any", cls)._pyroInstancing = (instance_mode, instance_creator)
        return cls

    return decorate


# ---- metadata


class _Members:
    """What is known of one class; the weak reference takes the entry out of the cache when the class goes."""

    __slots__ = ("lists", "reference", "sets")

    def __init__(self, cls: type) -> None:
        key = id(cls)
        self.reference = weakref.ref(cls, lambda _: _members_cache.pop(key, None))
        # by "only what is exposed"
        self.sets: dict[bool, dict[str, Any]] = {}
        self.lists: dict[bool, dict[str, Any]] = {}


# By the id of the class: looked at in every request, and a WeakKeyDictionary takes five times as long. An id is not
# used again before the callback of the weak reference has removed the entry.
_members_cache: dict[int, _Members] = {}


def _cached_members(cls: type, as_lists: bool) -> dict[bool, dict[str, Any]]:
    entry = _members_cache.get(id(cls))
    if entry is None:
        entry = _members_cache.setdefault(id(cls), _Members(cls))
    return entry.lists if as_lists else entry.sets


def get_exposed_members(
    obj: Any, only_exposed: bool = True, as_lists: bool = False, use_cache: bool = True
) -> dict[str, Any]:
    """Names of the ``methods``, ``oneway`` methods and ``attrs`` (properties) of an object's class ([EXP-9]).

    ``only_exposed`` False includes everything public; ``as_lists`` gives lists instead of sets. Results are cached per
    class; ``use_cache`` False computes anew.

    Thread safety: may be called from any thread.
    """
    cls = obj if isinstance(obj, type) else type(obj)
    cache = _cached_members(cls, as_lists)
    if use_cache and (found := cache.get(only_exposed)) is not None:
        return found
    result = _find_members(cls, only_exposed)
    if as_lists:
        result = {kind: list(names) for kind, names in result.items()}
    cache[only_exposed] = result
    return result


def _find_members(cls: type, only_exposed: bool) -> dict[str, Any]:
    methods, oneways, attrs = set(), set(), set()
    for name in dir(cls):
        if is_private_attribute(name):
            continue
        member = _class_member(cls, name, only_exposed)
        if _is_method(member):
            if not only_exposed or getattr(member, "_pyroExposed", False):
                methods.add(name)
                if getattr(member, "_pyroOneway", False):
                    oneways.add(name)
        elif _is_data_descriptor(member):
            accessors = _accessors(member)
            if accessors and (not only_exposed or getattr(accessors[0], "_pyroExposed", False)):
                attrs.add(name)
    return {"methods": methods, "oneway": oneways, "attrs": attrs}


def _class_member(cls: type, name: str, only_exposed: bool) -> Any:
    """What ``cls.name`` is; None for descriptors that say that it is nothing, in whatever way.

    Descriptors of the program's own making do not run for the sake of a list of names, unless they are exposed.
    """
    static = _class_attribute(cls, name, None)
    if only_exposed and _runs_unexposed_code(static):
        return static
    try:
        return getattr(cls, name, None)
    except Exception:
        return None


def _class_attribute(cls: type, name: str, default: Any) -> Any:
    """What a class, or one that it inherits from, has under that name, without running any code of it."""
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return inspect.getattr_static(cls, name, default)  # it may be in the class of the class


def find_method(obj: Any, name: str, only_exposed: bool) -> Any:
    """The bound method ``name`` of ``obj`` if clients may call it ([WIRE-72], [EXP-11]).

    What is cached of the class answers the usual case, in one step since every request comes here: the name is that of
    an exposed method. The flag is still looked at on what is going to be called.

    Raises:
        AttributeError: private, unknown or unexposed.
    """
    cls = type(obj)
    entry = _members_cache.get(id(cls))
    members = entry.sets.get(only_exposed) if entry is not None else None
    if members is None:
        members = get_exposed_members(cls, only_exposed)
    if name in members["methods"]:
        member = getattr(obj, name)
        if not only_exposed or getattr(member, "_pyroExposed", False):
            return member
    return getAttribute(obj, name, only_exposed)


def reset_exposed_members(obj: Any, only_exposed: bool = True, as_lists: bool = False) -> None:
    """Forget one cached result of `get_exposed_members` ([EXP-10])."""
    cls = obj if isinstance(obj, type) else type(obj)
    _cached_members(cls, as_lists).pop(only_exposed, None)


# ---- access


def getAttribute(obj: Any, attr: str, only_exposed: bool | None = None) -> Any:
    """The member ``attr`` of ``obj`` if a client may call it; dots are never followed ([EXP-11], [HRD-28]).

    ``only_exposed`` None means the REQUIRE_EXPOSE of the global configuration.

    Raises:
        AttributeError: private, unknown or unexposed.
    """
    if is_private_attribute(attr):
        raise AttributeError(f"attempt to access private attribute '{attr}'")
    if only_exposed is None:
        only_exposed = config.REQUIRE_EXPOSE
    if only_exposed and _runs_unexposed_code(_class_attribute(type(obj), attr, None)):
        raise AttributeError(f"attempt to access unexposed attribute '{attr}'")
    member = getattr(obj, attr)
    if only_exposed and not getattr(member, "_pyroExposed", False):
        raise AttributeError(f"attempt to access unexposed attribute '{attr}'")
    return member


def _runs_unexposed_code(descriptor: Any) -> bool:
    """Whether fetching this would run code that nobody exposed: a property's getter, for instance."""
    if not hasattr(type(descriptor), "__get__") or isinstance(descriptor, _HARMLESS):
        return False
    return _is_data_descriptor(descriptor) or not getattr(descriptor, "_pyroExposed", False)


def _exposed_property(obj: Any, name: str, accessor_kind: str, only_exposed: bool) -> Any:
    if is_private_attribute(name):
        raise AttributeError(f"attempt to access private attribute '{name}'")
    cls = type(obj)
    descriptor = _class_attribute(cls, name, _MISSING)
    if descriptor is _MISSING:
        descriptor = getattr(cls, name)  # Python's own error
    if _is_data_descriptor(descriptor):
        accessors = _accessors(descriptor)
        if accessors and (not only_exposed or getattr(accessors[0], "_pyroExposed", False)):
            accessor = getattr(descriptor, accessor_kind, None)
            if accessor is not None:
                return accessor
    raise AttributeError(f"attempt to access unexposed or unknown remote attribute '{name}'")


def get_exposed_property_value(obj: Any, propname: str, only_exposed: bool = True) -> Any:
    """The value of an exposed property ([EXP-12], [EXP-13]).

    Raises:
        AttributeError: private, unknown or unexposed.
    """
    return _exposed_property(obj, propname, "fget", only_exposed)(obj)


def set_exposed_property_value(obj: Any, propname: str, value: Any, only_exposed: bool = True) -> Any:
    """Set an exposed property ([EXP-12], [EXP-13]).

    Raises:
        AttributeError: private, unknown, unexposed, or without setter.
    """
    return _exposed_property(obj, propname, "fset", only_exposed)(obj, value)


def exposed_names(metadata: Mapping[str, Any]) -> bool:
    """Whether the metadata names anything that can be used."""
    return bool(metadata["methods"] or metadata["attrs"])
