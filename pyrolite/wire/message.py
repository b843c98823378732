"""What a message is, whatever protocol version carries it: its types, flags, and the :class:`Frame` ([WIRE-10], [WIRE-11])."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

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
    data: Buffer
