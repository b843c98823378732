"""The public class `Message`: a protocol 48 message that can send and receive itself ([WIRE-130], [WIRE-131]).

The library itself works with `pyrolite.wire`; this is the form in which programs and tools build, read and keep
messages.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pyrolite import compression, lazily
from pyrolite.configuration import config
from pyrolite.errors import MessageTooLargeError, ProtocolError, SecurityError
from pyrolite.pieces import Pieces, under_view
from pyrolite.serializers.large_bytes import FINDERS
from pyrolite.wire import body, v48
from pyrolite.wire.framing import read_frame
from pyrolite.wire.message import (
    ANNOTATION_HMAC,
    FLAGS_COMPRESSED,
    MSG_PING,
    SERIALIZER_NONE,
    Buffer,
    Frame,
    too_large,
)

if TYPE_CHECKING:
    import hmac as hmac_module
else:
    hmac_module = lazily.module("hmac", globals(), "hmac_module")

__all__ = ["Message", "secure_compare"]

log: logging.Logger = logging.getLogger("pyrolite.message")

body.FINDERS.update(FINDERS)


class Message:
    """One message of protocol 48.

    Args:
        msgType: one of the ``MSG_`` numbers.
        databytes: the payload.
        serializer_id: number of the payload's serializer.
        flags: ``FLAGS_`` bits.
        seq: sequence number, 0..65535.
        annotations: ids of 4 ASCII characters to bytes.
        hmac_key: sign the message with this key.

    Raises:
        MessageTooLargeError: annotations and payload exceed config.MAX_MESSAGE_SIZE.
        ProtocolError: an annotation is invalid.

    Thread safety: none.
    """

    header_format = v48.HEADER_FORMAT
    header_size = v48.HEADER_SIZE
    checksum_magic = v48.CHECKSUM_MAGIC

    def __init__(
        self,
        msgType: int,
        databytes: Buffer,
        serializer_id: int,
        flags: int,
        seq: int,
        annotations: Mapping[str, Buffer] | None = None,
        hmac_key: bytes | None = None,
    ) -> None:
        self.type = msgType
        self.flags: int = flags
        self.seq = seq
        self.data: Buffer = databytes
        self.data_size: int = len(databytes)
        self.serializer_id = serializer_id
        self.annotations: dict[str, Buffer] = dict(annotations or {})
        self.hmac_key: bytes | None = bytes(hmac_key) if hmac_key else None
        self.annotations_size: int = len(v48.encode_annotations(self.annotations))
        if self.hmac_key:
            self.annotations.pop(ANNOTATION_HMAC, None)
            self.annotations[ANNOTATION_HMAC] = self.hmac()
            self.annotations_size = len(v48.encode_annotations(self.annotations))
        size, limit = self.data_size + self.annotations_size, config.MAX_MESSAGE_SIZE
        if 0 < limit < size:
            raise MessageTooLargeError(too_large(size, limit))

    def __repr__(self) -> str:
        return (
            f"<{type(self).__module__}.{type(self).__name__} at {id(self):x}; type={self.type} flags={self.flags} "
            f"seq={self.seq} datasize={self.data_size} #ann={len(self.annotations)}>"
        )

    def to_bytes(self) -> bytes:
        """The bytes on the wire.

        Raises:
            ProtocolError: an annotation is invalid.
            ValueError: ``data_size`` is not between 0 and 2 GB.
        """
        return b"".join(self._parts())

    def _parts(self) -> tuple[bytes, Buffer]:
        chunks = v48.encode_annotations(self.annotations)
        head = v48.pack(self.type, self.flags, self.seq, self.serializer_id, self.data_size, chunks)
        return head, self.data

    def send(self, connection: Any) -> None:
        """Send the message over ``connection``, anything with ``send(bytes)``."""
        connection.send(self.to_bytes())

    def hmac(self) -> bytes:
        """The digest of payload and annotations with the message's key.

        Raises:
            TypeError: the message has no key.
        """
        if not self.hmac_key:
            raise TypeError("the message has no hmac key")
        return v48.message_hmac(self.hmac_key, self.data, self.annotations)

    def decompress_if_needed(self) -> Message:
        """Replace a compressed payload by the plain one and clear the flag; returns the message itself.

        Raises:
            SerializeError, MessageTooLargeError: as `compression.decompress`.
        """
        if self.flags & FLAGS_COMPRESSED:
            self.data = compression.decompress(self.data, config.MAX_MESSAGE_SIZE)
            self.flags &= ~FLAGS_COMPRESSED
            self.data_size = len(self.data)
        return self

    @classmethod
    def from_header(cls, headerData: Buffer) -> Message:
        """A message of which only the 24 header bytes are known.

        Raises:
            ProtocolError: this is no valid header.
        """
        if not isinstance(headerData, (bytes, bytearray, memoryview)) or len(headerData) != cls.header_size:
            raise ProtocolError("header data size mismatch")
        header = v48.parse_header(headerData)
        message = cls(header[0], b"", header[4], header[1], header[2])
        message.data_size, message.annotations_size = header[3], header[5]
        return message

    @classmethod
    def from_frame(cls, frame: Frame, hmac_key: bytes | None = None) -> Message:
        """The message object for a received frame; ``hmac_key`` is that of the connection."""
        message = cls.__new__(cls)
        message.type, message.flags, message.seq, message.serializer_id, annotations, data = frame
        message.data = bytes(data if type(data) is Pieces else under_view(data))
        message.annotations = dict(annotations)
        message.data_size = len(frame.data)
        message.annotations_size = sum(6 + len(value) for value in annotations.values())
        message.hmac_key = hmac_key
        return message

    @classmethod
    def recv(
        cls, connection: Any, requiredMsgTypes: Collection[int] | None = None, hmac_key: bytes | None = None
    ) -> Message:
        """Receive one message from ``connection``, anything with ``recv(n)`` and ``close()``.

        A message that exceeds config.MAX_MESSAGE_SIZE closes the connection at once ([WIRE-45]). After the other errors
        it has to be closed by the caller, who may want to tell the other end first ([WIRE-51]).

        Raises:
            ProtocolError, MessageTooLargeError, SecurityError: the message is not acceptable. ``pyroMsg`` is the
                message, or what had been read of it, None when not even its header is valid.
            ConnectionClosedError, TimeoutError: the connection ended or stalled.
        """
        try:
            frame = read_frame(connection.recv, requiredMsgTypes, hmac_key, config.MAX_MESSAGE_SIZE)
        except (ProtocolError, SecurityError) as error:
            if isinstance(error.pyroMsg, Frame):
                error.pyroMsg = cls.from_frame(error.pyroMsg, hmac_key)
            if isinstance(error, MessageTooLargeError):
                log.error("closing the connection: %s", error)  # noqa: TRY400 - it is raised as well
                connection.close()
            raise
        return cls.from_frame(frame, hmac_key)

    @staticmethod
    def ping(pyroConnection: Any, hmac_key: bytes | None = None) -> None:
        """Send a ping over ``pyroConnection`` and wait for its answer ([OV-25]).

        Raises:
            ConnectionClosedError, TimeoutError: nobody answers any more.
        """
        Message(MSG_PING, b"ping", SERIALIZER_NONE, 0, 0, hmac_key=hmac_key).send(pyroConnection)
        Message.recv(pyroConnection, [MSG_PING], hmac_key)


# where programs know it from
Message.__module__ = "pyrolite.message"


def secure_compare(a: bytes | str, b: bytes | str) -> bool:
    """Equality of two byte strings or two ASCII texts in constant time ([WIRE-132]).

    Raises:
        TypeError: mixed types.
    """
    if isinstance(a, str) != isinstance(b, str):
        raise TypeError("can only compare bytes with bytes or text with text")
    return hmac_module.compare_digest(a, b)  # type: ignore[arg-type]
