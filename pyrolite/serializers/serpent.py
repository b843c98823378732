"""The serpent format: one Python literal as text ([SER-18])."""

from __future__ import annotations

import gc
from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily
from pyrolite.configuration import config
from pyrolite.pieces import Pieces
from pyrolite.serializers import serpent_reader, serpent_writer
from pyrolite.serializers.base import SerializerBase
from pyrolite.serializers.classes import Recreator
from pyrolite.serializers.values import GraphConverter, simple_forms

if TYPE_CHECKING:
    import numbers
else:
    numbers = lazily.module("numbers", globals())

__all__ = ["SerpentSerializer"]

_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, memoryview})
_BYTES_MARK: Final = b", 'encoding': 'base64'}"


class SerpentSerializer(SerializerBase):
    """Python literals: safe, readable, and with most of Python's own types (the default)."""

    serializer_id = 1
    _is_serpent = True
    _recreator = Recreator(serpent=True)
    _forms = simple_forms(
        {OrderedDict: lambda value: {"__class__": "collections.OrderedDict", "items": list(value.items())}}
    )
    _hookable = frozenset({complex, bytes, bytearray, memoryview})

    _read = staticmethod(serpent_reader.loads)

    def _encode(self, data: Any) -> bytes | Pieces:
        bytes_repr = config.SERPENT_BYTES_REPR
        if not self._hooked:
            text = serpent_writer.dumps(data)
            if text is not None and not (bytes_repr and _BYTES_MARK in bytes(text)):
                return text
        graph = GraphConverter(_ATOMS, self._hookable, self._hooked, self._simpler, _key, sets=True).convert(data)
        text = None if bytes_repr else serpent_writer.dumps(graph)
        return _with_package(graph, bytes_repr) if text is None else text

    @classmethod
    def _replaced(cls, obj: Any, replacements: Any) -> Any:
        # instances of subclasses, too ([SER-62])
        for base in type(obj).__mro__:
            if base in replacements:
                return super()._replaced(obj, {type(obj): replacements[base]})
        return obj

    @classmethod
    def _no_form(cls, obj: Any) -> Exception:
        error = super()._no_form(obj)
        return TypeError(str(error).replace(f" using serializer {cls.__name__}", "", 1))


def _key(key: Any) -> Any:
    """A dict key or set element that serpent lets pass.

    Raises:
        TypeError: it is none.
    """
    if key is None or not isinstance(key, (bool, bytes, str, tuple, numbers.Number, Enum)):
        raise TypeError(
            f"one of the keys in a dict or set is not of a primitive hashable type: {type(key)}."
            " Use simple types as keys or use a list or tuple as container."
        )
    return key


def _with_package(graph: Any, bytes_repr: bool) -> bytes:
    """What the serpent package makes of a graph of builtin types, if only an error."""
    import serpent

    enabled = gc.isenabled()
    try:
        return serpent.dumps(graph, indent=False, module_in_classname=True, bytes_repr=bytes_repr)  # type: ignore[no-any-return]
    finally:
        if not enabled:  # serpent switches the collector on in any case ([SER-71])
            gc.disable()
