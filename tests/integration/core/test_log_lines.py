"""The lines that people look for in the log ([LOG-9], [LOG-10])."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.testing import running_daemon


@pyrolite.expose
class Target:
    def echo(self, value: Any) -> Any:
        return value

    def fail(self) -> None:
        raise ValueError("wanted")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What was logged on ``pyrolite.core``; filled when the test looks."""
    logger = logging.getLogger("pyrolite")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    collected: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            collected.append(f"{record.name} {record.levelname} {record.getMessage()}")

    handler = Collector()
    logger.addHandler(handler)
    try:
        yield collected
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_messages_on_the_wire(lines: list[str], pyro_config: Any, servertype: str) -> None:
    """[LOG-9], [WIRE-126]: every message with LOGWIRE; digests are hidden, long data is cut."""
    pyro_config.LOGWIRE = True
    with (
        running_daemon({"target": Target()}, servertype=servertype, hmac_key=b"key") as running,
        pyrolite.Proxy(running.uris["target"]) as proxy,
    ):
        proxy._pyroHmacKey = b"key"
        proxy.echo("x" * 10000)
        with pytest.raises(ValueError, match="wanted"):
            proxy.fail()
    for text in (
        "proxy connect sending",
        "proxy connect response received",
        "proxy wiredata sending",
        "proxy wiredata received",
        "daemon handshake received",
        "daemon handshake response",
        "daemon wiredata received",
        "daemon wiredata sending",
        "daemon wiredata sending (error response)",
    ):
        shape = re.compile(
            rf"pyrolite\.core DEBUG {re.escape(text)}: msgtype=\d flags=0x[0-9a-f]+ "
            r"ser=\d+ seq=\d+ corr=([0-9a-f-]+|\?)\n"
            r"annotations=\{.*\}\ndata=b.*"
        )
        found = [line for line in lines if shape.fullmatch(line)]
        assert found, text
        assert all("'HMAC': '<20 bytes>'" in line for line in found)
        assert all(len(line) < 6000 for line in found)


def test_without_logwire(lines: list[str]) -> None:
    """[LOG-9]: no message is logged otherwise."""
    with running_daemon({"target": Target()}) as running, pyrolite.Proxy(running.uris["target"]) as proxy:
        proxy.echo(1)
    assert not [line for line in lines if "msgtype=" in line]


def test_life_of_a_daemon(lines: list[str]) -> None:
    """[LOG-10]: where it is, what it accepts, what it was asked for."""
    with running_daemon({"target": Target()}) as running:
        location = running.daemon.locationStr
        with pyrolite.Proxy(running.uris["target"]) as proxy:
            proxy.echo(1)
            with pytest.raises(pyrolite.errors.DaemonError):
                proxy._pyroInvoke("echo", (1,), {}, objectId="nobody")
        uri = running.uris["target"]
    text = "\n".join(lines)
    assert f"pyrolite.core INFO daemon {location} entering requestloop" in text
    assert re.search(rf"pyrolite\.core DEBUG daemon created on {re.escape(location)} - IPv4 \(pid \d+\)", text)
    assert re.search(r"pyrolite\.core DEBUG accepted serializers: \{.*'serpent'.*\}", text)
    assert re.search(r"pyrolite\.core DEBUG pyro protocol version: 48  pickle version: \d", text)
    assert "pyrolite.core DEBUG unknown object requested: 'nobody'" in text
    assert f"pyrolite.core DEBUG connected to {uri} - IPv4 - unencrypted" in text
