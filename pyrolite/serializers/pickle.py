"""The pickle format, with the class names of Pyro4 in it ([SER-45]). **Unsafe**: whoever sends pickles runs code here.

What cloudpickle and dill share with it is here, too.
"""

from __future__ import annotations

import functools
import importlib
import io
import operator
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pyrolite import lazily
from pyrolite.configuration import config
from pyrolite.pieces import LARGE, Pieces, under_view
from pyrolite.serializers import exceptions
from pyrolite.serializers.base import Buffer, SerializerBase, contains
from pyrolite.serializers.classes import pickled_name, run_replacement
from pyrolite.serializers.large_bytes import loads_around
from pyrolite.serializers.values import is_plain
from pyrolite.tracebacks import LocalNote

if TYPE_CHECKING:
    import pickle
else:
    pickle = lazily.module("pickle", globals())

__all__ = ["NameMapping", "PickleFamilySerializer", "PickleSerializer", "find_mapped_class"]

#: Types that need no mapping of class names.
_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str})
_BYTES: Final = frozenset({bytes, bytearray})
_ATOMS_AND_BYTES: Final = _ATOMS | _BYTES
_EXTRA: Final = frozenset({complex})  # those of them that `is_plain` has to be told
_MODULE_OF_PYRO4: Final = lazily.value("_MODULE_OF_PYRO4", globals(), lambda: re.compile(r"Pyro4(?=\.|\Z)"))


class _Module:
    """Stands for a module in a graph that is being pickled; what is unpickled is the module itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> Any:
        return importlib.import_module, (self._name,)


class NameMapping:
    """What the picklers of all three formats do when they come to a class of the library, or to a replaced object.

    A mixin of picklers. An unmodified Pyro4 reads the result with its own ``pickle.loads``.
    """

    #: `register_type_replacement` of the serializer.
    replacements: dict[type, Any]

    def mapped_reduction(self, obj: Any) -> Any:
        """As ``reducer_override``."""
        if isinstance(obj, type):
            name = pickled_name(obj)
            if name is None:
                return NotImplemented
            module, _, attribute = name.rpartition(".")
            # functions of the standard library, of every version, find the class at the other end
            return getattr, (_Module(module), attribute)
        kind = type(obj)
        if kind in self.replacements:
            replaced = run_replacement(self.replacements[kind], obj)
            # likewise a function that gives back the one item of a tuple
            return NotImplemented if replaced is obj else (operator.getitem, ((replaced,), 0))
        if isinstance(obj, BaseException) and _has_local_notes(obj):
            reduction = obj.__reduce_ex__(4)
            if isinstance(reduction, tuple) and len(reduction) > 2 and isinstance(reduction[2], dict):
                state = exceptions.without_local_notes(reduction[2])
                return (*reduction[:2], state, *reduction[3:])
            return reduction
        return NotImplemented


def _has_local_notes(error: BaseException) -> bool:
    return any(isinstance(note, LocalNote) for note in getattr(error, "__notes__", None) or ())


@functools.cache
def _classes() -> Any:
    """The pickler, the unpickler, and one that finds no classes."""

    class Pickler(NameMapping, pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            return self.mapped_reduction(obj)

    class Unpickler(pickle.Unpickler):
        def find_class(self, module_name: str, global_name: str) -> Any:
            found = find_mapped_class(module_name, global_name)
            return super().find_class(module_name, global_name) if found is None else found

    class PlainUnpickler(pickle.Unpickler):
        def find_class(self, module_name: str, global_name: str) -> Any:
            raise pickle.UnpicklingError

    return Pickler, Unpickler, PlainUnpickler


def find_mapped_class(module: str, name: str) -> Any:
    """What a name in a pickle stands for here, None when it is to be found in the usual way."""
    if module == "importlib" and name == "import_module":
        return _import_module
    if not _MODULE_OF_PYRO4.match(module):
        return None
    found = _import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _import_module(name: str, package: str | None = None) -> Any:
    """As ``importlib.import_module``, with the names of Pyro4 mapped."""
    return importlib.import_module(_MODULE_OF_PYRO4.sub("pyrolite", name), package)


def load_pickle(data: Any) -> Any:
    """Unpickle, with the names of Pyro4 mapped."""
    # looking for the name takes less time than making the unpickler, unless there is much to look through
    if len(data) > _LONG:
        if type(data) is Pieces:
            return loads_around(data, _load_plain, load_pickle, b"C\x10")
        data = under_view(data)
    elif not contains(data, b"Pyro4"):
        return pickle.loads(data)
    return _classes()[1](io.BytesIO(data)).load()


def _load_plain(data: bytes) -> Any:
    """Unpickle what needs no name, so that nothing is done twice when it does."""
    return _classes()[2](io.BytesIO(data)).load()


#: Payloads of more bytes than these are not searched for names.
_LONG: Final = 1 << 14


class _PieceList(list[bytes]):
    """A file for a pickler, which writes large bytes as they are, from protocol 3 on."""

    def write(self, data: bytes) -> None:
        self.append(data)


class PickleFamilySerializer(SerializerBase):
    """What pickle, cloudpickle and dill have in common."""

    # ---- the differences

    #: Whether the pickler is written in Python, so that it pays to look for graphs that need nothing of it.
    _slow: ClassVar[bool] = False

    def _protocol(self) -> int:
        """The protocol number of the format, from the configuration."""
        return config.PICKLE_PROTOCOL_VERSION

    def _dump_any(self, data: Any) -> bytes:
        """Pickle in the usual way."""
        raise NotImplementedError

    def _dump_mapped(self, data: Any) -> bytes:
        """Pickle with a `NameMapping`."""
        raise NotImplementedError

    def _read(self, data: Buffer) -> Any:
        """Unpickle, with the names of Pyro4 mapped."""
        raise NotImplementedError

    # ---- the interface

    def _encode(self, data: Any) -> bytes | Pieces:
        if type(data) in _ATOMS:
            return pickle.dumps(data, self._protocol())
        if type(data) in _BYTES:
            return self._with_bytes(data, (data,))
        if (self._replacements or self._slow) and is_plain(data, _EXTRA):
            return pickle.dumps(data, self._protocol())
        if not self._replacements and not (isinstance(data, BaseException) and _has_local_notes(data)):
            # the usual way is the fastest; if a name of the library turns up in the result, that was a mistake
            try:
                pickled = self._dump_any(data)
            except Exception:  # noqa: S110 - the error is that of the second attempt
                pass
            else:
                if b"pyrolite" not in pickled:
                    return pickled
        return self._dump_mapped(data)

    def _encode_call(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes | Pieces:
        call = (obj, method, vargs, kwargs)
        if not kwargs and type(vargs) is tuple:
            for value in vargs:
                if type(value) not in _ATOMS:
                    if type(value) in _BYTES and _ATOMS_AND_BYTES.issuperset(map(type, vargs)):
                        return self._with_bytes(call, vargs)
                    break
            else:
                return pickle.dumps(call, self._protocol())
        return self._encode(call)

    def _with_bytes(self, data: Any, values: tuple[Any, ...]) -> bytes | Pieces:
        """Pickle ``data`` that has atoms and bytes in it; ``values`` are those that may be large."""
        protocol = self._protocol()
        if bytearray in map(type, values) or not any(type(value) is bytes and len(value) >= LARGE for value in values):
            return pickle.dumps(data, protocol)
        pieces = _PieceList()
        pickle.Pickler(pieces, protocol).dump(data)
        return Pieces(pieces)

    _has_class_dicts = False

    def recreate_classes(self, literal: Any) -> Any:
        """``literal`` itself: pickled data has no class dicts."""
        return literal


class PickleSerializer(PickleFamilySerializer):
    """pickle: nearly everything; **unsafe** with anybody who is not trusted."""

    serializer_id = 4

    def _dump_any(self, data: Any) -> bytes:
        return pickle.dumps(data, config.PICKLE_PROTOCOL_VERSION)

    def _dump_mapped(self, data: Any) -> bytes:
        buffer = io.BytesIO()
        pickler = _classes()[0](buffer, config.PICKLE_PROTOCOL_VERSION)
        pickler.replacements = self._replacements
        pickler.dump(data)
        return buffer.getvalue()

    _read = staticmethod(load_pickle)
