"""Performs examples as ``examples/run.py`` does, and looks at what their programs print."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
sys.path.insert(0, str(EXAMPLES))

from _plans import PLANS  # noqa: E402 - a module of the examples
from _processes import Stage  # noqa: E402

#: What the programs of an example have printed, by their names.
Output: TypeAlias = "dict[str, list[str]]"


@pytest.fixture
def perform(tmp_path: Path) -> Callable[[str], Output]:
    """A function that performs an example, whose programs are gone afterwards, and returns what they have printed."""

    def run(name: str) -> Output:
        with Stage(name, tmp_path, timeout=50) as stage:
            PLANS[name](stage)
        return {program: running.lines for program, running in stage.programs.items()}

    return run
