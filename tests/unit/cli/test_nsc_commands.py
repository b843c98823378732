"""The commands of the name server control tool, on a name server in the same process ([NSC-1] to [NSC-3])."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

import pyrolite.nsc
from pyrolite.naming import NameServer
from pyrolite.nsc import handleCommand

URI = "PYRO:obj@host:1"


@pytest.fixture
def nameserver() -> NameServer:
    nameserver = NameServer()
    nameserver.register("b", URI + "2")
    nameserver.register("a.x", URI, metadata={"red", "big"})
    return nameserver


@pytest.fixture
def run(nameserver: NameServer, capsys: pytest.CaptureFixture[str]) -> Any:
    """Executes a command; returns whether it succeeded, and the lines it printed."""

    def run(*args: str) -> tuple[bool, list[str]]:
        succeeded = handleCommand(nameserver, None, list(args))
        captured = capsys.readouterr()
        assert captured.err == ""
        return succeeded, captured.out.splitlines()

    return run


ENTRY_A = ["a.x --> PYRO:obj@host:1", "    metadata: ['big', 'red']"]
ENTRY_B = ["b --> PYRO:obj@host:12"]


def listing(title: str, *entries: list[str]) -> tuple[bool, list[str]]:
    lines = [line for entry in entries for line in entry]
    return True, [f"--------START LIST {title}", *lines, f"--------END LIST {title}"]


def test_public_names() -> None:
    """[OV-31] [CLI-1]."""
    assert callable(pyrolite.nsc.main)
    assert set(pyrolite.nsc.__all__) == {"main", "handleCommand"}


def test_ping(run: Any) -> None:
    """[NSC-2]."""
    assert run("ping") == (True, ["Name server ping ok."])
    assert run("ping", "whatever") == (True, ["Name server ping ok."])


def test_lists(run: Any) -> None:
    """[NSC-2] [NSC-3] List blocks, sorted by name; with an empty title a blank remains at the end of the line."""
    assert run("list") == listing("", ENTRY_A, ENTRY_B)
    assert run("list", "a.") == listing("- prefix 'a.'", ENTRY_A)
    assert run("list", "nothing") == listing("- prefix 'nothing'")
    assert run("listmatching", "[ab]") == listing("- regex '[ab]'", ENTRY_A, ENTRY_B)
    assert run("listmatching", "b") == listing("- regex 'b'", ENTRY_B)
    assert run("listmeta_all", "red", "big") == listing(" - searched by metadata", ENTRY_A)
    assert run("listmeta_all", "red", "small") == listing(" - searched by metadata")
    assert run("listmeta_any", "red", "small") == listing(" - searched by metadata", ENTRY_A)


def test_lookup(run: Any) -> None:
    """[NSC-2] The URI, and a second line if there is metadata."""
    assert run("lookup", "b") == (True, ["PYRO:obj@host:12"])
    assert run("lookup", "a.x") == (True, ["PYRO:obj@host:1", "metadata: ['big', 'red']"])
    assert run("lookup", "c") == (False, ["Error: NamingError - unknown name: c"])


def test_register_and_remove(run: Any, nameserver: NameServer) -> None:
    """[NSC-2] Registering never replaces."""
    assert run("register", "c", URI) == (True, ["Registered c"])
    assert run("register", "c", URI + "9") == (False, ["Error: NamingError - name already registered: c"])
    assert str(nameserver.lookup("c")) == URI
    assert run("register", "d", "nonsense") == (False, ["Error: PyroError - invalid uri"])
    assert run("remove", "c") == (True, ["Removed c"])
    assert run("remove", "c") == (True, ["Nothing removed"])


def test_set_metadata(run: Any, nameserver: NameServer) -> None:
    """[NSC-2]."""
    assert run("setmeta", "b", "x", "y") == (True, ["Metadata updated"])
    assert nameserver.lookup("b", return_metadata=True)[1] == ["x", "y"]
    assert run("setmeta", "b") == (True, ["Metadata cleared"])
    assert nameserver.lookup("b", return_metadata=True)[1] == []
    assert run("setmeta", "c", "x") == (False, ["Error: NamingError - unknown name: c"])


QUESTION = "Potentially removing lots of items from the Name server. Are you sure (y/n)?"


@pytest.mark.parametrize(
    ("answer", "output", "left"),
    [
        ("y\n", "2 items removed.\n", 0),
        ("Y\n", "2 items removed.\n", 0),
        (" y \n", "2 items removed.\n", 0),
        ("n\n", "", 2),
        ("\n", "", 2),
        ("yes\n", "", 2),
    ],
)
def test_remove_matching(
    nameserver: NameServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    output: str,
    left: int,
) -> None:
    """[NSC-2] Asks first."""
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert handleCommand(nameserver, None, ["removematching", "[ab]"])
    assert capsys.readouterr().out == QUESTION + output
    assert nameserver.count() == left


def test_remove_matching_without_answer(run: Any, monkeypatch: pytest.MonkeyPatch, nameserver: NameServer) -> None:
    """[NSC-1] Nobody there to answer is an error, and removes nothing."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    succeeded, lines = run("removematching", ".*")
    assert not succeeded
    assert lines == [f"{QUESTION}Error: EOFError - EOF when reading a line"]
    assert nameserver.count() == 2


def test_errors(run: Any) -> None:
    """[NSC-1] [CLI-20] Any exception is printed with its class, and the result is False."""
    assert run("unknown") == (False, ["Error: KeyError - 'unknown'"])
    succeeded, lines = run("listmatching", "((")
    assert not succeeded
    assert lines[0].startswith("Error: NamingError - invalid regex: ")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("lookup", "requires one argument: name"),
        ("lookup a b", "requires one argument: name"),
        ("remove", "requires one argument: name"),
        ("register", "requires two arguments: name uri"),
        ("register a", "requires two arguments: name uri"),
        ("register a b c", "requires two arguments: name uri"),
        ("listmatching", "requires one argument: pattern"),
        ("listmatching a b", "requires one argument: pattern"),
        ("removematching", "requires one argument: pattern"),
        ("listmeta_all", "requires at least one metadata tag argument"),
        ("listmeta_any", "requires at least one metadata tag argument"),
        ("setmeta", "requires at least 2 arguments: uri and zero or more meta tags"),
    ],
)
def test_wrong_arguments(nameserver: NameServer, command: str, text: str) -> None:
    """[NSC-1] [NSC-2] The wrong number of arguments ends the tool with a text."""
    with pytest.raises(SystemExit) as error:
        handleCommand(nameserver, None, command.split())
    assert error.value.code == text


def test_ctrl_c(nameserver: NameServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-20] Ctrl-C instead of an answer ends it without a traceback."""

    class Located:
        _pyroUri = "uri"

        def __enter__(self) -> NameServer:
            return nameserver

        def __exit__(self, *arguments: object) -> None:
            pass

    def interrupted(question: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyrolite.cli.nsc._locateNS", lambda *arguments, **options: Located())
    monkeypatch.setattr("builtins.input", interrupted)
    monkeypatch.delenv("PYRO_HMAC_KEY", raising=False)
    assert pyrolite.nsc.main(["removematching", ".*"]) == 1
    assert capsys.readouterr().out == "\n"
    assert nameserver.count() == 2


def test_names_cannot_control_the_terminal(run: Any, nameserver: NameServer) -> None:
    """[SEC-42] Names come from anybody: control characters are shown, not obeyed."""
    nameserver.register("evil\x1b[2J\nnew\xe9", URI, metadata=["\x1b[0m"])
    assert run("list", "evil") == listing(
        "- prefix 'evil'", [f"evil\\x1b[2J\\nnew\xe9 --> {URI}", "    metadata: ['\\x1b[0m']"]
    )
    assert run("lookup", "no\x07") == (False, ["Error: NamingError - unknown name: no\\x07"])


# ---- other forms of lists


@pytest.fixture
def run_with(nameserver: NameServer, capsys: pytest.CaptureFixture[str]) -> Any:
    """Executes a command with options; returns whether it succeeded, stdout and stderr."""

    def run_with(options: Any, *args: str) -> tuple[bool, str, str]:
        succeeded = handleCommand(nameserver, options, list(args))
        captured = capsys.readouterr()
        return succeeded, captured.out, captured.err

    return run_with


def test_table(run_with: Any, nameserver: NameServer) -> None:
    """[NSC-5] Columns, as wide as what is in them; control characters are escaped."""
    options = SimpleNamespace(table=True)
    assert run_with(options, "list") == (
        True,
        "NAME  URI               METADATA\na.x   PYRO:obj@host:1   big, red\nb     PYRO:obj@host:12\n2 entries\n",
        "",
    )
    assert run_with(options, "listmatching", "nothing") == (True, "NAME  URI  METADATA\n0 entries\n", "")
    nameserver.register("evil\x1b[2J", URI)
    assert run_with(options, "list", "evil")[1].splitlines()[1:] == ["evil\\x1b[2J  PYRO:obj@host:1", "1 entry"]
    assert run_with(options, "lookup", "b") == (True, "PYRO:obj@host:12\n", "")
    assert run_with(options, "lookup", "x") == (False, "Error: NamingError - unknown name: x\n", "")


def test_json(run_with: Any, nameserver: NameServer) -> None:
    """[NSC-5] Lists are arrays sorted by name, `lookup` gives an object, failures are on stderr."""
    options = SimpleNamespace(json=True, table=False)
    a = {"name": "a.x", "uri": URI, "metadata": ["big", "red"]}
    b = {"name": "b", "uri": URI + "2", "metadata": []}
    for command, expected in (
        (["list"], [a, b]),
        (["list", "a"], [a]),
        (["list", "c"], []),
        (["listmatching", "b|c"], [b]),
        (["listmeta_all", "red", "big"], [a]),
        (["listmeta_any", "blue"], []),
        (["lookup", "a.x"], a),
    ):
        succeeded, out, err = run_with(options, *command)
        assert (succeeded, json.loads(out), err) == (True, expected, "")
    nameserver.register("\x1b\u20ac", URI)
    succeeded, out, err = run_with(options, "list", "\x1b")
    assert json.loads(out)[0]["name"] == "\x1b\u20ac"
    assert out.isascii()
    assert run_with(options, "lookup", "x") == (False, "", "Error: NamingError - unknown name: x\n")
    assert run_with(options, "listmatching", "((")[:2] == (False, "")
    assert run_with(options, "ping") == (True, "Name server ping ok.\n", "")


def test_options_of_others(run_with: Any) -> None:
    """[NSC-1] What the caller gives as options need not be those of this tool."""
    for options in (None, object(), Mock(), {"json": True}, 5):
        assert run_with(options, "list", "b")[1].splitlines() == listing("- prefix 'b'", ENTRY_B)[1]
        assert run_with(options, "register", "new", URI)[0]
        assert run_with(options, "remove", "new")[0]


def test_lease(run_with: Any, nameserver: NameServer) -> None:
    """[BYD-14] [NSC-5] Registered for a time."""
    assert run_with(SimpleNamespace(ttl=60.0), "register", "leased", URI) == (True, "Registered leased\n", "")
    assert nameserver._leases._known.keys() == {"leased"}
    assert run_with(SimpleNamespace(ttl=-1.0), "register", "other", URI)[0] is False
