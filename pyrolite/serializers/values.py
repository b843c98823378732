"""Values of the standard library in simpler ones, and whole graphs of them ([SER-15], [SER-16]).

`simpler` takes one step for one value; `GraphConverter` walks a graph until only types are left that a format writes.
"""

from __future__ import annotations

import binascii
import functools
import sys
from array import array
from collections import UserDict, UserList, UserString, deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily
from pyrolite.serializers.classes import ClassTable

if TYPE_CHECKING:
    import pickle
else:
    pickle = lazily.module("pickle", globals())

__all__ = [
    "CONTAINERS",
    "NO_VALUE",
    "GraphConverter",
    "base64_dict",
    "is_numpy_array",
    "is_plain",
    "is_plain_tree",
    "numpy_value",
    "simple_forms",
]

NO_VALUE: Final = object()


def _array_value(value: array[Any]) -> Any:
    return value.tounicode() if value.typecode in {"u", "w"} else value.tolist()


def base64_dict(value: bytes | bytearray | memoryview) -> dict[str, str]:
    """What serpent writes for bytes ([SER-10] (d))."""
    return {"data": binascii.b2a_base64(value, newline=False).decode("ascii"), "encoding": "base64"}


_ISOFORMAT: Final[Callable[[Any], Any]] = lambda value: value.isoformat()  # noqa: E731 - one of many in a table
_DICT_VIEWS: Final[list[type]] = [type({}.keys()), type({}.values()), type({}.items())]

#: What stands for values that most formats have no form for. A subclass is treated as its base. Those that are given by
#: their names are of modules that need not be loaded as long as there are no such values.
_SIMPLE_FORMS: Final[dict[type | str, Callable[[Any], Any]]] = {
    "datetime.date": _ISOFORMAT,  # datetime, too
    "datetime.time": _ISOFORMAT,
    "datetime.timedelta": lambda value: value.total_seconds(),
    "decimal.Decimal": str,
    "uuid.UUID": str,
    array: _array_value,
    deque: list,
    UserList: list,
    UserDict: dict,
    UserString: str,
    Enum: lambda value: value.value,
    **dict.fromkeys(_DICT_VIEWS, list),
}
#: Subclasses of builtin types as these.
_BASE_FORMS: Final[dict[type | str, Callable[[Any], Any]]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    complex: lambda value: complex(value.real, value.imag),
    bytes: lambda value: memoryview(value).tobytes(),
    bytearray: lambda value: bytearray(memoryview(value)),
    list: list,
    tuple: tuple,
    dict: lambda value: dict(value.items()),
    set: set,
    frozenset: frozenset,
}


def simple_forms(
    extra: dict[type | str, Callable[[Any], Any]] | None = None, *, without: Iterable[type] = ()
) -> ClassTable[Callable[[Any], Any]]:
    """A table of functions that make simpler values, to look up by class.

    Args:
        extra: forms of one format, by class or its full name, which replace the common ones.
        without: classes that the format writes itself.
    """
    forms: ClassTable[Callable[[Any], Any]] = ClassTable()
    table: dict[type | str, Callable[[Any], Any]] = {**_BASE_FORMS, **_SIMPLE_FORMS, **(extra or {})}
    for clazz, form in table.items():
        if isinstance(clazz, str):
            forms.register_by_name(clazz, form)
        elif clazz not in without:
            forms.register(clazz, form)
    return forms


def numpy_value(value: Any) -> Any:
    """The Python value of a numpy scalar; NO_VALUE for anything else."""
    numpy = sys.modules.get("numpy")  # no scalars without it
    if numpy is not None and isinstance(value, numpy.generic):
        item = value.item()
        if not isinstance(item, numpy.generic):  # longdouble stays what it is
            return item
    return NO_VALUE


def is_numpy_array(value: Any) -> bool:
    """Whether ``value`` is an array of numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


CONTAINERS: Final = frozenset({list, tuple, dict, set, frozenset})


class _NotPlainError(Exception):
    """There is something else in the graph."""


class _TooMuchError(Exception):
    """The graph is much larger when written as a tree."""


@functools.cache
def _inspector_class() -> Any:
    class Inspector(pickle.Pickler):
        """Asks Python only about what is not exactly of a type that pickle itself is made for; writes nothing."""

        def __init__(self, extra: frozenset[type], limit: int) -> None:
            super().__init__(_Nowhere(limit), 5)
            self._extra = extra

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) in self._extra:
                return _nothing, ()
            if obj is _nothing:
                return NotImplemented
            raise _NotPlainError

    return Inspector


class _Nowhere:
    """A file that forgets what is written, if it is not too much."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def write(self, data: Any) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise _TooMuchError


def _nothing() -> None:
    """What the inspector pickles for what it is not interested in."""


_UNLIMITED: Final = sys.maxsize


def is_plain(value: Any, extra: frozenset[type]) -> bool:
    """Whether a graph consists of exactly the builtin types, and those in ``extra``.

    The builtin types are None, bool, int, float, str, bytes, bytearray and the containers. This walk of the pickler
    takes a third of the time of one that is written in Python.
    """
    try:
        _inspector_class()(extra, _UNLIMITED).dump(value)
    except Exception:  # recursion, a graph that another thread changes, ...
        return False
    return True


def is_plain_tree(value: Any, extra: frozenset[type], limit: int) -> bool:
    """As `is_plain`, and the graph does not refer to itself.

    Args:
        value: the graph.
        extra: more types.
        limit: number of bytes to pickle until circular references are not looked for any more. Without a limit it would
            take forever to look at graphs whose objects are shared by many, which are shared by many in turn, ...
    """
    try:
        inspector = _inspector_class()(extra, limit)
        inspector.fast = True  # no memory of objects that were seen; it complains about circular references instead
        inspector.dump(value)
    except _TooMuchError:
        return is_plain(value, extra)
    except Exception:
        return False
    return True


class GraphConverter:
    """Copies a graph until it has only types that a format writes.

    One object serves one graph.

    Args:
        atoms: types that are left as they are.
        hookable: builtin types that are given to ``simpler`` when they have hooks.
        hooked: those of them that have hooks.
        simpler: makes a simpler value from any other than a builtin container.
        key: makes the key of a dict or the element of a set from what it is in the graph; raises when it cannot.
        sets: whether the format has sets; otherwise they are given to ``simpler``.
    """

    def __init__(
        self,
        atoms: frozenset[type],
        hookable: frozenset[type],
        hooked: frozenset[type],
        simpler: Callable[[Any], Any],
        key: Callable[[Any], Any],
        *,
        sets: bool,
    ) -> None:
        self._atoms = atoms
        self._hookable = hookable
        self._hooked = hooked
        self._simpler = simpler
        self._key = key
        self._sets = sets
        self._active: set[int] = set()

    def convert(self, value: Any) -> Any:
        """The converted graph.

        Raises:
            ValueError: it refers to itself, or is nested too deeply for this thread's stack.
        """
        try:
            return self._convert(value)
        except RecursionError:
            pass  # the traceback of that one would be a long one
        raise ValueError("Object graph nesting too deep")

    def _convert(self, value: Any) -> Any:
        kind = type(value)
        if kind in self._atoms and kind not in self._hooked:
            return value
        identity = id(value)
        if identity in self._active:
            raise ValueError(f"Circular reference detected ({kind.__name__})")
        self._active.add(identity)
        try:
            if kind is dict:
                return {self._convert_key(key): self._convert(item) for key, item in value.items()}
            if kind is list:
                return [self._convert(item) for item in value]
            if kind is tuple:
                return tuple([self._convert(item) for item in value])
            if self._sets and (kind is set or kind is frozenset):
                return kind([self._convert_key(item) for item in value])
            simple = self._simpler(value)
            # one hook for one value: it may be of a type with a hook again only because of what the format does to it
            return simple if kind in self._hookable and type(simple) in self._atoms else self._convert(simple)
        finally:
            self._active.discard(identity)

    def _convert_key(self, key: Any) -> Any:
        """A key of a dict or an element of a set."""
        return key if type(key) is str else self._convert(self._key(key))
