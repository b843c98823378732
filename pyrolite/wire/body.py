"""The payload of a large message while it arrives.

Memory that is new to a process has to be cleared by the system, page by page, which takes longer than filling it. So
payloads of moderate size are received into one of a few buffers that the process keeps, and decoded from there.
"""

from __future__ import annotations

from collections import deque
from io import BytesIO
from typing import Final

from pyrolite.wire.message import Buffer

__all__ = ["KEPT_BUFFERS", "KEPT_SIZE", "Body"]

#: How many buffers the process keeps, from their first use on.
KEPT_BUFFERS: Final = 4
#: Their size in bytes: enough for a MiB in base64.
KEPT_SIZE: Final = 3 << 19

# The next one to use is on the left. A buffer is out of here only while one thread looks at it; whether it is in use
# tell the views of it, which the frames and whoever has got hold of their data keep alive.
_kept: Final = deque(bytearray() for _ in range(KEPT_BUFFERS))


class Body:
    """What has arrived of a payload of ``size`` bytes, ``begin`` at first.

    Thread safety: none.
    """

    __slots__ = ("_grown", "_view", "missing")

    def __init__(self, size: int, begin: bytes) -> None:
        #: number of bytes that have not arrived
        self.missing: int = size
        self._view: memoryview | None = _view_of_kept(size) if size <= KEPT_SIZE else None
        # its memory grows with what is written, and becomes that of the payload without a copy
        self._grown: BytesIO | None = BytesIO() if self._view is None else None
        self.append(begin)

    def append(self, data: Buffer) -> None:
        """Add ``data``, no more than is missing."""
        if self._grown is not None:
            self._grown.write(data)
        elif self._view is not None:
            start = len(self._view) - self.missing
            self._view[start : start + len(data)] = data
        self.missing -= len(data)

    def space(self, size: int) -> memoryview | None:
        """Where to write the next ``size`` bytes before they are `added`; None: not here, use `append`."""
        if self._view is None:
            return None
        start = len(self._view) - self.missing
        return self._view[start : start + size]

    def added(self, size: int) -> None:
        """So many bytes were written into the `space`."""
        self.missing -= size

    def arrived(self) -> memoryview:
        """What has arrived. Always a view, which is how readers know that it may be large."""
        if self._view is not None:
            return self._view[: len(self._view) - self.missing].toreadonly()
        assert self._grown is not None
        return memoryview(self._grown.getvalue())


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
