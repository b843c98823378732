"""Results in a file, from which everything that is published is made: RESULTS.md, the plots, the table of README.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Scenario
from benchmarks.report import Results, document, machine_facts
from benchmarks.runner import Measurement
from benchmarks.workloads import Workload

#: What differs from run to run and says nothing to readers.
_TEMPORARY = ("certificate", "private_key")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the program: what was measured, and where."""

    command: str
    facts: list[str]  # lines about machine and versions
    names: list[str]  # of the peers
    results: Results

    @classmethod
    def made_now(cls, command: str, names: Sequence[str], results: Results) -> Run:
        """Return the run that has just ended."""
        return cls(command, list(machine_facts(names)), list(names), results)

    @classmethod
    def load(cls, path: Path) -> Run:
        """Read what `save` has written (OSError, ValueError, KeyError, TypeError)."""
        saved = json.loads(path.read_text(encoding="utf-8"))
        return cls(saved["command"], saved["facts"], saved["peers"], [_result(entry) for entry in saved["results"]])

    def save(self, path: Path) -> None:
        """Write everything, one workload a line."""
        entries = [_entry(workload, row) for workload, row in self.results]
        head = {"command": self.command, "facts": self.facts, "peers": self.names}
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        path.write_text(f'{json.dumps(head, ensure_ascii=False)[:-1]}, "results": [\n{lines}\n]}}\n', encoding="utf-8")

    def document(self) -> str:
        """Return RESULTS.md."""
        return document(self.results, self.names, self.command, self.facts)

    def median(self, workload: str, peer: str) -> float | None:
        """Return the nanoseconds of a peer; None if there are none."""
        for known, row in self.results:
            if known.name == workload:
                result = row.get(peer)
                return result.median if result and result.rounds and not result.problem else None
        return None


def _entry(workload: Workload, row: dict[str, Measurement]) -> dict[str, Any]:
    described = asdict(workload)
    described["scenario"] = {key: value for key, value in described["scenario"].items() if key not in _TEMPORARY}
    peers = {name: asdict(result) for name, result in row.items()}
    for result in peers.values():
        result["rounds"] = [round(nanoseconds, 1) for nanoseconds in result["rounds"]]
    return {"workload": described, "peers": peers}


def _result(entry: dict[str, Any]) -> tuple[Workload, dict[str, Measurement]]:
    described = dict(entry["workload"])
    described["scenario"] = Scenario(**described["scenario"])
    return Workload(**described), {name: Measurement(**result) for name, result in entry["peers"].items()}
