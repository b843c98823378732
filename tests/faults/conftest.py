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
def start_server(servertype: str, record: Callable[..., None]) -> Iterator[Callable[..., Server]]:
    """Starts servers of both types; at the end they have to end properly, without having complained of anything."""
    started: list[Server] = []

    def start(**settings: Any) -> Server:
        server = Server(servertype, **settings)
        started.append(server)
        return server

    try:
        yield start
        for server in started:
            if server.settled:
                record(**server.settled)
            if server.process.poll() is None:
                server.stop()
    finally:
        for server in started:
            server.hang_up()
            server.release()


@pytest.fixture(scope="module")
def shared_servers() -> Iterator[dict[str, Server]]:
    """The servers that several tests of a module attack one after the other; they end as those of `start_server`."""
    servers: dict[str, Server] = {}
    try:
        yield servers
        for server in servers.values():
            server.stop()
    finally:
        for server in servers.values():
            server.hang_up()
            server.release()


@pytest.fixture
def share_server(
    servertype: str, shared_servers: dict[str, Server], record: Callable[..., None]
) -> Iterator[Callable[..., Server]]:
    """Gives servers that have been started for other tests of the module already, or starts them."""
    used: list[Server] = []

    def share(**settings: Any) -> Server:
        key = json.dumps([servertype, settings])
        if key not in shared_servers:
            shared_servers[key] = Server(servertype, **settings)
        server = shared_servers[key]
        server.settled = {}
        used.append(server)
        return server

    try:
        yield share
    finally:
        for server in used:
            server.hang_up()
            if server.settled:
                record(**server.settled)
            if server.process.poll() is not None:  # the next one gets another
                shared_servers.pop(next(key for key, value in shared_servers.items() if value is server))
                server.release()
    for server in used:
        server.check()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server in default configuration."""
    return start_server()


@pytest.fixture(scope="session")
def reference() -> Iterator[tuple[CommandedProcess, Server]]:
    """A server that nobody attacks, and the process of its well-behaved client."""
    server = Server("thread")
    try:
        process = CommandedProcess("prober.py")
        yield process, server
        code = process.stop()
        assert (code, process.complaints()) == (0, "")
        server.stop()
    finally:
        server.release()


@pytest.fixture(scope="session")
def prober_process() -> Iterator[CommandedProcess]:
    process = CommandedProcess("prober.py")
    yield process
    code = process.stop()
    assert (code, process.complaints()) == (0, "")


@pytest.fixture
def watch(
    prober_process: CommandedProcess, reference: tuple[CommandedProcess, Server], record: Callable[..., None]
) -> Any:
    """A context in which the well-behaved client watches a server; the attack is its body."""

    @contextlib.contextmanager
    def watching(server: Server, quiet: float = 0.2) -> Iterator[Watch]:
        watched = Watch(prober_process, server, quiet, reference)
        try:
            yield watched
        finally:
            watched.end()
        record(**watched.figures())

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
