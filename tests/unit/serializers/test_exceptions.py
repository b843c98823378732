"""Exceptions as dicts and back ([SER-50] to [SER-58], [BYD-40])."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import json
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import zlib
from typing import Any

import pytest

from pyrolite import errors
from pyrolite.errors import RemoteError, SecurityError, SerializeError
from pyrolite.futures import _ExceptionWrapper
from pyrolite.serializers import SerializerBase, all_exceptions, get_serializer
from pyrolite.tracebacks import LocalNote

NAMES = ["serpent", "json", "marshal", "msgpack"]
PICKLES = ["pickle", "cloudpickle", "dill"]

each_name = pytest.mark.parametrize("name", NAMES)


class MyError(Exception):
    pass


def round_trip(name: str, value: Any) -> Any:
    serializer = get_serializer(name)
    return serializer.loads(serializer.dumps(value))


def received(name: str, data: dict[str, Any]) -> Any:
    return get_serializer(name).loads(get_serializer(name).dumps(data))


def flagged(cls: str, *args: Any, **attributes: Any) -> dict[str, Any]:
    return {"__class__": cls, "__exception__": True, "args": args, "attributes": attributes}


def test_dict_form() -> None:
    """[SER-50]: class, flag, args, attributes."""
    error = ValueError("bad", 42)
    error.extra = [1]  # type: ignore[attr-defined]
    error._pyroTraceback = ["line"]  # type: ignore[attr-defined]
    expected = flagged("builtins.ValueError", "bad", 42, extra=[1], _pyroTraceback=["line"])
    assert SerializerBase.class_to_dict(error) == expected
    assert list(expected) == list(SerializerBase.class_to_dict(error))
    assert SerializerBase.class_to_dict(errors.NamingError("n"))["__class__"] == "Pyro4.errors.NamingError"
    assert SerializerBase.class_to_dict(errors.TimeoutError("n"))["__class__"] == "Pyro4.errors.TimeoutError"
    assert SerializerBase.class_to_dict(TimeoutError("n"))["__class__"] == "builtins.TimeoutError"
    assert SerializerBase.class_to_dict(MyError("n"))["__class__"] == f"{__name__}.MyError"
    assert SerializerBase.class_to_dict(RemoteError("n"))["__class__"] == "Pyro4.errors.SerializeError"


@pytest.mark.parametrize("name", [*NAMES, *PICKLES])
def test_attributes(name: str) -> None:
    """[SER-50], [SER-58]: attributes travel, notes and the remote traceback too."""
    error = KeyError("k")
    error.extra = {"a": [1]}  # type: ignore[attr-defined]
    error._pyroTraceback = ["one\n", "two\n"]  # type: ignore[attr-defined]
    error.__notes__ = ["a note"]  # type: ignore[attr-defined]
    got = round_trip(name, [error])[0]
    assert type(got) is KeyError
    assert got.args == ("k",)
    assert vars(got) == {"extra": {"a": [1]}, "_pyroTraceback": ["one\n", "two\n"], "__notes__": ["a note"]}
    assert vars(error) == vars(got)


@pytest.mark.parametrize("name", [*NAMES, *PICKLES])
def test_not_transferred(name: str) -> None:
    """[SER-51]: cause, context and traceback stay here."""
    try:
        try:
            raise KeyError("k")
        except KeyError as inner:
            raise ValueError("v") from inner
    except ValueError as error:
        got = round_trip(name, error)
    assert got.args == ("v",)
    assert got.__cause__ is got.__context__ is got.__traceback__ is None


@each_name
def test_os_errors(name: str) -> None:
    """[SER-51], [SER-52]: the right subclass, and the names of the files."""
    got = round_trip(name, OSError(2, "m", "one", None, "two"))
    assert type(got) is FileNotFoundError
    assert (got.errno, got.strerror, got.filename, got.filename2) == (2, "m", "one", "two")
    assert str(got) == "[Errno 2] m: 'one' -> 'two'"
    got = round_trip(name, OSError("text"))
    assert (type(got), got.args, got.filename) == (OSError, ("text",), None)


@each_name
def test_all_builtin_exceptions(name: str) -> None:
    """[SER-52] b, c: every builtin class is rebuilt, under all of its names."""
    for plain_name, cls in vars(builtins).items():
        if not isinstance(cls, type) or not issubclass(cls, BaseException) or "Group" in plain_name:
            continue
        if issubclass(cls, UnicodeError) and cls is not UnicodeError:
            continue  # below
        args = ("a",) if issubclass(cls, SyntaxError) else ("a", 1)
        error = cls(*args)
        got = round_trip(name, error)
        assert type(got) is type(error)
        assert got.args == error.args
        for data in (flagged(f"exceptions.{plain_name}", *args), flagged(f"builtins.{plain_name}", *args)):
            assert type(received(name, data)) is type(error)
        assert type(received(name, flagged(plain_name, *args))) is type(all_exceptions[plain_name](*args))


@each_name
def test_all_library_errors(name: str) -> None:
    """[SER-52] a, b: also without the flag when fully named."""
    for plain_name in errors.__all__:
        cls = getattr(errors, plain_name)
        if cls is not RemoteError:
            got = round_trip(name, cls("a", 1))
            assert type(got) is cls
        for full_name in (f"Pyro4.errors.{plain_name}", f"pyrolite.errors.{plain_name}", plain_name):
            got = received(name, flagged(full_name, "a", 1))
            assert type(got) is cls
            assert got.args == ("a", 1)
        got = received(name, {"__class__": f"Pyro4.errors.{plain_name}", "args": ["x"], "attributes": {}})
        assert type(got) is cls


@each_name
def test_flag(name: str) -> None:
    """[SER-52]: builtin exceptions need it."""
    for flag in ({}, {"__exception__": False}, {"__exception__": 1}, {"__exception__": "yes"}):
        for cls in ("builtins.ValueError", "ValueError", "NamingError", "sqlite3.Error"):
            with pytest.raises(SerializeError, match=f"unsupported serialized class: {cls}"):
                received(name, {"__class__": cls, "args": [], "attributes": {}, **flag})


def test_table() -> None:
    """[SER-52] b: library errors take precedence."""
    assert all_exceptions["ValueError"] is ValueError
    assert all_exceptions["TimeoutError"] is errors.TimeoutError
    assert all_exceptions["NamingError"] is errors.NamingError


def make_called_process_error() -> BaseException:
    return subprocess.CalledProcessError(3, ["cmd"], output="out", stderr="err")


def make_json_error() -> BaseException:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("[1,")
    return caught.value


STANDARD = [
    struct.error("s"),
    zlib.error("z"),
    sqlite3.OperationalError("no such table"),
    sqlite3.IntegrityError("x", 1),
    socket.gaierror(-2, "Name or service not known"),
    socket.herror(1, "h"),
    ssl.SSLError(1, "tls"),
    ssl.SSLEOFError(8, "eof"),
    ssl.SSLCertVerificationError(1, "cert"),
    ssl.SSLZeroReturnError(6, "zero"),
    concurrent.futures.CancelledError("c"),
    concurrent.futures.TimeoutError("t"),
    asyncio.CancelledError("c"),
    asyncio.TimeoutError("t"),
    subprocess.TimeoutExpired(["cmd"], 1.5),
    make_called_process_error(),
    make_json_error(),
]


@each_name
@pytest.mark.parametrize("error", STANDARD, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}")
def test_standard_library(name: str, error: BaseException) -> None:
    """[SER-52] d, [SER-53]: further classes of the standard library."""
    got = round_trip(name, error)
    assert type(got) is type(error)
    assert got.args == error.args
    assert str(got) == str(error)
    assert vars(got) == vars(error)


@each_name
def test_unicode_errors(name: str) -> None:
    """[SER-53]: the bytes among the arguments come back as bytes."""
    decode_error = UnicodeDecodeError("utf-8", b"\xff\x00", 0, 1, "bad")
    for error in (
        decode_error,
        UnicodeEncodeError("ascii", "\xe9", 0, 1, "bad"),
        UnicodeTranslateError("x", 0, 1, "bad"),
    ):
        got = round_trip(name, error)
        assert type(got) is type(error)
        assert got.args == error.args
        assert str(got) == str(error)


@each_name
def test_unfit_arguments(name: str) -> None:
    """[SER-53]: a class whose constructor wants other arguments gets them all the same."""
    got = received(name, flagged("builtins.UnicodeDecodeError", "only one", extra=1))
    assert type(got) is UnicodeDecodeError
    assert got.args == ("only one",)
    assert got.extra == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
@each_name
def test_groups(name: str) -> None:
    """[SER-53]: with what is in them."""
    group_class, base_group = builtins.ExceptionGroup, builtins.BaseExceptionGroup  # type: ignore[attr-defined]
    group = group_class("several", [ValueError("v"), group_class("inner", [KeyError("k")])])
    group.extra = 1  # type: ignore[attr-defined]
    got = round_trip(name, group)
    assert type(got) is group_class
    assert got.message == "several"
    assert got.extra == 1
    assert [type(error) for error in got.exceptions] == [ValueError, group_class]
    assert got.exceptions[1].exceptions[0].args == ("k",)
    got = round_trip(name, base_group("b", [KeyboardInterrupt()]))
    assert type(got.exceptions[0]) is KeyboardInterrupt
    # unknown ones among them
    got = round_trip(name, group_class("several", [MyError("m"), ValueError("v")]))
    assert [type(error) for error in got.exceptions] == [RemoteError, ValueError]
    assert got.exceptions[0].class_name == f"{__name__}.MyError"
    for nested in ([], 5, None):
        with pytest.raises(SerializeError):
            received(name, flagged("builtins.ExceptionGroup", "m", nested))


@each_name
def test_nested(name: str) -> None:
    """[SER-32]: exceptions and other objects in args and attributes."""
    error = ValueError(KeyError("inner"), [errors.NamingError("n")])
    error.cause = IndexError("i")  # type: ignore[attr-defined]
    got = round_trip(name, error)
    assert type(got.args[0]) is KeyError
    assert type(got.args[1][0]) is errors.NamingError
    assert type(got.cause) is IndexError
    # unknown ones do not spoil it
    got = round_trip(name, ValueError(MyError("m"), 5))
    assert got.args[1] == 5
    assert isinstance(got.args[0], RemoteError)


@each_name
def test_unknown_in_a_batch(name: str) -> None:
    """[BYD-40], [SER-54]: the results in front of it arrive, and the wrapper holds what stands in."""
    got = round_trip(name, [1, 2, _ExceptionWrapper(MyError("m"))])
    assert got[:2] == [1, 2]
    assert type(got[2].exception) is RemoteError
    assert got[2].exception.remote_args == ("m",)


@each_name
def test_unknown_class(name: str) -> None:
    """[SER-55], [BYD-40]: text, and what is known of the original."""
    error = MyError("x", 5)
    error._pyroTraceback = ["remote line\n"]  # type: ignore[attr-defined]
    with pytest.raises(RemoteError) as caught:
        round_trip(name, error)
    told = caught.value
    assert isinstance(told, SerializeError)
    assert str(told) == f"unsupported serialized class: {__name__}.MyError (remote exception: 'x', 5)"
    assert told.class_name == f"{__name__}.MyError"
    assert told.remote_args == ("x", 5)
    assert told.remote_traceback == told._pyroTraceback == ["remote line\n"]


@each_name
def test_unknown_class_of_a_script(name: str) -> None:
    """[SER-55]: the SecurityError tells the same."""
    with pytest.raises(SecurityError) as caught:
        received(name, flagged("__main__.MyError", "x", _pyroTraceback=["line\n"]))
    assert str(caught.value) == (
        "refused to deserialize types with double underscores in their name: __main__.MyError (remote exception: 'x')"
    )
    assert caught.value._pyroTraceback == ["line\n"]


@each_name
@pytest.mark.parametrize(
    "data",
    [
        {"__class__": "a.B", "__exception__": True},
        {"__class__": "a.B", "__exception__": True, "args": 5, "attributes": 6},
        {"__class__": "a.B", "__exception__": True, "args": "x", "attributes": {"_pyroTraceback": 7}},
        {"__class__": "a.B", "__exception__": True, "args": ["x" * 5000], "attributes": {"_pyroTraceback": [8, "y"]}},
    ],
)
def test_unknown_class_malformed(name: str, data: dict[str, Any]) -> None:
    """[SER-5], [SER-55]: whatever is in it."""
    with pytest.raises(RemoteError, match=r"unsupported serialized class: a\.B") as caught:
        received(name, data)
    assert len(str(caught.value)) < 1200
    assert all(isinstance(line, str) for line in caught.value.remote_traceback)


@each_name
def test_remote_error_is_passed_on(name: str) -> None:
    """[BYD-40]: to a third process it is a SerializeError of Pyro4, with all it knows."""
    error = RemoteError("unsupported serialized class: a.B")
    error.class_name = "a.B"
    got = round_trip(name, error)
    assert type(got) is SerializeError
    assert got.class_name == "a.B"


@each_name
def test_own_converters(name: str) -> None:
    """[SER-55], [SER-60], [SER-61]: users bring their own exception classes."""
    key = f"{__name__}.MyError"
    SerializerBase.register_dict_to_class(key, lambda classname, data: MyError(*data["args"]))
    try:
        got = round_trip(name, MyError("x", 5))
    finally:
        SerializerBase.unregister_dict_to_class(key)
    assert (type(got), got.args) == (MyError, ("x", 5))
    SerializerBase.register_class_to_dict(MyError, lambda error: {"__class__": "my", "what": str(error)})
    SerializerBase.register_dict_to_class("my", lambda classname, data: MyError(data["what"].upper()))
    try:
        got = round_trip(name, MyError("x"))
    finally:
        SerializerBase.unregister_class_to_dict(MyError)
        SerializerBase.unregister_dict_to_class("my")
    assert got.args == ("X",)


class TestRestrictions:
    """[SER-56]."""

    @each_name
    def test_attributes(self, name: str) -> None:
        hostile = {
            "__cause__": "x",
            "__traceback__": None,
            "__dict__": {},
            "__secret": 1,
            "with_traceback": "x",
            "add_note": "x",
            "args": ["other"],
            "fine": 1,
        }
        got = received(name, {**flagged("builtins.ValueError", "real"), "attributes": hostile})
        assert type(got) is ValueError
        assert got.args == ("real",)
        assert vars(got) == {"fine": 1}
        assert callable(got.with_traceback)

    @each_name
    def test_attributes_that_cannot_be_set(self, name: str) -> None:
        got = received(
            name,
            flagged(
                "builtins.UnicodeDecodeError",
                "utf-8",
                {"data": "/w==", "encoding": "base64"},
                0,
                1,
                "r",
                object=[],
                ok=1,
            ),
        )
        assert got.ok == 1
        assert got.reason == "r"

    @each_name
    @pytest.mark.parametrize("notes", [5, "text", ["fine", 6, None], {"a": 1}], ids=repr)
    def test_notes(self, name: str, notes: Any) -> None:
        """Only a list of texts can be shown."""
        got = received(name, {**flagged("builtins.ValueError"), "attributes": {"__notes__": notes}})
        assert getattr(got, "__notes__", []) == (["fine"] if isinstance(notes, list) else [])

    @each_name
    def test_names_of_attributes(self, name: str) -> None:
        if name != "json":
            got = received(name, {**flagged("builtins.ValueError"), "attributes": {5: 1, "a b": 2}})
            assert vars(got) == {"a b": 2}

    @each_name
    @pytest.mark.parametrize("cls", [SystemExit, KeyboardInterrupt, GeneratorExit])
    def test_others_are_values(self, name: str, cls: type[BaseException]) -> None:
        """What raises them makes something else of them; here they are values."""
        assert type(round_trip(name, cls("x"))) is cls


@pytest.mark.parametrize("name", [*NAMES, *PICKLES])
def test_local_notes_stay(name: str) -> None:
    """[BYD-41]: the remote traceback that is shown as a note does not travel as one; the exception is not changed."""
    error = ValueError("x")
    notes = ["real", LocalNote("remote traceback")]
    error.__notes__ = notes  # type: ignore[attr-defined]
    got = round_trip(name, error)
    assert got.__notes__ == ["real"]
    nested = round_trip(name, [_ExceptionWrapper(error)])[0].exception
    assert nested.__notes__ == ["real"]
    assert error.__notes__ is notes  # type: ignore[attr-defined]
    assert len(notes) == 2
    error.__notes__ = notes[1:]  # type: ignore[attr-defined]
    assert not hasattr(round_trip(name, error), "__notes__")


def test_make_exception() -> None:
    """[SER-4]."""
    error = SerializerBase.make_exception(ValueError, {"args": [1, 2], "attributes": {"a": 3}})
    assert (type(error), error.args, vars(error)) == (ValueError, (1, 2), {"a": 3})
    assert SerializerBase.make_exception(KeyError, {"args": ()}).args == ()
