"""The echo server as a process, and in this one ([CLI-21] to [CLI-25])."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.core import URI, Proxy
from pyrolite.errors import NamingError
from pyrolite.naming import locateNS
from pyrolite.test import echoserver
from pyrolite.testing import running_nameserver

MODULE = "pyrolite.test.echoserver"
NO_KEY = "Warning: HMAC key not set. Anyone can connect to this server!"
START = "Starting Pyro's built-in test echo server."


@pytest.fixture
def echo_tool(start_tool: Any) -> Iterator[Any]:
    """A running echo server, silent, and a proxy for its object."""
    tool = start_tool(MODULE)
    with Proxy(tool.wait_for("echo uri: ")) as proxy:
        yield tool, proxy
    tool.close()


def test_output(start_tool: Any) -> None:
    """[CLI-5] [CLI-22] [CLI-23] What it prints, and how it ends: by its method ``shutdown``."""
    tool = start_tool(MODULE, "-H", "127.0.0.1")
    uri = tool.wait_for("echo uri: ")
    tool.wait_for("echoserver running.")
    with Proxy(uri) as proxy:
        assert proxy.echo("hello") == "hello"
        proxy.shutdown()
    assert tool.wait() == 0
    assert tool.errors == ""
    assert URI(uri).object == "test.echoserver"
    assert URI(uri).host == "127.0.0.1"
    assert tool.lines == [START, NO_KEY, "object name: test.echoserver", f"echo uri: {uri}", "echoserver running."]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(start_tool: Any, number: signal.Signals, tmp_path: Path) -> None:
    """[CLI-6] [CLI-21] [CLI-23] Signals end it with 0; the socket's file is gone."""
    tool = start_tool(MODULE, "-u", str(tmp_path / "echo"))
    uri = tool.wait_for("echo uri: ")
    assert uri == f"PYRO:test.echoserver@./u:{tmp_path}/echo"
    with Proxy(uri) as proxy:
        assert proxy.echo([1]) == [1]
        assert tool.end(number) == 0
    assert tool.errors == ""
    assert not (tmp_path / "echo").exists()


def test_call_in_progress_is_finished(start_tool: Any) -> None:
    """[BYD-5] At SIGTERM the answer that somebody waits for is still sent."""
    tool = start_tool(MODULE, "-v")
    with Proxy(tool.wait_for("echo uri: ")) as proxy:
        tool.wait_for("echoserver running.")
        proxy._pyroAsync()
        answer = proxy.slow()
        while "slow: waiting" not in tool.wait_for(""):
            pass
        time.sleep(0.5)  # the call takes as long as a shutdown waits for it
        tool.send(signal.SIGTERM)
        assert answer.value == "Finally, an answer!"
    assert tool.wait() == 0


def test_quiet(start_tool: Any, free_port: int) -> None:
    """[CLI-21] [CLI-22] ``-q`` prints nothing, but ``-v`` wins."""
    tool = start_tool(MODULE, "-q", "-p", str(free_port), "-H", "127.0.0.1")
    deadline = time.monotonic() + 20
    with Proxy(f"PYRO:test.echoserver@127.0.0.1:{free_port}") as proxy:
        while True:
            try:
                proxy.shutdown()
                break
            except Exception:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    assert tool.wait() == 0
    assert tool.lines == []
    tool = start_tool(MODULE, "-q", "-v")
    tool.wait_for("echoserver running.")
    assert tool.lines[:3] == [START, NO_KEY, "not using a name server."]
    assert tool.end() == 0


def test_verbose(start_tool: Any) -> None:
    """[CLI-25] Calls are printed with their time, escaped where the terminal does not know the characters."""
    tool = start_tool(MODULE, "-v", PYTHONIOENCODING="ascii")
    with Proxy(tool.wait_for("echo uri: ")) as proxy:
        assert proxy.verbose is True
        assert proxy.echo("caf\xe9") == "caf\xe9"
        proxy.verbose = False
        proxy.echo("unseen")
        proxy.verbose = True
        proxy.shutdown()
    assert tool.wait() == 0
    seen = [line.partition(" - ")[2] for line in tool.lines if " - " in line]
    assert seen == ["echo: 'caf\\xe9'", "shutting down"]


def test_methods(echo_tool: Any) -> None:
    """[CLI-25] Everything that clients can call."""
    _, proxy = echo_tool
    assert proxy.echo({"a": [1, 2.5, None]}) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError, match=r"^expected error from echoserver error\(\) method"):
        proxy.error()
    with pytest.raises(ValueError, match="^the message of the error"):
        proxy.error_with_text()
    assert proxy.oneway_echo("x") is None
    start = time.monotonic()
    assert proxy.oneway_slow() is None
    assert time.monotonic() - start < 2
    assert list(proxy.generator()) == ["one", "two", "three"]
    assert math.isnan(proxy.nan())
    assert proxy.inf() == math.inf
    assert proxy.__dunder__() == "should be allowed (dunder)"
    for private in ("_private", "__private", "_must_shutdown"):
        with pytest.raises(AttributeError):
            getattr(proxy, private)()


def test_own_name_server(start_tool: Any, free_port: int) -> None:
    """[CLI-21] [CLI-22] ``-N`` starts a name server, too, and registers there."""
    tool = start_tool(MODULE, "-N", "-v", "-H", "127.0.0.1", PYRO_NS_PORT=str(free_port), PYRO_HMAC_KEY="k")
    uri = tool.wait_for("echo uri: ")
    assert tool.lines == [
        START,
        f"using name server at PYRO:Pyro.NameServer@127.0.0.1:{free_port}",
        "not using a broadcast server",
        "object name: test.echoserver",
        f"echo uri: {uri}",
    ]
    with locateNS("127.0.0.1", free_port, hmac_key="k") as nameserver:
        assert str(nameserver.lookup("test.echoserver")) == uri
    assert tool.end() == 0
    assert tool.errors == ""


def test_broadcast_of_own_name_server(start_tool: Any, free_port: int) -> None:
    """[CLI-22] With a broadcast responder where that is of use."""
    tool = start_tool(
        MODULE, "-N", "-v", "-H", "0.0.0.0", PYRO_NS_PORT=str(free_port), PYRO_NS_BCPORT="0", PYRO_NS_BCHOST="127.0.0.1"
    )
    assert tool.wait_for("broadcast server running at ").startswith("127.0.0.1:")
    assert tool.end() == 0


def test_existing_name_server(start_tool: Any, pyro_leakcheck: None) -> None:
    """[CLI-21] [CLI-23] ``-n`` registers in the one that is configured."""
    with running_nameserver() as running, Proxy(running.uri) as nameserver:
        settings = {"PYRO_NS_HOST": "127.0.0.1", "PYRO_NS_PORT": str(running.uri.port)}
        for _ in range(2):  # also when it is registered already
            tool = start_tool(MODULE, "-n", "-v", **settings)
            uri = tool.wait_for("echo uri: ")
            assert f"using name server at {running.uri}" in tool.lines
            assert str(nameserver.lookup("test.echoserver")) == uri
            assert tool.end() == 0


def test_errors(start_tool: Any, free_port: int) -> None:
    """[CLI-6] One line, exit 1."""
    tool = start_tool(MODULE, "-H", "192.0.2.1")
    assert tool.wait() == 1
    assert tool.errors == "Error: [Errno 99] Cannot assign requested address: '192.0.2.1:0'\n"
    settings = {"PYRO_NS_PORT": str(free_port), "PYRO_BROADCAST_ADDRS": "127.0.0.1", "PYRO_NS_BCPORT": str(free_port)}
    tool = start_tool(MODULE, "-n", **settings)
    assert tool.wait() == 1
    assert tool.errors.startswith("Error: Failed to locate the nameserver")
    assert tool.errors.count("\n") == 1


@pytest.mark.usefixtures("pyro_leakcheck", "pyro_config")
def test_without_looping(capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-21] [CLI-24] For tests: daemon, object and URI, without serving."""
    daemon, echo, uri = echoserver.main(["-q", "-H", "127.0.0.1"], returnWithoutLooping=True)
    with daemon:
        assert config.SERVERTYPE == "multiplex"
        assert type(echo) is echoserver.EchoServer
        assert daemon.objectsById["test.echoserver"] is echo
        assert uri == daemon.uriFor(echo)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("pyro_leakcheck", "pyro_config")
def test_name_server_thread(free_port: int) -> None:
    """[OV-32] The name server in a thread, for tests of one's own."""
    config.NS_PORT = free_port
    thread = echoserver.startNameServer("127.0.0.1", hmac="k")
    try:
        assert isinstance(thread, echoserver.NameServer)
        assert str(thread.uri) == f"PYRO:Pyro.NameServer@127.0.0.1:{free_port}"
        with locateNS("127.0.0.1", free_port, hmac_key="k") as nameserver:
            assert nameserver.count() == 1
        with pytest.raises(OSError):
            echoserver.startNameServer("127.0.0.1")
    finally:
        thread.stop()
    assert not thread.is_alive()
    with pytest.raises(NamingError):
        locateNS("127.0.0.1", free_port, hmac_key="k")
