"""What the documents claim is so."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "examples").rglob("*.md")),
    *(path for path in sorted((REPOSITORY / "docs").rglob("*.md")) if "_build" not in path.parts),
]
COVERAGE = REPOSITORY / "tools" / "spec_coverage.py"


def coverage(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COVERAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_deliberate_differences_are_tested() -> None:
    """What the page for those who come from Pyro4 lists as different, a test cites."""
    page = (REPOSITORY / "docs" / "topics" / "compatibility.md").read_text(encoding="utf-8")
    listed = re.findall(r"\[([A-Z0-9]+-\d+)\]", page.partition("## Where pyrolite differs on purpose")[2])
    assert listed
    untested = set(re.findall(r"^ +\[([A-Z0-9]+-\d+)\]", coverage().stdout, re.MULTILINE))
    assert sorted(set(listed) & untested) == []


def test_cited_requirements_exist() -> None:
    """No test cites an id that the specification does not have."""
    done = coverage("--summary")
    assert done.returncode == 0, done.stderr


def test_misuse_of_the_coverage_report_is_refused() -> None:
    assert coverage("no-such-chapter").returncode == 2
    assert coverage("--where", "NO-SUCH-ID").returncode == 2
    assert coverage("WIRE", "--summary", "--fail-under", "100.1").returncode == 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """Relative links in documents name files and headings that exist."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            place = document.parent / target if target else document
            assert place.exists(), target
            if anchor and place.suffix == ".md":
                assert anchor in anchors(place), f"{target}#{anchor}"


def anchors(document: Path) -> set[str]:
    """What the headings of a document are called in links."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("pyrolite-ns", "pyrolite.naming"),
        ("pyrolite-nsc", "pyrolite.nsc"),
        ("pyrolite-test-echoserver", "pyrolite.test.echoserver"),
        ("pyrolite-check-config", "pyrolite.configuration"),
        ("pyrolite-flameserver", "pyrolite.utils.flameserver"),
        ("pyrolite-httpgateway", "pyrolite.utils.httpgateway"),
        ("pyrolite-check", "pyrolite.cli.check"),
    ],
)
def test_commands_are_installed(command: str, module: str) -> None:
    """[CLI-1] Every tool that there is has its command, and there is no command without its tool."""
    line = f'{command} = "{module}:main"'
    exists = importlib.util.find_spec(module) is not None
    assert (line in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8").splitlines()) == exists


def test_commands_of_the_entry_point_are_documented() -> None:
    """``./run help`` lists each command that there is, and make knows the same ones."""
    script = (REPOSITORY / "run").read_text(encoding="utf-8")
    commands = set(re.findall(r"^    (\w+)\)$", script, re.MULTILINE))
    done = subprocess.run([REPOSITORY / "run", "help"], capture_output=True, text=True, timeout=20, check=True)
    assert commands == set(re.findall(r"^  (\w+) ", done.stdout, re.MULTILINE))
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert commands == set(re.search(r"^TARGETS := (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "RELEASING.md", ".github/pull_request_template.md"])
def test_files_and_commands_for_contributors_exist(document: str) -> None:
    """What the guides name is there: files, and commands of the entry point."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:docs|tests|tools|pyrolite|benchmarks|\.ci)/[\w/.-]+)`", text):
        assert "NAME" in path or (REPOSITORY / path).exists(), path
    script = (REPOSITORY / "run").read_text(encoding="utf-8")
    for command in re.findall(r"\./run (\w+)", text):
        assert re.search(rf"^    (\w+ \| )*{command}( \| \S+)*\)$", script, re.MULTILINE), command


def test_places_for_additions_exist() -> None:
    """What CONTRIBUTING says where to add things."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name, file in {
        "_CLASSES": "pyrolite/serializers/registry.py",
        "_OPTIONAL": "pyrolite/serializers/registry.py",
        "_encode": "pyrolite/serializers/base.py",
        "_read": "pyrolite/serializers/base.py",
        "SocketServer": "pyrolite/socketserver/interface.py",
        "DaemonCallbacks": "pyrolite/socketserver/interface.py",
        "_factories": "pyrolite/socketserver/__init__.py",
        "BOTH": "tests/integration/socketservers/test_server_common.py",
        "servertype": "tests/integration/core/conftest.py",
        "Storage": "pyrolite/naming/storage/interface.py",
        "_KINDS": "pyrolite/naming/storage/__init__.py",
        "KINDS": "tests/unit/naming/conftest.py",
    }.items():
        assert f"`{name}`" in text, name
        assert re.search(
            rf"^ *(class |def )?{name}\b", (REPOSITORY / file).read_text(encoding="utf-8"), re.MULTILINE
        ), name


def test_every_room_is_in_the_drawing_of_the_house() -> None:
    """Whoever adds a module or a package to the top of the library gives it a place in the drawing as well."""
    drawing = (REPOSITORY / "docs" / "images" / "house.svg").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", re.sub(r"<[^>]*>", " ", drawing)))
    package = REPOSITORY / "pyrolite"
    rooms = {path.stem for path in package.glob("[a-z]*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    assert rooms - words == set()
