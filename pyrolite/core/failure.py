"""How a failed request is told to the caller: the exception, its traceback, what stands in when these cannot travel."""

from __future__ import annotations

import contextlib
import dis
import logging
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from pyrolite.errors import PyroError
from pyrolite.tracebacks import formatTraceback

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration
    from pyrolite.serializers import SerializerBase

__all__ = ["ExceptionEncoder", "is_interrupt", "remote_form", "safe_text"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: Attributes of pyrolite's errors that tell of a connection of this side.
_OWN_NOTES: Final = ("pyroMsg", "partialData")
_RAISE_OPCODE: Final = dis.opmap["RAISE_VARARGS"]


def safe_text(value: Any) -> str:
    """``str(value)`` in characters that every serializer can encode, whatever its class does ([HRD-23])."""
    try:
        text = str(value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        text = f"<{type(value).__name__} whose text is not available>"
    return str.encode(text, "ascii", "backslashreplace").decode("ascii")


def is_interrupt(error: BaseException) -> bool:
    """Whether ``error`` is a real Ctrl-C, which ends the program, and not a KeyboardInterrupt that a method raised."""
    if not issubclass(type(error), KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    traceback = _traceback_of(error)
    if traceback is None:
        return True
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    # a signal handler interrupts any instruction; code that raises does so with a raise statement
    return traceback.tb_frame.f_code.co_code[traceback.tb_lasti] != _RAISE_OPCODE


def remote_form(error: BaseException) -> BaseException:
    """What the caller is told: the error itself, or a PyroError for those that would end the caller ([SER-56])."""
    if issubclass(type(error), Exception):  # not isinstance, which asks the exception itself
        return error
    told = PyroError(f"remote {type(error).__name__}: {safe_text(error)}")
    told.__traceback__ = _traceback_of(error)
    return told


def _traceback_of(error: BaseException) -> TracebackType | None:
    """Its traceback, past what its class makes of attribute access."""
    traceback: TracebackType | None = BaseException.__getattribute__(error, "__traceback__")
    return traceback


class ExceptionEncoder:
    """Serializes exceptions for the caller."""

    def __init__(self, config: Configuration) -> None:
        self._config = config

    def attach_traceback(self, error: BaseException) -> list[str]:
        """Set ``_pyroTraceback``, the formatted traceback, on ``error`` where it takes attributes ([ERR-10]).

        What the library noted in it about a connection of this side is taken off: that is nobody else's business, and
        unknown to other implementations.
        """
        lines: list[str] = []
        if self._config.SEND_TRACEBACKS:
            try:
                lines = formatTraceback(
                    type(error), error, _traceback_of(error), detailed=self._config.DETAILED_TRACEBACK
                )
            except BaseException as why:  # formatting runs the exception's own code
                if is_interrupt(why):
                    raise
                lines = [f"{type(error).__name__}: the traceback could not be formatted\n"]
        if issubclass(type(error), PyroError):
            _forget(error, *_OWN_NOTES)
        with contextlib.suppress(Exception):  # an exception class may refuse attributes in any way it likes
            error._pyroTraceback = lines  # type: ignore[attr-defined]
        return lines

    def payloads(self, error: BaseException, serializer: SerializerBase) -> Iterator[bytes]:
        """Serialized forms of ``error``, from the complete one to shorter and safer ones; the last always exists.

        The second and all further ones are for the case that the form before is too large for a message ([HRD-25]).
        """
        error = remote_form(error)
        lines = self.attach_traceback(error)
        complete, why = _attempt(error, serializer)
        if complete is not None:
            yield complete
            _forget(error, "_pyroTraceback")
            shorter, _ = _attempt(error, serializer)
            if shorter is not None and len(shorter) < len(complete):
                yield shorter
        else:
            yield self._encode(_stand_in(error, why, lines), serializer)
        yield self._encode(PyroError(f"{safe_text(type(error).__name__)}: {safe_text(error)[:200]}"), serializer)
        yield serializer.dumps(PyroError("error"))

    def substitute(self, error: BaseException, serializer: SerializerBase) -> BaseException:
        """``error``, or what stands in for it when it cannot be serialized ([WIRE-81])."""
        payload, why = _attempt(error, serializer)
        if payload is not None:
            return error
        lines: list[str] = []
        with contextlib.suppress(Exception):
            lines = list(getattr(error, "_pyroTraceback", None) or [])
        return _stand_in(error, why, lines)

    def _encode(self, error: PyroError, serializer: SerializerBase) -> bytes:
        payload, why = _attempt(error, serializer)
        if payload is not None:
            return payload
        log.error("an exception could not be serialized in any form", exc_info=why)
        return serializer.dumps(PyroError("an error occurred that could not be described"))


def _attempt(error: BaseException, serializer: SerializerBase) -> tuple[bytes | None, BaseException | None]:
    """The serialized form of ``error``, or why there is none: code of the exception's class may do anything."""
    try:
        return serializer.dumps(error), None
    except BaseException as why:
        if is_interrupt(why):
            raise
        return None, why


def _forget(error: BaseException, *names: str) -> None:
    """Take attributes off the exception, if they are there and can be taken off."""
    with contextlib.suppress(Exception):
        for name in names:
            vars(error).pop(name, None)


def _stand_in(error: BaseException, why: BaseException | None, lines: list[str]) -> PyroError:
    stand_in = PyroError(
        f"Error serializing exception: {safe_text(why)}. "
        f"Original exception: {safe_text(type(error))}: {safe_text(error)}"
    )
    stand_in._pyroTraceback = [safe_text(line) for line in lines]  # type: ignore[attr-defined]
    return stand_in
