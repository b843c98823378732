"""The thread pool server: a worker thread for each active connection ([SRV-20]..[SRV-27]).

The way of a connection: the loop accepts it. When its CONNECT message is there already and a worker can be had, the
worker gets it at once; otherwise it waits in the `Lobby`. The worker serves it for its whole life, unless more
connections than workers are open: then idle connections are parked in the lobby until they send something.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from pyrolite.configuration import Configuration
from pyrolite.socketserver.acceptor import Acceptor
from pyrolite.socketserver.clientjob import ClientConnectionJob
from pyrolite.socketserver.interface import DEFAULT_DRAIN, TOO_MANY, configuration_of, run_housekeeping
from pyrolite.socketserver.lobby import Lobby
from pyrolite.socketserver.threadpool import Pool, Worker
from pyrolite.socketserver.wakeup import Waker

__all__ = ["ClientConnectionJob", "Housekeeper", "SocketServer_Threadpool"]

log: logging.Logger = logging.getLogger("pyrolite.threadpoolserver")

#: Seconds that the end waits for connections that have been broken.
HANG_UP_WAIT: Final = 0.3
#: Seconds that a second shutdown waits for the first one after the time in which requests may finish.
LAST_WAIT: Final = 5.0
#: Shortest period of the loop and the housekeeper in seconds: POLLTIMEOUT 0 must not make them spin.
SHORTEST_PERIOD: Final = 0.1


class Housekeeper(threading.Thread):
    """Calls the daemon's housekeeping regularly ([SRV-16]).

    ``on_exit`` is called with a SystemExit or KeyboardInterrupt that the housekeeping raises to end the server.
    """

    def __init__(self, daemon: Any, on_exit: Callable[[BaseException], None] | None = None) -> None:
        super().__init__(daemon=True, name="housekeeper")
        self.pyroDaemon = daemon
        self.stop: threading.Event = threading.Event()
        configuration = configuration_of(daemon)
        period = min(configuration.POLLTIMEOUT or 0, max(configuration.COMMTIMEOUT or 0, 5))
        self.waittime: float = max(SHORTEST_PERIOD, period)
        self._on_exit = on_exit

    def run(self) -> None:
        """Work until `stop` is set."""
        while not self.stop.wait(self.waittime):
            try:
                run_housekeeping(log, self.pyroDaemon)
            except (SystemExit, KeyboardInterrupt) as request:
                if self._on_exit is not None:
                    self._on_exit(request)
                return


class SocketServer_Threadpool:
    """Transport server for a daemon, with worker threads.

    Thread safety: `shutdown`, `close`, `wakeup` and `stats` may be called from any thread, also from within a call.
    """

    respects_hold = True

    def __init__(self) -> None:
        self.daemon: Any = None
        self.sock: socket.socket | None = None
        self.locationStr: str = ""
        self.pool: Pool | None = None
        self.housekeeper: Housekeeper | None = None
        self.shutting_down: bool = False
        #: permissions of the Unix domain socket's file, None: those of the process; to be set before `init` ([SEC-2])
        self.unixsocket_mode: int | None = None
        self._pid = 0  # the process that serves; a child that is forked off must not touch the connections ([HRD-33])
        self._config: Configuration
        self._acceptor: Acceptor | None = None
        self._lobby: Lobby | None = None
        self._waker: Waker | None = None
        self._selector: selectors.BaseSelector | None = None
        self._connections: set[ClientConnectionJob] = set()
        self._connections_total = 0
        self._exit_request: BaseException | None = None
        self._loop_thread: threading.Thread | None = None
        self._loop_ended = threading.Event()
        self._ended = threading.Event()
        self._ending_thread: threading.Thread | None = None
        self._drain_until = 0.0
        self._closed = False
        # protects _closed and _drain_until; reentrant, because handlers of signals may end the server
        self._lock = threading.RLock()
        # is told about each connection that ends during shutdown, and when there is less time left for that
        self._gone = threading.Condition()

    def init(self, daemon: Any, host: str | None, port: int, unixsocket: str | None = None) -> None:
        """Bind to ``(host, port)`` or the Unix domain socket ``unixsocket``, and start the workers.

        Raises:
            OSError, ValueError: the address cannot be bound, TLS or the sizes of the pool are not configured properly.
        """
        log.info("starting thread pool socketserver")
        self.daemon = daemon
        self._pid = os.getpid()
        self._config = configuration = configuration_of(daemon)
        self._acceptor = acceptor = Acceptor(log, configuration, host, port, unixsocket, self.unixsocket_mode)
        try:
            self.sock = acceptor.sock
            self.locationStr = acceptor.location
            self._waker = Waker()
            self._selector = selectors.DefaultSelector()
            self._selector.register(self.sock, selectors.EVENT_READ)
            self._selector.register(self._waker, selectors.EVENT_READ)
            self.pool = Pool(configuration)
            self._lobby = Lobby(configuration, self.pool)
        except BaseException:
            self.close()
            raise
        self.housekeeper = Housekeeper(daemon, self._end_loop)
        self.housekeeper.start()
        log.debug("serving on %s", self.locationStr)

    def __repr__(self) -> str:
        workers = self.pool.num_workers() if self.pool else 0
        return f"<SocketServer_Threadpool on {self.locationStr}; {workers} workers>"

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    @property
    def sockets(self) -> list[socket.socket]:
        """The listening socket is all that an outside loop has to watch."""
        return [] if self.sock is None else [self.sock]

    @property
    def selector(self) -> selectors.BaseSelector:
        """There is none to share.

        Raises:
            TypeError: always.
        """
        raise TypeError("threadpool server doesn't have multiplexing selector")

    def combine_loop(self, server: Any) -> None:
        """Not possible with this server.

        Raises:
            TypeError: always.
        """
        raise TypeError("You can't use the loop combiner on the threadpool server type")

    # ---- accepting

    def loop(self, loopCondition: Callable[[], bool] = lambda: True) -> None:
        """Accept connections until shutdown, until the condition is false, or until Ctrl-C.

        The condition is evaluated at least every POLLTIMEOUT seconds.

        Raises:
            OSError: the listening socket is gone without a shutdown.
            SystemExit: raised by the daemon's housekeeping.
        """
        self._loop_thread = threading.current_thread()
        self._loop_ended.clear()
        try:
            while not self.shutting_down and loopCondition():
                self._accept_next(self._config.POLLTIMEOUT or SHORTEST_PERIOD)
                if self._exit_request is not None:
                    raise self._exit_request
        except KeyboardInterrupt:
            log.debug("stopping on break signal")
        finally:
            self._loop_ended.set()
            if self.shutting_down and self._pid == os.getpid():
                self._await_end()

    def _await_end(self) -> None:
        """Let the thread that called for the shutdown finish it: the program may end when the loop does.

        If that was a remote method, then its own request has the rest of the time to finish.
        """
        self._ended.wait()
        self._await_gone(lambda: not self._connections)

    def events(self, eventsockets: Iterable[Any]) -> None:
        """Accept one connection, waiting up to POLLTIMEOUT for it; does nothing for foreign sockets."""
        if self.sock is not None and any(sock is self.sock for sock in eventsockets):
            self._accept_next(self._config.POLLTIMEOUT or 0.0)

    def _accept_next(self, timeout: float) -> None:
        """Wait for a connection and take it."""
        acceptor, waker, selector = self._acceptor, self._waker, self._selector
        assert acceptor is not None
        assert waker is not None
        assert selector is not None
        try:
            pause = acceptor.paused_for()
            if pause:
                waker.wait(min(pause, timeout))
                return
            ready = selector.select(timeout)
            if any(key.fileobj is waker for key, _ in ready):
                waker.clear()
                if len(ready) == 1:
                    return
            if ready and not self.shutting_down:
                accepted = acceptor.accept()
                if accepted is not None:
                    self._welcome(*accepted)
                elif acceptor.paused_for() and self._lobby is not None:
                    self._lobby.make_room()
        except (OSError, ValueError):
            if not self.shutting_down:  # otherwise closed under our feet
                raise

    def _welcome(self, sock: socket.socket, address: Any) -> None:
        """A connection has been accepted."""
        assert self._lobby is not None
        configuration = self._config
        job = ClientConnectionJob(sock, address, self.daemon, self, configuration.COMMTIMEOUT or 0.0)
        limit = configuration.MAX_CONNECTIONS
        if limit and len(self._connections) >= limit:
            job.denied_reason = TOO_MANY
        else:
            self._connections_total += 1
            self._connections.add(job)
            if not job.tls_pending:
                job.csock.unblock()
                job.csock.fill()
                if job.csock.frame_ready(configuration.MAX_MESSAGE_SIZE):
                    self._lobby.hand_over(job)
                    return
        if self.shutting_down or not self._lobby.admit(job):
            job.finish()

    # ---- what connections ask and report

    @property
    def crowded(self) -> bool:
        """Whether there are more connections than workers, so that idle ones are parked."""
        return self._lobby is not None and self._lobby.parked > 0

    def park(self, job: ClientConnectionJob) -> bool:
        """Keep the connection in the lobby; False: the server is shutting down."""
        return self._lobby is not None and self._lobby.park(job)

    def forget(self, job: ClientConnectionJob) -> None:
        """The connection has ended."""
        self._connections.discard(job)
        if self.shutting_down:
            with self._gone:
                self._gone.notify_all()
        elif self._acceptor is not None and self._acceptor.resume():
            self.wakeup()

    def stats(self) -> dict[str, int]:
        """Counters of connections and workers ([BYD-7])."""
        pool, lobby = self.pool, self._lobby
        return {
            "connections_open": len(self._connections),
            "connections_parked": lobby.parked if lobby else 0,
            "connections_total": self._connections_total,
            "workers_busy": len(pool.busy) if pool else 0,
            "workers_idle": len(pool.idle) if pool else 0,
            "workers_limit": self._config.THREADPOOL_SIZE if pool else 0,
        }

    # ---- the end

    def wakeup(self) -> None:
        """Make the loop look at its condition now, and the lobby at the connections that are on hold."""
        if self._waker is not None:
            self._waker.wake()
        if self._lobby is not None:
            self._lobby.wakeup()

    def _end_loop(self, request: BaseException) -> None:
        self._exit_request = request
        self.wakeup()

    def shutdown(self, drain: float = DEFAULT_DRAIN) -> None:
        """End the loop, let requests in progress finish for at most ``drain`` seconds, close everything ([SRV-27]).

        May be called from within a call: its reply is still delivered. May be repeated: while another shutdown goes on,
        this waits for it, and may shorten its time.
        """
        self._end(drain)

    def close(self) -> None:
        """Close everything at once, within a second; may be repeated."""
        self._end(0.0)

    def _end(self, drain: float) -> None:
        drain_until = time.monotonic() + drain
        with self._lock:
            first, self._closed = not self._closed, True
            if first:
                self._drain_until = drain_until
                self._ending_thread = threading.current_thread()
        self.shutting_down = True  # not before this is the thread that ends everything: the loop waits for it
        self.wakeup()
        if first:
            try:
                self._end_all()
            finally:
                self._ended.set()
        elif not self._ended.is_set():
            with self._gone:
                if drain_until < self._drain_until:
                    self._drain_until = drain_until
                    self._gone.notify_all()
            if self._may_wait_for_end():
                self._ended.wait(max(0.0, self._drain_until - time.monotonic()) + LAST_WAIT)

    def _may_wait_for_end(self) -> bool:
        """Whether the thread that ends the server does not wait for this one."""
        this = threading.current_thread()
        in_loop = this is self._loop_thread and not self._loop_ended.is_set()
        return not (in_loop or isinstance(this, Worker) or this is self.housekeeper or this is self._ending_thread)

    def _end_all(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            self.sock = None
        if self._pid != os.getpid():
            return
        if self.housekeeper is not None:
            self.housekeeper.stop.set()
        if self._lobby is None:  # `init` has failed
            if self.pool is not None:
                self.pool.close()
            self._end_threads()
            return
        assert self.pool is not None
        self._finish(self._lobby.wind_down())
        self._finish(self.pool.wind_down(keep=_has_request))
        self._end_connections(ClientConnectionJob.stop_input, 0.0)
        self._finish(self.pool.wind_down())
        self._end_connections(ClientConnectionJob.hang_up)
        self._finish(self._lobby.close())
        self.pool.close()
        self._end_threads()

    @staticmethod
    def _finish(jobs: Iterable[Any]) -> None:
        """End connections that have no worker."""
        for job in jobs:
            if isinstance(job, ClientConnectionJob):
                job.finish()

    def _end_threads(self) -> None:
        """Wait a little for the housekeeper and the loop, then release what the loop waits for."""
        if self.housekeeper is not None and self.housekeeper is not threading.current_thread():
            with contextlib.suppress(RuntimeError):  # not started
                self.housekeeper.join(0.2)
        if self._loop_thread is not None and self._loop_thread is not threading.current_thread():
            self._loop_ended.wait(HANG_UP_WAIT)
        if self._selector is not None:
            self._selector.close()
        if self._waker is not None:
            self._waker.close()

    def _end_connections(self, step: Callable[[ClientConnectionJob], None], at_least: float = HANG_UP_WAIT) -> None:
        """Do ``step`` to all connections except the one this call came from, and wait for their workers to end them."""
        worker = threading.current_thread()
        own = {worker.job} if isinstance(worker, Worker) else set()
        with self._gone:
            for job in self._connections - own:
                step(job)
            self._await_gone(lambda: not self._connections - own, at_least)

    def _await_gone(self, condition: Callable[[], bool], at_least: float = HANG_UP_WAIT) -> None:
        """Wait for connections to end, until the time for requests to finish is over."""
        at_least += time.monotonic()
        with self._gone:
            while not condition():
                left = max(at_least, self._drain_until) - time.monotonic()
                if left <= 0:
                    return
                self._gone.wait(left)


def _has_request(job: Any) -> bool:
    """Whether a job that waits for a worker is an established connection, whose client waits for an answer."""
    return isinstance(job, ClientConnectionJob) and job.handshaken
