"""Reads pages of the documentation as what a reader would type and save, in order.

The language of a block says what is done with it, and a comment before it, which readers do not see, says what differs:

=================================  =====================================================================================
``python``                         runs in the Python session of the page, after the blocks before it
``python`` (or any other), whose   is saved under that name; a later block has to make use of it
first line is ``# NAME.EXT``
``pycon``                          typed into the Python session of the page; the answers have to be those shown
``console``                        lines with ``$`` are typed into a new terminal; the output has to be as shown
``text``                           what the ``python`` block before it prints
``<!-- run: background -->``       the last command of the terminal keeps running after it has printed what is shown
``<!-- run: exit N -->``           the last command ends with that exit code, and not with 0
``<!-- not run: REASON -->``       the block is not run
``<!-- hidden LANGUAGE ... -->``   a block that readers do not see; also ``hidden background``, for a terminal
=================================  =====================================================================================

In what is shown, ``...`` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = [
    REPOSITORY / "README.md",
    *(
        path
        for path in sorted((REPOSITORY / "docs").rglob("*.md"))
        if not {"_build", "specification"} & set(path.relative_to(REPOSITORY).parts)
        # needs PostgreSQL and Redis, which its own test has: tests/integration/naming/test_production_page.py
        and path.stem != "name-service-in-production"
    ),
]

_MARK = re.compile(r"<!--\s*(run|not run|hidden)\b:?\s*(.*?)-->", re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w./-]+\.\w+|Dockerfile)\n")
_LANGUAGES = {"python", "pycon", "console", "text"}


class Block(NamedTuple):
    """Something to do.

    ``kind`` is ``python``, ``pycon``, ``console``, ``text``, ``file`` or ``not run``; ``note`` is the name of a file,
    the mark of a terminal (``background``, ``exit 1``), or the reason for not running the block.
    """

    kind: str
    text: str
    line: int
    note: str = ""


class PageError(Exception):
    """A page has something that is neither code nor known."""


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page; raises PageError for code that would not run and has no mark."""
    return list(_blocks(MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))))


def _blocks(tokens: list[Token]) -> Iterator[Block]:
    mark = note = ""
    for token in tokens:
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            found = _MARK.match(token.content)
            mark, note = (found[1], found[2].strip()) if found else ("", "")
            if mark == "hidden":
                language, _, text = note.partition("\n")
                yield _hidden(language.strip(), text + "\n", line)
                mark = note = ""
        elif token.type == "code_block":
            raise PageError(f"line {line}: say what the code is: ```python, ```console, ...")
        elif token.type == "fence":
            if token.info.startswith("{"):
                _check_directive(token, line)
            else:
                yield _shown(token, mark, note, line)
            mark = note = ""


def _hidden(language: str, text: str, line: int) -> Block:
    if language == "background":
        return Block("console", text, line, "background")
    if language not in _LANGUAGES:
        raise PageError(f"line {line}: hidden {language!r}?")
    return _named(text, line) or Block(language, text, line)


def _shown(token: Token, mark: str, note: str, line: int) -> Block:
    if mark == "not run":
        if not note:
            raise PageError(f"line {line}: a reason is needed for not running it")
        return Block("not run", token.content, line, note)
    block = _named(token.content, line) or Block(token.info.split(" ")[0], token.content, line, note)
    if block.kind != "file" and block.kind not in _LANGUAGES:
        raise PageError(f"line {line}: a block of {token.info!r} is neither run nor saved as a file")
    return block


def _named(text: str, line: int) -> Block | None:
    found = _FILE_NAME.match(text)
    return Block("file", text, line, found[1]) if found else None


def _check_directive(token: Token, line: int) -> None:
    """Code is included from the examples only, which have tests of their own; other directives show no code."""
    name, _, argument = token.info.partition("}")
    if name in {"{code-block", "{code", "{sourcecode"}:
        raise PageError(f"line {line}: use a plain block")
    if name == "{literalinclude" and "/examples/" not in argument:
        raise PageError(f"line {line}: only examples can be included, because they are tested")
