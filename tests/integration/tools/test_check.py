"""``pyrolite-check`` as a process ([CLI-30], [BYD-20], [BYD-21]), and the dump of the configuration ([CLI-26])."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite import configuration
from pyrolite.cli import check, selftest
from pyrolite.cli.bench import summary
from pyrolite.configuration import config
from pyrolite.core import URI
from pyrolite.serializers import _serializers
from pyrolite.test.echoserver import EchoServer
from pyrolite.testing import running_daemon, running_nameserver

from .terminal import Terminal

MODULE = "pyrolite.cli.check"


@pytest.fixture
def echo(pyro_leakcheck: None) -> Iterator[URI]:
    with running_daemon({"echo": EchoServer()}) as running:
        yield running.uris["echo"]


def test_dump(start_tool: Any) -> None:
    """[CLI-26] [CFG-7] The dump, and exit 0."""
    tool = start_tool("pyrolite.configuration", PYRO_COMMTIMEOUT="12.5")
    assert tool.wait() == 0
    assert tool.lines[0].startswith("Pyro version: ")
    assert "COMMTIMEOUT = 12.5" in tool.lines
    with config.override(COMMTIMEOUT=12.5):
        assert tool.lines == config.dump().splitlines()


def test_dump_with_options(start_tool: Any) -> None:
    """[CLI-1] [CLI-2] [CLI-26] The help tells how items are set; there are no other options."""
    tool = start_tool("pyrolite.configuration", "--help")
    assert tool.wait() == 0
    assert tool.errors == ""
    text = "\n".join(tool.lines)
    for part in ("usage: pyrolite-check-config", "show this help message", "PYRO_NS_HOST=", "Exit code"):
        assert part in text
    tool = start_tool("pyrolite.configuration", "ignored", "--xyz=5")
    assert tool.wait() == 2
    assert tool.lines == []
    assert tool.errors.startswith("usage: pyrolite-check-config")
    assert tool.errors.endswith("pyrolite-check-config: error: no such option: --xyz\n")
    tool = start_tool("pyrolite.configuration", "ignored")
    assert tool.wait() == 0
    assert tool.lines == config.dump().splitlines()


def test_dump_by_other_programs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """[CFG-7] [CLI-26] The function does not care for the options of the program that calls it."""
    monkeypatch.setattr("sys.argv", ["some-program", "--verbose"])
    configuration.main()
    assert capsys.readouterr().out == config.dump() + "\n"


def test_installation(start_tool: Any) -> None:
    """[CLI-30] [BYD-20] Dump, serializers, HOST, self-test; no colours, since this is no terminal."""
    tool = start_tool(MODULE, PYRO_SERIALIZERS_ACCEPTED="json")
    assert tool.wait() == 0
    assert tool.errors == ""
    lines = tool.lines
    assert lines[0].startswith("Pyro version: ")
    assert "SERIALIZERS_ACCEPTED = {'json'}" in lines
    shown = {line.split()[1]: line for line in lines if line.startswith("serializer ")}
    assert set(shown) == {"serpent", "json", "marshal", "pickle", "cloudpickle", "dill", "msgpack"}
    assert re.fullmatch(r"serializer json +available pyrolite [0-9.]+, accepted yes", shown["json"])
    assert re.fullmatch(r"serializer serpent +available [0-9.]+, accepted no", shown["serpent"])
    assert any(line.startswith("ok      HOST ") and "loopback" in line for line in lines)
    for name in _serializers:
        assert any(line.startswith(f"ok      call with {name} ") for line in lines)
    assert lines[-1] == "OK"
    assert not any("\x1b" in line for line in lines)


def test_installation_without_selftest(start_tool: Any, certificates: Any) -> None:
    """[CLI-30] Nothing is sent; TLS files are looked at."""
    settings = {"PYRO_SSL_CACERTS": str(certificates.ca), "PYRO_SSL_SERVERKEY": "/no/such/key"}
    tool = start_tool(MODULE, "--no-selftest", PYRO_SSL_SERVERKEYPASSWD="x", **settings)
    assert tool.wait() == 1
    assert not any("call with" in line for line in tool.lines)
    assert any(line.startswith("WARN    SSL_CACERTS ") and "valid until" in line for line in tool.lines)  # not for long
    assert any(line.startswith("FAILED  SSL_SERVERKEY ") for line in tool.lines)
    assert tool.lines[-1] == "FAILED: SSL_SERVERKEY: /no/such/key: No such file or directory"


@pytest.mark.usefixtures("pyro_leakcheck")
def test_selftest_finds_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-30] A serializer that changes values, an address that cannot be had."""
    serializer = type(_serializers["json"])
    monkeypatch.setattr(serializer, "loadsCall", lambda self, data: ("echo", "echo", (["changed"],), {}))
    steps = {step.name: step for step in selftest.self_test(config)}
    assert [name for name, step in steps.items() if not step.ok] == ["call with json"]
    assert "ValueError: the values came back changed" in steps["call with json"].text

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError("no sockets today")

    monkeypatch.setattr(selftest, "Daemon", refuse)
    (step,) = selftest.self_test(config)
    assert (step.ok, step.text) == (False, "no sockets today")
    with config.override(HOST="no-such-host.invalid"):
        assert not selftest.host_step(config).ok


@pytest.mark.usefixtures("pyro_leakcheck", "pyro_config")
def test_name_server(start_tool: Any) -> None:
    """[CLI-30] [BYD-20] ``--ns``, with and without host."""
    with running_nameserver(hmac_key="k") as running:
        settings = {"PYRO_NS_HOST": "127.0.0.1", "PYRO_NS_PORT": str(running.uri.port), "PYRO_HMAC_KEY": "k"}
        tool = start_tool(MODULE, "--ns", "--no-selftest", **settings)
        assert tool.wait() == 0
        assert any(line.startswith("ok      name server ") for line in tool.lines)
        assert any(line.startswith("ok      ping ") for line in tool.lines)
        assert tool.lines[-1] == "OK"
        assert "HMAC key: set" in tool.lines
        tool = start_tool(MODULE, "--ns", f"127.0.0.1:{running.uri.port}", "--json", "--no-selftest", PYRO_HMAC_KEY="x")
        assert tool.wait() == 1
        told = json.loads("\n".join(tool.lines))
        assert told["steps"][-1]["cause"] == "Client and server have different HMAC keys."


def test_walk(start_tool: Any, echo: URI) -> None:
    """[BYD-20] One line a step, with its time; exit 0."""
    tool = start_tool(MODULE, str(echo))
    assert tool.wait() == 0
    steps = [re.fullmatch(r"ok      (\w+) +([0-9.]+) ms  (.+)", line) for line in tool.lines[:-1]]
    assert [step[1] for step in steps if step] == "address connect handshake serializer HMAC metadata ping".split()
    assert all(steps)
    assert tool.lines[-1] == "OK"


def test_warnings(start_tool: Any) -> None:
    """[CLI-31] What works and is dangerous is marked; the exit code is that of what works."""
    settings = {"PYRO_HOST": "0.0.0.0", "PYRO_SERIALIZERS_ACCEPTED": "pickle,serpent", "PYRO_DETAILED_TRACEBACK": "1"}
    tool = start_tool(MODULE, "--no-selftest", **settings)
    assert tool.wait() == 0
    assert tool.errors == ""
    warned = {line.split()[1]: line for line in reversed(tool.lines) if line.startswith("WARN ")}
    assert set(warned) == {"SERIALIZERS_ACCEPTED", "HOST", "SSL", "MAX_MESSAGE_SIZE", "DETAILED_TRACEBACK"}
    assert "can run code in the server" in warned["SERIALIZERS_ACCEPTED"]
    assert sum(line.startswith("        remedy: ") for line in tool.lines) == len(warned)
    assert tool.lines[-1] == "OK"
    tool = start_tool(MODULE, "--no-selftest", "--json", **settings)
    assert tool.wait() == 0
    told = json.loads("\n".join(tool.lines))
    assert {step["step"] for step in told["steps"] if step.get("warning")} == set(warned)
    tool = start_tool("pyrolite.configuration", **settings)
    assert tool.wait() == 0
    assert all(f"warning: {item}: " in tool.errors for item in warned)


@pytest.mark.usefixtures("pyro_leakcheck")
def test_warnings_of_a_connection(start_tool: Any) -> None:
    """[CLI-31] The doctor warns of pickle and of networks that are not encrypted."""
    with running_daemon({"echo": EchoServer()}, SERIALIZERS_ACCEPTED={"pickle", "serpent"}) as running:
        uri = running.uris["echo"]
        tool = start_tool(MODULE, str(uri), PYRO_SERIALIZER="pickle")
        assert tool.wait() == 0
        assert any(line.startswith("WARN    serializer ") and "run code here" in line for line in tool.lines)
        assert not any(line.startswith("WARN    network ") for line in tool.lines)


def test_failure(start_tool: Any, free_port: int) -> None:
    """[BYD-20] Cause and remedy; exit 1."""
    tool = start_tool(MODULE, f"PYRO:echo@127.0.0.1:{free_port}", "--timeout", "2")
    assert tool.wait() == 1
    assert tool.errors == ""
    assert tool.lines[-4].startswith("FAILED  connect ")
    assert tool.lines[-3].startswith("        cause:  Nobody listens at port ")
    assert tool.lines[-2].startswith("        remedy: ")
    assert tool.lines[-1].startswith(f"FAILED: connect: 127.0.0.1:{free_port}: ")


def test_json(start_tool: Any, echo: URI) -> None:
    """[BYD-20] For programs."""
    tool = start_tool(MODULE, "--json", str(echo))
    assert tool.wait() == 0
    told = json.loads("\n".join(tool.lines))
    assert (told["uri"], told["ok"], told["failed"]) == (str(echo), True, None)
    assert [step["step"] for step in told["steps"]][-2:] == ["metadata", "ping"]
    assert all(step["ok"] and step["ms"] >= 0 for step in told["steps"])
    other = URI(echo)
    other.object = "other"
    tool = start_tool(MODULE, str(other), "--json")
    assert tool.wait() == 1
    told = json.loads("\n".join(tool.lines))
    assert (told["ok"], told["failed"]) == (False, "handshake: refused: unknown object")
    assert "has no object with the id other" in told["steps"][-1]["cause"]
    tool = start_tool(MODULE, "--json", PYRO_SSL_CLIENTKEYPASSWD="abcdef")
    assert tool.wait() == 0
    told = json.loads("\n".join(tool.lines))
    assert told["configuration"]["SSL_CLIENTKEYPASSWD"] == "***"
    assert {"name": "json", "available": True, "accepted": True} == {
        key: value for key, value in told["serializers"][1].items() if key != "version"
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("PYRO:x",),
        ("PYRO:x@h:1", "PYRO:x@h:1"),
        ("--bench",),
        ("--seconds", "0", "--bench", "PYRO:x@h:1"),
        ("--timeout", "-1"),
        ("--timeout", "nan"),
        ("--timeout", "x"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """[BYD-20] Exit 2."""
    with pytest.raises(SystemExit) as end:
        check.main(arguments)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: pyrolite-check [options] [URI]\n")


def test_bench(start_tool: Any, echo: URI) -> None:
    """[BYD-21] Rate and percentiles; no progress where no terminal is."""
    tool = start_tool(MODULE, "--bench", str(echo), "--seconds", "0.3")
    assert tool.wait() == 0
    assert tool.errors == ""
    match = re.fullmatch(r"(\d+) calls in 0\.[34] s: (\d+) calls/s", tool.lines[0])
    assert match and int(match[1]) > 10 and int(match[2]) > 30
    assert [line.split()[0] for line in tool.lines[1:-1]] == ["min", "median", "p90", "p99", "p999", "max"]
    values = [float(line.split()[1]) for line in tool.lines[1:-1]]
    assert values == sorted(values) and values[0] > 0
    assert tool.lines[-1] == "OK"
    tool = start_tool(MODULE, str(echo), "--bench", "--seconds", "0.2", "--json")
    assert tool.wait() == 0
    assert json.loads("\n".join(tool.lines))["bench"]["median_us"] > 0


def test_bench_of_something_else(start_tool: Any, echo: URI, free_port: int) -> None:
    """[BYD-21] What has no method ``echo``, and what is not there."""
    daemon = URI(echo)
    daemon.object = "Pyro.Daemon"
    for uri, text in (
        (str(daemon), "FAILED: AttributeError: remote object "),
        (f"PYRO:echo@127.0.0.1:{free_port}", "FAILED: CommunicationError: cannot connect to "),
    ):
        tool = start_tool(MODULE, "--bench", uri)
        assert tool.wait() == 1
        assert tool.errors == ""
        assert tool.lines[-1].startswith(text)


def test_summary() -> None:
    """[BYD-21]"""
    told = summary([number / 1000 for number in range(1000, 0, -1)], 10.0)
    assert (told["calls"], told["calls_per_second"]) == (1000, 100.0)
    assert (told["min_us"], told["median_us"], told["p90_us"], told["p99_us"], told["max_us"]) == (
        1000.0,
        501_000.0,
        901_000.0,
        991_000.0,
        1_000_000.0,
    )
    assert summary([], 0.0)["max_us"] == 0.0


def test_at_a_terminal(echo: URI) -> None:
    """[BYD-20] [BYD-21] Colours and progress, unless NO_COLOR says otherwise."""
    command = ("-m", MODULE, str(echo))
    for arguments, environment, shown in (
        (command, {}, "\x1b[32mOK\x1b[0m"),
        (command, {"NO_COLOR": "1"}, "\nOK\n"),
        ((*command, "--bench", "--seconds", "0.5"), {}, "calls\r\x1b[K"),
    ):
        terminal = Terminal(*arguments, **environment)
        try:
            before = terminal.wait_for(shown)
            assert terminal.process.wait(20) == 0
            if "--bench" in arguments:
                assert re.search(r"\r\[#+\.+\] +\d+% \d+ calls", before)
            assert ("\x1b" in before) == (not environment and "--bench" not in arguments)
        finally:
            terminal.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(start_tool: Any, number: int) -> None:
    """[CLI-6] No traceback; the check has not succeeded."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tool = start_tool(MODULE, f"PYRO:x@127.0.0.1:{silent.getsockname()[1]}", "--timeout", "60")
        tool.wait_for("ok      connect")
        assert tool.end(number) == 1
    assert tool.errors == ""
    assert tool.lines[-1] == "FAILED: interrupted"


def test_key_of_the_command_line(start_tool: Any, tmp_path: Path) -> None:
    """[CLI-3]"""
    tool = start_tool(MODULE, "-k", "x", PYRO_HMAC_KEY="y")
    assert tool.wait() == 1
    assert tool.errors == "error: don't use -k and PYRO_HMAC_KEY at the same time\n"
