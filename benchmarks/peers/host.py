"""One half of a peer in a process of its own: ``python -m benchmarks.peers.host PEER server|client``.

Obeys JSON commands, one a line, from standard input and answers each with one line of JSON on standard output:

========================================  ===========================================================
``{"do": "open", "cpus", "scenario", ..}``  set up; server: ``{"address"}``; client (given address, action): ``{}``
``{"do": "calibrate", "seconds"}``          client: ``{"units"}`` that take about that long
``{"do": "run", "units"}``                  client: ``{"ns"}`` they took
``{"do": "trace"}``, ``{"do": "peak"}``      begin to trace allocations; ``{"bytes"}`` at their highest since then
``{"do": "close"}``                         take down what open set up
========================================  ===========================================================

A failure is answered with ``{"error": text}``, or ``{"unsupported": reason}``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tracemalloc
from typing import Any

from benchmarks.peers import load_peer
from benchmarks.peers.base import Client, Peer, Run, Scenario, Server, UnsupportedError, pin_threads, timed_import


class Host:
    """Carries out the commands for one half of a peer."""

    def __init__(self, peer: Peer, role: str) -> None:
        self._peer = peer
        self._role = role
        self._server: Server | None = None
        self._client: Client | None = None
        self._run: Run | None = None

    def handle(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do what the command says, return the answer."""
        answer: dict[str, Any] = getattr(self, "do_" + command.pop("do"))(**command)
        return answer

    def do_open(
        self, cpus: list[int], scenario: dict[str, Any], action: str = "", address: Any = None
    ) -> dict[str, Any]:
        """Start the server, or prepare the client for the action."""
        pin_threads(cpus)  # before any thread is made: they inherit it
        if self._role == "server":
            server = self._peer.server(Scenario(**scenario))
            address = server.start()
            self._server = server
            return {"address": address}
        if action == "import_library":
            self._run = timed_import(self._peer.library)
        else:
            self._client = self._peer.client(Scenario(**scenario), address)
            self._run = getattr(self._client, action)()
        return {}

    def do_calibrate(self, seconds: float) -> dict[str, Any]:
        """Warm up and find out how many units fill the time."""
        run, units = self._prepared(), 1
        gc.collect()
        elapsed = run(1) and run(1)
        while elapsed < seconds * 0.25e9:
            units *= 2
            elapsed = run(units)
        return {"units": max(1, round(units * seconds * 1e9 / elapsed))}

    def do_run(self, units: int) -> dict[str, Any]:
        """Take the time of that many units."""
        return {"ns": self._prepared()(units)}

    def do_trace(self) -> dict[str, Any]:
        """Begin to trace allocations."""
        gc.collect()
        tracemalloc.start(1)
        return {}

    def do_peak(self) -> dict[str, Any]:
        """Tell the peak of the traced allocations, end tracing."""
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return {"bytes": peak}

    def do_close(self) -> dict[str, Any]:
        """Disconnect the client or stop the server."""
        self._run = None
        if self._client is not None:
            client, self._client = self._client, None
            client.close()
        if self._server is not None:
            server, self._server = self._server, None
            server.stop()
        return {}

    def _prepared(self) -> Run:
        if self._run is None:
            raise RuntimeError("nothing is open")
        return self._run


def raise_file_limit() -> None:
    """Allow as many open connections as the system lets this user have."""
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Obey commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get between the answers
    raise_file_limit()
    host = Host(load_peer(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        try:
            answer = host.handle(json.loads(line))
        except UnsupportedError as x:
            answer = {"unsupported": str(x)}
        except Exception as x:
            answer = {"error": f"{type(x).__name__}: {x}"}
        answers.write(json.dumps(answer) + "\n")
    os._exit(0)  # threads that a library left behind must not keep the process alive


if __name__ == "__main__":
    main()
