#!/usr/bin/env python3
"""Writes the page of the documentation that tells what travels between pyrolite and Pyro4.

The input comes from the interoperability tests, which need a Python that has Pyro4. Needs Python only.

    ./run test tests/interop/test_interop_matrix.py --interop-table table.json
    tools/interop_table.py table.json               writes docs/reference/interop.md
    tools/interop_table.py table.json -o -          to standard output
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "interop.md"
SERIALIZERS = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")
#: library of the client and of the server, by direction
ENDS = {"to_pyro4": ("pyrolite", "Pyro4"), "from_pyro4": ("Pyro4", "pyrolite"), "pyrolite": ("pyrolite", "pyrolite")}
PAIRS = (("Pyro4", "Pyro4"), ("pyrolite", "Pyro4"), ("Pyro4", "pyrolite"), ("pyrolite", "pyrolite"))
WAYS = ("argument", "result")

INTRODUCTION = """\
<!-- Made by tools/interop_table.py from what tests/interop/test_interop_matrix.py found; do not edit. -->
# What travels

Every value below was sent with every serializer between pyrolite and a real Pyro4 4.82, in both directions, as an
argument and as a result. {count} transfers were compared with what Pyro4 does with Pyro4.

How the values are called: *nested* means inside of a list or dict, *converted* is an instance of a class for which both
sides have registered converters ([SER-60]), *instance* one of a class without, *deep* 50 lists inside of each other.

## Overview

What arrives when one pyrolite process sends the value to another:

- `=`: the same value of the same type;
- a type: the value in this form;
- **E**: sending fails with an exception that names the object; **D**: the receiver refuses it;
- \\*: a Pyro4 on one of the ends makes a difference, which is listed below.
"""

DIFFERENCES = """
## Where Pyro4 does something else

What is not listed here arrives the same way in all four pairings of the libraries. The requirement is the place in the
specification that asks for the difference. "arg" and "res" are arguments and results, where it matters.
"""


class Transfer(NamedTuple):
    """What a value becomes between two libraries: the descriptions of what arrives as argument and as result."""

    argument: str
    result: str


class Cell(NamedTuple):
    """What is known about a value with a serializer."""

    original: str
    requirement: str
    #: library of the sender, library of the receiver -> what arrives
    transfers: dict[tuple[str, str], Transfer]


def read(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], Cell]:
    """The rows of the tests by value and serializer.

    Raises:
        SystemExit: a test failed, or directions are missing.
    """
    cells: dict[tuple[str, str], dict[tuple[str, str], dict[str, str]]] = {}
    facts: dict[tuple[str, str], tuple[str, str]] = {}
    for row in rows:
        key = row["value"], row["serializer"]
        if row["outcome"] != "passed":
            raise SystemExit(f"the test of {key} failed, so there is nothing to tell")
        facts[key] = row["original"], row["requirement"]
        arrived = cells.setdefault(key, {})
        client, server = ENDS[row["direction"]]
        for way, pair in zip(WAYS, ((client, server), (server, client)), strict=True):
            arrived.setdefault(pair, {})[way] = row["found"][way]
            arrived.setdefault(PAIRS[0], {})[way] = row["control"][way]
    complete = {pair: {*WAYS} for pair in PAIRS}
    for key, arrived in cells.items():
        if {pair: {*ways} for pair, ways in arrived.items()} != complete:
            raise SystemExit(f"directions are missing for {key}: run the whole of tests/interop/test_interop_matrix.py")
    return {
        key: Cell(*facts[key], {pair: Transfer(**ways) for pair, ways in arrived.items()})
        for key, arrived in cells.items()
    }


def without_additions(outcome: str) -> str:
    """An outcome without what pyrolite adds to the texts of errors, and without what Pythons word differently."""
    if not outcome.startswith("!"):
        return outcome
    outcome = outcome.replace(": cannot deserialize request: ", ": ").partition(" (at ")[0]
    return outcome.partition(":")[0] if "cannot pickle" in outcome or "codec can't" in outcome else outcome


def short(outcome: str, original: str) -> str:
    """What arrives, in a few letters."""
    if outcome == original:
        return "="
    if outcome.startswith("!"):
        refused = "unsupported serialized class" in outcome or "map key" in outcome or "invalid" in outcome
        return "**D**" if refused else "**E**"
    if outcome.startswith("msgpack.ext.ExtType"):
        return "ExtType"
    container = re.match(r"(\w+)\(", outcome)
    if container:
        return _container(container[1], outcome, original)
    return "str" if outcome[0] in "'\"" else "float" if "." in outcome else "int"


def _container(kind: str, outcome: str, original: str) -> str:
    if original.startswith(f"{kind}("):  # the difference is inside
        return "tags as list" if kind == "URI" else f"{kind}, other contents"
    if kind == "dict" and "'base64'" in outcome:
        return "base64 dict"
    return kind


def differs(cell: Cell) -> bool:
    """Whether the libraries on the ends make a difference."""
    outcomes = [tuple(map(without_additions, transfer)) for transfer in cell.transfers.values()]
    return any(outcome != outcomes[0] for outcome in outcomes) and bool(cell.requirement)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a table."""
    heads = list(heads)
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def overview(cells: dict[tuple[str, str], Cell]) -> Iterator[str]:
    """The table of all values and serializers."""
    values = list(dict.fromkeys(value for value, _ in cells))
    rows = []
    for value in sorted(values):
        row = [value.replace("_", " ")]
        for serializer in SERIALIZERS:
            cell = cells[value, serializer]
            mark = " \\*" if differs(cell) else ""
            row.append(short(cell.transfers["pyrolite", "pyrolite"].argument, cell.original) + mark)
        rows.append(row)
    yield from table(["value", *SERIALIZERS], rows)


def differences(cells: dict[tuple[str, str], Cell]) -> Iterator[str]:
    """The table of the cells where the libraries differ."""
    rows = []
    for value, serializer in sorted(cells, key=lambda key: (SERIALIZERS.index(key[1]), key[0])):
        cell = cells[value, serializer]
        if differs(cell):
            arrives = [_both(cell.transfers[pair], cell.original) for pair in PAIRS]
            links = ", ".join(f"[{name}]" for name in cell.requirement.split())
            rows.append([serializer, value.replace("_", " "), *arrives, links])
    yield from table(["serializer", "value", *(f"{a} to {b}" for a, b in PAIRS), "requirement"], rows)


def _both(transfer: Transfer, original: str) -> str:
    argument, result = short(transfer.argument, original), short(transfer.result, original)
    return argument if argument == result else f"arg {argument}; res {result}"


def page(rows: list[dict[str, Any]]) -> str:
    """The whole page."""
    cells = read(rows)
    introduction = INTRODUCTION.format(count=f"{len(rows) * len(WAYS):,}")
    return "\n".join([introduction, *overview(cells), DIFFERENCES, *differences(cells), ""])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="the JSON file that the tests wrote")
    parser.add_argument("-o", "--output", default=str(PAGE), help="the page, or - for standard output")
    options = parser.parse_args()
    text = page(json.loads(options.table.read_text()))
    if options.output == "-":
        sys.stdout.write(text)
    else:
        Path(options.output).write_text(text)


if __name__ == "__main__":
    main()
