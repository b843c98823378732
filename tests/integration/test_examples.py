"""The example programs run, and print what they should."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from pyrolite.testing import RunningNameServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def environment(pyro_nameserver: RunningNameServer) -> dict[str, str]:
    """Environment in which example programs find a name server of their own."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYRO_")}
    where = {"PYRO_NS_HOST": pyro_nameserver.uri.host, "PYRO_NS_PORT": str(pyro_nameserver.uri.port)}
    return {**variables, **where, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def running(program: Path, environment: dict[str, str]) -> Iterator[IO[str]]:
    """The standard output of a server program, which is ended afterwards."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(program)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.terminate()


def run(program: Path, environment: dict[str, str]) -> list[str]:
    command = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_first_object(environment: dict[str, str]) -> None:
    """[DMN-70] One instance serves two clients, one after the other: behavior ``single``."""
    folder = EXAMPLES / "first_object"
    with running(folder / "server.py", environment) as output:
        assert output.readline() == "the scoreboard is ready\n"
        first = run(folder / "client.py", environment)
        second = run(folder / "client.py", environment)
    assert first[:4] == ["Ada has 3 points", "Bob has 1 point", "Ada has 4 points", "the leader is Ada"]
    assert second[:4] == ["Ada has 7 points", "Bob has 2 point", "Ada has 8 points", "the leader is Ada"]
    assert first[4:7] == ["  Ada +3", "  Bob +1", "  Ada +1"]
    assert second[4:10] == first[4:7] * 2
    assert first[-2] == "the server refused: Bob cannot lose points"
    assert first[-1].endswith("has no exposed attribute or method '_cheat'")


def test_each_example_has_a_readme() -> None:
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))]
    assert folders
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for folder in folders:
        assert (folder / "README.md").stat().st_size
        assert f"({folder.name}/)" in listed
