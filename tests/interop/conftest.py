"""Peer processes for the interoperability tests: each is started once and used by all tests."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# the peer programs are scripts that import their siblings; the tests see the same modules under the same names
sys.path.insert(0, str(Path(__file__).resolve().parent))

from peer_services import Peers


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """The peer processes."""
    running = Peers(tmp_path_factory.mktemp("interop-sockets"))
    with contextlib.closing(running):
        yield running


# ---- the table of what travels, for the documentation


class _TableWriter:
    """Collects the properties that the matrix tests record, and writes them as JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.rows += [
                {**value, "outcome": report.outcome} for name, value in report.user_properties if name == "interop"
            ]

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.rows, indent=1) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Write the table when asked to with ``--interop-table FILE`` (defined in ``tests/conftest.py``)."""
    path = config.getoption("--interop-table", None)
    if path:
        config.pluginmanager.register(_TableWriter(Path(path)), "interop-table")
