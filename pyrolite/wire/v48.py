"""Protocol version 48, the protocol of Pyro4: messages to bytes and back (chapter 10, sections 1 to 9).

Pure functions over bytes. A message is a header of 24 bytes, annotation chunks, and a payload ([WIRE-1], [WIRE-2]).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyrolite import constants, lazily
from pyrolite.errors import MessageTooLargeError, ProtocolError, SecurityError
from pyrolite.wire.message import ANNOTATION_HMAC, Buffer, Frame, Header, Payload, too_large

if TYPE_CHECKING:
    import hashlib
    import hmac as hmac_module
else:
    hashlib = lazily.module("hashlib", globals())
    hmac_module = lazily.module("hmac", globals(), "hmac_module")

__all__ = [
    "CHECKSUM_MAGIC",
    "CORRELATION_HEAD",
    "HEADER_FORMAT",
    "HEADER_SIZE",
    "encode",
    "encode_annotations",
    "encode_signed_annotations",
    "finish",
    "is_whole",
    "message_hmac",
    "pack",
    "parse_annotations",
    "parse_header",
    "read_whole",
    "signature",
    "verify",
]

HEADER_FORMAT: Final = "!4sHHHHiHHHH"
HEADER_SIZE: Final = 24
CHECKSUM_MAGIC: Final = 0x34E9
TAG: Final = b"PYRO"

_HEADER: Final = struct.Struct(HEADER_FORMAT)
_pack_header = _HEADER.pack
_unpack_header = _HEADER.unpack_from
_unpack_quickly = struct.Struct("!6sHHHiHH2xH").unpack_from
#: Tag and version, and what they add to every checksum.
_START: Final = b"PYRO\x00\x30"
_CONSTANT_SUM: Final = 48 + CHECKSUM_MAGIC
_CHUNK_HEAD: Final = struct.Struct("!4sH")
#: Head of the chunk that carries a correlation id of 16 bytes.
CORRELATION_HEAD: Final = b"CORR\x00\x10"
_CORRELATION_SIZE: Final = 6 + 16
#: Head of the chunk that carries an HMAC of SHA-1.
_HMAC_HEAD: Final = b"HMAC\x00\x14"
_SIGNATURE_SIZE: Final = 6 + 20
_SHA1_BLOCK: Final = 64
_AnyPayload = TypeVar("_AnyPayload", bound=Payload)
_new_tuple: Final = tuple.__new__
_from_bytes: Final = int.from_bytes


def parse_header(buffer: Buffer, offset: int = 0) -> Header:
    """Read and check the 24 header bytes at ``offset`` of ``buffer`` ([WIRE-4], [WIRE-46]).

    Raises:
        ProtocolError: wrong tag or version, wrong checksum, or a negative payload size.
    """
    tag, version, msg_type, flags, seq, data_size, serializer_id, annotations_size, _, checksum = _unpack_header(
        buffer, offset
    )
    if tag != TAG or version != constants.PROTOCOL_VERSION:
        raise ProtocolError("invalid data or unsupported protocol version")
    total = msg_type + version + data_size + annotations_size + serializer_id + flags + seq + CHECKSUM_MAGIC
    if checksum != total & 0xFFFF:
        raise ProtocolError("header checksum mismatch")
    if data_size < 0:
        raise ProtocolError("invalid message size")
    return msg_type, flags, seq, data_size, serializer_id, annotations_size


def is_whole(data: bytes) -> bool:
    """Whether ``data`` is as long as its header says, valid or not."""
    if len(data) < HEADER_SIZE:
        return False
    return HEADER_SIZE + _from_bytes(data[12:16], "big") + _from_bytes(data[18:20], "big") == len(data)


def read_whole(data: bytes, types: Collection[int] | None, hmac_key: bytes | None, max_size: int) -> Frame | None:
    """The message that ``data`` is exactly; None when it is more or less than one, or not acceptable.

    In one function, since this is the way of nearly all messages. Whatever it does not take is looked at again by the
    careful functions, which tell what is wrong with it.

    Raises:
        ProtocolError: the annotations are malformed.
        SecurityError: HMAC digest and key do not match.
    """
    if len(data) < HEADER_SIZE:
        return None
    start, msg_type, flags, seq, size, serializer_id, annotations_size, checksum = _unpack_quickly(data)
    end = HEADER_SIZE + annotations_size
    if (
        start != _START
        or len(data) - end != size
        or checksum != (msg_type + size + annotations_size + serializer_id + flags + seq + _CONSTANT_SUM) & 0xFFFF
        or (types and msg_type not in types)
        or (max_size and 0 < max_size < size + annotations_size)
    ):
        return None
    if not annotations_size:
        annotations = {}
    elif annotations_size == _CORRELATION_SIZE and data[24:30] == CORRELATION_HEAD:
        annotations = {"CORR": data[30:46]}  # as every answer has it
    elif annotations_size == _SIGNATURE_SIZE and data[24:30] == _HMAC_HEAD:
        annotations = {"HMAC": data[30:50]}
    else:
        annotations = parse_annotations(data[24:end])
    # a third of the time of Frame(...)
    frame = _new_tuple(Frame, (msg_type, flags, seq, serializer_id, annotations, data[end:]))
    if hmac_key or (annotations_size and "HMAC" in annotations):
        verify(frame, hmac_key)
    return frame


def parse_annotations(area: Buffer) -> dict[str, bytes]:
    """Read the annotation chunks that must fill ``area`` exactly ([WIRE-20], [WIRE-22], [HRD-29]).

    Raises:
        ProtocolError: a chunk runs past the area, stray bytes remain, or an id is not ASCII.
    """
    annotations: dict[str, bytes] = {}
    position, end = 0, len(area)
    while position < end:
        start = position + 6
        if start > end:
            raise ProtocolError("malformed annotations: stray bytes after the last one")
        key, length = _CHUNK_HEAD.unpack_from(area, position)
        position = start + length
        if position > end:
            raise ProtocolError(f"malformed annotations: {key!r} is longer than the area that holds it")
        try:
            annotations[key.decode("ascii")] = bytes(area[start:position])
        except UnicodeDecodeError:
            raise ProtocolError(f"malformed annotations: id {key!r} is not ASCII") from None
    return annotations


def encode_annotations(annotations: Mapping[str, Buffer]) -> bytes:
    """The annotation chunks for ``annotations``, in their order ([WIRE-20], [WIRE-21]).

    Raises:
        ProtocolError: an id that is not 4 ASCII characters, a value that is not bytes, or more than 65535 bytes in all.
    """
    parts: list[Buffer] = []
    size = 0
    for key, value in annotations.items():
        if not isinstance(key, str) or len(key) != 4:
            raise ProtocolError(f"annotation key must be of length 4: {key!r}")
        if not key.isascii():
            raise ProtocolError(f"annotation key must be ASCII: {key!r}")
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise ProtocolError(f"annotation value must be bytes: {key!r} is {type(value).__name__}")
        length = len(value) if not isinstance(value, memoryview) else value.nbytes
        size += 6 + length
        if size > 0xFFFF:
            raise ProtocolError(f"annotations too large: with {key!r} they exceed 65535 bytes")
        parts.append(_CHUNK_HEAD.pack(key.encode("ascii"), length))
        parts.append(value)
    return b"".join(parts)


def encode_signed_annotations(annotations: Mapping[str, Buffer], data: Payload, hmac_key: bytes) -> bytes:
    """The annotation chunks for ``annotations`` and, as the last one, the digest of a message with payload ``data``.

    Raises:
        ProtocolError: as `encode_annotations`.
    """
    others = {key: value for key, value in annotations.items() if key != ANNOTATION_HMAC}
    chunks = encode_annotations(others)  # what cannot be sent is reported before it is signed
    if len(chunks) + _SIGNATURE_SIZE > 0xFFFF:
        raise ProtocolError("annotations too large: with 'HMAC' they exceed 65535 bytes")
    return chunks + _HMAC_HEAD + message_hmac(hmac_key, data, others)


def message_hmac(key: bytes, data: Payload, annotations: Mapping[str, Buffer]) -> bytes:
    """HMAC-SHA1 over the payload and the annotation values in the order of their ids ([WIRE-31])."""
    return _digest(key, data, b"".join([annotations[name] for name in sorted(annotations) if name != "HMAC"]))


def _digest(key: bytes, data: Payload, values: bytes) -> bytes:
    inner, outer = _keyed_hashes(key)
    inner, outer = inner.copy(), outer.copy()
    try:
        inner.update(data)
    except TypeError:
        for piece in data.pieces:  # type: ignore[union-attr]
            inner.update(piece)
    inner.update(values)
    outer.update(inner.digest())
    digest: bytes = outer.digest()
    return digest


@lru_cache(maxsize=64)
def _keyed_hashes(key: bytes) -> tuple[Any, Any]:
    """The inner and the outer hash of an HMAC (RFC 2104) that have taken in the key, to be copied for each message.

    A copy takes a third of the time of ``hmac.digest``, and of each message there are two of them.
    """
    block = (key if len(key) <= _SHA1_BLOCK else hashlib.sha1(key, usedforsecurity=False).digest()).ljust(
        _SHA1_BLOCK, b"\0"
    )
    pads = (block.translate(bytes(value ^ pad for value in range(256))) for pad in (0x36, 0x5C))
    inner, outer = (hashlib.sha1(pad, usedforsecurity=False) for pad in pads)
    return inner, outer


def signature(key: bytes, data: Payload, values: bytes = b"") -> bytes:
    """The HMAC chunk, to be the last one, of a message with payload ``data``.

    ``values`` are those of the other annotations, in the order of their ids, put together.
    """
    return _HMAC_HEAD + _digest(key, data, values)


def verify(frame: Frame, hmac_key: bytes | None) -> None:
    """Check the HMAC annotation of a received message against ``hmac_key`` ([WIRE-32]).

    Raises:
        SecurityError: the digest differs, or only one of key and digest is there. ``pyroMsg`` is the frame.
    """
    received = frame.annotations.get("HMAC")
    if received is None and not hmac_key:
        return
    if received is None or not hmac_key:
        error = SecurityError("hmac key config not symmetric")
    elif hmac_module.compare_digest(received, message_hmac(hmac_key, frame.data, frame.annotations)):
        return
    else:
        error = SecurityError("message hmac mismatch")
    error.pyroMsg = frame
    raise error


def finish(frame: Frame, header: Header, hmac_key: bytes | None) -> Frame:
    """The last step of reading a message: ``frame``, if its signature is right.

    Raises:
        SecurityError: as `verify`.
    """
    verify(frame, hmac_key)
    return frame


def encode(
    msg_type: int,
    flags: int,
    seq: int,
    serializer_id: int,
    data: _AnyPayload,
    annotations: Mapping[str, Buffer] | None = None,
    hmac_key: bytes | None = None,
    max_size: int = 0,
) -> tuple[bytes, _AnyPayload]:
    """The bytes of a message as (header and annotations, payload); the payload is passed through uncopied ([WIRE-6]).

    ``max_size`` is the limit in bytes for annotations and payload together, 0 for none.

    Raises:
        ProtocolError: an invalid annotation ([WIRE-21]).
        MessageTooLargeError: the limit is exceeded ([WIRE-43]).
        ValueError: the payload exceeds 2 GB ([WIRE-5]).
    """
    if hmac_key:
        chunks = encode_signed_annotations(annotations or {}, data, hmac_key)
    else:
        chunks = encode_annotations(annotations) if annotations else b""
    return pack(msg_type, flags, seq, serializer_id, len(data), chunks, max_size), data


def pack(
    msg_type: int, flags: int, seq: int, serializer_id: int, data_size: int, chunks: bytes = b"", max_size: int = 0
) -> bytes:
    """Header and annotation chunks of a message whose chunks are encoded already; the payload is to follow.

    Raises: MessageTooLargeError, ValueError: as `encode`.
    """
    annotations_size = len(chunks)
    if max_size and 0 < max_size < data_size + annotations_size:
        raise MessageTooLargeError(too_large(data_size + annotations_size, max_size))
    if not 0 <= data_size <= 0x7FFFFFFF:
        raise ValueError("invalid message size (outside range 0..2Gb)")
    version = constants.PROTOCOL_VERSION
    checksum = msg_type + version + data_size + annotations_size + serializer_id + flags + seq + CHECKSUM_MAGIC
    return (
        _pack_header(
            TAG, version, msg_type, flags, seq, data_size, serializer_id, annotations_size, 0, checksum & 0xFFFF
        )
        + chunks
    )
