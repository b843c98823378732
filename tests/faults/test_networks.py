"""Networks that delay, lose and part: server and client in two network namespaces ([HRD-15], [BYD-6], [WIRE-123])."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import CommandedProcess, Server, eventually


class Network:
    """Two namespaces and the wire between them."""

    def __init__(self) -> None:
        self.names = (f"pyrolite-{os.getpid()}-a", f"pyrolite-{os.getpid()}-b")
        self._made: list[str] = []
        try:
            for name in self.names:
                self._ip("netns", "add", name)
                self._made.append(name)
            self._wire = CommandedProcess("wire.py", *self.names)
            try:
                self._wire.receive(10)
            except BaseException:
                self._wire.release()
                raise
        except BaseException:
            self._remove()
            raise

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=10)

    def set(self, **how: Any) -> None:
        """Change ``delay`` (seconds, one way), ``loss`` (0 to 1) or ``up``."""
        self._wire.command(json.dumps(how))

    @property
    def server_side(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.names[0])

    @property
    def client_side(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.names[1])

    def _remove(self) -> None:
        for name in self._made:
            self._ip("netns", "del", name)

    def stop(self) -> None:
        code = self._wire.stop()
        self._remove()
        assert (code, self._wire.complaints()) == (0, "")


@pytest.fixture(scope="module")
def wires() -> Iterator[Network]:
    if os.geteuid() or not shutil.which("ip") or not Path("/dev/net/tun").exists():
        pytest.skip("needs root, the program ip (iproute2) and /dev/net/tun")
    try:
        network = Network()
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        pytest.skip(f"network namespaces are not permitted: {error}")
    yield network
    network.stop()


@pytest.fixture
def network(wires: Network) -> Iterator[Network]:
    yield wires
    wires.set(delay=0.0, loss=0.0, up=True)


@pytest.fixture
def far_server(start_server: Callable[..., Server], network: Network) -> Callable[..., Server]:
    """Starts servers at the other end of the wire."""

    def start(**settings: Any) -> Server:
        return start_server(prefix=network.server_side, host="10.177.0.1", POLLTIMEOUT=0.2, **settings)

    return start


class Client(CommandedProcess):
    """A client at this end of the wire."""

    def __init__(self, network: Network) -> None:
        super().__init__("victim.py", prefix=network.client_side)

    def begin(self, server: Server, action: str, **order: Any) -> None:
        assert self.process.stdin is not None
        order |= {"host": "10.177.0.1", "port": server.address[1], "action": action}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def does(self, server: Server, action: str, **order: Any) -> dict[str, Any]:
        self.begin(server, action, **order)
        told: dict[str, Any] = self.receive(40)
        return told


@pytest.fixture
def clients(network: Network) -> Iterator[list[Client]]:
    started = [Client(network) for _ in range(2)]
    yield started
    network.set(up=True)
    for client in started:
        code = client.stop()
        assert (code, client.complaints()) in {(0, ""), (-signal.SIGKILL, "")}


def test_delay_and_loss(
    far_server: Callable[..., Server], network: Network, clients: list[Client], record: Any
) -> None:
    """Slow but right: calls, large messages, batches, streams, oneway calls."""
    server = far_server()
    network.set(delay=0.005, loss=0.02)
    seconds = {}
    for action, value in (
        ("many", "True"),
        ("large", "200000"),
        ("batch", "[1]"),
        ("stream", "[0, 1, 2]"),
        ("note", repr([None] * 20)),
    ):
        told = clients[0].does(server, action, timeout=20)
        assert told.get("value") == value, told
        seconds[action] = round(told["seconds"], 2)
    record(**seconds)
    eventually(lambda: clients[0].does(server, "noted")["value"] == "20")


def test_partition_in_a_call(far_server: Callable[..., Server], network: Network, clients: list[Client]) -> None:
    """With a timeout the client is told in time; when the network is back, it goes on; nothing is done twice."""
    server = far_server()
    client = clients[0]
    assert client.does(server, "echo")["value"] == "1"
    client.begin(server, "slow", timeout=0.7, again=True)
    eventually(lambda: server.command("stats")["connections_open"] == 1)
    time.sleep(0.1)
    network.set(up=False)
    told = client.receive(20)
    assert told["error"][0] == "TimeoutError"
    assert told["seconds"] < 2
    assert told["again"]["error"][0] in {"CommunicationError", "TimeoutError"}
    assert told["again"]["seconds"] < 3
    network.set(up=True)
    assert client.does(server, "many", timeout=20)["value"] == "True"


def test_short_partition(far_server: Callable[..., Server], network: Network, clients: list[Client]) -> None:
    """Without a timeout a call outlives it."""
    server = far_server()
    client = clients[0]
    client.begin(server, "slow", timeout=0)
    eventually(lambda: server.command("stats")["connections_open"] == 1)
    time.sleep(0.1)
    network.set(up=False)
    time.sleep(0.5)
    network.set(up=True)
    told = client.receive(30)
    assert told.get("value") == "None", told


def test_half_open_connections(far_server: Callable[..., Server], network: Network, clients: list[Client]) -> None:
    """[HRD-15], [SRV-38]: clients that are gone without a word in the middle of a message; COMMTIMEOUT ends them."""
    server = far_server(COMMTIMEOUT=0.7, THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    before = server.usage()
    for client in clients:
        client.begin(server, "half a call", timeout=0)
    eventually(lambda: server.command("stats")["connections_total"] == 2)
    time.sleep(0.1)
    network.set(up=False)
    for client in clients:
        client.process.kill()
        client.process.wait()
    assert server.command("stats")["connections_open"] == 2
    eventually(lambda: server.command("stats")["connections_open"] == 0)
    server.settle(before, threads=3, descriptors=4)


def test_server_that_was_replaced(far_server: Callable[..., Server], network: Network, clients: list[Client]) -> None:
    """[WIRE-123]: the connection is half open for the client; the next call over it fails, the one after that works."""
    server = far_server()
    client = clients[0]
    client.begin(server, "note", more=True)
    eventually(lambda: server.command("noted") == 20)
    network.set(up=False)
    server.kill()
    far_server(port=server.address[1])
    network.set(up=True)
    assert client.command("more")["value"] == repr([None] * 20)  # these were the first calls
    told = client.command("more")
    assert told["error"][0] == "ConnectionClosedError", told
    assert client.command("enough")["value"] == "1"


def test_others_feel_nothing(
    far_server: Callable[..., Server], network: Network, clients: list[Client], record: Any
) -> None:
    """[SEC-40]: a client near the server is not delayed by those beyond a lossy and then broken network."""
    server = far_server(THREADPOOL_SIZE=2, THREADPOOL_SIZE_MIN=1)
    near = CommandedProcess("prober.py", prefix=network.server_side)
    try:
        near.command(json.dumps({"uri": server.uri()}))
        time.sleep(0.3)
        near.command(json.dumps({"phase": "attack"}))
        network.set(delay=0.01, loss=0.1)
        for client in clients:
            client.begin(server, "large", timeout=0)
        time.sleep(0.2)
        network.set(up=False)
        time.sleep(0.5)
        figures = near.command(json.dumps({"stop": True}))
    finally:
        near.stop()
    record(quiet=figures["quiet"], attack=figures["attack"], failures=figures["failures"])
    assert not figures["failures"], figures
    assert figures["attack"]["max"] < 2
    network.set(up=True, loss=0.0)
    for client in clients:
        assert client.receive(30).get("value") == "200000"
