"""``python -m benchmarks``: measure, print the tables; write RESULTS.md, the plots and the table of README.md."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from time import monotonic

from benchmarks.certificates import make_certificate
from benchmarks.peers import PEER_MODULES, installed, load_peer
from benchmarks.plots import draw_all
from benchmarks.report import Results, amount
from benchmarks.runner import Plan, Row, Runner
from benchmarks.saved import Run
from benchmarks.summary import replaced
from benchmarks.workloads import Workload, all_workloads

FULL_PASSES, FULL_ROUNDS, FULL_SECONDS = 3, 4, 0.05
QUICK_PASSES, QUICK_ROUNDS, QUICK_SECONDS = 1, 3, 0.01
FULL_MEBIBYTES, QUICK_MEBIBYTES = 64, 16
REPOSITORY = Path(__file__).resolve().parent.parent
SAVED = REPOSITORY / "benchmarks" / "results.json"
TABLES = REPOSITORY / "benchmarks" / "RESULTS.md"
PLOTS = REPOSITORY / "docs" / "images"
WITH_SUMMARY = (REPOSITORY / "README.md", REPOSITORY / "docs" / "topics" / "performance.md")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and short rounds: under a minute, and coarse")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help=f"rounds of each workload in a pass (default {FULL_ROUNDS})"
    )
    parser.add_argument("--passes", type=int, metavar="N", help=f"passes with new processes (default {FULL_PASSES})")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"length of one round (default {FULL_SECONDS})")
    parser.add_argument(
        "--only", metavar="PATTERNS", default="", help="workloads whose name contains one of these (* as in file names)"
    )
    parser.add_argument(
        "--peers", metavar="NAMES", default=",".join(PEER_MODULES), help="comma separated; default: %(default)s"
    )
    parser.add_argument("--idle", type=int, default=1000, metavar="N", help="idle connections (default 1000; try 4000)")
    parser.add_argument(
        "--cpu", type=int, metavar="N", help="CPU for pinned workloads (default: the last; -1: no pinning)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the tables there, e.g. benchmarks/RESULTS.md"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round of every peer there")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write benchmarks/results.json, and make of it RESULTS.md, docs/images/performance-*.svg, and the tables"
        " in README.md and the documentation",
    )
    parser.add_argument("--plot", action="store_true", help="the same from benchmarks/results.json, without measuring")
    parser.add_argument("--check", action="store_true", help="tell whether all that is as --plot would make it")
    parser.add_argument("--list", action="store_true", help="name the workloads and stop")
    options = parser.parse_args(arguments)
    if options.publish and options.only:
        parser.error("--publish needs all workloads, so not --only")
    if unknown := set(options.peers.split(",")) - set(PEER_MODULES):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; known are {', '.join(PEER_MODULES)}")
    return options


def progress(text: str) -> None:
    """Tell how far it is, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def selected(workloads: list[Workload], patterns: str) -> list[Workload]:
    """Return the workloads that match one of the comma separated patterns (all if there are none)."""
    wanted = [f"*{pattern.strip()}*" for pattern in patterns.split(",")]
    return [workload for workload in workloads if any(fnmatch(workload.name, pattern) for pattern in wanted)]


def available_peers(names: Sequence[str]) -> list[str]:
    """Return the peers whose library is installed, in the order of the table."""
    present = []
    for name in PEER_MODULES:
        if name in names:
            peer = load_peer(name)
            if installed(peer):
                present.append(name)
            else:
                progress(f"skipped: {peer.label} is not installed")
    return present


def make_plan(options: argparse.Namespace) -> Plan:
    """Return how thoroughly to measure, and on which CPU."""
    passes, rounds, seconds = FULL_PASSES, FULL_ROUNDS, FULL_SECONDS
    if options.quick:
        passes, rounds, seconds = QUICK_PASSES, QUICK_ROUNDS, QUICK_SECONDS
    cpu = options.cpu
    if cpu is None and hasattr(os, "sched_getaffinity"):
        cpu = max(os.sched_getaffinity(0))
    return Plan(
        options.passes or passes, options.rounds or rounds, options.seconds or seconds, None if cpu == -1 else cpu
    )


def summary_line(row: Row, unit: str) -> str:
    """Return the measurements of one row, short."""
    cells = []
    for name, result in row.items():
        if result.rounds and not result.problem:
            cells.append(f"{name} {amount(result.median, unit)}")
        elif result.sender_memory is not None and result.receiver_memory is not None:
            cells.append(f"{name} {result.sender_memory:.2f}/{result.receiver_memory:.2f}")
    return ", ".join(cells)


def measure_all(workloads: list[Workload], names: list[str], plan: Plan) -> Results:
    """Measure the workloads one after the other, pass by pass."""
    rows: dict[str, Row] = {}
    start = monotonic()
    for number in range(1, plan.passes + 1):
        due = [workload for workload in workloads if number == 1 or not workload.once]
        with Runner(names, plan, progress) as runner:
            for position, workload in enumerate(due, 1):
                row = runner.measure(workload)
                known = rows.setdefault(workload.name, row)
                if known is not row:
                    for name, result in row.items():
                        known[name].extend(result)
                where = f"pass {number}/{plan.passes}, {position}/{len(due)}, {monotonic() - start:.0f} s"
                progress(f"[{where}] {workload.name}: {summary_line(row, workload.unit)}")
    return [(workload, rows[workload.name]) for workload in workloads]


def published(run: Run) -> dict[Path, str]:
    """Return the text of every file that is made of the saved results."""
    texts = {TABLES: run.document(), **draw_all(run, PLOTS)}
    for path in WITH_SUMMARY:
        texts[path] = replaced(path.read_text(encoding="utf-8"), run)
    return texts


def publish(run: Run) -> None:
    """Write these files."""
    for path, text in published(run).items():
        path.write_text(text, encoding="utf-8")
        progress(f"written: {path.relative_to(REPOSITORY)}")


def check(run: Run) -> int:
    """Tell which of these files are not up to date; return the exit code."""
    stale = [
        path for path, text in published(run).items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        progress(f"not made of {SAVED.name}: {path.relative_to(REPOSITORY)}; python -m benchmarks --plot makes it")
    return int(bool(stale))


def main(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code: 1 if something failed."""
    options = parse_arguments(arguments)
    if options.plot:
        publish(Run.load(SAVED))
        return 0
    if options.check:
        return check(Run.load(SAVED))
    with tempfile.TemporaryDirectory() as directory:
        mebibytes = QUICK_MEBIBYTES if options.quick else FULL_MEBIBYTES
        rows = all_workloads(options.idle, mebibytes, *make_certificate(Path(directory)))
        workloads = selected(rows, options.only)
        if options.list:
            print("\n".join(workload.name for workload in workloads))
            return 0
        if not workloads:
            progress(f"no workload matches {options.only!r}; --list names them")
            return 2
        names = available_peers(options.peers.split(","))
        results = measure_all(workloads, names, make_plan(options))
    run = Run.made_now(shlex.join(["python", "-m", "benchmarks", *arguments]), names, results)
    text = run.document()
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    if options.json:
        run.save(options.json)
    if options.publish:
        run.save(SAVED)
        publish(Run.load(SAVED))
    return int(any(m.problem.startswith("failed") for _, row in results for m in row.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
