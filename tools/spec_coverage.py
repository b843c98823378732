#!/usr/bin/env python3
"""Which requirements of the specification does no test cite?

A requirement is a paragraph or list item of ``docs/specification`` that begins with its id, such as ``[WIRE-12]``; some
have their id within the text. A test cites it when its file contains the id, with or without brackets;
``[WIRE-80] to [WIRE-86]`` cites all of them. Needs Python only.

    tools/spec_coverage.py                  everything, by chapter
    tools/spec_coverage.py WIRE 20          one prefix, one chapter (its number or file name)
    tools/spec_coverage.py --summary        the numbers only
    tools/spec_coverage.py --where SER-21   the tests that cite it
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
SPECIFICATION = REPOSITORY / "docs" / "specification"
TESTS = REPOSITORY / "tests"

_MENTION = re.compile(r"\[([A-Z][A-Z0-9]*)-(\d+)\]")
_LIST_ITEM = re.compile(r"\s*- ")
_CITATION = re.compile(r"(?<![\w-])([A-Z][A-Z0-9]*)-(\d+)(?![\w-])(?:\]? (?:to|-) \[?(?:\1-)?(\d+)(?![\w-]))?")


class Requirement(NamedTuple):
    """One requirement: where it stands and how it begins."""

    prefix: str
    number: int
    chapter: str
    text: str

    @property
    def id(self) -> str:
        """Its id, as tests cite it."""
        return f"{self.prefix}-{self.number}"


class Citation(NamedTuple):
    """One place in a test that names a requirement."""

    path: Path
    line: int

    def __str__(self) -> str:
        """Where an editor finds it."""
        return f"{self.path.relative_to(REPOSITORY)}:{self.line}"


def requirements() -> dict[str, Requirement]:
    """All requirements by id, chapter by chapter in the order of their numbers."""
    candidates: dict[str, list[tuple[int, Requirement]]] = defaultdict(list)
    for path in sorted(SPECIFICATION.glob("*.md")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for match in _MENTION.finditer(line):
                requirement = Requirement(match[1], int(match[2]), path.stem, line[match.end() :].strip())
                candidates[requirement.id].append((_rank(line, match), requirement))
    home = _chapters_of_prefixes(requirement for mentions in candidates.values() for _, requirement in mentions)
    chosen = [
        min(mentions, key=lambda mention: (mention[1].chapter != home[mention[1].prefix], mention[0]))[1]
        for mentions in candidates.values()
    ]
    chosen.sort(key=lambda requirement: (requirement.chapter, requirement.prefix, requirement.number))
    return {requirement.id: requirement for requirement in chosen}


def _rank(line: str, match: re.Match[str]) -> int:
    """How much a mention looks like the place where the requirement is stated; less is better."""
    before = line[: match.start()]
    if not before:
        return 1
    return 0 if _LIST_ITEM.fullmatch(before) else 2


def _chapters_of_prefixes(mentions: Iterable[Requirement]) -> dict[str, str]:
    """Prefix to the chapter that mentions the most ids of it."""
    ids: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for requirement in mentions:
        ids[requirement.prefix][requirement.chapter].add(requirement.number)
    return {prefix: max(chapters, key=lambda name: len(chapters[name])) for prefix, chapters in ids.items()}


def citations(known: dict[str, Requirement]) -> dict[str, list[Citation]]:
    """Id to the places in the tests that cite it. What has no known prefix is no id (``UTF-8``)."""
    found: dict[str, list[Citation]] = defaultdict(list)
    prefixes = {requirement.prefix for requirement in known.values()}
    for path in sorted(TESTS.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in _ids(line, prefixes, known):
                found[name].append(Citation(path, number))
    return found


def _ids(line: str, prefixes: set[str], known: dict[str, Requirement]) -> Iterator[str]:
    for match in _CITATION.finditer(line):
        prefix, first, last = match.groups()
        if prefix not in prefixes:
            continue
        yield f"{prefix}-{first}"
        if last:
            # numbers in between need not exist
            yield from (name for number in range(int(first) + 1, int(last)) if (name := f"{prefix}-{number}") in known)
            yield f"{prefix}-{last}"


def report(chosen: Iterable[Requirement], cited: dict[str, list[Citation]], *, summary: bool) -> float:
    """Print the requirements without a test by chapter, and return the percentage of those that have one."""
    chapters: dict[str, list[Requirement]] = defaultdict(list)
    for requirement in chosen:
        chapters[requirement.chapter].append(requirement)
    total = covered = 0
    for chapter, members in chapters.items():
        missing = [requirement for requirement in members if requirement.id not in cited]
        total += len(members)
        covered += len(members) - len(missing)
        print(f"{chapter:28} {len(members) - len(missing):3} of {len(members):3} cited")
        if not summary:
            for requirement in missing:
                print(f"    [{requirement.id}] {_shortened(requirement.text)}")
    percentage = 100.0 * covered / total if total else 100.0
    print(f"{'all of these':28} {covered:3} of {total:3} cited, {percentage:.1f} %")
    return percentage


def _shortened(text: str, width: int = 90) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def _selected(known: dict[str, Requirement], selection: list[str]) -> list[Requirement]:
    def wanted(requirement: Requirement) -> bool:
        names = {requirement.prefix, requirement.chapter, requirement.chapter.partition("-")[0]}
        return any(word.removesuffix(".md") in names for word in selection)

    return [requirement for requirement in known.values() if not selection or wanted(requirement)]


def main(arguments: list[str] | None = None) -> int:
    """Print what was asked for; 1 when citations are wrong or too few, 2 for misuse."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("chapter", nargs="*", help="prefix (WIRE), number (10) or name of a chapter; default all")
    parser.add_argument("--summary", action="store_true", help="numbers only")
    parser.add_argument("--fail-under", type=float, default=0.0, metavar="PERCENT", help="exit code 1 below it")
    parser.add_argument("--where", metavar="ID", help="list the tests that cite this requirement")
    options = parser.parse_args(arguments)

    known = requirements()
    cited = citations(known)
    if options.where:
        name = options.where.strip("[]")
        if name not in known:
            parser.error(f"no requirement has the id {name}")
        print("\n".join(map(str, cited.get(name, []))) or f"no test cites {name}")
        return 0
    chosen = _selected(known, options.chapter)
    if not chosen:
        parser.error(f"no chapter is called {' or '.join(options.chapter)}")
    percentage = report(chosen, cited, summary=options.summary)
    wrong = {name: places for name, places in cited.items() if name not in known}
    for name, places in wrong.items():
        print(f"{places[0]}: [{name}] is not in the specification", file=sys.stderr)
    return 1 if wrong or percentage < options.fail_under else 0


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly when the reader of the output does
    sys.exit(main())
