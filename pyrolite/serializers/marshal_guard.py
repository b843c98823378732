"""Decoder of marshal data from the network ([SER-70], [HRD-1]).

``marshal.loads`` is not made for hostile input: it allocates what a count announces, follows references into
containers that are not finished yet (which crashes the process), and builds code objects. So nothing reaches it unseen.
There are two ways through, because a call must not become slower by its check:

* A small payload has to match one regular expression, in C. It admits only tokens after which the loader is safe
  whatever their order: see :func:`_safe_tokens`. Nesting, missing and superfluous values are then found by the loader.
* Everything else goes through :func:`_scan`, which follows the structure token by token, but takes many values of
  simple lists, rows and dicts in one step.

Measured on CPython 3.11 with the 44 bytes of ``("obj_x", "echo", (1, "two", [3.5, None]), {})``: the loader alone takes
0.4 microseconds, the expression adds 0.6 and the frame around the payload 0.3; the scan would add 2.8. Large data with
the scan: 1 MiB of bytes adds 5 microseconds to 25; lists of numbers take 1.2 times what the loader takes alone, of
strings or dicts 2.3 times, of tuples 3 times; deep structures without any rule up to 12 times.
"""

from __future__ import annotations

import marshal
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from struct import Struct
from struct import error as StructError
from typing import Any, Final

from pyrolite import lazily
from pyrolite.pieces import Pieces
from pyrolite.serializers.large_bytes import loads_around

__all__ = ["MAX_DEPTH", "loads"]

MAX_DEPTH: Final = 200
"""Containers inside of containers, at most ([SER-70])."""

_REFUSED: Final = "malformed marshal data"
_LOADER_ERRORS: Final = (ValueError, TypeError, EOFError, OverflowError, RecursionError, SystemError)

# References make data small that is large to walk through, or to hash ("a billion laughs"): the size that the value
# would have without them is limited to these, plus the size of the payload times _EXPANSION.
_EXPANDED_ITEMS: Final = 1 << 22
_EXPANDED_KEYS: Final = 1 << 26
_EXPANSION: Final = 16

# In one container at most: keys that are integers above 64 bits ([HRD-9]); other keys with equal hashes.
_COLLIDING_KEYS: Final = 1000


def loads(data: bytes | bytearray | memoryview | Pieces) -> Any:
    """Decode ``data``, one value in marshal format, after a check of the whole of it ([SER-70], [HRD-1]).

    Only None, bools, numbers, strings, bytes, tuples, lists, dicts, sets and frozensets are decoded, from every version
    of the format up to 4.

    Raises:
        ValueError: "malformed marshal data: ..." for everything else, for truncated data, data after the value, more
            than ``MAX_DEPTH`` levels, references to unfinished containers, keys made to have the same hash.

    Thread safety: no state is shared.
    """
    if type(data) is not bytes:
        if type(data) is Pieces:
            return loads_around(data, loads, loads, data.pieces[0][-5:-4] + b"\x10\0\0\0")
        if type(data) is memoryview and (data.itemsize != 1 or not data.c_contiguous):
            data = data.tobytes()
    size = len(data)
    try:
        if 1 < size < _ATOM_SIZE and (size == _SIZES[data[0]] or (size == data[1] + 2 and _GROUPS[data[0]] == _SHORT)):
            return marshal.loads(data)  # a number or a short string, as many results are
        if size <= _SMALL and _has_safe_tokens(data) is not None and (size < 2 * MAX_DEPTH or _is_shallow(data)):
            # The frame shows what follows the value: the loader itself ignores it.
            value, end = marshal.loads(_FRAME_START + data + _FRAME_END)
            if end != _END_MARK:
                raise _refusal("data after the value")
            return value
        if _scan(data):
            _KeyCheck(data).read()
        return marshal.loads(data)
    except _Refusal:
        raise
    except _LOADER_ERRORS as error:
        raise ValueError(f"{_REFUSED}: {error}") from error


class _Refusal(ValueError):
    """What the check finds, as opposed to what the loader says."""


def _refusal(reason: str) -> _Refusal:
    return _Refusal(f"{_REFUSED}: {reason}")


# ---------------------------------------------------------------------------------------------- small payloads

_SMALL: Final = 4096  # bytes
_ATOM_SIZE: Final = 258  # bytes; no short string is as long as that
_END_MARK: Final = 1 << 59 | int.from_bytes(os.urandom(7), "big")  # nobody knows it, so nobody can send it
_FRAME_START: Final = b")\x02"
_FRAME_END: Final = marshal.dumps(_END_MARK, 2)


def _lengths(count: int, before: int = 0) -> bytes:
    """Expression for a length byte below ``count``, ``before`` more bytes and so many bytes of content.

    A dot is faster than a counted one, as long as there are few.
    """
    sizes = [size + before for size in range(count)]
    parts = [b"." * size if size <= 16 else b".{%d}" % size for size in sizes]
    return b"(?:" + b"|".join(re.escape(bytes([length])) + part for length, part in enumerate(parts)) + b")"


def _safe_tokens() -> bytes:
    """Expression for tokens of which the loader cannot be harmed, in whatever order they come.

    * There are no codes but those of data, and no integers above 75 bits; the payload is too small for many keys.
    * A count is below 256, and there are few containers: little is allocated in vain. (Depth: see _is_shallow.)
    * No reference leads to an unfinished container. References count the flagged values before them. A flagged
      container is admitted only as the third value of a call (obj, method, vargs, kwargs) and the first argument in
      it, where its number is 2 or 3 at most and references up to that are not admitted; or as the first value, where
      its number is 0; or when it is empty; or when few bytes follow, and none that could be a reference. So references
      lead to atoms and empty dicts only, and expand nothing.
    """
    string = rb"[zZ\xda\xfa]" + _lengths(256)
    flagged_container = rb"\xa9.|[\xdb\xa8\xbc\xbe].\0\0\0|\xfb"
    arguments = rb"(\xdb.\0\0\0(?:%s))|([)\xa9].|\[.\0\0\0(?:%s)?)" % (flagged_container, flagged_container)
    start = rb"(?:\)\x04%s%s(?:%s)|(%s))?" % (string, string, arguments, flagged_container)
    tokens = [
        string,
        rb"[i\xe9]....",
        rb"[NTF0]",
        rb"[g\xe7]........",
        rb"\xfb0",
        rb"\).",
        rb"\{",
        rb"\[.\0\0\0",
        rb"r(?(1)[\x04-\xff]|(?(2)[\x03-\xff]|(?(3)[\x01-\xff]|.)))\0\0\0",
        rb"[stuaA\xf3\xf4\xf5\xe1\xc1](?=.\0\0\0)" + _lengths(64, 3),
        rb"[(<>].\0\0\0",
        rb"[y\xf9]................",
        rb"[I\xc9]........",
        rb"(?:" + flagged_container + rb")(?=.{0,300}\Z)(?!.*r.\0\0\0)",
        rb"[l\xec](?:" + b"|".join(_digits(count) for count in (2, 3, 4, 5)) + rb")",
    ]
    # there is one way to match only; Python 3.11 can be told, and need not keep the others in mind
    return rb"(?s)" + start + rb"(?:" + b"|".join(tokens) + (rb")*+" if sys.version_info >= (3, 11) else rb")*")


def _digits(count: int) -> bytes:
    """Expression for the count of digits in a long integer, of either sign, and the digits."""
    signs = [re.escape(sign.to_bytes(4, "little", signed=True)) for sign in (count, -count)]
    return rb"(?:" + b"|".join(signs) + rb")" + b".." * count


_has_safe_tokens: Final = lazily.value("_has_safe_tokens", globals(), lambda: re.compile(_safe_tokens()).fullmatch)


def _is_shallow(data: bytes | bytearray | memoryview) -> bool:
    """Tell if there are too few containers for more than MAX_DEPTH levels; data of twice as many bytes has too few."""
    return len(data) - len(bytes(data).translate(None, _CONTAINERS)) <= MAX_DEPTH


_CONTAINERS: Final = bytes(code | flag for code in b"()[{<>" for flag in (0, 0x80))

# --------------------------------------------------------------------------------------------- all other payloads

_read_u32: Final = Struct("<xI").unpack_from
_read_i32: Final = Struct("<xi").unpack_from

_SHORT, _LONG, _SEQUENCE, _DICT, _SET, _REF, _END, _INT, _FLOAT, _COMPLEX, _COMPLEX_TEXT, _CONSTANT = range(1, 13)


def _tables() -> tuple[bytes, bytes]:
    """Size and group of a token by its type code; 0 when there is none."""
    sizes, groups = bytearray(256), bytearray(256)
    codes_of_groups = (b"zZ", b"stuaA", b"()[", b"{", b"<>", b"r", b"0", b"l", b"f", b"y", b"x", b"NTF")
    for flag in (0, 0x80):
        for code, size in zip(b"iIg", (5, 9, 9), strict=True):
            sizes[code | flag] = size
        for group, codes in enumerate(codes_of_groups, 1):
            for code in codes:
                groups[code | flag] = group
    for code in b"NTF":  # with the flag they are no referable value
        sizes[code] = 1
    groups[b"0"[0] | 0x80] = 0
    return bytes(sizes), bytes(groups)


_SIZES, _GROUPS = _tables()
_SMALL_TUPLE: Final = b")"[0]

# What a container is; the keys of a dict are the values with an odd number to come, as _LOTS is even.
_IN_SEQUENCE, _IN_SET, _IN_DICT = range(3)
_LOTS: Final = 1 << 62

# What is known of a referable value: what it adds to the number of items and of bytes, and how it is as a key.
_PLAIN, _BIG_INT, _COMPOUND = range(3)
_OPEN: Final = (-1, -1, _PLAIN)


def _scan(data: bytes | bytearray | memoryview) -> bool:  # noqa: C901, PLR0912, PLR0915 - one loop, no call per token
    """Check the structure of the payload; nothing is decoded. True: look at the hashes of its keys, too.

    ``left`` are the values missing in the current container (a dict: _LOTS, less one for each key and value read).
    ``marked`` has the referable values that matter: containers, and values that are long to hash; ``top_mark`` is the
    last one. All others are only counted, in ``slots``. ``probe``: with less values left, it is time to look for a run.
    """
    end = len(data)
    sizes, groups = _SIZES, _GROUPS
    pos = slots = items = more_items = more_bytes = key_bytes = big_keys = compound_keys = key_depth = 0
    kind, left, probe, slot, start, start_items, start_bytes = _IN_SEQUENCE, 1, 0, -1, 0, 0, 0
    top_mark = -1
    stack: list[tuple[int, ...]] = []
    marked: dict[int, tuple[int, int, int]] = {}
    check_keys = False
    try:
        while True:
            if not left:
                if not stack:
                    break
                if big_keys > _COLLIDING_KEYS:
                    raise _refusal("too many large integers as keys")
                check_keys = check_keys or compound_keys > _COLLIDING_KEYS
                if slot >= 0:
                    marked[slot] = (items + more_items - start_items, pos - start + more_bytes - start_bytes, _COMPOUND)
                (
                    kind, left, probe, slot, start, start_items, start_bytes, big_keys, compound_keys, key_depth
                ) = stack.pop()  # fmt: skip
                continue
            code = data[pos]
            left -= 1
            size = sizes[code]
            if size:
                pos += size
                slots += code >> 7
                if left < probe:
                    pos, count, flagged = _run(data, pos, left, kind, marked, top_mark)
                    left -= count
                    slots += flagged
                    probe = left if count > 16 else left - 64
                continue
            group = groups[code]
            if group == _SHORT:
                pos += 2 + data[pos + 1]
                slots += code >> 7
                if left < probe:
                    pos, count, flagged = _run(data, pos, left, kind, marked, top_mark)
                    left -= count
                    slots += flagged
                    probe = left if count else left - 64
            elif group == _REF:
                index = _read_u32(data, pos)[0]
                pos += 5
                if index in marked:
                    item_count, byte_count, sort = marked[index]
                    if item_count < 0:
                        raise _refusal("reference to an unfinished container")
                    more_items += item_count
                    more_bytes += byte_count
                    if more_items > _EXPANDED_ITEMS + _EXPANSION * end:
                        raise _refusal("too many references")
                    is_key = kind == _IN_SET or (kind == _IN_DICT and left & 1)
                    if key_depth or is_key:
                        key_bytes += byte_count
                        if key_bytes > _EXPANDED_KEYS + _EXPANSION * end:
                            raise _refusal("too many references in keys")
                    if is_key:
                        big_keys += sort == _BIG_INT
                        compound_keys += sort == _COMPOUND
                elif index >= slots:
                    raise _refusal("invalid reference")
            elif _SEQUENCE <= group <= _SET:
                if len(stack) >= MAX_DEPTH:
                    raise _refusal("nesting too deep")
                if left < probe and kind == _IN_SEQUENCE and top_mark < _FIRST_REFERENCE:
                    run_end, count = _rows(data, pos, left + 1)
                    if count:
                        items += run_end - pos
                        pos = run_end
                        left -= count - 1
                        continue
                    probe = left - 64
                is_key = kind == _IN_SET or (kind == _IN_DICT and left & 1)
                if is_key:
                    compound_keys += 1
                stack.append(
                    (kind, left, probe, slot, start, start_items, start_bytes, big_keys, compound_keys, key_depth)
                )
                start, start_items, start_bytes, slot = pos, items + more_items, more_bytes, -1
                if is_key:
                    key_depth += 1
                if group == _DICT:
                    kind, left, probe = _IN_DICT, _LOTS, _LOTS - 32
                    pos += 1
                else:
                    if code & 0x7F == _SMALL_TUPLE:
                        left = data[pos + 1]
                        pos += 2
                    else:
                        left = _read_u32(data, pos)[0]
                        pos += 5
                    if left > end - pos:
                        raise _refusal("count exceeds the data")
                    items += left
                    kind = _IN_SEQUENCE
                    probe = left if left > 32 else 0
                    if group == _SET:
                        kind = _IN_SET
                big_keys = compound_keys = 0
                if code > 127:
                    slot = top_mark = slots
                    marked[slot] = _OPEN
                    slots += 1
            elif group == _END:
                if kind != _IN_DICT:
                    raise _refusal("end of a dict outside of a dict")
                items += _LOTS - left
                left = 0
                pos += 1
            elif group == _LONG:
                size = _read_u32(data, pos)[0] + 5
                if size > end:
                    raise _refusal("length exceeds the data")
                pos += size
                if code > 127:
                    if size > _LONG_KEY:
                        marked[slots] = (0, size, _PLAIN)
                        top_mark = slots
                    slots += 1
            elif group == _INT:
                digits = abs(_read_i32(data, pos)[0])
                size = 5 + 2 * digits
                if size > end:
                    raise _refusal("length exceeds the data")
                pos += size
                if digits > 5 or (digits == 5 and (data[pos - 2] > 15 or data[pos - 1])):  # above 64 bits
                    if code > 127:
                        marked[slots] = (0, size, _BIG_INT)
                        top_mark = slots
                    if kind == _IN_SET or (kind == _IN_DICT and left & 1):
                        big_keys += 1
                slots += code >> 7
            elif group == _CONSTANT:
                pos += 1
            elif group == _FLOAT:
                pos += 2 + data[pos + 1]
                slots += code >> 7
            elif group in (_COMPLEX, _COMPLEX_TEXT):
                if code > 127:
                    marked[slots] = (0, 17, _COMPOUND)
                    top_mark = slots
                    slots += 1
                if kind == _IN_SET or (kind == _IN_DICT and left & 1):
                    compound_keys += 1
                if group == _COMPLEX:
                    pos += 17
                else:
                    pos += 2 + data[pos + 1]
                    pos += 1 + data[pos]
            else:
                raise _refusal(f"type code {code} is not allowed")
    except (IndexError, StructError) as error:
        raise _refusal("truncated") from error
    if pos != end:
        raise _refusal("truncated" if pos > end else "data after the value")
    return check_keys


_RUN: Final = 32  # values
_ROWS: Final = 16  # tuples or dicts
_FIRST_REFERENCE: Final = 3
_LONG_KEY: Final = 1000  # bytes that take time to compare, when there are many references to them


@cache
def _unflagged() -> bytes:
    """Expression for a value without flag, at most 64 bits if it is a number.

    References are to atoms while nothing behind is marked.
    """
    tokens = [
        rb"[zZ]" + _lengths(64),
        rb"i....",
        rb"[NTF]",
        rb"[gI]........",
        rb"r(?![\0-\x02]\0\0\0)....",
        rb"[stuaA](?=.\0\0\0)" + _lengths(64, 3),
        rb"l(?:" + b"|".join(_digits(count) for count in (2, 3, 4)) + rb")",
    ]
    return b"|".join(tokens)


_plain_values: Final = lazily.value(
    "_plain_values", globals(), lambda: re.compile(rb"(?s)(?:%s){%d}" % (_unflagged(), _RUN)).match
)
_flagged_strings: Final = lazily.value(
    "_flagged_strings", globals(), lambda: re.compile(rb"(?s)(?:[\xda\xfa]%s){%d}" % (_lengths(64), _RUN)).match
)


def _run(
    data: bytes | bytearray | memoryview,
    pos: int,
    left: int,
    kind: int,
    marked: dict[int, tuple[int, int, int]],
    top_mark: int,
) -> tuple[int, int, int]:
    """Skip values that need no further look, ``left`` at most; tell what is behind, how many, how many referable.

    They are numbers and constants of one size, or the same short strings, or any short ones without flags.
    """
    if left < _RUN:
        return pos, 0, 0
    code = data[pos]
    size = _SIZES[code]
    total = 0
    if kind != _IN_DICT and size:
        total, flagged = _uniform_run(data, pos, left, size, marked)
        if total > 16:
            return pos + total * size, total, flagged
        total = 0
    values, flag = (_flagged_strings, 1) if code in b"\xda\xfa" else (_plain_values, 0)
    if not flag and top_mark >= _FIRST_REFERENCE:
        return pos, 0, 0
    while left >= _RUN and (match := values(data, pos)) is not None:
        pos = match.end()
        total += _RUN
        left -= _RUN
    return pos, total, total * flag


def _rows(data: bytes | bytearray | memoryview, pos: int, left: int) -> tuple[int, int]:
    """Skip small tuples of one length, or dicts with strings as keys, of values as in :func:`_run`."""
    code = data[pos]
    if code == b"{"[0]:
        rows = _row(-1)
    elif code == _SMALL_TUPLE and 0 < data[pos + 1] <= 16:
        rows = _row(data[pos + 1])
    else:
        return pos, 0
    total = 0
    while left >= _ROWS and (match := rows(data, pos)) is not None:
        pos = match.end()
        total += _ROWS
        left -= _ROWS
    return pos, total


@cache
def _row(length: int) -> Callable[[bytes | bytearray | memoryview, int], re.Match[bytes] | None]:
    """Expression for _ROWS tuples of ``length`` items; dicts when it is negative."""
    if length < 0:
        row = rb"\{(?:(?:[zZ]%s|r(?![\0-\x02]\0\0\0)....)(?:%s)){0,60}0" % (_lengths(64), _unflagged())
    else:
        row = rb"\)\x%02x(?:%s){%d}" % (length, _unflagged(), length)
    return re.compile(rb"(?s)(?:%s){%d}" % (row, _ROWS)).match


#: Codes of tokens, by the size of these in bytes.
_ALIKE: Final = {1: rb"NTF", 5: rb"i\xe9", 9: rb"gI\xe7\xc9"}
_ALIKE_OR_REFERENCE: Final = rb"i\xe9r"


@cache
def _any_number_of(codes: bytes) -> Callable[[bytes], re.Match[bytes] | None]:
    return re.compile(rb"[%s]*" % codes).match


def _uniform_run(
    data: bytes | bytearray | memoryview, pos: int, most: int, size: int, marked: dict[int, tuple[int, int, int]]
) -> tuple[int, int]:
    """Count the tokens of ``size`` bytes each from ``pos`` on, ``most`` of them, and those that are referable.

    References are among them as long as there are few values that must not be referred to.
    """
    alike = _ALIKE[size] if size != 5 or len(marked) > 8 else _ALIKE_OR_REFERENCE
    matching = _any_number_of(alike)
    total = flagged = 0
    step = 64
    while most:
        count = min(most, step)
        codes = bytes(data[pos : pos + count * size : size])
        found = matching(codes)
        assert found is not None
        matched = found.end()
        if alike is _ALIKE_OR_REFERENCE:
            matched = _before_marked(bytes(data[pos : pos + matched * size]), marked)
        flagged += len(codes[:matched]) - len(codes[:matched].translate(None, _FLAGGED))
        total += matched
        pos += matched * size
        most -= matched
        if matched < count:
            break
        step *= 16
    return total, flagged


_FLAGGED: Final = bytes(range(128, 256))


def _before_marked(tokens: bytes, marked: dict[int, tuple[int, int, int]]) -> int:
    """Count the tokens, of 5 bytes each, before the first one that refers to a marked value."""
    stop = len(tokens)
    for index in marked:
        reference = b"r" + index.to_bytes(4, "little")
        found = tokens.find(reference, 0, stop)
        while found >= 0:
            if found % 5 == 0:
                stop = found
                break
            found = tokens.find(reference, found + 1, stop)
    return (stop + 4) // 5


# ------------------------------------------------------------------------------------------- many compound keys


class _KeyCheck:
    """Reader of a payload that was scanned, for the hashes of its keys; dicts and sets are not built.

    The hashes of numbers, and of tuples and frozensets of numbers, are no secret: who wants to can send many keys with
    the same one, and let a dict compare them all with each other. This is slow, so the scan asks for it only when more
    than _COLLIDING_KEYS keys of one container are neither strings nor numbers.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = data
        self._pos = 0
        self._values: list[Any] = []

    def read(self) -> Any:
        """Read one value; what cannot be a key is only a stand-in of the kind.

        Raises:
            ValueError: the keys of one container have the same hash too often.
            TypeError: a key cannot be hashed.
        """
        code = self._data[self._pos]
        group = _GROUPS[code]
        if group == _REF:
            self._pos += 5
            return self._values[_read_u32(self._data, self._pos - 5)[0]]
        slot = len(self._values)
        if code > 127 and group != _CONSTANT:
            self._values.append(None)
        value: Any
        if group == _DICT:
            value = self._read_dict()
        elif group in (_SEQUENCE, _SET):
            value = self._read_items(code & 0x7F)
        else:
            value = self._read_atom(code, group)
        if code > 127 and group != _CONSTANT:
            self._values[slot] = value
        return value

    def _read_dict(self) -> list[Any]:
        self._pos += 1
        keys = []
        while self._data[self._pos] != _DICT_END:
            keys.append(self.read())
            if self._data[self._pos] != _DICT_END:
                self.read()
        self._pos += 1
        _check_hashes(keys)
        return []

    def _read_items(self, code: int) -> Any:
        if code == _SMALL_TUPLE:
            count = self._data[self._pos + 1]
            self._pos += 2
        else:
            count = _read_u32(self._data, self._pos)[0]
            self._pos += 5
        items = [self.read() for _ in range(count)]
        if code in b"()":
            return tuple(items)
        if code in b"<>":
            _check_hashes(items)
            if code == b">"[0]:
                return frozenset(items)
        return []

    def _read_atom(self, code: int, group: int) -> Any:
        pos, data = self._pos, self._data
        if group in (_SHORT, _FLOAT):
            size = 2 + data[pos + 1]
        elif group == _LONG:
            size = 5 + _read_u32(data, pos)[0]
        elif group == _INT:
            size = 5 + 2 * abs(_read_i32(data, pos)[0])
        elif group == _COMPLEX:
            size = 17
        elif group == _COMPLEX_TEXT:
            size = 2 + data[pos + 1]
            size += 1 + data[pos + size]
        else:
            size = _SIZES[code] or 1
        self._pos = pos + size
        return marshal.loads(data[pos : pos + size])


_DICT_END: Final = b"0"[0]


def _check_hashes(keys: list[Any]) -> None:
    if len(keys) > _COLLIDING_KEYS and len(set(map(hash, keys))) < len(keys) - _COLLIDING_KEYS:
        raise _refusal("too many keys with the same hash")
