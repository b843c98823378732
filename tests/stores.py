"""Servers for the storages of the name server: Redis and PostgreSQL, started on free ports in empty directories.

Run as a program, it installs them from Debian's packages where that is possible, and says what is missing otherwise.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
#: Seconds that an installation may take, and a start.
INSTALLATION_TIME = 400
START_TIME = 40


class Missing(Exception):
    """A program is not there, and could not be installed; the text says why."""


class Program(NamedTuple):
    """A server's program, and the Debian package that has it."""

    name: str
    package: str

    def find(self) -> str | None:
        """Where it is; Debian keeps some out of the PATH."""
        elsewhere = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{self.name}"))
        return shutil.which(self.name) or (str(elsewhere[-1]) if elsewhere else None)

    def path(self) -> str:
        """Where it is, after it has been installed if need be.

        Raises:
            Missing: that was not possible.
        """
        with (Path(tempfile.gettempdir()) / "pyrolite-stores.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test runs install it once
            found = self.find()
            if found is None:
                _install(self.package)
                found = self.find()
        if found is None:
            raise Missing(f"needs the program {self.name} (Debian: {self.package})")
        return found


REDIS = Program("redis-server", "redis-server")
POSTGRES = Program("postgres", "postgresql")
INITDB = Program("initdb", "postgresql")


def _install(package: str) -> None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Missing(f"needs the package {package}; install it as root: apt-get install {package}")
    # without a runlevel for services nothing is started by the installation
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", package]
    for command in (install, ["apt-get", "update"], install):
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=INSTALLATION_TIME, check=False
            )
        except subprocess.TimeoutExpired:
            raise Missing(f"{' '.join(command)} took too long") from None
        if done.returncode == 0 and command is install:
            return
    last = (done.stderr or done.stdout).strip().splitlines()[-1:]
    raise Missing(f"apt-get could not install {package}: {' '.join(last)}")


class Store:
    """A server in a directory of its own; it can be killed, frozen and started again, and keeps its port."""

    ready = b"ready to accept connections"

    def __init__(self, parent: Path | None = None, **settings: str) -> None:
        self.settings = settings
        self.directory = Path(tempfile.mkdtemp(prefix="pyrolite-store-", dir=parent))
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.output: list[bytes] = []
        self._reader: threading.Thread | None = None
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    # ---- what differs

    def prepare(self) -> None:
        """Make the directory ready for the first start."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def release(self) -> None:
        """End it without caring for its data."""
        self.signal_all(signal.SIGKILL)

    def options(self) -> dict[str, Any]:
        """How the process is started."""
        return {}

    @property
    def url(self) -> str:
        """What a name server is given as storage."""
        raise NotImplementedError

    # ---- what is common

    def start(self) -> None:
        """Start it, the first time on any port that is free, and wait until it is ready."""
        for _ in range(1 if self.port else 5):
            wanted = self.port
            self.port = self.port or free_port()
            if self._started():
                return
            self.kill()
            self.port = wanted  # somebody else took it
        raise RuntimeError(b"".join(self.output).decode("utf-8", "replace"))

    def _started(self) -> bool:
        self.output = []
        ready = threading.Event()
        self.process = process = subprocess.Popen(
            self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_end_with_parent,  # noqa: PLW1509
            **self.options(),
        )  # fmt: skip
        lines, output = process.stdout, self.output
        assert lines

        def read() -> None:
            for line in lines:
                output.append(line)
                if self.ready in line.lower():
                    ready.set()
            ready.set()

        self._reader = threading.Thread(target=read, name="store output")
        self._reader.start()
        return ready.wait(START_TIME) and any(self.ready in line.lower() for line in output)

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def signal_all(self, number: int) -> None:
        """Send a signal to the server and all processes that it has started, which may have groups of their own."""
        assert self.process
        for pid in (self.process.pid, *_children(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End it at once, as a crash does, with all of its processes."""
        self._end(lambda: self.signal_all(signal.SIGKILL))

    def stop(self) -> None:
        """End it as an administrator does."""
        self._end(lambda: self.signal(signal.SIGINT))

    def _end(self, end: Callable[[], None]) -> None:
        process = self.process
        if process is None:
            return
        end()
        try:
            process.wait(START_TIME)
        finally:
            self.signal_all(signal.SIGKILL)
            self.process = None
            process.wait()
            assert self._reader
            self._reader.join()
            assert process.stdout
            process.stdout.close()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It exists and accepts connections, but does not answer."""
        self.signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove everything."""
        self._end(self.release)
        shutil.rmtree(self.directory)


class RedisServer(Store):
    """A Redis server; settings are those of its configuration, with ``_`` for ``-``."""

    def command(self) -> list[str]:
        settings = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(self.directory), "save": ""}
        settings |= {name.replace("_", "-"): value for name, value in self.settings.items()}
        return [REDIS.path(), *(word for name, value in settings.items() for word in (f"--{name}", value))]

    @property
    def url(self) -> str:
        password = self.settings.get("requirepass", "")
        return f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"


class PostgresqlServer(Store):
    """A PostgreSQL server; settings are those of its configuration. It refuses to run as root, so another user does."""

    def __init__(self, password: str = "", parent: Path | None = None, **settings: str) -> None:
        self.password = password
        super().__init__(parent, **settings)

    def prepare(self) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password or "unused")
        options = self.options()
        if options:
            for path in (self.directory, secret):
                os.chown(path, options["user"], options["group"])
        method = "scram-sha-256" if self.password else "trust"
        command = f"{INITDB.path()} -D data -U names -E UTF8 --locale=C --no-sync --auth={method} --pwfile=password"
        done = subprocess.run(
            command.split(), cwd=self.directory, capture_output=True, text=True, check=False, timeout=60, **options
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout} {done.stderr}")

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "",
            "shared_buffers": "16MB", "max_connections": "60", "timezone": "UTC", "autovacuum": "off",
        }  # fmt: skip
        settings |= self.settings
        return [POSTGRES.path(), "-D", "data", *(f"--{name}={value}" for name, value in settings.items())]

    def release(self) -> None:
        self.signal(signal.SIGQUIT)  # at once, but it gives back its shared memory

    def options(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        for user in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(user)
                return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        raise Missing("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")

    @property
    def url(self) -> str:
        return f"postgresql://names{f':{self.password}' if self.password else ''}@127.0.0.1:{self.port}/postgres"


def _end_with_parent() -> None:
    """Have the kernel end the server when the tests are killed; called in the new process."""
    with contextlib.suppress(OSError, AttributeError):  # there are systems without that
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def main(programs: Sequence[Program] = (REDIS, POSTGRES, INITDB)) -> int:
    """Install what is missing; the exit code says whether all is there."""
    missing = False
    for program in programs:
        try:
            program.path()
        except Missing as reason:
            missing = True
            print(f"{program.name}: {reason}. Tests that need it will be skipped.", file=sys.stderr)
    return int(missing)


if __name__ == "__main__":
    sys.exit(main())
