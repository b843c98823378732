"""Socket servers: who reads from which connection, and when (chapter 40). They know frames and callbacks, no objects.

A server is chosen by name: ``thread``, ``multiplex``, or what `register_server` has added ([SRV-2]).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pyrolite.errors import PyroError
from pyrolite.socketserver.interface import SocketServer
from pyrolite.socketserver.multiplexserver import SocketServer_Multiplex
from pyrolite.socketserver.threadpoolserver import SocketServer_Threadpool

__all__ = ["ServerFactory", "SocketServer", "make_server", "register_server"]

#: Makes a server; called without arguments.
ServerFactory: TypeAlias = Callable[[], SocketServer]

_factories: dict[str, ServerFactory] = {"thread": SocketServer_Threadpool, "multiplex": SocketServer_Multiplex}


def register_server(name: str, factory: ServerFactory) -> None:
    """Make ``config.SERVERTYPE = name`` use what ``factory()`` returns; may replace a built-in server.

    Thread safety: may be called from any thread.
    """
    _factories[name] = factory


def make_server(name: str) -> SocketServer:
    """A new, uninitialised server of the kind ``name``.

    Raises:
        PyroError: there is no such kind ([DMN-3]).
    """
    try:
        factory = _factories[name]
    except KeyError:
        raise PyroError(f"invalid server type '{name}'") from None
    return factory()
