"""What a socket server and a daemon expect of each other, and what all socket servers share ([SRV-1])."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, runtime_checkable

from pyrolite.configuration import Configuration, config
from pyrolite.errors import ConnectionClosedError, SecurityError, TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net.connection import SocketConnection
from pyrolite.tracebacks import is_interrupt

__all__ = [
    "DEFAULT_DRAIN",
    "DENIAL_WAIT",
    "MAX_DENIALS",
    "MAX_PENDING",
    "SEND_PATIENCE",
    "TOO_MANY",
    "DaemonCallbacks",
    "SocketServer",
    "configuration_of",
    "handshake_patience",
    "log_connection_end",
    "run_disconnect_hook",
    "run_housekeeping",
    "security_level",
]

#: Seconds that `SocketServer.shutdown` gives requests in progress to finish ([HRD-32]).
DEFAULT_DRAIN: Final = 5.0
#: More connections than these do not wait for their handshake at the same time: the oldest are dropped ([HRD-10]).
MAX_PENDING: Final = 1000
#: Seconds that a client may take no byte of its answer, when there is no COMMTIMEOUT ([SRV-37]).
SEND_PATIENCE: Final = 60.0
#: Reason for the denial of connections beyond MAX_CONNECTIONS ([BYD-3]).
TOO_MANY: Final = "too many connections"
#: How many clients are told so at the same time, and seconds to wait for their CONNECT message ([SRV-21]).
MAX_DENIALS: Final = 20
DENIAL_WAIT: Final = 1.0
#: Seconds between two warnings of messages with wrong signatures, at least ([SEC-32]).
SECURITY_WARNING_PERIOD: Final = 1.0


@runtime_checkable
class DaemonCallbacks(Protocol):
    """What a socket server calls: any object with these methods can be served.

    Thread safety: the thread pool server calls them from many threads at once.
    """

    def _handshake(self, conn: SocketConnection, denied_reason: str | None = None) -> bool:
        """Read the CONNECT message and answer it; False: the connection is to be closed."""

    def handleRequest(self, conn: SocketConnection) -> None:
        """Read one request and answer it; an exception ends the connection."""

    def _clientDisconnect(self, conn: SocketConnection) -> None:
        """A connection that had completed its handshake ends; it is still intact."""

    def _housekeeping(self) -> None:
        """Called now and then."""


class SocketServer(Protocol):
    """The transport of a daemon ([SRV-1]). It is created without arguments."""

    daemon: Any
    sock: Any
    locationStr: str
    shutting_down: bool
    #: connections are left alone while their `hold` says so, and looked at again after `wakeup`
    respects_hold: bool

    def init(self, daemon: Any, host: Any, port: Any, unixsocket: str | None = None) -> None:
        """Bind and listen, on ``host`` and ``port`` or on a Unix domain socket."""

    def loop(self, loopCondition: Callable[[], bool] = ...) -> None:
        """Serve until shutdown, until the condition is false, or until Ctrl-C."""

    def events(self, eventsockets: Iterable[Any]) -> None:
        """Handle the given ready sockets, for loops outside."""

    def shutdown(self, drain: float = ...) -> None:
        """End the loop, let requests in progress finish for at most ``drain`` seconds, close everything."""

    def close(self) -> None:
        """Release everything; may be repeated."""

    def wakeup(self) -> None:
        """Make the loop look at its condition now."""

    def combine_loop(self, server: Any) -> None:
        """Serve the sockets of another server in the loop of this one."""

    def stats(self) -> dict[str, int]:
        """Counters of connections and workers ([BYD-7])."""

    @property
    def sockets(self) -> list[Any]:
        """What an outside loop has to watch for reading."""

    @property
    def selector(self) -> Any:
        """The selector of the loop, for servers that have one."""


def configuration_of(daemon: Any) -> Configuration:
    """The configuration of ``daemon``: its own one, else the global one ([BYD-33])."""
    own: Configuration = getattr(daemon, "_pyroConfig", config)
    return own


def handshake_patience(configuration: Configuration) -> float:
    """Seconds that a new connection has for its handshake, possibly infinity ([DMN-44])."""
    return min(configuration.HANDSHAKE_TIMEOUT or math.inf, configuration.COMMTIMEOUT or math.inf)


def security_level(daemon: Any) -> int:
    """The level at which to log a security error now: WARNING, but only once a second for one daemon ([SEC-32])."""
    now = time.monotonic()
    if now - getattr(daemon, "_pyroSecurityWarned", -math.inf) < SECURITY_WARNING_PERIOD:
        return logging.DEBUG
    daemon._pyroSecurityWarned = now
    return logging.WARNING


def log_connection_end(log: logging.Logger, error: BaseException, conn: SocketConnection, daemon: Any) -> None:
    """Log what ended the connection, at the level that fits ([SRV-7])."""
    address = conn.peer_address
    extra = {"peer": address}
    if isinstance(error, ConnectionClosedError):
        log.debug("client disconnected: %r", address, extra=extra)
    elif isinstance(error, SecurityError):
        log.log(security_level(daemon), "security error on client %r: %s", address, error, extra=extra)
    elif isinstance(error, TimeoutError):
        log.warning("error during handleRequest: %s", error, extra=extra)
    else:
        log.warning("error during handleRequest: %s", error, exc_info=error, extra=extra)


def run_disconnect_hook(log: logging.Logger, daemon: Any, conn: SocketConnection) -> None:
    """Tell the daemon that the connection ends; whatever its hook raises is logged ([DMN-36], [HRD-20]).

    A real Ctrl-C passes, which ends the program.
    """
    try:
        daemon._clientDisconnect(conn)
    except BaseException as error:
        if is_interrupt(error):
            raise
        log.warning("Error in clientDisconnect: %s", error, exc_info=True, extra={"peer": conn.peer_address})


def run_housekeeping(log: logging.Logger, daemon: Any) -> None:
    """Let the daemon do its housekeeping; an exception is logged.

    SystemExit and KeyboardInterrupt pass: they are a documented way to end the loop ([HRD-20]).
    """
    try:
        daemon._housekeeping()
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        log.warning("error in housekeeping: %s", error, exc_info=True)
