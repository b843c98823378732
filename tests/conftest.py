"""Options and fixtures of all tests."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import pytest

import pyrolite

if TYPE_CHECKING:
    from .certificates import Certificates
    from .stores import PostgresqlServer, RedisServer, Store

S = TypeVar("S", bound="Store")

# The library says nothing unless it is asked to ([LOG-7]), but tests look at what it logs.
logging.getLogger("pyrolite").setLevel(logging.NOTSET)

RunPython: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_configure(config: pytest.Config) -> None:
    """The public fixtures: an installed package brings them as a plugin, a checkout does not."""
    if not config.pluginmanager.has_plugin("pyrolite"):
        config.pluginmanager.register(importlib.import_module("pyrolite.testing.plugin"), "pyrolite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--interop-table FILE``: what travels between pyrolite and Pyro4, found by ``tests/interop``, as JSON."""
    parser.addoption("--interop-table", metavar="FILE", help="write the table of the interoperability tests as JSON")


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """A function that runs the interpreter with arguments, in an empty directory and without ``PYRO_*`` variables.

    ``code`` is dedented and given with ``-c``; ``options`` come before it, ``environment`` has additional variables.
    """

    def run(
        code: str, *arguments: str, options: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYRO_")}
        variables["PYTHONPATH"] = str(Path(pyrolite.__file__).resolve().parent.parent)
        variables.update(environment or {})
        command = [sys.executable, *options, "-c", textwrap.dedent(code), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=30, check=False
        )

    return run


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA and certificates for servers and clients, made once a run."""
    pytest.importorskip("cryptography")
    from .certificates import Certificates

    return Certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server for whoever needs one; skips the test with the reason when there is none to be had."""
    pytest.importorskip("redis")
    yield from _running(lambda stores: stores.RedisServer())


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The same with PostgreSQL, which does not wait for its disk."""
    pytest.importorskip("psycopg_pool")
    yield from _running(lambda stores: stores.PostgresqlServer(fsync="off"))


def _running(start: Callable[[Any], S]) -> Iterator[S]:
    from . import stores

    try:
        store = start(stores)
    except stores.Missing as reason:
        pytest.skip(str(reason))
    with contextlib.closing(store):
        yield store
