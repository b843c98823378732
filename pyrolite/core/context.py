"""The call context: what is known about the call that the current thread makes or serves ([CTX-1])."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily
from pyrolite.errors import PyroError
from pyrolite.serializers import _serializers
from pyrolite.wire.message import ANNOTATION_CORRELATION, Frame

if TYPE_CHECKING:
    import random
    import uuid

    from pyrolite.net.connection import SocketConnection
else:
    random = lazily.module("random", globals())
    uuid = lazily.module("uuid", globals())

__all__ = ["CallState", "correlation_from", "current_context", "set_aside"]

#: version and variant bits of a random UUID (RFC 4122)
_UUID4_CLEAR: Final = ~((0xF000 << 64) | (0xC000 << 48))
_UUID4_SET: Final = (4 << 76) | (0x8000 << 48)


def correlation_from(annotations: dict[str, bytes]) -> bytes:
    """The correlation id in a message's annotations, else the 16 bytes of a new random UUID ([WIRE-29]).

    The ids are for log files and no secrets: the process's random generator is enough, and saves a system call.

    Raises:
        ValueError: the annotation is not 16 bytes long.
    """
    value = annotations.get(ANNOTATION_CORRELATION)
    if value is None:
        return ((random.getrandbits(128) & _UUID4_CLEAR) | _UUID4_SET).to_bytes(16, "big")
    if len(value) != 16:
        raise ValueError("bytes is not a 16-char string")
    return value


#: Stands for the request when there is none.
_NO_REQUEST: Final = Frame(0, 0, 0, 0, {}, b"")


class CallState:
    """The fields of the context, for one thread or one request.

    One is made for every request, so it sets as little as it can: what is not set has its value from the class.
    """

    client: Any = None
    #: the request; sequence number, flags and serializer id are looked up in it
    frame: Frame = _NO_REQUEST
    #: 16 bytes; the UUID object is made when somebody looks
    correlation: bytes | None = None
    #: set by the program in the place of the connection's
    address: Any = None
    annotations: dict[str, Any]
    response_annotations: dict[str, Any]
    # what came with the request is readable but never sent on by nested calls ([PRX-46])
    received: dict[str, Any] | None = None
    in_request = False
    # set when a remote method makes a call itself: what came with its answer, and what the method had set before
    nested_response: dict[str, Any] | None = None
    own_response: dict[str, Any] | None = None

    def __init__(self, correlation: bytes | None = None) -> None:
        self.correlation = correlation
        self.annotations = {}
        self.response_annotations = {}

    @classmethod
    def of_request(cls, client: Any, frame: Frame, correlation: bytes | None = None) -> CallState:
        """The state for serving the message ``frame`` of the connection ``client``."""
        state = cls.__new__(cls)
        state.client = client
        state.frame = frame
        state.correlation = correlation
        state.annotations = annotations = frame[4]
        state.response_annotations = {}
        if annotations:
            state.received = annotations.copy()
        state.in_request = True
        return state

    def copy(self) -> CallState:
        """An independent copy for another thread."""
        other = CallState.__new__(CallState)
        other.__dict__.update(self.__dict__)
        other.annotations = dict(self.annotations)
        other.response_annotations = dict(self.response_annotations)
        return other

    def take_annotations(self) -> dict[str, Any]:
        """The annotations to send with a call made now."""
        annotations = self.annotations
        received = self.received
        if received:
            return {key: value for key, value in annotations.items() if received.get(key) is not value}
        return annotations

    def for_outgoing(self) -> CallState:
        """A state for another thread that makes a call on behalf of this one ([CTX-7])."""
        state = CallState(self.correlation)
        state.annotations = dict(self.take_annotations())
        return state

    def forget_sent(self) -> None:
        """One-shot use: what was sent with a call is not sent with the next ([WIRE-24])."""
        if self.received is None:
            self.annotations = {}
        else:
            received = self.received
            self.annotations = {k: v for k, v in self.annotations.items() if received.get(k) is v}

    def receive_response(self, annotations: dict[str, Any]) -> None:
        """The annotations of the answer to a call made here; in a remote method they are not sent on ([DMN-59])."""
        if self.in_request:
            self.own_response = self.responses()
            self.nested_response = dict(annotations)
        self.response_annotations = annotations

    def responses(self) -> dict[str, Any]:
        """What the method wants to be sent with the answer to its caller."""
        nested = self.nested_response
        if nested is None:
            return self.response_annotations
        changed = {k: v for k, v in self.response_annotations.items() if nested.get(k) is not v}
        return {**(self.own_response or {}), **changed}


class _CallContext(threading.local):
    """The thread's view of its current call.

    In a client, ``annotations`` and ``correlation_id`` are sent with the next call and ``response_annotations`` are
    those of the last answer. In a running remote method, the fields describe the request, and
    ``response_annotations`` are sent with its answer.

    Thread safety: every thread has its own values.
    """

    def __init__(self) -> None:
        self._state = CallState()

    @property
    def client(self) -> SocketConnection | None:
        """The connection that the request came from."""
        client: SocketConnection | None = self._state.client
        return client

    @client.setter
    def client(self, value: SocketConnection | None) -> None:
        self._state.client = value

    @property
    def client_sock_addr(self) -> Any:
        """Address of the client: a tuple, text or bytes for Unix sockets, None when unknown."""
        state = self._state
        return getattr(state.client, "peer_address", None) if state.address is None else state.address

    @client_sock_addr.setter
    def client_sock_addr(self, value: Any) -> None:
        self._state.address = value

    @property
    def seq(self) -> int:
        """Sequence number of the request."""
        return self._state.frame.seq

    @seq.setter
    def seq(self, value: int) -> None:
        self._state.frame = self._state.frame._replace(seq=value)

    @property
    def msg_flags(self) -> int:
        """Message flags of the request."""
        return self._state.frame.flags

    @msg_flags.setter
    def msg_flags(self, value: int) -> None:
        self._state.frame = self._state.frame._replace(flags=value)

    @property
    def serializer_id(self) -> int:
        """Serializer id of the request."""
        return self._state.frame.serializer_id

    @serializer_id.setter
    def serializer_id(self, value: int) -> None:
        self._state.frame = self._state.frame._replace(serializer_id=value)

    @property
    def annotations(self) -> dict[str, Any]:
        """Annotations to send with the next call; in a remote method, those of the request."""
        return self._state.annotations

    @annotations.setter
    def annotations(self, value: dict[str, Any]) -> None:
        state = self._state
        state.annotations = value
        state.received = None  # all of it is the method's own choice ([PRX-46])

    @property
    def response_annotations(self) -> dict[str, Any]:
        """Annotations of the last answer; in a remote method, those to send with its answer."""
        return self._state.response_annotations

    @response_annotations.setter
    def response_annotations(self, value: dict[str, Any]) -> None:
        state = self._state
        state.response_annotations = value
        state.own_response = state.nested_response = None  # all of it is the method's own choice ([DMN-59])

    @property
    def correlation_id(self) -> uuid.UUID | None:
        """Id that related calls share; None when there is none."""
        correlation = self._state.correlation
        return None if correlation is None else uuid.UUID(bytes=correlation)

    @correlation_id.setter
    def correlation_id(self, value: uuid.UUID | None) -> None:
        if value is not None and not isinstance(value, uuid.UUID):
            raise TypeError("correlation_id must be a uuid.UUID or None")
        self._state.correlation = None if value is None else value.bytes

    @property
    def protocol(self) -> int:
        """Protocol version of the request, 0 outside of requests."""
        return 48 if self._state.in_request else 0

    @property
    def serializer(self) -> str | None:
        """Name of the serializer of the request, None outside of requests."""
        wanted = self._state.frame.serializer_id
        return next((name for name, found in _serializers.items() if found.serializer_id == wanted), None)

    def to_global(self) -> dict[str, Any]:
        """All fields as a dict, to be installed in another thread with `from_global` ([CTX-4])."""
        return {name: getattr(self, name) for name in _FIELDS}

    def from_global(self, values: dict[str, Any]) -> None:
        """Install what `to_global` gave; missing fields get their initial value."""
        self._state = CallState()
        for name in _FIELDS:
            if name in values:
                setattr(self, name, values[name])

    def track_resource(self, resource: Any) -> None:
        """Have ``resource.close()`` called when the client's connection ends ([CTX-5]).

        Raises:
            PyroError: no request is being served.
        """
        if self.client is None:
            raise PyroError("cannot track resource on a connectionless call")
        self.client.tracked_resources.add(resource)

    def untrack_resource(self, resource: Any) -> None:
        """Undo `track_resource`; unknown resources are ignored.

        Raises:
            PyroError: no request is being served.
        """
        if self.client is None:
            raise PyroError("cannot untrack resource on a connectionless call")
        self.client.tracked_resources.discard(resource)


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """For calls that the library makes itself: they use up no annotations and leave none behind ([WIRE-26])."""
    state = current_context._state
    current_context._state = CallState(state.correlation)
    try:
        yield
    finally:
        current_context._state = state


_FIELDS: Final = (
    "client",
    "client_sock_addr",
    "seq",
    "msg_flags",
    "serializer_id",
    "annotations",
    "response_annotations",
    "correlation_id",
)

current_context: _CallContext = _CallContext()
