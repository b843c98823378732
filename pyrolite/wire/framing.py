"""Bytes in, frames out: the incremental reader of a connection's byte stream.

The reader never touches a socket. Whoever owns the connection feeds it with what arrived, in pieces of any size, and asks
for the next frame. The first six bytes (tag and version) tell which protocol is spoken ([P5-40]); version 48 is the one
that is built in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from pyrolite.errors import ProtocolError
from pyrolite.wire import v48
from pyrolite.wire.message import Buffer, Frame

__all__ = ["MAX_AHEAD", "FrameReader", "read_frame"]

#: How far the buffer of a large payload may grow ahead of what has arrived, in bytes ([HRD-5]).
MAX_AHEAD: Final = 1 << 20
#: Messages up to this size are joined in plain bytes; larger ones are received into a growing buffer of their own.
_SMALL: Final = 1 << 16


class FrameReader:
    """Turns the byte stream of one connection into frames.

    Thread safety: none; a connection is read by one thread at a time.
    """

    # _data[_pos:] are the bytes not consumed yet. While a large message is being collected (_body is not None), _data is
    # empty, _body holds the _filled bytes of it that have arrived, and _header is its checked header.
    __slots__ = ("_body", "_data", "_filled", "_header", "_pos")

    def __init__(self) -> None:
        self._data: bytes = b""
        self._pos = 0
        self._header: v48.Header | None = None
        self._body: bytearray | None = None
        self._filled = 0

    @property
    def buffered(self) -> int:
        """Number of bytes received and not consumed."""
        if self._body is not None:
            return self._filled
        return len(self._data) - self._pos

    def feed(self, data: bytes) -> None:
        """Take ``data``, the next bytes of the stream."""
        if self._body is not None:
            data = self._feed_body(data)
            if not data:
                return
        if self._pos == len(self._data):
            self._data = data
        else:
            self._data = self._data[self._pos :] + data
        self._pos = 0

    def next_frame(
        self, types: Collection[int] | None = None, hmac_key: bytes | None = None, max_size: int = 0
    ) -> Frame | None:
        """The next complete message, or None when more bytes are needed.

        ``types`` are the message types to accept (None: any), ``max_size`` is the limit in bytes of annotations and
        payload (0: none). The order of the checks is that of [WIRE-50].

        Raises:
            ProtocolError: the bytes are no valid message; nothing more can be read from this stream.
            MessageTooLargeError: the message exceeds ``max_size``.
            SecurityError: HMAC digest and key do not match.
        """
        # the usual case, one complete message in one piece, runs straight through this function
        header = self._header
        data: Buffer
        if header is None:
            data, pos = self._data, self._pos
            if len(data) - pos < 24:
                return None
            header = v48.parse_header(data, pos)
            if max_size:
                v48.check_size(header, max_size)
            if types is not None and header[0] not in types:
                v48.check_type(header, types)
            end = pos + 24 + header[5] + header[3]
            if len(data) < end:
                if end - pos > _SMALL:
                    self._start_body(header)
                return None
            self._pos = end
        else:
            v48.check_type(header, types)
            assert self._body is not None
            if self._filled < 24 + header[5] + header[3]:
                return None
            data, pos = memoryview(self._body), 0
            end = len(data)
            self._header = self._body = None
            self._filled = 0
        annotations_size = header[5]
        if annotations_size:
            start = pos + 24 + annotations_size
            annotations = v48.parse_annotations(data[pos + 24 : start])
            frame = Frame(header[0], header[1], header[2], header[4], annotations, data[start:end])
            if hmac_key or "HMAC" in annotations:
                v48.verify(frame, hmac_key)
            return frame
        frame = Frame(header[0], header[1], header[2], header[4], {}, data[pos + 24 : end])
        if hmac_key:
            v48.verify(frame, hmac_key)
        return frame

    def ready(self, max_size: int = 0) -> bool:
        """Whether `next_frame` has something to say: a complete message is there, or an error is certain."""
        header = self._header
        if header is not None:
            return self._filled >= 24 + header[5] + header[3]
        available = len(self._data) - self._pos
        if available < 24:
            return False
        try:
            header = v48.parse_header(self._data, self._pos)
            if max_size:
                v48.check_size(header, max_size)
        except ProtocolError:
            return True
        size = 24 + header[5] + header[3]
        if available < size and size > _SMALL:
            self._start_body(header)
        return available >= size

    def trim(self) -> None:
        """Let go of the memory of consumed bytes, for streams that fall silent."""
        if self._pos == len(self._data):
            self._data, self._pos = b"", 0

    def take(self, size: int) -> bytes:
        """Up to ``size`` raw bytes from the front of the stream, for readers that parse messages themselves."""
        if self._body is not None:  # give up collecting: hand out the raw bytes again
            self._data, self._pos = bytes(self._body[: self._filled]), 0
            self._body = self._header = None
            self._filled = 0
        pos = self._pos
        taken = self._data[pos : pos + size]
        self._pos = pos + len(taken)
        return taken

    # -- large messages: received straight into one buffer, without joining pieces

    def writable(self) -> memoryview | None:
        """Where the next bytes of a large message may be received into, or None when there is none in progress.

        Call `written` with the number of bytes, after releasing the view.
        """
        body, header = self._body, self._header
        if body is None or header is None:
            return None
        size = 24 + header[5] + header[3]
        if self._filled == size:
            return None
        if self._filled == len(body):
            # grow by doubling, but never more than MAX_AHEAD beyond what has really arrived
            body.extend(bytes(min(size - len(body), max(len(body), _SMALL), MAX_AHEAD)))
        return memoryview(body)[self._filled :]

    def written(self, count: int) -> None:
        """``count`` bytes have been received into the view that `writable` gave."""
        self._filled += count

    def _start_body(self, header: v48.Header) -> None:
        arrived = self._data[self._pos :]
        self._header = header
        self._body = bytearray(arrived)
        self._filled = len(arrived)
        self._data, self._pos = b"", 0

    def _feed_body(self, data: bytes) -> bytes:
        """Copy ``data`` into the large message in progress; gives back what belongs to the next message."""
        assert self._body is not None
        assert self._header is not None
        missing = 24 + self._header[5] + self._header[3] - self._filled
        piece = data[:missing]
        self._body[self._filled :] = piece
        self._filled += len(piece)
        return data[missing:]


def read_frame(
    recv: Callable[[int], Buffer],
    types: Collection[int] | None = None,
    hmac_key: bytes | None = None,
    max_size: int = 0,
) -> Frame:
    """Read one message through ``recv(n)``, which gives exactly n bytes: for connections that know no frames.

    Raises: as `FrameReader.next_frame`, and whatever ``recv`` raises.
    """
    head = bytes(recv(v48.HEADER_SIZE))
    header = v48.parse_header(head)
    v48.check_size(header, max_size)
    v48.check_type(header, types)
    annotations_size, data_size = header[5], header[3]
    annotations = v48.parse_annotations(recv(annotations_size)) if annotations_size else {}
    data = recv(data_size) if data_size else b""
    frame = Frame(header[0], header[1], header[2], header[4], annotations, data)
    v48.verify(frame, hmac_key)
    return frame
