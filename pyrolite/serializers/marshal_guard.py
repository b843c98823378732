"""Decoder of marshal data from the network ([SER-70], [HRD-1]).

``marshal.loads`` is not made for hostile input: it allocates what a count announces, follows references into containers
that are not finished yet, and builds code objects. So the structure of the whole payload is checked before it sees it.
"""

from __future__ import annotations

import marshal
from struct import Struct
from struct import error as _STRUCT_ERROR
from typing import Any, Final

__all__ = ["MAX_DEPTH", "loads"]

MAX_DEPTH: Final = 200
"""Containers inside of containers, at most ([SER-70])."""

_REFUSED: Final = "malformed marshal data"
_LOADER_ERRORS: Final = (ValueError, TypeError, EOFError, OverflowError, RecursionError, SystemError)

_read_u32: Final = Struct("<xI").unpack_from
_read_i32: Final = Struct("<xi").unpack_from

# References make data small that is large to walk through, or to hash ("a billion laughs"): the size that the value would
# have without them is limited to these plus the size of the payload times _EXPANSION.
_EXPANDED_ITEMS: Final = 1 << 22
_EXPANDED_KEYS: Final = 1 << 26
_EXPANSION: Final = 16

_BIG_KEYS: Final = 1000  # integers above 64 bits among the keys of one container, at most ([HRD-9])
_OPEN: Final = -1
_LOTS: Final = 1 << 62


def loads(data: bytes | bytearray | memoryview) -> Any:
    """Decode ``data``, one value in marshal format, after a check of the whole of it ([SER-70], [HRD-1]).

    Only None, bools, numbers, strings, bytes, tuples, lists, dicts, sets and frozensets are decoded, from every version of
    the format up to 4.

    Raises:
        ValueError: "malformed marshal data" for everything else, truncated data, data after the value, more than
            ``MAX_DEPTH`` levels, references to unfinished containers.

    Thread safety: no state is shared.
    """
    if type(data) is not bytes:
        data = bytes(data)
    _scan(data)
    try:
        return marshal.loads(data)
    except _LOADER_ERRORS as error:
        raise ValueError(f"{_REFUSED}: {error}") from error


def _refusal(reason: str) -> ValueError:
    return ValueError(f"{_REFUSED}: {reason}")


def _tables() -> tuple[bytes, bytes]:
    """Size and group of a token by its type code."""
    sizes, groups = bytearray(256), bytearray(256)
    for flag in (0, 0x80):
        for code, size in ((b"i", 5), (b"I", 9), (b"g", 9), (b"y", 17)):
            sizes[code[0] | flag] = size
        for group, codes in enumerate((b"NTF", b"zZ", b"stuaA", b"()[", b"{", b"<>", b"r", b"l", b"f", b"x", b"0"), 1):
            for code_ in codes:
                groups[code_ | flag] = group
    for code_ in b"NTF":
        sizes[code_] = 1
    groups[b"0"[0] | 0x80] = 0
    return bytes(sizes), bytes(groups)


_SIZES, _GROUPS = _tables()
_NOT_FLAGGED, _SHORT, _LONG, _SEQUENCE, _DICT, _SET, _REF, _INT, _FLOAT, _COMPLEX, _END = range(1, 12)
_KIND_SEQUENCE, _KIND_SET, _KIND_DICT = 0, 1, 2


def _scan(data: bytes) -> None:  # noqa: C901, PLR0912, PLR0915 - one loop, without a call per token
    """Check the structure of the payload; nothing is decoded.

    ``left`` are the values missing in the current container (a dict: _LOTS, less one for each key and value read).
    ``marked`` has the references that matter: to containers, and to values that are long to hash: what they add to the
    expanded size, _OPEN while unfinished. The others, to atoms, are only counted in ``slots``: the loader refuses
    references that do not exist (yet) by itself.
    """
    end = len(data)
    sizes, groups = _SIZES, _GROUPS
    pos = slots = items = more_items = more_bytes = key_bytes = big_keys = 0
    kind, left = _KIND_SEQUENCE, 1
    slot = start = start_items = start_bytes = key_depth = 0
    stack: list[tuple[int, int, int, int, int, int, int, int]] = []
    marked: dict[int, tuple[int, int]] = {}
    is_open = (_OPEN, _OPEN)
    try:
        while True:
            while not left:
                if not stack:
                    break
                if slot >= 0:
                    marked[slot] = (items + more_items - start_items, pos - start + more_bytes - start_bytes)
                kind, left, slot, start, start_items, start_bytes, big_keys, key_depth = stack.pop()
            else:
                code = data[pos]
                left -= 1
                size = sizes[code]
                if size:
                    pos += size
                    if code > 127:
                        slots += 1
                    continue
                group = groups[code]
                if group == _SHORT:
                    pos += 2 + data[pos + 1]
                    if code > 127:
                        slots += 1
                elif group == _LONG:
                    size = 5 + _read_u32(data, pos)[0]
                    if size > end:
                        raise _refusal("length exceeds the data")
                    pos += size
                    if code > 127:
                        if size > 100:
                            marked[slots] = (0, size)
                        slots += 1
                elif _SEQUENCE <= group <= _SET:
                    if len(stack) >= MAX_DEPTH:
                        raise _refusal("nesting too deep")
                    stack.append((kind, left, slot, start, start_items, start_bytes, big_keys, key_depth))
                    start, start_items, start_bytes = pos, items + more_items, more_bytes
                    if kind == _KIND_SET or (kind == _KIND_DICT and left & 1):
                        key_depth += 1
                    if group == _DICT:
                        kind, left, big_keys = _KIND_DICT, _LOTS, 0
                        pos += 1
                    else:
                        if code & 0x7F == 0x29:
                            left = data[pos + 1]
                            pos += 2
                        else:
                            left = _read_u32(data, pos)[0]
                            pos += 5
                        if left > end - pos:
                            raise _refusal("count exceeds the data")
                        items += left
                        kind = _KIND_SEQUENCE
                        if group == _SET:
                            kind, big_keys = _KIND_SET, 0
                    if code > 127:
                        slot = slots
                        marked[slot] = is_open
                        slots += 1
                    else:
                        slot = -1
                elif group == _REF:
                    index = _read_u32(data, pos)[0]
                    pos += 5
                    if index in marked:
                        item_count, byte_count = marked[index]
                        if item_count == _OPEN:
                            raise _refusal("reference to an unfinished container")
                        more_items += item_count
                        more_bytes += byte_count
                        if key_depth or kind == _KIND_SET or (kind == _KIND_DICT and left & 1):
                            key_bytes += byte_count
                        if more_items > _EXPANDED_ITEMS + _EXPANSION * end:
                            raise _refusal("too many references")
                        if key_bytes > _EXPANDED_KEYS + _EXPANSION * end:
                            raise _refusal("too many references in keys")
                    elif index >= slots:
                        raise _refusal("invalid reference")
                elif group == _END:
                    if kind != _KIND_DICT or not left & 1:
                        raise _refusal("end of a dict out of place")
                    items += _LOTS - left
                    left = 0
                    pos += 1
                elif group == _INT:
                    digits = abs(_read_i32(data, pos)[0])
                    size = 5 + 2 * digits
                    if size > end:
                        raise _refusal("length exceeds the data")
                    pos += size
                    if digits >= 5 and (kind == _KIND_SET or (kind == _KIND_DICT and left & 1)):
                        if digits > 5 or data[pos - 2] > 15 or data[pos - 1]:
                            big_keys += 1
                            if big_keys > _BIG_KEYS:
                                raise _refusal("too many large integers as keys")
                    if code > 127:
                        if size > 100:
                            marked[slots] = (0, size)
                        slots += 1
                elif group == _FLOAT:
                    pos += 2 + data[pos + 1]
                    slots += code >> 7
                elif group == _COMPLEX:
                    pos += 2 + data[pos + 1]
                    pos += 1 + data[pos]
                    slots += code >> 7
                elif group == _NOT_FLAGGED:
                    pos += 1
                else:
                    raise _refusal(f"type code {code} is not allowed")
                continue
            break
    except (IndexError, _STRUCT_ERROR) as error:
        raise _refusal("truncated") from error
    if pos != end:
        raise _refusal("truncated" if pos > end else "data after the value")
