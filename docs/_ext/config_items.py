"""Directive ``config-items``: the tables of the configuration items, in the groups in which the code has them.

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
    """A table for each group, a row for each item: name, default, meaning."""

    def run(self) -> list[nodes.Node]:
        """Make the tables."""
        self.env.note_dependency(str(_CHAPTER))
        defaults = _defaults()
        meanings = _meanings()
        for name in sorted(defaults.keys() ^ meanings.keys()):
            where = "the specification" if name in defaults else "the code"
            self.state_machine.reporter.warning(f"configuration item {name} is not in {where}", line=self.lineno)
        missing = defaults.keys() - {name for _, names in _groups() for name in names}
        if missing:
            self.state_machine.reporter.warning(f"configuration items in no group: {missing}", line=self.lineno)
        used = _used_names()
        lines: list[str] = []
        for group, names in _groups():
            lines += [f"## {group}", "", "| item | default | meaning |", "|---|---|---|"]
            for name in names:
                meaning = meanings.get(name, "") if name in used else f"*No effect yet.* {meanings.get(name, '')}"
                lines.append(f"| `{name}` | {_shown(defaults[name])} | {meaning} |")
            lines.append("")
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _groups() -> list[tuple[str, list[str]]]:
    """Headings and items: the comments, and the keys below them, where the code lists all items."""
    source = Path(configuration.__file__).read_text(encoding="utf-8")
    listing = source.partition("\n_ITEMS: ")[2].partition("\n}\n")[0]
    groups: list[tuple[str, list[str]]] = []
    for comment, name in re.findall(r"^    (?:# ([^\n]+)|\"([A-Z0-9_]+)\": )", listing, re.MULTILINE):
        if comment:
            groups.append((comment[0].upper() + comment[1:], []))
        else:
            groups[-1][1].append(name)
    return groups


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
                    found[name.strip()] = columns[-1].replace("[BETTER] ", "")
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("config-items", ConfigItems)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
