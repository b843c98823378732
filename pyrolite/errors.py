"""All exceptions of pyrolite, shared by clients and servers ([OV-21], [ERR-1]). Imports nothing.

::

    PyroError                       anything that pyrolite itself reports
     |- CommunicationError          the two ends could not talk
     |   |- ConnectionClosedError   the connection was lost or closed
     |   |- TimeoutError            the other end did not react in time (not the builtin of that name)
     |   |- ProtocolError           the other end sent something that is not the protocol
     |       |- MessageTooLargeError   a message exceeds MAX_MESSAGE_SIZE
     |       |- SerializeError         data could not be serialized or deserialized
     |           |- RemoteError        a remote exception whose class is unknown here
     |- NamingError                 the name server could not be reached, or has no such name
     |- DaemonError                 a registration in a daemon failed, or names an unknown object
     |- SecurityError               refused for security reasons
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CommunicationError",
    "ConnectionClosedError",
    "DaemonError",
    "MessageTooLargeError",
    "NamingError",
    "ProtocolError",
    "PyroError",
    "RemoteError",
    "SecurityError",
    "SerializeError",
    "TimeoutError",
]


class PyroError(Exception):
    """Base class of every error that pyrolite itself reports."""


class CommunicationError(PyroError):
    """The two ends could not talk to each other."""


class ConnectionClosedError(CommunicationError):
    """The connection was refused, lost, or closed by the other end.

    ``partialData`` holds the bytes that had arrived when a read was cut short ([SOC-15]).
    """

    partialData: bytes = b""


class TimeoutError(CommunicationError):  # noqa: A001 - Pyro4's public name; deliberately not the builtin ([ERR-2])
    """The other end did not react within the configured timeout."""

    partialData: bytes = b""


class ProtocolError(CommunicationError):
    """The other end sent something that is not valid in the protocol.

    ``pyroMsg`` is the message (at least its header) that was being read, if it got that far ([ERR-4]).
    """

    pyroMsg: Any = None


class MessageTooLargeError(ProtocolError):
    """A message exceeds MAX_MESSAGE_SIZE."""


class SerializeError(ProtocolError):
    """Data could not be serialized or deserialized."""


class RemoteError(SerializeError):
    """A remote exception whose class is unknown on this side ([BYD-40]).

    ``class_name`` is the remote class, ``remote_args`` are its arguments and ``remote_traceback`` is the formatted
    traceback of the other end (list of lines, possibly empty).
    """

    class_name: str = ""
    remote_args: tuple[Any, ...] = ()
    remote_traceback: list[str] = []  # noqa: RUF012 - an instance sets its own list


class NamingError(PyroError):
    """The name server could not be reached, or a name is unknown or taken."""


class DaemonError(PyroError):
    """A registration in a daemon failed, or an object is unknown to it."""


class SecurityError(PyroError):
    """Something was refused for security reasons.

    ``pyroMsg`` is the message concerned, if there was one.
    """

    pyroMsg: Any = None
