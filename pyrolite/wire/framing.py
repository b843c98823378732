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
from pyrolite.wire.body import Body
from pyrolite.wire.message import Buffer, Frame, Header, Payload, check_size, check_type

__all__ = ["MAX_AHEAD", "OTHER_CODECS", "Codec", "FrameReader", "codec_for", "read_frame"]

#: Most bytes of a large payload to make room for before they arrive ([HRD-5]).
MAX_AHEAD: Final = 1 << 20
#: Messages up to this size are joined as they come; the payloads of larger ones are collected in a buffer.
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

    # rest[_pos:] are the bytes not consumed yet. While a large message is being collected, rest is what belongs to the
    # next one, _header is its checked header, _head the bytes of header and annotations, _body its payload as far as
    # it has arrived. _codec is None until the first six bytes are there.
    __slots__ = ("_body", "_codec", "_head", "_header", "_pos", "collecting", "plain", "rest")

    def __init__(self) -> None:
        self._codec: Codec | None = None
        #: bytes received and not consumed, and possibly consumed ones before them; empty when there are none, and while
        #: a large message is being collected. For a quick look only: `buffered` counts
        self.rest: bytes = b""
        self._pos = 0
        #: whether ``rest`` begins with a message of protocol 48. When it is exactly one, the owner of the connection
        #: may take it with `v48.read_whole` and empty ``rest``; and when it is empty, fill it, as long as nothing is
        #: being collected. Nearly all messages go this short way.
        self.plain: bool = False
        self._header: Header | None = None
        #: whether a large message is being collected
        self.collecting: bool = False
        self._head = b""
        self._body: Body | None = None

    @property
    def codec(self) -> Codec | None:
        """The protocol version that the stream speaks, as its codec; None as long as nothing tells it."""
        return self._codec or self._choose_codec()

    def _choose_codec(self) -> Codec | None:
        if self.buffered >= _TELLING:
            self._codec = codec_for(self.rest[self._pos : self._pos + _TELLING])
            self.plain = self._codec is _V48 and not self._pos
        return self._codec

    @property
    def buffered(self) -> int:
        """Number of bytes received and not consumed."""
        waiting = len(self.rest) - self._pos
        if self._header is None or self._body is None:
            return waiting
        return len(self._head) + self._header[3] - self._body.missing + waiting

    @property
    def wanted(self) -> int:
        """How many bytes to receive next: the rest of a large message, within bounds, but none of the next one."""
        body = self._body
        return _SMALL if body is None else min(body.missing, MAX_AHEAD) or _SMALL

    def space(self) -> memoryview | None:
        """Where to write the next bytes, as many as are `wanted` at most, before they are `added`.

        None: there is no such place, `feed` has to be used.
        """
        body = self._body
        return body.space(min(body.missing, MAX_AHEAD)) if body is not None and body.missing else None

    def added(self, size: int) -> None:
        """So many bytes were written into the `space`."""
        assert self._body is not None
        self._body.added(size)

    def feed(self, data: bytes) -> None:
        """Take ``data``, the next bytes of the stream."""
        body = self._body
        if body is not None and body.missing:
            missing = body.missing
            if len(data) <= missing:
                body.append(data)
                return
            body.append(data[:missing])
            data = data[missing:]
        if self.rest:
            self.rest = self.rest[self._pos :] + data
            self._pos = 0
            self.plain = self._codec is _V48
        else:
            self.rest = data

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
        codec = self._codec or self._choose_codec()
        if codec is None:
            return None
        header = self._header
        if header is not None:
            check_type(header, types)
            body = self._body
            if body is None or body.missing:
                return None
            head = self._head
            data: Payload = body.arrived()
            self._stop_collecting()
        else:
            rest, pos = self.rest, self._pos
            if len(rest) - pos < codec.HEADER_SIZE:
                return None
            header = codec.parse_header(rest, pos)
            if max_size:
                check_size(header, max_size)
            if types is not None and header[0] not in types:
                check_type(header, types)
            start = pos + codec.HEADER_SIZE + header[5]
            end = start + header[3]
            if len(rest) < end:
                if end - pos > _SMALL and len(rest) >= start:
                    self._start_collecting(header, start)
                return None
            head, data = rest[pos:start], rest[start:end]
            self._consumed(end)
        annotations = codec.parse_annotations(head[codec.HEADER_SIZE :]) if header[5] else {}
        frame = Frame(header[0], header[1], header[2], header[4], annotations, data)
        if hmac_key or codec is not _V48 or "HMAC" in annotations:
            return codec.finish(frame, header, hmac_key)
        return frame

    def ready(self, max_size: int = 0) -> bool:
        """Whether `next_frame` has something to say: a complete message is there, or an error is certain."""
        if self._body is not None:
            return not self._body.missing
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
        start = codec.HEADER_SIZE + header[5]
        size = start + header[3]
        if start <= available < size and size > _SMALL:
            self._start_collecting(header, self._pos + start)
        return available >= size

    def _consumed(self, position: int) -> None:
        """The bytes before ``position`` of ``rest`` have been consumed."""
        if position == len(self.rest):
            self.rest, self._pos = b"", 0
            self.plain = self._codec is _V48
        else:
            self._pos = position
            self.plain = False

    def take(self, size: int) -> bytes:
        """Up to ``size`` raw bytes from the front of the stream, for readers that parse messages themselves."""
        if self._body is not None:  # give up collecting: hand out the raw bytes again
            self.rest, self._pos = b"".join((self._head, bytes(self._body.arrived()), self.rest[self._pos :])), 0
            self.plain = self._codec is _V48
            self._stop_collecting()
        pos = self._pos
        taken = self.rest[pos : pos + size]
        self._consumed(pos + len(taken))
        return taken

    def _start_collecting(self, header: Header, start: int) -> None:
        """The payload of a large message begins at ``start`` of ``rest``, all of which belongs to the message."""
        self._header = header
        self._head = self.rest[self._pos : start]
        self._body = Body(header, self.rest[start:])
        self.collecting = True
        self.plain = False
        self.rest, self._pos = b"", 0

    def _stop_collecting(self) -> None:
        self._header = None
        self._head = b""
        self._body = None
        self.collecting = False
        self.plain = self._codec is _V48 and not self._pos


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
