"""Host names and IP addresses ([SOC-1]..[SOC-3])."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Final, TypeAlias

from pyrolite.configuration import config

__all__ = ["SocketAddress", "getInterfaceAddress", "getIpAddress", "getIpVersion", "lookup"]

#: An address as the socket module takes it: 2 items for IPv4, 4 for IPv6.
SocketAddress: TypeAlias = tuple[Any, ...]

#: A public address that the way to the outside leads to; nothing is sent there.
_OUTSIDE: Final = "4.2.2.2"
_DOMAIN_PORT: Final = 53
_LOOPBACK: Final = "127.0.0.1"


def lookup(host: str, port: int | None = None, version: int | None = None) -> list[tuple[int, SocketAddress]]:
    """All addresses of ``host`` as pairs of address family and socket address, of the wanted IP version only.

    Args:
        host: name or address.
        port: goes into the socket addresses.
        version: 4, 6, 0 for any, None for PREFER_IP_VERSION (or any, when ``host`` is an IPv6 address). A name without
            IPv4 address gives all of its addresses when 4 is wanted.

    Raises:
        ValueError: another version is asked for.
        OverflowError: there is no such port.
        socket.gaierror: the name is unknown.
        OSError: it has no IPv6 address, and that is wanted.

    Thread safety: may be called from any thread.
    """
    if version is None:
        version = 0 if ":" in host else config.PREFER_IP_VERSION
    if version not in {0, 4, 6}:
        raise ValueError("unknown value for argument ipVersion.")
    if port is not None and not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535")  # the system would take it modulo 65536
    if host == "localhost" and version == 4:  # by RFC 6761; to ask the system takes a tenth of the time to connect
        return [(socket.AF_INET, (_LOOPBACK, port or 0))]
    found: list[tuple[int, SocketAddress]] = [
        (family, address)
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if family in {socket.AF_INET, socket.AF_INET6}
    ]
    if version == 4:
        return [pair for pair in found if pair[0] == socket.AF_INET] or found
    if version == 6:
        found = [pair for pair in found if pair[0] == socket.AF_INET6]
        if not found:
            raise OSError("unable to determine IPV6 address")
    return found


def getIpAddress(hostname: str | None, workaround127: bool = False, ipVersion: int | None = None) -> str:
    """The first IP address of ``hostname``; empty or None: of this machine.

    Args:
        hostname: name or address.
        workaround127: give the address of the interface that leads outside instead of a loopback address.
        ipVersion: 4, 6, 0 for any, None for PREFER_IP_VERSION; 4 is only a preference.

    Raises:
        ValueError: another version is asked for.
        OSError: the name is unknown (``socket.gaierror``), or has no IPv6 address and that is wanted.

    Thread safety: may be called from any thread.
    """
    address: str = lookup(hostname or socket.gethostname(), None, ipVersion)[0][1][0]
    if workaround127 and (address.startswith("127.") or address == "0.0.0.0"):  # noqa: S104 - not bound, compared
        with contextlib.suppress(OSError):  # without a way to the outside the first address has to do
            return getInterfaceAddress(_OUTSIDE)
    return address


def getIpVersion(hostnameOrAddress: str | None) -> int:
    """4 or 6: the version of the first address that `getIpAddress` gives for it; raises as that."""
    return 6 if ":" in getIpAddress(hostnameOrAddress) else 4


def getInterfaceAddress(ip_address: str) -> str:
    """The local address of the interface through which ``ip_address`` is reached. Nothing is sent.

    Raises:
        OSError: there is no way to it.

    Thread safety: may be called from any thread.
    """
    family, address = lookup(ip_address, _DOMAIN_PORT)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        local: str = sock.getsockname()[0]
        return local
