"""Exceptions as dicts and back ([SER-50] to [SER-56]): which classes may be rebuilt, and how."""

from __future__ import annotations

import binascii
import builtins
import contextlib
import importlib
from typing import Any, Final

from pyrolite import errors
from pyrolite.errors import PyroError, RemoteError, SecurityError, SerializeError
from pyrolite.tracebacks import LocalNote

__all__ = ["all_exceptions", "exception_to_dict", "find_class", "make_exception", "stand_in"]


def _exception_classes(module: Any) -> dict[str, type[BaseException]]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }


_BUILTIN_CLASSES: Final = _exception_classes(builtins)
_LIBRARY_CLASSES: Final = _exception_classes(errors)
#: The exception classes that may be named without a module ([SER-52] b).
all_exceptions: Final[dict[str, type[BaseException]]] = {**_BUILTIN_CLASSES, **_LIBRARY_CLASSES}

#: Where library errors are looked up, by the part of the name before the last dot ([SER-42]).
_LIBRARY_MODULES: Final = ("Pyro4.errors", "pyrolite.errors")
_BUILTIN_MODULES: Final = ("builtins", "exceptions")
#: Exceptions of the standard library that may be rebuilt ([SER-53]): names per module that defines them.
_STANDARD_CLASSES: Final[dict[str, frozenset[str]]] = {
    "struct": frozenset({"error"}),
    "zlib": frozenset({"error"}),
    "json.decoder": frozenset({"JSONDecodeError"}),
    "subprocess": frozenset({"SubprocessError", "CalledProcessError", "TimeoutExpired"}),
    "socket": frozenset({"gaierror", "herror", "timeout"}),
    "ssl": frozenset(
        {
            "SSLError",
            "SSLZeroReturnError",
            "SSLWantReadError",
            "SSLWantWriteError",
            "SSLSyscallError",
            "SSLEOFError",
            "SSLCertVerificationError",
            "CertificateError",
        }
    ),
    "asyncio": frozenset({"CancelledError", "TimeoutError"}),
    "asyncio.exceptions": frozenset({"CancelledError", "TimeoutError"}),
    "concurrent.futures": frozenset({"CancelledError", "TimeoutError"}),
    "concurrent.futures._base": frozenset({"CancelledError", "TimeoutError"}),
}
#: Longest description of a remote exception's arguments in the text of what stands in for it.
_ARGUMENTS_SHOWN: Final = 1000


# ---- exception to dict


def wire_name(cls: type[BaseException]) -> str:
    """The name that stands for an exception class on the wire."""
    if cls is RemoteError:  # unknown to Pyro4
        cls = SerializeError
    if _LIBRARY_CLASSES.get(cls.__name__) is cls:
        return f"Pyro4.errors.{cls.__name__}"
    return f"{cls.__module__}.{cls.__name__}"


def exception_to_dict(error: BaseException) -> dict[str, Any]:
    """The dict that stands for ``error`` ([SER-50], [SER-51])."""
    attributes = without_local_notes(vars(error))
    if isinstance(error, OSError):
        for name in ("filename", "filename2"):
            value = getattr(error, name, None)
            if value is not None:
                attributes.setdefault(name, value)
    return {
        "__class__": wire_name(type(error)),
        "__exception__": True,
        "args": error.args,
        "attributes": attributes,
    }


def without_local_notes(attributes: dict[str, Any]) -> dict[str, Any]:
    """A copy of an exception's attributes, without the notes that do not travel ([BYD-41])."""
    attributes = dict(attributes)
    notes = attributes.get("__notes__")
    if isinstance(notes, (list, tuple)):
        travelling = [note for note in notes if not isinstance(note, LocalNote)]
        if travelling:
            attributes["__notes__"] = travelling
        else:
            del attributes["__notes__"]
    return attributes


# ---- dict to exception


def find_class(name: str, *, flagged: bool) -> type[BaseException] | None:
    """The exception class of that wire name, None when there is none that may be rebuilt ([SER-52], [SER-53]).

    Args:
        name: like ``builtins.ValueError``.
        flagged: the dict says that it is an exception; without that only library errors are known.
    """
    module, _, plain_name = name.rpartition(".")
    if module in _LIBRARY_MODULES:
        return _LIBRARY_CLASSES.get(plain_name)
    if not flagged:
        return None
    if not module:
        return all_exceptions.get(plain_name)
    if module in _BUILTIN_MODULES:
        return _BUILTIN_CLASSES.get(plain_name)
    if plain_name in _STANDARD_CLASSES.get(module, ()) or (module == "sqlite3" and plain_name.endswith("Error")):
        # from a fixed list of the standard library, loaded when it is needed ([BYD-60])
        with contextlib.suppress(ImportError):
            found = getattr(importlib.import_module(module), plain_name, None)
            if isinstance(found, type) and issubclass(found, BaseException):
                return found
    return None


def make_exception(cls: type[BaseException], data: dict[str, Any]) -> BaseException:
    """The exception object of class ``cls`` from its dict ([SER-52], [SER-53], [SER-56])."""
    args = tuple(data["args"])
    error = _construct(cls, args)
    attributes = data.get("attributes")
    if attributes:
        for name, value in attributes.items():
            if name == "__notes__":
                _set_notes(error, value)
            elif _may_set(cls, name):
                # classes may have attributes that cannot be set; the others are worth having
                with contextlib.suppress(Exception):
                    setattr(error, name, value)
    try:
        str(error)
    except Exception:  # made without its constructor, it may lack what its text is made of
        name = data.get("__class__", cls.__name__)
        return stand_in(SerializeError(f"malformed exception of class {name}"), str(name), data)
    return error


def _construct(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    if issubclass(cls, _GROUP):
        args = (args[0], [_as_exception(nested) for nested in args[1]], *args[2:])
    for candidate in (args, tuple([_bytes_again(arg) for arg in args])):
        try:
            error = cls(*candidate)
        except Exception:  # noqa: S112 - the arguments of an exception need not be those of its constructor
            continue
        # JSONDecodeError, for instance, is made from more than it keeps
        if error.args != candidate and not isinstance(error, OSError):
            error.args = candidate
        return error
    error = cls.__new__(cls)
    error.args = args
    return error


def _bytes_again(value: Any) -> Any:
    """Bytes from the dict that serpent and json write for them; anything else unchanged."""
    if isinstance(value, dict) and value.keys() == {"data", "encoding"} and value["encoding"] == "base64":
        return binascii.a2b_base64(value["data"])
    return value


def _as_exception(value: Any) -> BaseException:
    return value if isinstance(value, BaseException) else RemoteError(f"unsupported nested exception: {value!r}")


#: ``BaseExceptionGroup`` of Python 3.11+.
_GROUP: Final[tuple[type[BaseException], ...]] = tuple(
    cls for name, cls in _BUILTIN_CLASSES.items() if name == "BaseExceptionGroup"
)


def _may_set(cls: type[BaseException], name: Any) -> bool:
    """Whether an attribute of that name may be set on a rebuilt exception ([SER-56])."""
    if not isinstance(name, str) or name in {"args", "add_note"}:  # Python 3.10 has no add_note yet
        return False
    return not name.startswith("__") and not callable(getattr(cls, name, None))


def _set_notes(error: BaseException, notes: Any) -> None:
    """Set the notes that can be shown ([SER-58])."""
    if isinstance(notes, (list, tuple)):
        error.__notes__ = [note for note in notes if isinstance(note, str)]  # type: ignore[attr-defined, unused-ignore]


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # an int with very many digits
        return f"<{type(value).__name__}>"


def stand_in(error: PyroError, name: str, data: dict[str, Any]) -> PyroError:
    """What is raised instead of an exception whose class is not known or refused ([SER-55], [BYD-40]).

    Args:
        error: what is wrong with it: a SecurityError, or a SerializeError, which becomes a RemoteError.
        name: the name of the class.
        data: the dict of the exception, with inner class dicts recreated.
    """
    args = data.get("args")
    remote_args = tuple(args) if isinstance(args, (list, tuple)) else ()
    shown = ", ".join(map(_shown, remote_args))
    if len(shown) > _ARGUMENTS_SHOWN:
        shown = shown[:_ARGUMENTS_SHOWN] + "..."
    text = f"{error.args[0]} (remote exception: {shown})"
    attributes = data.get("attributes")
    traceback = attributes.get("_pyroTraceback") if isinstance(attributes, dict) else None
    lines = [line for line in traceback if isinstance(line, str)] if isinstance(traceback, (list, tuple)) else []
    if isinstance(error, SecurityError):
        told: PyroError = SecurityError(text)
    else:
        told = remote = RemoteError(text)
        remote.class_name = name
        remote.remote_args = remote_args
        remote.remote_traceback = lines
    if lines:
        told._pyroTraceback = list(lines)  # type: ignore[attr-defined]
    return told
