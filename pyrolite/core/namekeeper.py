"""Keeps the objects of a daemon registered in name servers, with leases that are renewed ([BYD-14])."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Any, Final

from pyrolite.core import clientside
from pyrolite.core.context import set_aside
from pyrolite.core.uri import URI
from pyrolite.errors import CommunicationError, NamingError, PyroError
from pyrolite.net import forks

if TYPE_CHECKING:
    from pyrolite.core.daemon import Daemon

__all__ = ["NameKeeper"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: A lease is renewed this many times before it would end.
RENEWALS: Final = 3
#: Seconds that a call of the name server may take; when the daemon ends, it waits less.
PATIENCE: Final = 5.0
LAST_PATIENCE: Final = 2.0
#: Seconds after which a renewal that failed is tried again, at the latest.
RETRY_PAUSE: Final = 2.0


class _Registration:
    """A name that stands for an object of the daemon."""

    def __init__(
        self, object_id: str, name: str, uri: URI, metadata: Iterable[str] | None, ttl: float, server: _Server
    ) -> None:
        self.object_id = object_id
        self.name = name
        self.uri = uri
        # a text is refused by the name server, which has a better message
        self.metadata = metadata if metadata is None or isinstance(metadata, str) else list(metadata)
        self.ttl = ttl
        self.server = server
        #: monotonic time of the next renewal
        self.due = time.monotonic() + ttl / RENEWALS
        #: what is in the way of renewals, said once
        self.trouble = ""


class _Server:
    """A name server: the given one, or the one that is found whenever a connection is needed."""

    def __init__(self, given: Any, daemon: Daemon) -> None:
        self.given = given
        self._daemon = daemon
        self._proxy: Any = None
        #: whether it understands ``ttl``, None: not known yet. Pyro4's does not.
        self._leases: bool | None = None

    def _connected(self, patience: float) -> Any:
        given = self.given
        if given is not None and not isinstance(given, (str, URI)) and not hasattr(given, "_pyroUri"):
            return given  # the name server itself, in this process
        if self._proxy is None:
            self._leases = None
            self._proxy = self._new_proxy()
        self._proxy._pyroTimeout = min(self._proxy._pyroTimeout or patience, patience)
        return self._proxy

    def _new_proxy(self) -> Any:
        given, config = self.given, self._daemon._pyroConfig
        if given is None:
            return clientside.locate_nameserver(hmac_key=self._daemon._pyroHmacKey, config=config)
        if isinstance(given, (str, URI)):
            proxy = clientside.make_proxy(given, config=config)
            proxy._pyroHmacKey = self._daemon._pyroHmacKey
            return proxy
        return given.__copy__()  # with a connection of its own: the caller may close his

    def do(self, action: Callable[[Any], None], patience: float = PATIENCE) -> None:
        """Call ``action`` with the name server.

        Raises:
            PyroError: it cannot be reached, or refuses.
        """
        with set_aside():
            try:
                action(self._connected(patience))
            except CommunicationError:
                self.release()
                raise

    def register(self, nameserver: Any, entry: _Registration) -> None:
        """Register with a lease where that is known, else without."""
        if self._leases is not False:
            try:
                nameserver.register(entry.name, entry.uri, metadata=entry.metadata, ttl=entry.ttl)
            except TypeError as error:
                if "'ttl'" not in str(error):
                    raise
                self._leases = False
                log.info("the name server knows no leases: %r is registered without", entry.name)
            else:
                self._leases = True
                return
        nameserver.register(entry.name, entry.uri, metadata=entry.metadata)

    def release(self) -> None:
        """Close the connection; the next call makes another one."""
        proxy, self._proxy = self._proxy, None
        if proxy is not None:
            proxy._pyroRelease()


class NameKeeper:
    """The names of a daemon's objects, and the thread that renews them while the daemon serves.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._lock = threading.Lock()  # protects the next two; never held during a call
        self._entries: list[_Registration] = []
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        # one call of a name server at a time; `_lock` is taken inside
        self._calling = threading.Lock()
        self._generation = forks.generation
        #: monotonic time when the daemon did its housekeeping last
        self.last_housekeeping: float = time.monotonic()

    def add(
        self, object_id: str, name: str, uri: URI, nameserver: Any, metadata: Iterable[str] | None, ttl: float
    ) -> None:
        """Register a name, and keep it.

        Raises:
            NamingError, CommunicationError: there is no name server, or it refuses.
            TypeError, ValueError: an argument is wrong.
        """
        if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
            raise TypeError("ttl must be a number of seconds")
        if not ttl > 0:
            raise ValueError("ttl must be more than 0 seconds")
        if self._stopping.is_set():
            raise PyroError("the daemon has ended")
        with self._calling:
            server = self._server(nameserver)
            entry = _Registration(object_id, name, uri, metadata, ttl, server)
            try:
                server.do(lambda nameserver: server.register(nameserver, entry))
            except BaseException:
                self._release_unused(server)
                raise
            with self._lock:
                self._entries = [
                    other for other in self._entries if (other.name, other.object_id) != (name, object_id)
                ] + [entry]
                if self._thread is None:
                    self.last_housekeeping = time.monotonic()
                    self._thread = threading.Thread(target=self._run, name="pyrolite-names", daemon=True)
                    self._thread.start()

    def _server(self, given: Any) -> _Server:
        """What was made for the same name server before, or a new one."""
        with self._lock:
            known = (entry.server for entry in self._entries if entry.server.given is given)
            return next(known, None) or _Server(given, self._daemon)

    def _release_unused(self, server: _Server) -> None:
        """Close the connection that no name needs any more; nobody else calls meanwhile."""
        with self._lock:
            used = any(entry.server is server for entry in self._entries)
        if not used:
            server.release()

    def drop_missing(self, object_ids: Container[str]) -> None:
        """Remove the names of objects that are not among these any more."""
        with self._lock:
            gone = [entry for entry in self._entries if entry.object_id not in object_ids]
            self._entries = [entry for entry in self._entries if entry not in gone]
        self._remove(gone)

    def close(self) -> None:
        """Remove all names, and end; may be repeated. Waits a few seconds at most when a name server is stuck."""
        if self._generation != forks.generation:  # they belong to the parent process
            return
        self._stopping.set()
        with self._lock:
            entries, self._entries = self._entries, []
            thread = self._thread
        if entries:
            self._remove(entries)
        if thread is not None and thread is not threading.current_thread():
            thread.join(LAST_PATIENCE)

    def _remove(self, entries: list[_Registration]) -> None:
        if not entries or not self._calling.acquire(timeout=LAST_PATIENCE):
            return
        try:
            deadline = time.monotonic() + LAST_PATIENCE
            for entry in entries:
                left = deadline - time.monotonic()
                if left > 0:
                    self._remove_one(entry, left)
            for entry in entries:
                self._release_unused(entry.server)
        finally:
            self._calling.release()

    def _remove_one(self, entry: _Registration, patience: float) -> None:
        """Remove a name, unless it stands for something else by now."""

        def remove(nameserver: Any) -> None:
            if _registered(nameserver, entry.name) == entry.uri:
                nameserver.remove(entry.name)

        try:
            entry.server.do(remove, patience)
        except (PyroError, OSError) as error:
            log.warning("could not remove %r from the name server: %s", entry.name, error)

    # ---- the thread

    def _run(self) -> None:
        while True:
            with self._lock:
                due = min((entry.due for entry in self._entries), default=time.monotonic() + PATIENCE)
            if self._stopping.wait(max(0.01, due - time.monotonic())):
                return
            with self._lock:
                entries = [entry for entry in self._entries if entry.due <= time.monotonic()]
            for entry in entries:
                self._attend(entry)

    def _attend(self, entry: _Registration) -> None:
        """Renew a lease, if the daemon serves and the name is still to be kept."""
        pause = entry.ttl / RENEWALS
        with self._calling:
            if self._stopping.is_set() or entry not in self._entries:
                return
            if not self._serves(entry.ttl):
                self._tell(entry, "the daemon does not serve")
                entry.due = time.monotonic() + min(pause, RETRY_PAUSE)
                return
            try:
                entry.server.do(lambda nameserver: self._renew(nameserver, entry))
            except Exception as error:  # whatever it is, it may be over the next time
                self._tell(entry, str(error))
                pause = min(pause, RETRY_PAUSE)
            entry.due = time.monotonic() + pause

    def _serves(self, ttl: float) -> bool:
        """Whether the daemon has done its housekeeping lately: one that is stuck must not keep its names."""
        patience = ttl + 2 * (self._daemon._pyroConfig.POLLTIMEOUT or 0)
        return time.monotonic() - self.last_housekeeping <= patience

    def _renew(self, nameserver: Any, entry: _Registration) -> None:
        registered = _registered(nameserver, entry.name)
        if registered is not None and registered != entry.uri:
            self._tell(entry, f"it is registered as {registered}")
            return
        entry.server.register(nameserver, entry)
        if entry.trouble or registered is None:
            log.info("%r is registered in the name server again", entry.name)
        entry.trouble = ""

    @staticmethod
    def _tell(entry: _Registration, trouble: str) -> None:
        if trouble != entry.trouble:
            entry.trouble = trouble
            log.warning("cannot keep the name %r in the name server: %s", entry.name, trouble)


def _registered(nameserver: Any, name: str) -> URI | None:
    """What a name stands for; None: nothing."""
    try:
        uri: URI = nameserver.lookup(name)
    except NamingError as error:
        if str(error).startswith("unknown name"):
            return None
        raise
    return uri
