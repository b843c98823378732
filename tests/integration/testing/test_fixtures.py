"""The fixtures as users have them: in a project of their own, in parallel, in any order ([BYD-30])."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyrolite

PROJECT = Path(__file__).with_name("project")


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest in another process, in the folder of a project that has no settings, with warnings as errors."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYRO_", "PYTEST_"))}
    variables["PYTHONPATH"] = str(Path(pyrolite.__file__).resolve().parents[1])
    if not any(entry.value == "pyrolite.testing.plugin" for entry in importlib.metadata.entry_points(group="pytest11")):
        options = ("-p", "pyrolite.testing.plugin", *options)  # it is not installed, only a checkout
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", "--timeout=50", *options]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=55, check=False)


def write(folder: Path, text: str) -> Path:
    """A project with one module of tests."""
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    return folder


def test_project(tmp_path: Path) -> None:
    """[BYD-30]: all fixtures, under pytest-xdist and in random order. The suite itself runs these tests as they are."""
    for name in ("xdist", "pytest_randomly"):
        pytest.importorskip(name)
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    done = run_pytest(tmp_path / "project", "-n", "2", "-p", "randomly")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "created: 2/2 workers" in done.stdout
    assert "Using --randomly-seed=" in done.stdout
    assert re.search(r"=+ 2\d passed in ", done.stdout.splitlines()[-1]), done.stdout


LEAKS = """
import socket, threading
import pyrolite, pytest

kept = []
release = threading.Event()

@pyrolite.expose
class Thing:
    def call(self):
        return 1

@pytest.mark.parametrize("clean", [False, True])
def test_connection(pyro_serve, clean, pyro_leakcheck):
    proxy = pyrolite.Proxy(pyro_serve(Thing())._pyroUri)
    assert proxy.call() == 1
    kept.append(proxy)
    if clean:
        proxy._pyroRelease()

def test_thread_and_socket(pyro_leakcheck):
    threading.Thread(target=release.wait, args=(20,), name="left", daemon=True).start()
    kept.append(socket.create_server(("127.0.0.1", 0)))

def test_not_asked_for():
    kept.append(socket.create_server(("127.0.0.1", 0)))

def test_last():
    release.set()
    for thing in kept:
        thing._pyroRelease() if isinstance(thing, pyrolite.Proxy) else thing.close()
"""


def test_leaks(tmp_path: Path) -> None:
    """[BYD-30]: what is left behind makes the test fail that has asked, in whatever order, and is named."""
    done = run_pytest(write(tmp_path, LEAKS), "-rA", "-p", "no:randomly")
    failed = [line.partition(" - ")[0] for line in done.stdout.splitlines() if line.startswith("ERROR ")]
    assert failed == ["ERROR test_it.py::test_connection[False]", "ERROR test_it.py::test_thread_and_socket"]
    assert "5 passed, 2 errors in " in done.stdout.splitlines()[-1]
    assert re.search(r"LeakError: left behind: socket \d+ at .* to ", done.stdout)
    assert re.search(r"LeakError: left behind: thread 'left'; socket \d+ at ", done.stdout)


def test_fixtures_are_listed(tmp_path: Path) -> None:
    """[BYD-30]: each with what it is for."""
    done = run_pytest(write(tmp_path, ""), "--fixtures", "-q")
    for name in ("config", "daemon", "serve", "nameserver", "leakcheck"):
        assert f"pyro_{name} -- " in done.stdout


def test_plugin_loads_little(tmp_path: Path) -> None:
    """[BYD-30], [BYD-60]: in the many runs of pytest that have nothing to do with pyrolite."""
    rooms = {"pyrolite.naming", "pyrolite.testing.services", "pyrolite.testing.memory"}
    code = f"import sys\n\ndef test_it():\n    assert not {rooms} & set(sys.modules)\n"
    done = run_pytest(write(tmp_path, code), "-q", "-p", "no:randomly")
    assert done.returncode == 0, done.stdout
