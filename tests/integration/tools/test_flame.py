"""Flame between client and server, its server as a process, and its console at a terminal."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.core import URI, Daemon
from pyrolite.errors import CommunicationError, SecurityError, SerializeError
from pyrolite.testing import running_daemon
from pyrolite.utils import flame, flameserver

from ...interop.peers import command_for, environment_for
from .terminal import Terminal

MODULE = "pyrolite.utils.flameserver"


@pytest.fixture
def remote(pyro_leakcheck: None, pyro_config: Any, servertype: str) -> Iterator[Any]:
    """A proxy for Flame of a daemon in this process."""
    config.SERIALIZER = "pickle"
    config.SERIALIZERS_ACCEPTED = {"pickle"}
    config.FLAME_ENABLED = True
    with running_daemon(hmac_key="secret", servertype=servertype) as running:
        uri = flame.start(running.daemon)
        assert uri.object == "Pyro.Flame"
        with flame.connect(running.daemon.locationStr, "secret") as proxy:
            yield proxy
    for name in [name for name in sys.modules if name.startswith("flame_sent")]:
        del sys.modules[name]


def test_connect(remote: Any) -> None:
    """[FLM-3] A bound proxy."""
    assert remote._pyroConnection is not None
    assert remote._pyroUri.object == "Pyro.Flame"
    with pytest.raises(CommunicationError):
        flame.connect(remote._pyroUri.location)


def test_modules(remote: Any) -> None:
    """[FLM-4] [FLM-5] The key of the connection is used for what comes over it, though it does not travel."""
    with remote.module("os.path") as module:
        assert module.join("a", "b") == os.path.join("a", "b")
        assert module.genericpath.commonprefix(["ab", "ac"]) == "a"
        assert module.__class__ is flame.FlameModule
        with pytest.raises(AttributeError):
            module.no_such_function()
        with pytest.raises(TypeError):
            module.sep()  # data is no function
    with remote.module("threading") as module:
        assert module._newname("Thread-%d").startswith("Thread-")  # private names are allowed
    with pytest.raises(ImportError):
        remote.module("no_such_module")
    assert remote.invokeModule("os.path.join", ("a", "b"), {}) == os.path.join("a", "b")


def test_builtins(remote: Any) -> None:
    """[FLM-4] [FLM-5]"""
    with remote.builtin("max") as largest:
        assert largest([3, 9, 2], key=abs) == 9
        assert repr(largest).endswith(f"; builtin 'max' at {remote._pyroUri.location}>")
    with remote.builtin("no_such") as unknown, pytest.raises(AttributeError):
        unknown()
    assert remote.invokeBuiltin("sorted", ([2, 1],), {"reverse": True}) == [2, 1]


def test_execute(remote: Any) -> None:
    """[FLM-4] Statements and expressions, in the global variables of the module."""
    try:
        remote.execute("flame_x = 5\r\nimport sys as flame_sys  \n\n")
        assert remote.evaluate("flame_x * 2") == 10
        assert remote.evaluate("__name__") == "pyrolite.utils.flame"
        with pytest.raises(ZeroDivisionError):
            remote.execute("1/0")
    finally:
        for name in ("flame_x", "flame_sys"):
            vars(flame).pop(name, None)


def test_sending_modules(remote: Any) -> None:
    """[FLM-4] [FLM-5] [FLM-6]"""
    source = "def double(x):\n    return x * 2\n"
    remote.sendmodule("flame_sent.inner", source)
    with remote.module("flame_sent.inner") as module:
        assert module.double(4) == 8
    assert remote.getmodule("flame_sent.inner") == source
    assert "def join(" in remote.getmodule("posixpath")
    with pytest.raises(TypeError):
        remote.getmodule("sys")


def test_sending_files(remote: Any, tmp_path: Path) -> None:
    """[FLM-4] A file is the owner's alone, also when it was not before."""
    path = tmp_path / "file.bin"
    path.write_bytes(b"something longer than what comes")
    path.chmod(0o644)
    for name in (path, tmp_path / "new.bin"):
        remote.sendfile(str(name), b"\x00\xff data")
        assert name.read_bytes() == remote.getfile(str(name)) == b"\x00\xff data"
        assert stat.S_IMODE(name.stat().st_mode) == 0o600
    with pytest.raises(FileNotFoundError):
        remote.getfile(str(tmp_path / "missing"))


def test_console_lines(remote: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """[FLM-7] Output, tracebacks included, is returned."""
    with remote.console() as console:
        lines = console.remoteconsole
        banner = lines.get_banner()
        assert banner.startswith(f"Python {sys.version} on {sys.platform}\n(Remote console on 127.0.0.1:")
        assert lines.push_and_get_output("1 + 1") == ("2\n", False)
        assert lines.push_and_get_output("for i in range(2):") == ("", True)
        assert lines.push_and_get_output("    print(i)") == ("", True)
        assert lines.push_and_get_output("") == ("0\n1\n", False)
        output, more = lines.push_and_get_output("1/0")
        assert output.endswith("ZeroDivisionError: division by zero\n") and "<remoteconsole>" in output and not more
        assert lines.push_and_get_output("import sys; sys.stderr.write('err\\n') and None") == ("err\n", False)
        assert lines.push_and_get_output("raise SystemExit('bye')") == ("SystemExit: bye\n", False)
        assert "SyntaxError" in lines.push_and_get_output("a b")[0]
        assert lines.push_and_get_output("if 1:") == ("", True)
        lines.reset()
        assert lines.push_and_get_output("i") == ("1\n", False)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    with pytest.raises(CommunicationError, match="unknown object"), lines:
        lines.get_banner()  # it has ended


def test_daemon_with_its_own_configuration(pyro_leakcheck: None, pyro_config: Any) -> None:
    """[FLM-2] What the daemon's configuration says is what counts."""
    items = {"FLAME_ENABLED": True, "SERIALIZERS_ACCEPTED": {"pickle"}}
    with running_daemon(**items) as running:
        flame.start(running.daemon)
        config.SERIALIZER = "pickle"
        with flame.connect(running.daemon.locationStr) as proxy:
            assert proxy.evaluate("1 + 1") == 2
    with Daemon(config=config.copy(FLAME_ENABLED=True)) as daemon, pytest.raises(SerializeError):
        flame.start(daemon)
    with Daemon(config=config.copy(SERIALIZERS_ACCEPTED={"pickle"})) as daemon, pytest.raises(SecurityError):
        flame.start(daemon)


# ---- the server


def test_server(start_tool: Any) -> None:
    """[CLI-1] [CLI-5] [FLM-1] What it prints."""
    tool = start_tool(MODULE, PYRO_FLAME_ENABLED="1")
    uri = tool.wait_for("server uri: ")
    tool.wait_for("server is running.")
    assert URI(uri).object == "Pyro.Flame"
    assert URI(uri).host == "localhost"
    assert tool.end() == 0
    assert tool.errors == ""
    assert tool.lines == [
        "Starting Pyro Flame server.",
        "Warning: HMAC key not set. Anyone can connect to this server!",
        f"server uri: {uri}",
        "server is running.",
    ]


@pytest.mark.usefixtures("pyro_config", "pyro_leakcheck")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_on_unix_socket(start_tool: Any, tmp_path: Path, number: int) -> None:
    """[CLI-4] [CLI-6] [FLM-1] [FLM-3] With a key; the file of the socket is removed."""
    tool = start_tool(MODULE, "-u", str(tmp_path / "flame"), PYRO_FLAME_ENABLED="1", PYRO_HMAC_KEY="k")
    tool.wait_for("server is running.")
    config.SERIALIZER = "pickle"
    with flame.connect(f"./u:{tmp_path}/flame", hmac_key="k") as proxy:
        assert proxy.evaluate("__import__('os').getpid()") == tool.process.pid
        with proxy.module("os") as module:
            assert module.getpid() == tool.process.pid
    assert tool.end(number) == 0
    assert tool.errors == ""
    assert not (tmp_path / "flame").exists()
    assert all("Warning" not in line for line in tool.lines)


def test_server_refuses(start_tool: Any) -> None:
    """[CLI-6] [FLM-1] [FLM-8] [SEC-61] One line."""
    tool = start_tool(MODULE)
    assert tool.wait() == 1
    assert tool.errors == "Error: Flame is disabled in the server configuration\n"
    tool = start_tool(MODULE, "-q", "-H", "0.0.0.0", PYRO_FLAME_ENABLED="1")
    assert tool.wait() == 1
    assert tool.errors.startswith("Error: Flame refuses to give control of this process to everybody who can reach")
    assert tool.errors.count("\n") == 1
    assert tool.lines == []
    tool = start_tool(MODULE, "-p", "99999", PYRO_FLAME_ENABLED="1")
    assert (tool.wait(), tool.errors) == (1, "Error: port must be 0 to 65535, not 99999\n")


@pytest.mark.usefixtures("pyro_config", "pyro_leakcheck")
def test_server_without_looping(capsys: pytest.CaptureFixture[str]) -> None:
    """[FLM-1]"""
    with pytest.raises(SecurityError, match="Flame is disabled in the server configuration"):
        flameserver.main(["-q"], returnWithoutLooping=True)
    config.FLAME_ENABLED = True
    daemon, uri = flameserver.main(["-q"], returnWithoutLooping=True)
    with daemon:
        assert config.SERIALIZERS_ACCEPTED == {"pickle"}
        assert daemon.uriFor("Pyro.Flame") == uri
    assert capsys.readouterr().out == ""


# ---- the console at a terminal


CLIENT = """
import sys
from pyrolite.utils import flame
with flame.connect(sys.argv[1]) as remote, remote.console() as console:
    console.interact()
"""


@pytest.fixture
def terminal(start_tool: Any) -> Iterator[tuple[Terminal, Any]]:
    """A remote console of a flame server."""
    tool = start_tool(MODULE, PYRO_FLAME_ENABLED="1")
    location = tool.wait_for("server uri: ").partition("@")[2]
    tool.wait_for("server is running.")
    terminal = Terminal("-c", CLIENT, location, PYRO_SERIALIZER="pickle")
    try:
        banner = terminal.wait_for(">>> ")
        assert banner == f"Python {sys.version} on {sys.platform}\n(Remote console on {location})\n"
        yield terminal, tool
    finally:
        terminal.close()
    if tool.process.poll() is None:
        assert tool.end() == 0
    # nothing of the session is shown on the server
    assert tool.lines[-1] == "server is running."
    assert tool.errors == ""


def test_terminal(terminal: tuple[Terminal, Any]) -> None:
    """[FLM-7] A session: output, continued statements, errors, Ctrl-C, Ctrl-D."""
    screen, tool = terminal
    screen.type("import os; os.getpid()\n")
    assert screen.wait_for("\n>>> ").splitlines()[-1] == str(tool.process.pid)
    screen.type("for i in range(2):\n")
    screen.wait_for("... ")
    screen.type("    print('line', i)\n")
    screen.wait_for("... ")
    screen.type("\n")
    assert screen.wait_for(">>> ") == "\nline 0\nline 1\n"
    screen.type("1/0\n")
    assert "ZeroDivisionError: division by zero\n" in screen.wait_for(">>> ")
    screen.type("if True:\n")
    screen.wait_for("... ")
    screen.type("\x03")
    assert "KeyboardInterrupt\n" in screen.wait_for(">>> ")
    screen.type("i * 21\n")  # the incomplete statement is forgotten on the server, too
    assert "21\n" in screen.wait_for(">>> ")
    screen.type("\x04")
    screen.wait_for("(Remote session ended)\n")
    assert screen.process.wait(20) == 0


@pytest.mark.parametrize("farewell", ["exit()", "quit"])
def test_leaving(terminal: tuple[Terminal, Any], farewell: str) -> None:
    """[FLM-7] What ends an interpreter ends the session, not the server."""
    screen, _ = terminal
    screen.type(f"{farewell}\n")
    screen.wait_for("(Remote session ended)\n")
    assert screen.process.wait(20) == 0


def test_server_ends(terminal: tuple[Terminal, Any]) -> None:
    """[FLM-7] Errors of the connection are shown, and the terminal is given back."""
    screen, tool = terminal
    assert tool.end() == 0
    screen.type("1\n")
    assert "ConnectionClosedError" in screen.wait_for(">>> ")
    screen.type("\x04")
    screen.wait_for("(Remote session ended)\n")


# ---- with Pyro4

PEER = """
import sys, importlib
library = sys.argv[1]
flame = importlib.import_module(library + ".utils.flame")
config = importlib.import_module(library).config
config.SERIALIZER = "pickle"
with flame.connect(sys.argv[2]) as remote:
    with remote.module("os.path") as module:
        print(module.join("a", "b"))
    print(remote.builtin("max")([1, 3, 2]))
    remote.sendmodule("flame_sent_peer", "def double(x):\\n  return x * 2")
    print(remote.module("flame_sent_peer").double(4))
    remote.execute("flame_y = 6")
    print(remote.evaluate("flame_y"))
    with remote.console() as console:
        lines = console.remoteconsole
        print(lines.get_banner().splitlines()[-1].startswith("(Remote console on "))
        print(lines.push_and_get_output("1 + 1"))
    print(repr(remote.module("os")).split(" at ")[0])
"""


@pytest.mark.interop
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("client", "server"), [("Pyro4", "pyrolite"), ("pyrolite", "Pyro4")])
def test_with_pyro4(client: str, server: str, tmp_path: Path) -> None:
    """[FLM-4] [FLM-5] [FLM-7] [SER-45] Clients and servers of both libraries."""
    command = command_for(server, "-m", f"{server}.utils.flameserver")
    environment = {**environment_for(server), "PYRO_FLAME_ENABLED": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            uri = next(line for line in process.stdout if line.startswith("server uri: ")).split()[-1]
            done = subprocess.run(
                command_for(client, "-c", PEER, client, uri.partition("@")[2]),
                cwd=tmp_path,
                env=environment_for(client),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            process.kill()
    assert done.returncode == 0, done.stderr
    expected = [os.path.join("a", "b"), "3", "8", "6", "True", "('2\\n', False)", f"<{client}.utils.flame.FlameModule"]
    assert done.stdout.splitlines() == expected
