"""Programs at a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pyrolite

#: Makes the terminal the one that Ctrl-C comes from, then runs what a command line of Python says.
_START = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-W", "error", *sys.argv[1:]])
"""


class Terminal:
    """A program at a pseudo-terminal."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("PYRO_")}
        variables |= {"PYTHONPATH": str(Path(pyrolite.__file__).parent.parent), "TERM": "dumb", **environment}
        self.master, slave = pty.openpty()
        command = [sys.executable, "-W", "error", "-c", _START, *arguments]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=variables, start_new_session=True
        )
        os.close(slave)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, text: str) -> str:
        """What is shown until ``text`` is, which is then forgotten."""
        deadline = time.monotonic() + 20
        while text not in self.shown:
            assert select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0], self.shown
            try:
                self.shown += os.read(self.master, 4096).decode().replace("\r\n", "\n")
            except OSError:  # the program has ended
                raise AssertionError(f"{text!r} was not shown: {self.shown!r}") from None
        before, _, self.shown = self.shown.partition(text)
        return before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
