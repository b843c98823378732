"""The public functions that find name servers and resolve names ([RES-1], [RES-10])."""

from __future__ import annotations

from pyrolite.configuration import Configuration
from pyrolite.configuration import config as global_config
from pyrolite.core import resolver
from pyrolite.core.context import set_aside
from pyrolite.core.proxy import Proxy
from pyrolite.core.uri import URI

__all__ = ["_locateNS", "_resolve", "asyncproxy"]


def _locateNS(
    host: str | None = None,
    port: int | None = None,
    broadcast: bool = True,
    hmac_key: bytes | str | None = None,
    *,
    config: Configuration | None = None,
) -> Proxy:
    """A proxy for the name server.

    Args:
        host: its host or ``./u:name``; default: the configured one, then whoever answers a broadcast.
        port: its TCP port, default NS_PORT; without ``host`` also the UDP port of the broadcast.
        broadcast: whether to ask by broadcast when no host is given.
        hmac_key: the key of its daemon.
        config: the configuration to use instead of the global one ([BYD-33]).

    Raises:
        NamingError: there is none, with the cause of the last attempt.
    """
    key = hmac_key.encode("utf-8") if isinstance(hmac_key, str) else hmac_key
    with set_aside():
        return resolver.find_nameserver(
            host,
            port,
            broadcast=broadcast,
            hmac_key=key,
            make_proxy=lambda uri: Proxy(uri, config=config),
            config=config or global_config,
        )


def _resolve(uri: URI | str, hmac_key: bytes | str | None = None) -> URI:
    """The URI that a name stands for; a PYRO URI stands for itself.

    Raises:
        TypeError, PyroError: ``uri`` is none.
        NamingError: unknown name, or no name server.
    """
    if isinstance(uri, str):
        uri = URI(uri)
    elif not isinstance(uri, URI):
        raise TypeError("can only resolve Pyro URIs")
    if uri.protocol == "PYRO":
        return uri
    key = hmac_key.encode("utf-8") if isinstance(hmac_key, str) else hmac_key
    with set_aside():
        return resolver.resolve(uri, key, Proxy, global_config)


def asyncproxy(proxy: Proxy, asynchronous: bool = True) -> None:
    """Make the calls of ``proxy`` return a `FutureResult` at once, or no longer ([ASY-1])."""
    proxy._pyroAsync(asynchronous)
