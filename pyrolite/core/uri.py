"""URIs: the names of remote objects (chapter 32)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar, Final

from pyrolite import lazily
from pyrolite.configuration import config
from pyrolite.errors import PyroError

__all__ = ["URI", "bracketed"]

#: IPv6 address, possibly with an IPv4 address at its end and a scope; then what follows the bracket.
_IPV6_LOCATION: Final = lazily.value(
    "_IPV6_LOCATION", globals(), lambda: re.compile(r"\[([0-9a-fA-F:]+(?::[0-9.]+)?(?:%[\w.-]+)?)\](.*)\Z")
)
_UNIX_PREFIX: Final = "./u:"
_SHORT: Final = 500  # characters; texts as long as that are not remembered


def bracketed(host: str) -> str:
    """``host`` as it is written in a location: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class URI:
    """The address of a remote object: ``PYRO:object@location``, ``PYRONAME:name``, or ``PYROMETA:tag,tag``.

    ``uri`` is a text to parse or a URI to copy. The fields ``protocol``, ``object``, ``host``, ``port`` and
    ``sockname`` may be changed.

    Raises:
        PyroError: the text is no valid URI.
        TypeError: ``uri`` is neither text nor URI.

    Thread safety: none while fields are being changed.
    """

    uriRegEx: ClassVar[re.Pattern[str]] = re.compile(
        r"(?P<protocol>[Pp][Yy][Rr][Oo][a-zA-Z]*):(?P<object>\S+?)(?:@(?P<location>.+?))?\n?\Z"
    )

    protocol: str
    object: Any
    sockname: str | None
    host: str | None
    port: int | None

    def __init__(self, uri: URI | str) -> None:
        if isinstance(uri, URI):
            self.__setstate__(uri.__getstate__())
            return
        if not isinstance(uri, str):
            raise TypeError("uri parameter object is of wrong type")
        parts = _parts if len(uri) < _SHORT else _parts.__wrapped__
        self.__setstate__(parts(uri, config.NS_PORT))

    @staticmethod
    def isUnixsockLocation(location: str) -> bool:
        """Whether ``location`` names a Unix domain socket (``./u:name``)."""
        return location.startswith(_UNIX_PREFIX)

    @property
    def location(self) -> str | None:
        """``host:port``, ``[ipv6]:port``, ``./u:name``, or None when the URI has none."""
        if self.host:
            return f"{bracketed(self.host)}:{self.port}"
        if self.sockname:
            return _UNIX_PREFIX + self.sockname
        return None

    def asString(self) -> str:
        """The URI as text."""
        named = ",".join(sorted(self.object)) if self.protocol == "PYROMETA" else self.object
        location = self.location
        return f"{self.protocol}:{named}@{location}" if location else f"{self.protocol}:{named}"

    def __str__(self) -> str:
        return self.asString()

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} at 0x{id(self):x}; {self.asString()}>"

    def _comparable(self) -> tuple[Any, ...]:
        named = frozenset(self.object) if isinstance(self.object, (set, frozenset)) else self.object
        return (self.protocol, named, self.sockname, self.host, self.port)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, URI):
            return False
        return self._comparable() == other._comparable()

    def __hash__(self) -> int:
        return hash(self._comparable())

    def __getstate__(self) -> tuple[str, Any, str | None, str | None, int | None]:
        return self.protocol, self.object, self.sockname, self.host, self.port

    def __setstate__(self, state: Iterable[Any]) -> None:
        self.protocol, self.object, self.sockname, self.host, self.port = state
        if self.protocol == "PYROMETA":
            self.object = set(self.object)


@lru_cache(maxsize=512)
def _parts(text: str, nameserver_port: int) -> tuple[str, Any, str | None, str | None, int | None]:
    """The state of the URI that ``text`` spells; programs make many proxies of few URIs.

    Raises:
        PyroError: it is none.
    """
    # lines in the middle never match, but finding that out would take time by the square of the length
    match = None if "\n" in text[:-1] else URI.uriRegEx.match(text)
    if not match:
        raise PyroError("invalid uri")
    protocol, named, location = match.group("protocol").upper(), match.group("object"), match.group("location")
    if protocol == "PYRO":
        if not location:
            raise PyroError("invalid uri")
        return protocol, named, *_parsed_location(location, None)
    if protocol == "PYROMETA":
        named = frozenset(tag for tag in (text.strip() for text in named.split(",")) if tag)
        if not named:
            raise PyroError("invalid uri")
    elif protocol != "PYRONAME":
        raise PyroError("invalid uri (protocol)")
    return protocol, named, *(_parsed_location(location, nameserver_port) if location else (None, None, None))


def _parsed_location(location: str, default_port: int | None) -> tuple[str | None, str | None, int | None]:
    """Name of a Unix domain socket, host, and port."""
    if location.startswith(_UNIX_PREFIX):
        sockname = location[len(_UNIX_PREFIX) :]
        if not sockname or ":" in sockname:
            raise PyroError("invalid uri (location)")
        return sockname, None, None
    port: str | int | None
    if location.startswith("["):
        if location.startswith("[["):
            raise PyroError("invalid ipv6 address: enclosed in too many brackets")
        match = _IPV6_LOCATION.match(location)
        if not match:
            raise PyroError("invalid ipv6 address: the part between brackets must be a numeric ipv6 address")
        host, rest = match.groups()
        if rest[:1] not in ("", ":"):
            raise PyroError("invalid port in uri, port=None")
        port = rest[1:]
    else:
        host, _, port = location.partition(":")
    port = port or default_port
    try:
        return None, host, int(port)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise PyroError(f"invalid port in uri, port={port}") from None


URI.__module__ = "pyrolite.core"  # as in the repr of [URI-12]
