"""What all commands have in common ([CLI-2], [CLI-6])."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyrolite.cli.check
import pyrolite.serve
import pyrolite.stubs
import pyrolite.utils.flameserver
import pyrolite.utils.httpgateway

TOOLS: dict[str, Callable[..., Any]] = {
    "pyrolite-check": pyrolite.cli.check.main,
    "pyrolite-flameserver": pyrolite.utils.flameserver.main,
    "pyrolite-httpgateway": pyrolite.utils.httpgateway.main,
    "python -m pyrolite.serve": pyrolite.serve.main,
    "python -m pyrolite.stubs": pyrolite.stubs.main,
}


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> tuple[str, Callable[..., Any]]:
    return request.param, TOOLS[request.param]


@pytest.mark.parametrize("option", ["-h", "--help", "--he"])
def test_help(tool: Any, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """[CLI-2] Help goes to stdout, teaches by examples, and tells the exit codes; exit 0."""
    name, main = tool
    with pytest.raises(SystemExit) as end:
        main([option])
    assert end.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(f"usage: {name} [options]")
    assert "show this help message" in captured.out
    examples = captured.out.partition("\nexamples:\n")[2]
    assert examples.count(name) >= 3
    assert "Exit code: 0 " in captured.out
    assert all(len(line) <= 120 for line in captured.out.splitlines())


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
