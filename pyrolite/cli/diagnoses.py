"""What the doctor says about failures: what has happened, the likely cause, and the remedy ([BYD-20])."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from typing import Any, Final

from pyrolite.cli.answers import probe_http, probe_tls

__all__ = [
    "FailedError",
    "bad_certificate",
    "key_trouble",
    "no_answer",
    "not_connected",
    "not_connected_unix",
    "visible",
]

_TIMEOUT_REMEDY: Final = "see whether host and port are right, whether a firewall drops the packets, and try --timeout"
TLS_HERE: Final = (
    "The server speaks TLS, and this client does not.",
    "Switch TLS on here: PYRO_SSL=1, and PYRO_SSL_CACERTS for the CA of the server.",
)
HTTP_THERE: Final = (
    "It is an HTTP server, no Pyro server.",
    "Correct the port in the URI; for objects behind an HTTP gateway use HTTP requests.",
)


def visible(text: str) -> str:
    """Text on one line, with control characters escaped: it comes from servers, and the terminal would obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class FailedError(Exception):
    """A step has failed: what happened, the likely cause, and what can be done."""

    def __init__(self, text: str, cause: str, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.cause = cause
        self.remedy = remedy


def not_connected(error: OSError, family: int, address: Any, *, named: bool, nameserver: bool) -> FailedError:
    """Why nobody answers at an address; ``named``: it comes from a name server, ``nameserver``: it is the one of it."""
    host, port = address[:2]
    text = f"{host}:{port}: {error.strerror or error}"
    local = _is_of_this_machine(family, host)
    if error.errno == errno.ECONNREFUSED and local and not _is_loopback(host) and _is_open_on_loopback(port):
        return FailedError(
            text,
            f"A server listens at this port, but on the loopback address only, not on {host}.",
            "Start it on the address that others use: Daemon(host=...), PYRO_HOST=..., or --host of the tools.",
        )
    if error.errno == errno.ECONNREFUSED:
        cause = f"Nobody listens at port {port} of {host}: the server does not run (any more), or has another port"
        remedy = "Start the server, and take the URI that it prints"
        if not _is_loopback(host):
            cause += ", or it is bound to the loopback address of that machine only"
            remedy += "; let it listen on an address that others reach: Daemon(host=...) or PYRO_HOST=..."
        elif named:
            cause += ", or runs on another machine and has registered itself as localhost there"
            remedy += "; on another machine, start it with Daemon(host=...) or PYRO_HOST=..., not on localhost"
        if nameserver:
            remedy = "Start it (pyrolite-ns), or say where it is: PYRO_NS_HOST, PYRO_NS_PORT, --ns HOST"
        return FailedError(text, cause + ".", remedy + ".")
    if isinstance(error, TimeoutError):
        return FailedError(text, "No answer to the attempt to connect.", f"Please {_TIMEOUT_REMEDY}.")
    return FailedError(
        text, "The system cannot connect to this address.", "See whether there is a way to that network."
    )


def not_connected_unix(error: OSError, name: str) -> FailedError:
    """Why nobody answers at a Unix domain socket."""
    cause, remedy = {
        errno.ENOENT: ("There is no socket of this name.", "Start the server, or correct the path."),
        errno.ECONNREFUSED: (
            "A socket file is there, but the server that made it has ended.",
            "Start the server again.",
        ),
        errno.EACCES: (
            "This user may not write to the socket file, or not look into its directory.",
            "Give it the right: Daemon(unixsocket_mode=0o660) and the group, or run as that user.",
        ),
    }.get(error.errno or 0, ("The socket cannot be used.", "See that it is a Unix domain socket of a server."))
    return FailedError(f"{name}: {error.strerror or error}", cause, remedy)


def no_answer(error: OSError, where: Any, timeout: float, *, encrypted: bool) -> FailedError:
    """Nothing came back: what kind of server may that be?"""
    text = "no answer to the handshake in time" if isinstance(error, TimeoutError) else f"connection lost: {error}"
    if not encrypted:
        if probe_tls(where, timeout):
            return FailedError(text, *TLS_HERE)
        if probe_http(where, timeout):
            return FailedError(text, *HTTP_THERE)
    if isinstance(error, TimeoutError):
        return FailedError(
            text,
            "Somebody listens there and says nothing: a server that is stuck or without workers, or no Pyro server.",
            "Look at what the server is doing, and see that the port in the URI is the right one.",
        )
    return FailedError(
        text,
        "The server has closed the connection: it may be ending, have too many connections, or be no Pyro server.",
        "Look into its log, and see that the port in the URI is the right one.",
    )


def key_trouble(text: str, *, here: bool, there: bool) -> FailedError:
    """The keys do not fit; ``here`` and ``there`` say who has one."""
    if here and there:
        return FailedError(
            text,
            "Client and server have different HMAC keys.",
            "Set PYRO_HMAC_KEY here to the key of the server (proxy._pyroHmacKey in programs).",
        )
    if there:
        return FailedError(
            text,
            "The server has an HMAC key, and this client has none.",
            "Set PYRO_HMAC_KEY here to the key of the server (proxy._pyroHmacKey in programs).",
        )
    return FailedError(
        text,
        "This client has an HMAC key, and the server has none.",
        "Unset PYRO_HMAC_KEY here, or give the server the key (daemon._pyroHmacKey; PYRO_HMAC_KEY for tools).",
    )


def bad_certificate(error: ssl.SSLCertVerificationError, host: str | None) -> FailedError:
    """What is wrong with the certificate of the server."""
    text = error.verify_message or str(error)
    if "expired" in text:
        return FailedError(
            text,
            "The certificate of the server is not valid any more.",
            "Renew it (SSL_SERVERCERT), and start the server again; or correct the clock of this machine.",
        )
    if "not yet valid" in text:
        return FailedError(text, "The certificate of the server is not valid yet.", "Correct the clocks.")
    if "ostname" in text or "IP address" in text:
        return FailedError(
            text,
            f"The certificate is of another host than {host}.",
            f"Use the name in the certificate in the URI, or let the server have a certificate for {host} "
            "(subject alternative name).",
        )
    return FailedError(
        text,
        "The certificate of the server is signed by nobody whom this client trusts.",
        "Set PYRO_SSL_CACERTS to the certificate of the CA that has signed it.",
    )


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def _is_of_this_machine(family: int, host: str) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((host, 0))
        except OSError:
            return False
    return True


def _is_open_on_loopback(port: int) -> bool:
    for host in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1.0):
            return True
    return False
