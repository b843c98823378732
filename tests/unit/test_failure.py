"""How failed requests are told to their callers."""

from __future__ import annotations

import itertools
import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyrolite.configuration import Configuration, config
from pyrolite.core import failure
from pyrolite.core.failure import ExceptionEncoder, remote_form, safe_text
from pyrolite.errors import ConnectionClosedError, MessageTooLargeError, ProtocolError, PyroError, SecurityError
from pyrolite.serializers import SerializerBase, get_serializer
from pyrolite.tracebacks import is_interrupt
from pyrolite.wire.message import Frame

ALL = ["serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill"]


def raised(error: BaseException) -> BaseException:
    """The exception, with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.fixture
def settings() -> Configuration:
    return config.copy(SEND_TRACEBACKS=True, DETAILED_TRACEBACK=False)


@pytest.fixture
def encoder(settings: Configuration) -> ExceptionEncoder:
    return ExceptionEncoder(settings)


def decoded(encoder: ExceptionEncoder, error: BaseException, name: str = "serpent") -> list[BaseException]:
    """All forms of the exception, as the caller gets them."""
    serializer = get_serializer(name)
    return [serializer.loads(payload) for payload in encoder.payloads(error, serializer)]


class NastyText(Exception):
    """Its text cannot be had."""

    def __init__(self, kind: type[BaseException] = ValueError) -> None:
        super().__init__()
        self.kind = kind

    def __str__(self) -> str:
        raise self.kind("no text")

    __repr__ = __str__


class NoAttributes(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError("takes no attributes")


class NoAccess(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("shows no attributes")


class NoAccessToEnd(SystemExit):
    __getattribute__ = NoAccess.__getattribute__


class Unserializable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("cannot be pickled")


class TestSafeText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("plain", "plain"),
            (ValueError("x"), "x"),
            ("ä€\U0001f600", "\\xe4\\u20ac\\U0001f600"),
            ("lone \ud800", "lone \\ud800"),
            (None, "None"),
            (b"bytes", "b'bytes'"),
        ],
    )
    def test_ascii(self, value: Any, text: str) -> None:
        """[HRD-23]"""
        assert safe_text(value) == text

    @pytest.mark.parametrize("kind", [ValueError, RecursionError, SystemExit, KeyboardInterrupt])
    def test_text_that_fails(self, kind: type[BaseException]) -> None:
        """[HRD-23], [HRD-22]"""
        assert safe_text(NastyText(kind)) == "<NastyText whose text is not available>"

    def test_text_of_a_nasty_class(self) -> None:
        """[HRD-23]: a text whose own methods lie."""

        class Text(str):
            __slots__ = ()

            def encode(self, *args: Any) -> Any:
                raise ValueError

        class Value:
            def __str__(self) -> str:
                return Text("ä")

        assert safe_text(Value()) == "\\xe4"


class TestInterrupt:
    def test_raised_by_code(self) -> None:
        """[DMN-60], [HRD-22]: is reported to the caller like any other exception."""

        assert not is_interrupt(raised(KeyboardInterrupt()))

    @pytest.mark.parametrize("error", [ValueError(), SystemExit(), GeneratorExit()])
    def test_others(self, error: BaseException) -> None:
        """[DMN-60]"""
        assert not is_interrupt(raised(error))

    def test_real(self) -> None:
        """[DMN-30]: ends the program."""

        def interrupted() -> None:
            for _ in itertools.count():
                signal.raise_signal(signal.SIGINT)

        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                interrupted()
        finally:
            signal.signal(signal.SIGINT, previous)
        assert is_interrupt(caught.value)

    def test_in_other_threads(self) -> None:
        """[DMN-60]: the signal never arrives there."""
        results: list[bool] = []
        thread = threading.Thread(target=lambda: results.append(is_interrupt(KeyboardInterrupt())))
        thread.start()
        thread.join()
        assert results == [False]
        assert is_interrupt(KeyboardInterrupt())  # no traceback yet: it came from nowhere


class TestRemoteForm:
    @pytest.mark.parametrize("error", [ValueError("x"), PyroError("x"), StopIteration(5), NastyText()])
    def test_exceptions(self, error: Exception) -> None:
        """[DMN-56], [DMN-61]: themselves."""
        assert remote_form(error) is error

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
    def test_base_exceptions(self, kind: type[BaseException]) -> None:
        """[SER-56], [HRD-22], [DMN-60], [WIRE-84]: none of these may end the caller."""
        error = raised(kind("text"))
        told = remote_form(error)
        assert type(told) is PyroError
        assert str(told) == f"remote {kind.__name__}: text"
        assert told.__traceback__ is error.__traceback__


class TestTraceback:
    def test_attached(self, encoder: ExceptionEncoder) -> None:
        """[ERR-10], [WIRE-80]"""
        error = raised(ValueError("some text"))
        lines = encoder.attach_traceback(error)
        assert error._pyroTraceback is lines  # type: ignore[attr-defined]
        assert lines[0] == "Traceback (most recent call last):\n"
        assert lines[-1] == "ValueError: some text\n"
        assert all(line.endswith("\n") for line in lines)

    def test_detailed(self, settings: Configuration) -> None:
        """[ERR-10]"""
        error = raised(ValueError("some text"))
        plain = ExceptionEncoder(settings).attach_traceback(error)
        settings.DETAILED_TRACEBACK = True
        assert "".join(ExceptionEncoder(settings).attach_traceback(error)) != "".join(plain)

    def test_not_sent(self, settings: Configuration, encoder: ExceptionEncoder) -> None:
        """[SEC-50]"""
        settings.SEND_TRACEBACKS = False
        error = raised(ValueError("x"))
        assert encoder.attach_traceback(error) == []
        assert error._pyroTraceback == []  # type: ignore[attr-defined]

    def test_no_attributes_taken(self, encoder: ExceptionEncoder) -> None:
        """[DMN-56]"""
        error = raised(NoAttributes("x"))
        assert encoder.attach_traceback(error)
        assert not hasattr(error, "_pyroTraceback")

    @pytest.mark.parametrize("kind", [ValueError, SystemExit])
    def test_not_formattable(
        self, encoder: ExceptionEncoder, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
    ) -> None:
        """[HRD-23]"""

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise kind

        monkeypatch.setattr(failure, "formatTraceback", fail)
        assert encoder.attach_traceback(ValueError()) == ["ValueError: the traceback could not be formatted\n"]

    @pytest.mark.parametrize("name", ALL)
    def test_own_connections_are_not_told_of(self, encoder: ExceptionEncoder, name: str) -> None:
        """[SEC-50], [SER-45]: messages of other connections stay here, and so do classes that others do not know."""
        refused, lost = SecurityError("mismatch"), ConnectionClosedError("lost")
        refused.pyroMsg = Frame(5, 0, 1, 1, {"HMAC": b"digest"}, b"confidential")
        lost.partialData = b"confidential"
        serializer = get_serializer(name)
        for error in (refused, lost):
            payload = next(iter(encoder.payloads(error, serializer)))
            assert b"confidential" not in payload
            assert b"Frame" not in payload
            received = serializer.loads(payload)
            assert type(received) is type(error)
            assert set(vars(received)) - {"__notes__"} == {"_pyroTraceback"}


class TestForms:
    @pytest.mark.parametrize("name", ALL)
    def test_complete(self, encoder: ExceptionEncoder, name: str) -> None:
        """[WIRE-80], [SER-50]"""
        first, *_ = decoded(encoder, raised(ZeroDivisionError("x", 5)), name)
        assert type(first) is ZeroDivisionError
        assert first.args == ("x", 5)
        assert first._pyroTraceback[-1].startswith("ZeroDivisionError")  # type: ignore[attr-defined]

    @pytest.mark.parametrize("name", ALL)
    def test_shorter_and_shorter(self, encoder: ExceptionEncoder, name: str) -> None:
        """[HRD-25]: first the traceback is lost, then the text, at last everything."""
        forms = decoded(encoder, raised(ValueError("long " * 100)), name)
        assert [type(form) for form in forms] == [ValueError, ValueError, PyroError, PyroError]
        complete, shorter, described, last = forms
        assert complete.args == shorter.args == ("long " * 100,)
        assert complete._pyroTraceback  # type: ignore[attr-defined]
        assert not hasattr(shorter, "_pyroTraceback")
        assert str(described) == "ValueError: " + ("long " * 100)[:200]
        assert str(last) == "error"

    def test_too_large_stays_what_it_is(self, encoder: ExceptionEncoder) -> None:
        """[WIRE-44], [HRD-25]"""
        error = raised(MessageTooLargeError("max message size exceeded (51 where max=50)"))
        complete, shorter, *_ = decoded(encoder, error)
        assert type(complete) is type(shorter) is MessageTooLargeError
        assert str(shorter) == "max message size exceeded (51 where max=50)"

    @pytest.mark.parametrize("name", ["pickle", "cloudpickle", "dill"])
    def test_unserializable(self, encoder: ExceptionEncoder, name: str) -> None:
        """[WIRE-81], [DMN-56], [HRD-23]"""
        first, *_ = decoded(encoder, raised(Unserializable("some text")), name)
        assert type(first) is PyroError
        text = str(first)
        assert text.startswith("Error serializing exception: ")
        assert "cannot be pickled" in text
        assert text.endswith(f". Original exception: {Unserializable!r}: some text")
        assert "Unserializable: some text" in first._pyroTraceback[-1]  # type: ignore[attr-defined]

    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize(
        "make",
        [
            lambda: NastyText(),
            lambda: NastyText(SystemExit),
            lambda: ValueError("lone \ud800 surrogate"),
            lambda: ValueError(object()),
            lambda: ValueError(lambda: None),
            lambda: NoAttributes("x"),
            lambda: NoAccess("x"),
            lambda: NoAccessToEnd("x"),
            lambda: type("\xc4\u20ac", (Exception,), {})("x"),
        ],
        ids=["text", "text-exit", "surrogate", "object", "function", "attributes", "access", "exit", "class"],
    )
    def test_something_always_arrives(
        self, encoder: ExceptionEncoder, name: str, make: Callable[[], BaseException]
    ) -> None:
        """[HRD-23], [DMN-56]: in every form; what cannot be loaded here is at least bytes."""
        serializer = get_serializer(name)
        payloads = list(encoder.payloads(raised(make()), serializer))
        assert len(payloads) >= 3
        assert all(isinstance(payload, (bytes, bytearray, memoryview)) for payload in payloads)
        assert type(serializer.loads(payloads[-2])) is PyroError
        assert str(serializer.loads(payloads[-1])) == "error"

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
    def test_base_exceptions(self, encoder: ExceptionEncoder, kind: type[BaseException]) -> None:
        """[SER-56], [HRD-22]"""
        first, *_ = decoded(encoder, raised(kind("bye")))
        assert type(first) is PyroError
        assert str(first) == f"remote {kind.__name__}: bye"
        assert first._pyroTraceback  # type: ignore[attr-defined]

    @pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
    def test_class_that_interferes(self, encoder: ExceptionEncoder, kind: type[BaseException]) -> None:
        """[HRD-22], [HRD-23]: when it is serialized."""

        class Interfering(Exception):
            def __reduce__(self) -> Any:
                raise kind("interfered")

        first, *_ = decoded(encoder, raised(Interfering("x")), "pickle")
        assert type(first) is PyroError
        assert "interfered" in str(first)

    def test_serializer_that_takes_only_the_simplest(
        self, encoder: ExceptionEncoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        """[HRD-23]: even then there is an answer."""

        class Poor(SerializerBase):
            def dumps(self, data: Any) -> bytes:
                if str(data) not in ("error", "an error occurred that could not be described"):
                    raise ValueError("too difficult")
                return str(data).encode()

        with caplog.at_level(logging.ERROR, "pyrolite.core"):
            payloads = list(encoder.payloads(raised(ValueError("x")), Poor()))
        assert payloads == [b"an error occurred that could not be described"] * 2 + [b"error"]
        assert "could not be serialized in any form" in caplog.text


class TestSubstitute:
    def test_serializable(self, encoder: ExceptionEncoder) -> None:
        """[BAT-11]"""
        error = raised(ValueError("x"))
        assert encoder.substitute(error, get_serializer("serpent")) is error

    def test_unserializable(self, encoder: ExceptionEncoder) -> None:
        """[BAT-11], [WIRE-81]: with the traceback that was attached before."""
        error = raised(Unserializable("x"))
        lines = encoder.attach_traceback(error)
        stand_in = encoder.substitute(error, get_serializer("pickle"))
        assert type(stand_in) is PyroError
        assert str(stand_in).startswith("Error serializing exception: ")
        assert stand_in._pyroTraceback == lines  # type: ignore[attr-defined]


def test_protocol_errors_keep_their_message_here() -> None:
    """[ERR-4]: only what is sent loses it."""
    error = ProtocolError("x")
    error.pyroMsg = "message"
    assert raised(error).pyroMsg == "message"  # type: ignore[attr-defined]
