"""Bytes in, frames out: the incremental reader of a connection's byte stream.

The reader never touches a socket. Whoever owns the connection feeds it with what arrived, in pieces of any size, and
asks for the next frame. The first six bytes of a stream (tag and version) tell which protocol is spoken for all of it
([P5-40]); a codec knows what is different between the versions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Protocol

from pyrolite.errors import ProtocolError
from pyrolite.wire import v48
from pyrolite.wire.message import Buffer, Frame, Header, check_size, check_type

__all__ = ["MAX_AHEAD", "OTHER_CODECS", "Codec", "FrameReader", "codec_for", "read_frame"]

#: How far the buffer of a large payload may grow ahead of what has arrived, in bytes ([HRD-5]).
MAX_AHEAD: Final = 1 << 20
#: Messages up to this size are joined in plain bytes; larger ones are received into a growing buffer of their own.
_SMALL: Final = 1 << 16
#: Number of bytes that tell the protocol version ([P5-2]).
_TELLING: Final = 6


class Codec(Protocol):
    """What a reader has to know of a protocol version: a module such as `pyrolite.wire.v48`."""

    @property
    def HEADER_SIZE(self) -> int:
        """Size of the header in bytes."""

    def parse_header(self, buffer: Buffer, offset: int = 0) -> Header:
        """Read and check the header at ``offset``; raises ProtocolError."""

    def parse_annotations(self, area: Buffer) -> dict[str, bytes]:
        """Read the annotations that fill ``area``; raises ProtocolError."""

    def finish(self, frame: Frame, header: Header, hmac_key: bytes | None) -> Frame:
        """Check the signature, and give the frame the form that protocol 48 would give it; raises SecurityError."""


_V48: Final[Codec] = v48
#: Protocol versions besides 48, by the first six bytes of their messages.
OTHER_CODECS: Final[dict[bytes, Codec]] = {}


def codec_for(head: Buffer) -> Codec:
    """The codec for a stream that begins with ``head``; that of version 48 reports the error if nothing knows it."""
    return OTHER_CODECS.get(bytes(head[:_TELLING]), _V48)


class FrameReader:
    """Turns the byte stream of one connection into frames.

    Thread safety: none; a connection is read by one thread at a time.
    """

    # rest[_pos:] are the bytes not consumed yet. While a large message is being collected (_body is not None), rest
    # is empty, _body holds the _filled bytes of its _size that have arrived, and _header is its checked header.
    # _codec is None until the first six bytes are there.
    __slots__ = ("_body", "_codec", "_filled", "_header", "_pos", "_size", "collecting", "rest")

    def __init__(self) -> None:
        self._codec: Codec | None = None
        #: bytes received and not consumed, and possibly consumed ones before them; empty when there are none, or when a
        #: large message is being collected. For a quick look only: `buffered` counts
        self.rest: bytes = b""
        self._pos = 0
        self._header: Header | None = None
        self._body: bytearray | None = None
        #: whether a large message is being collected
        self.collecting = False
        self._filled = 0
        self._size = 0

    @property
    def codec(self) -> Codec | None:
        """The protocol version that the stream speaks, as its codec; None as long as nothing tells it."""
        return self._codec or self._choose_codec()

    def _choose_codec(self) -> Codec | None:
        if self.buffered >= _TELLING:
            self._codec = codec_for(self.rest[self._pos : self._pos + _TELLING])
        return self._codec

    @property
    def buffered(self) -> int:
        """Number of bytes received and not consumed."""
        if self._body is not None:
            return self._filled
        return len(self.rest) - self._pos

    def feed(self, data: bytes) -> None:
        """Take ``data``, the next bytes of the stream."""
        if self._body is not None:
            data = self._feed_body(data)
            if not data:
                return
        if self.rest:
            self.rest = self.rest[self._pos :] + data
            self._pos = 0
        else:
            self.rest = data

    def read(self, data: bytes, types: Collection[int] | None, hmac_key: bytes | None, max_size: int) -> Frame | None:
        """As `feed` and then `next_frame`, quicker when nothing is buffered and ``data`` is one whole message."""
        if self._codec is _V48 and not self.rest and not self.collecting:
            frame = v48.read_whole(data, types, hmac_key, max_size)
            if frame is not None:
                return frame
        self.feed(data)
        return self._next_frame(types, hmac_key, max_size)

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
        if self._codec is _V48 and not self._pos and self._header is None:
            frame = v48.read_whole(self.rest, types, hmac_key, max_size)
            if frame is not None:
                self.rest = b""
                return frame
        return self._next_frame(types, hmac_key, max_size)

    def _next_frame(self, types: Collection[int] | None, hmac_key: bytes | None, max_size: int) -> Frame | None:
        """The careful way, for all messages."""
        codec = self._codec or self._choose_codec()
        if codec is None:
            return None
        header = self._header
        data: Buffer
        if header is None:
            data, pos = self.rest, self._pos
            start = pos + codec.HEADER_SIZE
            if len(data) < start:
                return None
            header = codec.parse_header(data, pos)
            if max_size:
                check_size(header, max_size)
            if types is not None and header[0] not in types:
                check_type(header, types)
            end = start + header[5] + header[3]
            if len(data) < end:
                if end - pos > _SMALL:
                    self._start_body(header, end - pos)
                return None
            self._consumed(end)
        else:
            check_type(header, types)
            assert self._body is not None
            if self._filled < self._size:
                return None
            data, start = memoryview(self._body), codec.HEADER_SIZE
            end = len(data)
            self._stop_collecting()
        annotations: dict[str, bytes] = {}
        if header[5]:
            area_start, start = start, start + header[5]
            annotations = codec.parse_annotations(data[area_start:start])
        frame = Frame(header[0], header[1], header[2], header[4], annotations, data[start:end])
        if hmac_key or codec is not _V48 or "HMAC" in annotations:
            return codec.finish(frame, header, hmac_key)
        return frame

    def ready(self, max_size: int = 0) -> bool:
        """Whether `next_frame` has something to say: a complete message is there, or an error is certain."""
        rest = self.rest
        if self._codec is _V48 and not self._pos and v48.is_whole(rest):
            return True
        if self._header is not None:
            return self._filled >= self._size
        codec = self._codec or self._choose_codec()
        available = len(self.rest) - self._pos
        if codec is None or available < codec.HEADER_SIZE:
            return False
        try:
            header = codec.parse_header(self.rest, self._pos)
            if max_size:
                check_size(header, max_size)
        except ProtocolError:
            return True
        size = codec.HEADER_SIZE + header[5] + header[3]
        if available < size and size > _SMALL:
            self._start_body(header, size)
        return available >= size

    def _consumed(self, position: int) -> None:
        """The bytes before ``position`` of ``rest`` have been consumed."""
        if position == len(self.rest):
            self.rest, self._pos = b"", 0
        else:
            self._pos = position

    def take(self, size: int) -> bytes:
        """Up to ``size`` raw bytes from the front of the stream, for readers that parse messages themselves."""
        if self._body is not None:  # give up collecting: hand out the raw bytes again
            self.rest, self._pos = bytes(self._body[: self._filled]), 0
            self._stop_collecting()
        pos = self._pos
        taken = self.rest[pos : pos + size]
        self._consumed(pos + len(taken))
        return taken

    # -- large messages: received straight into one buffer, without joining pieces

    def writable(self) -> memoryview | None:
        """Where the next bytes of a large message may be received into, or None when there is none in progress.

        Call `written` with the number of bytes, after releasing the view.
        """
        body, size = self._body, self._size
        if body is None or self._filled == size:
            return None
        if self._filled == len(body):
            # grow by doubling, but never more than MAX_AHEAD beyond what has really arrived
            body.extend(bytes(min(size - len(body), max(len(body), _SMALL), MAX_AHEAD)))
        return memoryview(body)[self._filled :]

    def written(self, count: int) -> None:
        """``count`` bytes have been received into the view that `writable` gave."""
        self._filled += count

    def _start_body(self, header: Header, size: int) -> None:
        arrived = self.rest[self._pos :]
        self._header = header
        self._size = size
        self._body = bytearray(arrived)
        self.collecting = True
        self._filled = len(arrived)
        self.rest, self._pos = b"", 0

    def _stop_collecting(self) -> None:
        self._header = self._body = None
        self._filled = 0
        self.collecting = False

    def _feed_body(self, data: bytes) -> bytes:
        """Copy ``data`` into the large message in progress; gives back what belongs to the next message."""
        assert self._body is not None
        missing = self._size - self._filled
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
    codec = codec_for(head)
    if len(head) < codec.HEADER_SIZE:
        head += recv(codec.HEADER_SIZE - len(head))
    header = codec.parse_header(head)
    check_size(header, max_size)
    check_type(header, types)
    annotations_size, data_size = header[5], header[3]
    annotations = codec.parse_annotations(recv(annotations_size)) if annotations_size else {}
    data = recv(data_size) if data_size else b""
    return codec.finish(Frame(header[0], header[1], header[2], header[4], annotations, data), header, hmac_key)
