"""One client connection of the thread pool server, and the work that a worker does for it ([SRV-20])."""

from __future__ import annotations

import contextlib
import functools
import logging
import selectors
import socket
import threading
from typing import Any, Final, Protocol

from pyrolite.errors import TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net.connection import SocketConnection
from pyrolite.net.tlssockets import is_tls, wants_reading, wants_writing
from pyrolite.socketserver.interface import configuration_of, log_connection_end, run_disconnect_hook
from pyrolite.socketserver.threadpool import Worker

__all__ = ["BRIEF_WAIT", "ClientConnectionJob", "ConnectionHost"]

log: logging.Logger = logging.getLogger("pyrolite.threadpoolserver")

#: Seconds that a worker waits for the next request in the plain receive call, before it may be lent to other clients.
BRIEF_WAIT: Final = 0.002
#: Seconds that a worker waits for a client that takes nothing of its answer, before the lobby has to see to the rest.
TAKING_WAIT: Final = 0.05


class _StepAside(BaseException):
    """The worker is wanted elsewhere while it waits for the rest of a message; passes through the daemon."""


class ConnectionHost(Protocol):
    """The server of a connection, as the connection sees it."""

    shutting_down: bool

    @property
    def crowded(self) -> bool:
        """Whether there are more connections than workers."""

    def park(self, job: ClientConnectionJob) -> bool:
        """Keep the connection without a worker until it has something to do; False: it has to end."""

    def forget(self, job: ClientConnectionJob) -> None:
        """The connection has ended."""


class ClientConnectionJob:
    """A client connection as a job for a worker: handshake, then one request after the other.

    The job is done when the connection ends, or when it is parked: then it is run again later, when its client sends
    something. ``host`` is the server; without one the job serves the connection to its end. ``timeout`` is the
    connection's COMMTIMEOUT in seconds, 0 for none.

    Thread safety: belongs to one thread at a time; `hang_up` and `stop_input` may be called from any thread.
    """

    __slots__ = (
        "_in_kernel",
        "caddr",
        "csock",
        "daemon",
        "denied_reason",
        "failure",
        "handshaken",
        "host",
        "mark",
        "timeout",
        "tls_pending",
    )

    def __init__(
        self,
        clientSocket: socket.socket,
        clientAddr: Any,
        daemon: Any,
        host: ConnectionHost | None = None,
        timeout: float = 0.0,
    ) -> None:
        self.csock: SocketConnection = SocketConnection(clientSocket, peer_address=clientAddr)
        self.caddr: Any = clientAddr
        self.daemon: Any = daemon
        self.host: ConnectionHost | None = host
        self.timeout: float = timeout
        self.handshaken: bool = False
        #: the TLS negotiation is not complete
        self.tls_pending: bool = host is not None and is_tls(clientSocket)
        #: why a worker has to end the connection, which runs hooks of user code; None: it need not
        self.failure: Exception | None = None
        #: bytes of an incomplete message that had arrived when its time began to run in the lobby; None: there is none
        self.mark: int | None = None
        self._in_kernel: bool | None = None  # whether the system ends receive calls; None: not prepared yet
        #: why the connection is going to be refused, or None
        self.denied_reason: str | None = None

    def __call__(self) -> None:
        """Serve the connection until it ends or is parked."""
        parked = False
        try:
            parked = self._serve()
        except Exception as error:
            log_connection_end(log, error, self.csock, self.daemon)
        finally:
            if not parked:  # otherwise it may be in the hands of another worker already
                self.finish()

    def _serve(self) -> bool:
        """True when the connection has been parked, False when it ends."""
        if self.failure is not None:
            try:
                raise self.failure
            finally:
                self.failure = None  # its traceback knows this job
        conn, worker = self.csock, threading.current_thread()
        if self.host is None or not isinstance(worker, Worker):
            if not self.handshaken and not self.handleConnection():
                return False
            while True:
                self.daemon.handleRequest(conn)
        self._prepare(worker)
        if not self.handshaken and not self.handleConnection():
            return False
        try:
            if not self._serve_requests(worker, self.host):
                return False
        except _StepAside:
            idle = True
        else:
            idle = False
        conn.on_stall = conn.on_full = None
        return self.host.park(self) or (idle and self._serve_last(worker, self.host))

    def _serve_last(self, worker: Worker, host: ConnectionHost) -> bool:
        """The server is shutting down: answer the request that may have arrived by now. False: then it ends."""
        conn = self.csock
        conn.fill()
        if conn.buffered and conn.hold is None and conn.frame_ready(configuration_of(self.daemon).MAX_MESSAGE_SIZE):
            self._prepare(worker)
            self.daemon.handleRequest(conn)
            conn.on_stall = conn.on_full = None
        return bool(conn.output_pending) and host.park(self)

    def handleConnection(self) -> bool:
        """Do the handshake; False (and closed) when the client was refused or its handshake failed ([SRV-9])."""
        try:
            if self.daemon._handshake(self.csock):
                self.handshaken = True
                return True
        except Exception as error:
            log.warning("error during connect/handshake: %s", error, exc_info=True, extra={"peer": self.caddr})
        self.csock.close()
        return False

    def denyConnection(self, reason: str) -> None:
        """Refuse the client, whose CONNECT message has to be there, with ``reason`` ([SRV-21])."""
        log.warning("client connection was denied: %s", reason, extra={"peer": self.caddr})
        try:
            self.daemon._handshake(self.csock, denied_reason=reason)
        except Exception as error:
            log.debug("could not tell %r that it was denied: %s", self.caddr, error)
        self.csock.close()

    def _serve_requests(self, worker: Worker, host: ConnectionHost) -> bool:
        """True when the connection is to be parked after a request, False when it ends.

        Raises:
            _StepAside: it is to be parked while it has nothing to do.
        """
        # One receive call and no lock per request: the receive itself ends after BRIEF_WAIT, by the system's timeout,
        # when the client is idle. Only then the worker goes where it can be called away; at once the first time, if
        # connections are parked already.
        conn, daemon, pool = self.csock, self.daemon, worker.pool
        arrives = conn.receive_some if self._in_kernel else conn.waiter(BRIEF_WAIT)
        impatient = host.crowded
        while not conn.output_pending and conn.hold is None:
            worker.between = True
            if not (conn.wait_readable(0) if impatient else arrives()):
                if not self._wait(worker, conn.timeout or None):
                    raise TimeoutError("receiving: timeout")
                impatient = False
                continue
            if conn.eof and not conn.buffered:
                log.debug("client disconnected: %r", self.caddr)
                return False
            worker.between = False
            daemon.handleRequest(conn)
            if pool.attention and (host.shutting_down or pool.take_over(worker)):
                return True
        return True

    def _prepare(self, worker: Worker) -> None:
        """Let no client hold the worker by sending half a message, or by not taking its answer ([HRD-13])."""
        conn = self.csock
        if self._in_kernel is None:
            conn.keep_time(self.timeout)
            self._in_kernel = conn.brief_waits(BRIEF_WAIT)
            if not self._in_kernel:
                conn.sock.setblocking(False)

        def queue_the_rest() -> bool:
            return worker.pool.attention or not conn.wait_writable(TAKING_WAIT)

        conn.on_stall = functools.partial(self._wait, worker)
        conn.on_full = queue_the_rest

    def _wait(self, worker: Worker, patience: float | None) -> bool:
        """Wait for input; False when there was none for ``patience`` seconds (None: no limit).

        Raises:
            _StepAside: the worker is wanted elsewhere.
        """
        pool = worker.pool
        if not pool.begin_idle(worker):
            raise _StepAside
        readable = worker.wait_for_input(self.csock.fileno(), patience)
        if not pool.end_idle(worker):
            raise _StepAside
        return readable

    # ---- the life without a worker

    def negotiate(self) -> int:
        """Go on with the TLS negotiation without waiting; gives what to wait for, 0 when it is complete.

        Raises:
            OSError: the negotiation failed (ssl.SSLError is one).
        """
        sock = self.csock.sock
        assert is_tls(sock)
        try:
            sock.do_handshake()
        except OSError as error:
            if wants_reading(error):
                return selectors.EVENT_READ
            if wants_writing(error):
                return selectors.EVENT_WRITE
            raise
        self.tls_pending = False
        return 0

    # ---- the end

    def finish(self) -> None:
        """The connection ends: tell the daemon, then close ([SRV-7], [SOC-24])."""
        try:
            if self.handshaken:
                self.handshaken = False
                run_disconnect_hook(log, self.daemon, self.csock)
        finally:
            self.csock.on_stall = self.csock.on_full = None
            self.csock.close()
            if self.host is not None:
                self.host.forget(self)

    def stop_input(self) -> None:
        """Let nothing more in: a worker that waits for a request sees the end of the stream, replies still get out."""
        self._shut_down(socket.SHUT_RD)

    def hang_up(self) -> None:
        """Break the connection; its worker finds out and ends it."""
        self._shut_down(socket.SHUT_RDWR)

    def _shut_down(self, how: int) -> None:
        with contextlib.suppress(OSError):  # it has ended already
            # not SSLSocket.shutdown: that would drop the TLS layer under the feet of the worker
            socket.socket.shutdown(self.csock.sock, how)
