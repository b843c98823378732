"""From names to addresses: finds name servers and asks them, as any other object (chapter 32, RES).

`locateNS` and `resolve`, the public functions, are made of this in `pyrolite.core.locating`.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyrolite import constants
from pyrolite.configuration import Configuration
from pyrolite.core.context import set_aside
from pyrolite.core.uri import URI, bracketed
from pyrolite.errors import NamingError, PyroError
from pyrolite.net import sockets

if TYPE_CHECKING:
    from pyrolite.core.proxy import Proxy

__all__ = ["find_nameserver", "resolve", "resolve_for_connection"]

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


def resolve_for_connection(uri: URI, hmac_key: bytes | None, make_proxy: ProxyFactory, config: Configuration) -> URI:
    """The PYRO URI to connect to for ``uri``, following names that stand for names ([RES-2]).

    Raises:
        NamingError: unknown name, no name server, or too many indirections.
    """
    if uri.protocol == "PYRO":
        return uri
    current = uri
    with set_aside():
        for _ in range(MAX_INDIRECTIONS):
            current = resolve(current, hmac_key, make_proxy, config)
            if current.protocol == "PYRO":
                return current
    raise NamingError(f"too many indirections in resolving {uri}")


def resolve(uri: URI, hmac_key: bytes | None, make_proxy: ProxyFactory, config: Configuration) -> URI:
    """What the name server has stored for a PYRONAME or PYROMETA URI ([RES-2], [RES-3]).

    Raises:
        NamingError: unknown name, no object with such metadata, or no name server.
    """
    location = f"./u:{uri.sockname}" if uri.sockname else uri.host
    found: Any
    with find_nameserver(
        location, uri.port, broadcast=True, hmac_key=hmac_key, make_proxy=make_proxy, config=config
    ) as nameserver:
        if uri.protocol == "PYRONAME":
            found = nameserver.lookup(uri.object)
        else:
            candidates = nameserver.list(metadata_all=uri.object)
            if not candidates:
                raise NamingError(f"no registrations available with desired metadata properties {uri.object}")
            found = random.choice(list(candidates.values()))
    return found if isinstance(found, URI) else URI(found)


def find_nameserver(
    host: str | None,
    port: int | None,
    *,
    broadcast: bool,
    hmac_key: bytes | None,
    make_proxy: ProxyFactory,
    config: Configuration,
) -> Proxy:
    """A proxy for the name server ([RES-10] to [RES-16]); bound, unless it was found by broadcast.

    Raises:
        NamingError: there is none, with the cause of the last attempt.
    """

    def connected(address: str | None, tcp_port: int) -> Proxy:
        return _connected(address or config.NS_HOST, tcp_port, hmac_key, make_proxy)

    if host:
        return connected(host, port or config.NS_PORT)
    if _is_loopback(config.NS_HOST):
        for address in _loopback_addresses(config.NS_HOST):
            with contextlib.suppress(NamingError):
                return connected(address, port or config.NS_PORT)
    if broadcast and config.PREFER_IP_VERSION != 6:
        uri = _ask_by_broadcast(port or config.NS_BCPORT, config)
        if uri is not None:
            proxy = make_proxy(uri)
            proxy._pyroHmacKey = hmac_key
            return proxy
    return connected(config.NS_HOST, config.NS_PORT)


def _connected(host: str, port: int, hmac_key: bytes | None, make_proxy: ProxyFactory) -> Proxy:
    try:
        location = host if URI.isUnixsockLocation(host) else f"{bracketed(host)}:{port}"
        proxy = make_proxy(URI(f"PYRO:{constants.NAMESERVER_NAME}@{location}"))
        proxy._pyroHmacKey = hmac_key
        proxy._pyroBind()
    except PyroError as error:
        raise NamingError(NOT_FOUND) from error
    return proxy


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _loopback_addresses(host: str) -> Iterator[str]:
    """``host``, and the second loopback address of Debian's hosts files where that is in use ([RES-12])."""
    yield host
    if host != "127.0.1.1":
        with contextlib.suppress(OSError):
            socket.gethostbyaddr("127.0.1.1")
            yield "127.0.1.1"


def _ask_by_broadcast(port: int, config: Configuration) -> URI | None:
    """The URI that a name server answers to a broadcast with, None when nobody answers ([RES-13], [RES-14])."""
    addresses = config.parseAddressesString(config.BROADCAST_ADDRS)
    with sockets.createBroadcastSocket(reuseaddr=config.SOCK_REUSE, timeout=BROADCAST_WAIT) as sock:
        for _ in range(BROADCAST_ROUNDS):
            for address in addresses:
                try:
                    sock.sendto(BROADCAST_REQUEST, 0, (address, port))
                except OSError as error:  # this address does not work here; another one may
                    log.debug("broadcast to %r failed: %s", address, error)
            uri = _await_answer(sock)
            if uri is not None:
                log.debug("located name server by broadcast: %s", uri)
                return uri
    return None


def _await_answer(sock: socket.socket) -> URI | None:
    """The first valid answer within the waiting time of one round."""
    deadline = time.monotonic() + BROADCAST_WAIT
    while (left := deadline - time.monotonic()) > 0:
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
