"""How a failed request is told to the caller: the exception, its traceback, what stands in when these cannot travel."""

from __future__ import annotations

import contextlib
import dis
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyrolite.errors import MessageTooLargeError, PyroError
from pyrolite.tracebacks import formatTraceback

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration
    from pyrolite.serializers import SerializerBase

__all__ = ["ExceptionEncoder", "is_interrupt", "remote_form", "safe_text"]

log = logging.getLogger("pyrolite.core")

_RAISE_OPCODE = dis.opmap["RAISE_VARARGS"]


def safe_text(value: Any) -> str:
    """``str(value)`` in characters that every serializer can encode, whatever its class does ([HRD-23])."""
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__} whose text is not available>"
    return text.encode("ascii", "backslashreplace").decode("ascii")


def is_interrupt(error: BaseException) -> bool:
    """Whether ``error`` is a real Ctrl-C, which ends the program, and not a KeyboardInterrupt that a method raised."""
    if not isinstance(error, KeyboardInterrupt) or threading.current_thread() is not threading.main_thread():
        return False
    traceback = error.__traceback__
    if traceback is None:
        return True
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    # a signal handler interrupts any instruction; code that raises does so with a raise statement
    return traceback.tb_frame.f_code.co_code[traceback.tb_lasti] != _RAISE_OPCODE


def remote_form(error: BaseException) -> BaseException:
    """What the caller is told: the error itself, or a PyroError for those that would end the caller ([SER-56])."""
    if isinstance(error, Exception):
        return error
    told = PyroError(f"remote {type(error).__name__}: {safe_text(error)}")
    told.__traceback__ = error.__traceback__
    return told


class ExceptionEncoder:
    """Serializes exceptions for the caller."""

    def __init__(self, config: Configuration) -> None:
        self._config = config

    def attach_traceback(self, error: BaseException) -> list[str]:
        """Set ``_pyroTraceback``, the formatted traceback, on ``error`` where it takes attributes ([ERR-10])."""
        lines: list[str] = []
        if self._config.SEND_TRACEBACKS:
            try:
                lines = formatTraceback(
                    type(error), error, error.__traceback__, detailed=self._config.DETAILED_TRACEBACK
                )
            except Exception:  # formatting runs the exception's own code
                lines = [f"{type(error).__name__}: the traceback could not be formatted\n"]
        with contextlib.suppress(Exception):  # an exception class may refuse attributes in any way it likes
            error._pyroTraceback = lines  # type: ignore[attr-defined]
        return lines

    def payloads(self, error: BaseException, serializer: SerializerBase) -> Iterator[bytes]:
        """Serialized forms of ``error``, from the complete one to shorter and safer ones; the last always exists."""
        error = remote_form(error)
        lines = self.attach_traceback(error)
        try:
            yield serializer.dumps(error)
            why: Exception | None = None
        except Exception as failure:
            why = failure
        if why is not None:
            yield self._encode(self._stand_in(error, why, lines), serializer)
        # only reached when the forms above were too large for a message
        if isinstance(error, MessageTooLargeError):
            yield self._encode(MessageTooLargeError(safe_text(error)), serializer)
        yield self._encode(PyroError(f"{type(error).__name__}: {safe_text(error)[:200]}"), serializer)
        yield serializer.dumps(PyroError("error"))

    def substitute(self, error: BaseException, serializer: SerializerBase) -> BaseException:
        """``error``, or what stands in for it when it cannot be serialized ([WIRE-81])."""
        try:
            serializer.dumps(error)
        except Exception as why:
            return self._stand_in(error, why, list(getattr(error, "_pyroTraceback", None) or []))
        return error

    def _stand_in(self, error: BaseException, why: Exception, lines: list[str]) -> PyroError:
        stand_in = PyroError(
            f"Error serializing exception: {safe_text(why)}. Original exception: {type(error)!r}: {safe_text(error)}"
        )
        stand_in._pyroTraceback = [safe_text(line) for line in lines]  # type: ignore[attr-defined]
        return stand_in

    def _encode(self, error: PyroError, serializer: SerializerBase) -> bytes:
        try:
            return serializer.dumps(error)
        except Exception:
            log.exception("an exception could not be serialized in any form")
            return serializer.dumps(PyroError("an error occurred that could not be described"))
