"""TLS contexts for both roles, made from certificate files ([TLS-1]..[TLS-6])."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyrolite import lazily
from pyrolite.configuration import Configuration, config

if TYPE_CHECKING:
    import pathlib
    import ssl
else:
    pathlib = lazily.module("pathlib", globals())
    ssl = lazily.module("ssl", globals())

__all__ = ["client_context", "getSSLcontext", "server_context"]

#: More contexts than these are not kept; the one made first goes first.
CACHE_SIZE: Final = 32


class _Parameters(NamedTuple):
    """What a context is made of."""

    servercert: str
    serverkey: str
    clientcert: str
    clientkey: str
    cacerts: str
    keypassword: str
    require_client_certificate: bool
    check_hostname: bool

    def __repr__(self) -> str:
        return f"<TLS parameters; {self.servercert or self.clientcert or 'no certificate'}>"  # no password ([LOG-11])

    def stamps(self) -> _Stamps:
        """What tells whether the files have changed."""
        found = []
        for name in (self.servercert, self.serverkey, self.clientcert, self.clientkey, self.cacerts):
            try:
                status = os.stat(name) if name else None
            except OSError:
                status = None
            found.append((status.st_mtime_ns, status.st_size, status.st_ino) if status else None)
        return tuple(found)


_Stamps: TypeAlias = "tuple[tuple[int, int, int] | None, ...]"

# A context takes a while to make, and sharing one lets sessions be resumed.
_cache: dict[_Parameters, tuple[_Stamps, ssl.SSLContext]] = {}
_cache_lock = threading.Lock()  # protects _cache; held while a context is made, so that it is made once


def getSSLcontext(
    servercert: str = "",
    serverkey: str = "",
    clientcert: str = "",
    clientkey: str = "",
    cacerts: str = "",
    keypassword: str = "",
) -> ssl.SSLContext:
    """A TLS context: for a server when ``servercert`` is given, else for a client ([TLS-2]).

    A server asks for and verifies the client's certificate if SSL_REQUIRECLIENTCERT is set. A client verifies
    certificate and host name of the server. TLS 1.2 is the least. The same context is given again as long as neither
    parameters nor files change ([TLS-4]).

    Args:
        servercert: file with the server's certificate chain.
        serverkey: file with its private key; empty: it is in the certificate file.
        clientcert: file with the client's certificate chain, if it has one.
        clientkey: file with its private key; empty: it is in the certificate file.
        cacerts: file or directory of CA certificates; a client trusts those of the system as well.
        keypassword: password of the private key; empty: none.

    Raises:
        ValueError: both kinds of certificates are given.
        OSError: a file is missing or not what it should be (``ssl.SSLError``).

    Thread safety: may be called from any thread.
    """
    return _context(
        _Parameters(
            servercert, serverkey, clientcert, clientkey, cacerts, keypassword, config.SSL_REQUIRECLIENTCERT, True
        )
    )


def server_context(configuration: Configuration) -> ssl.SSLContext:
    """The context of a server, from the items of ``configuration``.

    Raises:
        ValueError: there is no SSL_SERVERCERT ([TLS-5]).
        OSError: as `getSSLcontext`.

    Thread safety: may be called from any thread.
    """
    if not configuration.SSL_SERVERCERT:
        raise ValueError("SSL requested but SSL_SERVERCERT is not configured")
    return _context(
        _Parameters(
            configuration.SSL_SERVERCERT,
            configuration.SSL_SERVERKEY,
            "",
            "",
            configuration.SSL_CACERTS,
            configuration.SSL_SERVERKEYPASSWD,
            configuration.SSL_REQUIRECLIENTCERT,
            True,
        )
    )


def client_context(configuration: Configuration, *, unixsocket: bool = False) -> ssl.SSLContext:
    """The context of a client, from the items of ``configuration``.

    With ``unixsocket`` there is no host name to check, and only what SSL_CACERTS has is trusted ([TLS-6]).

    Raises:
        ValueError: ``unixsocket`` without SSL_CACERTS.
        OSError: as `getSSLcontext`.

    Thread safety: may be called from any thread.
    """
    if unixsocket and not configuration.SSL_CACERTS:
        raise ValueError("SSL over a Unix domain socket needs SSL_CACERTS, since there is no host name to check")
    return _context(
        _Parameters(
            "",
            "",
            configuration.SSL_CLIENTCERT,
            configuration.SSL_CLIENTKEY,
            configuration.SSL_CACERTS,
            configuration.SSL_CLIENTKEYPASSWD,
            False,
            not unixsocket,
        )
    )


def _context(parameters: _Parameters) -> ssl.SSLContext:
    if parameters.servercert and parameters.clientcert:
        raise ValueError("can't have both server cert and client cert")
    stamps = parameters.stamps()
    with _cache_lock:
        cached = _cache.get(parameters)
        if cached is not None and cached[0] == stamps and _all_there(parameters, stamps):
            return cached[1]
        context = _server(parameters) if parameters.servercert else _client(parameters)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _cache.pop(parameters, None)
        if len(_cache) >= CACHE_SIZE:
            del _cache[next(iter(_cache))]
        _cache[parameters] = stamps, context
        return context


def _all_there(parameters: _Parameters, stamps: _Stamps) -> bool:
    return all(stamp is not None for name, stamp in zip(parameters, stamps, strict=False) if name)


def _server(parameters: _Parameters) -> ssl.SSLContext:
    _require(parameters.servercert, "server cert file")
    _require(parameters.serverkey, "server key file")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # an empty password rather than none: the TLS library would ask at the terminal for it
    context.load_cert_chain(parameters.servercert, parameters.serverkey or None, parameters.keypassword)
    if parameters.cacerts:
        _trust(context, parameters.cacerts)
    context.verify_mode = ssl.CERT_REQUIRED if parameters.require_client_certificate else ssl.CERT_NONE
    return context


def _client(parameters: _Parameters) -> ssl.SSLContext:
    _require(parameters.clientcert, "client cert file")
    _require(parameters.clientkey, "client key file")
    if parameters.check_hostname:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    else:
        # without the system's CAs: whoever has a certificate of any of them must not pass as the server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
    if parameters.cacerts:
        _trust(context, parameters.cacerts)
    if parameters.clientcert:
        context.load_cert_chain(parameters.clientcert, parameters.clientkey or None, parameters.keypassword)
    return context


def _trust(context: ssl.SSLContext, cacerts: str) -> None:
    _require(cacerts, "CA certs")
    if pathlib.Path(cacerts).is_dir():
        context.load_verify_locations(capath=cacerts)
    else:
        context.load_verify_locations(cafile=cacerts)


def _require(name: str, what: str) -> None:
    if name and not pathlib.Path(name).exists():
        raise OSError(f"{what} not found: {name}")
