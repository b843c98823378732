"""Takes the comments out of the pages that tell the tests how to run their code (tests/integration/documentation)."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_MARK = re.compile(r"^ *<!-- *(?:run|not run|hidden)\b.*?-->$", re.DOTALL | re.MULTILINE)


def remove_marks(_app: Sphinx, _docname: str, source: list[str]) -> None:
    """Leave empty lines in their place, so that the lines keep their numbers."""
    source[0] = _MARK.sub(lambda mark: "\n" * mark[0].count("\n"), source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", remove_marks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
