"""Programs that nobody here wrote run on pyrolite in the place of Pyro4 ([OV-4], [OV-7], [BYD-32]).

gensim (distributed mode) and osBrain come from the package index, into an environment of their own. They import Pyro4
as ever and are started with ``python -m pyrolite.compat``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import HERE, environment_for, environment_python

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

REQUIREMENTS = ("gensim==4.4.0", "osbrain==0.6.5", "Pyro4==4.82", "serpent", "msgpack", "cloudpickle", "dill", "wheel")
VERSIONS = ("3.10", "3.11")
PROGRAMS = HERE / "programs"
COMPAT = ("-m", "pyrolite.compat")


@functools.cache
def third_party_python() -> str:
    """The interpreter of the environment with the programs."""
    return environment_python("third-party", REQUIREMENTS, VERSIONS)


def free_port() -> int:
    """A TCP and UDP port that is probably free."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Programs:
    """Processes that are ended when the test is over, with what they print in files."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.directory = directory
        self.environment = {**environment_for("pyrolite"), **variables}
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Python with these arguments."""
        with (self.directory / f"{name}.txt").open("wb") as output:
            process = subprocess.Popen(
                [third_party_python(), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                cwd=self.directory,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def output(self, name: str) -> str:
        """What the process has printed so far."""
        return (self.directory / f"{name}.txt").read_text(errors="replace")

    def await_output(self, name: str, text: str, seconds: float = 60.0) -> None:
        """Wait until the process has printed ``text``."""
        deadline = time.monotonic() + seconds
        while text not in self.output(name):
            assert time.monotonic() < deadline, f"{name} did not print {text!r}:\n{self.output(name)}"
            time.sleep(0.05)

    def close(self) -> None:
        """End all processes, with the ones that they have started."""
        for process in reversed(self._running):
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Programs with a name server of their own in the environment variables, accepting pickles as gensim needs it."""
    running = Programs(
        tmp_path,
        PYRO_HOST="127.0.0.1",
        PYRO_NS_HOST="127.0.0.1",
        PYRO_NS_PORT=str(free_port()),
        PYRO_NS_BCPORT=str(free_port()),
        PYRO_SERIALIZER="pickle",
        PYRO_SERIALIZERS_ACCEPTED="pickle,serpent,marshal,json",
    )
    with contextlib.closing(running):
        yield running


def test_gensim_distributed(programs: Programs) -> None:
    """[BYD-32]: dispatcher and two workers of gensim find the same topics as one process does."""
    programs.start("ns", "-m", "pyrolite.naming")
    programs.await_output("ns", "URI = ")
    for number in (1, 2):
        programs.start(f"worker{number}", *COMPAT, "-m", "gensim.models.lsi_worker")
        programs.await_output(f"worker{number}", "registered with nameserver")
    programs.start("dispatcher", *COMPAT, "-m", "gensim.models.lsi_dispatcher")
    programs.await_output("dispatcher", "registered with nameserver")
    job = programs.start("job", *COMPAT, str(PROGRAMS / "gensim_job.py"))
    assert job.wait(120) == 0, programs.output("job")
    lines = dict(line.split(" ", 1) for line in programs.output("job").splitlines() if " " in line)
    assert lines["library"] == "pyrolite"
    # the workers merge their parts in the order in which they finish, which shifts the smaller value a little
    distributed, local = ([float(number) for number in lines[kind].split()] for kind in ("distributed", "local"))
    assert distributed == pytest.approx(local, abs=0.11)


def test_osbrain(programs: Programs) -> None:
    """[BYD-32]: agents with subclassed proxies and an own name server class, in processes of their own."""
    job = programs.start("job", *COMPAT, str(PROGRAMS / "osbrain_job.py"))
    assert job.wait(120) == 0, programs.output("job")
    output = programs.output("job")
    assert "library pyrolite\n" in output
    assert "received ['Hello, Bob 0!', 'Hello, Bob 1!', 'Hello, Bob 2!']\n" in output
    assert "agents ['Alice', 'Bob']\n" in output
    assert "refused AttributeError\n" in output
    assert output.endswith("done\n")
