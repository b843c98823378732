"""How a client gets a connection: connect, offer the handshake, read the server's answer ([WIRE-60] to [WIRE-68])."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyrolite import compression, lazily
from pyrolite.core.wirelog import log_frame, log_sent
from pyrolite.errors import CommunicationError, MessageTooLargeError, ProtocolError, SecurityError, SerializeError
from pyrolite.net import sockets
from pyrolite.net.connection import SocketConnection
from pyrolite.net.tlssockets import is_tls
from pyrolite.serializers import get_serializer_by_id
from pyrolite.wire import v48
from pyrolite.wire.message import (
    FLAGS_COMPRESSED,
    FLAGS_META_ON_CONNECT,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
    Buffer,
    Frame,
    Payload,
)

if TYPE_CHECKING:
    import ssl

    from pyrolite.configuration import Configuration
    from pyrolite.core.uri import URI
    from pyrolite.net import tls
    from pyrolite.serializers import SerializerBase
else:
    tls = lazily.module("pyrolite.net.tls", globals(), "tls")

__all__ = ["Offer", "Welcome", "open_connection"]

log: logging.Logger = logging.getLogger("pyrolite.core")

_ANSWERS: Final = frozenset((MSG_CONNECTOK, MSG_CONNECTFAIL))
_MARSHAL: Final = 3


class Offer(NamedTuple):
    """What the client says first."""

    handshake: Any
    want_metadata: bool
    serializer: SerializerBase
    seq: int
    annotations: Mapping[str, Buffer]
    hmac_key: bytes | None


class Welcome(NamedTuple):
    """What a server that accepts the client has answered; ``metadata`` is None when it was not asked for."""

    connection: SocketConnection
    response: Any
    metadata: dict[str, Any] | None
    annotations: dict[str, bytes]


def open_connection(
    uri: URI, offer: Offer, timeout: float | None, config: Configuration, limit: float | None = None
) -> Welcome:
    """Connect to the server of ``uri``, which has to be a resolved one, and do the handshake.

    ``timeout`` is in seconds, None for no limit; it stays set on the connection. ``limit`` (seconds) makes the attempt
    end earlier.

    Raises:
        CommunicationError: nobody answers there, or the server refuses; other errors come as its cause.
    """
    location = uri.sockname or (uri.host, uri.port)
    shown = uri.sockname or repr(location)
    patience = config.CONNECT_TIMEOUT or timeout
    if limit is not None:
        patience = min(patience or limit, limit)
    try:
        sock = sockets.createSocket(
            connect=location,
            reuseaddr=config.SOCK_REUSE,
            timeout=patience,
            nodelay=config.SOCK_NODELAY,
            sslContext=_tls_context(config, unix=uri.sockname is not None),
            prefer_ip_version=config.PREFER_IP_VERSION,
        )
        connection = SocketConnection(sock, uri.object, peer_address=location)
        try:
            answer = _exchange(connection, uri, offer, config)
            connection.setTimeout(timeout)
            welcome = _read_answer(connection, answer, offer, shown, config)
        except BaseException:
            connection.close()
            raise
    except CommunicationError:
        raise
    except Exception as error:
        raise CommunicationError(f"cannot connect to {shown}: {error}") from error
    if log.isEnabledFor(logging.DEBUG):
        encrypted = "SSL" if is_tls(sock) else "unencrypted"
        log.debug("connected to %s - %s - %s", uri, connection.family(), encrypted, extra={"peer": location})
    return welcome


def _tls_context(config: Configuration, *, unix: bool) -> ssl.SSLContext | None:
    if not config.SSL:
        return None
    return tls.client_context(config, unixsocket=unix)


def _exchange(connection: SocketConnection, uri: URI, offer: Offer, config: Configuration) -> Frame:
    """Send the CONNECT message, and wait for the answer."""
    data: dict[str, Any] = {"handshake": offer.handshake}
    flags = 0
    if offer.want_metadata:
        data["object"] = uri.object
        flags = FLAGS_META_ON_CONNECT
    payload: Payload = offer.serializer.dumps(data)
    if config.COMPRESSION:
        payload, compressed = compression.compress(payload)
        if compressed:
            flags |= FLAGS_COMPRESSED
    parts = v48.encode(
        MSG_CONNECT,
        flags,
        offer.seq,
        offer.serializer.serializer_id,
        payload,
        offer.annotations,
        offer.hmac_key,
        config.MAX_MESSAGE_SIZE,
    )
    if config.LOGWIRE:
        log_sent("proxy connect sending", parts)
    connection.send_parts(*parts)
    answer = connection.receive_frame(_ANSWERS, offer.hmac_key, config.MAX_MESSAGE_SIZE)
    if config.LOGWIRE:
        log_frame("proxy connect response received", answer)
    return answer


def _read_answer(
    connection: SocketConnection, answer: Frame, offer: Offer, shown: str, config: Configuration
) -> Welcome:
    if answer.type == MSG_CONNECTFAIL:
        reason = _refusal(answer, offer, config) if len(answer.data) else "?"
        raise CommunicationError(f"connection to {shown} rejected: {reason}")
    if answer.serializer_id != offer.serializer.serializer_id:
        # decoding it with what the server chose would let it run code here ([SEC-21])
        raise SerializeError(f"invalid serializer in handshake response: {answer.serializer_id}")
    response = _decode(answer, config)
    metadata = None
    if answer.flags & FLAGS_META_ON_CONNECT:
        if not (isinstance(response, dict) and "handshake" in response and isinstance(response.get("meta"), dict)):
            raise ProtocolError("malformed handshake response")
        metadata, response = response["meta"], response["handshake"]
    return Welcome(connection, response, metadata, answer.annotations)


def _refusal(answer: Frame, offer: Offer, config: Configuration) -> str:
    """The server's reason; only the own serializer and marshal texts are decoded ([SEC-21], [HRD-2])."""
    if answer.serializer_id not in (offer.serializer.serializer_id, _MARSHAL):
        raise SerializeError(f"invalid serializer in handshake response: {answer.serializer_id}")
    reason = _decode(answer, config)
    if not isinstance(reason, str):
        raise SerializeError("the server's reason for refusing the connection is no text")
    return reason


def _decode(answer: Frame, config: Configuration) -> Any:
    data = answer.data
    try:
        if answer.flags & FLAGS_COMPRESSED:
            data = compression.decompress(data, config.MAX_MESSAGE_SIZE)
        return get_serializer_by_id(answer.serializer_id).loads(data)
    except (MessageTooLargeError, SerializeError):
        raise
    except SecurityError as error:
        raise ProtocolError(f"malformed handshake response: {error}") from error
