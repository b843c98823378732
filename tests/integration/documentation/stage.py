"""Where a page is performed: a directory, terminals, a Python session, and addresses that nobody else uses."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from .pages import REPOSITORY, Block

#: Modules behind the commands, which need not be installed.
COMMANDS = {
    "python": "",
    "pyrolite-ns": "-m pyrolite.naming",
    "pyrolite-nsc": "-m pyrolite.nsc",
    "pyrolite-check": "-m pyrolite.cli.check",
    "pyrolite-check-config": "-m pyrolite.configuration",
    "pyrolite-test-echoserver": "-m pyrolite.test.echoserver",
    "pyrolite-flameserver": "-m pyrolite.utils.flameserver",
    "pyrolite-httpgateway": "-m pyrolite.utils.httpgateway",
    "pytest": "-m pytest --quiet -p no:randomly -p no:cacheprovider",
}
#: Port numbers of the documentation; each is replaced by one that is free.
PORTS = re.compile(r"(?<![\d.])(9090|9091|8080|4444|4445|4446|9999|55555)(?!\d)")
#: Ports that a system may choose for a server.
RANDOM_PORT = re.compile(r"(?<=:)[3-6]\d{4}\b")
#: Durations are never the same; this is how they look in an expression.
DURATION = re.compile(r"\d+\\\.\d+(\\ )?(m?s)\b")
#: Addresses of the documentation, and where they are on this machine: all on the loopback interface.
ADDRESSES = {
    r"192\.168\.1\.(\d+)": r"127.0.0.\1" if sys.platform == "linux" else "127.0.0.1",
    r"0\.0\.0\.0": "127.0.0.1",
}
HOST_NAMES = re.compile(r"\b\w+\.example\.(com|net)\b")
END_OF_COMMAND = "\x1e"
PATIENCE = 40.0  # seconds for a command to end, or to print what it should
LAST_PATIENCE = 8.0  # seconds for a program to end after SIGTERM


class StageError(Exception):
    """What happened is not what the page shows."""


class Stage:
    """Performs blocks, one after the other; everything that runs ends with it.

    Not thread-safe.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._programs = directory / ".bin"
        self._ports: dict[str, int] = {}
        self._terminals: list[Terminal] = []
        self._session: subprocess.Popen[str] | None = None
        self._output = ""  # of the last block of the session
        self._environment = self._make_environment()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        problems = [problem for terminal in reversed(self._terminals) if (problem := terminal.end())]
        if self._session is not None:
            with contextlib.suppress(BrokenPipeError):
                self._session.communicate(timeout=LAST_PATIENCE)
        if problems and failed is None:
            raise StageError("\n".join(problems))

    def perform(self, block: Block) -> None:
        """Do what the block says; raises StageError when something else happens."""
        text = self._local(block.text)
        if block.kind == "file":
            path = self._directory / block.note
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif block.kind == "text":
            _compare(text, self._output, "the block before it")
        elif block.kind == "console":
            self._type_commands(text, block)
        else:
            self._tell_session(text, block)

    def _local(self, text: str) -> str:
        """The text with addresses that can be used here."""
        for pattern, replacement in ADDRESSES.items():
            text = re.sub(pattern, replacement, text)
        text = HOST_NAMES.sub("localhost", text)
        return PORTS.sub(lambda found: str(self._port(found[1])), text)

    def _port(self, documented: str) -> int:
        while documented not in self._ports:
            # below those that systems give to whoever connects somewhere
            port = random.randint(20000, 29999)
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                self._ports[documented] = port
        return self._ports[documented]

    def _make_environment(self) -> dict[str, str]:
        self._programs.mkdir()
        for name, arguments in COMMANDS.items():
            script = self._programs / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            script.chmod(0o755)
        # as in the root of the repository
        (self._directory / "examples").symlink_to(REPOSITORY / "examples")
        entry_point = self._directory / "run"
        entry_point.write_text(f'#!/bin/sh\n[ "$*" = demo ] && exec "{sys.executable}" "{REPOSITORY}/tools/demo.py"\n')
        entry_point.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYRO", "PYTEST", "COV_"))}
        return {
            **kept,
            "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
            "COLUMNS": "80",
            "PYRO_NS_PORT": str(self._port("9090")),
            "PYRO_NS_BCPORT": str(self._port("9091")),
            "PYRO_BROADCAST_ADDRS": "127.0.0.1",
        }

    def _type_commands(self, text: str, block: Block) -> None:
        commands, shown = _commands_and_output(text)
        terminal = Terminal(commands, self._directory, self._environment)
        self._terminals.append(terminal)
        if block.note == "background":
            terminal.wait_for(shown)
            return
        outputs, code = terminal.finish()
        expected = int(block.note.removeprefix("exit ")) if block.note else 0
        if code != expected or len(outputs) != len(commands):
            raise StageError(f"exit code {code} of\n{commands[max(0, len(outputs) - 1)]}\n{''.join(outputs)}")
        for command, want, got in zip(commands, shown, outputs, strict=True):
            if want:
                _compare(want, got, command)

    def _tell_session(self, text: str, block: Block) -> None:
        if self._session is None:
            self._session = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("interpreter.py"))],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._session.stdin is not None
        assert self._session.stdout is not None
        request = {"kind": block.kind, "text": text, "place": f"line {block.line}"}
        watchdog = threading.Timer(PATIENCE, self._session.kill)
        watchdog.start()
        self._session.stdin.write(json.dumps(request) + "\n")
        self._session.stdin.flush()
        line = self._session.stdout.readline()
        watchdog.cancel()
        watchdog.join()
        if not line:
            raise StageError("the session ended, or took too long")
        answer = json.loads(line)
        if answer["failure"]:
            raise StageError(answer["failure"])
        self._output = answer["output"]


class Terminal:
    """A shell that is given commands; the output of each of them ends with its exit code."""

    def __init__(self, commands: list[str], directory: Path, environment: dict[str, str]) -> None:
        self._commands = commands
        mark = f'printf "{END_OF_COMMAND}%d\\n" $?\n'
        script = "".join(f"{command}\n{mark}" for command in commands)
        self._received = ""
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="output of a terminal")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._received += line
                self._changed.notify_all()
        self._process.stdout.close()

    def finish(self) -> tuple[list[str], int]:
        """Wait for the end; return the output of each command, and the exit code of the last one."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise StageError(f"{self._commands[-1]} did not end in time:\n{self._received}") from None
        self._reader.join()
        outputs = re.split(END_OF_COMMAND + r"(\d+)\n", self._received)
        codes = [int(code) for code in outputs[1::2]]
        if len(codes) < len(self._commands):  # ended by a command
            outputs.append("")
            codes.append(self._process.returncode)
        failed = next((number for number, code in enumerate(codes[:-1]) if code), len(codes) - 1)
        return outputs[0 : 2 * failed + 1 : 2], codes[failed]

    def wait_for(self, shown: list[str]) -> None:
        """Wait until the last command has printed what is shown, and let it run."""
        if not shown[-1]:
            raise StageError(f"show some output of\n{self._commands[-1]}\nso that one knows when it is ready")
        pattern = re.compile("".join(f"(?s:.*?){_pattern(text)}\n(?s:.*?)" for text in shown if text))
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while not pattern.match(self._received):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise StageError(f"{self._commands[-1]}\nended or printed only:\n{self._received}")
                self._changed.wait(0.1)

    def end(self) -> str:
        """End what still runs; return what was wrong, if anything."""
        problem = ""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(LAST_PATIENCE)
            except subprocess.TimeoutExpired:
                problem = f"{self._commands[-1]} did not end"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # also what it has left behind
        self._process.wait()
        self._reader.join()
        return problem


def _commands_and_output(text: str) -> tuple[list[str], list[str]]:
    """The commands, and what is shown below each of them."""
    commands: list[str] = []
    shown: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            commands.append(line[2:].rstrip("\n"))
            shown.append("")
        elif commands and not shown[-1] and commands[-1].endswith("\\"):
            commands[-1] += "\n" + line.rstrip("\n")
        elif commands:
            shown[-1] += line
        else:
            raise StageError("a terminal begins with a $")
    return commands, shown


def _pattern(shown: str) -> str:
    """An expression for text like that."""
    return "\n".join(_line_pattern(line.rstrip()) + " *" for line in shown.strip("\n").splitlines())


def _line_pattern(line: str) -> str:
    pattern = re.escape(line).replace(r"\.\.\.", "(?s:.*?)")
    pattern = DURATION.sub(r"[\\d.]+\1\2", pattern)
    return RANDOM_PORT.sub(r"\\d+", re.sub(r"(\\ )+", r"\\ +", pattern))


def _compare(shown: str, got: str, what: str) -> None:
    if not re.fullmatch(_pattern(shown) + r"\s*", got.lstrip("\n")):
        raise StageError(f"{what}\nprints\n{got}\nand not\n{shown}")
