"""What the command line tools share ([CLI-2], [CLI-3], [CLI-6])."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import pyrolite.naming
import pyrolite.nsc
import pyrolite.test.echoserver
from pyrolite.commandline import Lifetime, OptionParser, checked_port, errors_in_one_line, hmac_key, say
from pyrolite.errors import NamingError

TOOLS: dict[str, Callable[..., Any]] = {
    "pyrolite-ns": pyrolite.naming.main,
    "pyrolite-nsc": pyrolite.nsc.main,
    "pyrolite-test-echoserver": pyrolite.test.echoserver.main,
}


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> tuple[str, Callable[..., Any]]:
    return request.param, TOOLS[request.param]


@pytest.mark.parametrize("option", ["-h", "--help", "--he"])
def test_help(tool: Any, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-2] Help goes to stdout, with examples; exit 0."""
    name, main = tool
    with pytest.raises(SystemExit) as end:
        main([option])
    assert end.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(f"usage: {name} [options]")
    assert "show this help message" in captured.out
    assert f"examples:\n  {name}" in captured.out


@pytest.mark.parametrize("option", ["--xyz", "-Z", "--xyz=3"])
def test_unknown_option(tool: Any, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-2] Usage and error on stderr; exit 2."""
    name, main = tool
    with pytest.raises(SystemExit) as end:
        main([option])
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"usage: {name} [options]")
    assert captured.err.endswith(f"\n{name}: error: no such option: {option.partition('=')[0]}\n")


def test_wrong_number(tool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-2] [CLI-6] What is no number is wrong usage; a number that can be no port is an error in one line."""
    name, main = tool
    with pytest.raises(SystemExit) as end:
        main(["-p", "x"])
    assert end.value.code == 2
    assert f"{name}: error: " in capsys.readouterr().err
    for port in ("65536", "-1"):
        with pytest.raises(SystemExit) as end:
            main([f"-p{port}", "ping"])
        assert end.value.code == 1
        assert capsys.readouterr().err == f"Error: port must be 0 to 65535, not {port}\n"


def test_options_anywhere() -> None:
    """[CLI-2] [CLI-11] Options may be abbreviated, and come between and after the arguments."""
    parser = OptionParser("tool", "", "")
    parser.add_argument("-n", "--number", type=int)
    parser.add_argument("-v", "--verbose", action="store_true")
    options, rest = parser.parse(
        ["one", "--num", "3", "two", "-v", "three", "-", "-5", "-with blank", "--", "-x", "--n"]
    )
    assert (options.number, options.verbose) == (3, True)
    assert rest == ["one", "two", "three", "-", "-5", "-with blank", "-x", "--n"]


def test_arguments_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-1] Without arguments those of the process are used."""
    monkeypatch.setattr(sys, "argv", ["tool", "a", "b"])
    assert OptionParser("tool", "", "").parse()[1] == ["a", "b"]
    assert OptionParser("tool", "", "").parse([])[1] == []


def test_key_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-3] ``-k`` works, with a warning."""
    monkeypatch.delenv("PYRO_HMAC_KEY", raising=False)
    with pytest.warns(UserWarning, match="using -k") as warned:
        assert hmac_key("s\xe9cret") == "s\xe9cret".encode()
    assert str(warned[0].message) == (
        "using -k to supply HMAC key on the command line is a security problem and is deprecated since Pyro 4.72. "
        "See the documentation for an alternative."
    )


def test_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-3] The environment is the place for it, but not both."""
    monkeypatch.setenv("PYRO_HMAC_KEY", "secret")
    assert hmac_key(None) == b"secret"
    with pytest.raises(SystemExit) as end:
        hmac_key("other")
    assert end.value.code == "error: don't use -k and PYRO_HMAC_KEY at the same time"
    monkeypatch.setenv("PYRO_HMAC_KEY", "")
    assert hmac_key(None) is None
    monkeypatch.delenv("PYRO_HMAC_KEY")
    assert hmac_key(None) is None


def test_tools_refuse_two_keys(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-3] [CLI-10] [CLI-11] [CLI-21] All tools take the key this way."""
    monkeypatch.setenv("PYRO_HMAC_KEY", "secret")
    with pytest.raises(SystemExit, match="don't use -k and PYRO_HMAC_KEY at the same time"):
        tool[1](["--key", "other", "ping"])


@pytest.mark.parametrize(
    "error",
    [
        OSError(98, "Address already in use", "host:1"),
        ValueError("two\nlines"),
        NamingError("sqlite error"),
        OverflowError(),
    ],
)
def test_errors(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-6] [HRD-45] One line on stderr, exit 1, no traceback."""
    with pytest.raises(SystemExit) as end, errors_in_one_line():
        raise error
    assert end.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("Error: ")
    assert line.count("\n") == 1
    assert " ".join(str(error).split()) in line


def test_programming_errors_are_not_hidden() -> None:
    """[CLI-6] Only what the user can do something about."""
    with pytest.raises(ZeroDivisionError), errors_in_one_line():
        raise ZeroDivisionError


def test_ports() -> None:
    """[CLI-6]."""
    assert checked_port(None) is None
    assert [checked_port(port) for port in (0, 1, 65535)] == [0, 1, 65535]
    for port in (-1, 65536, 99999):
        with pytest.raises(ValueError, match=f"port must be 0 to 65535, not {port}"):
            checked_port(port)


def test_output_is_flushed_and_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-37] [CLI-6] [CLI-25] Every line is there at once; what the terminal does not know is escaped."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=False))
    say("caf\xe9 \u20ac")
    assert raw.getvalue() == b"caf\\xe9 \\u20ac" + os.linesep.encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lifetime(number: signal.Signals) -> None:
    """[CLI-6] The first signal shuts down, in a thread of its own; afterwards all is as before."""
    before = signal.getsignal(number)
    stopped = threading.Event()
    with Lifetime() as lifetime:
        with lifetime.serving(stopped.set):
            signal.raise_signal(number)
            assert stopped.wait(10)
        with lifetime.serving(lambda: pytest.fail("no signal came")):
            pass
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lifetime_while_not_serving(number: signal.Signals) -> None:
    """[CLI-6] While a tool starts, a signal ends it without a traceback."""
    reached = False
    with Lifetime():
        signal.raise_signal(number)
        reached = True
    assert not reached


def test_second_signal() -> None:
    """[CLI-6] A second signal does not wait for calls in progress."""
    release = threading.Event()
    with Lifetime() as lifetime, lifetime.serving(lambda: release.wait(10)):
        try:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("has to be interrupted")
        finally:
            release.set()


def test_lifetime_in_another_thread() -> None:
    """[CLI-6] Programs that run a tool in a thread keep their signals."""
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def run() -> None:
        with Lifetime() as lifetime, lifetime.serving(lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
