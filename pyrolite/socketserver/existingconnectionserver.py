"""The server for one connection that the user has made already ([SRV-50]..[SRV-55])."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from pyrolite.configuration import Configuration
from pyrolite.errors import PyroError, TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net.connection import SocketConnection
from pyrolite.net.tlssockets import is_tls
from pyrolite.socketserver.interface import (
    DEFAULT_DRAIN,
    configuration_of,
    log_connection_end,
    run_disconnect_hook,
    run_housekeeping,
)
from pyrolite.socketserver.wakeup import Waker, wait_readable

__all__ = ["SocketServer_ExistingConnection"]

log: logging.Logger = logging.getLogger("pyrolite.existingconnectionserver")


class SocketServer_ExistingConnection:
    """Transport server for a daemon that serves exactly one connected socket, without handshake.

    Thread safety: `shutdown`, `close`, `wakeup` and `stats` may be called from any thread, also from within a call.
    """

    respects_hold = False

    def __init__(self) -> None:
        self.daemon: Any = None
        self.sock: socket.socket | None = None
        self.conn: SocketConnection | None = None
        self.locationStr: str = ""
        self.shutting_down: bool = False
        self._config: Configuration
        self._waker: Waker | None = None
        self._loop_thread: threading.Thread | None = None
        self._loop_ended = threading.Event()
        self._loop_ended.set()
        self._end_lock = threading.Lock()  # protects _connected: the disconnect hook runs once
        self._connected = False

    def init(self, daemon: Any, connected_socket: socket.socket) -> None:
        """Serve ``connected_socket``, which stays the user's: it is never closed here.

        Raises:
            OSError: the socket is not connected, or SSL is configured and it is no SSL socket.
        """
        connected_socket.getpeername()  # raises if it is not connected
        self._config = configuration_of(daemon)
        if self._config.SSL and not is_tls(connected_socket):
            raise OSError("SSL configured for Pyro but existing socket is not a SSL socket")
        self.daemon = daemon
        self.sock = connected_socket
        log.info("starting server on user-supplied connected socket %s", connected_socket)
        name = connected_socket.getsockname()
        if connected_socket.family == getattr(socket, "AF_UNIX", None):
            self.locationStr = f"./u:{name or '<<not-bound>>'}"
        else:
            host, port = name[:2]
            self.locationStr = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.conn = SocketConnection(connected_socket, keep_open=True, peer_address=connected_socket.getpeername())
        self._waker = Waker()
        self._connected = True

    def __repr__(self) -> str:
        return f"<SocketServer_ExistingConnection on {self.locationStr}>"

    def __del__(self) -> None:
        if getattr(self, "_waker", None) is not None:
            self.close()

    @property
    def sockets(self) -> list[socket.socket]:
        """The user's socket."""
        return [] if self.sock is None else [self.sock]

    @property
    def selector(self) -> Any:
        """There is none.

        Raises:
            TypeError: always.
        """
        raise TypeError("single-connection server doesn't have multiplexing selector")

    def combine_loop(self, server: Any) -> None:
        """Not possible with this server.

        Raises:
            PyroError: always.
        """
        raise PyroError("cannot combine servers when using user-supplied connected socket")

    def events(self, eventsockets: Iterable[Any]) -> None:
        """Not possible with this server.

        Raises:
            PyroError: always.
        """
        raise PyroError("cannot combine events when using user-supplied connected socket")

    def stats(self) -> dict[str, int]:
        """Counters of connections ([BYD-7])."""
        return {
            "connections_open": int(self._connected),
            "connections_parked": 0,
            "connections_total": int(self.conn is not None),
            "workers_busy": 0,
            "workers_idle": 0,
            "workers_limit": 0,
        }

    def loop(self, loopCondition: Callable[[], bool] = lambda: True) -> None:
        """Handle requests until the other end closes, until shutdown, until the condition is false, or until Ctrl-C.

        The condition is evaluated at least every POLLTIMEOUT seconds.

        Raises:
            SystemExit: raised by the daemon's housekeeping.
        """
        self._loop_thread = threading.current_thread()
        self._loop_ended.clear()
        try:
            while not self.shutting_down and self._connected and loopCondition():
                if not self._wait() or self.shutting_down:
                    run_housekeeping(log, self.daemon)
                elif not self._handle_request():
                    self._disconnected()
                else:
                    run_housekeeping(log, self.daemon)
        except KeyboardInterrupt:
            log.debug("stopping on break signal")
        finally:
            self._loop_thread = None
            self._loop_ended.set()
            if self.shutting_down:
                self._end()

    def _wait(self) -> bool:
        """Wait for a request at most POLLTIMEOUT seconds; False: there is none."""
        conn, waker = self.conn, self._waker
        assert conn is not None
        assert waker is not None
        if conn.wait_readable(0):
            return True
        if wait_readable((conn.fileno(), waker.fileno()), self._config.POLLTIMEOUT or 0.1):
            waker.clear()
            return conn.wait_readable(0)
        return False

    def _handle_request(self) -> bool:
        """False: the connection has ended."""
        assert self.conn is not None
        try:
            self.daemon.handleRequest(self.conn)
        except TimeoutError as error:
            log.warning("error during handleRequest: %s", error)
            return not self.conn.eof
        except Exception as error:
            log_connection_end(log, error, self.conn, self.daemon)
            return False
        return True

    def _disconnected(self) -> None:
        """The connection has ended: tell the daemon, release what belongs to the session, once."""
        with self._end_lock:
            connected, self._connected = self._connected, False
        if connected and self.conn is not None:
            run_disconnect_hook(log, self.daemon, self.conn)
            self.conn.release_resources()
            self.conn.pyroInstances.clear()

    def wakeup(self) -> None:
        """Make the loop look at its condition now."""
        if self._waker is not None:
            self._waker.wake()

    def shutdown(self, drain: float = DEFAULT_DRAIN) -> None:
        """End the loop, after the request in progress; waits at most ``drain`` seconds for it. May be repeated."""
        self.shutting_down = True
        loop_thread = self._loop_thread
        if loop_thread is threading.current_thread():
            return  # in a call: the loop ends after its reply
        self.wakeup()
        if loop_thread is None or self._loop_ended.wait(drain):
            self._end()

    def close(self) -> None:
        """End at once; the user's socket stays open. May be repeated."""
        self.shutdown(0.3)

    def _end(self) -> None:
        self._disconnected()
        if self._waker is not None:
            self._waker.close()
