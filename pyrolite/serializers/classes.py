"""Class instances as dicts and back: who is registered for which class, and the rules for those who are not ([SER-30]).

The tables here are shared by all serializers except the pickle family, which only uses the table of library classes.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import types
from abc import ABCMeta
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from pyrolite.errors import PyroError, RemoteError, SecurityError, SerializeError
from pyrolite.serializers import exceptions

__all__ = [
    "ClassTable",
    "Converter",
    "Recreator",
    "class_to_dict",
    "converters",
    "instance_to_dict",
    "library_classes",
    "register_dict_to_class",
    "register_library_class",
    "register_library_name",
    "run_converter",
    "run_replacement",
    "unregister_dict_to_class",
]

log: logging.Logger = logging.getLogger("pyrolite.serializers")

_T = TypeVar("_T")

#: Classes that a process works with are few; a program that makes classes without end must not fill the memory.
_CACHE_SIZE: Final = 1000


class ClassTable(Generic[_T]):
    """What is registered for classes; for an instance the most specific class of its MRO wins ([SER-60]).

    Registered abstract bases that are not in the MRO are tried last, in order of registration.
    Thread safety: may be used from any thread, also while classes are registered ([SER-64]).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # makes registrations one after the other; looking up takes no lock
        self._entries: dict[type, _T] = {}
        self._by_name: dict[str, _T] = {}
        self._found: dict[type, _T | None] = {}

    def register(self, clazz: type, entry: _T) -> None:
        """Set the entry of ``clazz``."""
        with self._lock:
            self._replace({**self._entries, clazz: entry})

    def register_by_name(self, name: str, entry: _T) -> None:
        """Set the entry of a class, like ``datetime.date``, whose module need not be loaded for that ([BYD-60])."""
        with self._lock:
            self._by_name = {**self._by_name, name: entry}
            self._found = {}

    def unregister(self, clazz: type) -> None:
        """Remove the entry of ``clazz``, if there is one."""
        with self._lock:
            self._replace({known: entry for known, entry in self._entries.items() if known is not clazz})

    def _replace(self, entries: dict[type, _T]) -> None:
        # in this order: `find` may then put what it found in old entries only into a cache that is gone
        self._entries = entries
        self._found = {}

    def classes(self) -> tuple[type, ...]:
        """The registered classes."""
        return tuple(self._entries)

    def find(self, clazz: type) -> _T | None:
        """The entry for instances of ``clazz``, None when there is none."""
        found = self._found
        try:
            return found[clazz]
        except KeyError:
            pass
        entry = self._search(clazz)
        if len(found) >= _CACHE_SIZE:
            found.clear()
        found[clazz] = entry
        return entry

    def _search(self, clazz: type) -> _T | None:
        entries = self._entries
        for base in clazz.__mro__:
            if base in entries:
                return entries[base]
            name = f"{base.__module__}.{base.__qualname__}"
            if name in self._by_name and getattr(sys.modules.get(base.__module__), base.__qualname__, None) is base:
                return self._by_name[name]
        for registered, entry in entries.items():
            if _is_abstract(registered) and issubclass(clazz, registered):
                return entry
        return None


def _is_abstract(cls: Any) -> bool:
    return isinstance(cls, ABCMeta)


class Converter:
    """A user's ``register_class_to_dict``."""

    __slots__ = ("convert", "serpent_too")

    def __init__(self, convert: Callable[[Any], Any], serpent_too: bool) -> None:
        self.convert: Callable[[Any], Any] = convert
        self.serpent_too: bool = serpent_too


#: Users' converters of instances into dicts.
converters: Final[ClassTable[Converter]] = ClassTable()
#: What makes dicts of classes of the library ([SER-40]); the base class stands for its subclasses ([SER-43]).
library_classes: Final[ClassTable[Callable[[Any], dict[str, Any]]]] = ClassTable()
#: What makes instances from these dicts, by wire name.
_library_names: dict[str, Callable[[dict[str, Any]], Any]] = {}
#: Users' converters of dicts by class name. Replaced as a whole, never changed.
_dict_converters: dict[str, Callable[[str, dict[str, Any]], Any]] = {}
#: The names of classes in pickled data, which are the wire names ([SER-45]).
_pickled_names: dict[type, str] = {}
_names_lock = threading.Lock()  # makes changes of the dicts above one after the other

#: The fields that tie an object to the daemon it is registered in ([SER-34]).
_DAEMON_FIELDS: Final = ("_pyroDaemon", "_pyroId")
#: Types whose instances have attributes and all the same are no data.
_NO_DATA: Final = (
    type,
    types.FunctionType,
    types.MethodType,
    types.ModuleType,
    staticmethod,
    classmethod,
)
_OBJECT_GETSTATE: Final = getattr(object, "__getstate__", None)  # Python 3.11+ ([SER-57])


# ---- registration


def register_library_class(
    cls: type, wire_name: str, to_dict: Callable[[Any], dict[str, Any]], from_dict: Callable[[dict[str, Any]], Any]
) -> None:
    """Give a class of the library its form on the wire, for itself and its subclasses ([SER-40], [SER-43], [SER-45]).

    Args:
        cls: the class. Pickled data names it by ``wire_name``.
        wire_name: like ``"Pyro4.core.URI"``; ``pyrolite.core.URI`` is accepted as well when reading ([SER-42]).
        to_dict: makes the dict, with its key ``__class__``, from an instance.
        from_dict: makes an instance from the dict, in which inner class dicts have been recreated ([SER-32]).

    Thread safety: may be called from any thread.
    """
    global _pickled_names  # noqa: PLW0603 - replaced as a whole, so that readers need no lock
    library_classes.register(cls, to_dict)
    register_library_name(wire_name, from_dict)
    with _names_lock:
        _pickled_names = {**_pickled_names, cls: wire_name}


def register_library_name(wire_name: str, from_dict: Callable[[dict[str, Any]], Any]) -> None:
    """The reading half of `register_library_class`, for a class that is not loaded yet ([BYD-60]).

    Thread safety: may be called from any thread.
    """
    global _library_names  # noqa: PLW0603 - as above
    own_name = "pyrolite." + wire_name.partition(".")[2]
    with _names_lock:
        _library_names = {**_library_names, wire_name: from_dict, own_name: from_dict}


def register_dict_to_class(classname: str, converter: Callable[[str, dict[str, Any]], Any]) -> None:
    """Let ``converter(classname, dict)`` make the objects of that name ([SER-61])."""
    global _dict_converters  # noqa: PLW0603 - as above
    with _names_lock:
        _dict_converters = {**_dict_converters, classname: converter}


def unregister_dict_to_class(classname: str) -> None:
    """Undo `register_dict_to_class`; an unknown name is no error."""
    global _dict_converters  # noqa: PLW0603 - as above
    with _names_lock:
        _dict_converters = {name: entry for name, entry in _dict_converters.items() if name != classname}


def pickled_name(cls: type) -> str | None:
    """The name of a class of the library in pickled data, like ``Pyro4.core.URI``; None for other classes."""
    name = _pickled_names.get(cls)
    if name is None and issubclass(cls, PyroError):
        name = exceptions.wire_name(cls)
        if not name.startswith("Pyro4.errors."):
            return None
    return name


# ---- instance to dict


def wire_class_name(cls: type) -> str:
    """The name that stands for ``cls`` in class dicts."""
    return f"{cls.__module__}.{cls.__name__}"


def class_to_dict(obj: Any, *, serpent: bool = False) -> Any:
    """What stands for ``obj`` on the wire, None when there is nothing ([SER-30]).

    That is a dict, except for serpent with a ``__getstate__`` that returns something else.

    Raises:
        ValueError: ``obj`` is a plain container. Whatever a user's converter raises.
    """
    cls = type(obj)
    converter = converters.find(cls)
    if converter is not None and (converter.serpent_too or not serpent):
        return run_converter(converter, obj)
    if cls in {set, dict, tuple, list}:
        raise ValueError(f"can't serialize type {cls} into a dict")
    to_dict = library_classes.find(cls)
    if to_dict is not None:
        return to_dict(obj)
    if isinstance(obj, BaseException):
        return exceptions.exception_to_dict(obj)
    return instance_to_dict(obj, serpent=serpent)


def run_converter(converter: Converter, obj: Any) -> dict[str, Any]:
    """The dict of a user's converter.

    Raises:
        TypeError: it is none. Whatever the converter raises.
    """
    result = converter.convert(obj)
    if not isinstance(result, dict):
        raise TypeError(f"the class to dict converter of {type(obj)} returned {type(result)} instead of a dict")
    return result


def run_replacement(replacement: Callable[[Any], Any], obj: Any) -> Any:
    """What is to be serialized instead of an object; raises whatever the user's function raises."""
    return replacement(obj)


def instance_to_dict(obj: Any, *, serpent: bool = False) -> Any:
    """The state of an instance of any class, None when it has none to speak of ([SER-30] 4 to 7, [SER-57])."""
    cls = type(obj)
    getstate = getattr(cls, "__getstate__", None)
    if getstate is not None and getstate is not _OBJECT_GETSTATE:
        state = obj.__getstate__()
        if isinstance(state, dict):
            return {**state, "__class__": wire_class_name(cls)} if serpent and "__class__" not in state else state
        if serpent:
            return state
    if isinstance(obj, _NO_DATA):
        return None
    try:
        fields = dict(vars(obj))
    except TypeError:
        slots = getattr(cls, "__slots__", None)
        if slots is None:
            return None
        fields = dict(_slot_values(obj, cls, (slots,) if isinstance(slots, str) else slots))
    for name in _DAEMON_FIELDS:
        fields.pop(name, None)
    fields.pop("__class__", None)
    fields["__class__"] = wire_class_name(cls)
    return fields


def _slot_values(obj: Any, cls: type, names: Any) -> Iterator[tuple[str, Any]]:
    for name in names:
        private = name.startswith("__") and not name.endswith("__")
        with contextlib.suppress(AttributeError):  # a slot that was never assigned
            yield name, getattr(obj, f"_{cls.__name__.lstrip('_')}{name}" if private else name)


# ---- dict to instance


class Recreator:
    """Replaces class dicts by what they stand for ([SER-31]).

    Args:
        serpent: also know the names that only serpent text uses.
        bottom_up: give users' converters a dict whose values have been recreated already, as msgpack does.

    Thread safety: has no state.
    """

    def __init__(self, *, serpent: bool = False, bottom_up: bool = False) -> None:
        self._own_classes = _SERPENT_CLASSES if serpent else {}
        self._bottom_up = bottom_up

    def recreate(self, literal: Any) -> Any:
        """``literal`` with its class dicts replaced; it is not changed itself.

        Raises:
            SecurityError, SerializeError: as `dict_to_class`.
        """
        kind = type(literal)
        if kind is dict:
            if "__class__" in literal:
                return self.dict_to_class(literal)
            return {key: self.recreate(value) for key, value in literal.items()}
        if kind is list:
            return [self.recreate(value) for value in literal]
        if kind is tuple:
            return tuple([self.recreate(value) for value in literal])
        return literal  # what is in a set is hashable, hence no dict

    def dict_to_class(self, data: dict[Any, Any]) -> Any:
        """The object that ``data``, a dict with a key ``__class__``, stands for.

        Raises:
            SecurityError: the name has a double underscore in it.
            SerializeError: the name is not a known one; RemoteError when it is that of an exception.
        """
        name = data["__class__"]
        if isinstance(name, bytes):
            name = name.decode("utf-8")
        if not isinstance(name, str):
            raise SerializeError(f"the class name in serialized data is not a text but {type(name)}")
        converter = _dict_converters.get(name)
        if converter is not None:
            if self._bottom_up:
                data = {key: self.recreate(value) for key, value in data.items()}
            return converter(name, data)
        if "__" in name:
            text = f"refused to deserialize types with double underscores in their name: {name}"
            raise self._refusal(SecurityError(text), name, data)
        make: Callable[[dict[Any, Any]], Any] | None = _library_names.get(name) or self._own_classes.get(name)
        if make is not None:
            return make(self._recreate_values(data))
        cls = exceptions.find_class(name, flagged=data.get("__exception__") is True)
        if cls is not None:
            return exceptions.make_exception(cls, self._recreate_values(data))
        text = f"unsupported serialized class: {name}"
        log.warning("%s", text)
        raise self._refusal(SerializeError(text), name, data)

    def _refusal(self, error: PyroError, name: str, data: dict[Any, Any]) -> PyroError:
        if data.get("__exception__") is True:
            return exceptions.stand_in(error, name, self._recreate_values(data))
        return error

    def _recreate_values(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """The values in the dict of one of the library's own classes or of an exception ([SER-32]).

        Unknown exceptions in them become RemoteError objects, other unknown classes stay dicts as in Pyro4: what holds
        them is more important.
        """
        return {key: value if key == "__class__" else self._recreate_inside(value) for key, value in data.items()}

    def _recreate_inside(self, literal: Any) -> Any:
        kind = type(literal)
        if kind is dict:
            if "__class__" not in literal:
                return {key: self._recreate_inside(value) for key, value in literal.items()}
            try:
                return self.dict_to_class(literal)
            except (SerializeError, SecurityError) as error:
                # the results of a batch are not lost because of the class of the exception at its end
                told = isinstance(error, RemoteError) or literal.get("__exception__") is True
                return error.with_traceback(None) if told else literal
        if kind is list:
            return [self._recreate_inside(value) for value in literal]
        if kind is tuple:
            return tuple([self._recreate_inside(value) for value in literal])
        return literal


#: What serpent writes for values that have no literal ([SER-10] (b), [SER-12], [SER-16]).
_SERPENT_CLASSES: Final[dict[str, Callable[[dict[Any, Any]], Any]]] = {
    "float": lambda data: float(data["value"]),
    "complex": lambda data: complex(data["real"], data["imag"]),
    "collections.OrderedDict": lambda data: OrderedDict(data["items"]),
}
