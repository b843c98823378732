"""The main job through the command lines, in every pairing of the libraries.

A name server is started with ``python -m``, a server registers an object by name, and a client uses it by name.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import command_for, environment_for

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

PROGRAMS = Path(__file__).resolve().parent / "programs"
LIBRARIES = ("Pyro4", "pyrolite")
#: Seconds within which a program has to be ready, or to end.
PATIENCE = 30.0


class Program:
    """A program of a library that runs until it is ended, and what it prints.

    Thread safety: none.
    """

    def __init__(self, library: str, *arguments: str, **variables: str) -> None:
        environment = {**environment_for(library), **variables}
        self._process = subprocess.Popen(
            command_for(library, "-u", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._printed: list[str] = []
        self._reader = threading.Thread(target=self._read, name="program-output")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"no {pattern!r} in the output:\n{''.join(self._printed)}"
            self._printed.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(PATIENCE)
            assert self._process.stdout
            self._process.stdout.close()


class Site:
    """Name servers and servers of both libraries, each started when it is needed first."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._addresses: dict[str, dict[str, str]] = {}
        self._servers: set[tuple[str, str]] = set()

    def name_server(self, library: str) -> dict[str, str]:
        """The variables that make programs use the name server of ``library``."""
        if library not in self._addresses:
            program = Program(library, "-m", f"{library}.naming", "-n", "127.0.0.1", "-p", "0", "-x")
            self._stack.enter_context(program)
            port = program.wait_for(r"NS running on 127\.0\.0\.1:(\d+)")[1]
            self._addresses[library] = {"PYRO_NS_HOST": "127.0.0.1", "PYRO_NS_PORT": port}
        return self._addresses[library]

    def server(self, name_server: str, library: str) -> str:
        """The name under which the server of ``library`` has registered its object."""
        name = f"greeter.{library}"
        if (name_server, library) not in self._servers:
            arguments = (str(PROGRAMS / "greeter_server.py"), library, name)
            program = self._stack.enter_context(Program(library, *arguments, **self.name_server(name_server)))
            program.wait_for("ready")
            self._servers.add((name_server, library))
        return name


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The site; all its programs end with the module."""
    with contextlib.ExitStack() as stack:
        yield Site(stack)


def run(library: str, *arguments: str, **variables: str) -> str:
    """What a program prints that ends by itself."""
    done = subprocess.run(
        command_for(library, *arguments),
        env={**environment_for(library), **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("client", LIBRARIES)
@pytest.mark.parametrize("server", LIBRARIES)
@pytest.mark.parametrize("name_server", LIBRARIES)
def test_main_job(site: Site, name_server: str, server: str, client: str) -> None:
    """[OV-1], [OV-40], [RES-2], [RES-3], [NS-35]: found by name, called, whatever library is where."""
    name = site.server(name_server, server)
    output = run(client, str(PROGRAMS / "greeter_client.py"), client, name, **site.name_server(name_server))
    assert json.loads(output) == {
        "greeting": f"Hello, {client}?",
        "error": ["on purpose", True],
        "property": True,
        "stream": [3, 2, 1],
        "batch": ["Hello, one!", "Hello, two!"],
        "by metadata": f"Hello, {client}!",
        "listed": True,
        "unknown": f"unknown name: nobody.{name}",
    }


@pytest.mark.parametrize("tool", LIBRARIES)
@pytest.mark.parametrize("name_server", LIBRARIES)
def test_name_server_control(site: Site, name_server: str, tool: str) -> None:
    """[NSC-2], [NSC-3]: the control tool of each library works with the name server of each."""
    name = site.server(name_server, "Pyro4")
    variables = site.name_server(name_server)
    options = ("-m", f"{tool}.nsc", "-n", variables["PYRO_NS_HOST"], "-p", variables["PYRO_NS_PORT"])

    def control(*command: str) -> list[str]:
        return run(tool, *options, *command).splitlines()

    assert control("ping") == ["Name server ping ok."]
    uri, metadata = control("lookup", name)
    assert re.fullmatch(r"PYRO:obj_[0-9a-f]{32}@127\.0\.0\.1:\d+", uri)
    listed = control("list", name)
    assert [line.strip() for line in (listed[0], listed[-1])] == [
        f"--------START LIST - prefix '{name}'",
        f"--------END LIST - prefix '{name}'",
    ]
    assert f"{name} --> {uri}" in listed
    assert metadata.startswith("metadata: [")
    registered = f"interop.nsc.{tool}"
    assert control("register", registered, "PYRO:x@127.0.0.1:4") == [f"Registered {registered}"]
    assert control("setmeta", registered, "a") == ["Metadata updated"]
    found = control("listmeta_all", "a")
    assert f"{registered} --> PYRO:x@127.0.0.1:4" in found
    assert control("remove", registered) == [f"Removed {registered}"]
    assert control("remove", registered) == ["Nothing removed"]
