"""Exceptions as text: the traceback that a server sends along, and how a client shows it ([ERR-10] to [ERR-16])."""

from __future__ import annotations

import builtins
import contextlib
import linecache
import opcode
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from pyrolite.configuration import config

__all__ = [
    "LocalNote",
    "add_remote_note",
    "excepthook",
    "formatTraceback",
    "getPyroTraceback",
    "is_interrupt",
    "traceback_of",
]

#: Longest text of one value in a detailed traceback, in characters ([ERR-15]).
VALUE_LIMIT: Final = 2000
#: Values with one of these in their names are not shown ([ERR-15]).
SECRETS: Final = ("hmac", "passwd", "password", "secret", "key")
_HIDDEN: Final = "<hidden>"

_HEAD: Final = "Traceback (most recent call last):\n"
_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"
_REMOTE_HEAD: Final = " +--- This exception occured remotely (Pyro) - Remote traceback:"
_REMOTE_LINE: Final = "\n | "
_REMOTE_END: Final = "\n +--- End of remote traceback\n"
_RULE: Final = "-" * 52 + "\n"

#: Exceptions that the traceback module says more about than their text.
_ELABORATE: Final[tuple[type[BaseException], ...]] = (
    SyntaxError,
    ImportError,
    getattr(builtins, "BaseExceptionGroup", SyntaxError),
)
#: As many frames of the same line the traceback module shows before it abbreviates, and where we leave it to it.
_REPEATED: Final = 3
_MANY_FRAMES: Final = 64
_RAISE_OPCODE: Final = opcode.opmap["RAISE_VARARGS"]

#: The text of frames that have been formatted before, by code object and position in it. An entry keeps its code alive
#: so that the id stays its own. With it 4 frames take 4 us; the traceback module takes 69 us (3.11) or 195 us (3.13).
_frame_texts: dict[tuple[int, int], tuple[CodeType, str]] = {}
_FRAME_TEXTS_MAX: Final = 1000


class LocalNote(str):
    """A note (PEP 678) on an exception that belongs to this process: it is not serialized with it ([BYD-41])."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """As a plain text: who unpickles it need not have this class."""
        return str, (str(self),)


def formatTraceback(
    ex_type: type[BaseException] | None = None,
    ex_value: BaseException | None = None,
    ex_tb: TracebackType | None = None,
    detailed: bool = False,
) -> list[str]:
    """The lines of a traceback as `traceback.format_exception` gives them; without arguments of the current exception.

    Args:
        ex_type: class of the exception.
        ex_value: the exception.
        ex_tb: its traceback.
        detailed: source line and values of the local variables of each frame instead ([ERR-13]); values with names that
            sound secret are hidden.

    Raises:
        TypeError: the only argument is an exception object.

    Thread safety: may be called from any thread.
    """
    ex_type, ex_value, ex_tb = _exception(ex_type, ex_value, ex_tb)
    if not detailed:
        return _plain(ex_value, ex_tb)
    try:
        return list(_detailed(ex_type, ex_value, ex_tb))
    except Exception as failure:
        return [
            _RULE,
            "Error building extended traceback!!! :\n",
            *traceback.format_exception(type(failure), failure, failure.__traceback__),
            _RULE,
            "Original exception follows:\n",
            *_plain(ex_value, ex_tb),
        ]


def getPyroTraceback(
    ex_type: type[BaseException] | None = None,
    ex_value: BaseException | None = None,
    ex_tb: TracebackType | None = None,
) -> list[str]:
    """The lines of the local traceback and, if the exception came from a server, of the one there ([ERR-11]).

    The arguments are those of `formatTraceback`, DETAILED_TRACEBACK tells whether it is a detailed one.

    Raises:
        TypeError: the only argument is an exception object.

    Thread safety: may be called from any thread.
    """
    ex_type, ex_value, ex_tb = _exception(ex_type, ex_value, ex_tb)
    remote = _remote_lines(ex_value)
    if config.DETAILED_TRACEBACK:
        lines = formatTraceback(ex_type, ex_value, ex_tb, detailed=True)
    elif remote:
        lines = _without_local_notes(ex_value, ex_tb)  # which say the same as what follows
    else:
        lines = _plain(ex_value, ex_tb)
    return lines + remote


def excepthook(ex_type: type[BaseException], ex_value: BaseException | None, ex_tb: TracebackType | None) -> None:
    """Write an exception with its remote traceback to ``sys.stderr``; to be used as ``sys.excepthook`` ([ERR-14])."""
    if sys.stderr is not None:
        sys.stderr.write("".join(getPyroTraceback(ex_type, ex_value, ex_tb)))


def add_remote_note(error: BaseException) -> None:
    """Show the remote traceback of ``error``, if it has one, as a note of it ([BYD-41]); may be repeated.

    Does nothing before Python 3.11, and for exceptions that take no notes.

    Thread safety: the exception must not be used by other threads meanwhile.
    """
    if sys.version_info >= (3, 11):
        lines = _remote_lines(error)
        if lines:
            with contextlib.suppress(Exception):  # an exception class may refuse attributes in any way it likes
                notes = getattr(error, "__notes__", None)
                if notes:
                    notes[:] = [note for note in notes if not isinstance(note, LocalNote)]
                error.add_note(LocalNote("".join(lines).rstrip("\n")))


def _exception(
    ex_type: type[BaseException] | None, ex_value: BaseException | None, ex_tb: TracebackType | None
) -> tuple[type[BaseException] | None, BaseException | None, TracebackType | None]:
    """The arguments of the functions above, checked and completed."""
    if ex_type is None:
        return sys.exc_info()
    if ex_value is None and ex_tb is None and not isinstance(ex_type, type):
        raise TypeError("invalid argument: ex_type should be an exception type, or just supply no arguments at all")
    return ex_type, ex_value, ex_tb


def _remote_lines(error: BaseException | None) -> list[str]:
    """What is shown of the traceback that came with ``error``; joined, it prints correctly."""
    remote: Any = getattr(error, "_pyroTraceback", None)
    if not remote:
        return []
    if isinstance(remote, str) or not isinstance(remote, Iterable):
        remote = [remote]
    lines = [_REMOTE_HEAD]
    for text in remote:
        for line in str(text).removesuffix("\n").split("\n"):
            lines += (_REMOTE_LINE, line)
    lines.append(_REMOTE_END)
    return lines


# ---- plain tracebacks


def _plain(error: BaseException | None, tb: TracebackType | None) -> list[str]:
    """What `traceback.format_exception` gives, in a fraction of its time for the usual exceptions."""
    lines = None if hasattr(sys, "tracebacklimit") else _fast(error, tb)
    if lines is None:
        lines = traceback.format_exception(None if error is None else type(error), error, tb)
    return lines


def _fast(error: BaseException | None, tb: TracebackType | None) -> list[str] | None:
    """None: it is something for the traceback module."""
    parts: list[list[str]] = []
    seen: set[int] = set()
    while True:
        if error is None or tb is None or id(error) in seen or not _is_plain(error):
            return None
        seen.add(id(error))
        frames = _frames(tb)
        if frames is None:
            return None
        parts.append([_HEAD, *frames, _final_line(error)])
        if error.__cause__ is not None:
            error, joint = error.__cause__, _CAUSE
        elif error.__context__ is not None and not error.__suppress_context__:
            error, joint = error.__context__, _CONTEXT
        else:
            break
        tb = error.__traceback__
        parts.append([joint])
    if len(parts) == 1:
        return parts[0]
    return [line for part in reversed(parts) for line in part]


def _is_plain(error: BaseException) -> bool:
    """Whether there is nothing to say about ``error`` but its class and text."""
    if isinstance(error, _ELABORATE) or getattr(error, "__notes__", None) is not None:
        return False
    # with a name, the traceback module may have a suggestion
    return not isinstance(error, (NameError, AttributeError)) or getattr(error, "name", None) is None


def _final_line(error: BaseException) -> str:
    cls = type(error)
    name = cls.__qualname__
    if cls.__module__ not in {"__main__", "builtins"}:
        name = f"{cls.__module__}.{name}"
    try:
        text = str(error)
    except Exception:
        text = "<exception str() failed>"
    return f"{name}: {text}\n" if text else f"{name}\n"


def _frames(tb: TracebackType | None) -> list[str] | None:
    lines: list[str] = []
    last: tuple[CodeType, int] | None = None
    repeated = 0
    while tb is not None:
        code = tb.tb_frame.f_code
        position = code, tb.tb_lineno
        repeated = repeated + 1 if position == last else 0
        if repeated >= _REPEATED or len(lines) >= _MANY_FRAMES:
            return None
        last = position
        known = _frame_texts.get((id(code), tb.tb_lasti))
        if known is not None and known[0] is code:
            lines.append(known[1])
        else:
            text = "".join(traceback.format_tb(tb, 1))
            if len(_frame_texts) >= _FRAME_TEXTS_MAX:
                _frame_texts.clear()
            _frame_texts[id(code), tb.tb_lasti] = code, text
            lines.append(text)
        tb = tb.tb_next
    return lines


def _without_local_notes(error: BaseException | None, tb: TracebackType | None) -> list[str]:
    if error is None or not any(isinstance(note, LocalNote) for note in getattr(error, "__notes__", None) or ()):
        return _plain(error, tb)
    formatter: Any = traceback.TracebackException(type(error), error, tb, compact=True)
    formatter.__notes__ = [note for note in formatter.__notes__ if not isinstance(note, LocalNote)]
    return list(formatter.format())


# ---- detailed tracebacks


def _detailed(
    ex_type: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
) -> Iterator[str]:
    summary = f" EXCEPTION {ex_type}: {error}\n"
    yield _RULE
    yield summary
    yield " Extended stacktrace follows (most recent call last)\n"
    first = True
    while tb is not None:
        yield _RULE
        yield from _source(tb.tb_frame, tb.tb_lineno)
        if not first:
            yield from _local_values(tb.tb_frame)
        first = False
        tb = tb.tb_next
    yield _RULE
    yield summary
    yield _RULE


def _source(frame: FrameType, number: int) -> Iterator[str]:
    code = frame.f_code
    name = code.co_name
    if "self" in frame.f_locals:
        name = f"{type(frame.f_locals['self']).__name__}.{name}"
    yield f'File "{code.co_filename}", line {number}, in {name}\n'
    yield "Source code:\n"
    linecache.checkcache(code.co_filename)
    yield f"    {linecache.getline(code.co_filename, number, frame.f_globals).strip()}\n"


def _local_values(frame: FrameType) -> Iterator[str]:
    code = frame.f_code
    names = {*code.co_varnames, *code.co_names, *code.co_cellvars, *code.co_freevars}
    values = dict(frame.f_locals)
    yield "Local values:\n"
    for name in sorted(names & values.keys()):
        yield f"    {name} = {_shown(name, values[name])}\n"
        if name == "self":
            attributes = getattr(values[name], "__dict__", None)
            if isinstance(attributes, dict):
                for attribute, value in list(attributes.items()):
                    yield f"        self.{attribute} = {_shown(str(attribute), value)}\n"


def _shown(name: str, value: Any) -> str:
    lower = name.lower()
    if any(secret in lower for secret in SECRETS):
        return _HIDDEN
    try:
        text = repr(value)
    except Exception:
        try:
            text = str(value)
        except Exception:
            return "<ERROR>"
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}..."


# ---- exceptions whose classes make something else of it


def is_interrupt(error: BaseException) -> bool:
    """Whether ``error`` is a real Ctrl-C, which ends the program, and not a KeyboardInterrupt that a method raised."""
    if not issubclass(type(error), KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    position = traceback_of(error)
    if position is None:
        return True
    while position.tb_next is not None:
        position = position.tb_next
    # a signal handler interrupts any instruction; code that raises does so with a raise statement
    return position.tb_frame.f_code.co_code[position.tb_lasti] != _RAISE_OPCODE


def traceback_of(error: BaseException) -> TracebackType | None:
    """Its traceback, past what its class makes of attribute access."""
    found: TracebackType | None = BaseException.__getattribute__(error, "__traceback__")
    return found
