"""What a caller gets of an exception that a server raises ([ERR-5] to [ERR-10], [BYD-41])."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import pyrolite
from pyrolite.errors import NamingError, SerializeError
from pyrolite.testing import running_daemon
from pyrolite.tracebacks import getPyroTraceback

REMOTE_HEAD = " +--- This exception occured remotely (Pyro) - Remote traceback:"


class Unknown(Exception):
    """The client gets it by name only."""


@pyrolite.expose
class Thrower:
    def divide(self, a: float, b: float) -> float:
        return a / b

    def known(self) -> None:
        error = NamingError("no such name", 5)
        error.detail = [1, 2]  # type: ignore[attr-defined]
        raise error

    def missing_file(self) -> None:
        raise OSError(2, "x")

    def unknown(self) -> None:
        raise Unknown("some", "arguments")

    def chained(self) -> None:
        try:
            self.divide(1, 0)
        except ZeroDivisionError as error:
            raise KeyError("effect") from error

    def returned(self) -> Exception:
        return ValueError("just a value")

    def noted(self) -> None:
        error = ValueError("noted")
        error.add_note("my note")
        raise error

    def nested(self, uri: str) -> None:
        with pyrolite.Proxy(uri) as proxy:
            proxy.divide(1, 0)


@pytest.fixture(params=["serpent", "json", "marshal", "msgpack"])
def thrower(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A proxy of a `Thrower`."""
    names = {"serpent", "json", "marshal", "msgpack"}
    with (
        pyrolite.config.override(SERIALIZER=request.param, SERIALIZERS_ACCEPTED=names, COMMTIMEOUT=10.0),
        running_daemon({"thrower": Thrower()}) as running,
        pyrolite.Proxy(running.uris["thrower"]) as proxy,
    ):
        yield proxy


def test_known_classes(thrower: Any) -> None:
    """[ERR-5], [ERR-6], [ERR-3] The exception's own class, with args and attributes."""
    with pytest.raises(ZeroDivisionError) as divided:
        thrower.divide(1, 0)
    assert str(divided.value) == "division by zero"  # `match` would look at the notes as well
    with pytest.raises(NamingError) as caught:
        thrower.known()
    assert caught.value.args == ("no such name", 5)
    assert caught.value.detail == [1, 2]  # type: ignore[attr-defined]
    with pytest.raises(FileNotFoundError) as missing:
        thrower.missing_file()
    assert missing.value.args == (2, "x")


def test_unknown_class(thrower: Any) -> None:
    """[ERR-5], [SER-55] A class that is unknown here: its name, its arguments, and the remote traceback."""
    with pytest.raises(SerializeError, match=r"^unsupported serialized class: .*test_remote_errors\.Unknown") as caught:
        thrower.unknown()
    assert "arguments" in str(caught.value)
    assert "raise Unknown" in "".join(getPyroTraceback(type(caught.value), caught.value, caught.value.__traceback__))


def test_returned_exception(thrower: Any) -> None:
    """[ERR-7] An exception that is returned is a value."""
    result = thrower.returned()
    assert type(result) is ValueError
    assert result.args == ("just a value",)


def test_remote_traceback(thrower: Any) -> None:
    """[ERR-10], [ERR-11] The lines of the server's traceback, and how they are shown."""
    with pytest.raises(ZeroDivisionError) as caught:
        thrower.divide(1, 0)
    remote = caught.value._pyroTraceback  # type: ignore[attr-defined]
    assert type(remote) is list
    assert remote[0] == "Traceback (most recent call last):\n"
    assert remote[-1] == "ZeroDivisionError: division by zero\n"
    assert "return a / b" in remote[-2]
    assert "thrower.divide" not in "".join(remote)
    text = "".join(getPyroTraceback(type(caught.value), caught.value, caught.value.__traceback__))
    assert text.index("thrower.divide(1, 0)") < text.index(REMOTE_HEAD) < text.index("return a / b")
    assert text.count(REMOTE_HEAD) == 1


def test_cause(thrower: Any) -> None:
    """[ERR-8] The cause does not travel, but is in the remote traceback."""
    with pytest.raises(KeyError) as caught:
        thrower.chained()
    assert caught.value.__cause__ is None
    text = "".join(caught.value._pyroTraceback)  # type: ignore[attr-defined]
    assert "ZeroDivisionError" in text
    assert "direct cause" in text


def test_no_tracebacks(thrower: Any) -> None:
    """[SEC-50], [ERR-10] SEND_TRACEBACKS off: an empty list."""
    with pyrolite.config.override(SEND_TRACEBACKS=False), pytest.raises(ZeroDivisionError) as caught:
        thrower.divide(1, 0)
    assert caught.value._pyroTraceback == []  # type: ignore[attr-defined]
    assert REMOTE_HEAD not in "".join(traceback.format_exception(caught.value))


def test_detailed_traceback(thrower: Any) -> None:
    """[ERR-10], [ERR-13] DETAILED_TRACEBACK on the server: local values in the remote traceback."""
    with pyrolite.config.override(DETAILED_TRACEBACK=True), pytest.raises(ZeroDivisionError) as caught:
        thrower.divide(12345, 0)
    text = "".join(caught.value._pyroTraceback)  # type: ignore[attr-defined]
    assert "Extended stacktrace follows" in text
    assert "    a = 12345\n" in text


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes since Python 3.11")
class TestNotes:
    def test_note(self, thrower: Any) -> None:
        """[BYD-41] An uncaught remote exception shows the remote traceback."""
        with pytest.raises(ZeroDivisionError) as caught:
            thrower.divide(1, 0)
        assert "".join(traceback.format_exception(caught.value)).count(REMOTE_HEAD) == 1

    def test_switched_off(self, thrower: Any) -> None:
        """[BYD-41] REMOTE_TRACEBACK_NOTE off."""
        with pyrolite.config.override(REMOTE_TRACEBACK_NOTE=False), pytest.raises(ZeroDivisionError) as caught:
            thrower.divide(1, 0)
        assert not hasattr(caught.value, "__notes__")

    def test_other_notes(self, thrower: Any) -> None:
        """[ERR-16], [SER-58] The exception's own notes travel."""
        with pytest.raises(ValueError, match="noted") as caught:
            thrower.noted()
        first, second = caught.value.__notes__
        assert first == "my note"
        assert second.startswith(REMOTE_HEAD)

    def test_not_serialized_again(self, thrower: Any) -> None:
        """[BYD-41] An exception that passes two servers has one note here; the first traceback is in the second."""
        with pytest.raises(ZeroDivisionError) as caught:
            thrower.nested(str(thrower._pyroUri))
        assert len(caught.value.__notes__) == 1
        text = "".join(caught.value._pyroTraceback)  # type: ignore[attr-defined]
        assert text.count(REMOTE_HEAD) == 1
        assert "proxy.divide(1, 0)" in text
        assert "return a / b" in text


def test_few_frames_of_the_library(thrower: Any) -> None:
    """[ERR-9]: the caller's traceback shows the method object and the proxy, no more of the library."""
    with pytest.raises(ZeroDivisionError) as caught:
        thrower.divide(1, 0)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames[1:]] == ["__call__", "_pyroInvoke"]
