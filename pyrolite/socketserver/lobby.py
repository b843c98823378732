"""Where the connections of the thread pool server are that have no worker ([HRD-10], [BYD-1]).

One thread with a selector watches

* *pending* connections, until their CONNECT message is complete (TLS negotiation included),
* *parked* connections: established, without a complete message, and their worker was wanted elsewhere,
* *taking* connections, until their clients have taken the answer that they did not take at once,
* connections *on hold*, as long as they say that no more is to be read from them ([HRD-19]),

and it looks after new connections that wait in the pool's line for a worker, to deny them in time. It never waits for a
client and never runs hooks of user code, but for `Daemon.annotations` in the answer to a denied client.
"""

from __future__ import annotations

import logging
import math
import select
import selectors
import threading
import time
from collections import OrderedDict
from typing import Final, TypeAlias

from pyrolite.configuration import Configuration
from pyrolite.errors import ConnectionClosedError, TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net.connection import MINIMUM_PROGRESS
from pyrolite.socketserver.acceptor import SilentOnes
from pyrolite.socketserver.clientjob import BRIEF_WAIT, ClientConnectionJob
from pyrolite.socketserver.interface import DENIAL_WAIT, MAX_DENIALS, MAX_PENDING, SEND_PATIENCE, handshake_patience
from pyrolite.socketserver.threadpool import Pool, PoolError
from pyrolite.socketserver.wakeup import Waker

__all__ = ["Lobby"]

log: logging.Logger = logging.getLogger("pyrolite.threadpoolserver")

#: Shortest time in line, in seconds: a worker that has just answered needs a moment to come back.
SHORTEST_WAIT: Final = 5 * BRIEF_WAIT

NO_WORKERS: Final = "no free workers, increase server threadpool size"

#: Seconds that the end waits for the lobby's thread to look at the parked connections.
SWEEP_WAIT: Final = 0.3

#: Descriptors registered in a selector take effect while another thread waits in it.
_LIVE_REGISTRATION: Final = hasattr(select, "epoll") or hasattr(select, "kqueue")

#: Connections and until when (monotonic time) they may be there, the oldest first.
_Shelf: TypeAlias = "OrderedDict[ClientConnectionJob, float]"


class Lobby:
    """The waiting room in front of ``pool``.

    Raises:
        OSError: the process has no free descriptor.
        RuntimeError: no thread can be started.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, configuration: Configuration, pool: Pool) -> None:
        self._config = configuration
        self._pool = pool
        # protects the shelves, the registrations and _wake_at; not held while anything is done with a connection
        self._lock = threading.RLock()
        self._pending: _Shelf = OrderedDict()
        self._denied: _Shelf = OrderedDict()  # those of them that are going to be denied
        self._parked: _Shelf = OrderedDict()
        self._taking: _Shelf = OrderedDict()
        self._on_hold: _Shelf = OrderedDict()
        self._in_line: _Shelf = OrderedDict()
        self._scarce = False  # descriptors are lacking
        self._silent: SilentOnes[ClientConnectionJob] = SilentOnes()
        self._selector = selectors.DefaultSelector()
        self._waker = Waker()
        self._selector.register(self._waker, selectors.EVENT_READ, None)
        self._wake_at = math.inf  # when the thread looks at the shelves next
        self._sweeping = False  # the end is near, and a last look is to be taken at those that are parked
        self._swept = threading.Event()
        self._ending = False  # only those that are taking an answer are kept
        self._closed = False
        # started now and not when it is needed, since then there may be no thread to be had
        self._thread = threading.Thread(target=self._run, name="pyrolite-lobby", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._selector.close()
            self._waker.close()
            raise

    @property
    def parked(self) -> int:
        """Number of parked connections."""
        return len(self._parked)

    # ---- coming in

    def admit(self, job: ClientConnectionJob) -> bool:
        """Wait for the CONNECT message of a new connection; False when that is not possible."""
        patience = handshake_patience(self._config)
        if job.denied_reason is None:
            return self._enter(self._pending, job, time.monotonic() + patience)
        deadline = time.monotonic() + min(patience, DENIAL_WAIT)
        with self._lock:
            if len(self._denied) >= MAX_DENIALS:
                return False
            self._denied[job] = deadline
        if self._enter(self._pending, job, deadline):
            return True
        with self._lock:
            self._denied.pop(job, None)
        return False

    def park(self, job: ClientConnectionJob) -> bool:
        """Wait for the next message of an established connection, and for its client to take the answer before.

        False when that is not possible.
        """
        conn = job.csock
        conn.unblock()
        if conn.output_pending:
            patience = conn.timeout or SEND_PATIENCE
            return self._enter(self._taking, job, time.monotonic() + patience, selectors.EVENT_WRITE)
        if conn.hold is not None:
            if conn.hold():
                return self._enter(self._on_hold, job, math.inf, 0)
            conn.hold = None
        if conn.buffered and conn.frame_ready(self._config.MAX_MESSAGE_SIZE):
            return self._submit(job)
        job.mark = conn.buffered or None
        return self._enter(self._parked, job, time.monotonic() + (conn.timeout or math.inf))

    def hand_over(self, job: ClientConnectionJob) -> None:
        """The message of ``job`` is complete: find a worker, or deny a new connection in time ([BYD-2])."""
        if job.denied_reason is not None:
            self._deny(job, job.denied_reason)
        elif not self._submit(job):
            job.finish()

    def _submit(self, job: ClientConnectionJob) -> bool:
        try:
            if self._pool.submit(job) or job.handshaken:
                return True
        except PoolError:
            return False
        # if the lobby cannot keep an eye on it, it just waits longer
        self._enter(self._in_line, job, time.monotonic() + max(SHORTEST_WAIT, self._config.THREADPOOL_WAIT))
        return True

    def _enter(
        self, shelf: _Shelf, job: ClientConnectionJob, deadline: float, events: int = selectors.EVENT_READ
    ) -> bool:
        with self._lock:
            if self._closed or (self._ending and shelf is not self._taking):
                return False
            try:
                if events and shelf is not self._in_line:
                    self._selector.register(job.csock.fileno(), events, job)
            except (OSError, ValueError) as error:
                log.warning("cannot watch the connection of %r: %s", job.caddr, error)
                return False
            shelf[job] = deadline
            if deadline < self._wake_at or len(self._pending) > MAX_PENDING or not _LIVE_REGISTRATION or not events:
                self._waker.wake()  # for those on hold, too: they may have been told to go on a moment ago
        return True

    def make_room(self) -> None:
        """There are no descriptors: drop the connections that keep others out without saying anything ([HRD-16])."""
        self._scarce = True
        self._waker.wake()

    def wakeup(self) -> None:
        """Look whether those on hold may go on."""
        if self._on_hold:
            self._waker.wake()

    # ---- the thread

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                timeout = self._sleep_time()
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    self._waker.clear()
                else:
                    self._look_at(key.data)
            if self._on_hold:
                self._release()
            self._expire()
            if self._sweeping:
                self._sweep()

    def _sleep_time(self) -> float | None:
        """Seconds until the next deadline.

        The time to wake up is not put off when its connection has gone: then the next connection need not wake the
        thread just to tell its deadline.
        """
        now = time.monotonic()
        shelves = self._pending, self._denied, self._parked, self._taking, self._in_line
        first = min(next(iter(shelf.values()), math.inf) for shelf in shelves)
        self._wake_at = first if self._wake_at <= now else min(first, self._wake_at)
        if len(self._pending) > MAX_PENDING:
            return 0.0
        return None if self._wake_at == math.inf else max(0.0, self._wake_at - now)

    def _look_at(self, job: ClientConnectionJob) -> None:
        """Something happened on a connection."""
        if job in self._taking:
            self._pass_on(job)
            return
        pending = job in self._pending
        if not pending and job not in self._parked:
            return
        conn = job.csock
        try:
            if job.tls_pending and not self._negotiated(job):
                return
            conn.fill()
            if not conn.frame_ready(self._config.MAX_MESSAGE_SIZE):
                if not pending and job.mark is None and conn.buffered:
                    self._time_message(job)
                return
            self._leave(job)
            if pending and conn.eof and not conn.buffered:
                log.debug("client %r left before the handshake", job.caddr)
                job.finish()
            else:
                self.hand_over(job)
        except Exception as error:
            level = logging.DEBUG if isinstance(error, OSError) else logging.WARNING
            log.log(level, "connection of %r failed: %s", job.caddr, error, exc_info=level > logging.DEBUG)
            self._leave(job)
            job.finish()

    def _time_message(self, job: ClientConnectionJob) -> None:
        """The time of a message runs, from its beginning or its latest progress on ([HRD-15])."""
        job.mark = job.csock.buffered
        self._renew(self._parked, job, job.csock.timeout or math.inf)

    def _renew(self, shelf: _Shelf, job: ClientConnectionJob, patience: float) -> None:
        with self._lock:
            shelf[job] = time.monotonic() + patience
            shelf.move_to_end(job)

    def _pass_on(self, job: ClientConnectionJob) -> None:
        """A client may take more of its answer."""
        conn = job.csock
        before = conn.output_pending
        try:
            done = conn.flush()
        except ConnectionClosedError as error:
            self._fail(job, error)
            return
        if done:
            self._leave(job)
            if not self.park(job):
                job.finish()
        elif conn.output_pending < before:
            self._renew(self._taking, job, conn.timeout or SEND_PATIENCE)

    def _release(self) -> None:
        """Let go on who is not to be held any more."""
        for job in list(self._on_hold):
            hold = job.csock.hold
            if hold is None or not hold():
                self._leave(job)
                if not self.park(job):
                    job.finish()

    def _fail(self, job: ClientConnectionJob, error: Exception) -> None:
        """End an established connection: a worker has to do that, because it runs a hook of user code."""
        self._leave(job)
        job.failure = error
        self.hand_over(job)

    def _negotiated(self, job: ClientConnectionJob) -> bool:
        """Go on with the TLS negotiation; True when it is complete."""
        events = job.negotiate()
        descriptor = job.csock.fileno()
        with self._lock:
            key = self._selector.get_key(descriptor)
            if key.events != (events or selectors.EVENT_READ):
                self._selector.modify(descriptor, events or selectors.EVENT_READ, job)
        return not events

    def _leave(self, job: ClientConnectionJob) -> None:
        """Take the connection off its shelf."""
        with self._lock:
            for shelf in (self._pending, self._parked, self._taking):
                if shelf.pop(job, None) is not None:
                    self._selector.unregister(job.csock.fileno())
            self._denied.pop(job, None)
            self._on_hold.pop(job, None)

    def _expire(self) -> None:
        """Deal with those whose time is up."""
        if self._scarce:
            self._drop_silent()
        now = time.monotonic()
        while (job := self._overdue(self._pending, now) or self._overdue(self._denied, now)) is not None:
            log.debug("no handshake from %r in time", job.caddr)
            self._leave(job)
            job.finish()
        while (job := self._overdue(self._parked, now)) is not None:
            if job.mark is not None and job.csock.buffered - job.mark >= MINIMUM_PROGRESS:
                self._time_message(job)
            else:
                self._fail(job, TimeoutError("receiving: timeout"))
        while (job := self._overdue(self._taking, now)) is not None:
            self._fail(job, TimeoutError("sending: timeout"))
        while (job := self._overdue(self._in_line, now)) is not None:
            self._line_too_long(job, now)

    def _drop_silent(self) -> None:
        self._scarce = False
        with self._lock:
            silent = self._silent.to_drop(self._pending)
        for job in silent:
            log.debug("no handshake from %r, and others are waiting", job.caddr)
            self._leave(job)
            job.finish()

    def _overdue(self, shelf: _Shelf, now: float) -> ClientConnectionJob | None:
        """The first one on ``shelf``, if its time is up or there are too many pending ones."""
        with self._lock:
            job = next(iter(shelf), None)
            if job is not None and (shelf[job] <= now or (shelf is self._pending and len(shelf) > MAX_PENDING)):
                return job
        return None

    def _line_too_long(self, job: ClientConnectionJob, now: float) -> None:
        """A new connection has waited for a worker as long as it may."""
        with self._lock:
            self._in_line.pop(job, None)
            if job.handshaken:  # and waits already for its next turn
                return
            if self._pool.waits(job) and self._pool.lends_soon():
                self._in_line[job] = now + 2 * BRIEF_WAIT
                return
        if self._pool.withdraw(job):
            self._deny(job, NO_WORKERS)

    def _deny(self, job: ClientConnectionJob, reason: str) -> None:
        job.csock.unblock()
        job.csock.buffer_output()
        job.denyConnection(reason)
        job.finish()

    # ---- the end

    def _sweep(self) -> None:
        """Let nobody in any more, and hand over those whose requests have arrived by now."""
        with self._lock:
            self._ending = True
        for job in list(self._parked):
            self._look_at(job)
        self._sweeping = False
        self._swept.set()

    def wind_down(self) -> list[ClientConnectionJob]:
        """Keep only what is being taken; gives back the other connections, for the server to finish."""
        if self._thread is not threading.current_thread():
            self._sweeping = True
            self._waker.wake()
            self._swept.wait(SWEEP_WAIT)
        else:
            self._sweep()
        with self._lock:
            self._ending = True
            jobs = [*self._pending, *self._parked]
            for job in jobs:
                self._selector.unregister(job.csock.fileno())
            jobs += self._on_hold
            for shelf in (self._pending, self._denied, self._parked, self._on_hold, self._in_line):
                shelf.clear()
        return jobs

    def close(self) -> list[ClientConnectionJob]:
        """End the thread; gives back the connections that were here, for the server to finish."""
        with self._lock:
            if self._closed:
                return []
            self._closed = True
            self._waker.wake()
            thread = self._thread
        if thread is not threading.current_thread():
            thread.join(1.0)
        with self._lock:
            jobs = [*self._pending, *self._parked, *self._taking, *self._on_hold]
            for shelf in (self._pending, self._denied, self._parked, self._taking, self._on_hold, self._in_line):
                shelf.clear()
        if not thread.is_alive():
            self._selector.close()
            self._waker.close()
        return jobs
