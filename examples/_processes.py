"""Runs the programs of an example: starts them, reads what they print, types into them, ends them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

EXAMPLES = Path(__file__).resolve().parent
#: Runs a program as ``python PROGRAM`` does, with output that comes line by line also when it goes into a pipe.
_RUN = """
import os, sys
sys.stdout.reconfigure(line_buffering=True)
del sys.argv[0]
__file__ = sys.argv[0]
sys.path[0] = os.path.dirname(__file__)
with open(__file__, "rb") as file:
    code = compile(file.read(), __file__, "exec")
exec(code)
"""
#: Seconds in which a program that is told to end has to do so.
_PATIENCE = 5.0
_PYTHON = [sys.executable, "-W", "error"]
_URI = re.compile(r"PYRO\w*:\S+")


class ExampleError(Exception):
    """A program did not do what it should; the text says which one and what, and what it has printed."""


class Program:
    """A running program whose output is collected line by line.

    Thread safety: the methods are for one thread; the output is collected by another one.
    """

    def __init__(self, name: str, command: list[str], environment: dict[str, str], stage: Stage) -> None:
        self.name = name
        self.lines: list[str] = []
        self._stage = stage
        self._changed = threading.Condition()  # protects lines, _ended
        self._ended = False
        self._process = subprocess.Popen(
            command,
            cwd=stage.directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = text.rstrip("\n")
            self._stage.show(self.name, line)
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> str:
        """Wait until ``count`` lines of output match a regular expression, and return the last one of them."""
        with self._changed:
            while True:
                found = [line for line in self.lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found[count - 1]
                if self._ended:
                    raise self._error(f"ended without printing {pattern!r} {count} times")
                if not self._changed.wait(self._stage.remaining()):
                    raise self._error(f"did not print {pattern!r} {count} times in time")

    @property
    def uris(self) -> list[str]:
        """The URIs that the program has printed so far, in their order."""
        with self._changed:
            return [uri for line in self.lines for uri in _URI.findall(line)]

    def type(self, line: str) -> None:
        """Type a line into the program."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def finish(self, exit_code: int = 0) -> list[str]:
        """Wait for the end of the program, which has to have this exit code; return its output."""
        self._close_input()
        try:
            code = self._process.wait(self._stage.remaining())
        except subprocess.TimeoutExpired:
            raise self._error("did not end in time") from None
        self._reader.join()
        if code != exit_code:
            raise self._error(f"ended with exit code {code} instead of {exit_code}")
        return self.lines

    def interrupt(self) -> list[str]:
        """End a server as Ctrl-C does; its exit code has to be 0. Return its output."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.finish()

    def terminate(self) -> list[str]:
        """End a server as service managers do; its exit code has to be 0. Return its output."""
        self._process.terminate()
        return self.finish()

    def kill(self) -> None:
        """End the program as a crash of its machine would."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Make sure that the program is gone: politely, so that it can end its own programs, and then by force."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                # it leads a group of its own; that number is not used again as long as nobody has waited for its end
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._close_input()
        self._reader.join(_PATIENCE)
        if self._reader.is_alive():
            raise self._error("has left programs behind")
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _error(self, what: str) -> ExampleError:
        printed = "".join(f"\n    {line}" for line in self.lines) or " nothing"
        return ExampleError(f"{self.name} {what}; it has printed:{printed}")


class Stage:
    """Where the programs of one example run; on leaving the ``with`` block, all of them are ended.

    Args:
        folder: name of the example.
        directory: working directory of the programs.
        timeout: seconds for everything together.
        show: called with the name of the program and the line, for each line that a program prints.
    """

    def __init__(
        self, folder: str, directory: Path, *, timeout: float = 50.0, show: Callable[[str, str], None] | None = None
    ) -> None:
        self.folder = EXAMPLES / folder
        self.directory = directory
        self.programs: dict[str, Program] = {}
        self.environment = _environment()
        self._deadline = time.monotonic() + timeout
        self._show = show
        self._showing = threading.Lock()  # one line at a time
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
            # A shell without job control lets its background jobs ignore Ctrl-C, and they hand that down.
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            for program in self.programs.values():
                stack.callback(program.close)

    def show(self, name: str, line: str) -> None:
        """Pass a line of output on."""
        if self._show is not None:
            with self._showing:
                self._show(name, line)

    def remaining(self) -> float:
        """Seconds until the time of this example is over."""
        return max(0.0, self._deadline - time.monotonic())

    def nameserver(self) -> Program:
        """Start a name server that the other programs find: port and host are in their environment."""
        program = self.module("pyrolite.naming", "--host", "127.0.0.1", "--port", "0", "--nobc", name="name server")
        _, _, address = program.wait_for("^URI = ").partition("@")
        self.use_nameserver(address.rpartition(":")[2])
        return program

    def use_nameserver(self, port: str | int, broadcast_port: str | int | None = None) -> None:
        """Let programs that are started from now on find a name server on this port of the loopback interface."""
        self.environment["PYRO_NS_HOST"] = "127.0.0.1"
        self.environment["PYRO_NS_PORT"] = str(port)
        self.environment["PYRO_NS_BCPORT"] = str(broadcast_port or port)
        self.environment["PYRO_BROADCAST_ADDRS"] = "127.0.0.1"

    def module(self, module: str, *arguments: str, name: str) -> Program:
        """Start a module of pyrolite as a program."""
        return self.run([*_PYTHON, "-m", module, *arguments], name=name)

    def start(self, program: str, *arguments: object, name: str | None = None, **environment: str) -> Program:
        """Start a program of the example."""
        command = [*_PYTHON, "-c", _RUN, str(self.folder / program), *map(str, arguments)]
        return self.run(command, name=name or Path(program).stem, **environment)

    def server(self, program: str, *arguments: object, name: str | None = None, **environment: str) -> Program:
        """Start a server of the example and wait until it says that it is ready."""
        running = self.start(program, *arguments, name=name, **environment)
        running.wait_for(r"\bready\b")
        return running

    def client(self, program: str, *arguments: object, name: str | None = None, **environment: str) -> list[str]:
        """Run a program of the example to its end and return what it printed."""
        return self.start(program, *arguments, name=name, **environment).finish()

    def run(self, command: list[str], *, name: str, **environment: str) -> Program:
        """Start any program; a number is added to names that are in use already."""
        unique, number = name, 1
        while unique in self.programs:
            number += 1
            unique = f"{name} {number}"
        program = Program(unique, command, {**self.environment, **environment}, self)
        self.programs[unique] = program
        return program


def _environment() -> dict[str, str]:
    """The environment with this checkout, and without the user's Pyro settings, which could lead elsewhere."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYRO_")}
    settings = {"PYTHONPATH": str(EXAMPLES.parent), "PYTHONIOENCODING": "utf-8"}
    environment.pop("PYTHONUNBUFFERED", None)  # it tears lines apart that several threads print
    return {**environment, **settings}


@contextlib.contextmanager
def ending(*programs: Program) -> Iterator[None]:
    """End servers with Ctrl-C at the end of the block, the last one first."""
    yield
    for program in reversed(programs):
        program.interrupt()
