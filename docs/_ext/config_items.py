"""Directive ``config-items``: the table of the configuration items.

Names and defaults are those of the code, meanings are those of the specification. An item that one of them lacks is a
warning, and so fails the build. An item that no module reads is said to have no effect yet.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pyrolite import configuration
from pyrolite.configuration import Configuration

_SOURCES = Path(configuration.__file__).resolve().parent.parent
_CHAPTER = Path(__file__).resolve().parent.parent / "specification" / "60-configuration.md"
_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
_USE = re.compile(rf"""[."']({_NAME.pattern})\b""")


class ConfigItems(SphinxDirective):
    """A row for each item: name, default, meaning."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        self.env.note_dependency(str(_CHAPTER))
        defaults = _defaults()
        meanings = _meanings()
        for name in sorted(defaults.keys() ^ meanings.keys()):
            where = "the specification" if name in defaults else "the code"
            self.state_machine.reporter.warning(f"configuration item {name} is not in {where}", line=self.lineno)
        used = _used_names()
        rows = []
        for name in sorted(defaults):
            meaning = meanings.get(name, "") if name in used else f"*No effect yet.* {meanings.get(name, '')}"
            rows.append(f"| {name} | {_shown(defaults[name])} | {meaning} |")
        return self.parse_text_to_nodes("\n".join(["| item | default | meaning |", "|---|---|---|", *rows]))


def _defaults() -> dict[str, Any]:
    configuration = Configuration()
    configuration.reset(useenvironment=False)
    return configuration.asDict()


def _used_names() -> set[str]:
    """What modules other than the configuration itself read as an attribute, or name as text."""
    found: set[str] = set()
    for path in _SOURCES.rglob("*.py"):
        if path.parent.name != "configuration":
            found.update(_USE.findall(path.read_text(encoding="utf-8")))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return "`" + ", ".join(map(str, sorted(value))) + "`"
    return f"`{value}`" if value != "" else "(empty)"


def _meanings() -> dict[str, str]:
    """Item to what the tables of the chapter say about it: the last column, and when it takes effect."""
    found: dict[str, str] = {}
    for line in _CHAPTER.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            names, *columns = (cell.strip() for cell in line.strip("|").split("|"))
            for name in names.split(","):
                if _NAME.fullmatch(name.strip()):
                    found[name.strip()] = columns[-1]
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("config-items", ConfigItems)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
