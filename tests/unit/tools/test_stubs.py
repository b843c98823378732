"""``python -m pyrolite.stubs``: what it writes means the same as the class ([BYD-23])."""

from __future__ import annotations

import ast
import decimal
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Protocol, TypeVar, Union

import pytest

import pyrolite
from pyrolite.core import expose, oneway
from pyrolite.stubs import main, stub

if TYPE_CHECKING:
    from nowhere import Unknown

T = TypeVar("T")


@expose
class Everything:
    """Has "quotes", a \\ and
    two lines."""

    def plain(self, a: int, b: str = "x", *more: float, c: bool = True, **rest: Any) -> list[str]:
        """One line."""

    def untyped(self, a, b=3):
        pass

    def positional(self, a: int, /, b: int = 2) -> None:
        pass

    def keywords(self, *, first_keyword_of_a_long_list: int, second_keyword_of_a_long_list: str = "") -> int:
        pass

    def long_positional(
        self, first_of_a_long_list_of_parameters: int, second_of_a_long_list: int, /, *, only_by_name: int = 1
    ) -> int:
        pass

    def unions(self, a: Union[int, str], b: Optional[bytes], c: int | None = None) -> Union[int, None]:  # noqa: UP007, UP045
        pass

    def generics(self, a: Mapping[str, list[int]], b: tuple[int, ...], c: tuple[()], d: type[int]) -> Iterator[int]:
        yield 1

    def generator(self) -> Generator[int, None, None]:
        yield 1

    def callables(self, a: Callable[[int], str], b: Callable[..., None], c: Literal["x", 1]) -> Annotated[int, "m"]:
        pass

    def unknown(self, a: Unknown, b: int) -> T:
        pass

    def strange(self, a: int = object()) -> decimal.Decimal:  # type: ignore[assignment]
        pass

    def list(self, other: set[int]) -> dict[str, int]:
        """Named as a builtin class that is used elsewhere."""

    @oneway
    def tell(self, what: str) -> int:
        """Nobody waits for the result."""

    @classmethod
    def made(cls, a: int) -> str:
        pass

    @staticmethod
    def static(a: int) -> str:
        pass

    @property
    def readable(self) -> int:
        """A property."""

    @property
    def writable(self) -> str:
        pass

    @writable.setter
    def writable(self, value: str) -> None:
        pass

    def _private(self) -> None:
        pass


def members(text: str) -> dict[str, str]:
    """The heads of all members, without blanks, by their names."""
    (cls,) = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    found = {}
    for node in cls.body:
        if isinstance(node, ast.FunctionDef):
            decorators = "".join(f"@{ast.unparse(decorator)} " for decorator in node.decorator_list)
            returns = ast.unparse(node.returns) if node.returns else ""
            setter = "=" if ".setter" in decorators else ""
            found[node.name + setter] = f"{decorators}({ast.unparse(node.args)}) -> {returns}"
    return found


def test_members() -> None:
    """[BYD-23] Signatures, as a client sees them."""
    text = stub(Everything)
    assert members(text) == {
        "plain": "(self, a: int, b: str=..., *more: float, c: bool=..., **rest: Any) -> builtins.list[str]",
        "untyped": "(self, a: Any, b: Any=...) -> Any",
        "positional": "(self, a: int, /, b: int=...) -> None",
        "keywords": "(self, *, first_keyword_of_a_long_list: int, second_keyword_of_a_long_list: str=...) -> int",
        "long_positional": "(self, first_of_a_long_list_of_parameters: int, second_of_a_long_list: int, /, *, "
        "only_by_name: int=...) -> int",
        "unions": "(self, a: int | str, b: bytes | None, c: int | None=...) -> int | None",
        "generics": "(self, a: Mapping[str, builtins.list[int]], b: tuple[int, ...], c: tuple[()], d: type[int])"
        " -> Iterator[int]",
        "generator": "(self) -> Iterator[int]",
        "callables": "(self, a: Callable[[int], str], b: Callable[..., None], c: Literal['x', 1]) -> int",
        "unknown": "(self, a: Any, b: int) -> Any",
        "strange": "(self, a: int=...) -> decimal.Decimal",
        "list": "(self, other: set[int]) -> dict[str, int]",
        "tell": "(self, what: str) -> None",
        "made": "(self, a: int) -> str",
        "static": "(self, a: int) -> str",
        "readable": "@property (self) -> int",
        "writable": "@property (self) -> str",
        "writable=": "@writable.setter (self, value: str) -> None",
    }


def test_module() -> None:
    """[BYD-23] It can be imported, has the docstrings, and is a protocol; the object itself fits."""
    text = stub(Everything())
    names: dict[str, Any] = {"__name__": "made"}
    exec(compile(text, "made.py", "exec"), names)
    made = names["Everything"]
    assert Protocol in made.__mro__
    assert "".join(made.__doc__.split()) == "".join(str(Everything.__doc__).split())
    assert made.plain.__doc__ == "One line."
    assert made.readable.__doc__ == "A property."
    assert text.isascii()
    assert all(len(line) < 120 or '"""' in line for line in text.splitlines())


CLIENT = """
from typing import cast
from made import Everything

thing = cast(Everything, object())
lines: list[str] = thing.plain(1, "x", 2.0, c=False, other=3)
thing.writable = "x"
reveal_type(thing.readable)
"""


@pytest.mark.timeout(120)
def test_type_checker(tmp_path: Path) -> None:
    """[BYD-23] What type checkers make of it."""
    pytest.importorskip("mypy")
    (tmp_path / "made.pyi").write_text(stub(Everything))
    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "wrong.py").write_text(f"{CLIENT}\nthing.readable = 2\nthing.plain('no number')\nthing.unheard_of()\n")
    # a cache of its own, and none of the project's settings
    options = ["--strict", "--config-file", os.devnull, "--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", *options, "client.py", "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 3, done.stdout
    assert all(line.startswith("wrong.py:") for line in errors)
    assert 'Revealed type is "int"' in done.stdout or 'Revealed type is "builtins.int"' in done.stdout


@expose
class Nothing:
    pass


class Hidden:
    def method(self, a: int) -> int:
        return a


def test_what_is_exposed() -> None:
    """[BYD-23] [EXP-9]"""
    for cls in (Nothing, Hidden):
        with pytest.raises(ValueError, match=f"{cls.__name__} does not expose anything"):
            stub(cls)
    assert members(stub(Hidden, only_exposed=False)) == {"method": "(self, a: int) -> int"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that has a class."""
    code = """
        import pyrolite
        class Hidden:
            def method(self) -> "Hidden": ...
        @pyrolite.expose
        class Stock:
            "What there is."
            def count(self, what: str) -> int: ...
            def hidden(self) -> Hidden: ...
    """
    (tmp_path / "stub_shop.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("stub_shop", None)


@pytest.mark.usefixtures("shop")
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """[BYD-23] To standard output, or into a file."""
    assert main(["stub_shop:Stock"]) == 0
    text = capsys.readouterr().out
    assert text.startswith('"""What stub_shop:Stock offers to its clients; made by pyrolite.stubs, do not edit."""\n')
    assert members(text) == {"count": "(self, what: str) -> int", "hidden": "(self) -> stub_shop.Hidden"}
    assert "import stub_shop\n" in text
    assert main(["-o", str(tmp_path / "stock.pyi"), "stub_shop:Stock"]) == 0
    assert (tmp_path / "stock.pyi").read_text() == text
    assert main(["--expose-all", "stub_shop:Hidden"]) == 0
    captured = capsys.readouterr()
    assert "class Hidden(Protocol):" in captured.out
    for arguments, code, error in (
        ((), 2, "exactly one MODULE:CLASS is needed"),
        (("stub_shop:Nothing",), 2, "stub_shop has no Nothing"),
        (("no_such_module:X",), 2, "No module named"),
        (("stub_shop:Hidden",), 1, "Error: Hidden does not expose anything: put @expose before the class"),
        (("stub_shop:Stock", "-o", str(tmp_path)), 1, "Error: "),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == code
        captured = capsys.readouterr()
        assert error in captured.err
        assert captured.out == ""


def test_as_process() -> None:
    """[BYD-23] The classes of the library themselves."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pyrolite.stubs", "pyrolite.test.echoserver:EchoServer"],
        env={"PYTHONPATH": str(Path(pyrolite.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert members(done.stdout)["generator"] == "(self) -> Iterator[str]"
