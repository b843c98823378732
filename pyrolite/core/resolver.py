"""From names to addresses: finds name servers and asks them, as any other object (chapter 32, RES).

`locateNS` and `resolve`, the public functions, are made of this in `pyrolite.core.locating`.
"""

from __future__ import annotations

import builtins
import contextlib
import logging
import math
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from pyrolite import constants, lazily
from pyrolite.configuration import Configuration
from pyrolite.core.context import set_aside
from pyrolite.core.uri import URI, bracketed
from pyrolite.errors import (
    CommunicationError,
    ConnectionClosedError,
    DaemonError,
    NamingError,
    PyroError,
    SecurityError,
    TimeoutError,  # noqa: A004 - [ERR-2]
)
from pyrolite.net import sockets
from pyrolite.net.tlssockets import is_tls_error

if TYPE_CHECKING:
    import random

    from pyrolite.core.proxy import Proxy
else:
    random = lazily.module("random", globals())

__all__ = [
    "Attempts",
    "candidates",
    "find_nameserver",
    "keep_trying",
    "location_of",
    "resolve",
    "resolve_for_connection",
]

T = TypeVar("T")

log: logging.Logger = logging.getLogger("pyrolite.core")

#: Makes a proxy for a name server.
ProxyFactory: TypeAlias = "Callable[[URI], Proxy]"

NOT_FOUND: Final = "Failed to locate the nameserver"
#: How often a name may lead to another name ([RES-2]).
MAX_INDIRECTIONS: Final = 10

BROADCAST_REQUEST: Final = b"GET_NSURI"
BROADCAST_ROUNDS: Final = 3
#: Seconds to wait for an answer in each round.
BROADCAST_WAIT: Final = 0.7
BROADCAST_ANSWER_SIZE: Final = 4096

#: Errors after which it is worth to try again.
_MAY_PASS: Final = (CommunicationError, NamingError, DaemonError, SecurityError)
#: Seconds between the attempts of `keep_trying`: the first pause, and the limit to which it doubles.
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
#: Seconds that an attempt has in any case, also when there is no time left.
SHORTEST_WAIT: Final = 0.05
#: Seconds until the next name server of a list is tried, unless a timeout is configured.
NEXT_IN_LIST: Final = 3.0


def candidates(
    uri: URI, hmac_key: bytes | None, make_proxy: ProxyFactory, config: Configuration, deadline: float | None = None
) -> list[URI]:
    """The URIs that ``uri`` may be connected at, in the order to try them; several for a PYROMETA one ([BYD-12]).

    Names that stand for names are followed as far as there is no choice ([RES-2]). ``deadline`` is a monotonic time.

    Raises:
        NamingError: unknown name, no name server, or too many indirections.
    """
    found = [uri]
    for _ in range(MAX_INDIRECTIONS):
        found = [found[0]] if found[0].protocol == "PYRO" else _ask(found[0], hmac_key, make_proxy, config, deadline)
        if len(found) > 1 or found[0].protocol == "PYRO":
            return found
    raise NamingError(f"too many indirections in resolving {uri}")


def resolve_for_connection(
    uri: URI, hmac_key: bytes | None, make_proxy: ProxyFactory, config: Configuration, deadline: float | None = None
) -> URI:
    """The PYRO URI to connect to for ``uri``, following names that stand for names ([RES-2]).

    Raises:
        NamingError: unknown name, no name server, or too many indirections.
    """
    current = uri
    for _ in range(MAX_INDIRECTIONS + 1):
        if current.protocol == "PYRO":
            return current
        current = resolve(current, hmac_key, make_proxy, config, deadline)
    raise NamingError(f"too many indirections in resolving {uri}")


def resolve(
    uri: URI, hmac_key: bytes | None, make_proxy: ProxyFactory, config: Configuration, deadline: float | None = None
) -> URI:
    """What the name server has stored for a PYRONAME or PYROMETA URI ([RES-2], [RES-3]).

    Raises:
        NamingError: unknown name, no object with such metadata, or no name server.
    """
    return _ask(uri, hmac_key, make_proxy, config, deadline)[0]


def _ask(
    uri: URI, hmac_key: bytes | None, make_proxy: ProxyFactory, config: Configuration, deadline: float | None
) -> list[URI]:
    """All that the name server has for the URI, in random order."""
    location = f"./u:{uri.sockname}" if uri.sockname else uri.host
    found: list[Any]
    with (
        set_aside(),
        find_nameserver(
            location,
            uri.port,
            broadcast=True,
            hmac_key=hmac_key,
            make_proxy=make_proxy,
            config=config,
            deadline=deadline,
        ) as nameserver,
    ):
        if uri.protocol == "PYRONAME":
            found = [nameserver.lookup(uri.object)]
        else:
            found = list(nameserver.list(metadata_all=uri.object).values())
            if not found:
                raise NamingError(f"no registrations available with desired metadata properties {uri.object}")
            random.shuffle(found)
    return [each if isinstance(each, URI) else URI(each) for each in found]


class Attempts:
    """What was tried without success, and why ([BYD-12], [BYD-16])."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        #: the error of the last attempt that had one
        self.last: BaseException | None = None

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, where: str, why: BaseException | str) -> None:
        """Note an attempt; the same one is noted once."""
        if isinstance(why, BaseException):
            self.last = why
            why = reason(why)
        text = f"{where}: {why}"
        if text not in self._texts:
            self._texts.append(text)

    def told(self, beginning: str) -> str:
        """A text that begins so and lists the attempts."""
        return f"{beginning} ({'; '.join(self._texts)})" if self._texts else beginning


def reason(error: BaseException) -> str:
    """Why a connection could not be made, in a few words: refused, timed out, rejected, TLS, ..."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and cause not in causes:
        causes.append(cause)
    known = (told for cause in reversed(causes) if (told := _known_reason(cause, " ".join(str(cause).split()))))
    return next(known, " ".join(str(error).split()) or type(error).__name__)


def _known_reason(cause: BaseException, text: str) -> str:
    """The same for one error of the chain, empty when it says nothing in particular."""
    told = ""
    if is_tls_error(cause):
        told = f"TLS: {getattr(cause, 'verify_message', '') or cause.reason or text}"
        if "EOF" in text:
            told = "TLS: closed by the other side, which may want a certificate, or not speak TLS"
    elif isinstance(cause, ConnectionRefusedError):
        told = "refused"
    elif isinstance(cause, socket.gaierror):
        told = f"unknown host ({cause.strerror or text})"
    elif isinstance(cause, (builtins.TimeoutError, TimeoutError)):
        told = "timed out"
    elif isinstance(cause, ConnectionClosedError) and "not enough data" in text:
        told = "closed by the other side, which may speak TLS, or not Pyro's protocol"
    elif "rejected: " in text:
        told = "rejected: " + text.partition("rejected: ")[2]
    elif isinstance(cause, SecurityError):
        told = f"rejected: {text}"
    elif isinstance(cause, OSError) and cause.strerror:
        told = cause.strerror.lower()
    return told


def find_nameserver(
    host: str | None,
    port: int | None,
    *,
    broadcast: bool,
    hmac_key: bytes | None,
    make_proxy: ProxyFactory,
    config: Configuration,
    deadline: float | None = None,
) -> Proxy:
    """A proxy for the name server ([RES-10] to [RES-16]); bound, unless it was found by broadcast.

    One round over all places where it may be; ``deadline`` (monotonic time) makes it end earlier. ``host``, and NS_HOST
    as well, may be a list of places, with commas between them; these are tried in order ([BYD-11]).

    Raises:
        NamingError: there is none; the text lists the attempts ([BYD-16]), the last one's error is the cause.
    """
    search = _Search(hmac_key, make_proxy, config, deadline)
    if host or _is_list(config.NS_HOST):
        found = search.first_of(host or config.NS_HOST, port)
    else:
        found = search.by_default(port, broadcast=broadcast)
    if found is None:
        raise NamingError(search.attempts.told(NOT_FOUND)) from search.attempts.last
    return found


class _Search:
    """One round over places where a name server may be, and what was tried."""

    def __init__(
        self, hmac_key: bytes | None, make_proxy: ProxyFactory, config: Configuration, deadline: float | None
    ) -> None:
        self.attempts = Attempts()
        self._key, self._make_proxy, self._config, self._deadline = hmac_key, make_proxy, config, deadline

    def _connected(self, address: str, port: int, deadline: float | None) -> Proxy | None:
        location = location_of(address, port)
        try:
            proxy = self._make_proxy(URI(f"PYRO:{constants.NAMESERVER_NAME}@{location}"))
            proxy._pyroHmacKey = self._key
            if deadline is None:
                proxy._pyroBind()
            else:
                proxy._pyroBindBefore(deadline)
        except PyroError as error:
            self.attempts.add(location, error)
            return None
        return proxy

    def first_of(self, places: str, port: int | None) -> Proxy | None:
        """The first one that answers of one or several places, with commas between them ([RES-11], [BYD-11])."""
        config, deadline = self._config, self._deadline
        *some, last = [entry for entry in map(str.strip, places.split(",")) if entry] or [places]
        patient = bool(config.CONNECT_TIMEOUT or config.COMMTIMEOUT)
        for entry in some:
            end = deadline if patient else min(time.monotonic() + NEXT_IN_LIST, deadline or math.inf)
            if found := self._connected(entry, port or config.NS_PORT, end):
                return found
        return self._connected(last, port or config.NS_PORT, deadline)

    def by_default(self, port: int | None, *, broadcast: bool) -> Proxy | None:
        """The one on this computer, the one that answers a broadcast, or the configured one ([RES-12])."""
        config, deadline = self._config, self._deadline
        if _is_loopback(config.NS_HOST):
            for address in _loopback_addresses(config.NS_HOST):
                if found := self._connected(address, port or config.NS_PORT, deadline):
                    return found
        if broadcast and config.PREFER_IP_VERSION != 6:
            udp_port = port or config.NS_BCPORT
            uri = _ask_by_broadcast(udp_port, config, deadline)
            if uri is not None:
                proxy = self._make_proxy(uri)
                proxy._pyroHmacKey = self._key
                return proxy
            self.attempts.add(f"broadcast to UDP port {udp_port}", "no answer")
        return self._connected(config.NS_HOST, config.NS_PORT, deadline)


def keep_trying(action: Callable[[float | None], T], timeout: float | None) -> T:
    """What ``action`` returns, called with the deadline until it succeeds or the time is over ([BYD-13]).

    Args:
        action: called with the monotonic time at which it should give up.
        timeout: seconds; None: one attempt, without a deadline.

    Raises:
        PyroError: the error of the last attempt.
    """
    if timeout is None:
        return action(None)
    deadline = time.monotonic() + max(0, timeout)  # in this order, NaN is none
    pause = FIRST_PAUSE
    while True:
        try:
            return action(deadline)
        except _MAY_PASS as error:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            log.debug("trying again for %.1f s: %s", left, error)
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)


def location_of(host: str, port: int) -> str:
    """The location that ``host[:port]`` or ``./u:name`` stands for; ``port`` is used when there is none in it."""
    if URI.isUnixsockLocation(host) or host.count(":") == 1 or (host.startswith("[") and "]:" in host):
        return host
    return f"{bracketed(host)}:{port}"


def _is_list(hosts: str) -> bool:
    """Whether it says exactly where to look: a list, or a place with its port."""
    return "," in hosts or (hosts.count(":") == 1 and not URI.isUnixsockLocation(hosts)) or "]:" in hosts


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _loopback_addresses(host: str) -> Iterator[str]:
    """``host``, and the second loopback address of Debian's hosts files where that is in use ([RES-12])."""
    yield host
    if host != "127.0.1.1":
        with contextlib.suppress(OSError):
            socket.gethostbyaddr("127.0.1.1")
            yield "127.0.1.1"


def _ask_by_broadcast(port: int, config: Configuration, deadline: float | None = None) -> URI | None:
    """The URI that a name server answers to a broadcast with, None when nobody answers ([RES-13], [RES-14]).

    With a deadline there is one round only: the caller tries again.
    """
    addresses = config.parseAddressesString(config.BROADCAST_ADDRS)
    with sockets.createBroadcastSocket(reuseaddr=config.SOCK_REUSE, timeout=BROADCAST_WAIT) as sock:
        for _ in range(BROADCAST_ROUNDS if deadline is None else 1):
            for address in addresses:
                try:
                    sock.sendto(BROADCAST_REQUEST, 0, (address, port))
                except OSError as error:  # this address does not work here; another one may
                    log.debug("broadcast to %r failed: %s", address, error)
            uri = _await_answer(sock, deadline)
            if uri is not None:
                log.debug("located name server by broadcast: %s", uri)
                return uri
    return None


def _await_answer(sock: socket.socket, deadline: float | None) -> URI | None:
    """The first valid answer within the waiting time of one round."""
    end = time.monotonic() + BROADCAST_WAIT
    if deadline is not None:
        end = min(end, max(deadline, time.monotonic() + SHORTEST_WAIT))
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, sender = sock.recvfrom(BROADCAST_ANSWER_SIZE)
        except OSError:  # the time is up, or a message that somebody refused the request
            continue
        try:
            uri = URI(data.decode("iso-8859-1"))
        except PyroError:
            log.debug("ignored a broadcast answer of %r that is no URI", sender)
            continue
        if uri.protocol == "PYRO" and uri.object == constants.NAMESERVER_NAME:
            return uri
        log.debug("ignored a broadcast answer of %r: %r", sender, str(uri))
    return None
