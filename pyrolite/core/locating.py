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
    timeout: float | None = None,
) -> Proxy:
    """A proxy for the name server.

    Args:
        host: its host, ``host:port``, or ``./u:name``, or several of these with commas between them, which are tried in
            order ([BYD-11]); default: the configured one, then whoever answers a broadcast.
        port: its TCP port, default NS_PORT; without ``host`` also the UDP port of the broadcast.
        broadcast: whether to ask by broadcast when no host is given.
        hmac_key: the key of its daemon.
        config: the configuration to use instead of the global one ([BYD-33]).
        timeout: seconds to keep trying; default: one round, as in Pyro4 ([BYD-13]).

    Raises:
        NamingError: there is none; the text lists what was tried, the cause is that of the last attempt ([BYD-16]).
    """
    key = hmac_key.encode("utf-8") if isinstance(hmac_key, str) else hmac_key

    def find(deadline: float | None) -> Proxy:
        return resolver.find_nameserver(
            host,
            port,
            broadcast=broadcast,
            hmac_key=key,
            make_proxy=lambda uri: Proxy(uri, config=config),
            config=config or global_config,
            deadline=deadline,
        )

    with set_aside():
        return resolver.keep_trying(find, timeout)


def _resolve(uri: URI | str, hmac_key: bytes | str | None = None, *, timeout: float | None = None) -> URI:
    """The URI that a name stands for; a PYRO URI stands for itself.

    Args:
        uri: what to resolve; for a PYROMETA URI, one of the objects that have the metadata is chosen at random.
        hmac_key: the key of the name server's daemon.
        timeout: seconds to keep trying until there is a name server that knows the name; default: once ([BYD-13]).

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
    named = uri
    return resolver.keep_trying(lambda deadline: resolver.resolve(named, key, Proxy, global_config, deadline), timeout)


def asyncproxy(proxy: Proxy, asynchronous: bool = True) -> None:
    """Make the calls of ``proxy`` return a `FutureResult` at once, or no longer ([ASY-1])."""
    proxy._pyroAsync(asynchronous)
