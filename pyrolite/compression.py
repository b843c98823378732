"""Compression of payloads ([WIRE-40]), and decompression that no message can make a flood of memory ([WIRE-42])."""

from __future__ import annotations

import sys
import zlib
from typing import Final, TypeAlias

from pyrolite.errors import MessageTooLargeError, SerializeError

__all__ = ["DEFAULT_LIMIT", "DEFAULT_RATIO", "SMALLEST", "compress", "decompress"]

Buffer: TypeAlias = bytes | bytearray | memoryview

#: Payloads below this number of bytes are never compressed.
SMALLEST: Final = 200
#: Without a configured limit, decompressed data may have DEFAULT_LIMIT bytes, or DEFAULT_RATIO times the size of the
#: compressed data, whichever is more ([HRD-4]).
DEFAULT_LIMIT: Final = 64 << 20
DEFAULT_RATIO: Final = 100


def compress(payload: Buffer) -> tuple[Buffer, bool]:
    """The payload to send, and whether it is compressed: only if it has 200 bytes or more and becomes smaller.

    Thread safety: may be called from any thread.
    """
    if len(payload) >= SMALLEST:
        compressed = zlib.compress(payload)
        if len(compressed) < len(payload):
            return compressed, True
    return payload, False


def decompress(data: Buffer, limit: int = 0) -> bytes:
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
    limit = limit or max(DEFAULT_LIMIT, DEFAULT_RATIO * len(data))
    stream = zlib.decompressobj()
    try:
        # the result grows with what is really there and ends one byte beyond the limit
        payload = stream.decompress(data, min(limit, sys.maxsize - 1) + 1)
    except zlib.error as error:
        raise SerializeError(f"invalid compressed data: {error}") from error
    if len(payload) > limit:
        raise MessageTooLargeError(f"max message size exceeded (more than {limit} decompressed where max={limit})")
    if not stream.eof:
        raise SerializeError("invalid compressed data: it is cut short")
    if stream.unused_data:
        raise SerializeError(f"invalid compressed data: {len(stream.unused_data)} bytes after its end")
    return payload
