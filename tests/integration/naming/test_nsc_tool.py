"""The name server control tool as a process ([CLI-11] to [CLI-20])."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite.core import Proxy
from pyrolite.naming.server import OWN_METADATA
from pyrolite.testing import running_nameserver
from pyrolite.testing.services import RunningNameServer

NOT_FOUND = "Error: Failed to locate the nameserver\n"


@pytest.fixture
def nameserver(pyro_leakcheck: None) -> Iterator[RunningNameServer]:
    with running_nameserver() as running:
        yield running


@pytest.fixture
def nsc(run_python: Any) -> Any:
    """Run the tool; the exit code, stdout and stderr."""

    def run(*arguments: str, answer: str = "", **environment: str) -> tuple[int, str, str]:
        code = f"""
            import io, runpy, sys
            sys.stdin = io.StringIO({answer!r})
            runpy.run_module("pyrolite.nsc", run_name="__main__", alter_sys=True)
        """
        done = run_python(code, *arguments, options=("-W", "error"), environment=environment)
        return done.returncode, done.stdout, done.stderr

    return run


def test_session(nsc: Any, nameserver: RunningNameServer) -> None:
    """[CLI-11] [CLI-20] [NSC-2] [NSC-4] A few commands, with their exit codes."""
    where = ("-n", "127.0.0.1", "-p", str(nameserver.uri.port))
    assert nsc(*where, "ping") == (0, "Name server ping ok.\n", "")
    assert nsc("register", "a", "PYRO:o@h:1", *where) == (0, "Registered a\n", "")
    assert nsc("register", *where, "a", "PYRO:o@h:1") == (1, "Error: NamingError - name already registered: a\n", "")
    assert nsc(*where, "setmeta", "a", "x") == (0, "Metadata updated\n", "")
    assert nsc(*where, "lookup", "a") == (0, "PYRO:o@h:1\nmetadata: ['x']\n", "")
    assert nsc(*where, "lookup", "b") == (1, "Error: NamingError - unknown name: b\n", "")
    assert nsc(*where, "lookup") == (1, "", "requires one argument: name\n")
    code, out, err = nsc(*where, "list", "a")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "--------START LIST - prefix 'a'",
        "a --> PYRO:o@h:1",
        "    metadata: ['x']",
        "--------END LIST - prefix 'a'",
    ]
    assert nsc(*where, "remove", "b") == (0, "Nothing removed\n", "")
    question = "Potentially removing lots of items from the Name server. Are you sure (y/n)?"
    assert nsc(*where, "removematching", "a.*", answer="n\n") == (0, question, "")
    assert nsc(*where, "removematching", "a.*", answer="y\n") == (0, f"{question}1 items removed.\n", "")
    assert nsc(*where, "removematching", "a.*", answer="y\n") == (0, f"{question}0 items removed.\n", "")
    assert nsc(*where, "removematching", "((", answer="y\n")[0] == 1


def test_configured_name_server(nsc: Any, nameserver: RunningNameServer) -> None:
    """[CLI-4] [CLI-12] Without options the configured name server is used; ``-v`` says what is done."""
    settings = {"PYRO_NS_HOST": "127.0.0.1", "PYRO_NS_PORT": str(nameserver.uri.port)}
    assert nsc("-v", "ping", **settings) == (
        0,
        f"Locating name server...\nName server found: {nameserver.uri}\nName server ping ok.\nDone.\n",
        "",
    )
    code, out, _ = nsc("--verbose", "lookup", "b", **settings)
    assert code == 1
    assert out.splitlines()[2:] == ["Error: NamingError - unknown name: b", "Done."]


@pytest.mark.parametrize("arguments", [(), ("unknown",), ("-v",), ("List",), ("--", "-n")])
def test_wrong_usage(nsc: Any, arguments: tuple[str, ...]) -> None:
    """[CLI-11] [CLI-20] Usage, which lists the commands, and exit 2; nothing is contacted."""
    code, out, err = nsc(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: pyrolite-nsc [options] command [arguments]")
    for (
        command
    ) in "list listmatching listmeta_all listmeta_any lookup ping register remove removematching setmeta".split():
        assert command in err
    assert err.endswith("error: invalid or missing command\n")


def test_not_found(nsc: Any, free_port: int) -> None:
    """[CLI-12] [CLI-20] On stdout, exit 1."""
    code, out, err = nsc("-n", "127.0.0.1", "-p", str(free_port), "-v", "ping")
    assert (code, err) == (1, "")
    assert out.startswith("Locating name server...\nError: Failed to locate the nameserver")
    code, out, err = nsc("-u", "no-such-socket", "list")
    assert (code, err) == (1, "")
    assert out.startswith("Error: Failed to locate the nameserver")


def test_key(nsc: Any, pyro_leakcheck: None) -> None:
    """[CLI-3] [CLI-12] The key from the environment."""
    with running_nameserver(hmac_key="s\xe9cret") as running:
        where = ("-n", "127.0.0.1", "-p", str(running.uri.port))
        assert nsc(*where, "ping", PYRO_HMAC_KEY="s\xe9cret") == (0, "Name server ping ok.\n", "")
        assert nsc(*where, "ping")[0] == 1
        code, out, err = nsc(*where, "-k", "x", "ping", PYRO_HMAC_KEY="s\xe9cret")
        assert (code, out, err) == (1, "", "error: don't use -k and PYRO_HMAC_KEY at the same time\n")


def test_unix_socket(start_tool: Any, nsc: Any, tmp_path: Path) -> None:
    """[CLI-12] ``-u``."""
    tool = start_tool("pyrolite.naming", "-u", str(tmp_path / "ns"))
    uri = tool.wait_for("URI = ")
    code, out, _ = nsc("-u", str(tmp_path / "ns"), "lookup", "Pyro.NameServer")
    assert code == 0
    assert out.splitlines() == [
        uri,
        f"metadata: {sorted(OWN_METADATA)}",
    ]
    assert tool.end() == 0


def test_lost_connection(nsc: Any) -> None:
    """[CLI-12] Somebody who is no name server listens there."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        code, out, err = nsc("-n", "127.0.0.1", "-p", str(port), "ping", PYRO_COMMTIMEOUT="0.2")
    assert (code, err) == (1, "")
    assert out.startswith("Error: Failed to locate the nameserver")


def test_in_process(nameserver: RunningNameServer, capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-1] [CLI-20] ``main`` returns the exit code."""
    from pyrolite.nsc import main

    assert main(["-n", "127.0.0.1", "-p", str(nameserver.uri.port), "ping"]) == 0
    assert main(["-n", "127.0.0.1", "-p", str(nameserver.uri.port), "lookup", "x"]) == 1
    assert capsys.readouterr().out == "Name server ping ok.\nError: NamingError - unknown name: x\n"


@pytest.mark.parametrize(
    "module", ["pyrolite.naming", "pyrolite.nsc", "pyrolite.test.echoserver", "pyrolite.configuration"]
)
def test_modules_run_without_warnings(module: str, tmp_path: Path) -> None:
    """[OV-11] [OV-35] [CLI-1] ``python -m`` runs them, without a warning of runpy."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", module, "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "show this help message" in done.stdout


def test_proxy_is_released(nameserver: RunningNameServer) -> None:
    """[CLI-12] A proxy can be used for a command directly."""
    from pyrolite.nsc import handleCommand

    with Proxy(nameserver.uri) as proxy:
        assert handleCommand(proxy, None, ["register", "a", "PYRO:o@h:1"]) is True
        assert handleCommand(proxy, None, ["register", "a", "PYRO:o@h:1"]) is False


def test_other_forms(nsc: Any, nameserver: RunningNameServer) -> None:
    """[NSC-5] [CLI-20] ``--json``, ``--table``, ``--ttl``."""
    where = ("-n", "127.0.0.1", "-p", str(nameserver.uri.port))
    assert nsc(*where, "--ttl", "60", "register", "a", "PYRO:o@h:1") == (0, "Registered a\n", "")
    assert nsc(*where, "--ttl", "0", "register", "b", "PYRO:o@h:1")[0] == 1
    code, out, err = nsc(*where, "list", "a", "--json", "-v")
    assert (code, json.loads(out), err) == (0, [{"name": "a", "uri": "PYRO:o@h:1", "metadata": []}], "")
    assert nsc(*where, "-t", "list", "a") == (0, "NAME  URI         METADATA\na     PYRO:o@h:1\n1 entry\n", "")
    assert nsc(*where, "-j", "lookup", "b") == (1, "", "Error: NamingError - unknown name: b\n")
    code, out, err = nsc(*where, "-j", "-t", "list")
    assert (code, out) == (2, "")
    assert err.endswith("error: --table and --json exclude each other\n")
    code, out, err = nsc("-u", "no-such-socket", "-j", "list")
    assert (code, out) == (1, "")
    assert err.startswith("Error: Failed to locate the nameserver")


def test_wait(start_tool: Any, free_port: int) -> None:
    """[BYD-13] [CLI-12] ``--wait`` until a name server starts, or until the time is over."""
    where = ("-n", "localhost", "-p", str(free_port))
    waiting = start_tool("pyrolite.nsc", *where, "--wait", "60", "-v", "ping")
    waiting.wait_for("Locating name server...")
    server = start_tool("pyrolite.naming", "-p", str(free_port))
    assert waiting.wait() == 0
    assert waiting.lines[-2:] == ["Name server ping ok.", "Done."]
    assert server.end() == 0
    impatient = start_tool("pyrolite.nsc", *where, "--wait", "0.2", "ping")
    assert impatient.wait() == 1
    assert impatient.lines == [f"Error: Failed to locate the nameserver (localhost:{free_port}: refused)"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals(start_tool: Any, free_port: int, number: signal.Signals, code: int) -> None:
    """[CLI-20] Ctrl-C ends it with 1, and no traceback."""
    tool = start_tool("pyrolite.nsc", "-n", "localhost", "-p", str(free_port), "-w", "60", "-v", "ping")
    tool.wait_for("Locating name server...")
    time.sleep(0.2)  # it is trying
    assert tool.end(number) == code
    assert tool.errors == ""
    assert tool.lines == ["Locating name server..."] + [""] * (code == 1)
