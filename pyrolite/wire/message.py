"""What a message is, whatever protocol version carries it: types and flags ([WIRE-10], [WIRE-11]), and the `Frame`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple, TypeAlias

from pyrolite.errors import MessageTooLargeError, ProtocolError
from pyrolite.pieces import Pieces

__all__ = [
    "ANNOTATION_BLOB_INFO",
    "ANNOTATION_CORRELATION",
    "ANNOTATION_HMAC",
    "ANNOTATION_STREAM",
    "FLAGS_BATCH",
    "FLAGS_COMPRESSED",
    "FLAGS_EXCEPTION",
    "FLAGS_ITEMSTREAMRESULT",
    "FLAGS_KEEPSERIALIZED",
    "FLAGS_META_ON_CONNECT",
    "FLAGS_ONEWAY",
    "MSG_CONNECT",
    "MSG_CONNECTFAIL",
    "MSG_CONNECTOK",
    "MSG_INVOKE",
    "MSG_PING",
    "MSG_RESULT",
    "RESERVED_ANNOTATIONS",
    "SERIALIZER_NONE",
    "Buffer",
    "Frame",
    "Header",
    "Payload",
    "check_size",
    "check_type",
    "too_large",
]

MSG_CONNECT: Final = 1
MSG_CONNECTOK: Final = 2
MSG_CONNECTFAIL: Final = 3
MSG_INVOKE: Final = 4
MSG_RESULT: Final = 5
MSG_PING: Final = 6

FLAGS_EXCEPTION: Final = 1
FLAGS_COMPRESSED: Final = 2
FLAGS_ONEWAY: Final = 4
FLAGS_BATCH: Final = 8
FLAGS_META_ON_CONNECT: Final = 16
FLAGS_ITEMSTREAMRESULT: Final = 32
FLAGS_KEEPSERIALIZED: Final = 64

#: Serializer id in the header of a ping; it stands for no serializer ([WIRE-75]).
SERIALIZER_NONE: Final = 42

ANNOTATION_HMAC: Final = "HMAC"
ANNOTATION_CORRELATION: Final = "CORR"
ANNOTATION_STREAM: Final = "STRM"
ANNOTATION_BLOB_INFO: Final = "BLBI"
#: Annotation ids that users may not set ([WIRE-23]).
RESERVED_ANNOTATIONS: Final = frozenset({"HMAC", "CORR", "STRM", "BLBI"})

#: Anything that holds payload bytes.
Buffer: TypeAlias = bytes | bytearray | memoryview

#: What the payload of a message to send is.
Payload: TypeAlias = Buffer | Pieces

#: The checked header: (message type, flags, sequence number, payload size, serializer id, annotations size).
#: The codec of another protocol version may put more behind these six.
Header: TypeAlias = tuple[int, int, int, int, int, int]


class Frame(NamedTuple):
    """One received message, its payload as it was transferred (possibly compressed, never decoded).

    ``type`` is one of the ``MSG_`` numbers, ``flags`` a set of ``FLAGS_`` bits in the numbering of protocol 48,
    ``seq`` the sequence number 0..65535, ``serializer_id`` the number of the payload's format, ``annotations`` maps
    ids of 4 characters to values, ``data`` is the payload.
    """

    type: int
    flags: int
    seq: int
    serializer_id: int
    annotations: dict[str, bytes]
    data: Payload


def check_size(header: Header, max_size: int) -> None:
    """Refuse a message whose annotations and payload exceed ``max_size`` bytes; 0: no limit ([WIRE-43], [WIRE-45]).

    Raises:
        MessageTooLargeError: with the header as ``pyroMsg``.
    """
    size = header[3] + header[5]
    if 0 < max_size < size:
        raise _with_header(MessageTooLargeError(too_large(size, max_size)), header)


def check_type(header: Header, types: Collection[int] | None) -> None:
    """Refuse a message type that is not among ``types``; None accepts any ([WIRE-10]).

    Raises:
        ProtocolError: with the header as ``pyroMsg``.
    """
    if types is not None and header[0] not in types:
        raise _with_header(ProtocolError(f"invalid msg type {header[0]} received"), header)


def _with_header(error: ProtocolError, header: Header) -> ProtocolError:
    error.pyroMsg = Frame(header[0], header[1], header[2], header[4], {}, b"")
    return error


def too_large(size: int, max_size: int) -> str:
    """Text of the error for a message of ``size`` bytes, header not counted ([WIRE-43])."""
    return f"max message size exceeded ({size} where max={max_size})"
