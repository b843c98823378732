"""One request message in, one answer message out: decode, authorise, find object and member, call, encode.

No socket is touched here. `Dispatcher.answer` is the whole walk of a request; the steps below it are in its order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from pyrolite import compression
from pyrolite.core import blob
from pyrolite.core.context import CallState, correlation_from, current_context
from pyrolite.core.exposure import (
    find_method,
    get_exposed_property_value,
    set_exposed_property_value,
)
from pyrolite.core.failure import ExceptionEncoder, remote_form
from pyrolite.core.futures import _ExceptionWrapper
from pyrolite.core.message import Message
from pyrolite.errors import DaemonError, MessageTooLargeError, ProtocolError, SecurityError, SerializeError
from pyrolite.serializers import get_serializer_by_id
from pyrolite.tracebacks import is_interrupt
from pyrolite.wire import v48
from pyrolite.wire.message import (
    ANNOTATION_CORRELATION,
    ANNOTATION_STREAM,
    FLAGS_BATCH,
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_ITEMSTREAMRESULT,
    FLAGS_KEEPSERIALIZED,
    FLAGS_ONEWAY,
    MSG_RESULT,
    RESERVED_ANNOTATIONS,
    Buffer,
    Frame,
    Payload,
)

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration
    from pyrolite.core.instances import InstanceTable
    from pyrolite.core.onewaypool import OnewayPool
    from pyrolite.core.streams import StreamTable
    from pyrolite.net.connection import SocketConnection
    from pyrolite.serializers import SerializerBase

__all__ = ["Answer", "Dispatcher"]

log: logging.Logger = logging.getLogger("pyrolite.core")

_SPECIAL_PAYLOAD: Final = FLAGS_KEEPSERIALIZED | FLAGS_COMPRESSED
#: What positional and keyword arguments arrive as ([WIRE-70]).
_SEQUENCES: Final = frozenset({tuple, list})
_KEYWORDS: Final = frozenset({dict, type(None)})

#: Types of results that are no iterators, checked before the slow abstract base class.
_PLAIN_RESULTS: Final = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})


# Plain tuples and not named ones: they are made for every request, and named ones take four times as long.

#: What to send for a request, header and payload of a message (None: nothing); and what to raise then, or None.
Answer: TypeAlias = "tuple[tuple[bytes, Payload] | None, BaseException | None]"
#: A decoded call: object id, method, positional and keyword arguments.
Request: TypeAlias = "tuple[str, str, Any, Any]"

_NO_ANSWER: Final[Answer] = (None, None)


class AnnotationSource(Protocol):
    """Who has something to add to every answer: the daemon."""

    def annotations(self) -> dict[str, Any]:
        """Ids of 4 ASCII characters to bytes."""


class Dispatcher:
    """Answers the requests of one daemon.

    Args:
        objects: object id to registered object or class; looked at, never changed.
        instances: makes the instances of registered classes.
        streams: keeps the iterators that are sent item by item.
        oneway: runs the calls that nobody waits for.
        serializers: accepted serializers by id.
        owner: the daemon, whose overridable ``annotations()`` is asked for every answer.
        config: where the items come from that take effect at each use.

    Thread safety: `answer` may run in many threads at once.
    """

    def __init__(
        self,
        *,
        objects: Mapping[str, Any],
        instances: InstanceTable,
        streams: StreamTable,
        oneway: OnewayPool,
        serializers: Mapping[int, SerializerBase],
        owner: AnnotationSource,
        config: Configuration,
    ) -> None:
        self.objects = objects
        self.instances = instances
        self.streams = streams
        self.oneway = oneway
        self.serializers = serializers
        self.owner = owner
        self.config = config
        self.hmac_key: bytes | None = None
        self.failures: ExceptionEncoder = ExceptionEncoder(config)

    # ---- the walk of a request

    def answer(self, frame: Frame, connection: SocketConnection) -> Answer:
        """Serve the INVOKE message ``frame`` that came from ``connection``; never raises for what a request does.

        The call context is that of the request while its method runs, and afterwards what it was before ([CTX-3]).
        """
        context = current_context
        before = context._state
        serializer = self.serializers.get(frame[3])
        state = context._state = CallState.of_request(connection, frame)
        method: Any = None
        try:
            state.correlation = correlation_from(frame[4])
            if serializer is None:
                raise SerializeError(f"message used serializer that is not accepted: {frame.serializer_id}")
            flags = frame[1]
            if flags & _SPECIAL_PAYLOAD:
                object_id, name, vargs, kwargs = self._decode_special(frame, serializer)
            else:
                object_id, name, vargs, kwargs = _decode(serializer, frame[5])
            target = self.objects.get(object_id)
            if target is None or isinstance(target, type):
                target = self._make_target(target, object_id, connection)
            if flags & FLAGS_BATCH:
                result: Any = self._run_batch(target, vargs)
            elif name in _ATTRIBUTE_ACCESS:
                result = self._access_attribute(target, name, vargs)
            else:
                method = find_method(target, name, self.config.REQUIRE_EXPOSE)
                if flags & FLAGS_ONEWAY:
                    self._call_oneway(method, vargs, kwargs)
                    return _NO_ANSWER
                result = method(*vargs, **kwargs) if kwargs else method(*vargs)
                if type(result) not in _PLAIN_RESULTS and isinstance(result, Iterator):
                    return self._stream_answer(frame, result, connection, serializer)
            if flags & FLAGS_ONEWAY:
                return _NO_ANSWER
            return self._encode_result(frame, result, serializer, state), None
        except BaseException as error:
            return self._failure_answer(frame, error, serializer, method)
        finally:
            context._state = before

    def _decode_special(self, frame: Frame, serializer: SerializerBase) -> Request:
        """The call in a payload that is compressed or a blob ([BLOB-11], [BLOB-13])."""
        if frame.flags & FLAGS_KEEPSERIALIZED:
            if frame.flags & FLAGS_BATCH:
                raise ProtocolError("malformed blob annotation")
            target = blob.read_info(frame)
            argument = blob.SerializedBlob(target.info, Message.from_frame(frame), is_blob=True)
            return target.object_id, target.method, (argument,), {}
        try:
            data = compression.decompress(frame.data, self.config.MAX_MESSAGE_SIZE)
        except MessageTooLargeError:
            raise
        except SerializeError as error:
            raise SerializeError(f"cannot deserialize request: {error}") from error
        return _decode(serializer, data)

    def _make_target(self, registered: Any, object_id: str, connection: SocketConnection) -> Any:
        """The instance to call of a registered class; ``registered`` is what stands in the table, None for nothing."""
        if registered is None:
            log.debug("unknown object requested: %r", object_id)
            raise DaemonError("unknown object")
        return self.instances.instance_for(registered, connection)

    def _access_attribute(self, target: Any, kind: str, vargs: Any) -> Any:
        """Remote read or write of a property ([WIRE-95])."""
        access, count = _ATTRIBUTE_ACCESS[kind]
        if len(vargs) != count or not isinstance(vargs[0], str):
            raise ProtocolError("malformed request")
        return access(target, *vargs, only_exposed=self.config.REQUIRE_EXPOSE)

    # ---- batches and oneway calls

    def _run_batch(self, target: Any, vargs: Any) -> list[Any]:
        """Results of the calls of a batch; the last one may be a wrapped exception ([WIRE-91], [BAT-8])."""
        calls = []
        for entry in vargs:
            if not (isinstance(entry, (tuple, list)) and len(entry) == 3 and type(entry[0]) is str):
                raise ProtocolError("malformed request")
            calls.append(entry)
        results: list[Any] = []
        limit, size = self.config.MAX_MESSAGE_SIZE, 0
        only_exposed = self.config.REQUIRE_EXPOSE
        for name, args, kwargs in calls:
            try:
                result = find_method(target, name, only_exposed)(*args, **(kwargs or {}))
                if type(result) not in _PLAIN_RESULTS and isinstance(result, Iterator):
                    raise TypeError(f"result of {name!r} is an iterator, which cannot be part of a batch")
                if limit:
                    size += _rough_size(result)
                    if size > limit:
                        raise MessageTooLargeError(f"max message size exceeded ({size} where max={limit})")
            except BaseException as error:
                if is_interrupt(error):
                    raise
                results.append(self._wrapped(error))
                break
            results.append(result)
        return results

    def _wrapped(self, error: BaseException) -> _ExceptionWrapper:
        error = remote_form(error)
        self.failures.attach_traceback(error)
        return _ExceptionWrapper(error)

    def _call_oneway(self, method: Callable[..., Any], vargs: Any, kwargs: Any) -> None:
        """Call without an answer, in a thread of the oneway pool or right here ([DMN-63], [DMN-64])."""
        kwargs = kwargs or {}
        if self.config.ONEWAY_THREADED:
            state = current_context._state.copy()
            self.oneway.submit(lambda: _run_oneway(method, vargs, kwargs, state))
            if self.oneway.overfull():
                state.client.hold = self.oneway.overfull
        else:
            _run_oneway(method, vargs, kwargs, current_context._state)

    # ---- answers

    def _encode_result(
        self, frame: Frame, result: Any, serializer: SerializerBase, state: CallState
    ) -> tuple[bytes, Payload]:
        """The RESULT message of a call that succeeded ([WIRE-73])."""
        if type(result) is blob.SerializedBlob:
            raise SerializeError("a SerializedBlob cannot be returned")
        payload: Payload
        _, flags, seq, serializer_id, _, _ = frame
        flags &= FLAGS_BATCH
        if flags:
            payload = self._encode_batch(result, serializer)
        else:
            payload = serializer.payload(result)
        config = self.config
        if config.COMPRESSION:
            payload, compressed = compression.compress(payload)
            if compressed:
                flags |= FLAGS_COMPRESSED
        extra = self.owner.annotations()
        limit = config.MAX_MESSAGE_SIZE
        if not state.response_annotations and not extra and state.own_response is None:
            # the usual case: the correlation id is the only annotation
            correlation: bytes = state.correlation  # type: ignore[assignment]
            chunks = v48.CORRELATION_HEAD + correlation
            if self.hmac_key:
                chunks += v48.signature(self.hmac_key, payload, correlation)
            return v48.pack(MSG_RESULT, flags, seq, serializer_id, len(payload), chunks, limit), payload
        annotations = self.annotations(state, extra)
        return v48.encode(MSG_RESULT, flags, seq, serializer_id, payload, annotations, self.hmac_key, limit)

    def _encode_batch(self, results: list[Any], serializer: SerializerBase) -> Buffer:
        try:
            return serializer.dumps(results)
        except BaseException as error:
            # most likely the wrapped exception at the end: replace that one and keep the results ([BAT-11])
            if is_interrupt(error) or not results or not isinstance(results[-1], _ExceptionWrapper):
                raise
            substitute = self.failures.substitute(results[-1].exception, serializer)
            return serializer.dumps([*results[:-1], _ExceptionWrapper(substitute)])

    def annotations(self, state: CallState, extra: Mapping[str, Any] | None = None) -> dict[str, Buffer]:
        """Annotations of an answer: the method's, the correlation id, then the daemon's ([WIRE-27])."""
        annotations = {k: v for k, v in state.responses().items() if k not in RESERVED_ANNOTATIONS}
        if state.correlation is not None:
            annotations[ANNOTATION_CORRELATION] = state.correlation
        if extra is None:
            extra = self.owner.annotations() or {}
        for key, value in extra.items():
            if key not in RESERVED_ANNOTATIONS:
                annotations[key] = value
        return annotations

    def safe_annotations(self, state: CallState) -> dict[str, Buffer]:
        """Annotations of an answer that tells of a failure; the daemon's, if its hook works ([WIRE-28], [HRD-21])."""
        annotations: dict[str, Buffer] = {}
        if state.correlation is not None:
            annotations[ANNOTATION_CORRELATION] = state.correlation
        try:
            extra = self.owner.annotations() or {}
            extra = {key: value for key, value in extra.items() if key not in RESERVED_ANNOTATIONS}
            v48.encode_annotations({**annotations, **extra})
        except BaseException as error:
            if is_interrupt(error):
                raise
            log.warning("the daemon's annotations() failed", exc_info=True)
            return annotations
        return {**annotations, **extra}

    def _stream_answer(
        self, frame: Frame, iterator: Iterator[Any], connection: SocketConnection, serializer: SerializerBase
    ) -> Answer:
        """The answer that starts an item stream ([STR-1], [STR-2])."""
        stream_id = self.streams.open(connection, iterator) if self.config.ITER_STREAMING else None
        try:
            return self._stream_marker(frame, stream_id, serializer), None
        except BaseException:
            if stream_id is not None:  # nobody is going to know of it
                self.streams.close(stream_id, connection)
            raise

    def _stream_marker(self, frame: Frame, stream_id: str | None, serializer: SerializerBase) -> tuple[bytes, Payload]:
        marker = ProtocolError("result of call is an iterator")
        marker._pyroTraceback = None  # type: ignore[attr-defined]
        annotations: dict[str, Buffer] = {}
        if stream_id is not None:
            annotations[ANNOTATION_STREAM] = stream_id.encode()
        extra = self.owner.annotations() or {}
        annotations.update({k: v for k, v in extra.items() if k not in RESERVED_ANNOTATIONS})
        return v48.encode(
            MSG_RESULT,
            FLAGS_EXCEPTION | FLAGS_ITEMSTREAMRESULT,
            frame.seq,
            frame.serializer_id,
            serializer.dumps(marker),
            annotations,
            self.hmac_key,
            self.config.MAX_MESSAGE_SIZE,
        )

    def _failure_answer(
        self, frame: Frame, error: BaseException, serializer: SerializerBase | None, method: Any
    ) -> Answer:
        """The answer for anything that went wrong, and whether the connection ends with it ([WIRE-80] to [WIRE-86])."""
        if is_interrupt(error):
            return None, error
        if getattr(method, "_pyroCallback", False) is True:
            log.warning("error in callback method: %r", error, exc_info=error)
        # what user code raises never ends the connection; a refused serializer does
        fatal = error if serializer is None else None
        if frame.flags & FLAGS_ONEWAY:
            log.debug("oneway request failed: %r", error, exc_info=error)
            return None, fatal
        parts = self.encode_failure(frame, error, serializer or _serializer_or_marshal(frame.serializer_id))
        return parts, fatal if parts is not None else error

    def encode_failure(
        self, frame: Frame, error: BaseException, serializer: SerializerBase
    ) -> tuple[bytes, Payload] | None:
        """The exception RESULT for ``error`` ([HRD-23], [HRD-25]); None when MAX_MESSAGE_SIZE is too small for any."""
        core_annotations: dict[str, Buffer] = {}
        if current_context._state.correlation is not None:
            core_annotations[ANNOTATION_CORRELATION] = current_context._state.correlation
        annotations = self.safe_annotations(current_context._state)
        limit = self.config.MAX_MESSAGE_SIZE
        for payload in self.failures.payloads(error, serializer):
            try:
                return v48.encode(
                    MSG_RESULT,
                    FLAGS_EXCEPTION,
                    frame.seq,
                    serializer.serializer_id,
                    payload,
                    annotations,
                    self.hmac_key,
                    limit,
                )
            except MessageTooLargeError:
                annotations = core_annotations
        return None


def _decode(serializer: SerializerBase, data: Payload) -> Request:
    """The call in a payload ([WIRE-70], [WIRE-74], [WIRE-86])."""
    try:
        request = serializer.loadsCall(data)
    except SerializeError as error:
        if error.__cause__ is not None and _decodes(serializer, data):  # but it is no call
            raise ProtocolError("malformed request") from error
        raise SerializeError(f"cannot deserialize request: {error}") from error
    object_id, name, vargs, kwargs = request
    if type(object_id) is str and type(name) is str and type(vargs) in _SEQUENCES and type(kwargs) in _KEYWORDS:
        return request
    raise ProtocolError("malformed request")


def _serializer_or_marshal(serializer_id: int) -> SerializerBase:
    """For refusals: encoding is harmless, also with a serializer that is not accepted ([WIRE-85])."""
    try:
        return get_serializer_by_id(serializer_id)
    except SerializeError:
        return get_serializer_by_id(3)


def _decodes(serializer: SerializerBase, data: Payload) -> bool:
    """Whether ``data`` is a value of any shape."""
    try:
        serializer.loads(data)
    except (SerializeError, SecurityError):
        return False
    return True


def _run_oneway(method: Callable[..., Any], vargs: Any, kwargs: Any, state: CallState) -> None:
    before = current_context._state
    current_context._state = state
    try:
        method(*vargs, **kwargs)
    except BaseException as error:
        log.warning("error in oneway call of %r: %s", getattr(method, "__name__", method), error, exc_info=True)
        if is_interrupt(error):
            raise
    finally:
        current_context._state = before


def _rough_size(value: Any) -> int:
    """A lower bound of the serialized size of a batch result, cheap to get ([HRD-8])."""
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return len(value) + sum(len(item) for item in value if isinstance(item, (str, bytes, bytearray)))
    return len(value) if isinstance(value, dict) else 1


_ATTRIBUTE_ACCESS: Final[dict[str, tuple[Callable[..., Any], int]]] = {
    "__getattr__": (get_exposed_property_value, 1),
    "__setattr__": (set_exposed_property_value, 2),
}
