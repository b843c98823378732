"""What was acknowledged is there, whatever is killed at whatever moment, and however full the disk is ([BYD-15])."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite.core import URI, Proxy
from pyrolite.errors import CommunicationError, NamingError
from pyrolite.naming import NameServer
from pyrolite.naming.storage import open_storage

from ... import stores
from .conftest import running

CLIENTS = 4
KINDS = ["sql", "dbm", "redis", "postgresql"]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, stores.Store | None]:
    """What a name server is given as storage, and the server that it is on, if any."""
    if request.param in {"sql", "dbm"}:
        return f"{request.param}:{tmp_path / 'names'}", None
    server: stores.Store = request.getfixturevalue(f"durable_{request.param}")
    if server.process is None:
        server.start()
    with contextlib.closing(open_storage(server.url)) as storage:
        storage.clear()
    return server.url, server


class Registrar:
    """Registers names until the name server is killed, and knows which ones were acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, str] = {}
        self._numbers = itertools.count()

    def until_killed(self, uri: URI, kill: Any, after: int) -> None:
        """Several clients register at the same time; one of them kills after so many, while the others go on."""
        end = len(self.acknowledged) + after
        killing = threading.Lock()

        def client() -> None:
            with contextlib.suppress(CommunicationError, NamingError), Proxy(uri) as nameserver:
                for number in self._numbers:
                    name, own = f"name.{number}", f"PYRO:object{number}@host:1"
                    nameserver.register(name, own, safe=bool(number % 2))
                    self.acknowledged[name] = own
                    if len(self.acknowledged) >= end and killing.acquire(blocking=False):
                        kill()

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def check(self, uri: URI) -> None:
        """Everything that was acknowledged is there; of what was under way when it was killed some may be."""
        with Proxy(uri) as nameserver:
            found = nameserver.list(prefix="name.")
            assert self.acknowledged.items() <= found.items()
            assert len(found) - len(self.acknowledged) <= CLIENTS * self.kills
            assert nameserver.count() == len(found) + 1

    kills = 0


def kill_and_look(start_nameserver: Any, storage: str, server: stores.Store | None, count: int, kills: int) -> None:
    """Kill the name server that often during so many registrations, and the server of the storage every other time."""
    registrar = Registrar()
    moments = sorted(random.sample(range(1, count), kills - 1))
    for number, after in enumerate(end - begin for begin, end in itertools.pairwise([0, *moments, count])):
        tool, uri = start_nameserver(storage)

        def kill(tool: Any = tool, store: stores.Store | None = server if number % 2 else None) -> None:
            if store is not None:
                store.signal_all(signal.SIGKILL)
            tool.process.kill()

        registrar.kills += 1
        registrar.until_killed(uri, kill, after)
        tool.wait()
        if server is not None and number % 2:
            server.kill()
            server.start()
    assert len(registrar.acknowledged) >= count
    _, uri = start_nameserver(storage)
    registrar.check(uri)


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_kill_at_any_moment(place: Any, start_nameserver: Any) -> None:
    """[BYD-15] [HRD-37] Some hundred registrations, for every day."""
    kill_and_look(start_nameserver, *place, count=380, kills=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not os.environ.get("PYROLITE_ATTACKS"), reason="takes minutes; set PYROLITE_ATTACKS=1 to run it")
@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_kill_at_many_moments(place: Any, start_nameserver: Any) -> None:
    """[BYD-15] [HRD-37] 20,000 registrations."""
    kill_and_look(start_nameserver, *place, count=20_000, kills=25)


# ---- full disks


@pytest.fixture
def small_disk() -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a given size, which other users can reach; skips the test where that is not possible."""
    directory = Path(tempfile.mkdtemp(prefix="pyrolite-disk-"))

    def mount(size: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(directory)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("cannot mount a small file system here")
        return directory

    directory.chmod(0o755)
    try:
        yield mount
    finally:
        if directory.is_mount():
            subprocess.run(["umount", "--lazy", str(directory)], check=True)
        directory.rmdir()


def fill(nameserver: Any, most: int = 100_000) -> tuple[dict[str, str], str]:
    """Register names until that fails; what was acknowledged, and the error."""
    acknowledged: dict[str, str] = {}
    for number in range(most):
        name, own = f"name.{number}", f"PYRO:object{number}@{os.urandom(1000).hex()}:1"
        try:
            nameserver.register(name, own)
        except NamingError as error:
            return acknowledged, str(error)
        acknowledged[name] = own
    pytest.fail("the disk has no end")


@pytest.mark.parametrize("kind", ["sql", "dbm"])
def test_full_disk(kind: str, small_disk: Any, tmp_path: Path, start_nameserver: Any) -> None:
    """[BYD-15] [HRD-37] It says so, everything else goes on, and what was acknowledged is there."""
    disk = small_disk("300k")
    tool, uri = start_nameserver(f"{kind}:{disk / 'names'}")
    with Proxy(uri) as nameserver:
        acknowledged, error = fill(nameserver)
        assert len(acknowledged) > 10
        assert error.startswith("sqlite error in setitem: " if kind == "sql" else "dbm error in setitem: ")
        assert str(disk / "names") in error
        assert nameserver.list(prefix="name.") == acknowledged
    tool.end(signal.SIGKILL)
    shutil.copytree(disk, tmp_path / "larger")
    _, uri = start_nameserver(f"{kind}:{tmp_path / 'larger' / 'names'}")
    with Proxy(uri) as nameserver:
        assert nameserver.list(prefix="name.") == acknowledged
        nameserver.register("another", "PYRO:o@h:1")


@pytest.mark.parametrize("kind", ["sql", "dbm"])
def test_limited_file_size(kind: str, tmp_path: Path, start_nameserver: Any) -> None:
    """[BYD-15] [HRD-37] The same where the system refuses to let the file grow, until it does again."""
    tool, uri = start_nameserver(f"{kind}:{tmp_path / 'names'}")
    with Proxy(uri) as nameserver:
        nameserver.register("first", "PYRO:o@h:1")
        limits = resource.prlimit(tool.process.pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        acknowledged, error = fill(nameserver)
        assert error.startswith("sqlite error in setitem: " if kind == "sql" else "dbm error in setitem: ")
        assert nameserver.list(prefix="name.") == acknowledged
        resource.prlimit(tool.process.pid, resource.RLIMIT_FSIZE, limits)
        nameserver.register("last", "PYRO:o@h:1")
        assert set(nameserver.list()) == {"Pyro.NameServer", "first", "last", *acknowledged}


@pytest.mark.parametrize("kind", ["redis", "postgresql"])
def test_full_disk_of_a_server(kind: str, small_disk: Any) -> None:
    """[BYD-15] Redis and PostgreSQL refuse or end then; nothing that was acknowledged is lost."""
    pytest.importorskip("redis" if kind == "redis" else "psycopg_pool")
    disk = small_disk("2m" if kind == "redis" else "90m")
    options = {"appendonly": "yes", "appendfsync": "always"} if kind == "redis" else {"fsync": "off"}
    make = stores.RedisServer if kind == "redis" else stores.PostgresqlServer
    for server in running(lambda: make(parent=disk, **options)):  # type: ignore[arg-type]
        with contextlib.closing(open_storage(server.url)) as storage:
            ballast = disk / "ballast"
            if kind == "postgresql":
                free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
                ballast.write_bytes(bytes(free - 600_000))
            acknowledged, error = fill(NameServer(storage))
            assert error.startswith((f"{kind} error in setitem: ", "name store unavailable: "))
            assert len(acknowledged) > 10
            ballast.unlink(missing_ok=True)
            subprocess.run(["mount", "-o", "remount,size=150m", str(disk)], check=True)
            assert server.process
            if server.process.poll() is not None:  # Redis ends when it cannot write what it has promised to write
                server.kill()
                server.start()
            found = {name: entry[0] for name, entry in storage.snapshot().items()}
            assert acknowledged.items() <= found.items()
            assert len(found) - len(acknowledged) <= 1
            assert storage.put("another", "PYRO:o@h:1", frozenset())
