"""Rules of the house that import-linter does not see: optional packages, the environment, imports inside of functions.

Which room may import which is in pyproject.toml, section ``tool.importlinter``.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyrolite

PACKAGE = Path(pyrolite.__file__).resolve().parent
MODULES = sorted(PACKAGE.rglob("*.py"))

#: Packages that may be missing, or cost time, with what the names of the modules that may import them begin with.
#: Pyro4's module naming_storage has two of them as public attributes ([OV-20]).
OPTIONAL = {
    "msgpack": ("msgpack",),
    "cloudpickle": ("cloudpickle",),
    "dill": ("dill",),
    "numpy": ("numpy",),
    "pytest": ("plugin",),
    "redis": ("redis",),
    "psycopg": ("postgresql",),
    "prometheus_client": ("prometheus",),
    "werkzeug": ("gatewayweb",),
    "jinja2": ("gatewayweb",),
    "waitress": ("gatewayweb",),
    "opentelemetry": ("opentelemetry",),
    "sqlite3": ("sql", "naming_storage"),
    "dbm": ("dbm", "naming_storage"),
}
#: What nobody may import at all.
FORBIDDEN = {"Pyro4", "Pyro5", "cryptography", "hypothesis"}


def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"), str(module))


def imported_packages(tree: ast.AST) -> Iterator[str]:
    """Top-level names of all absolute imports, also of those inside of functions or by ``import_module("...")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value).partition(".")[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_optional_packages_have_one_door(module: Path) -> None:
    """[OV-3] Each optional package is imported in the modules named after it, and nowhere else."""
    for name in imported_packages(tree_of(module)):
        assert name not in FORBIDDEN
        if name in OPTIONAL:
            assert module.stem.lstrip("_").startswith(OPTIONAL[name]), f"{module} imports {name}"


def uses_of_environment(tree: ast.AST) -> Iterator[int]:
    """Lines that use ``os.environ``, ``os.getenv`` and their relatives."""
    for node in ast.walk(tree):
        used: set[str] = set()
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            used = {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "os":
            used = {node.attr}
        if used & {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}:
            yield node.lineno  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_environment_is_read_in_one_place(module: Path) -> None:
    """[CFG-3], [CFG-12] Only the configuration reads the environment."""
    lines = list(uses_of_environment(tree_of(module)))
    if module.parent.name == "configuration":
        assert bool(lines) == (module.name == "__init__.py")
    else:
        assert lines == []


def test_every_module_of_core_belongs_to_a_half() -> None:
    """The contracts in pyproject.toml name the modules of both halves; these are for both, and know neither."""
    for_both = set(
        """__init__ background blob clientside context description exposure futures libraryclasses message names uri
        wirelog""".split()
    )
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    named = set(re.findall(r'"pyrolite\.core\.(\w+)"', project))
    assert {path.stem for path in (PACKAGE / "core").glob("*.py")} - named == for_both - named


def test_import_loads_nothing_that_is_not_needed() -> None:
    """[BYD-60] [OV-3] What is slow or may be missing is loaded when it is used."""
    late = sorted({*OPTIONAL, *FORBIDDEN, "xml", "http", "asyncio"})
    code = f"import sys, pyrolite; print(*[name for name in {late!r} if name in sys.modules])"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
