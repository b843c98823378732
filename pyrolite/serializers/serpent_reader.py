"""Reader of serpent text from the network: Python literals and nothing else ([SER-18], [HRD-7], [SER-71])."""

from __future__ import annotations

import ast
import re
from typing import Any, Final

__all__ = ["MAX_DEPTH", "loads"]

MAX_DEPTH: Final = 200
"""Brackets inside of brackets, at most ([SER-71])."""

# A string, a comment, or a character that stands for itself. (First version: to be replaced by a reader of its own.)
_TOKENS: Final = re.compile(
    r"""#[^\n]*|(?<![\w"'])[bBrRuU]{0,2}(?:'(?!'')(?:[^'\\\n]|\\[\s\S])*'|"(?!"")(?:[^"\\\n]|\\[\s\S])*")"""
    r"""|(?<![\w.])(?:None|True|False|set(?=\())(?!\w)|[0-9][0-9a-fA-FxXoO_]*[jJ]?|[eE][0-9_]+[jJ]?|[\s\[\](){},:.+-]|jJ"""
)


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """Read one Python literal, as ``serpent.loads`` does ([SER-18]).

    Raises:
        ValueError: for everything that is no literal, NUL characters, broken UTF-8, more than ``MAX_DEPTH`` levels.

    Thread safety: no state is shared.
    """
    text = data if isinstance(data, str) else str(data, "utf-8")
    if "\0" in text:
        raise ValueError("malformed serpent data: NUL character")
    pos = depth = 0
    for token in _TOKENS.finditer(text):
        if token.start() != pos:
            break
        pos = token.end()
        first = text[token.start()]
        if first in "([{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError("malformed serpent data: nesting too deep")
        elif first in ")]}":
            depth -= 1
    if pos != len(text):
        raise ValueError("malformed serpent data: not a literal")
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError, AttributeError) as error:
        raise ValueError(f"malformed serpent data: {error}") from error
