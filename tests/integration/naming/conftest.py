"""Tools as processes, whose output is read as it comes."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

import pyrolite

ANSWER_TIME = 20.0


class Tool:
    """A running program, started as ``python -W error ...`` without the settings of the user."""

    def __init__(self, directory: Path, *arguments: str, **environment: str) -> None:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYRO_")}
        variables["PYTHONPATH"] = str(Path(pyrolite.__file__).resolve().parent.parent)
        variables |= environment
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", *arguments],
            cwd=directory,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        assert self.process.stderr
        self.lines: list[str] = []
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout,)),
            threading.Thread(target=lambda stream: self._errors.extend(stream), args=(self.process.stderr,)),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Any) -> None:
        for line in stream:
            self._new.put(line.rstrip("\n"))
        self._new.put(None)

    def wait_for(self, start: str) -> str:
        """The rest of the first new line that begins so."""
        while True:
            line = self._new.get(timeout=ANSWER_TIME)
            if line is None:
                self._new.put(None)
                pytest.fail(f"ended without printing {start!r}: {self.lines} {self.errors}")
            self.lines.append(line)
            if line.startswith(start):
                return line[len(start) :]

    @property
    def errors(self) -> str:
        """What was written to stderr, when it has ended."""
        return "".join(self._errors)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; the exit code. ``lines`` then has all lines."""
        code = self.process.wait(ANSWER_TIME)
        for thread in self._threads:
            thread.join(ANSWER_TIME)
        while (line := self._new.get()) is not None:
            self.lines.append(line)
        self._new.put(None)
        return code

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait."""
        self.send(number)
        return self.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdout.close()
        self.process.stderr.close()


class StartTool(Protocol):
    def __call__(self, what: str, /, *arguments: str, **environment: str) -> Tool: ...


def _starter(directory: Path, option: str) -> Iterator[StartTool]:
    with contextlib.ExitStack() as stack:

        def start(what: str, *arguments: str, **environment: str) -> Tool:
            tool = Tool(directory, option, what, *arguments, **environment)
            stack.callback(tool.close)
            return tool

        yield start


@pytest.fixture
def start_python(tmp_path: Path) -> Iterator[StartTool]:
    """Start programs given as their source; they are killed at the end if they are still running."""
    yield from _starter(tmp_path, "-c")


@pytest.fixture
def start_tool(tmp_path: Path) -> Iterator[StartTool]:
    """Start tools; they are killed at the end if they are still running."""
    yield from _starter(tmp_path, "-m")


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody used a moment ago, for tools that have to be told one."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(params=["thread", "multiplex"])
def servertype(request: pytest.FixtureRequest) -> str:
    """Both kinds of servers."""
    return request.param  # type: ignore[no-any-return]
