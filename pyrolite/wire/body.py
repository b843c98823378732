"""The payload of a large message while it arrives.

Memory that is new to a process has to be cleared by the system, page by page, which takes longer than filling it. So
payloads of moderate size are received into one of a few buffers that the process keeps, and decoded from there. Larger
ones get new memory; large bytes that fill nearly all of them get it alone, so that they need not be copied out of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Final

from pyrolite.pieces import Pieces
from pyrolite.wire.message import FLAGS_COMPRESSED, FLAGS_KEEPSERIALIZED, Buffer, Header

__all__ = ["FINDERS", "KEPT_BUFFERS", "KEPT_SIZE", "Body"]

#: Functions that tell, by the beginning of a payload and its size, where large bytes begin and end that fill nearly all
#: of it; by the number of the serializer. Such a payload is received in pieces.
FINDERS: Final[dict[int, Callable[[bytes, int], tuple[int, int] | None]]] = {}

#: How many buffers the process keeps, from their first use on.
KEPT_BUFFERS: Final = 4
#: Their size in bytes: enough for a MiB in base64.
KEPT_SIZE: Final = 3 << 19

#: Flags of payloads that are not just what a serializer has made.
_SPECIAL: Final = FLAGS_COMPRESSED | FLAGS_KEEPSERIALIZED

# The next one to use is on the left. A buffer is out of here only while one thread looks at it; whether it is in use
# tell the views of it, which the frames and whoever has got hold of their data keep alive.
_kept: Final = deque(bytearray() for _ in range(KEPT_BUFFERS))


class Body:
    """What has arrived of the payload of a message with that header, ``begin`` at first.

    Thread safety: none.
    """

    __slots__ = ("_before", "_behind", "_grown", "_rest", "_view", "missing")

    def __init__(self, header: Header, begin: bytes) -> None:
        #: number of bytes that have not arrived
        self.missing: int = header[3]
        self._view: memoryview | None = _view_of_kept(self.missing) if self.missing <= KEPT_SIZE else None
        # its memory grows with what is written, and becomes that of the payload without a copy; or that of the large
        # bytes in it, of which _rest are to come: then the other two are what is before and behind them
        self._grown: BytesIO | None = BytesIO() if self._view is None else None
        self._before: bytes | None = None
        self._rest = self.missing
        self._behind = b""
        place = _place_of_large(header, begin)
        if place is not None:
            start, end = place
            self._before, begin = begin[:start], begin[start:]
            self._rest = end - start
            self.missing -= start
        self.append(begin)

    def append(self, data: Buffer) -> None:
        """Add ``data``, no more than is missing."""
        size = len(data)
        if self._view is not None:
            start = len(self._view) - self.missing
            self._view[start : start + size] = data
        elif self._grown is not None:
            if size > self._rest:
                self._behind += data[self._rest :]
                data = data[: self._rest]
            self._rest -= self._grown.write(data)
        self.missing -= size

    def space(self, size: int) -> memoryview | None:
        """Where to write the next ``size`` bytes before they are `added`; None: not here, use `append`."""
        if self._view is None:
            return None
        start = len(self._view) - self.missing
        return self._view[start : start + size]

    def added(self, size: int) -> None:
        """So many bytes were written into the `space`."""
        self.missing -= size

    def arrived(self) -> memoryview | Pieces:
        """What has arrived. Never bytes, which is how readers know that it may be large."""
        if self._view is not None:
            return self._view[: len(self._view) - self.missing].toreadonly()
        assert self._grown is not None
        if self._before is None:
            return memoryview(self._grown.getvalue())
        return Pieces([self._before, self._grown.getvalue(), self._behind])


def _place_of_large(header: Header, begin: bytes) -> tuple[int, int] | None:
    """Where large bytes are in a payload that begins with ``begin``; None: none that should be a piece of their own."""
    find = FINDERS.get(header[4])
    if find is None or header[3] <= KEPT_SIZE or header[1] & _SPECIAL:
        return None
    place = find(begin, header[3])
    return place if place is not None and place[0] <= len(begin) else None


def _view_of_kept(size: int) -> memoryview | None:
    """The first ``size`` bytes of a kept buffer that nobody uses; None: all are in use."""
    for _ in range(KEPT_BUFFERS):
        try:
            buffer = _kept.popleft()
        except IndexError:  # other threads look at the others
            return None
        view = None
        try:
            buffer.append(0)  # refused as long as there is a view
            buffer.pop()
            if not buffer:
                buffer += bytes(KEPT_SIZE)
            view = memoryview(buffer)
        except BufferError:
            continue
        finally:
            if view is None:
                _kept.append(buffer)
            else:
                _kept.appendleft(buffer)
        return view[:size]
    return None
