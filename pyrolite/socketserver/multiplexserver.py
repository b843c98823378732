"""The multiplex server: all connections in one thread, calls strictly one after the other ([SRV-30]..[SRV-39])."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from pyrolite.configuration import Configuration
from pyrolite.net.connection import SocketConnection
from pyrolite.socketserver.acceptor import Acceptor
from pyrolite.socketserver.eventconnections import EventConnections
from pyrolite.socketserver.interface import DEFAULT_DRAIN, configuration_of, run_housekeeping
from pyrolite.socketserver.wakeup import Waker

__all__ = ["SocketServer_Multiplex"]

log: logging.Logger = logging.getLogger("pyrolite.multiplexserver")

#: Seconds that the end waits for the loop's thread, and for clients to take queued answers.
END_WAIT: Final = 0.3
#: Seconds that a shutdown waits for the loop's thread longer than that waits for its clients.
LAST_WAIT: Final = 0.1
#: Period of the loop in seconds when POLLTIMEOUT is 0, which must not make it spin.
SHORTEST_PERIOD: Final = 0.1


class SocketServer_Multiplex:
    """Transport server for a daemon, without threads.

    Thread safety: `shutdown`, `close`, `wakeup` and `stats` may be called from any thread, also from within a call.
    """

    respects_hold = True

    def __init__(self) -> None:
        self.daemon: Any = None
        self.sock: socket.socket | None = None
        self.locationStr: str = ""
        self.shutting_down: bool = False
        #: permissions of the Unix domain socket's file, None: those of the process; to be set before `init` ([SEC-2])
        self.unixsocket_mode: int | None = None
        #: shared with the servers that are combined with this one; each key's data is the server it belongs to
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._pid = 0  # the process that serves; a child that is forked off must not touch the connections ([HRD-33])
        self._config: Configuration
        self._acceptor: Acceptor | None = None
        self._accepting = False
        # whether there is nothing to do but what events of the selector tell of; judged after each of them
        self._quiet = False
        self._connections: EventConnections | None = None
        self._waker: Waker | None = None
        self._master: SocketServer_Multiplex | None = None  # whose loop serves this server, after `combine_loop`
        self._members: list[SocketServer_Multiplex] = []
        # identifiers of threads: of the one in `loop`, and the one in `events`
        self._loop_thread: int | None = None
        self._serving_thread: int | None = None
        self._ended = threading.Event()
        self._drain_until = 0.0  # (monotonic time) the requests that have arrived when the server ends are served
        self._end_lock = threading.Lock()  # held by the thread that ends the server, which is
        self._ending_thread: int | None = None  # (a handler of signals may want to end it in the middle of that)

    def init(self, daemon: Any, host: str | None, port: int, unixsocket: str | None = None) -> None:
        """Bind to ``(host, port)`` or the Unix domain socket ``unixsocket``.

        Raises:
            OSError, ValueError: the address cannot be bound, or TLS is not configured properly.
        """
        log.info("starting multiplexed socketserver")
        self.daemon = daemon
        self._pid = os.getpid()
        self._config = configuration = configuration_of(daemon)
        self._acceptor = Acceptor(log, configuration, host, port, unixsocket, self.unixsocket_mode)
        try:
            self.sock = self._acceptor.sock
            self.locationStr = self._acceptor.location
            self._connections = EventConnections(self, configuration)
            self._waker = Waker()
            self._register(self._waker, selectors.EVENT_READ)
            self._set_accepting(True)
        except BaseException:
            self.close()
            raise
        log.debug("serving on %s", self.locationStr)

    def __repr__(self) -> str:
        return f"<SocketServer_Multiplex on {self.locationStr}; {len(self._connections or ())} connections>"

    def __del__(self) -> None:
        if hasattr(self, "_end_lock") and not self._ended.is_set():
            self.close()

    @property
    def sockets(self) -> list[Any]:
        """The listening socket and all connections, also those of servers combined with this one."""
        keys = self.selector.get_map()
        return [
            key.fileobj
            for key in (keys.values() if keys else ())
            if not isinstance(key.fileobj, Waker) and (self._master is None or key.data is self)
        ]

    def stats(self) -> dict[str, int]:
        """Counters of connections ([BYD-7]); there are no workers and nothing is parked."""
        connections = self._connections
        return {
            "connections_open": len(connections or ()),
            "connections_parked": 0,
            "connections_total": connections.total if connections is not None else 0,
            "workers_busy": 0,
            "workers_idle": 0,
            "workers_limit": 0,
        }

    # ---- the selector

    def _register(self, fileobj: Any, events: int, server: Any = None) -> None:
        try:
            self.selector.register(fileobj, events, server or self)
        except KeyError:
            # somebody has closed the socket that had this descriptor without telling us ([SRV-36])
            with contextlib.suppress(OSError):
                self.selector.unregister(fileobj.fileno())
            self.selector.register(fileobj, events, server or self)

    def watch_new(self, conn: SocketConnection) -> None:
        """Wait until there is something to read from a new connection."""
        if self.selector.get_map() is not None:
            self._register(conn, selectors.EVENT_READ)

    def watch(self, conn: SocketConnection, events: int) -> None:
        """Wait for these selector events of the connection; 0: not any more."""
        keys = self.selector.get_map()
        key = keys.get(conn) if keys is not None else None
        if keys is None or (key is not None and key.events == events):
            return
        if key is None or key.fileobj is not conn:
            if events:
                self._register(conn, events)
        elif events:
            self.selector.modify(conn, events, self)
        else:
            self.selector.unregister(conn)

    def _set_accepting(self, accept: bool) -> None:
        if accept is self._accepting or self.sock is None or self.selector.get_map() is None:
            return
        self._accepting = accept
        if accept:
            self._register(self.sock, selectors.EVENT_READ)
        else:
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(self.sock)

    # ---- the loop

    def loop(self, loopCondition: Callable[[], bool] = lambda: True) -> None:
        """Serve until shutdown, until the condition is false, or until Ctrl-C.

        The condition is evaluated at least every POLLTIMEOUT seconds.

        Raises:
            OSError: the listening socket is gone without a shutdown.
            SystemExit: raised by the daemon's housekeeping.
        """
        self._loop_thread = threading.get_ident()
        try:
            while loopCondition() and not self.shutting_down:
                self._step()
        except KeyboardInterrupt:
            log.debug("stopping on break signal")
        finally:
            self._loop_thread = None
            if self.shutting_down:
                self._end()

    def _step(self) -> None:
        """Wait for something to happen, and let the servers concerned deal with it."""
        try:
            ready = self.selector.select(self._patience())
        except (OSError, ValueError):  # a closed socket is registered; epoll and kqueue drop those by themselves
            if self.shutting_down:
                return
            self._forget_closed()
            ready = []
        if len(ready) == 1 and not self._members and ready[0][0].data is self:  # nearly always
            self.events((ready[0][0].fileobj,))
        else:
            self._distribute(ready)

    def _distribute(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Give the ready sockets to the servers that they belong to, and all servers the time that they need."""
        groups: dict[Any, list[Any]] = {}
        for key, _ in ready:
            groups.setdefault(key.data, []).append(key.fileobj)
        if not groups:
            self.events(())
        for server, eventsockets in groups.items():
            if server is self or isinstance(server, SocketServer_Multiplex):
                server.events(eventsockets)
            else:
                self._foreign_events(server, eventsockets)
        for member in list(self._members):
            if member.shutting_down:
                member._end()
            elif not groups or member._overdue():
                member.events(())
        if groups and self not in groups and self._overdue():
            self.events(())

    def _foreign_events(self, server: Any, eventsockets: list[Any]) -> None:
        """Events of something combined with this server that is no socket server, such as a broadcast responder."""
        try:
            server.events(eventsockets)
        except Exception as error:
            log.warning("error in the events of %r: %s", server, error, exc_info=True)
            self._forget_closed()

    def _forget_closed(self) -> None:
        """Unregister what was closed without telling us."""
        keys = self.selector.get_map() or {}
        for key in list(keys.values()):
            fileno: Any = getattr(key.fileobj, "fileno", None)
            if fileno is not None and fileno() < 0:
                self.selector.unregister(key.fileobj)

    def _patience(self) -> float:
        """How long the selector may wait."""
        patience = self._config.POLLTIMEOUT or SHORTEST_PERIOD
        if not self._quiet or self._members:
            deadline = min(self._deadline(), *(member._deadline() for member in self._members), math.inf)
            return min(patience, max(0.0, deadline - time.monotonic()))
        return 0.0 if self.shutting_down else patience

    def _deadline(self) -> float:
        """When (monotonic time) this server has something to do without an event."""
        assert self._connections is not None
        assert self._acceptor is not None
        if self._connections.work_left or self.shutting_down:
            return 0.0
        deadline = self._connections.next_deadline()
        pause = 0.0 if self._accepting else self._acceptor.paused_for()
        return min(deadline, time.monotonic() + pause) if pause else deadline

    def _overdue(self) -> bool:
        return self._deadline() <= time.monotonic() or not self._accepting

    def events(self, eventsockets: Iterable[Any]) -> None:
        """Handle the given ready sockets, then do the housekeeping.

        Raises:
            OSError: the listening socket is gone without a shutdown.
        """
        connections = self._connections
        if connections is None or self.sock is None:
            return
        outer, self._serving_thread = self._serving_thread, threading.get_ident()
        try:
            for sock in eventsockets:
                if self.shutting_down:
                    return
                if type(sock) is SocketConnection:
                    connections.attend(sock)
                elif sock is self.sock:
                    self._accept()
                elif sock is self._waker:
                    self._waker.clear()
            self._quiet = not connections.unsettled and self._accepting
            if not self._quiet:
                self._see_to_the_rest(connections)
            if not self.shutting_down:
                run_housekeeping(log, self.daemon)
            if (self._master or self)._loop_thread is None:
                self._root._work_off()
        finally:
            self._serving_thread = outer
            if self.shutting_down and outer is None and self._root._loop_thread is None:
                self._end()

    def _see_to_the_rest(self, connections: EventConnections) -> None:
        """Do what no event of the selector tells of."""
        if connections.unsettled:
            connections.serve_round()
            connections.expire()
        if not self._accepting:
            self._accept_again()
        self._quiet = not connections.unsettled and self._accepting

    def _accept_again(self) -> None:
        """End a pause of accepting when its time is over."""
        assert self._acceptor is not None
        if not self._acceptor.paused_for():
            self._set_accepting(True)

    def _work_off(self) -> None:
        """For loops outside: do what no readable socket will tell them of.

        That are messages that are buffered already, and answers that have to be sent when their client takes them. All
        other connections are served meanwhile; a client that takes nothing is disconnected in the end ([SRV-37]).
        """
        self._loop_thread = threading.get_ident()
        try:
            while not self.shutting_down and any(server._unfinished for server in (self, *self._members)):
                self._step()
        finally:
            self._loop_thread = None

    @property
    def _unfinished(self) -> bool:
        connections = self._connections
        return connections is not None and (connections.work_left or connections.output_left)

    def _accept(self) -> None:
        """Take one connection."""
        assert self._acceptor is not None
        assert self._connections is not None
        try:
            accepted = self._acceptor.accept()
        except OSError:
            if self.shutting_down:
                return
            raise
        if accepted is not None:
            self._connections.add(*accepted)
        elif self._acceptor.paused_for():
            self._set_accepting(False)
            self._connections.make_room()

    def connection_ended(self) -> None:
        """A connection has been closed: its descriptor may be what a paused acceptor lacked."""
        assert self._acceptor is not None
        if self._acceptor.resume() and not self.shutting_down:
            self._set_accepting(True)

    # ---- combining

    @property
    def _root(self) -> SocketServer_Multiplex:
        """The server whose loop serves this one."""
        return self if self._master is None else self._master

    def combine_loop(self, server: Any) -> None:
        """Serve the sockets of ``server`` in the loop of this one.

        ``server`` is another multiplex server, or anything with ``sockets`` and ``events(list)``.
        """
        if isinstance(server, SocketServer_Multiplex):
            server._join(self)
            self._members.append(server)
        else:
            for sock in server.sockets:
                self._register(sock, selectors.EVENT_READ, server)
            with contextlib.suppress(AttributeError):  # has no use for one
                server.selector = self.selector
        self.wakeup()

    def _join(self, master: SocketServer_Multiplex) -> None:
        """Move all registrations to the selector of ``master``."""
        old = self.selector
        for key in list(old.get_map().values()):
            master._register(key.fileobj, key.events, key.data)
        self.selector = master.selector
        self._master = master._root
        old.close()

    # ---- the end

    def wakeup(self) -> None:
        """Make the loop look at its condition now."""
        if self._waker is not None:
            self._waker.wake()

    def shutdown(self, drain: float = DEFAULT_DRAIN) -> None:
        """End the loop, let the requests that have arrived finish for at most ``drain`` seconds, close everything.

        May be called from within a call: then everything is closed after its reply. May be repeated.
        """
        self._shut_down(drain, time.monotonic() + drain)

    def _shut_down(self, patience: float, drain_until: float) -> None:
        # the shortest time counts when it is called again
        self._drain_until = min(drain_until, self._drain_until) if self.shutting_down else drain_until
        self.shutting_down = True
        this_thread = threading.get_ident()
        if self._acceptor is not None and self._pid != os.getpid():
            self._abandon()
            return
        if this_thread in {self._serving_thread, self._ending_thread}:
            return  # in a call or a hook: `events` or `loop` goes on when it returns
        loop_thread = self._root._loop_thread
        if loop_thread != this_thread and (loop_thread or self._serving_thread):
            self.wakeup()
            if not self._ended.wait(patience + LAST_WAIT) and self._connections is not None:
                self._connections.hang_up()
                self._ended.wait(END_WAIT)
            loop_thread = self._root._loop_thread
        if loop_thread in (None, this_thread) and self._serving_thread is None:
            self._end()

    def _abandon(self) -> None:
        """In a forked child: the connections and the selector belong to the parent process, hands off."""
        assert self._acceptor is not None
        self._acceptor.close()
        self.sock = None
        self._ended.set()

    def close(self) -> None:
        """Close everything at once, within a second; may be repeated."""
        self._shut_down(END_WAIT, 0.0)

    def _end(self) -> None:
        """Close everything, in the thread of the loop or when there is no loop."""
        if self._ending_thread == threading.get_ident():
            return
        with self._end_lock:
            if self._ended.is_set():
                return
            self._ending_thread = threading.get_ident()
            if self._acceptor is not None:
                self._set_accepting(False)
                self._acceptor.close()
                self.sock = None
            if self._connections is not None:
                outer, self._serving_thread = self._serving_thread, threading.get_ident()
                self._connections.serve_rest(self._drain_until)
                self._connections.end_all(max(END_WAIT, self._drain_until - time.monotonic()))
                self._serving_thread = outer
            if self._waker is not None:
                if self.selector.get_map() is not None:
                    self.selector.unregister(self._waker)
                self._waker.close()
            if self._master is None:
                self.selector.close()
            elif self in self._master._members:
                self._master._members.remove(self)
            self._ended.set()
