"""Fixtures of the attacks: server processes, the well-behaved client, and the table of what was measured."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import CommandedProcess, Server, Watch

#: Names a file that gets a line of JSON for each scenario: what was attacked, and what the well-behaved client felt.
TABLE = os.environ.get("PYROLITE_FAULTS_TABLE")


#: Attacks that load the whole machine for minutes: on demand only, with PYROLITE_ATTACKS=1 in the environment.
collect_ignore = (
    []
    if os.environ.get("PYROLITE_ATTACKS")
    else [
        "test_floods.py",
        "test_network_bytes.py",
        "test_slow_peers.py",
    ]
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Full numbers take minutes: here, tests that are marked as slow run on demand only (``-m slow``)."""
    if "slow" in config.option.markexpr:
        return
    mine = Path(__file__).parent
    slow = [item for item in items if mine in item.path.parents and item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(params=["thread", "multiplex"])
def servertype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start_server(servertype: str) -> Iterator[Callable[..., Server]]:
    """Starts servers of both types; at the end they have to end properly, without having complained of anything."""
    started: list[Server] = []

    def start(**settings: Any) -> Server:
        server = Server(servertype, **settings)
        started.append(server)
        return server

    try:
        yield start
        for server in started:
            if server.process.poll() is None:
                server.stop()
    finally:
        for server in started:
            server.hang_up()
            server.release()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server in default configuration."""
    return start_server()


@pytest.fixture(scope="session")
def prober_process() -> Iterator[CommandedProcess]:
    process = CommandedProcess("prober.py")
    yield process
    code = process.stop()
    assert (code, process.complaints()) == (0, "")


@pytest.fixture
def watch(prober_process: CommandedProcess, record: Callable[..., None]) -> Any:
    """A context in which the well-behaved client watches a server; the attack is its body."""

    @contextlib.contextmanager
    def watching(server: Server, quiet: float = 0.3) -> Iterator[Watch]:
        watched = Watch(prober_process, server, quiet)
        try:
            yield watched
        finally:
            watched.end()
        record(quiet=watched.quiet._asdict(), attack=watched.attack._asdict(), failures=watched.failures)

    return watching


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keeps figures of the running test for the table."""

    def keep(**figures: Any) -> None:
        for name, value in figures.items():
            request.node.user_properties.append((name, value))
        if TABLE:
            with open(TABLE, "a") as table:
                table.write(json.dumps({"scenario": request.node.name, "file": request.path.name, **figures}) + "\n")

    return keep
