"""How a failed request is told to the caller: the exception, its traceback, what stands in when these cannot travel.

And to the log: what cannot be formatted must not make an entry fail, and with it who writes it.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pyrolite.errors import PyroError
from pyrolite.tracebacks import formatTraceback, is_interrupt, traceback_of

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration
    from pyrolite.serializers import SerializerBase

__all__ = ["ExceptionEncoder", "make_describable", "remote_form", "safe_text"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: Attributes of pyrolite's errors that tell of a connection of this side.
_OWN_NOTES: Final = ("pyroMsg", "partialData")
#: The name of a class, whatever its metaclass makes of attribute access.
_NAME: Final = vars(type)["__name__"].__get__
#: Which loggers may be given exceptions and objects of users.
_LOGGERS: Final = tuple(
    logging.getLogger("pyrolite").getChild(name)
    for name in ("core", "threadpoolserver", "threadpool", "multiplexserver", "existingconnectionserver", "futures")
)


def safe_text(value: Any) -> str:
    """``str(value)`` in characters that every serializer can encode, whatever its class does ([HRD-23])."""
    try:
        text = str(value)
    except BaseException as error:
        if is_interrupt(error):
            raise
        text = f"<{_NAME(type(value))} whose text is not available>"
    return str.encode(text, "ascii", "backslashreplace").decode("ascii")


def remote_form(error: BaseException) -> BaseException:
    """What the caller is told: the error itself, or a PyroError for those that would end the caller ([SER-56])."""
    if issubclass(type(error), Exception):  # not isinstance, which asks the exception itself
        return error
    told = PyroError(f"remote {_NAME(type(error))}: {safe_text(error)}")
    told.__traceback__ = traceback_of(error)
    return told


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
                    type(error), error, traceback_of(error), detailed=self._config.DETAILED_TRACEBACK
                )
            except BaseException as why:  # formatting runs the exception's own code
                if is_interrupt(why):
                    raise
                lines = [f"{_NAME(type(error))}: the traceback could not be formatted\n"]
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
        yield self._encode(PyroError(f"{safe_text(_NAME(type(error)))}: {safe_text(error)[:200]}"), serializer)
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


# ---- the log


def make_describable(record: logging.LogRecord) -> bool:
    """Replace what cannot be formatted in an entry of the log; a filter, which lets all entries pass ([HRD-22]).

    Handlers take care of exceptions of class Exception, at the most; the others would end the thread.
    """
    try:
        record.getMessage()
    except BaseException as why:
        if is_interrupt(why):
            raise
        arguments = record.args.values() if isinstance(record.args, dict) else record.args or ()
        record.msg = f"{record.msg} ({', '.join(map(safe_text, arguments))})"
        record.args = ()
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        try:
            traceback.format_exception(*record.exc_info)
        except BaseException as why:
            if is_interrupt(why):
                raise
            frames = traceback.format_tb(traceback_of(error))
            record.exc_info = None
            record.exc_text = f"{''.join(frames)}{_NAME(type(error))}: {safe_text(error)}"
    return True


for _logger in _LOGGERS:
    _logger.addFilter(make_describable)
