"""The server's side of the handshake ([WIRE-61] to [WIRE-66], [DMN-40] to [DMN-43])."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from pyrolite import compression
from pyrolite.core.context import CallState, correlation_from, current_context
from pyrolite.core.failure import safe_text
from pyrolite.core.wirelog import log_frame, log_sent
from pyrolite.errors import (
    ConnectionClosedError,
    MessageTooLargeError,
    ProtocolError,
    SecurityError,
    SerializeError,
    TimeoutError,  # noqa: A004 - [ERR-2]
)
from pyrolite.serializers import get_serializer_by_id
from pyrolite.socketserver.interface import security_level
from pyrolite.tracebacks import is_interrupt
from pyrolite.wire import v48
from pyrolite.wire.message import (
    FLAGS_COMPRESSED,
    FLAGS_META_ON_CONNECT,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
    Frame,
    Payload,
)

if TYPE_CHECKING:
    from pyrolite.core.daemon import Daemon

__all__ = ["shake_hands"]

log: logging.Logger = logging.getLogger("pyrolite.core")

_CONNECT_ONLY: Final = frozenset((MSG_CONNECT,))
_MARSHAL: Final = 3


class _Refused(Exception):
    """The connection is refused before anything of the client's data was looked at."""


def shake_hands(daemon: Daemon, connection: Any, denied_reason: str | None) -> bool:
    """Read the CONNECT message and answer it; False: the connection is to be closed.

    ``denied_reason`` is why the client is refused whatever it says, or None. The call context is that of the CONNECT
    while hooks of the daemon run.
    """
    before = current_context._state
    current_context._state = CallState()  # nothing of an earlier connection may get into a refusal ([WIRE-29])
    try:
        try:
            frame = daemon._pyroReceive(connection, _CONNECT_ONLY)
        except (ConnectionClosedError, TimeoutError, MessageTooLargeError) as error:  # no answer ([WIRE-64])
            log.debug("no handshake from %r: %s", getattr(connection, "peer_address", None), error)
            return False
        except (ProtocolError, SecurityError) as error:
            _send(daemon, connection, _refuse(daemon, connection, error, 0, _MARSHAL))
            return False
        return _answer(daemon, connection, frame, denied_reason)
    finally:
        current_context._state = before


def _answer(daemon: Daemon, connection: Any, frame: Frame, denied_reason: str | None) -> bool:
    """Answer the CONNECT message; True when the client is accepted."""
    if daemon._pyroConfig.LOGWIRE:
        log_frame("daemon handshake received", frame)
    state = current_context._state = CallState.of_request(connection, frame)
    serializer_id = _MARSHAL
    try:
        if denied_reason is not None:
            raise _Refused(denied_reason)
        if frame.serializer_id not in daemon._pyroDispatcher.serializers:
            raise SerializeError(f"message used serializer that is not accepted: {frame.serializer_id}")
        state.correlation = correlation_from(frame.annotations)
        serializer_id = frame.serializer_id
        parts = _accept(daemon, connection, frame)
    except BaseException as error:
        if is_interrupt(error):
            raise
        _send(daemon, connection, _refuse(daemon, connection, error, frame.seq, serializer_id))
        return False
    return _send(daemon, connection, parts)


def _accept(daemon: Daemon, connection: Any, frame: Frame) -> tuple[bytes, Payload]:
    """The CONNECTOK message, after the daemon has had a look at the client's data."""
    config = daemon._pyroConfig
    serializer = daemon._pyroDispatcher.serializers[frame.serializer_id]
    handshake, object_id = _read_offer(daemon, frame)
    response = daemon.validateHandshake(connection, handshake)
    flags = 0
    if frame.flags & FLAGS_META_ON_CONNECT:
        metadata = daemon._pyroInterface().get_metadata(object_id, as_lists=True)
        response = {"handshake": response, "meta": metadata}
        flags = FLAGS_META_ON_CONNECT
    payload: Payload = serializer.dumps(response)
    if config.COMPRESSION:
        payload, compressed = compression.compress(payload)
        if compressed:
            flags |= FLAGS_COMPRESSED
    annotations = daemon._pyroDispatcher.annotations(current_context._state)
    return v48.encode(
        MSG_CONNECTOK,
        flags,
        frame.seq,
        frame.serializer_id,
        payload,
        annotations,
        daemon._pyroHmacKey,
        config.MAX_MESSAGE_SIZE,
    )


def _read_offer(daemon: Daemon, frame: Frame) -> tuple[Any, str]:
    """The client's handshake data, and the id of the object whose metadata it wants ([WIRE-65])."""
    data = frame.data
    try:
        if frame.flags & FLAGS_COMPRESSED:
            data = compression.decompress(data, daemon._pyroConfig.MAX_MESSAGE_SIZE)
        offer = get_serializer_by_id(frame.serializer_id).loads(data)
        object_id = offer["object"] if frame.flags & FLAGS_META_ON_CONNECT else ""
        if not isinstance(object_id, str):
            raise TypeError("the object id is no text")
        return offer["handshake"], object_id
    except MessageTooLargeError:
        raise
    except (SecurityError, SerializeError, LookupError, TypeError) as error:
        cause = error.__cause__ if isinstance(error, SerializeError) and error.__cause__ else error
        raise _Refused(f"invalid handshake: {type(cause).__name__}: {error}") from error


def _refuse(
    daemon: Daemon, connection: Any, error: BaseException, seq: int, serializer_id: int
) -> tuple[bytes, Payload]:
    """The CONNECTFAIL message with the text of ``error`` ([WIRE-63])."""
    peer = getattr(connection, "peer_address", None)
    level = security_level(daemon) if issubclass(type(error), SecurityError) else logging.DEBUG
    log.log(level, "handshake with %r refused: %r", peer, error, extra={"peer": peer})
    daemon._pyroRefused(error)
    serializer = get_serializer_by_id(serializer_id)
    try:
        payload = serializer.dumps(str(error))
    except BaseException as why:  # of the exception's own code
        if is_interrupt(why):
            raise
        payload = serializer.dumps(safe_text(error))
    annotations = daemon._pyroDispatcher.safe_annotations(current_context._state)
    return v48.encode(MSG_CONNECTFAIL, 0, seq, serializer_id, payload, annotations, daemon._pyroHmacKey)


def _send(daemon: Daemon, connection: Any, parts: tuple[bytes, Payload]) -> bool:
    """Send the answer; False when the client is gone already."""
    if daemon._pyroConfig.LOGWIRE:
        log_sent("daemon handshake response", parts)
    try:
        daemon._pyroSend(connection, parts)
    except (ConnectionClosedError, TimeoutError) as error:
        log.debug("could not answer the handshake: %s", error)
        return False
    return True
