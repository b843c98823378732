"""Turns ids of the specification, such as ``[WIRE-12]``, into links to the requirement, wherever they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

_ID = re.compile(r"\[([A-Z][A-Z0-9]*-\d+)\]")
#: Some requirements are part of the text of another one.
_INNER = re.compile(rf"\[BETTER(?:, optional)?\] {_ID.pattern}")
_CHAPTERS = "specification/"


def _places(env: BuildEnvironment) -> dict[str, str]:
    """Requirement to the document where it stands."""
    if not hasattr(env, "spec_ids"):
        env.spec_ids = {}  # type: ignore[attr-defined]
    return env.spec_ids  # type: ignore[no-any-return, attr-defined]


def _texts(doctree: nodes.Node) -> Iterator[nodes.Text]:
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(
            text.parent, (nodes.literal, nodes.literal_block, nodes.reference, pending_xref, nodes.title)
        ):
            yield text


def mark_requirements(app: Sphinx, doctree: nodes.document) -> None:
    """Put an anchor where a requirement begins: at the start of a paragraph or list item of a chapter."""
    docname = app.env.current_document.docname
    if not docname.startswith(_CHAPTERS):
        return
    places = _places(app.env)
    for text in _texts(doctree):
        begins = isinstance(text.parent, nodes.paragraph) and text.parent.index(text) == 0
        match = (_ID.match(text.astext()) if begins else None) or _INNER.search(text.astext())
        if match and match[1] not in places:
            text.parent["ids"].append(match[1].lower())
            places[match[1]] = docname


def link_requirements(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace the ids in the text by links."""
    places = _places(app.env)
    for text in _texts(doctree):
        pieces = _pieces(app, docname, text.astext(), places)
        if len(pieces) > 1:
            text.parent.replace(text, pieces)


def _pieces(app: Sphinx, docname: str, text: str, places: dict[str, str]) -> list[nodes.Node]:
    pieces: list[nodes.Node] = []
    end = 0
    for match in _ID.finditer(text):
        target = places.get(match[1])
        if target is None:
            continue
        uri = app.builder.get_relative_uri(docname, target) + "#" + match[1].lower()
        pieces += [nodes.Text(text[end : match.start()]), nodes.reference("", match[0], refuri=uri, internal=True)]
        end = match.end()
    return [*pieces, nodes.Text(text[end:])]


def forget_document(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """A document is read again, or is gone."""
    places = _places(env)
    for name in [name for name, place in places.items() if place == docname]:
        del places[name]


def merge(_app: Sphinx, env: BuildEnvironment, _docnames: set[str], other: BuildEnvironment) -> None:
    """What was found by another process of a parallel build."""
    _places(env).update(_places(other))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("doctree-read", mark_requirements)
    app.connect("doctree-resolved", link_requirements)
    app.connect("env-purge-doc", forget_document)
    app.connect("env-merge-info", merge)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
