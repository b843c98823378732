"""Directive ``command-help``: what a command prints for ``--help``, asked of the command while the page is built."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_REPOSITORY = Path(__file__).resolve().parent.parent.parent


class CommandHelp(SphinxDirective):
    """``{command-help} MODULE``; a command that fails is a warning, and so fails the build."""

    required_arguments = 1
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Make a block of the help."""
        module = self.arguments[0]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYRO")}
        done = subprocess.run(  # noqa: S603 - modules of this project
            [sys.executable, "-m", module, "--help"],
            cwd=_REPOSITORY,
            env={**kept, "COLUMNS": "88", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode or not done.stdout:
            self.state_machine.reporter.warning(f"python -m {module} --help: {done.stderr}", line=self.lineno)
        return [nodes.literal_block(done.stdout, done.stdout, language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("command-help", CommandHelp)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
