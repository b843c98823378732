"""Pyro4's public module of socket functions ([OV-27]); the code lives in `pyrolite.net`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyrolite import lazily
from pyrolite.net.addresses import getInterfaceAddress, getIpAddress, getIpVersion
from pyrolite.net.connection import SocketConnection
from pyrolite.net.sockets import (
    ERRNO_BADF,
    ERRNO_EADDRINUSE,
    ERRNO_EADDRNOTAVAIL,
    ERRNO_ENOTSOCK,
    ERRNO_RETRIES,
    bindOnUnusedPort,
    createBroadcastSocket,
    createSocket,
    family_str,
    findProbablyUnusedPort,
    interruptSocket,
    receiveData,
    sendData,
    setKeepalive,
    setNoDelay,
    setNoInherit,
    setReuseAddr,
)

if TYPE_CHECKING:
    from pyrolite.net.tls import getSSLcontext
else:
    __getattr__, __dir__ = lazily.names(globals(), {"getSSLcontext": "pyrolite.net.tls"})

__all__ = [
    "ERRNO_BADF",
    "ERRNO_EADDRINUSE",
    "ERRNO_EADDRNOTAVAIL",
    "ERRNO_ENOTSOCK",
    "ERRNO_RETRIES",
    "SocketConnection",
    "bindOnUnusedPort",
    "createBroadcastSocket",
    "createSocket",
    "family_str",
    "findProbablyUnusedPort",
    "getInterfaceAddress",
    "getIpAddress",
    "getIpVersion",
    "getSSLcontext",
    "interruptSocket",
    "receiveData",
    "sendData",
    "setKeepalive",
    "setNoDelay",
    "setNoInherit",
    "setReuseAddr",
]
