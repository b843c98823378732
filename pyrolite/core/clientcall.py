"""One call of a client: the request goes out, the answer comes in, and what it means ([WIRE-122], [WIRE-123]).

The functions work for a proxy whose lock the caller holds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyrolite import compression
from pyrolite.core import blob
from pyrolite.core.context import CallState, current_context
from pyrolite.core.message import Message
from pyrolite.core.streamiterator import _StreamResultIterator
from pyrolite.core.wirelog import log_frame, log_sent
from pyrolite.errors import (
    ConnectionClosedError,
    MessageTooLargeError,
    ProtocolError,
    PyroError,
    RemoteError,
    SecurityError,
    SerializeError,
)
from pyrolite.serializers import get_serializer_by_id
from pyrolite.tracebacks import add_remote_note
from pyrolite.wire import v48
from pyrolite.wire.message import (
    ANNOTATION_BLOB_INFO,
    ANNOTATION_CORRELATION,
    ANNOTATION_STREAM,
    FLAGS_BATCH,
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_ITEMSTREAMRESULT,
    FLAGS_KEEPSERIALIZED,
    FLAGS_ONEWAY,
    MSG_INVOKE,
    MSG_RESULT,
    RESERVED_ANNOTATIONS,
    Frame,
    Payload,
)

if TYPE_CHECKING:
    from pyrolite.core.proxy import Proxy
    from pyrolite.net.connection import SocketConnection
    from pyrolite.serializers import SerializerBase

__all__ = ["RemoteFailure", "call_with_blob", "exchange", "outgoing_annotations"]

log: logging.Logger = logging.getLogger("pyrolite.core")

_RESULT_ONLY: Final = frozenset((MSG_RESULT,))
#: After reporting one of these, a server may hang up.
_OFTEN_THE_LAST: Final = (SerializeError, SecurityError, MessageTooLargeError)

_NO_STREAMING: Final = "result of call is an iterator, but the server is not configured to allow streaming"
#: Errors that tell of an answer that is well-formed all the same: the connection is kept ([WIRE-123]).
_HONEST: Final = ("unsupported serialized class", _NO_STREAMING)


class RemoteFailure:
    """An exception of the remote object, as the outcome of a call; the proxy raises it itself, for short tracebacks."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error: Exception = error


def exchange(  # noqa: C901, PLR0912, PLR0915 - the way of every call, in one piece to be quick
    proxy: Proxy,
    connection: SocketConnection,
    serializer: SerializerBase,
    flags: int,
    payload: Payload,
    blob_info: bytes | None = None,
) -> Any:
    """Send a request with the proxy's current sequence number, and return the result of the call.

    That is a `RemoteFailure` when the remote object has raised an exception.
    ``payload`` is the serialized call, ``blob_info`` the annotation of a blob.
    """
    if connection.eof and connection.keep_open:
        raise ConnectionClosedError("the connected socket is out of step after an earlier failure")
    own = proxy.__dict__
    config = own["_pyroConfig"]
    if config.COMPRESSION and blob_info is None:
        payload, compressed = compression.compress(payload)
        if compressed:
            flags |= FLAGS_COMPRESSED
    state = current_context._state
    # most programs override neither of the hooks for annotations, and their calls need not look at them
    extra = proxy._pyroAnnotations() if own["_pyroHooked"] else None
    hmac_key = own["_pyroHmacKeyValue"]
    limit = config.MAX_MESSAGE_SIZE
    serializer_id = serializer.serializer_id
    if extra or state.annotations or state.correlation is not None or blob_info is not None:
        head = _annotated_head(proxy, state, serializer_id, flags, payload, extra, blob_info)
    else:
        chunks = v48.signature(hmac_key, payload) if hmac_key else b""
        head = v48.pack(MSG_INVOKE, flags, own["_pyroSeq"], serializer_id, len(payload), chunks, limit)
    if config.LOGWIRE:
        log_sent("proxy wiredata sending", (head, payload))
    try:
        connection.send_parts(head, payload)
        if flags & FLAGS_ONEWAY:
            state.receive_response({})
            return None
        del payload, head  # while waiting for the answer, the request needs no memory
        frame = connection.receive_frame(_RESULT_ONLY, hmac_key, limit)
    except BaseException:
        # whatever comes later on this connection must not be taken for the answer to another call
        proxy._pyroFailed(connection)
        state.receive_response({})
        raise
    if config.LOGWIRE:
        log_frame("proxy wiredata received", frame)
    _, flags, seq, reply_serializer_id, annotations, data = frame
    if state.in_request:
        state.receive_response(annotations)
    else:
        state.response_annotations = annotations
    if seq != own["_pyroSeq"]:
        proxy._pyroFailed(connection)
        raise ProtocolError(f"invoke: reply sequence out of sync, got {seq} expected {own['_pyroSeq']}")
    if reply_serializer_id != serializer_id:
        proxy._pyroFailed(connection)
        raise SerializeError(f"invalid serializer in response: {reply_serializer_id}")
    if annotations and own["_pyroHooked"]:
        proxy._pyroResponseAnnotations(annotations, MSG_RESULT)
    if flags or own["_pyroRawWireResponse"]:
        return _special_result(proxy, connection, frame, serializer)
    try:
        return serializer.loads(data)
    except SerializeError as error:
        _drop_after_garbage(proxy, connection, error)
        raise


def _annotated_head(
    proxy: Proxy,
    state: CallState,
    serializer_id: int,
    flags: int,
    payload: Payload,
    extra: Mapping[str, Any] | None,
    blob_info: bytes | None,
) -> bytes:
    """Header and annotations of a request that has annotations."""
    annotations = outgoing_annotations(state, extra)
    if blob_info is not None:
        annotations[ANNOTATION_BLOB_INFO] = blob_info
    if state.annotations:  # also when they turn out to be invalid: the next call is to work again
        state.forget_sent()
    limit = proxy._pyroConfig.MAX_MESSAGE_SIZE
    head, _ = v48.encode(
        MSG_INVOKE, flags, proxy._pyroSeq, serializer_id, payload, annotations, proxy._pyroHmacKey, limit
    )
    return head


def outgoing_annotations(state: CallState, extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """The annotations of a request: the context's, the correlation id, then ``extra`` ones of the proxy ([WIRE-24])."""
    annotations = _without_reserved(state.take_annotations()) if state.annotations else {}
    if state.correlation is not None:
        annotations[ANNOTATION_CORRELATION] = state.correlation
    if extra:
        annotations.update(_without_reserved(extra))
    return annotations


_warned_about: set[str] = set()


def _without_reserved(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """The user's annotations; ids that the library needs itself are left out, with a warning once ([WIRE-23])."""
    if not RESERVED_ANNOTATIONS.isdisjoint(annotations):
        reserved = RESERVED_ANNOTATIONS.intersection(annotations)
        if not reserved <= _warned_about:
            _warned_about.update(reserved)
            log.warning("annotations with the reserved ids %s are ignored", ", ".join(sorted(reserved)))
        return {key: value for key, value in annotations.items() if key not in RESERVED_ANNOTATIONS}
    return dict(annotations)


def call_with_blob(
    proxy: Proxy,
    connection: SocketConnection,
    serializer: SerializerBase,
    flags: int,
    object_id: str,
    method: str,
    vargs: Any,
    kwargs: Any,
) -> Any:
    """A call whose argument is a blob: its payload is passed on as it is ([BLOB-10] to [BLOB-17])."""
    argument = blob.blob_argument(vargs, kwargs)
    if argument is None or flags & FLAGS_BATCH:
        raise SerializeError(blob.ONLY_ARGUMENT)
    info = blob.encode_info(blob.BlobTarget(argument.info, object_id, method))
    flags |= FLAGS_KEEPSERIALIZED
    payload: Payload
    message = argument.message
    if message is not None:
        # the receiver decodes with what the header says, so it has to be the serializer of the original message
        serializer, payload = get_serializer_by_id(message.serializer_id), message.data
        flags |= message.flags & FLAGS_COMPRESSED
    else:
        payload = serializer.dumpsCall(object_id, method, argument.deserialized(), {})
        if proxy._pyroConfig.COMPRESSION:
            payload, compressed = compression.compress(payload)
            if compressed:
                flags |= FLAGS_COMPRESSED
    return exchange(proxy, connection, serializer, flags, payload, info)


def _special_result(proxy: Proxy, connection: SocketConnection, frame: Frame, serializer: SerializerBase) -> Any:
    """The result of an answer that is more than a plain value."""
    flags, data = frame.flags, frame.data
    try:
        if proxy._pyroRawWireResponse:
            return Message.from_frame(frame).decompress_if_needed()
        if flags & FLAGS_ITEMSTREAMRESULT:
            return _StreamResultIterator(_stream_id(frame.annotations), proxy)
        if flags & FLAGS_COMPRESSED:
            data = compression.decompress(data, proxy._pyroConfig.MAX_MESSAGE_SIZE)
        result = serializer.loads(data)
    except ProtocolError as error:
        _drop_after_garbage(proxy, connection, error)
        raise
    if flags & FLAGS_EXCEPTION:
        return RemoteFailure(_reported(proxy, connection, result, frame.annotations))
    return result


def _drop_after_garbage(proxy: Proxy, connection: SocketConnection, error: ProtocolError) -> None:
    """End the connection when the answer was garbage, and not just what an honest server may send ([HRD-3])."""
    if not isinstance(error, RemoteError) and not str(error).startswith(_HONEST):
        proxy._pyroFailed(connection)


def _stream_id(annotations: Mapping[str, bytes]) -> str:
    stream_id = annotations.get(ANNOTATION_STREAM)
    if stream_id is None:
        raise ProtocolError(_NO_STREAMING)
    try:
        return bytes(stream_id).decode("ascii")
    except UnicodeDecodeError as error:
        raise ProtocolError("malformed stream id") from error


def _reported(proxy: Proxy, connection: SocketConnection, error: Any, annotations: Mapping[str, bytes]) -> Exception:
    """The exception to raise for what the server has reported."""
    if not isinstance(error, BaseException):
        proxy._pyroFailed(connection)
        raise ProtocolError("the server reported something as an exception that is none")
    if isinstance(error, _OFTEN_THE_LAST) and _server_hangs_up(error, annotations):
        proxy._pyroFailed(connection)
    if not isinstance(error, Exception):  # nobody may end this program from afar ([SER-56])
        told = PyroError(f"remote {type(error).__name__}: {error}")
        told._pyroTraceback = getattr(error, "_pyroTraceback", None)  # type: ignore[attr-defined]
        error = told
    if proxy._pyroConfig.REMOTE_TRACEBACK_NOTE:
        add_remote_note(error)
    reported: Exception = error
    return reported


def _server_hangs_up(error: BaseException, annotations: Mapping[str, bytes]) -> bool:
    """Whether the server closes the connection after reporting ``error``.

    Pyro4 does so, and its exception results never carry a correlation id; pyrolite only does it after refusing a
    serializer, or a request by its size, which it tells without a correlation id too ([WIRE-123], [WIRE-28], [HRD-6]).
    """
    return ANNOTATION_CORRELATION not in annotations or str(error).startswith(
        "message used serializer that is not accepted"
    )
