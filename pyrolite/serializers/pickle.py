"""The pickle format, with the class names of Pyro4 in it ([SER-45]). **Unsafe**: whoever sends pickles runs code here.

What cloudpickle and dill share with it is here, too.
"""

from __future__ import annotations

import importlib
import io
import operator
import pickle
import pkgutil
from typing import Any, Final

from pyrolite.configuration import config
from pyrolite.serializers.base import Buffer, SerializerBase, decoding_error, encoding_error
from pyrolite.serializers.classes import library_class, pickled_name
from pyrolite.serializers.exceptions import LocalNote
from pyrolite.serializers.values import is_plain

__all__ = ["NameMapping", "PickleFamilySerializer", "PickleSerializer", "find_mapped_class"]

#: Types that need no mapping of class names.
_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray})
#: Up to this size it pays to look for class names before unpickling.
_SMALL: Final = 1 << 16


class NameMapping:
    """What the picklers of all three formats do when they come to a class of the library, or to a replaced object.

    A mixin of picklers. An unmodified Pyro4 reads the result with its own ``pickle.loads``.
    """

    #: `register_type_replacement` of the serializer.
    replacements: dict[type, Any]
    pickle_protocol: int

    def mapped_reduction(self, obj: Any) -> Any:
        """As ``reducer_override``."""
        if isinstance(obj, type):
            name = pickled_name(obj)
            # a function of the standard library finds the class at the other end
            return NotImplemented if name is None else (pkgutil.resolve_name, (name,))
        kind = type(obj)
        if kind in self.replacements:
            replaced = self.replacements[kind](obj)
            # likewise a function that gives back the one item of a tuple
            return NotImplemented if replaced is obj else (operator.getitem, ((replaced,), 0))
        if kind is LocalNote:
            return str, (str(obj),)
        return NotImplemented


class _Pickler(NameMapping, pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        return self.mapped_reduction(obj)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        found = find_mapped_class(module_name, global_name)
        return super().find_class(module_name, global_name) if found is None else found


def find_mapped_class(module: str, name: str) -> Any:
    """What a name in a pickle stands for here, None when it is to be found in the usual way."""
    if module == "pkgutil" and name == "resolve_name":
        return _resolve_name
    if module != "Pyro4" and not module.startswith("Pyro4."):
        return None
    found: Any = library_class(f"{module}:{name}")
    if found is None:
        found = importlib.import_module("pyrolite" + module.removeprefix("Pyro4"))
        for part in name.split("."):
            found = getattr(found, part)
    return found


def _resolve_name(name: str) -> Any:
    """As ``pkgutil.resolve_name``, with the names of Pyro4 mapped."""
    module, _, rest = name.partition(":")
    found = find_mapped_class(module, rest) if rest else None
    return pkgutil.resolve_name(name) if found is None else found


class PickleFamilySerializer(SerializerBase):
    """What pickle, cloudpickle and dill have in common."""

    # ---- the differences

    def _protocol(self) -> int:
        """The protocol number of the format, from the configuration."""
        return config.PICKLE_PROTOCOL_VERSION

    def _dump_any(self, data: Any) -> bytes:
        """Pickle in the usual way."""
        raise NotImplementedError

    def _dump_mapped(self, data: Any) -> bytes:
        """Pickle with a `NameMapping`."""
        raise NotImplementedError

    def _load(self, data: Buffer) -> Any:
        """Unpickle, with the names of Pyro4 mapped."""
        raise NotImplementedError

    # ---- the interface

    def dumps(self, data: Any) -> bytes:
        try:
            return self._encode(data)
        except Exception as error:
            failure = encoding_error(error, self, {"result": data})
        raise failure

    def loads(self, data: Buffer) -> Any:
        try:
            return self._load(data)
        except Exception as error:
            failure = decoding_error(error)
        raise failure

    def dumpsCall(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes:
        try:
            if not kwargs and type(vargs) is tuple:
                for value in vargs:
                    if type(value) not in _ATOMS:
                        break
                else:
                    return pickle.dumps((obj, method, vargs, kwargs), self._protocol())
            return self._encode((obj, method, vargs, kwargs))
        except Exception as error:
            failure = encoding_error(error, self, {"args": vargs, "kwargs": kwargs})
        raise failure

    def loadsCall(self, data: Buffer) -> tuple[Any, Any, Any, Any]:
        try:
            obj, method, vargs, kwargs = self._load(data)
        except Exception as error:
            failure = decoding_error(error)
        else:
            return obj, method, vargs, kwargs
        raise failure

    def _encode(self, data: Any) -> bytes:
        if type(data) in _ATOMS:
            return pickle.dumps(data, self._protocol())
        if not self._replacements:
            # the usual way is the fastest; if a name of the library turns up in the result, that was a mistake
            try:
                pickled = self._dump_any(data)
            except Exception:  # noqa: S110 - the error is that of the second attempt
                pass
            else:
                if b"pyrolite" not in pickled:
                    return pickled
        elif is_plain(data, _ATOMS):
            return pickle.dumps(data, self._protocol())
        return self._dump_mapped(data)

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
        pickler = _Pickler(buffer, config.PICKLE_PROTOCOL_VERSION)
        pickler.replacements = self._replacements
        pickler.dump(data)
        return buffer.getvalue()

    def _load(self, data: Buffer) -> Any:
        return load_pickle(data)


def load_pickle(data: Buffer) -> Any:
    """Unpickle, with the names of Pyro4 mapped."""
    if len(data) <= _SMALL and b"Pyro4" not in bytes(data):
        return pickle.loads(data)
    return _Unpickler(io.BytesIO(data)).load()
