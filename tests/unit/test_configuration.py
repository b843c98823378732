"""Configuration: items, defaults, checks, environment (chapter 60)."""

from __future__ import annotations

import pickle
import re
import sys
import threading
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyrolite import configuration
from pyrolite.configuration import Configuration, config
from pyrolite.constants import VERSION

#: [CFG-11] The tables of the specification: Pyro4's items, then the new ones. A bool is never meant by an int.
PYRO4_DEFAULTS: dict[str, Any] = {
    "HOST": "localhost",
    "NS_HOST": "localhost",
    "NS_PORT": 9090,
    "NS_BCPORT": 9091,
    "NS_BCHOST": None,
    "NS_AUTOCLEAN": 0.0,
    "NATHOST": None,
    "NATPORT": 0,
    "BROADCAST_ADDRS": "<broadcast>, 0.0.0.0",
    "COMPRESSION": False,
    "SERVERTYPE": "thread",
    "COMMTIMEOUT": 0.0,
    "POLLTIMEOUT": 2.0,
    "ONEWAY_THREADED": True,
    "DETAILED_TRACEBACK": False,
    "SOCK_REUSE": True,
    "SOCK_NODELAY": True,
    "PREFER_IP_VERSION": 4,
    "THREADPOOL_SIZE": 40,
    "THREADPOOL_SIZE_MIN": 4,
    "AUTOPROXY": True,
    "MAX_MESSAGE_SIZE": 0,
    "FLAME_ENABLED": False,
    "SERIALIZER": "serpent",
    "SERIALIZERS_ACCEPTED": {"serpent", "marshal", "json"},
    "PICKLE_PROTOCOL_VERSION": pickle.HIGHEST_PROTOCOL,
    "JSON_MODULE": "json",
    "LOGWIRE": False,
    "METADATA": True,
    "REQUIRE_EXPOSE": True,
    "MAX_RETRIES": 0,
    "ITER_STREAMING": True,
    "ITER_STREAM_LIFETIME": 0.0,
    "ITER_STREAM_LINGER": 30.0,
    "SSL": False,
    "SSL_SERVERCERT": "",
    "SSL_SERVERKEY": "",
    "SSL_SERVERKEYPASSWD": "",
    "SSL_REQUIRECLIENTCERT": False,
    "SSL_CLIENTCERT": "",
    "SSL_CLIENTKEY": "",
    "SSL_CLIENTKEYPASSWD": "",
    "SSL_CACERTS": "",
}
NEW_DEFAULTS: dict[str, Any] = {
    "THREADPOOL_WAIT": 0.1,
    "MAX_CONNECTIONS": 0,
    "CONNECT_TIMEOUT": 0.0,
    "RETRY_BACKOFF": 0.0,
    "REMOTE_TRACEBACK_NOTE": True,
    "ITER_STREAM_PREFETCH": 1,
    "HANDSHAKE_TIMEOUT": 30.0,
    "ONEWAY_POOL_SIZE": 0,
    "ONEWAY_QUEUE_SIZE": 1000,
    "ITER_STREAM_MAX": 1000,
    "SEND_TRACEBACKS": True,
    "PROXY_SEND_HMAC_KEY": True,
    "HMAC_STRENGTHENED": False,
    "SERPENT_BYTES_REPR": False,
    "PROTOCOLS_ACCEPTED": {48, 502},
    "PROTOCOL": 0,
}
#: Depend on the platform and on what is installed; tested on their own.
VARYING = {"USE_MSG_WAITALL", "DILL_PROTOCOL_VERSION"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(configuration.os.environ):
        if name.startswith("PYRO_"):
            monkeypatch.delenv(name)


@pytest.fixture
def own() -> Configuration:
    return Configuration()


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The global configuration is the same after the test."""
    before = config.asDict()
    yield
    assert config.asDict() == before


# ---- items


def test_defaults(own: Configuration) -> None:
    """[CFG-11], [CFG-14], [BYD-58] Exactly the items of the tables, with their defaults and the types of these."""
    items = own.asDict()
    expected = {**PYRO4_DEFAULTS, **NEW_DEFAULTS}
    assert items.keys() == expected.keys() | VARYING
    for name, value in expected.items():
        assert items[name] == value, name
        assert type(items[name]) is type(value), name


def test_platform_dependent_defaults(own: Configuration) -> None:
    """[CFG-11] USE_MSG_WAITALL where that exists; dill's protocol, or -1 when it is not installed."""
    assert own.USE_MSG_WAITALL is (sys.platform != "win32")
    try:
        import dill
    except ImportError:
        assert own.DILL_PROTOCOL_VERSION == -1
    else:
        assert dill.HIGHEST_PROTOCOL == own.DILL_PROTOCOL_VERSION


def test_dill_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CFG-11] Without dill its protocol version is -1."""
    monkeypatch.setattr(configuration.importlib.util, "find_spec", lambda name: None)
    assert configuration._dill_protocol() == -1


def test_annotations(own: Configuration) -> None:
    """[CFG-11] The types that type checkers see are those of the values."""
    hints = typing.get_type_hints(Configuration)
    assert hints.keys() == own.asDict().keys()
    for name, value in own.asDict().items():
        hint = hints[name]
        kinds = [typing.get_origin(kind) or kind for kind in typing.get_args(hint) or (hint,)]
        if typing.get_origin(hint) is set:
            kinds = [set]
        assert type(value) in kinds, name


def test_reading_is_a_slot() -> None:
    """[CFG-1] Reading an item runs no Python code: each call reads several."""
    for name in config.asDict():
        assert type(Configuration.__dict__[name]).__name__ == "member_descriptor"
    assert not hasattr(config, "__dict__")


def test_unknown_names(own: Configuration) -> None:
    """[CFG-1] Unknown items can neither be read, nor written, nor deleted."""
    with pytest.raises(AttributeError):
        _ = own.SERIALISER  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="'SERIALISER'"):
        own.SERIALISER = "json"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="'HOST'"):
        del own.HOST
    assert own.HOST == "localhost"


# ---- assignment


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("NS_PORT", "x", TypeError),
        ("NS_PORT", 90.5, TypeError),
        ("NS_PORT", None, TypeError),
        ("NS_PORT", True, TypeError),
        ("NS_PORT", -1, ValueError),
        ("NS_PORT", 65536, ValueError),
        ("COMMTIMEOUT", "5", TypeError),
        ("COMMTIMEOUT", -1, ValueError),
        ("COMMTIMEOUT", float("nan"), ValueError),
        ("COMMTIMEOUT", float("inf"), ValueError),
        ("COMMTIMEOUT", False, TypeError),
        ("HANDSHAKE_TIMEOUT", None, TypeError),
        ("THREADPOOL_SIZE", 0, ValueError),
        ("THREADPOOL_SIZE_MIN", 0, ValueError),
        ("PICKLE_PROTOCOL_VERSION", 1, ValueError),
        ("DILL_PROTOCOL_VERSION", -2, ValueError),
        ("MAX_MESSAGE_SIZE", -1, ValueError),
        ("COMPRESSION", "yes", TypeError),
        ("COMPRESSION", 2, TypeError),
        ("COMPRESSION", None, TypeError),
        ("HOST", None, TypeError),
        ("HOST", b"localhost", TypeError),
        ("NATHOST", 5, TypeError),
        ("SERIALIZERS_ACCEPTED", 5, TypeError),
        ("SERIALIZERS_ACCEPTED", [5], TypeError),
        ("SERIALIZERS_ACCEPTED", None, TypeError),
        ("SERIALIZERS_ACCEPTED", b"json", TypeError),
        ("PROTOCOLS_ACCEPTED", {48, 47}, ValueError),
        ("PROTOCOLS_ACCEPTED", {"x"}, TypeError),
        ("PROTOCOLS_ACCEPTED", 48, TypeError),
        ("PROTOCOL", 47, ValueError),
        ("PROTOCOL", "48", TypeError),
        ("ITER_STREAM_PREFETCH", 0, ValueError),
    ],
)
def test_refused(own: Configuration, name: str, value: object, error: type[Exception]) -> None:
    """[CFG-1] A wrong type or value is refused at once, with the name of the item, and changes nothing."""
    before = own.asDict()
    with pytest.raises(error, match=rf"\b{name}\b"):
        setattr(own, name, value)
    assert own.asDict() == before


def test_pickle_protocol_text(own: Configuration) -> None:
    """[CFG-11] The text tells which pickle protocols there are."""
    with pytest.raises(ValueError, match="pickle protocol needs to be 2 or higher"):
        own.PICKLE_PROTOCOL_VERSION = 1
    own.PICKLE_PROTOCOL_VERSION = 2


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("COMMTIMEOUT", 5, 5.0),
        ("COMMTIMEOUT", None, None),
        ("POLLTIMEOUT", None, None),
        ("NATHOST", None, None),
        ("NS_BCHOST", "host", "host"),
        ("SSL", 1, True),
        ("METADATA", 0, False),
        ("SSL_CACERTS", Path("some") / "where", str(Path("some") / "where")),
        ("NS_AUTOCLEAN", 0.5, 0.5),
        ("PREFER_IP_VERSION", 7, 7),
        ("SERIALIZERS_ACCEPTED", "json, pickle,, ", {"json", "pickle"}),
        ("SERIALIZERS_ACCEPTED", ["json", "json"], {"json"}),
        ("SERIALIZERS_ACCEPTED", iter(("json",)), {"json"}),
        ("SERIALIZERS_ACCEPTED", frozenset(), set()),
        ("PROTOCOLS_ACCEPTED", [48], {48}),
        ("PROTOCOLS_ACCEPTED", "502, 48", {48, 502}),
        ("PROTOCOL", 502, 502),
    ],
)
def test_accepted(own: Configuration, name: str, value: object, stored: object) -> None:
    """[CFG-1], [CFG-4], [P5-41], [P5-43] What may be assigned, and what it becomes."""
    setattr(own, name, value)
    assert getattr(own, name) == stored
    assert type(getattr(own, name)) is type(stored)


def test_names_are_modified_in_place(own: Configuration) -> None:
    """[CFG-4] The set of serializers is the user's to modify; it is not shared with what it was assigned from."""
    own.SERIALIZERS_ACCEPTED.add("pickle")
    assert own.SERIALIZERS_ACCEPTED == {"serpent", "marshal", "json", "pickle"}
    assert Configuration().SERIALIZERS_ACCEPTED == {"serpent", "marshal", "json"}
    names = {"json"}
    own.SERIALIZERS_ACCEPTED = names
    names.add("pickle")
    assert own.SERIALIZERS_ACCEPTED == {"json"}


# ---- environment


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("COMPRESSION", "0", False),
        ("COMPRESSION", "off", False),
        ("COMPRESSION", "No", False),
        ("COMPRESSION", "FALSE", False),
        ("COMPRESSION", "1", True),
        ("COMPRESSION", "on", True),
        ("COMPRESSION", "Yes", True),
        ("COMPRESSION", " true ", True),
        ("NS_PORT", "1234", 1234),
        ("COMMTIMEOUT", "2", 2.0),
        ("COMMTIMEOUT", "0.5", 0.5),
        ("HOST", " spaced ", " spaced "),
        ("NATHOST", "outside", "outside"),
        ("SERIALIZERS_ACCEPTED", " json ,pickle,", {"json", "pickle"}),
        ("PROTOCOLS_ACCEPTED", "48", {48}),
        ("PROTOCOL", "48", 48),
    ],
)
def test_environment(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    """[CFG-3], [CFG-4], [CFG-8] Each item is converted by the type of its default, in each new object."""
    monkeypatch.setenv(f"PYRO_{name}", text)
    own = Configuration()
    assert getattr(own, name) == value
    assert type(getattr(own, name)) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("COMPRESSION", "maybe", "invalid boolean value: PYRO_COMPRESSION=maybe"),
        ("COMPRESSION", "", "invalid boolean value: PYRO_COMPRESSION="),
        ("NS_PORT", "many", "invalid int value: PYRO_NS_PORT=many"),
        ("NS_PORT", "", "invalid int value: PYRO_NS_PORT="),
        ("COMMTIMEOUT", "long", "invalid float value: PYRO_COMMTIMEOUT=long"),
        ("COMMTIMEOUT", "-1", "PYRO_COMMTIMEOUT must be 0 or more, not -1.0"),
        (
            "THREADPOOL_SIZE",
            "0",
            "PYRO_THREADPOOL_SIZE must be 1 or more, not 0: threadpool sizes must be greater than",
        ),
        ("PROTOCOL", "5", "PYRO_PROTOCOL must be one of 0, 48, 502, not 5"),
        ("PROTOCOLS_ACCEPTED", "48,x", "invalid int value: PYRO_PROTOCOLS_ACCEPTED=x"),
    ],
)
def test_bad_environment(
    monkeypatch: pytest.MonkeyPatch, own: Configuration, name: str, text: str, message: str
) -> None:
    """[CFG-3] The error names the variable, and a reset that fails changes nothing."""
    own.HOST = "before"
    monkeypatch.setenv(f"PYRO_{name}", text)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        own.reset()
    assert own.HOST == "before"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Configuration()


def test_unknown_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CFG-3], [CFG-12] Variables that are no items are ignored here and can be asked for."""
    monkeypatch.setenv("PYRO_NO_SUCH_ITEM", "x")
    monkeypatch.setenv("PYRO_HMAC_KEY", "k")
    assert Configuration().asDict() == Configuration().asDict()
    assert configuration.environment_text("HMAC_KEY") == "k"
    assert configuration.environment_text("HTTPGATEWAY_KEY") is None


def test_ns_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CFG-9] PYRO_HOST does not change NS_HOST."""
    monkeypatch.setenv("PYRO_HOST", "elsewhere")
    own = Configuration()
    assert (own.HOST, own.NS_HOST) == ("elsewhere", "localhost")


def test_reset(monkeypatch: pytest.MonkeyPatch, own: Configuration) -> None:
    """[CFG-2], [SEC-3] Defaults, with or without the environment."""
    monkeypatch.setenv("PYRO_NS_PORT", "5555")
    monkeypatch.setenv("PYRO_SERIALIZERS_ACCEPTED", "json")
    own.HOST, own.COMPRESSION = "changed", True
    own.SERIALIZERS_ACCEPTED.add("pickle")
    own.reset()
    assert (own.HOST, own.COMPRESSION, own.NS_PORT, own.SERIALIZERS_ACCEPTED) == ("localhost", False, 5555, {"json"})
    own.reset(useenvironment=False)
    assert (own.NS_PORT, own.SERIALIZERS_ACCEPTED) == (9090, {"serpent", "marshal", "json"})


# ---- several configurations


def test_copy(own: Configuration, unchanged: None) -> None:
    """[BYD-33], [CFG-8] An independent configuration with some items changed."""
    own.HOST = "mine"
    other = own.copy(SERIALIZER="msgpack", COMMTIMEOUT=3)
    assert (other.HOST, other.SERIALIZER, other.COMMTIMEOUT) == ("mine", "msgpack", 3.0)
    other.SERIALIZERS_ACCEPTED.add("pickle")
    other.HOST = "other"
    assert own.asDict() == {**Configuration().asDict(), "HOST": "mine"}
    with pytest.raises(AttributeError):
        own.copy(NOPE=1)
    with pytest.raises(TypeError):
        own.copy(HOST=1)


def test_override(own: Configuration) -> None:
    """[CFG-10] Items are set for a while, and restored whatever happens."""
    accepted = own.SERIALIZERS_ACCEPTED

    def fail_inside() -> None:
        with own.override(NS_PORT=1, SERIALIZERS_ACCEPTED="pickle") as inside:
            assert inside is own
            assert (own.NS_PORT, own.SERIALIZERS_ACCEPTED) == (1, {"pickle"})
            own.HOST = "stays"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert (own.NS_PORT, own.HOST) == (9090, "stays")
    assert own.SERIALIZERS_ACCEPTED is accepted


@pytest.mark.parametrize("items", [{"NS_PORT": 1, "NOPE": 1}, {"NS_PORT": 1, "HOST": 5}])
def test_override_refused(own: Configuration, items: dict[str, Any]) -> None:
    """[CFG-10], [CFG-1] When one of the items is wrong, none is set."""
    with pytest.raises((AttributeError, TypeError)), own.override(**items):
        pytest.fail("the block must not run")
    assert own.NS_PORT == 9090


def test_threads(own: Configuration) -> None:
    """[CFG-13] Items change while other threads read them: each reads either value."""
    seen: set[object] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(own.MAX_MESSAGE_SIZE)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(500):
        own.MAX_MESSAGE_SIZE = 1000 * (number % 2)
    done.set()
    reader.join()
    assert seen <= {0, 1000}


# ---- as text


def test_as_dict(own: Configuration) -> None:
    """[CFG-5] A new dict each time."""
    items = own.asDict()
    items["HOST"] = "x"
    items["SERIALIZERS_ACCEPTED"].add("x")
    assert own.asDict()["HOST"] == "localhost"
    assert "x" not in own.SERIALIZERS_ACCEPTED


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("<broadcast>, 0.0.0.0", ["<broadcast>", "0.0.0.0"]),
        ("one", ["one"]),
        (" a ,'', b", ["a", "", "b"]),
        ("", [""]),
    ],
)
def test_parse_addresses(own: Configuration, text: str, addresses: list[str]) -> None:
    """[CFG-5] Comma separated, stripped; two quotes are the empty text."""
    assert own.parseAddressesString(text) == addresses


def test_dump(monkeypatch: pytest.MonkeyPatch, own: Configuration) -> None:
    """[CFG-6], [LOG-11] Versions, then all items sorted, with the variables of logging; no passwords."""
    monkeypatch.setenv("PYRO_LOGLEVEL", "DEBUG")
    own.SSL_SERVERKEYPASSWD = "do not tell"
    lines = own.dump().split("\n")
    assert lines[0] == f"Pyro version: {VERSION}"
    assert lines[1] == f"Loaded from: {Path(configuration.__file__).parent.parent}"
    assert re.fullmatch(r"Python version: \w+ 3\.\d+\.\d+\S* \(\w+, \w+\)", lines[2])
    assert lines[3] == "Protocol version: 48"
    assert lines[4] == "Currently active configuration settings:"
    items = dict(line.split(" = ") for line in lines[5:])
    assert list(items) == sorted({*own.asDict(), "LOGFILE", "LOGLEVEL"})
    assert items["LOGLEVEL"] == "DEBUG"
    assert items["LOGFILE"] == "None"
    assert items["NS_PORT"] == "9090"
    assert items["SERIALIZERS_ACCEPTED"] == "{'json', 'marshal', 'serpent'}"
    assert items["SSL_SERVERKEYPASSWD"] == "***"
    assert items["SSL_CLIENTKEYPASSWD"] == ""
    assert "do not tell" not in own.dump() + repr(own)


def test_main(capsys: pytest.CaptureFixture[str]) -> None:
    """[CFG-7] The program prints the dump."""
    configuration.main()
    assert capsys.readouterr().out == config.dump() + "\n"


def test_repr(own: Configuration) -> None:
    """A repr tells what differs from the defaults."""
    assert repr(own) == "<pyrolite.configuration.Configuration; all defaults>"
    own.HOST = "h"
    assert repr(own) == "<pyrolite.configuration.Configuration; HOST='h'>"
