"""Directive ``deliberate-differences``: every requirement of the specification that differs from Pyro4 on purpose.

What is listed is what the chapters mark with ``[BETTER]``, in their order, from the mark to the end of the requirement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_SPECIFICATION = Path(__file__).resolve().parent.parent / "specification"
_BEGIN = re.compile(r"^(?:- )?\[([A-Z][A-Z0-9]*-\d+)\]")
_SHORTEST = 30  # characters that say something by themselves
_MARK = re.compile(r"\[BETTER(?:, optional)?\] ?")


class DeliberateDifferences(SphinxDirective):
    """A section for each chapter that has some."""

    def run(self) -> list[nodes.Node]:
        """Make the lists."""
        lines = []
        for path in sorted(_SPECIFICATION.glob("*.md")):
            self.env.note_dependency(str(path))
            text = path.read_text(encoding="utf-8")
            found = list(differences(text))
            if found and not path.name.startswith("00"):
                title = re.sub(r"^[\d\s-]+", "", text.partition("\n")[0].lstrip("# "))
                lines += [f"## {title}", "", *(f"- [{name}] {what}" for name, what in found), ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def differences(chapter: str) -> Iterator[tuple[str, str]]:
    """Requirement and text, for each requirement that has marks: from the beginning of the first marked sentence."""
    for name, text in _requirements(chapter):
        mark = _MARK.search(text)
        if mark:
            before = text[: mark.start()].rstrip()
            begin = mark.start() if before.endswith((".", ".)", ":")) else before.rfind(". ") + 1
            if len(text) - mark.end() < _SHORTEST:
                begin = 0
            yield name, _MARK.sub("", text[begin:]).strip()


def _requirements(chapter: str) -> Iterator[tuple[str, str]]:
    """Id and text of each paragraph or list item after the first id; what has no id goes on with the one before."""
    name, lines = "", list[str]()
    for line in [*chapter.splitlines(), ""]:
        begin = _BEGIN.match(line)
        if lines and (begin or not line.strip() or line.startswith(("- ", "#", "|", "```"))):
            yield name, " ".join(lines)
            lines = []
        if begin:
            name, lines = begin[1], [line[begin.end() :].strip()]
        elif name and line.strip() and not line.startswith(("#", "|", "```")):
            lines.append(line.strip())


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("deliberate-differences", DeliberateDifferences)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
