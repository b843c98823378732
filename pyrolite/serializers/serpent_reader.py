"""Reader of serpent text from the network: Python literals and nothing else ([SER-18], [HRD-7], [SER-71])."""

from __future__ import annotations

from typing import Any, Final

from pyrolite.serializers import literal_reader
from pyrolite.serializers.literal_reader import MAX_DEPTH

__all__ = ["MAX_DEPTH", "loads"]

_REFUSED: Final = "malformed serpent data"
_READ_ERRORS: Final = (ValueError, TypeError, OverflowError)


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """Read one Python literal, as ``serpent.loads`` does ([SER-18]).

    Raises:
        ValueError: "malformed serpent data: ..." for everything that is no literal.

    Thread safety: no state is shared.
    """
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        return _read_slowly(text)
    except _READ_ERRORS as error:
        raise ValueError(f"{_REFUSED}: {error}") from error


def _read_slowly(text: str) -> Any:
    if "\0" in text:
        raise ValueError("NUL character")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\\" in text:
        text = literal_reader.mask(text)
    return literal_reader.read(text)
