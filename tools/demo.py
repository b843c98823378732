"""The demonstration: a name server, a server and a client, each a process of its own, on free ports of this machine.

Starts the example in ``examples/first_object``, shows what the three print, and ends them. The exit code is 0 when the
client did its work and all three ended by themselves within the time limit. Needs nothing but pyrolite.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLE = REPOSITORY / "examples" / "first_object"


class DemoError(Exception):
    """A process did not do what it should; the text says which one and what."""


class Process:
    """A running Python program whose output is shown as it comes, each line behind the name of the program."""

    _printing = threading.Lock()

    def __init__(self, name: str, *arguments: str, deadline: float, **environment: str) -> None:
        self.name = name
        self._deadline = deadline
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env={**_clean_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._printing:
                print(f"{self.name:>11} | {line}", end="", flush=True)
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def line(self, text: str) -> str:
        """Wait for a line of output that begins with ``text``, and return the rest of it."""
        with self._changed:
            while True:
                for line in self._lines:
                    if line.startswith(text):
                        return line[len(text) :].strip()
                if self._ended:
                    raise DemoError(f"the {self.name} ended without printing {text!r}")
                if not self._changed.wait(self._remaining()):
                    raise DemoError(f"the {self.name} did not print {text!r} in time")

    def finish(self, signum: signal.Signals | None = None) -> None:
        """Wait for the end of the process, after sending it a signal if one is given; its exit code has to be 0."""
        if signum is not None:
            self._process.send_signal(signum)
        try:
            code = self._process.wait(self._remaining())
        except subprocess.TimeoutExpired:
            raise DemoError(f"the {self.name} did not end in time") from None
        self._reader.join()
        if code:
            raise DemoError(f"the {self.name} ended with exit code {code}")

    def close(self) -> None:
        """Make sure that the process is gone."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _remaining(self) -> float:
        return max(0.0, self._deadline - time.monotonic())


def _clean_environment() -> dict[str, str]:
    """The environment with this checkout, and without the user's Pyro settings, which could lead to other ports."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYRO_")}
    return {**environment, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


def run_demo(timeout: float) -> None:
    """Run the three processes.

    Args:
        timeout: seconds for everything together.

    Raises:
        DemoError: something went wrong; no process is left behind.
    """
    deadline = time.monotonic() + timeout
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str, **environment: str) -> Process:
            process = Process(name, *arguments, deadline=deadline, **environment)
            stack.callback(process.close)
            return process

        nameserver = start("name server", "-m", "pyrolite.naming", "--host", "127.0.0.1", "--port", "0")
        _, _, address = nameserver.line("URI = ").partition("@")
        host, _, port = address.rpartition(":")
        where = {"PYRO_NS_HOST": host, "PYRO_NS_PORT": port}

        server = start("server", str(EXAMPLE / "server.py"), **where)
        server.line("the scoreboard is ready")

        start("client", str(EXAMPLE / "client.py"), **where).finish()
        server.finish(signal.SIGINT)  # what Ctrl-C sends
        nameserver.finish(signal.SIGTERM)  # what service managers send


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for all together (60)")
    options = parser.parse_args(arguments)
    # A shell without job control lets its background jobs ignore Ctrl-C, and they hand that down to their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    try:
        run_demo(options.timeout)
    except DemoError as error:
        print(f"\nThe demo failed: {error}.", file=sys.stderr)
        return 1
    print(f"\nThree processes talked to each other and ended cleanly, in {time.monotonic() - started:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
