"""Compression of payloads ([WIRE-40]), and decompression that no message can make a flood of memory ([WIRE-42])."""

from __future__ import annotations

import io
import zlib
from typing import Final, TypeAlias

from pyrolite.errors import MessageTooLargeError, SerializeError
from pyrolite.pieces import Pieces

__all__ = ["DEFAULT_LIMIT", "DEFAULT_RATIO", "SMALLEST", "compress", "decompress"]

Buffer: TypeAlias = bytes | bytearray | memoryview

#: Payloads below this number of bytes are never compressed.
SMALLEST: Final = 200
#: Without a configured limit, decompressed data may have DEFAULT_LIMIT bytes, or DEFAULT_RATIO times the size of the
#: compressed data, whichever is more ([HRD-4]).
DEFAULT_LIMIT: Final = 64 << 20
DEFAULT_RATIO: Final = 100
#: Compressed bytes to work on at a time, and by how much the payload may grow by that.
_PIECE: Final = 1 << 16
_GROWTH: Final = 1 << 20


def compress(payload: Buffer | Pieces) -> tuple[Buffer | Pieces, bool]:
    """The payload to send, and whether it is compressed: only if it has 200 bytes or more and becomes smaller.

    Thread safety: may be called from any thread.
    """
    if len(payload) >= SMALLEST:
        compressed = zlib.compress(bytes(payload) if type(payload) is Pieces else payload)
        if len(compressed) < len(payload):
            return compressed, True
    return payload, False


def decompress(data: Buffer | Pieces, limit: int = 0) -> bytes:
    """The payload that was compressed into ``data``.

    Args:
        data: a whole zlib stream.
        limit: most bytes that the payload may have (MAX_MESSAGE_SIZE); 0: the larger of 64 MiB and 100 times the size
            of ``data`` ([HRD-4]). No more memory than that is used.

    Raises:
        MessageTooLargeError: the payload would have more bytes.
        SerializeError: the data is no zlib stream, is cut short, or something follows it.

    Thread safety: may be called from any thread.
    """
    if type(data) is Pieces:
        data = bytes(data)
    limit = limit or max(DEFAULT_LIMIT, DEFAULT_RATIO * len(data))
    stream = zlib.decompressobj()
    most = min(_GROWTH, limit + 1)
    small = len(data) <= _PIECE
    try:
        payload = stream.decompress(data if small else memoryview(data)[:_PIECE], most)
        if not small or len(payload) == most:
            payload = _decompress_more(stream, payload, memoryview(data), limit)
    except zlib.error as error:
        raise SerializeError(f"invalid compressed data: {error}") from error
    if len(payload) > limit:
        raise MessageTooLargeError(f"max message size exceeded (more than {limit} decompressed where max={limit})")
    if not stream.eof:
        raise SerializeError("invalid compressed data: it is cut short")
    if stream.unused_data:
        raise SerializeError(f"invalid compressed data: {len(stream.unused_data)} bytes after its end")
    return payload


def _decompress_more(stream: zlib._Decompress, begin: bytes, data: memoryview, limit: int) -> bytes:
    """``begin``, the payload from the first piece of ``data``, and what follows it, at most one byte beyond ``limit``.

    It is collected in one buffer that grows, and becomes the payload without a copy: a large list of pieces would take
    twice the memory, and leave much of it with the process.
    """
    payload = io.BytesIO()
    size = payload.write(begin)
    position = _PIECE
    rest: bytes | memoryview = stream.unconsumed_tail
    more = True  # there may be more without further data
    while size <= limit and not stream.eof:
        if not rest and not more:
            if position >= len(data):
                break
            rest = data[position : position + _PIECE]
            position += _PIECE
        most = min(_GROWTH, limit + 1 - size)
        piece = stream.decompress(rest, most)
        size += payload.write(piece)
        rest = stream.unconsumed_tail
        more = len(piece) == most
    if stream.eof and position < len(data):
        raise SerializeError(f"invalid compressed data: {len(data) - position} bytes or more after its end")
    return payload.getvalue()
