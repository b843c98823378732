"""Signatures and docstrings of what is exposed ([DMN-82])."""

from __future__ import annotations

from typing import Any

import pytest

from pyrolite.core import Daemon, expose
from pyrolite.core.description import describe_members
from pyrolite.errors import DaemonError
from pyrolite.serializers import _serializers


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


@expose
class Thing:
    def plain(self, a: int, /, b: str = "x", *more: Any, c: float = 1.5, **rest: dict[str, int]) -> list[int]:
        """First line.

        More.
        """

    def defaults(self, a: Any = (), b: Any = {}, c: Any = Rude(), d: Any = [1], e: Any = object, f=None) -> None: ...  # noqa: B006, B008

    @classmethod
    def made(cls, a): ...

    @staticmethod
    def static(a): ...

    def starred(*args): ...

    @property
    def size(self) -> int:
        """How large."""
        return 1

    def hidden_from_nobody(self) -> None: ...

    def _private(self) -> None:
        """Private."""


def test_signatures() -> None:
    """[DMN-82] Without ``self``, and with annotations as they stand in the program."""
    names = ["plain", "made", "static", "starred", "size", "unknown"]
    described = describe_members(Thing, names)
    assert list(described) == names
    assert described["plain"] == {
        "signature": "(a: int, /, b: str = 'x', *more: Any, c: float = 1.5, **rest: dict[str, int]) -> list[int]",
        "parameters": [
            ["a", "POSITIONAL_ONLY", None],
            ["b", "POSITIONAL_OR_KEYWORD", "'x'"],
            ["more", "VAR_POSITIONAL", None],
            ["c", "KEYWORD_ONLY", "1.5"],
            ["rest", "VAR_KEYWORD", None],
        ],
        "doc": "First line.\n\nMore.",
    }
    assert described["made"]["signature"] == described["static"]["signature"] == "(a)"
    assert described["starred"]["signature"] == "(*args)"
    assert described["size"] == {"signature": None, "parameters": [], "doc": "How large."}
    assert described["unknown"]["signature"] is None


def test_defaults() -> None:
    """[DMN-82] No code of the program runs for their texts, and no address gets out."""
    (described,) = describe_members(Thing, ["defaults"]).values()
    assert [default for _, _, default in described["parameters"]] == ["()", "{}", "...", "...", "...", "None"]


def test_long_texts_are_cut() -> None:
    """[DMN-82] [HRD-25]"""

    class Long:
        def method(self, a: str = "y" * 10_000) -> None: ...

    Long.method.__doc__ = "z" * 10_000
    (described,) = describe_members(Long, ["method"]).values()
    assert len(described["doc"]) == 4000
    assert len(described["signature"]) <= 1000


@pytest.mark.usefixtures("pyro_leakcheck")
def test_daemon() -> None:
    """[DMN-80] [DMN-82] Only when it is asked for, and only of what is exposed; every serializer takes it."""
    with Daemon("127.0.0.1") as daemon:
        daemon.register(Thing, "thing")
        interface = daemon.objectsById["Pyro.Daemon"]
        assert set(interface.get_metadata("thing")) == {"methods", "oneway", "attrs"}
        metadata = interface.get_metadata("thing", as_lists=True, details=True)
        assert set(metadata) == {"methods", "oneway", "attrs", "details"}
        assert set(metadata["details"]) == {*metadata["methods"], *metadata["attrs"]}
        assert "_private" not in metadata["details"]
        assert set(interface.get_metadata("thing")) == {"methods", "oneway", "attrs"}
        with pytest.raises(DaemonError):
            interface.get_metadata("other", details=True)
        for serializer in _serializers.values():
            assert serializer.loads(serializer.dumps(metadata)) == metadata
