"""Starts the processes of the peers and takes the measurements in turns."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.peers import PEER_MODULES, load_peer
from benchmarks.peers.base import Peer
from benchmarks.workloads import Workload

REPOSITORY = Path(__file__).resolve().parent.parent
ANSWER_TIMEOUT = 120.0  # seconds; opening thousands of connections takes a while


class PeerError(Exception):
    """A process of a peer failed; the text is what it said."""


class NotSupportedError(Exception):
    """The peer has nothing that corresponds to the workload."""


@dataclass(slots=True)
class Measurement:
    """What came out for one workload and one peer."""

    rounds: list[float] = field(default_factory=list)  # nanoseconds per operation
    sender_memory: float | None = None  # payloads
    receiver_memory: float | None = None
    problem: str = ""  # why there is nothing

    @property
    def median(self) -> float:
        """Median of the rounds in nanoseconds per operation."""
        return statistics.median(self.rounds)

    def extend(self, later: Measurement) -> None:
        """Add the rounds of a later pass; memory is measured in the first pass only."""
        self.rounds += later.rounds
        self.problem = self.problem or later.problem


Row: TypeAlias = dict[str, Measurement]
"""Measurements of one workload by the peers' names."""


class PeerProcess:
    """One half of a peer: ``benchmarks.peers.host`` at the other end of two pipes."""

    def __init__(self, name: str, role: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.host", name, role],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command, return the answer (PeerError, NotSupportedError)."""
        watchdog = threading.Timer(ANSWER_TIMEOUT, self._process.kill)
        watchdog.start()
        try:
            self._stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._stdin.flush()
            line = self._stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            raise PeerError(f"the process ended or did not answer within {ANSWER_TIMEOUT:.0f} s")
        answer: dict[str, Any] = json.loads(line)
        if "unsupported" in answer:
            raise NotSupportedError(answer["unsupported"])
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    @property
    def _stdout(self) -> Any:
        return self._process.stdout

    def end(self) -> None:
        """End the process, by force if it does not go by itself."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()


class Contestant:
    """A peer with its two processes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peer: Peer = load_peer(name)
        self._start()

    def _start(self) -> None:
        self._server = PeerProcess(self.name, "server")
        self._client = PeerProcess(self.name, "client")

    def takes_part(self, workload: Workload) -> bool:
        """Tell if the peer belongs in that row at all."""
        return workload.all_peers or self.peer.pyro_family or self.peer.everywhere

    def open(self, workload: Workload, cpus: Sequence[int | None]) -> None:
        """Set up both halves for the workload."""
        setup: dict[str, Any] = {"cpus": cpus, "scenario": asdict(workload.scenario)}
        address = self._server.ask("open", **setup)["address"]
        self._client.ask("open", **setup, action=workload.action, address=address)

    def calibrate(self, seconds: float) -> int:
        """Return how many units take about that many seconds."""
        units: int = self._client.ask("calibrate", seconds=seconds)["units"]
        return units

    def run(self, units: int) -> int:
        """Return the nanoseconds that many units took."""
        elapsed: int = self._client.ask("run", units=units)["ns"]
        return elapsed

    def memory(self) -> tuple[int, int]:
        """Return the bytes that client and server allocated at most during one unit."""
        halves = (self._client, self._server)
        self._client.ask("run", units=1)
        for half in halves:
            half.ask("trace")
        self._client.ask("run", units=1)
        client, server = (half.ask("peak")["bytes"] for half in halves)
        return client, server

    def close(self) -> None:
        """Take down what `open` set up."""
        self._client.ask("close")
        self._server.ask("close")

    def restart(self) -> None:
        """Replace both processes after a failure."""
        self.end()
        self._start()

    def end(self) -> None:
        """End both processes."""
        self._client.end()
        self._server.end()


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly to measure."""

    passes: int  # each with new processes, whose memory layout and hash seeds differ
    rounds: int  # of each workload in a pass
    seconds: float  # length of a round of one peer
    cpu: int | None  # the CPU both processes share for pinned workloads; None: no pinning


@dataclass(slots=True)
class Entry:
    """The participation of one peer in one workload."""

    contestant: Contestant
    workload: Workload
    result: Measurement
    units: int = 1  # in a round

    def run_round(self) -> None:
        """Add one round to the result."""
        elapsed = self.contestant.run(self.units)
        self.result.rounds.append(elapsed / (self.units * self.workload.per))


class Runner:
    """Measures workloads with all peers."""

    def __init__(self, names: Iterable[str], plan: Plan, report: Callable[[str], None]) -> None:
        self._plan = plan
        self._report = report
        self._all_cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.contestants = [Contestant(name) for name in names if name in PEER_MODULES]

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        for contestant in self.contestants:
            contestant.end()

    def measure(self, workload: Workload) -> Row:
        """Measure one workload with every peer that takes part."""
        entries = [
            Entry(contestant, workload, Measurement())
            for contestant in self.contestants
            if contestant.takes_part(workload)
        ]
        for entry in entries:
            self._attempt(entry, self._prepare)
        rounds = 0 if workload.memory else min(self._plan.rounds, workload.max_rounds)
        for number in range(rounds):
            turn = number % len(entries)
            for entry in entries[turn:] + entries[:turn]:
                self._attempt(entry, Entry.run_round)
        for entry in entries:
            self._attempt(entry, lambda taken: taken.contestant.close())
        return {entry.contestant.name: entry.result for entry in entries}

    def _prepare(self, entry: Entry) -> None:
        """Set the peer up; find out how many units make a round, or do the memory measurement."""
        workload, result = entry.workload, entry.result
        pinned = workload.pinned and self._plan.cpu is not None
        entry.contestant.open(workload, [self._plan.cpu] if pinned else self._all_cpus)
        if workload.memory:
            client, server = (amount / workload.scenario.size for amount in entry.contestant.memory())
            up = workload.action == "upload"
            result.sender_memory, result.receiver_memory = (client, server) if up else (server, client)
        else:
            entry.units = entry.contestant.calibrate(self._plan.seconds)

    def _attempt(self, entry: Entry, step: Callable[[Entry], None]) -> None:
        """Do the step; if it fails, note why, take the peer out of this row and give it fresh processes."""
        if entry.result.problem:
            return
        try:
            step(entry)
        except NotSupportedError as x:
            entry.result.problem = str(x)
            entry.contestant.close()
        except PeerError as x:
            entry.result.problem = f"failed: {x}"
            self._report(f"{entry.contestant.peer.label} {entry.result.problem}")
            entry.contestant.restart()


def paired_ratio(ours: Measurement | None, theirs: Measurement | None) -> float | None:
    """Return the median of the ratios round by round, None where one of them has no rounds."""
    if ours is None or theirs is None or ours.problem or theirs.problem:
        return None
    ratios = [a / b for a, b in zip(ours.rounds, theirs.rounds, strict=False)]
    return statistics.median(ratios) if ratios else None
