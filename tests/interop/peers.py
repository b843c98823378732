"""Finds or makes the environment of the real peers (Pyro4 4.82, Pyro5), and runs peer programs in it.

A peer program is one of the scripts of this directory, started under some interpreter with the name of the library it
is to use: ``Pyro4`` or ``pyrolite``. It is driven with one JSON object a line on its standard input and answers with
one a line; it ends when its standard input is closed.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import pyrolite

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
ENVIRONMENTS = PROJECT / ".venv-peers"
#: What the environment contains; the name server tools and pickle-like serializers need the last four.
REQUIREMENTS = ("Pyro4==4.82", "Pyro5==5.17", "serpent", "msgpack", "cloudpickle", "dill")
#: Pyro4's conversion of classes is broken from Python 3.11 on ([SER-57]), so the reference runs on an older one.
VERSIONS = ("3.10", "3.9", "3.8")
#: Seconds within which a peer program has to answer one command.
ANSWER_TIMEOUT = 30.0


class PeerError(AssertionError):
    """A peer program failed, with what it had to say."""


@functools.cache
def peer_python() -> str:
    """Path of an interpreter that has Pyro4; skips the test with the reason when there is none."""
    return os.environ.get("PYROLITE_PYRO4_PYTHON") or environment_python("pyro4", REQUIREMENTS, VERSIONS)


def environment_python(name: str, requirements: tuple[str, ...], versions: tuple[str, ...]) -> str:
    """Path of the interpreter in an environment with ``requirements``, made at the first use.

    Skips the test with the reason when there is no Python of ``versions``, or the packages cannot be had.
    """
    environment = ENVIRONMENTS / name
    ready = environment / ".complete"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with _locked(ENVIRONMENTS / ".lock"):
        if not ready.exists() or ready.read_text().split() != list(requirements):
            _create(environment, requirements, versions)
            ready.write_text("\n".join(requirements) + "\n")
    return str(environment / "bin" / "python")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock that works between processes, so that parallel test runs make one environment."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def _create(environment: Path, requirements: tuple[str, ...], versions: tuple[str, ...]) -> None:
    base = _base_interpreter(versions)
    if base is None:
        pytest.skip(f"needs Python {' or '.join(versions)}; none was found")
    shutil.rmtree(environment, ignore_errors=True)
    python = str(environment / "bin" / "python")
    for command in (
        [base, "-m", "venv", str(environment)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(environment, ignore_errors=True)
            why = (done.stderr or done.stdout).strip().splitlines()[-1:]
            pytest.skip(f"the environment {environment.name!r} could not be made: {why}")


def _base_interpreter(versions: tuple[str, ...]) -> str | None:
    """The first usable interpreter of ``versions``, on the PATH or among those of pyenv."""
    for version in versions:
        candidates = [shutil.which(f"python{version}")]
        candidates += [
            str(path) for path in sorted(_pyenv_root().glob(f"versions/{version}.*/bin/python"), reverse=True)
        ]
        for candidate in candidates:
            if candidate and _is_version(candidate, version):
                return candidate
    return None


def _pyenv_root() -> Path:
    root = os.environ.get("PYENV_ROOT")
    if not root and shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
    return Path(root) if root else Path.home() / ".pyenv"


def _is_version(python: str, version: str) -> bool:
    """A program of that name may be a shim that refuses to run, so it has to prove itself."""
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def command_for(library: str, *arguments: str) -> list[str]:
    """The command line that runs Python with ``arguments`` where ``library`` is installed."""
    if library == "pyrolite":
        # the warning of [DMN-81] is meant for users; as an error it would refuse the connection
        return [sys.executable, "-W", "error", "-W", "ignore:Class:UserWarning", *arguments]
    return [peer_python(), "-W", "ignore", *arguments]


def environment_for(library: str) -> dict[str, str]:
    """The environment variables of a peer process: no Pyro settings of the user, pyrolite from this checkout."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYRO_", "PYTHON"))}
    environment["PYTHONHASHSEED"] = "0"
    if library == "pyrolite":
        environment["PYTHONPATH"] = str(Path(pyrolite.__file__).resolve().parent.parent)
    return environment


class Peer:
    """A running peer program.

    Thread safety: none; one command at a time.
    """

    def __init__(self, script: str, library: str) -> None:
        self.library = library
        self.name = f"{script} of {library}"
        self._process = subprocess.Popen(
            command_for(library, str(HERE / script), library),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment_for(library),
            text=True,
            bufsize=1,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_answers, args=(self._process.stdout,), name="peer-answers"),
            threading.Thread(target=self._errors.extend, args=(self._process.stderr,), name="peer-errors"),
        ]
        for thread in self._threads:
            thread.start()
        self.ready = self._answer("start")

    def _read_answers(self, stream: IO[str]) -> None:
        for line in stream:
            self._answers.put(line)
        self._answers.put(None)

    def _answer(self, what: str) -> Any:
        try:
            line = self._answers.get(timeout=ANSWER_TIMEOUT)
        except queue.Empty:
            self.close()
            raise PeerError(f"{self.name}: no answer to {what}\n{''.join(self._errors)}") from None
        if line is None:
            self.close()
            raise PeerError(f"{self.name} ended during {what}\n{''.join(self._errors)}")
        answer = json.loads(line)
        if "failure" in answer:
            raise PeerError(f"{self.name}: {what} failed\n{answer['failure']}")
        return answer["answer"]

    @property
    def closed(self) -> bool:
        """Whether the program has ended or been ended."""
        return self._process.poll() is not None

    def __call__(self, op: str, **arguments: Any) -> Any:
        """Have the program execute ``op`` and return its answer.

        Raises:
            PeerError: it failed (with the peer's traceback), ended, or did not answer in time.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        except OSError as error:
            raise PeerError(f"{self.name} has ended: {error}\n{''.join(self._errors)}") from error
        return self._answer(f"{op} {arguments.get('scenario', '')}")

    def close(self) -> str:
        """End the program by closing its input; kill it if that does not help. Returns its error output."""
        assert self._process.stdin and self._process.stdout and self._process.stderr
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(10)
        self._process.stdout.close()
        self._process.stderr.close()
        return "".join(self._errors)
