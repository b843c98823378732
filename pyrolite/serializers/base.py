"""What all serializers have in common: their interface, the hooks of users, and the shape of errors ([SER-4])."""

from __future__ import annotations

import threading
from abc import ABCMeta
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from pyrolite import compression, lazily
from pyrolite.configuration import config
from pyrolite.errors import SecurityError, SerializeError
from pyrolite.pieces import Pieces
from pyrolite.serializers import classes, exceptions
from pyrolite.serializers.classes import Recreator
from pyrolite.serializers.values import NO_VALUE, is_numpy_array, numpy_value, simple_forms

if TYPE_CHECKING:
    from pyrolite.serializers import explain
else:
    explain = lazily.module("pyrolite.serializers.explain", globals(), "explain")

__all__ = ["Buffer", "Received", "SerializerBase", "concerned", "contains"]

Buffer = bytes | bytearray | memoryview
#: What is decoded; pieces come only to the formats in `large_bytes.FINDERS`.
Received = Buffer | Pieces
Replacement = Callable[[Any], Any]
_T = TypeVar("_T")

# makes registrations one after the other, each with what serializers make of it
_registration_lock: Final = threading.Lock()
#: Containers that some formats have no form for, where hooks have no effect all the same ([SER-60]).
_UNHOOKED: Final = frozenset({set, frozenset})
_CONTAINERS: Final = frozenset({list, tuple, dict})


#: Payloads below this size are searched for class dicts whatever they hold, in bytes.
_SHORT: Final = 1024


def contains(data: Received, word: bytes) -> bool:
    """Whether ``word`` may occur in ``data``; what a view shows is not copied, but searched with all around it."""
    if type(data) is Pieces:
        return any(word in piece for piece in data.pieces)
    if type(data) is memoryview:
        owner: Any = data.obj
        data = owner if type(owner) in {bytes, bytearray} else bytes(data)
    return word in data


def may_hold_classes(data: Received, *values: Any) -> bool:
    """Whether there can be class dicts in ``values``, which were decoded from ``data``.

    Both tests cost next to nothing, and spare walking through everything that is received.
    """
    for value in values:
        if type(value) in _CONTAINERS:
            for item in value:
                if type(item) in _CONTAINERS or type(value) is dict:
                    return contains(data, b"__class__")
    return False


def _decoding_text(error: Exception) -> str:
    """What is told of an error that occurred while decoding."""
    text = str(error)
    # a KeyError's text is a mere key
    return text if text and isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


class SerializerBase:
    """Base class of the serializers, and the place to register hooks that concern all of them.

    One object per format is shared by the process (`get_serializer`). Two objects of the same class are equal.
    Thread safety: may be used from any thread, also while hooks are being registered ([SER-64]).
    """

    serializer_id: ClassVar[int] = 0
    #: How this format treats values that it has no form for.
    _forms: ClassVar[classes.ClassTable[Callable[[Any], Any]]] = simple_forms()
    _recreator: ClassVar[Recreator] = Recreator()
    #: Builtin types that the format writes itself, and whose hooks are consulted all the same ([SER-60] (b)).
    _hookable: ClassVar[frozenset[type]] = frozenset()
    #: Those of them that have hooks.
    _hooked: ClassVar[frozenset[type]] = frozenset()
    _is_serpent: ClassVar[bool] = False
    #: `register_type_replacement` of this serializer; replaced as a whole, never changed.
    _replacements: ClassVar[dict[type, Replacement]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._replacements = {}

    # ---- what each serializer has to say; errors are raised as they come

    def _encode(self, data: Any) -> bytes | Pieces:
        """The bytes of a value."""
        raise NotImplementedError

    def _encode_call(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes | Pieces:
        """The bytes of a call."""
        return self._encode((obj, method, vargs, kwargs))

    def _read(self, data: Any) -> Any:
        """What is in ``data``, with class dicts as dicts."""
        raise NotImplementedError

    def _read_call(self, data: Any) -> Any:
        """The four parts of the call in ``data``, with class dicts as dicts; only called if it is overridden."""
        raise NotImplementedError

    #: Whether class dicts are to be looked for in what was read, and whether `_read_call` is overridden.
    _has_class_dicts: ClassVar[bool] = True
    _has_own_call: ClassVar[bool] = False

    # ---- the interface

    def dumps(self, data: Any) -> bytes:
        """The bytes of a value.

        Raises:
            SerializeError, TypeError, ValueError: it cannot be expressed ([SER-6]).
        """
        return bytes(self.payload(data))

    def payload(self, data: Any) -> bytes | Pieces:
        """As `dumps`, but large bytes in the value may be left where they are, for sending."""
        try:
            return self._encode(data)
        except Exception as error:
            explain.add_place(error, self, {"result": data})
            raise

    def loads(self, data: Received) -> Any:
        """The value in ``data``.

        Raises:
            SerializeError: it is malformed, or names an unknown class.
            SecurityError: it names a class that is refused.
        """
        try:
            value = self._read(data)
            # in a short payload the search takes less time than looking at the value
            if self._has_class_dicts and (
                (b"__class__" in data) if type(data) is bytes and len(data) < _SHORT else may_hold_classes(data, value)
            ):
                return self._recreator.recreate(value)
            return value  # noqa: TRY300 - not in `else`, for the sake of one straight way
        except (SerializeError, SecurityError, NotImplementedError):
            raise
        except Exception as error:
            raise SerializeError(_decoding_text(error)) from error

    def dumpsCall(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes:
        """The bytes of a call; errors as `dumps`."""
        return bytes(self.callPayload(obj, method, vargs, kwargs))

    def callPayload(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes | Pieces:
        """As `dumpsCall`, but large bytes among the arguments may be left where they are, for sending."""
        try:
            return self._encode_call(obj, method, vargs, kwargs)
        except Exception as error:
            explain.add_place(error, self, {"args": vargs, "kwargs": kwargs})
            raise

    def loadsCall(self, data: Received) -> tuple[Any, Any, Any, Any]:
        """Object, method name, positional and keyword arguments of the call in ``data``; errors as `loads`."""
        try:
            obj, method, vargs, kwargs = self._read_call(data) if self._has_own_call else self._read(data)
            if self._has_class_dicts and (
                (b"__class__" in data)
                if type(data) is bytes and len(data) < _SHORT
                else may_hold_classes(data, vargs, kwargs)
            ):
                return obj, method, self._recreator.recreate(vargs), self._recreator.recreate(kwargs)
            return obj, method, vargs, kwargs  # noqa: TRY300
        except (SerializeError, SecurityError, NotImplementedError):
            raise
        except Exception as error:
            raise SerializeError(_decoding_text(error)) from error

    # ---- with compression

    def serializeData(self, data: Any, compress: bool = False) -> tuple[Any, bool]:
        """The bytes of a value, and whether they are compressed ([WIRE-40]); errors as `dumps`."""
        payload = self.dumps(data)
        return compression.compress(payload) if compress else (payload, False)

    def deserializeData(self, data: Buffer, compressed: bool = False) -> Any:
        """The value in ``data``; errors as `loads`, and MessageTooLargeError when it decompresses to too much."""
        return self.loads(compression.decompress(data, config.MAX_MESSAGE_SIZE) if compressed else data)

    def serializeCall(self, obj: Any, method: str, vargs: Any, kwargs: Any, compress: bool = False) -> tuple[Any, bool]:
        """The bytes of a call, and whether they are compressed; errors as `dumps`."""
        payload = self.dumpsCall(obj, method, vargs, kwargs)
        return compression.compress(payload) if compress else (payload, False)

    def deserializeCall(self, data: Buffer, compressed: bool = False) -> tuple[Any, Any, Any, Any]:
        """The four parts of the call in ``data``; errors as `deserializeData`."""
        return self.loadsCall(compression.decompress(data, config.MAX_MESSAGE_SIZE) if compressed else data)

    # ---- hooks

    @classmethod
    def register_type_replacement(cls, object_type: type, replacement_function: Replacement) -> None:
        """Encode ``replacement_function(obj)`` instead of each object of exactly that type ([SER-62]).

        Has no effect on the builtin types that a format writes itself.

        Raises:
            ValueError: ``object_type`` is not a class, or ``type`` itself.
            NotImplementedError: called on `SerializerBase`.
        """
        if object_type is type or not isinstance(object_type, type):
            raise ValueError("refusing to register replacement for a non-type or the type 'type' itself")
        if cls is SerializerBase:
            raise NotImplementedError("type replacements are registered for each serializer class")
        with _registration_lock:
            cls._replacements = {**cls._replacements, object_type: replacement_function}
            cls._hooks_changed()

    @classmethod
    def register_class_to_dict(
        cls, clazz: type, converter: Callable[[Any], dict[str, Any]], serpent_too: bool = True
    ) -> None:
        """Encode instances of ``clazz`` and its subclasses as ``converter(obj)``, with all serializers ([SER-60]).

        Args:
            clazz: the class; that of the builtin containers, texts and numbers has no effect.
            converter: makes the dict, normally with a ``__class__`` for `register_dict_to_class` on the other side.
            serpent_too: False leaves instances to serpent's own ways.
        """
        with _registration_lock:
            classes.converters.register(clazz, classes.Converter(converter, serpent_too))
            for serializer in all_subclasses(SerializerBase):
                serializer._hooks_changed()

    @classmethod
    def unregister_class_to_dict(cls, clazz: type) -> None:
        """Undo `register_class_to_dict`; an unknown class is no error."""
        with _registration_lock:
            classes.converters.unregister(clazz)
            for serializer in all_subclasses(SerializerBase):
                serializer._hooks_changed()

    @classmethod
    def register_dict_to_class(cls, classname: str, converter: Callable[[str, dict[str, Any]], Any]) -> None:
        """Decode dicts with that ``__class__`` to ``converter(classname, dict)`` ([SER-61])."""
        classes.register_dict_to_class(classname, converter)

    @classmethod
    def unregister_dict_to_class(cls, classname: str) -> None:
        """Undo `register_dict_to_class`; an unknown name is no error."""
        classes.unregister_dict_to_class(classname)

    @classmethod
    def _hooks_changed(cls) -> None:
        """Called when hooks were registered or removed, for what a serializer makes of them."""
        cls._hooked = cls._hookable & cls._hooks()

    @classmethod
    def _hooks(cls) -> set[type]:
        """The classes that there are hooks for."""
        return {*classes.converters.classes(), *cls._replacements}

    # ---- classes and dicts

    @classmethod
    def class_to_dict(cls, obj: Any) -> dict[str, Any]:
        """The dict that stands for an object ([SER-30]).

        Raises:
            SerializeError: there is none; or what the converter of a user raises.
            ValueError: ``obj`` is a plain container.
        """
        result = classes.class_to_dict(obj, serpent=cls._is_serpent)
        if result is None:
            raise cls._no_form(obj)
        return result  # type: ignore[no-any-return]

    @classmethod
    def dict_to_class(cls, data: dict[str, Any]) -> Any:
        """The object that a dict with a key ``__class__`` stands for ([SER-31]).

        Raises:
            SerializeError: the class is unknown.
            SecurityError: it is refused.
        """
        return cls._recreator.dict_to_class(data)

    def recreate_classes(self, literal: Any) -> Any:
        """``literal`` with the class dicts in it replaced by what they stand for; errors as `dict_to_class`."""
        return self._recreator.recreate(literal)

    @staticmethod
    def make_exception(exceptiontype: type[BaseException], data: dict[str, Any]) -> BaseException:
        """An exception of that class from its dict ([SER-52])."""
        return exceptions.make_exception(exceptiontype, data)

    # ---- for the serializers

    @classmethod
    def _simpler(cls, obj: Any) -> Any:
        """A value that stands for ``obj`` in formats that have no form for it; it need not be a final one.

        Raises:
            SerializeError: there is none; TypeError for serpent; whatever a hook raises.
        """
        replacements = cls._replacements
        if replacements:
            replaced = cls._replaced(obj, replacements)
            if type(replaced) is not type(obj):
                return replaced
            obj = replaced
        kind = type(obj)
        converter = None if kind in _UNHOOKED else classes.converters.find(kind)
        if converter is not None and (converter.serpent_too or not cls._is_serpent):
            return classes.run_converter(converter, obj)
        form = cls._forms.find(kind)
        if form is not None:
            return form(obj)
        if kind in cls._hookable:  # the hook is for other formats, or has just been removed
            return obj
        value = numpy_value(obj)
        if value is NO_VALUE:
            value = classes.class_to_dict(obj, serpent=cls._is_serpent)
            if value is None:
                raise cls._no_form(obj)
        return value

    @classmethod
    def _replaced(cls, obj: Any, replacements: dict[type, Replacement]) -> Any:
        replacement = replacements.get(type(obj))
        return obj if replacement is None else classes.run_replacement(replacement, obj)

    @classmethod
    def _no_form(cls, obj: Any) -> Exception:
        """The error for an object that cannot be serialized ([SER-6])."""
        return SerializeError(
            f"don't know how to serialize class {type(obj)} using serializer {cls.__name__}."
            f" Give it vars() or an appropriate __getstate__{_array_hint(obj)}"
        )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} at 0x{id(self):x}>"


def _array_hint(obj: Any) -> str:
    return " (a numpy array: send what its method tolist() returns)" if is_numpy_array(obj) else ""


def all_subclasses(cls: type[_T]) -> list[type[_T]]:
    """All classes derived from ``cls``, directly or not."""
    found = []
    for subclass in type.__subclasses__(cls):  # also of classes of classes
        found += [subclass, *all_subclasses(subclass)]
    return found


def concerned(natives: tuple[type, ...], hooked: Iterable[type]) -> bool:
    """Whether hooks on the classes ``hooked`` may concern instances of subclasses of ``natives``.

    A format that writes those itself has to walk through graphs then. Hooks on the builtin types themselves have no
    effect.
    """
    for clazz in hooked:
        if clazz in natives:
            continue
        if isinstance(clazz, ABCMeta) or any(
            issubclass(subclass, natives) for subclass in (clazz, *all_subclasses(clazz))
        ):
            return True
    return False
