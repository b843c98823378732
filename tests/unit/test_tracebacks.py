"""Exceptions as text ([ERR-10] to [ERR-16])."""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest

from pyrolite import tracebacks
from pyrolite.configuration import config
from pyrolite.tracebacks import LocalNote, add_remote_note, excepthook, formatTraceback, getPyroTraceback

RULE = "-" * 52 + "\n"
WITH_NOTES = pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes since Python 3.11")


class Custom(Exception):
    class Inner(Exception):
        pass


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def recurse(depth: int) -> None:
    if depth:
        recurse(depth - 1)
    raise ValueError("deep")


def first(depth: int) -> None:
    if not depth:
        raise ValueError("deep, by turns")
    second(depth - 1)


def second(depth: int) -> None:
    first(depth)


def divide() -> float:
    return 1 / 0


def chained() -> None:
    try:
        divide()
    except ZeroDivisionError as error:
        raise Custom("effect") from error


def in_context() -> None:
    try:
        chained()
    except Custom:
        raise Custom.Inner("in context") from None if len("x") > 1 else ValueError("without traceback")


def while_handling() -> None:
    try:
        divide()
    except ZeroDivisionError:
        raise KeyError("while\nhandling")  # noqa: B904 - the context is wanted


def suppressed() -> None:
    try:
        divide()
    except ZeroDivisionError:
        raise KeyError("suppressed") from None


def circular() -> None:
    error = ValueError("circle")
    try:
        raise error
    except ValueError:
        other = KeyError("other")
        other.__cause__ = error
        error.__cause__ = other
        raise other from error


def multiline() -> None:
    divide_it = [
        number / (number - 1)
        for number in range(3)
    ]  # fmt: skip
    raise AssertionError(divide_it)


def unknown_name() -> None:
    recurce(1)  # type: ignore[name-defined]  # noqa: F821


def unknown_attribute() -> None:
    "text".uper()  # type: ignore[attr-defined]


def own_attribute_error() -> None:
    raise AttributeError("own text")


def no_module() -> None:
    from pyrolite.tracebacks import formatTracebak  # type: ignore[attr-defined]  # noqa: F401


def bad_syntax() -> None:
    compile("a b", "<there>", "exec")


def evaluated() -> None:
    exec(compile("def f():\n    1/0\nf()", "<nowhere>", "exec"))


def noted() -> None:
    error = ValueError("noted")
    error.add_note("a note\nof two lines")
    raise error


def group() -> None:
    raise ExceptionGroup("several", [ValueError(1), KeyError(2)])  # noqa: F821


FAILURES: list[Any] = [
    divide,
    chained,
    in_context,
    while_handling,
    suppressed,
    circular,
    multiline,
    unknown_name,
    unknown_attribute,
    own_attribute_error,
    no_module,
    bad_syntax,
    evaluated,
    lambda: recurse(1),
    lambda: recurse(3),
    lambda: recurse(4),
    lambda: recurse(200),
    lambda: first(10),
    lambda: first(100),
    lambda: (_ for _ in ()).throw(Custom()),
    lambda: (_ for _ in ()).throw(Custom.Inner("qualified")),
    lambda: (_ for _ in ()).throw(NoText()),
    lambda: (_ for _ in ()).throw(SystemExit(3)),
    pytest.param(noted, marks=WITH_NOTES),
    pytest.param(group, marks=WITH_NOTES),
]


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What is remembered of frames does not depend on other tests."""
    tracebacks._frame_texts.clear()
    with config.override(DETAILED_TRACEBACK=False):
        yield


# ---- plain


@pytest.mark.parametrize("function", FAILURES)
def test_same_as_standard_library(function: Callable[[], object]) -> None:
    """[ERR-10], [ERR-8], [ERR-16] The lines are those of the traceback module, the first time and from memory."""
    error = caught(function)
    expected = traceback.format_exception(type(error), error, error.__traceback__)
    for _ in range(2):
        assert formatTraceback(type(error), error, error.__traceback__) == expected
        assert getPyroTraceback(type(error), error, error.__traceback__) == expected


def test_without_traceback() -> None:
    """[ERR-10] An exception that was never raised."""
    assert formatTraceback(ValueError, ValueError("x"), None) == ["ValueError: x\n"]
    assert formatTraceback(ValueError) == traceback.format_exception(None, None, None)


def test_current_exception() -> None:
    """[ERR-11] Without arguments: the exception that is being handled, or none."""
    assert getPyroTraceback() == ["NoneType: None\n"]
    assert formatTraceback() == ["NoneType: None\n"]
    try:
        divide()
    except ZeroDivisionError:
        assert formatTraceback() == traceback.format_exception(*sys.exc_info())
        assert getPyroTraceback()[-1] == "ZeroDivisionError: division by zero\n"


@pytest.mark.parametrize("function", [formatTraceback, getPyroTraceback])
def test_exception_object_alone(function: Callable[..., Any]) -> None:
    """[ERR-12] An exception object as the only argument is an error."""
    text = "^invalid argument: ex_type should be an exception type, or just supply no arguments at all$"
    with pytest.raises(TypeError, match=text):
        function(ValueError("x"))


def test_trace_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """[ERR-10] The interpreter's own limit of frames is respected."""
    monkeypatch.setattr(sys, "tracebacklimit", 1, raising=False)
    error = caught(chained)
    expected = traceback.format_exception(type(error), error, error.__traceback__)
    assert formatTraceback(type(error), error, error.__traceback__) == expected


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that is made again and again is not remembered for ever, and never mistaken for another."""
    monkeypatch.setattr(tracebacks, "_FRAME_TEXTS_MAX", 10)
    for number in range(100):
        code = compile(f"\n{number}/0", f"<number {number}>", "exec")
        error = caught(lambda code=code: exec(code))  # type: ignore[misc]
        lines = formatTraceback(type(error), error, error.__traceback__)
        assert f'  File "<number {number}>", line 2, in <module>\n' in lines
        assert len(tracebacks._frame_texts) <= 10


def test_mistaken_identity() -> None:
    """An entry of other code, whose id this code has now, is not used."""
    error = caught(divide)
    expected = formatTraceback(type(error), error, error.__traceback__)
    other: CodeType = chained.__code__
    for key in tracebacks._frame_texts:
        tracebacks._frame_texts[key] = other, "wrong"
    assert formatTraceback(type(error), error, error.__traceback__) == expected


# ---- remote


REMOTE = ["Traceback (most recent call last):\n", '  File "x", line 1\n    source\n', "last"]
REMOTE_SHOWN = [
    " +--- This exception occured remotely (Pyro) - Remote traceback:",
    "\n | ",
    "Traceback (most recent call last):",
    "\n | ",
    '  File "x", line 1',
    "\n | ",
    "    source",
    "\n | ",
    "last",
    "\n +--- End of remote traceback\n",
]


def remote_error(remote: object = REMOTE) -> BaseException:
    error = caught(divide)
    error._pyroTraceback = remote  # type: ignore[attr-defined]
    return error


def test_remote_traceback() -> None:
    """[ERR-11] The local traceback is followed by the one of the server."""
    error = remote_error()
    local = traceback.format_exception(type(error), error, error.__traceback__)
    assert getPyroTraceback(type(error), error, error.__traceback__) == local + REMOTE_SHOWN
    assert "".join(REMOTE_SHOWN).splitlines() == [
        " +--- This exception occured remotely (Pyro) - Remote traceback:",
        " | Traceback (most recent call last):",
        ' |   File "x", line 1',
        " |     source",
        " | last",
        " +--- End of remote traceback",
    ]


@pytest.mark.parametrize("remote", [None, [], ()])
def test_no_remote_traceback(remote: object) -> None:
    """[SEC-50] An empty remote traceback shows nothing."""
    error = remote_error(remote)
    local = traceback.format_exception(type(error), error, error.__traceback__)
    assert getPyroTraceback(type(error), error, error.__traceback__) == local


@pytest.mark.parametrize(("remote", "shown"), [("text", ["text"]), (5, ["5"]), ([5, None], ["5", "None"])])
def test_strange_remote_traceback(remote: object, shown: list[str]) -> None:
    """[ERR-11] What a server sends as traceback may be anything."""
    error = remote_error(remote)
    lines = getPyroTraceback(type(error), error, error.__traceback__)
    expected = [part for line in shown for part in ("\n | ", line)]
    assert lines[-len(expected) - 1 : -1] == expected


def test_excepthook(monkeypatch: pytest.MonkeyPatch) -> None:
    """[ERR-14] Local and remote traceback go to standard error."""
    error = remote_error()
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    excepthook(type(error), error, error.__traceback__)
    assert stream.getvalue() == "".join(getPyroTraceback(type(error), error, error.__traceback__))
    monkeypatch.setattr(sys, "stderr", None)
    excepthook(type(error), error, error.__traceback__)


@WITH_NOTES
def test_note() -> None:
    """[BYD-41] An uncaught remote error shows where it happened on the server."""
    error: Any = remote_error()
    add_remote_note(error)
    add_remote_note(error)
    assert [str(note) for note in error.__notes__] == ["".join(REMOTE_SHOWN).rstrip("\n")]
    assert "".join(traceback.format_exception(error)).count("Remote traceback") == 1


@WITH_NOTES
@pytest.mark.parametrize("detailed", [False, True])
def test_note_is_not_shown_twice(detailed: bool) -> None:
    """[BYD-41], [ERR-16] `getPyroTraceback` shows the remote traceback once, and all other notes."""
    error: Any = remote_error()
    error.add_note("mine")
    add_remote_note(error)
    with config.override(DETAILED_TRACEBACK=detailed):
        lines = getPyroTraceback(type(error), error, error.__traceback__)
    assert "".join(lines).count("Remote traceback") == 1
    assert lines[-len(REMOTE_SHOWN) :] == REMOTE_SHOWN
    if not detailed:
        assert "mine\n" in lines
    assert len(error.__notes__) == 2


@WITH_NOTES
def test_note_on_cause() -> None:
    """[BYD-41], [ERR-8] The remote traceback of a cause is shown with it."""
    cause = remote_error()
    add_remote_note(cause)

    def fail() -> None:
        raise Custom("effect") from cause

    error = caught(fail)
    assert "".join(getPyroTraceback(type(error), error, error.__traceback__)).count("Remote traceback") == 1


def test_no_note() -> None:
    """[BYD-41] Without a remote traceback, or on exceptions that take nothing, there is no note."""
    error = caught(divide)
    add_remote_note(error)
    assert not hasattr(error, "__notes__")

    class Stubborn(Exception):
        _pyroTraceback = REMOTE

        def __setattr__(self, name: str, value: object) -> None:
            raise RuntimeError

        def add_note(self, note: str) -> None:
            raise RuntimeError

    stubborn = Stubborn()
    add_remote_note(stubborn)
    assert not hasattr(stubborn, "__notes__")


def test_note_pickles_as_text() -> None:
    """[BYD-41] Whoever gets the note in a pickle needs no class of this library."""
    note = LocalNote("text")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(note, protocol)
        assert b"pyrolite" not in data
        assert type(pickle.loads(data)) is str
        assert pickle.loads(data) == "text"


# ---- detailed


PRIVATE = "dont-tell"


class Speaker:
    def __init__(self) -> None:
        self.volume = 11
        self.hmac_value = PRIVATE

    def speak(self, words: str, api_key: str) -> float:
        count = len(words)
        counts = sum(count for _ in words)
        return divide_by(counts * 0, api_key)


def divide_by(number: int, Password: str) -> float:
    return 1 / number


class Unpresentable:
    def __repr__(self) -> str:
        raise ValueError("no repr")


class Mute(Unpresentable):
    def __str__(self) -> str:
        raise ValueError("no str")


class Half(Unpresentable):
    def __str__(self) -> str:
        return "half a text"


def test_detailed() -> None:
    """[ERR-13], [ERR-15] Source and local values of each frame but the first; no secrets."""
    speaker = Speaker()
    error = caught(lambda: speaker.speak("loud", PRIVATE))
    lines = formatTraceback(type(error), error, error.__traceback__, detailed=True)
    summary = " EXCEPTION <class 'ZeroDivisionError'>: division by zero\n"
    assert lines[:4] == [RULE, summary, " Extended stacktrace follows (most recent call last)\n", RULE]
    assert lines[-3:] == [RULE, summary, RULE]
    assert all(line.endswith("\n") for line in lines)
    blocks = "".join(lines).split(RULE)[2:-2]
    assert [block.split("\n")[0].rpartition("in ")[2] for block in blocks] == [
        "caught",
        "<lambda>",
        "Speaker.speak",
        "divide_by",
    ]
    assert "Local values" not in blocks[0]
    assert blocks[2].split("\n")[1:] == [
        "Source code:",
        "    return divide_by(counts * 0, api_key)",
        "Local values:",
        "    api_key = <hidden>",
        "    count = 4",
        "    counts = 16",
        f"    self = {speaker!r}",
        "        self.volume = 11",
        "        self.hmac_value = <hidden>",
        "    words = 'loud'",
        "",
    ]
    assert f'File "{__file__}", line ' in blocks[3]
    assert blocks[3].endswith("    Password = <hidden>\n    number = 0\n")
    assert PRIVATE not in "".join(lines)


def test_detailed_values() -> None:
    """[ERR-13], [ERR-15] Values without a repr, and long ones."""

    def fail(mute: object, half: object, long: object) -> None:
        raise Custom([mute, half, long] and "text")

    def outer() -> None:
        fail(Mute(), Half(), "x" * 5000)

    error = caught(outer)
    text = "".join(formatTraceback(type(error), error, error.__traceback__, detailed=True))
    assert "    mute = <ERROR>\n" in text
    assert "    half = half a text\n" in text
    assert f"    long = '{'x' * 1999}...\n" in text


def test_detailed_fails() -> None:
    """[ERR-13] When the detailed text cannot be made, both ordinary tracebacks are there."""
    error = caught(lambda: (_ for _ in ()).throw(NoText("original")))
    text = "".join(formatTraceback(type(error), error, error.__traceback__, detailed=True))
    assert "Error building extended traceback!!! :" in text
    assert "RuntimeError: no text" in text
    assert "NoText: <exception str() failed>" in text
    assert text.count("Traceback (most recent call last)") == 2


def test_detailed_without_exception() -> None:
    """[ERR-13] Outside of an exception."""
    assert formatTraceback(detailed=True) == [
        RULE,
        " EXCEPTION None: None\n",
        " Extended stacktrace follows (most recent call last)\n",
        RULE,
        " EXCEPTION None: None\n",
        RULE,
    ]


def test_detailed_by_configuration() -> None:
    """[ERR-11] DETAILED_TRACEBACK of this process decides about the local part."""
    error = remote_error()
    with config.override(DETAILED_TRACEBACK=True):
        lines = getPyroTraceback(type(error), error, error.__traceback__)
    local = formatTraceback(type(error), error, error.__traceback__, detailed=True)
    assert lines == local + REMOTE_SHOWN
