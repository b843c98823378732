"""Turns measurements into the tables of RESULTS.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

from benchmarks.peers import load_peer
from benchmarks.runner import Measurement, Row, paired_ratio
from benchmarks.workloads import Workload

Results = list[tuple[Workload, Row]]
SERIALIZER_PACKAGES = ("serpent", "msgpack")
MISSED = " ✗"
EMPTY = "–"


def duration(nanoseconds: float) -> str:
    """Return a duration with a fitting unit and three digits."""
    for unit, size in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6)):
        if nanoseconds < 999.5 * size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds / 1e9:.3g} s"


def amount(value: float, unit: str) -> str:
    """Return a duration, or a number of bytes."""
    return duration(value) if unit == "ns" else f"{value / 1e6:.0f} MB"


def processor() -> str:
    """Return the model of the CPU, as far as the platform tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine_facts(names: Sequence[str]) -> Iterator[str]:
    """Yield the lines that say where the numbers come from."""
    yield f"- CPU: {processor()}, {os.cpu_count()} logical"
    yield f"- {platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    distributions = [load_peer(name).distribution for name in names]
    found = []
    for distribution in (*filter(None, distributions), *SERIALIZER_PACKAGES):
        try:
            found.append(f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            found.append(f"{distribution} (from source)")
    yield f"- {', '.join(found)}"


def judged(value: float | None, target: float | None, first: float | None = None) -> tuple[str, str]:
    """Return the cells of a ratio and of its target."""
    goal = EMPTY if target is None else f"{target:g}" + ("" if first is None else f" (first {first:g})")
    if value is None:
        return EMPTY, goal
    return f"{value:.2f}" + (MISSED if target is not None and value > target else ""), goal


def time_cell(result: Measurement | None, unit: str = "ns") -> str:
    """Return the median, or why there is none."""
    if result is None:
        return EMPTY
    if result.rounds and not result.problem:
        return amount(result.median, unit)
    return "failed" if result.problem.startswith("failed") else EMPTY


def memory_cell(result: Measurement | None) -> str:
    """Return the peaks of sender and receiver in payloads."""
    if result is None or result.sender_memory is None or result.receiver_memory is None:
        return time_cell(result)
    return f"{result.sender_memory:.2f} / {result.receiver_memory:.2f}"


def table(header: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """Yield a Markdown table, the first column left aligned."""
    yield "| " + " | ".join(header) + " |"
    yield "|---" + "|---:" * (len(header) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def time_rows(results: Results, names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the cells of rows that measure time."""
    for workload, row in results:
        ours = row.get("pyrolite")
        versus_pyro4 = judged(paired_ratio(ours, row.get("pyro4")), workload.target, workload.first_target)
        if workload.limit is not None:
            too_much = ours is not None and ours.rounds and ours.median > workload.limit
            versus_pyro4 = versus_pyro4[0] + (MISSED if too_much else ""), amount(workload.limit, workload.unit)
        versus_floor = judged(paired_ratio(ours, row.get("floor")), workload.floor_target)
        yield [
            workload.title,
            *(time_cell(row.get(name), workload.unit) for name in names),
            *versus_pyro4,
            *versus_floor,
        ]


def memory_rows(results: Results, names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the cells of rows that measure memory."""
    for workload, row in results:
        ours = row.get("pyrolite")
        sender = judged(ours.sender_memory if ours else None, workload.sender_target)
        receiver = judged(ours.receiver_memory if ours else None, workload.receiver_target)
        yield [workload.title, *(memory_cell(row.get(name)) for name in names), *sender, *receiver]


def tables(results: Results, names: Sequence[str]) -> Iterator[str]:
    """Yield all tables, one for each group of workloads."""
    labels = [load_peer(name).label for name in names]
    for group, members in groupby(results, key=lambda result: result[0].group):
        rows = list(members)
        yield ""
        yield f"## {group}"
        yield ""
        if rows[0][0].memory:
            yield "Highest allocations of sender / receiver during one call, in payloads, without the caller's object."
            yield ""
            header = ["", *labels, "sender", "target", "receiver", "target"]
            yield from table(header, memory_rows(rows, names))
        else:
            header = ["", *labels, "vs Pyro4", "target", "vs raw socket", "target"]
            yield from table(header, time_rows(rows, names))


def problems(results: Results) -> Iterator[str]:
    """Yield the failures, if there are any."""
    lines = [
        f"- {workload.name}, {load_peer(name).label}: {result.problem}"
        for workload, row in results
        for name, result in row.items()
        if result.problem.startswith("failed")
    ]
    if lines:
        yield from ("", "## Failures", "", *lines)


def target_summary(results: Results) -> str:
    """Return the sentence that counts the targets."""
    checks: list[tuple[float | None, float | None]] = []
    for workload, row in results:
        ours = row.get("pyrolite", Measurement())
        checks += [
            (paired_ratio(ours, row.get("pyro4")), workload.target),
            (paired_ratio(ours, row.get("floor")), workload.floor_target),
            (ours.sender_memory, workload.sender_target),
            (ours.receiver_memory, workload.receiver_target),
            (ours.median if ours.rounds else None, workload.limit),
        ]
    judged_checks = [value <= target for value, target in checks if value is not None and target is not None]
    return f"Targets met: {sum(judged_checks)} of {len(judged_checks)} (✗: missed)."


def document(results: Results, names: Sequence[str], command: str, facts: Sequence[str]) -> str:
    """Return RESULTS.md."""
    lines = [
        "# Results",
        "",
        "Generated by",
        "",
        f"    {command}",
        "",
        "README.md in this directory says how to read it. Medians of interleaved rounds; times per operation.",
        "",
        *facts,
        "",
        target_summary(results),
        *tables(results, names),
        *problems(results),
    ]
    return "\n".join(lines) + "\n"
