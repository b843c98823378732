"""The marshal format of the Python interpreter, version 4 ([SER-20])."""

from __future__ import annotations

import marshal
from typing import Any, ClassVar, Final

from pyrolite.errors import SerializeError
from pyrolite.serializers import marshal_guard
from pyrolite.serializers.base import Buffer, SerializerBase, decoding_error, encoding_error, may_hold_classes
from pyrolite.serializers.classes import converters
from pyrolite.serializers.values import GraphConverter, is_plain, simple_forms

__all__ = ["MarshalSerializer"]

_VERSION: Final = 4  # whatever the Python: version 5 of Python 3.14 cannot be read by older ones

#: Types that marshal writes as what they are.
_ATOMS: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
#: Hooks on these are consulted, although the format has a form for them ([SER-60] (b)).
_HOOKED_ATOMS: Final = frozenset({complex, bytes})


class MarshalSerializer(SerializerBase):
    """marshal: the fastest, with most of the builtin types. Python only.

    Instances of other classes are converted at every level ([SER-16], [SER-33]).
    """

    serializer_id = 3
    _forms = simple_forms({memoryview: lambda value: value.tobytes(), bytearray: bytes})
    #: Types that marshal writes rightly and hooks do not concern.
    _atoms: ClassVar[frozenset[type]] = _ATOMS

    def dumps(self, data: Any) -> bytes:
        if type(data) in self._atoms:
            return marshal.dumps(data, _VERSION)
        try:
            return self._encode(data)
        except Exception as error:
            failure = encoding_error(error, self, {"result": data})
        raise failure

    def loads(self, data: Buffer) -> Any:
        try:
            value = marshal_guard.loads(data)
            if may_hold_classes(data, value):
                return self._recreator.recreate(value)
        except Exception as error:
            failure = decoding_error(error)
        else:
            return value
        raise failure

    def dumpsCall(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes:
        if type(vargs) is tuple:
            vargs = list(vargs)
        atoms = self._atoms
        if not kwargs and type(vargs) is list:
            for value in vargs:
                if type(value) not in atoms:
                    break
            else:
                return marshal.dumps((obj, method, vargs, kwargs), _VERSION)
        try:
            # each argument is a top level value
            args = [self._graph(value) for value in vargs] if type(vargs) is list else self._graph(vargs)
            named = {name: self._graph(value) for name, value in kwargs.items()} if kwargs else kwargs
            return marshal.dumps((obj, method, args, named), _VERSION)
        except Exception as error:
            failure = encoding_error(error, self, {"args": vargs, "kwargs": kwargs})
        raise failure

    def loadsCall(self, data: Buffer) -> tuple[Any, Any, Any, Any]:
        try:
            obj, method, vargs, kwargs = marshal_guard.loads(data)
            if may_hold_classes(data, vargs, kwargs):
                vargs = self._recreator.recreate(vargs)
                kwargs = self._recreator.recreate(kwargs)
        except Exception as error:
            failure = decoding_error(error)
        else:
            return obj, method, vargs, kwargs
        raise failure

    def _encode(self, data: Any) -> bytes:
        return marshal.dumps(self._graph(data), _VERSION)

    def _graph(self, data: Any) -> Any:
        """``data`` with only types in it that marshal writes as what they are.

        marshal cannot be asked: it writes arrays and numpy values as the bytes they occupy, without a complaint.
        """
        if type(data) in self._atoms or is_plain(data, self._atoms):
            return data
        try:
            return GraphConverter(self._atoms, self._simpler, lambda key: key, sets=True).convert(data)
        except SerializeError as error:
            if str(error) == str(self._no_form(data)):
                raise  # the value itself
            raise ValueError("unmarshallable object") from error

    @classmethod
    def _hooks_changed(cls) -> None:
        cls._atoms = _ATOMS - (_HOOKED_ATOMS & {*converters.classes(), *cls._replacements})

