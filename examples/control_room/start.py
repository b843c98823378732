"""Starts the whole laboratory: name server, supervisor with its instruments, and the dashboard in this terminal.

python start.py                 until Ctrl-C
python start.py --page [PORT]   with a live page for web browsers as well (8080)
python start.py --demo          crashes an instrument, and ends when the dashboard has it back
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyrolite

FOLDER = Path(__file__).resolve().parent
PATIENCE = 10.0  # seconds for each process to end


@contextlib.contextmanager
def running(*command: str, capture: bool) -> Iterator[IO[str]]:
    """Run a Python program, ended at the end of the block; gives its output when it is captured."""
    arguments = [sys.executable, *(f"-W{option}" for option in sys.warnoptions), *command]
    output = subprocess.PIPE if capture else None
    with subprocess.Popen(arguments, stdout=output, encoding="utf-8", start_new_session=True) as process:
        try:
            yield process.stdout or sys.stdout
        finally:
            process.terminate()
            if process.stdout is not None:
                with process.stdout:
                    process.stdout.read()
            process.wait(PATIENCE)


class EndedEarlyError(Exception):
    """A program has ended; it has said itself why."""


def wait_for(output: IO[str], text: str) -> str:
    """Read lines until one of them contains the text."""
    for line in output:
        print(line, end="", flush=True)
        if text in line:
            return line.rstrip()
    raise EndedEarlyError(f"a program has ended without printing {text!r}")


def crash_and_recover(dashboard: IO[str]) -> None:
    for _ in range(3):
        wait_for(dashboard, " measures ")
    for name in ("balance", "oven", "spectrometer"):
        wait_for(dashboard, f"{name} ")
    with pyrolite.Proxy("PYRONAME:lab.supervisor") as supervisor:
        before = supervisor.status()["oven"]["process"]
        print("*** crashing the server of the oven", flush=True)
        supervisor.crash("oven")
        wait_for(dashboard, "oven: connection lost")
        wait_for(dashboard, "oven: back in process")
        after = supervisor.status()["oven"]
        print("*** the oven has a new process:", after["process"] != before, "starts:", after["starts"], flush=True)
    wait_for(dashboard, "oven           ok")


def end(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description="Starts the whole laboratory.")
    parser.add_argument("--demo", action="store_true", help="crash an instrument, and end when it is back")
    parser.add_argument(
        "--page", type=int, nargs="?", const=8080, metavar="PORT", help="a live page for web browsers as well (8080)"
    )
    parser.add_argument("--interval", type=float, default=0.5, metavar="SECONDS", help="between measurements (0.5)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    with contextlib.ExitStack() as stack:
        try:
            # a name server of our own, at a free port, which all programs that are started from here will find
            nameserver = stack.enter_context(
                running("-m", "pyrolite.naming", "--host", "127.0.0.1", "--port", "0", "--nobc", capture=True)
            )
            port = wait_for(nameserver, "URI = ").rpartition(":")[2]
            os.environ["PYRO_NS_HOST"], os.environ["PYRO_NS_PORT"] = "127.0.0.1", port
            pyrolite.config.reset()
            supervisor = stack.enter_context(running(str(FOLDER / "supervisor.py"), capture=True))
            wait_for(supervisor, "the supervisor is ready")
            hints = [
                "Kill a process, and see what happens: kill -9 NUMBER (Windows: taskkill /F /PID NUMBER)",
                f"Use the instruments in another terminal: PYRO_NS_PORT={port} python experiment.py",
            ]
            if options.page is not None:
                page = stack.enter_context(running(str(FOLDER / "page.py"), str(options.page), capture=True))
                address = wait_for(page, "http://").rpartition(" ")[2]
                hints.insert(0, f"The live page: {address}")
            arguments = ["--interval", str(options.interval), *(["--plain"] if options.demo else [])]
            arguments += [f"--hint={hint}" for hint in [*hints, "Ctrl-C ends all of it."]]
            dashboard = running(str(FOLDER / "dashboard.py"), *arguments, capture=options.demo)
            output = stack.enter_context(dashboard)
            if options.demo:
                crash_and_recover(output)
            else:
                while True:
                    time.sleep(3600)
        except KeyboardInterrupt:
            print("ending")
        except EndedEarlyError as error:
            sys.exit(str(error))
    print("the laboratory has closed", flush=True)


if __name__ == "__main__":
    main()
