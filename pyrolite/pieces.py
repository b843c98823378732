"""Payloads in pieces: what holds large bytes is sent from where they are, instead of from a copy of everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

__all__ = ["LARGE", "Pieces", "under_view"]

#: Bytes of this size and above are pieces of their own; below, joining takes less time than the pieces.
LARGE: Final = 1 << 16


@final
class Pieces:
    """A payload as a sequence of pieces, which belong together in this order.

    ``bytes(payload)`` joins them. The pieces must not change.
    """

    __slots__ = ("_size", "pieces")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces: Sequence[bytes] = pieces
        self._size = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    def __repr__(self) -> str:
        return f"<Pieces: {self._size} bytes in {len(self.pieces)}>"


def under_view(data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
    """The bytes that ``data`` is a view of, if it shows all of them; anything else as it is. Nothing is copied."""
    owner = data.obj if type(data) is memoryview else data
    return owner if type(owner) is bytes and len(owner) == len(data) else data
