"""A connection without a socket: what is received was put in beforehand, what is sent is collected ([OV-37])."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from types import TracebackType
from typing import Any

from pyrolite.core.message import Message
from pyrolite.errors import ConnectionClosedError
from pyrolite.pieces import Pieces
from pyrolite.wire.framing import read_frame
from pyrolite.wire.message import Buffer, Frame, Payload

__all__ = ["MemoryConnection"]


class MemoryConnection:
    """Stands in for a `SocketConnection` in ``Message.recv``, ``Daemon._handshake`` and ``Daemon.handleRequest``.

    It has no ``sock`` and hence no peer address.

    Args:
        incoming: the bytes that will be received; more can be added with `feed`.
        objectId: the object that a proxy would talk to.

    Thread safety: none.
    """

    keep_open = False
    eof = False
    peer_address: Any = None
    timeout: float | None = None

    def __init__(self, incoming: Buffer = b"", objectId: str | None = None) -> None:
        self.objectId = objectId
        self.closed: bool = False
        #: everything that was sent and not yet taken by `take_messages`
        self.sent: bytearray = bytearray()
        self.pyroInstances: dict[type, Any] = {}
        self.tracked_resources: weakref.WeakSet[Any] = weakref.WeakSet()
        self._incoming = bytearray(incoming)

    def feed(self, data: Buffer | Message) -> None:
        """Add bytes, or a whole message, to what will be received."""
        self._incoming += data.to_bytes() if isinstance(data, Message) else data

    @property
    def buffered(self) -> int:
        """Number of bytes not received yet."""
        return len(self._incoming)

    def recv(self, size: int) -> bytes:
        """Exactly ``size`` bytes.

        Raises:
            ConnectionClosedError: fewer are left (they are in ``partialData``), or the connection is closed.
        """
        data = bytes(self._incoming[:size])
        if self.closed or len(data) < size:
            error = ConnectionClosedError("receiving: not enough data")
            error.partialData = data
            raise error
        del self._incoming[:size]
        return data

    def receive_frame(
        self, types: Collection[int] | None = None, hmac_key: bytes | None = None, max_size: int = 0
    ) -> Frame:
        """The next message.

        Raises:
            ConnectionClosedError: it is not complete.
            ProtocolError, MessageTooLargeError, SecurityError: it is not acceptable.
        """
        return read_frame(self.recv, types, hmac_key, max_size)

    def send(self, data: Buffer) -> None:
        """Collect ``data`` in ``sent``.

        Raises:
            ConnectionClosedError: the connection is closed.
        """
        if self.closed:
            raise ConnectionClosedError("sending: connection lost: closed")
        self.sent += data

    def send_parts(self, head: Buffer, payload: Payload) -> None:
        """Collect both parts in ``sent``; raises as `send`."""
        self.send(head)
        self.send(bytes(payload) if type(payload) is Pieces else payload)

    def take_messages(self, hmac_key: bytes | None = None) -> list[Message]:
        """The messages sent since the last time, which are then forgotten.

        Raises:
            ProtocolError, SecurityError, ConnectionClosedError: the collected bytes are not whole valid messages.
        """
        received = MemoryConnection(self.sent)
        messages = []
        while received.buffered:
            messages.append(Message.recv(received, hmac_key=hmac_key))
        self.sent.clear()
        return messages

    def close(self) -> None:
        """Refuse further traffic, close tracked resources and forget instances; may be repeated."""
        self.closed = True
        resources, self.tracked_resources = self.tracked_resources, weakref.WeakSet()
        for resource in list(resources):
            resource.close()
        self.pyroInstances = {}

    def fileno(self) -> int:
        """Always -1: there is no descriptor."""
        return -1

    def family(self) -> str:
        """Always ``???``: there is no socket."""
        return "???"

    def getpeercert(self) -> None:
        """Always None: there is no TLS."""

    def __enter__(self) -> MemoryConnection:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__}; {state}; {len(self._incoming)} bytes to receive, {len(self.sent)} sent>"
