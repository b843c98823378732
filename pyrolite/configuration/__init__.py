"""Configuration: every item with its type, default and limits, and the environment it may come from (chapter 60).

This is the only room that reads the process's environment. ``config`` is the global configuration; owners (daemons,
proxies) may be given a `Configuration` of their own instead ([BYD-33]).
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import operator
import os
import socket
import sys
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily
from pyrolite.constants import PROTOCOL_VERSION, VERSION

if TYPE_CHECKING:
    import pathlib
    import platform

    from pyrolite.configuration import risks
else:
    pathlib = lazily.module("pathlib", globals())
    platform = lazily.module("platform", globals())
    risks = lazily.module("pyrolite.configuration.risks", globals(), "risks")

__all__ = ["Configuration", "colours_wanted", "config", "environment_text", "main"]

#: How the items are spelled in the environment: with this prefix ([CFG-3]).
PREFIX: Final = "PYRO_"

_FALSE: Final = frozenset(("0", "off", "no", "false"))
_TRUE: Final = frozenset(("1", "on", "yes", "true"))


def environment_text(name: str) -> str | None:
    """The text of environment variable ``PYRO_<name>``, None when not set: for those that are no items ([CFG-12])."""
    return os.environ.get(PREFIX + name)


def colours_wanted() -> bool:
    """False when the user wants none on any terminal: there is a variable ``NO_COLOR`` that is not empty ([BYD-20])."""
    return not os.environ.get("NO_COLOR")


class _Item:
    """One item: its default, what may be assigned to it (`check`), and how environment text is read (`parse`)."""

    __slots__ = ("default", "optional")

    def __init__(self, default: Any, *, optional: bool = False) -> None:
        self.default = default
        self.optional = optional

    def check(self, name: str, value: Any) -> Any:
        """The value to store.

        Raises:
            TypeError, ValueError: it is not acceptable; the text names the item.
        """
        raise NotImplementedError

    def parse(self, name: str, text: str) -> Any:
        """As `check`, for text from the environment."""
        return self.check(name, text)


class _Text(_Item):
    __slots__ = ()

    def check(self, name: str, value: Any) -> str | None:
        if value is None and self.optional:
            return None
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str{' or None' * self.optional}, not {type(value).__name__}")
        return value


class _Flag(_Item):
    __slots__ = ()

    def check(self, name: str, value: Any) -> bool:
        # 0 and 1 are common in programs that were written for Pyro4
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        raise TypeError(f"{name} must be a bool, not {value!r}")

    def parse(self, name: str, text: str) -> bool:
        word = text.strip().lower()
        if word not in _TRUE and word not in _FALSE:
            raise ValueError(f"invalid boolean value: {PREFIX}{name}={text}")
        return word in _TRUE


class _Number(_Item):
    """A number from ``lowest`` to ``highest``."""

    __slots__ = ("highest", "lowest", "refusal")

    def __init__(
        self, default: Any, lowest: float, highest: float = math.inf, *, optional: bool = False, refusal: str = ""
    ) -> None:
        super().__init__(default, optional=optional)
        self.lowest = lowest
        self.highest = highest
        self.refusal = refusal

    def _in_range(self, name: str, value: float) -> None:
        if not self.lowest <= value <= self.highest:
            limit = f"{self.lowest} or more" if self.highest == math.inf else f"from {self.lowest} to {self.highest}"
            raise ValueError(f"{name} must be {limit}, not {value}{self.refusal and ': ' + self.refusal}")


class _Int(_Number):
    __slots__ = ()

    def check(self, name: str, value: Any) -> int:
        if isinstance(value, bool):
            raise TypeError(f"{name} must be an int, not bool")
        try:
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None
        self._in_range(name, number)
        return number

    def parse(self, name: str, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"invalid int value: {PREFIX}{name}={text}") from None
        return self.check(PREFIX + name, number)


class _Float(_Number):
    __slots__ = ()

    def check(self, name: str, value: Any) -> float | None:
        if value is None and self.optional:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a float{' or None' * self.optional}, not {type(value).__name__}")
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{name} must be finite, not {number}")
        self._in_range(name, number)
        return number

    def parse(self, name: str, text: str) -> float | None:
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"invalid float value: {PREFIX}{name}={text}") from None
        return self.check(PREFIX + name, number)


class _Names(_Item):
    """A set of names; also assigned as comma separated text or any iterable ([CFG-4])."""

    __slots__ = ()

    def check(self, name: str, value: Any) -> set[str]:
        if isinstance(value, str):
            return {word.strip() for word in value.split(",")} - {""}
        try:
            names = set(value)
        except TypeError:
            raise TypeError(f"{name} must be a set of names, not {type(value).__name__}") from None
        for entry in names:
            if not isinstance(entry, str):
                raise TypeError(f"{name} must contain names, not {entry!r}")
        return names


class _Choice(_Item):
    """One of some integers."""

    __slots__ = ("choices",)

    def __init__(self, default: Any, choices: Collection[int]) -> None:
        super().__init__(default)
        self.choices = choices

    def check(self, name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an int, not {type(value).__name__}")
        if value not in self.choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, self.choices))}, not {value}")
        return value

    def parse(self, name: str, text: str) -> Any:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"invalid int value: {PREFIX}{name}={text}") from None
        return _Choice.check(self, PREFIX + name, number)


class _Choices(_Choice):
    """Some of some integers, as a set; in the environment comma separated."""

    __slots__ = ()

    def check(self, name: str, value: Any) -> set[int]:
        if isinstance(value, str):
            return self.parse(name, value)
        try:
            numbers = set(value)
        except TypeError:
            raise TypeError(f"{name} must be a set of int, not {type(value).__name__}") from None
        for number in numbers:
            super().check(name, number)
        return numbers

    def parse(self, name: str, text: str) -> set[int]:
        return {super(_Choices, self).parse(name, word) for word in text.split(",") if word.strip()}


#: That of the pickle module, which is loaded when something is pickled ([BYD-60]).
_HIGHEST_PROTOCOL: Final = 5


def _dill_protocol() -> int:
    """``dill.HIGHEST_PROTOCOL``, which is pickle's, without loading dill ([BYD-60]); -1 when dill is not installed."""
    try:
        installed = importlib.util.find_spec("dill") is not None
    except ValueError:  # a stand-in without a spec in sys.modules
        installed = True
    return _HIGHEST_PROTOCOL if installed else -1


_PORT: Final = 65535
_PROTOCOLS: Final = (48, 502)

#: All items ([CFG-11]). Each also has its type among the annotations of `Configuration`.
_ITEMS: Final[dict[str, _Item]] = {
    # where things are
    "HOST": _Text("localhost"),
    "NS_HOST": _Text("localhost"),
    "NS_PORT": _Int(9090, 0, _PORT),
    "NS_BCPORT": _Int(9091, 0, _PORT),
    "NS_BCHOST": _Text(None, optional=True),
    "NS_AUTOCLEAN": _Float(0.0, 0),  # AutoCleaner has a minimum of its own that programs may change ([NS-27])
    "NATHOST": _Text(None, optional=True),
    "NATPORT": _Int(0, 0, _PORT),
    "BROADCAST_ADDRS": _Text("<broadcast>, 0.0.0.0"),
    "PREFER_IP_VERSION": _Int(4, 0),  # other values than 4, 6, 0 are refused where it is used
    # sockets and servers
    "SERVERTYPE": _Text("thread"),  # register_server may have added kinds
    "COMMTIMEOUT": _Float(0.0, 0, optional=True),
    "CONNECT_TIMEOUT": _Float(0.0, 0),
    "HANDSHAKE_TIMEOUT": _Float(30.0, 0),
    "POLLTIMEOUT": _Float(2.0, 0, optional=True),
    "SOCK_REUSE": _Flag(True),
    "SOCK_NODELAY": _Flag(True),
    "USE_MSG_WAITALL": _Flag(hasattr(socket, "MSG_WAITALL") and sys.platform != "win32"),
    "THREADPOOL_SIZE": _Int(40, 1, refusal="threadpool sizes must be greater than zero"),
    "THREADPOOL_SIZE_MIN": _Int(4, 1, refusal="threadpool sizes must be greater than zero"),
    "THREADPOOL_WAIT": _Float(0.1, 0),
    "MAX_CONNECTIONS": _Int(0, 0),
    # messages
    "COMPRESSION": _Flag(False),
    "MAX_MESSAGE_SIZE": _Int(0, 0),
    "PROTOCOL": _Choice(0, (0, *_PROTOCOLS)),
    "PROTOCOLS_ACCEPTED": _Choices(frozenset(_PROTOCOLS), _PROTOCOLS),
    "HMAC_STRENGTHENED": _Flag(False),
    "LOGWIRE": _Flag(False),
    # serializers
    "SERIALIZER": _Text("serpent"),
    "SERIALIZERS_ACCEPTED": _Names(frozenset(("serpent", "marshal", "json"))),
    "PICKLE_PROTOCOL_VERSION": _Int(_HIGHEST_PROTOCOL, 2, refusal="pickle protocol needs to be 2 or higher"),
    "DILL_PROTOCOL_VERSION": _Int(_dill_protocol(), -1),
    "JSON_MODULE": _Text("json"),
    "SERPENT_BYTES_REPR": _Flag(False),
    "PROXY_SEND_HMAC_KEY": _Flag(True),
    # objects and calls
    "AUTOPROXY": _Flag(True),
    "METADATA": _Flag(True),
    "REQUIRE_EXPOSE": _Flag(True),
    "FLAME_ENABLED": _Flag(False),
    "ONEWAY_THREADED": _Flag(True),
    "ONEWAY_POOL_SIZE": _Int(0, 0),
    "ONEWAY_QUEUE_SIZE": _Int(1000, 1),
    "MAX_RETRIES": _Int(0, 0),
    "RETRY_BACKOFF": _Float(0.0, 0),
    "ITER_STREAMING": _Flag(True),
    "ITER_STREAM_LIFETIME": _Float(0.0, 0),
    "ITER_STREAM_LINGER": _Float(30.0, 0),
    "ITER_STREAM_MAX": _Int(1000, 0),
    "ITER_STREAM_PREFETCH": _Int(1, 1),
    # tracebacks
    "DETAILED_TRACEBACK": _Flag(False),
    "SEND_TRACEBACKS": _Flag(True),
    "REMOTE_TRACEBACK_NOTE": _Flag(True),
    # TLS
    "SSL": _Flag(False),
    "SSL_SERVERCERT": _Text(""),
    "SSL_SERVERKEY": _Text(""),
    "SSL_SERVERKEYPASSWD": _Text(""),
    "SSL_REQUIRECLIENTCERT": _Flag(False),
    "SSL_CLIENTCERT": _Text(""),
    "SSL_CLIENTKEY": _Text(""),
    "SSL_CLIENTKEYPASSWD": _Text(""),
    "SSL_CACERTS": _Text(""),
}


class Configuration:
    """All configuration items, as attributes; the default values and the environment to begin with ([CFG-8]).

    Assignment checks type and range of the value ([CFG-1]): AttributeError for unknown items, TypeError and ValueError
    otherwise. The meaning of the items is told in ``docs/specification/60-configuration.md``.

    Thread safety: items may be read and assigned from any thread; `override` and `reset` change several, one by one.

    Raises:
        ValueError: the environment has a value that is not acceptable.
    """

    # Reading an item is a plain slot access, because each call reads several; only assignment runs code.
    __slots__ = tuple(_ITEMS)

    HOST: str
    NS_HOST: str
    NS_PORT: int
    NS_BCPORT: int
    NS_BCHOST: str | None
    NS_AUTOCLEAN: float
    NATHOST: str | None
    NATPORT: int
    BROADCAST_ADDRS: str
    PREFER_IP_VERSION: int
    SERVERTYPE: str
    COMMTIMEOUT: float | None
    CONNECT_TIMEOUT: float
    HANDSHAKE_TIMEOUT: float
    POLLTIMEOUT: float | None
    SOCK_REUSE: bool
    SOCK_NODELAY: bool
    USE_MSG_WAITALL: bool
    THREADPOOL_SIZE: int
    THREADPOOL_SIZE_MIN: int
    THREADPOOL_WAIT: float
    MAX_CONNECTIONS: int
    COMPRESSION: bool
    MAX_MESSAGE_SIZE: int
    PROTOCOL: int
    PROTOCOLS_ACCEPTED: set[int]
    HMAC_STRENGTHENED: bool
    LOGWIRE: bool
    SERIALIZER: str
    SERIALIZERS_ACCEPTED: set[str]
    PICKLE_PROTOCOL_VERSION: int
    DILL_PROTOCOL_VERSION: int
    JSON_MODULE: str
    SERPENT_BYTES_REPR: bool
    PROXY_SEND_HMAC_KEY: bool
    AUTOPROXY: bool
    METADATA: bool
    REQUIRE_EXPOSE: bool
    FLAME_ENABLED: bool
    ONEWAY_THREADED: bool
    ONEWAY_POOL_SIZE: int
    ONEWAY_QUEUE_SIZE: int
    MAX_RETRIES: int
    RETRY_BACKOFF: float
    ITER_STREAMING: bool
    ITER_STREAM_LIFETIME: float
    ITER_STREAM_LINGER: float
    ITER_STREAM_MAX: int
    ITER_STREAM_PREFETCH: int
    DETAILED_TRACEBACK: bool
    SEND_TRACEBACKS: bool
    REMOTE_TRACEBACK_NOTE: bool
    SSL: bool
    SSL_SERVERCERT: str
    SSL_SERVERKEY: str
    SSL_SERVERKEYPASSWD: str
    SSL_REQUIRECLIENTCERT: bool
    SSL_CLIENTCERT: str
    SSL_CLIENTKEY: str
    SSL_CLIENTKEYPASSWD: str
    SSL_CACERTS: str

    def __init__(self) -> None:
        self.reset()

    if not TYPE_CHECKING:  # type checkers would take it to mean that every name can be assigned

        def __setattr__(self, name: str, value: Any) -> None:
            item = _ITEMS.get(name)
            if item is None:
                raise AttributeError(f"there is no configuration item {name!r}")
            object.__setattr__(self, name, item.check(name, value))

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"configuration item {name!r} cannot be deleted")

    def reset(self, useenvironment: bool = True) -> None:
        """Give every item its default, then, unless told otherwise, what the environment says ([CFG-2]).

        Raises:
            ValueError: the environment has a value that is not acceptable; then nothing is changed.
        """
        values = {}
        for name, item in _ITEMS.items():
            text = os.environ.get(PREFIX + name) if useenvironment else None
            values[name] = item.default if text is None else item.parse(name, text)
        for name, value in values.items():
            setattr(self, name, value)

    def copy(self, **items: Any) -> Configuration:
        """An independent configuration with the values of this one, except for ``items`` ([BYD-33]).

        Raises:
            AttributeError, TypeError, ValueError: an item or its value is wrong.
        """
        new = Configuration.__new__(Configuration)
        for name, value in {**self.asDict(), **items}.items():
            setattr(new, name, value)
        return new

    @contextlib.contextmanager
    def override(self, **items: Any) -> Iterator[Configuration]:
        """Set ``items`` and restore their values on exit ([CFG-10]); gives this configuration.

        Raises:
            AttributeError, TypeError, ValueError: an item or its value is wrong; then nothing is changed.
        """
        self.copy(**items)  # raises if anything is wrong
        saved = {name: getattr(self, name) for name in items}
        try:
            for name, value in items.items():
                setattr(self, name, value)
            yield self
        finally:
            for name, value in saved.items():
                object.__setattr__(self, name, value)

    def asDict(self) -> dict[str, Any]:
        """A new dict of all items and their values ([CFG-5])."""
        values = ((name, getattr(self, name)) for name in _ITEMS)
        return {name: set(value) if isinstance(value, set) else value for name, value in values}

    @staticmethod
    def parseAddressesString(addresses: str) -> list[str]:
        """The parts of a comma separated list, without blanks; two quotes ``''`` stand for the empty text ([CFG-5])."""
        return ["" if address == "''" else address for address in map(str.strip, addresses.split(","))]

    def dump(self) -> str:
        """Versions and all items as text, one a line; passwords are not shown ([CFG-6])."""
        values = {**self.asDict(), "LOGFILE": environment_text("LOGFILE"), "LOGLEVEL": environment_text("LOGLEVEL")}
        implementation = f"{platform.python_implementation()} {platform.python_version()}"
        lines = [
            f"Pyro version: {VERSION}",
            f"Loaded from: {pathlib.Path(__file__).resolve().parent.parent}",
            f"Python version: {implementation} ({platform.system()}, {os.name})",
            f"Protocol version: {PROTOCOL_VERSION}",
            "Currently active configuration settings:",
        ]
        for name, value in sorted(values.items()):
            if isinstance(value, set):
                shown = f"{{{', '.join(map(repr, sorted(value)))}}}"
            else:
                shown = "***" if name.endswith("PASSWD") and value else str(value)
            lines.append(f"{name} = {shown}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        default = {name: item.default for name, item in _ITEMS.items()}
        changed = (
            f"{name}={'***' if name.endswith('PASSWD') else repr(value)}"
            for name, value in self.asDict().items()
            if value != default[name]
        )
        return f"<pyrolite.configuration.Configuration; {', '.join(changed) or 'all defaults'}>"


#: The global configuration.
config: Configuration = Configuration()


_TOOL: Final = "pyrolite-check-config"
_USAGE: Final = f"usage: {_TOOL} [-h]\n"
_HELP: Final = f"""\
{_USAGE}
Print the configuration that is in effect here: versions, then all items with their values.

options:
  -h, --help  show this help message and exit

An item is set by the environment variable that is named as the item, with {PREFIX} before it, for all
programs and tools that are started with it. Flags are on, true, yes, 1 or off, false, no, 0; lists have
commas. A program may set items itself (pyrolite.config.NAME = value), which is not seen here.

examples:
  {_TOOL}                                show what is in effect
  {_TOOL} | grep NS_                     show where the name server is expected
  PYRO_NS_HOST=192.168.1.5 {_TOOL}       see what a variable does
  PYRO_SERIALIZERS_ACCEPTED=json,serpent {_TOOL}

What the items mean is in docs/reference/configuration.md; whether it all works is told by pyrolite-check.
Warnings of dangerous settings are written to the error output.
Exit code: 0, also with -h; 1 when a variable has a value that is not possible; 2 wrong usage.
"""


def main() -> None:
    """Print the configuration that is in effect ([CFG-7], [CLI-26]), or with ``--help`` what there is to know of it.

    Raises:
        SystemExit: it was run as a tool with an option that there is not.
    """
    options = [text for text in sys.argv[1:] if text.startswith("-") and text != "-"]
    program = os.path.normpath(sys.argv[0]) if sys.argv else ""
    if any(text == "-h" or (len(text) > 2 and "--help".startswith(text)) for text in options):
        sys.stdout.write(_HELP)
    elif options and program.endswith((_TOOL, f"configuration{os.sep}__main__.py")):
        # other programs that call this have options of their own
        sys.stderr.write(f"{_USAGE}\n{_TOOL}: error: no such option: {options[0].partition('=')[0]}\n")
        raise SystemExit(2)
    else:
        sys.stdout.write(config.dump() + "\n")
        key = os.environ.get("PYRO_HMAC_KEY", "").encode()
        sys.stderr.writelines(f"warning: {item}: {text}; {remedy}\n" for item, text, remedy in risks.risks(config, key))
