"""Leases and daemons that keep their names, with Pyro4 on the other side ([BYD-14])."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers import command_for, environment_for

import pyrolite
from pyrolite.core import Daemon
from pyrolite.naming import NameServer
from pyrolite.naming_storage import SqlStorage
from pyrolite.testing import running_nameserver

pytestmark = pytest.mark.interop

URI = "PYRO:obj@host:1"


@pyrolite.expose
class Thing:
    """Something to register."""

    def name(self) -> str:
        return "thing"


@pytest.fixture
def pyro4_nameserver(pyro_config: Any) -> Iterator[str]:
    """The URI of a name server of Pyro4."""
    command = command_for("Pyro4", "-u", "-m", "Pyro4.naming", "-n", "127.0.0.1", "-p", "0", "-x")
    with subprocess.Popen(command, env=environment_for("Pyro4"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        uri = next(line for line in process.stdout if line.startswith("URI = "))
        yield uri.removeprefix("URI = ").strip()
        process.kill()


def in_pyro4(code: str, *arguments: str) -> Any:
    """What a Pyro4 program prints, as JSON."""
    command = command_for("Pyro4", "-c", code, *arguments)
    done = subprocess.run(
        command, env=environment_for("Pyro4"), capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_name_server_without_leases(pyro4_nameserver: str) -> None:
    """[BYD-14] `register_ns` works with Pyro4's name server: registered without a lease, removed at the end."""
    with pyrolite.Proxy(pyro4_nameserver) as nameserver:
        with Daemon() as daemon:
            uri = daemon.register_ns(Thing(), "a", ns=nameserver, metadata=["x"], ttl=5)
            assert nameserver.lookup("a", return_metadata=True) == (uri, ["x"])
        assert "a" not in nameserver.list()


CLIENT = """
import json, sys, time
import Pyro4
with Pyro4.Proxy(sys.argv[1]) as ns:
    ns.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    before = ns.lookup("a", return_metadata=True)
    listed = ns.list(return_metadata=True)["a"]
    ns.set_metadata("a", ["y"])
    found = ns.list(metadata_all=["y"])
    while "a" in ns.list():
        time.sleep(0.05)
    ns.register("a", "PYRO:later@host:1", safe=True)
    print(json.dumps([str(before[0]), before[1], listed, found, ns.count()]))
"""


def test_client_of_a_lease() -> None:
    """[BYD-14] A Pyro4 client sees an ordinary entry, until it is gone."""
    command = command_for("Pyro4", "-c", CLIENT)
    with running_nameserver() as running, pyrolite.Proxy(running.uri) as nameserver:
        with subprocess.Popen(
            [*command, str(running.uri)],
            env=environment_for("Pyro4"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as client:
            assert client.stdout
            assert client.stdout.readline() == "ready\n"
            nameserver.register("a", URI, metadata=["x"], ttl=2)
            out, _ = client.communicate("\n", timeout=50)
        assert json.loads(out) == [URI, ["x"], [URI, ["x"]], {"a": URI}, 2]
        assert str(nameserver.lookup("a")) == "PYRO:later@host:1"


FILE = """
import json, sys
from Pyro4.naming import NameServer
from Pyro4.naming_storage import SqlStorage
ns = NameServer(storageProvider=SqlStorage(sys.argv[1]))
uri, metadata = ns.lookup("a", return_metadata=True)
ns.register("b", "PYRO:obj@host:2", metadata=["z"])
print(json.dumps([str(uri), sorted(metadata)[-1], sorted(ns.list())]))
"""


def test_file_with_leases(tmp_path: Path) -> None:
    """[BYD-14] [NS-24] Pyro4 reads a file with leases, and what it registers anew has none."""
    nameserver = NameServer(SqlStorage(tmp_path / "names"))
    nameserver.register("a", URI, metadata=["x"], ttl=0.001)
    nameserver.register("b", URI, ttl=0.001)
    nameserver._leases._ends.clear()  # as if it had been killed at once
    nameserver.storage.close()
    assert in_pyro4(FILE, str(tmp_path / "names")) == [URI, "x", ["a", "b"]]
    nameserver = NameServer(SqlStorage(tmp_path / "names"))
    while nameserver.count() > 1:
        pass
    assert nameserver.list(return_metadata=True) == {"b": ("PYRO:obj@host:2", ["z"])}
    nameserver.storage.close()
