"""Says where in a graph the value is that could not be serialized, and what can be done about it ([BYD-42]).

Nothing here runs before an error of encoding has occurred.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pyrolite.errors import PyroError, SerializeError
from pyrolite.serializers.classes import run_converter, run_replacement

if TYPE_CHECKING:
    from pyrolite.serializers.base import SerializerBase

__all__ = ["add_place"]

#: How the texts of the serializers themselves start.
_OWN_TEXTS: Final = ("don't know how to serialize", "msgpack cannot serialize")
#: Seconds of processor time to search for; an error in a large graph may have to do without its place.
_PATIENCE: Final = 0.25
_PATH_SHOWN: Final = 300
_KEY_SHOWN: Final = 40


def add_place(error: Exception, serializer: SerializerBase, roots: dict[str, Any]) -> None:
    """Append the path to the offending value, and the ways out, to the text of an error.

    Args:
        error: what encoding raised; left alone when it is not about an unsuitable value, or comes from a user's hook.
        serializer: what was encoding.
        roots: what was being encoded, by the names to start a path with.
    """
    if _comes_from_hook(error) or (isinstance(error, PyroError) and not str(error).startswith(_OWN_TEXTS)):
        return
    if isinstance(error, UnicodeEncodeError):
        error.reason += _advice(serializer, roots)
    elif isinstance(error, (SerializeError, TypeError, ValueError, AttributeError)) or _is_pickling_error(error):
        text = str(error.args[0]) if len(error.args) == 1 else ""
        if text:
            error.args = (text + _advice(serializer, roots),)


#: The functions that run hooks.
_HOOK_RUNNERS: Final = frozenset({run_converter.__code__, run_replacement.__code__})


def _comes_from_hook(error: Exception) -> bool:
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in _HOOK_RUNNERS:
            return True
        traceback = traceback.tb_next
    return False


def _is_pickling_error(error: Exception) -> bool:
    return any(base.__name__ == "PicklingError" for base in type(error).__mro__)


def _advice(serializer: SerializerBase, roots: dict[str, Any]) -> str:
    """What to append to the text of an error."""
    search = _Search(serializer)
    for name, value in roots.items():
        if search.fails(value):
            path, culprit = search.descend(name, value)
            kind = type(culprit)
            if len(path) > _PATH_SHOWN:
                path = path[:_PATH_SHOWN] + "..."
            return (
                f" (at {path}: an object of class {kind.__module__}.{kind.__qualname__};"
                f" serializer {type(serializer).__name__}. Convert it to plain values before,"
                " or tell how with SerializerBase.register_class_to_dict, or choose another serializer)"
            )
    return ""


class _Search:
    """Encodes parts of a graph until the smallest part is found that fails."""

    def __init__(self, serializer: SerializerBase) -> None:
        self._serializer = serializer
        self._end = time.thread_time() + _PATIENCE

    def fails(self, value: Any) -> bool:
        """Whether encoding ``value`` fails."""
        try:
            self._serializer._encode(value)
        except Exception:
            return True
        return False

    def descend(self, path: str, value: Any) -> tuple[str, Any]:
        """Path and value of the smallest failing part of ``value``, which fails."""
        seen: set[int] = set()
        while id(value) not in seen:
            seen.add(id(value))
            for step, part in _parts(value):
                if time.thread_time() > self._end:
                    return path, value
                if self.fails(part):
                    path += step
                    value = part
                    break
            else:
                return path, value
        return path, value  # it refers to itself


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value, each with what to append to the path."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"[{_shown(key)}]", part
        for key in value:
            yield f" key {_shown(key)}", key
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif isinstance(value, (set, frozenset)):
        for part in value:
            yield f" element {_shown(part)}", part
    else:
        if isinstance(value, BaseException):
            yield ".args", value.args
        try:
            fields = vars(value)
        except TypeError:
            return
        for name, part in dict(fields).items():
            yield f".{name}", part


def _shown(key: Any) -> str:
    try:
        text = repr(key)
    except Exception:
        text = f"<{type(key).__name__}>"
    text = text.encode("ascii", "backslashreplace").decode("ascii")
    return text if len(text) <= _KEY_SHOWN else text[:_KEY_SHOWN] + "..."
