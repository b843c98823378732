"""The demonstration works, and the tutorial shows what it really prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "tools" / "demo.py"


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEMO), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return run_demo("--timeout", "40")


def lines_of(output: str, program: str) -> list[str]:
    """What one of the programs printed, with ports replaced."""
    pattern = re.compile(rf"^ *{program} \| (.*)$", re.MULTILINE)
    return [re.sub(r"(?<=127\.0\.0\.1:)\d+", "PORT", line) for line in pattern.findall(output)]


def test_three_processes_do_their_work_and_end(demo: subprocess.CompletedProcess[str]) -> None:
    """[NS-35], [NS-36], [CLI-6], [DMN-30]: SIGINT ends the server and SIGTERM the name server, without a traceback."""
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    assert lines_of(demo.stdout, "server")[-1] == "the scoreboard has closed"
    assert lines_of(demo.stdout, "name server")[-1] == "NS shut down."
    assert "Ada has 4 points" in lines_of(demo.stdout, "client")


@pytest.mark.parametrize("document", ["docs/tutorial/name-server.md"])
def test_documented_output_is_real(demo: subprocess.CompletedProcess[str], document: str) -> None:
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    for program in ("name server", "server", "client"):
        shown = lines_of(text, program)
        assert shown
        assert shown == lines_of(demo.stdout, program)


def test_too_little_time_is_reported() -> None:
    """The demonstration is bounded in time; then it says who was too slow, and leaves no process behind."""
    done = run_demo("--timeout", "0")
    assert done.returncode == 1
    assert "The demo failed: the name server did not print 'URI = ' in time." in done.stderr
