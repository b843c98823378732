"""The listening socket of a server: how it is bound, and how connections are taken from it ([SRV-3], [SRV-8])."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import socket
import stat
import sys
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pyrolite.configuration import Configuration
from pyrolite.net import sockets, tls

if TYPE_CHECKING:
    import ssl

__all__ = ["Acceptor", "SilentOnes"]

_T = TypeVar("_T")

#: `accept` fails with these when the process or the system has run out of something ([HRD-16]).
EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
#: `accept` fails with these when the listening socket is gone.
GONE: Final = frozenset((errno.EBADF, errno.ENOTSOCK, errno.EINVAL))
#: Seconds without accepting after exhaustion: the first time, and at most.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
#: Seconds that a connection may wait for its handshake while there is no descriptor for others.
SCARCE_PATIENCE: Final = 1.0

#: What accepted sockets inherit from the listening one on most systems.
_INHERITABLE: Final = tuple(
    (level, getattr(socket, name))
    for level, name in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE"),
        (socket.IPPROTO_TCP, "TCP_NODELAY"),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
    )
    if hasattr(socket, name)
)


class Acceptor:
    """Listens on ``(host, port)``, or on the Unix domain socket ``unixsocket``.

    ``unixsocket_mode`` are the permissions of its file (default: those of the process, [SEC-2]).

    Accepted sockets are blocking, have their options set, and with TLS they are wrapped but not negotiated.

    Raises:
        OSError, ValueError: the address cannot be bound, or TLS is not configured properly.
    """

    def __init__(
        self,
        log: logging.Logger,
        configuration: Configuration,
        host: str | None,
        port: int,
        unixsocket: str | None = None,
        unixsocket_mode: int | None = None,
    ) -> None:
        self._log = log
        self._config = configuration
        self._context = _tls_context(log, configuration)
        if unixsocket:
            _remove_stale_socket(unixsocket)
        if unixsocket and unixsocket_mode is not None:
            self.sock: socket.socket = _private_unix_socket(unixsocket, unixsocket_mode)
        else:
            self.sock = sockets.createSocket(
                bind=unixsocket or (host or "", port),
                reuseaddr=configuration.SOCK_REUSE,
                timeout=configuration.COMMTIMEOUT,
                noinherit=True,
                nodelay=configuration.SOCK_NODELAY,
                prefer_ip_version=configuration.PREFER_IP_VERSION,
            )
        self._pid = os.getpid()
        self.sock.setblocking(False)
        self._unixsocket = unixsocket
        self.location: str = self._location(host)
        self._inherits: bool | None = None  # whether accepted sockets have our options; found out at the first one
        self._pause = 0.0
        self._paused_until = 0.0
        self._logged = -math.inf

    def _location(self, host: str | None) -> str:
        """The location as clients name it ([DMN-5])."""
        if self._unixsocket:
            return f"./u:{self._unixsocket}"
        address, port = self.sock.getsockname()[:2]
        if address.startswith("127.") and (not host or (host != "localhost" and not host.startswith("127."))):
            self._log.warning("weird DNS setup: %s resolves to localhost (127.x.x.x)", host)
        host = host or address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    # ---- accepting

    def accept(self) -> tuple[socket.socket, Any] | None:
        """The next connection and its peer address, or None when there is none or it could not be had.

        Raises:
            OSError: the listening socket is gone.
        """
        try:
            sock, address = self.sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        except OSError as error:
            if error.errno in GONE:
                raise
            if error.errno in EXHAUSTED:
                self._begin_pause(error)
            else:
                self._log.warning("error during accept(): %s", error)
            return None
        self._pause = self._paused_until = 0.0
        try:
            return self._prepared(sock), address
        except (OSError, ValueError) as error:  # the client is gone already
            self._log.debug("accepted connection lost: %s", error)
            sock.close()
            return None

    def _prepared(self, sock: socket.socket) -> socket.socket:
        if not sys.platform.startswith("linux"):
            sock.setblocking(True)  # elsewhere the descriptor inherits the non-blocking mode
        if sock.family != getattr(socket, "AF_UNIX", None):
            if self._inherits is None:
                self._inherits = all(sock.getsockopt(*o) == self.sock.getsockopt(*o) for o in _INHERITABLE)
            if not self._inherits:
                sockets.setKeepalive(sock)
                if self._config.SOCK_NODELAY:
                    sockets.setNoDelay(sock)
        if self._context is None:
            return sock
        sock.setblocking(False)
        return self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def _begin_pause(self, error: OSError) -> None:
        now = time.monotonic()
        # one line per episode, and not one for each descriptor that becomes free and is used up at once ([SRV-12])
        if not self._pause and now - self._logged >= 1.0:
            self._logged = now
            self._log.error("cannot accept connections for now: %s", error)
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        self._paused_until = now + self._pause

    def paused_for(self) -> float:
        """Seconds for which `accept` should not be tried; 0.0: it may."""
        if not self._paused_until:
            return 0.0
        return max(0.0, self._paused_until - time.monotonic())

    def resume(self) -> bool:
        """A connection has ended, so that another may be accepted; True when that ends a pause."""
        paused, self._paused_until = self._paused_until, 0.0
        return bool(paused)

    def close(self) -> None:
        """Stop listening and remove the file of a Unix domain socket; may be repeated."""
        if self.sock.fileno() < 0:
            return
        name = self._unixsocket
        with contextlib.suppress(OSError):
            self.sock.close()
        if name and self._pid == os.getpid() and not name.startswith("\0"):
            with contextlib.suppress(OSError):
                os.unlink(name)


class SilentOnes(Generic[_T]):
    """Tells which connections keep others out: those that wait for their handshake while descriptors are lacking.

    Thread safety: none, belongs to one thread.
    """

    def __init__(self) -> None:
        self._suspects: frozenset[_T] = frozenset()
        self._since = -math.inf

    def to_drop(self, pending: Collection[_T]) -> list[_T]:
        """Those of ``pending`` that were so a while ago, when this was asked as well. To be asked at each failure."""
        now = time.monotonic()
        if now - self._since < SCARCE_PATIENCE:
            return []
        long_ago = now - self._since > SCARCE_PATIENCE + 2 * LONGEST_PAUSE  # another episode
        drop = [] if long_ago else [one for one in pending if one in self._suspects]
        self._suspects, self._since = frozenset(pending), now
        return drop


def _tls_context(log: logging.Logger, configuration: Configuration) -> ssl.SSLContext | None:
    if not configuration.SSL:
        log.info("not using SSL")
        return None
    context = tls.server_context(configuration)
    log.info(
        "using SSL,  cert=%s  key=%s  cacerts=%s",
        configuration.SSL_SERVERCERT,
        configuration.SSL_SERVERKEY,
        configuration.SSL_CACERTS,
    )
    return context


def _private_unix_socket(path: str, mode: int) -> socket.socket:
    """A listening socket whose file has its permissions before anybody can connect ([SEC-2])."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(100)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale_socket(path: str) -> None:
    """Remove the socket file of a server that was killed: nobody accepts on it any more ([HRD-34])."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except (OSError, ValueError):  # nothing there, or an abstract name
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return  # alive but busy, or not ours to judge: binding tells
