"""The methods of the echo server ([CLI-25])."""

from __future__ import annotations

import math
import re
import time

import pytest

from pyrolite.core.exposure import get_exposed_members
from pyrolite.test import echoserver
from pyrolite.test.echoserver import EchoServer


def test_public_names() -> None:
    """[OV-32]."""
    assert echoserver.__all__ == ["EchoServer"]
    for name in ("NameServer", "startNameServer", "main"):
        assert callable(getattr(echoserver, name))


def test_members() -> None:
    """[CLI-25] What clients can use."""
    members = get_exposed_members(EchoServer)
    assert members["methods"] == {
        "echo", "error", "error_with_text", "oneway_echo", "slow", "oneway_slow", "generator", "nan", "inf",
        "__dunder__", "shutdown",
    }  # fmt: skip
    assert members["oneway"] == {"oneway_echo", "oneway_slow"}
    assert members["attrs"] == {"verbose"}
    assert hasattr(EchoServer, "_private")
    assert hasattr(EchoServer, "_EchoServer__private")


def test_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CLI-25] What they do."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    echo = EchoServer()
    message = object()
    assert echo.echo(message) is message
    with pytest.raises(ValueError, match=r"^expected error from echoserver error\(\) method$"):
        echo.error()
    with pytest.raises(ValueError, match="^the message of the error$"):
        echo.error_with_text()
    assert echo.oneway_echo("x") is None
    assert echo.slow() == "Finally, an answer!"
    assert echo.oneway_slow() is None
    assert pauses == [5, 5]
    assert list(echo.generator()) == ["one", "two", "three"]
    assert math.isnan(echo.nan())
    assert echo.inf() == math.inf
    assert echo.__dunder__() == "should be allowed (dunder)"
    assert not echo._must_shutdown
    echo.shutdown()
    assert echo._must_shutdown


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-25] When verbose, calls are printed with the time."""
    echo = EchoServer()
    echo.echo("silent")
    assert capsys.readouterr().out == ""
    assert echo.verbose is False
    echo.verbose = 1  # type: ignore[assignment]
    assert echo.verbose is True
    echo.echo("caf\xe9")
    echo.oneway_echo([1])
    echo.shutdown()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" - ")[2] for line in lines] == ["echo: 'caf\xe9'", "oneway_echo: [1]", "shutting down"]
    assert all(re.match(r"\w{3} \w{3} [\d ]\d \d\d:\d\d:\d\d \d{4} - ", line) for line in lines)
