"""``examples/run.py`` performs examples for readers; programs that misbehave are reported, and ended in any case."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _processes import ExampleError, Stage

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_performs_an_example() -> None:
    done = run("nonameserver/")
    assert done.returncode == 0, done.stderr
    assert "         client | Ada, you will meet a tall dark server" in done.stdout.splitlines()


def test_lists_the_examples() -> None:
    done = run()
    assert done.returncode == 0
    assert "  control_room" in done.stdout.splitlines()


def test_unknown_example_is_refused() -> None:
    done = run("no_such_example")
    assert done.returncode == 2
    assert "no such example: no_such_example" in done.stderr


def test_failure_is_reported() -> None:
    done = run("nonameserver", "--timeout", "0")
    assert done.returncode == 1
    assert "nonameserver FAILED: server did not print" in done.stderr


def test_stubborn_programs_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that ignores polite requests is ended by force, and with it the programs that it has started."""
    monkeypatch.setattr("_processes._PATIENCE", 0.5)
    program = tmp_path / "stubborn.py"
    child = "import time; print('child', flush=True); time.sleep(100)"
    program.write_text(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "time.sleep(100)\n"
    )
    started = time.monotonic()
    with Stage("nonameserver", tmp_path, timeout=20) as stage:
        running = stage.start(str(program))
        running.wait_for("^child$")
    # the output has ended, so nobody is left who could write
    assert time.monotonic() - started < 15
    with pytest.raises(ExampleError, match="ended with exit code -9 instead of 0; it has printed"):
        running.finish()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_unit_is_accepted_by_systemd(tmp_path: Path) -> None:
    """[EX-56]"""
    unit = (EXAMPLES / "systemd" / "pyrolite-ns.service").read_text(encoding="utf-8")
    copy = tmp_path / "pyrolite-ns.service"
    copy.write_text(unit.replace("/usr/local/bin/pyrolite-ns", sys.executable), encoding="utf-8")
    command = ["systemd-analyze", "verify", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "pyrolite-ns" in line] == []
