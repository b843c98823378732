"""The connections of the multiplex server: what each one is waiting for, and whose turn it is ([SRV-37], [HRD-11]).

Every socket is non-blocking. Bytes are collected until a message is complete; only then the daemon is called. Answers
that the client does not take at once are queued. An idle connection occupies nothing here: the tables hold only
those with something unfinished.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import socket
import time
from collections import OrderedDict
from typing import Any, Final, Protocol, TypeAlias

from pyrolite.configuration import Configuration
from pyrolite.errors import ConnectionClosedError, TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net.connection import MINIMUM_PROGRESS, SocketConnection
from pyrolite.net.tlssockets import is_tls, wants_reading, wants_writing
from pyrolite.socketserver.acceptor import SilentOnes
from pyrolite.socketserver.interface import (
    DENIAL_WAIT,
    MAX_DENIALS,
    MAX_PENDING,
    SEND_PATIENCE,
    TOO_MANY,
    handshake_patience,
    log_connection_end,
    run_disconnect_hook,
)

__all__ = ["ConnectionOwner", "EventConnections"]

log: logging.Logger = logging.getLogger("pyrolite.multiplexserver")

#: While more bytes than these wait to be sent to a client, nothing is read from it ([HRD-12]).
OUTPUT_LIMIT: Final = 1 << 20

_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE

#: Connections and until when (monotonic time) something has to happen; the oldest first.
_Deadlines: TypeAlias = "OrderedDict[SocketConnection, float]"


class ConnectionOwner(Protocol):
    """The server, as its connections see it."""

    daemon: Any
    shutting_down: bool

    def watch_new(self, conn: SocketConnection) -> None:
        """Wait until there is something to read from a new connection."""

    def watch(self, conn: SocketConnection, events: int) -> None:
        """Wait for these selector events of the connection; 0: not any more."""

    def connection_ended(self) -> None:
        """A connection has been closed."""


class EventConnections:
    """All connections of one multiplex server.

    Thread safety: none, belongs to the thread that runs the server's loop, except for `hang_up` and ``len``.
    """

    def __init__(self, owner: ConnectionOwner, configuration: Configuration) -> None:
        self._owner = owner
        self._config = configuration
        self._open: set[SocketConnection] = set()
        self.total: int = 0
        self._pending: _Deadlines = OrderedDict()  # the handshake is not complete
        self._denied: _Deadlines = OrderedDict()  # those of them that are going to be refused
        self._negotiating: set[SocketConnection] = set()  # and those whose TLS negotiation is not complete
        self._partial: _Deadlines = OrderedDict()  # a message has begun
        self._marks: dict[SocketConnection, int] = {}  # bytes of it that had arrived when its time began to run
        self._blocked: _Deadlines = OrderedDict()  # output is queued
        self._ready: OrderedDict[SocketConnection, None] = OrderedDict()  # another complete message is buffered
        self._silent: SilentOnes[SocketConnection] = SilentOnes()
        # whose request is being handled, or was when the shutdown began: no other one of this client is served then
        self._present: SocketConnection | None = None
        self._held: set[SocketConnection] = set()  # not to be read while their `hold` says so

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, conn: object) -> bool:
        return conn in self._open

    @property
    def unsettled(self) -> bool:
        """Whether `serve_round` or `expire` may have something to do, now or later."""
        return bool(self._ready or self._pending or self._partial or self._blocked or self._held)

    @property
    def work_left(self) -> bool:
        """Whether complete messages are buffered that no event of the selector will tell of ([SRV-39])."""
        return bool(self._ready)

    @property
    def output_left(self) -> bool:
        """Whether answers are queued that have to be sent when their client takes them."""
        return bool(self._blocked)

    # ---- what happens to a connection

    def add(self, sock: socket.socket, address: Any) -> None:
        """A connection has been accepted; its handshake may take its time, but not for ever ([DMN-44])."""
        sock.setblocking(False)
        conn = SocketConnection(sock, peer_address=address)
        conn.buffer_output()
        patience = handshake_patience(self._config)
        limit = self._config.MAX_CONNECTIONS
        if limit and len(self._open) - len(self._denied) >= limit:
            if len(self._denied) >= MAX_DENIALS:
                conn.close()
                return
            self._denied[conn] = time.monotonic() + min(patience, DENIAL_WAIT)
        else:
            self.total += 1
        self._open.add(conn)
        self._pending[conn] = time.monotonic() + patience
        if is_tls(sock):
            self._negotiating.add(conn)
        self._owner.watch_new(conn)
        if len(self._pending) > MAX_PENDING:
            self._end(next(iter(self._pending)), ConnectionClosedError("too many are waiting for their handshake"))
        self.attend(conn)  # most clients have sent their handshake by now

    def make_room(self) -> None:
        """There are no descriptors: end the connections that keep others out without saying anything ([HRD-16])."""
        for conn in self._silent.to_drop(self._pending):
            self._end(conn, ConnectionClosedError("no handshake, and others are waiting"))

    def attend(self, conn: SocketConnection) -> None:
        """The selector has reported the connection: move whatever can be moved, and handle at most one message."""
        if conn not in self._open:
            return
        try:
            if self._negotiating and conn in self._negotiating and not self._negotiate(conn):
                return
            if self._blocked and conn in self._blocked and not self._flush(conn):
                return
            # with a complete message buffered, more is not read before it had its turn ([SEC-41])
            if conn.hold is None and conn not in self._ready and conn.fill():
                self._advance(conn)
        except Exception as error:
            self._end(conn, error)

    def serve_round(self) -> None:
        """Handle one buffered message of each connection that has one."""
        if self._held:
            self._release()
        for conn in list(self._ready):
            if self._owner.shutting_down:
                return
            if conn in self._ready:
                del self._ready[conn]
                try:
                    self._advance(conn)
                except Exception as error:
                    self._end(conn, error)

    def serve_rest(self, deadline: float) -> None:
        """Handle the requests that have arrived by now, one for each client, until ``deadline`` (monotonic time)."""
        limit = self._config.MAX_MESSAGE_SIZE
        for conn in list(self._open):
            if conn is self._present or conn in self._pending or conn.hold is not None:
                continue
            if conn not in self._ready:
                conn.fill()
            if time.monotonic() >= deadline:
                return
            if conn.buffered and conn.frame_ready(limit):
                try:
                    self._owner.daemon.handleRequest(conn)
                    self._note_output(conn)
                except Exception as error:
                    self._end(conn, error)

    def _note_output(self, conn: SocketConnection) -> None:
        """Watch over the time that the client takes for its answers; it runs from the first byte that was not taken."""
        if conn.output_pending:
            self._blocked.setdefault(conn, time.monotonic() + (self._config.COMMTIMEOUT or SEND_PATIENCE))
            self._watch_blocked(conn)

    def _advance(self, conn: SocketConnection) -> None:
        """Handle the next message if it is complete."""
        if not conn.frame_ready(self._config.MAX_MESSAGE_SIZE):
            if self._config.COMMTIMEOUT and conn not in self._partial and conn not in self._pending:
                self._partial[conn] = time.monotonic() + self._config.COMMTIMEOUT
                self._marks[conn] = conn.buffered
            return
        if conn.eof and not conn.buffered:
            self._end_of_input(conn)
            return
        if self._partial and conn in self._partial:
            del self._partial[conn], self._marks[conn]
        if self._pending and conn in self._pending:
            if not self._handshake(conn):
                self._end(conn)
                return
        else:
            self._present = conn
            self._owner.daemon.handleRequest(conn)
            if not self._owner.shutting_down:
                self._present = None
        if conn.drained and not conn.eof and not conn.output_pending and conn.hold is None:
            return  # nearly always
        if conn.hold is not None:
            self._held.add(conn)
            self._owner.watch(conn, 0)
        self._note_output(conn)
        self._queue_next(conn)

    def _queue_next(self, conn: SocketConnection) -> None:
        """A message has been handled: see whether another one is there already."""
        if conn.hold is not None:
            return
        if not conn.buffered:
            if conn.eof:
                self._end_of_input(conn)
        elif conn.output_pending <= OUTPUT_LIMIT:
            if conn.frame_ready(self._config.MAX_MESSAGE_SIZE):
                self._ready[conn] = None
            else:
                self._advance(conn)  # notes that a message has begun

    def _release(self) -> None:
        """Go on with the connections that were held up."""
        for conn in list(self._held):
            if conn.hold is None or not conn.hold():
                conn.hold = None
                self._held.discard(conn)
                if conn.output_pending:
                    self._watch_blocked(conn)
                else:
                    self._owner.watch(conn, _READ)
                try:
                    self._queue_next(conn)
                except Exception as error:
                    self._end(conn, error)

    def _handshake(self, conn: SocketConnection) -> bool:
        reason = TOO_MANY if conn in self._denied else None
        try:
            if reason is not None:
                log.warning("client connection was denied: %s", reason, extra={"peer": conn.peer_address})
                self._owner.daemon._handshake(conn, denied_reason=reason)
            elif self._owner.daemon._handshake(conn):
                del self._pending[conn]
                return True
        except Exception as error:
            address = conn.peer_address
            log.warning("error during connect/handshake: %s", error, exc_info=True, extra={"peer": address})
        return False

    def _negotiate(self, conn: SocketConnection) -> bool:
        """Go on with the TLS negotiation; True when it is complete."""
        assert is_tls(conn.sock)
        try:
            conn.sock.do_handshake()
        except OSError as error:
            if wants_reading(error) or wants_writing(error):
                self._owner.watch(conn, _READ if wants_reading(error) else _WRITE)
                return False
            raise ConnectionClosedError(f"TLS negotiation failed: {error}") from error
        self._negotiating.discard(conn)
        self._owner.watch(conn, _READ)
        return True

    # ---- output that the client has not taken yet

    def _flush(self, conn: SocketConnection) -> bool:
        """Send queued output; True when the connection may be read again."""
        before = conn.output_pending
        done = conn.flush()
        if done:
            del self._blocked[conn]
            self._owner.watch(conn, _READ if conn.hold is None else 0)
        elif conn.output_pending < before:
            self._blocked[conn] = time.monotonic() + (self._config.COMMTIMEOUT or SEND_PATIENCE)
            self._blocked.move_to_end(conn)
            self._watch_blocked(conn)
        if conn.output_pending > OUTPUT_LIMIT:
            return False
        if conn.hold is not None:
            return False
        if conn.eof:
            self._end_of_input(conn)
            return False
        if conn.buffered and conn not in self._ready and conn.frame_ready(self._config.MAX_MESSAGE_SIZE):
            self._ready[conn] = None
        return True

    def _watch_blocked(self, conn: SocketConnection) -> None:
        readable = not conn.eof and conn.output_pending <= OUTPUT_LIMIT and conn.hold is None
        self._owner.watch(conn, _READ | _WRITE if readable else _WRITE)

    # ---- time

    def expire(self) -> None:
        """End the connections that have not done in time what they have to."""
        if not (self._pending or self._partial or self._blocked):
            return
        now = time.monotonic()
        while (conn := _overdue(self._pending, now) or _overdue(self._denied, now)) is not None:
            self._end(conn, ConnectionClosedError("no handshake in time"))
        while (conn := _overdue(self._blocked, now)) is not None:
            self._end(conn, TimeoutError("sending: timeout"))
        while (conn := _overdue(self._partial, now)) is not None:
            arrived = conn.buffered
            if arrived - self._marks[conn] < MINIMUM_PROGRESS:
                self._end(conn, TimeoutError("receiving: timeout"))
            else:
                self._marks[conn] = arrived
                self._partial[conn] = now + (self._config.COMMTIMEOUT or math.inf)
                self._partial.move_to_end(conn)

    def next_deadline(self) -> float:
        """When (monotonic time) `expire` may have something to do; infinity: never."""
        if not (self._pending or self._partial or self._blocked):
            return math.inf
        tables = self._pending, self._denied, self._partial, self._blocked
        return min(next(iter(table.values()), math.inf) for table in tables)

    # ---- the end

    def _end_of_input(self, conn: SocketConnection) -> None:
        """The client sends nothing any more, but may still be reading its answers."""
        if conn.output_pending:
            self._watch_blocked(conn)
        else:
            self._end(conn)

    def _end(self, conn: SocketConnection, error: Exception | None = None) -> None:
        """The connection ends, because of ``error`` or simply because the client has closed it ([SRV-7])."""
        if conn not in self._open:
            return
        if error is None:
            log.debug("client disconnected: %r", conn.peer_address)
        else:
            log_connection_end(log, error, conn, self._owner.daemon)
        established = self._pending.pop(conn, None) is None
        self._open.discard(conn)
        self._denied.pop(conn, None)
        self._negotiating.discard(conn)
        self._ready.pop(conn, None)
        self._held.discard(conn)
        if conn is self._present:
            self._present = None
        if conn in self._partial:
            del self._partial[conn], self._marks[conn]
        self._blocked.pop(conn, None)
        self._owner.watch(conn, 0)
        if established:
            run_disconnect_hook(log, self._owner.daemon, conn)
        conn.close()
        self._owner.connection_ended()

    def end_all(self, patience: float) -> None:
        """End all connections; queued answers may be taken for ``patience`` seconds before."""
        deadline = time.monotonic() + patience
        while self._blocked and time.monotonic() < deadline:
            for conn in list(self._blocked):
                try:
                    if conn.flush():
                        del self._blocked[conn]
                except ConnectionClosedError as error:
                    self._end(conn, error)
            if self._blocked:
                time.sleep(0.01)
        for conn in list(self._open):
            self._end(conn)

    def hang_up(self) -> None:
        """Break all connections, from another thread than that of the loop."""
        for conn in list(self._open):
            with contextlib.suppress(OSError):  # has ended already
                socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)


def _overdue(table: _Deadlines, now: float) -> SocketConnection | None:
    """The first connection in ``table`` if its time is up."""
    conn = next(iter(table), None)
    return conn if conn is not None and table[conn] <= now else None
