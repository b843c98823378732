"""Makes the tables of README.md in this folder: ``python tests/faults/tabulate.py TABLE...``.

TABLE is what the tests have written to the file named by the variable PYROLITE_FAULTS_TABLE: lines of JSON. What is
between the marks in README.md is replaced.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
HEADINGS = {
    "test_network_bytes.py": "Bytes from the network",
    "test_slow_peers.py": "Slow and rude peers",
    "test_floods.py": "Floods",
    "test_hostile_servers.py": "Hostile servers",
    "test_bad_requests.py": "Bad requests",
    "test_user_code.py": "User code that fails",
    "test_isolation.py": "Isolation",
    "test_faults.py": "Faults",
    "test_networks.py": "Networks",
    "test_soak.py": "Soak",
}
COLUMNS = (
    "Scenario",
    "Server",
    "Count",
    "Calls",
    "Failed",
    "p99 quiet",
    "p99 attack",
    "p99 elsewhere",
    "Memory before, peak, after",
    "Descriptors",
    "Threads",
)


def scenarios(lines: Iterator[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """What was measured in each test, by file and name; the last run counts."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        figures = json.loads(line)
        key = figures.pop("file"), figures.pop("scenario")
        if "attack" in figures or key not in found:  # its first line
            found.setdefault(key, {})
        found[key].update(figures)
    return found


def milliseconds(figures: dict[str, Any], phase: str) -> str:
    return f"{figures[phase]['p99'] * 1e3:.1f}" if phase in figures else ""


def memory(figures: dict[str, Any]) -> str:
    """In MB."""
    sizes = [
        figures["before"]["resident"] if "before" in figures else None,
        figures.get("peak"),
        figures["after"]["resident"] if "after" in figures else None,
    ]
    return " → ".join("?" if size is None else f"{size / 1e6:.0f}" for size in sizes) if any(sizes) else ""


def change(figures: dict[str, Any], name: str) -> str:
    return f"{figures['before'][name]} → {figures['after'][name]}" if {"before", "after"} <= set(figures) else ""


def row(name: str, figures: dict[str, Any]) -> list[str]:
    test, _, parameters = name.removeprefix("test_").partition("[")
    left = parameters.rstrip("]").split("-")
    server = next((part for part in left if part in {"thread", "multiplex"}), "")
    count = str(figures.get("count", ""))
    rest = [part for part in left if part not in {server, count}]
    scenario = test.replace("_", " ") + (f": {', '.join(rest)}" if any(rest) else "").replace("_", " ")
    attack = figures.get("attack", {})
    return [
        scenario,
        server,
        f"{int(count):,}" if count else "",
        str(attack.get("calls", "")),
        str(figures.get("failures", "")),
        milliseconds(figures, "quiet"),
        milliseconds(figures, "attack"),
        milliseconds(figures, "elsewhere"),
        memory(figures),
        change(figures, "descriptors"),
        change(figures, "threads"),
    ]


def largest(rows: list[list[str]]) -> list[list[str]]:
    """Of each scenario the row with the full count, if there are several."""
    kept: dict[tuple[str, str], list[str]] = {}
    for cells in sorted(rows, key=lambda cells: int(cells[2].replace(",", "") or 0)):
        kept[cells[0], cells[1]] = cells
    return [kept[key] for key in sorted(kept)]


def tables(found: dict[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    """The lines of the tables."""
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
    yield f"Measured on {kernel}, {os.cpu_count()} processors, Python {platform.python_version()}.\n"
    for file, heading in HEADINGS.items():
        rows = largest([row(name, figures) for (place, name), figures in found.items() if place == file])
        if rows:
            yield f"\n### {heading}\n\n"
            yield f"| {' | '.join(COLUMNS)} |\n|{'---|' * 2}{'--:|' * (len(COLUMNS) - 2)}\n"
            for cells in rows:
                yield f"| {' | '.join(cells)} |\n"


def main(names: list[str]) -> None:
    found = scenarios(line for name in names for line in Path(name).read_text().splitlines())
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + "".join(tables(found)) + END + after)


if __name__ == "__main__":
    main(sys.argv[1:])
