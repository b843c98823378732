"""Large base64 in serpent text, which is what it makes of bytes ([SER-10] (d)).

It takes the largest part of such a text, and nothing is special in it. So it is not written into the text and not read
with it, but put between its pieces, and cut out before the rest is read.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

__all__ = ["cut_out", "is_plain_base64", "put_back"]

_BEGIN: Final = rb"\{'data': ?'"
_ENDS: Final = (b"', 'encoding': 'base64'}", b"','encoding':'base64'}")
#: Bytes at both ends of the text that are searched for where it begins and ends.
_AROUND: Final = 4096
#: Stands for what was cut out. Nobody else knows it, so it is not in the text.
_STAND_IN: Final = os.urandom(16).hex()
#: Characters with which a string in single quotes would not be the text between them, or no string.
_SPECIAL: Final = ("'", "\\", "\n", "\r", "\0")
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="


def cut_out(data: memoryview) -> tuple[str, str] | None:
    """The text around the base64 in ``data``, and the base64; None when there is not one large one, or broken text."""
    head, tail = bytes(data[:_AROUND]), bytes(data[-_AROUND:])
    begin = re.search(_BEGIN, head)
    end = max(map(tail.rfind, _ENDS))
    if begin is None or end < 0 or len(data) < 2 * _AROUND:
        return None
    try:
        text = f"{str(head[: begin.end()], 'utf-8')}{_STAND_IN}{str(tail[end:], 'utf-8')}"
        content = str(data[begin.end() : len(data) - len(tail) + end], "ascii")
    except UnicodeDecodeError:
        return None
    if any(special in content for special in _SPECIAL):
        return None
    return text, content


def put_back(value: Any, content: str) -> bool:
    """Put what was cut out into ``value``, a result or a call; False when it belongs somewhere else."""
    candidates = value[2] if type(value) is tuple and len(value) == 4 else (value,)
    for candidate in candidates if type(candidates) in {tuple, list} else ():
        if type(candidate) is dict and candidate.get("data") == _STAND_IN:
            candidate["data"] = content
            return True
    return False


def is_plain_base64(text: str) -> bool:
    """Whether ``text`` has only characters of base64, so that it needs no escapes."""
    return text.isascii() and not text.encode().translate(None, _ALPHABET)
