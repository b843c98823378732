"""Options and fixtures of all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--interop-table FILE``: what travels between pyrolite and Pyro4, found by ``tests/interop``, as JSON."""
    parser.addoption("--interop-table", metavar="FILE", help="write the table of the interoperability tests as JSON")
