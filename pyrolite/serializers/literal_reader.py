"""Reader of Python literals in linear time and memory, one token after the other ([SER-18], [HRD-7]).

``ast.literal_eval`` makes objects for each element before it makes the element (2 GB for a list of 12 MB), holds the
global lock all the time, and parses the rest of the language, too. This one knows nothing but literals.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Final

from pyrolite import lazily

__all__ = ["COLLIDING_KEYS", "MAX_DEPTH", "check_keys", "mask", "read"]

MAX_DEPTH: Final = 200
"""Brackets inside of brackets, at most ([SER-71])."""

COLLIDING_KEYS: Final = 1000
"""In one dict or set at most: integers above 64 bits ([HRD-9]); other keys with equal hashes."""


def mask(text: str) -> str:
    """Replace backslashes that hide quotes, so that the quotes that are left are ends of strings.

    The text must not have NUL characters: these are the new escapes, two characters long like the old ones. A backslash
    that is left begins one of the other escapes.
    """
    text = text.replace("\\\\", "\0b").replace("\\'", "\0s")
    if '"' in text:
        text = text.replace('\\"', "\0d")
    return text.replace("\\\n", "\0n") if "\n" in text else text


def unmask(text: str) -> str:
    """Undo :func:`mask`."""
    return text.replace("\0n", "\\\n").replace("\0d", '\\"').replace("\0s", "\\'").replace("\0b", "\\\\")


def check_keys(keys: list[Any]) -> None:
    """Refuse keys of which too many could be meant to collide ([HRD-9]).

    Raises:
        ValueError: there are more than ``COLLIDING_KEYS`` integers above 64 bits, or that many equal hashes.
        TypeError: a key cannot be hashed.
    """
    if len(keys) <= COLLIDING_KEYS:
        return
    kinds = set(map(type, keys))
    if int in kinds and sum(key.bit_length() > 64 for key in keys if type(key) is int) > COLLIDING_KEYS:
        raise ValueError("too many large integers as keys")
    # The hashes of numbers, and of tuples of numbers, are no secret.
    if not kinds <= _SAFE_KEYS and len(set(map(hash, keys))) < len(keys) - COLLIDING_KEYS:
        raise ValueError("too many keys with the same hash")


_SAFE_KEYS: Final = {str, bytes, int, float, bool, type(None), type(...)}


# ------------------------------------------------------------------------------------------------------ strings


def _string(prefix: str, body: str) -> str | bytes:
    """Evaluate a string literal; ``body`` is masked."""
    prefix = prefix.lower()
    raw = "r" in prefix
    escapes = not raw and ("\0" in body or "\\" in body)
    if "\0" in body:
        body = unmask(body)
    if "b" in prefix:
        data = body.encode("ascii")
        if not escapes:
            return data
        if _UNKNOWN_BYTES_ESCAPE.search(data.replace(b"\\\\", b"  ")):
            data = _BYTES_ESCAPE.sub(_known_bytes_escape, data)
        return codecs.escape_decode(data)[0]
    if not escapes:
        return body
    if _UNKNOWN_ESCAPE.search(body.replace("\\\\", "  ")):
        body = _ESCAPE.sub(_known_escape, body)
    return body.encode("ascii", "backslashreplace").decode("unicode_escape")


# The codecs warn of escapes that do not exist (and keep them), and of octal numbers above 377: they do not get to see
# them. A backslash before a letter outside of ASCII would hide the escape that stands for the letter.
_UNKNOWN_ESCAPE: Final = lazily.value(
    "_UNKNOWN_ESCAPE", globals(), lambda: re.compile(r"\\(?:[^\nabfnrtv'\"0-7xuUN]|[4-7][0-7][0-7])")
)
_ESCAPE: Final = lazily.value("_ESCAPE", globals(), lambda: re.compile(r"(?s)\\([0-7]{1,3}|.)"))
_UNKNOWN_BYTES_ESCAPE: Final = lazily.value(
    "_UNKNOWN_BYTES_ESCAPE", globals(), lambda: re.compile(rb"\\(?:[^\nabfnrtv'\"0-7x]|[4-7][0-7][0-7])")
)
_BYTES_ESCAPE: Final = lazily.value("_BYTES_ESCAPE", globals(), lambda: re.compile(rb"(?s)\\([0-7]{1,3}|.)"))


def _known_escape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "01234567":
        return rf"\u{int(code, 8):04x}"
    return match.group() if code in "\n\\abfnrtv'\"xuUN" else "\\" + match.group()


def _known_bytes_escape(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    if code[0] in b"01234567":
        return rb"\x%02x" % (int(code, 8) & 0xFF)
    return match.group() if code in b"\n\\abfnrtv'\"x" else b"\\" + match.group()


# ------------------------------------------------------------------------------------------------------- tokens

# Each part can be matched in one way only, so no input makes the expression try many.
_token: Final = lazily.value(
    "_token",
    globals(),
    lambda: (
        re.compile(
            r"""[ \t\f]*(?:
      (,)                                                                                        # 1
    | (:)                                                                                        # 2
    | ([\[({])                                                                                   # 3
    | ([\])}])                                                                                   # 4
    | ((?:0[xXoObB][0-9a-fA-F_]+
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?[jJ]?)(?!\w))    # 5 number
    | ([bB][rR]?|[rR][bB]?|[uU])?(?:(\'\'\'|\"\"\")|'([^'\n]*)'|"([^"\n]*)")                     # 6 prefix 7 8 9
    | ((?:None|True|False)(?!\w)|\.\.\.|set[ \t\f]*\([ \t\f\n]*\))                               # 10
    | ([+-])                                                                                     # 11
    | (\n|\#|\0n)                                                                                # 12 end of a line
    )""",
            re.VERBOSE,
        ).match
    ),
)
_COMMA, _COLON, _OPEN, _CLOSE, _NUMBER, _PREFIX, _TRIPLE, _SINGLE, _DOUBLE, _NAME, _SIGN, _LINE = range(1, 13)
_VALUES: Final = {"None": None, "True": True, "False": False, "...": ...}
_comment: Final = lazily.value("_comment", globals(), lambda: re.compile(r"[^\n\0]*").match)

# Where the reader is. A brace does not say at once what it opens.
_TOP, _TOP_TUPLE, _PARENTHESIS, _TUPLE, _LIST, _BRACE, _SET, _DICT_KEY, _DICT_VALUE = range(9)
_OPENED: Final = {"(": _PARENTHESIS, "[": _LIST, "{": _BRACE}
_CLOSED_BY: Final = {
    _PARENTHESIS: ")", _TUPLE: ")", _LIST: "]", _BRACE: "}", _SET: "}", _DICT_KEY: "}", _DICT_VALUE: "}"
}  # fmt: skip
_AFTER_COMMA: Final = {
    _TOP: _TOP_TUPLE, _TOP_TUPLE: _TOP_TUPLE, _PARENTHESIS: _TUPLE, _TUPLE: _TUPLE, _LIST: _LIST,
    _BRACE: _SET, _SET: _SET, _DICT_VALUE: _DICT_KEY,
}  # fmt: skip

# What a value may still become part of: literals of strings next to each other; numbers with a sign; complex numbers.
_FINAL, _STRING, _UNSIGNED, _SIGNED = range(4)
_NOTHING: Final = object()


def read(text: str) -> Any:  # noqa: C901, PLR0912, PLR0915 - one loop, with few calls per token
    """Read the only literal in ``text``, which is masked and has no carriage returns.

    Raises:
        ValueError: for everything that is no literal, too deep, or has too many large integers as keys.
        TypeError: a key of a dict or an element of a set cannot be hashed.
        OverflowError: a complex number has a part that is too large.

    Thread safety: no state is shared.
    """
    text = text.lstrip(" \t")
    pos = 0
    state, items, kind, sign, operation = _TOP, list[Any](), _FINAL, "", ""
    value: Any = _NOTHING
    left: Any = None
    stack: list[tuple[int, list[Any], str, str, Any]] = []
    strings: list[Any] = []
    begun = ended = indented = False
    while (match := _token(text, pos)) is not None:
        start, pos, what = pos, match.end(), match.lastindex
        assert what is not None
        if kind == _STRING and not _PREFIX <= what <= _DOUBLE and what != _LINE:
            value, kind = _joined(strings), _FINAL
        if not stack and (what == _LINE or not begun or ended):
            indented = indented or _is_indented(match.group())
            if what != _LINE:
                if ended or indented:
                    raise _error("something after the value" if ended else "indented", start)
                begun = True
        if what == _COMMA:
            if value is _NOTHING or state == _DICT_KEY:
                raise _error("comma", start)
            items.append(value)
            value, state = _NOTHING, _AFTER_COMMA[state]
            continue
        if what == _NUMBER:
            if value is not _NOTHING:
                raise _error("number after a value", start)
            value, kind = _number(match.group(_NUMBER)), _UNSIGNED
        elif _PREFIX <= what <= _DOUBLE:
            string, pos = _next_string(match, text, pos)
            if kind != _STRING:
                if value is not _NOTHING or sign or operation:
                    raise _error("string after a value or sign", start)
                value, kind, strings = string, _STRING, [string]
            elif type(string) is not type(value):
                raise _error("bytes and str", start)
            else:
                strings.append(string)
            continue
        elif what == _OPEN:
            if value is not _NOTHING:
                raise _error("bracket after a value", start)
            if len(stack) >= MAX_DEPTH:
                raise _error("nesting too deep", start)
            stack.append((state, items, sign, operation, left))
            state, items, sign, operation = _OPENED[match.group(_OPEN)], [], "", ""
            continue
        elif what == _CLOSE:
            if sign or operation or _CLOSED_BY.get(state) != match.group(_CLOSE):
                raise _error("closing bracket", start)
            if state != _PARENTHESIS or value is _NOTHING:
                value, kind = _container(state, items, value, start), _FINAL
            state, items, sign, operation, left = stack.pop()
        elif what == _COLON:
            if value is _NOTHING or state not in (_BRACE, _DICT_KEY):
                raise _error("colon", start)
            items.append(value)
            value, state = _NOTHING, _DICT_VALUE
            continue
        elif what == _NAME:
            if value is not _NOTHING:
                raise _error("name after a value", start)
            name = match.group(_NAME)
            value, kind = _VALUES.get(name, _NOTHING), _FINAL
            if value is _NOTHING:
                value = set()
        elif what == _SIGN:
            if value is _NOTHING:
                if sign or operation:
                    raise _error("sign after a sign", start)
                sign = match.group(_SIGN)
            elif kind < _UNSIGNED or type(value) is complex:
                raise _error("operator", start)
            else:
                operation, left, value = match.group(_SIGN), value, _NOTHING
            continue
        else:
            line = match.group(_LINE)
            if line == "#":
                pos = _end_of_comment(text, pos)
                if text.startswith("\0n", pos):
                    pos += 2
                    line = "\n"
            if line == "\n":
                indented = False
                if begun and not stack:
                    ended = True
                    if sign or operation:
                        raise _error("end of the line", start)
            elif line == "\0n" and pos == len(text):
                raise _error("end of the text", start)
            continue
        # A number, name or closed bracket may be what a sign or an operator waits for.
        if sign:
            if kind != _UNSIGNED:
                raise _error("sign", start)
            value, kind, sign = -value if sign == "-" else value, _SIGNED, ""
        if operation:
            if kind != _UNSIGNED or type(value) is not complex:
                raise _error("operator", start)
            value, kind, operation = left + value if operation == "+" else left - value, _FINAL, ""
    rest = text[pos:]
    if stack or sign or operation or rest.strip(" \t\f") or (ended and _is_indented(rest)):
        raise _error("not a literal", pos)
    if kind == _STRING:
        value = _joined(strings)
    return _container(state, items, value, pos)


def _error(reason: str, pos: int) -> ValueError:
    return ValueError(f"{reason}, at character {pos}")


def _is_indented(line: str) -> bool:
    blanks = line[: len(line) - len(line.lstrip(" \t\f"))]
    return blanks.rpartition("\f")[2] != ""


def _joined(strings: list[Any]) -> Any:
    return strings[0] if len(strings) == 1 else type(strings[0])().join(strings)


def _number(text: str) -> int | float | complex:
    if text[-1] in "jJ":
        return complex(0.0, float(text[:-1]))
    if text.isdigit() or text[:2] in _BASES or not ("." in text or "e" in text or "E" in text):
        return int(text, 0)
    return float(text)


_BASES: Final = frozenset({"0x", "0X", "0o", "0O", "0b", "0B"})


def _next_string(match: re.Match[str], text: str, pos: int) -> tuple[str | bytes, int]:
    """Evaluate the string that ``match`` is, or begins, and tell where it ends."""
    prefix, quotes, body, other_body = match.group(_PREFIX, _TRIPLE, _SINGLE, _DOUBLE)
    if quotes is not None:
        end = text.find(quotes, pos)
        if end < 0:
            raise _error("string without an end", pos)
        body, pos = text[pos:end], end + 3
    elif body is None:
        body = other_body
    if prefix is None and "\\" not in body and "\0" not in body:
        return body, pos
    return _string(prefix or "", body), pos


def _container(state: int, items: list[Any], value: Any, pos: int) -> Any:
    """Make what ends here from its items and the last value, if there is one."""
    if value is _NOTHING:
        if state in (_TOP, _DICT_VALUE):
            raise _error("value missing", pos)
        if state == _BRACE:
            return {}
    elif state == _TOP:
        return value
    elif state == _DICT_KEY:
        raise _error("key without a value", pos)
    else:
        items.append(value)
    if state == _LIST:
        return items
    if state in (_SET, _BRACE):
        check_keys(items)
        return set(items)
    if state in (_DICT_KEY, _DICT_VALUE):
        keys = items[::2]
        check_keys(keys)
        return dict(zip(keys, items[1::2], strict=True))
    return tuple(items)


def _end_of_comment(text: str, pos: int) -> int:
    """Find the line end after ``pos``; a masked backslash before it does not hide it."""
    while True:
        pos = _comment(text, pos).end()  # type: ignore[union-attr]
        if not text.startswith("\0", pos) or text.startswith("\0n", pos):
            return pos
        pos += 2
