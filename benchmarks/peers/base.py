"""What a peer has to provide, and the workloads written once for all peers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter_ns
from typing import Any

from benchmarks.service import CLIENTS, ONEWAY_GROUP, STREAM_ITEMS, make_payload, nested_payload

Run = Callable[[int], int]
"""Does that many units of work, returns the nanoseconds they took."""

REGISTERED_NAMES = 100
NAMES_IN_GROUP = 100
MANY_NAMES = 1_000_000


class UnsupportedError(Exception):
    """The peer has nothing that corresponds to the workload."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How server and client are set up for one workload; sent to both processes as JSON."""

    server_type: str = "thread"
    serializer: str = "serpent"
    certificate: str = ""  # files of the server; a certificate switches TLS on
    private_key: str = ""
    hmac: bool = False
    oneway_threaded: bool = True
    storage: str = ""  # "memory" or "sql": serve a name server instead of the service
    names: int = 0  # that the name server has already, in groups of NAMES_IN_GROUP
    size: int = 0  # bytes of the large payload
    connections: int = 0  # idle connections beside the active one
    prefetch: int = 1  # stream items fetched at once, where the peer can


class Server(ABC):
    """The serving side of a peer; runs in a process of its own."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    @abstractmethod
    def start(self) -> Any:
        """Begin to serve in background threads; return what clients need to connect (any JSON value)."""

    @abstractmethod
    def stop(self) -> None:
        """End serving and release the port."""


class Client(ABC):
    """The calling side of a peer. Each workload is a method that prepares it and returns the function to be timed."""

    expected_error: type[Exception] = ValueError

    def __init__(self, scenario: Scenario, address: Any) -> None:
        self.scenario = scenario
        self.address = address
        self._opened: list[Any] = []

    @abstractmethod
    def connect(self) -> Any:
        """Return a newly connected object with the methods of Service."""

    @abstractmethod
    def disconnect(self, target: Any) -> None:
        """Close the connection of what `connect` returned."""

    def adopt(self, target: Any) -> None:
        """Allow the calling thread to use `target` from now on."""

    def nested(self) -> Any:
        """Return the 1 KB payload in a form that this peer sends by value."""
        return nested_payload()

    def open(self) -> Any:
        """Connect, and disconnect when the client is closed."""
        target = self.connect()
        self._opened.append(target)
        return target

    def close(self) -> None:
        """Close all connections."""
        for target in self._opened:
            self.disconnect(target)
        self._opened.clear()

    # ---- workloads

    def call(self) -> Run:
        """A call with two small integers."""
        target = self.open()
        verify(target.add(1, 2), 3)
        return timed(lambda: target.add(1, 2))

    def echo_nested(self) -> Run:
        """The 1 KB nested payload there and back."""
        target, payload = self.open(), self.nested()
        verify(target.echo(payload), payload)
        return timed(lambda: target.echo(payload))

    def echo_bytes(self) -> Run:
        """Bytes there and back."""
        target, payload = self.open(), make_payload(self.scenario.size)
        target.echo(payload)
        return timed(lambda: target.echo(payload))

    def upload(self) -> Run:
        """Bytes from the client to the server."""
        target, payload = self.open(), make_payload(self.scenario.size)
        verify(target.sink(payload), len(payload))
        return timed(lambda: target.sink(payload))

    def download(self) -> Run:
        """Bytes from the server to the client."""
        target = self.open()
        verify(len(target.source()), self.scenario.size)
        return timed(target.source)

    def make_batch(self, target: Any) -> Callable[[], object]:
        """Return a function that performs BATCH_SIZE calls of ``add`` as one batch and reads all results."""
        raise UnsupportedError("no batches")

    def batch(self) -> Run:
        """Batches of BATCH_SIZE calls."""
        return timed(self.make_batch(self.open()))

    def call_oneway(self, target: Any) -> Callable[[], object]:
        """Return a function that calls ``note`` without waiting for it."""
        raise UnsupportedError("no oneway calls")

    def oneway(self) -> Run:
        """Groups of ONEWAY_GROUP oneway calls, each followed by one normal call so that nothing stays queued."""
        target = self.open()
        note = self.call_oneway(target)

        def group() -> None:
            for _ in repeat(None, ONEWAY_GROUP):
                note()
            target.add(1, 2)

        return timed(group)

    def stream(self) -> Run:
        """Item streams of STREAM_ITEMS items."""
        target = self.open()
        verify(list(target.stream(3)), [0, 1, 2])

        def consume() -> None:
            for _ in target.stream(STREAM_ITEMS):
                pass

        return timed(consume)

    def connect_call_close(self) -> Run:
        """A new connection, one call on it, and its end."""

        def visit() -> None:
            target = self.connect()
            target.add(1, 2)
            self.disconnect(target)

        return timed(visit)

    def many_clients(self) -> Run:
        """CLIENTS threads, each with a connection of its own, calling as fast as they can."""
        targets = [self.open() for _ in range(CLIENTS)]
        return lambda units: self._run_threads(targets, max(1, units // CLIENTS)) * units // CLIENTS

    def _run_threads(self, targets: Sequence[Any], calls: int) -> int:
        """Let every target do `calls` calls at the same time; return the nanoseconds for one call each."""
        started: list[int] = []
        ready = threading.Barrier(len(targets), action=lambda: started.append(perf_counter_ns()))
        failures: list[Exception] = []

        def work(target: Any) -> None:
            try:
                self.adopt(target)
                target.add(1, 2)  # some peers connect at a thread's first call
                ready.wait()
                for _ in repeat(None, calls):
                    target.add(1, 2)
            except Exception as x:
                failures.append(x)
                ready.abort()

        threads = [threading.Thread(target=work, args=(target,)) for target in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return (perf_counter_ns() - started[0]) // calls

    def call_beside_idle(self) -> Run:
        """A call while many other connections are open and idle."""
        for _ in range(self.scenario.connections):
            self.open().add(1, 2)
        return self.call()

    def attribute(self) -> Run:
        """Reading a remote attribute."""
        target = self.open()
        verify(target.value, 42)

        def read() -> None:
            target.value  # noqa: B018

        return timed(read)

    def raising(self) -> Run:
        """A call that raises ValueError at the server, caught at the client."""
        target, expected = self.open(), self.expected_error

        def attempt() -> None:
            try:
                target.fail()
            except expected:
                return
            raise AssertionError("the call did not raise")

        return timed(attempt)

    def construct(self) -> Run:
        """Making (and forgetting) an unconnected proxy."""
        raise UnsupportedError("no unconnected proxies")

    def method_access(self) -> Run:
        """Looking up a remote method without calling it."""
        raise UnsupportedError("not comparable")

    def name_lookup(self) -> Run:
        """Asking the name server for one of REGISTERED_NAMES names."""
        raise UnsupportedError("no name server")

    def name_register(self) -> Run:
        """Registering one of REGISTERED_NAMES names (again) at the name server."""
        raise UnsupportedError("no name server")

    def name_prefix_list(self) -> Run:
        """Asking the name server for the names of one of the groups that it has."""
        raise UnsupportedError("no name server")

    def name_memory(self) -> Run:
        """Keeping MANY_NAMES names with two pieces of metadata each; returns bytes instead of nanoseconds."""
        raise UnsupportedError("no name server")


@dataclass(frozen=True, slots=True)
class Peer:
    """One library under measurement."""

    label: str
    library: str  # module that is imported; its import time is measured
    distribution: str  # for the version; "" where it comes with Python
    server: type[Server]
    client: type[Client]
    pyro_family: bool = False  # has Pyro's choice of serializers and server types
    everywhere: bool = False  # takes part in rows that differ only by Pyro's choices


def verify(result: object, expected: object) -> None:
    """Raise AssertionError if a peer does not do what it is timed for."""
    if result != expected:
        raise AssertionError(f"wrong result: {result!r:.80}, expected {expected!r:.80}")


def timed(step: Callable[[], object]) -> Run:
    """Return the function that repeats `step` and takes the time."""

    def run(units: int) -> int:
        start = perf_counter_ns()
        for _ in repeat(None, units):
            step()
        return perf_counter_ns() - start

    return run


def timed_import(module: str) -> Run:
    """Return the function that imports `module` in new interpreters, and times the import alone.

    Bytecode is there: the compiler is not what is measured, whether or not a peer was installed with its bytecode.
    """
    program = f"from time import perf_counter_ns as now; start = now(); import {module}; print(now() - start)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def time_one() -> int:
        return int(
            subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, env=environment).stdout
        )

    time_one()  # writes the bytecode of what has none yet, or an old one

    def run(units: int) -> int:
        # nothing of an import depends on chance but what else the machine does, which only adds to the time
        return sum(min(time_one() for _ in range(3)) for _ in range(units))

    return run


def measured_memory(program: str) -> Run:
    """Return the function that tells how many bytes a new interpreter has when it has run `program`, found out once."""
    report = "\nprint(next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmRSS')))"
    measured: list[int] = []

    def run(units: int) -> int:
        if not measured:
            command = [sys.executable, "-c", program + report]
            measured.append(1024 * int(subprocess.run(command, check=True, capture_output=True).stdout))
        return measured[0] * units

    return run


def pin_threads(cpus: Sequence[int]) -> None:
    """Bind all threads of this process to the CPUs (nothing where the platform cannot)."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for thread in os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ["0"]:
        with suppress(ProcessLookupError):  # the thread may have ended meanwhile
            os.sched_setaffinity(int(thread), cpus)
