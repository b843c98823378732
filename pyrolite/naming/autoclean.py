"""Removes registrations whose server is gone ([NS-27] to [NS-29])."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from pyrolite import constants
from pyrolite.commandline import visible
from pyrolite.configuration import Configuration
from pyrolite.configuration import config as global_config
from pyrolite.core import URI
from pyrolite.net.addresses import lookup

if TYPE_CHECKING:
    from pyrolite.naming.server import NameServer

__all__ = ["AutoCleaner"]

log: logging.Logger = logging.getLogger("pyrolite.naming")

_KEPT: Final = frozenset((constants.NAMESERVER_NAME, constants.DAEMON_NAME))
#: Seconds to wait for a connection when COMMTIMEOUT is not set.
PATIENCE: Final = 5.0
#: Seconds between looks at whether to stop, while waiting for a connection.
GLANCE: Final = 0.1
_UNDERWAY: Final = frozenset((errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, getattr(errno, "WSAEWOULDBLOCK", 0)))


#: Errors that say nothing about the server: no descriptors, memory, or local ports left here.
_OWN_TROUBLE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL))


class _Stopped(Exception):
    """The cleaner has to end."""


class AutoCleaner(threading.Thread):
    """Tries now and then to connect every registered URI, and removes those that are unreachable for a while.

    Args:
        nameserver: the name server, in this process.
        config: where NS_AUTOCLEAN (seconds between rounds) and COMMTIMEOUT are read.

    Raises:
        ValueError: NS_AUTOCLEAN is too small.

    Thread safety: `stop` may be called from any thread.
    """

    __module__ = "pyrolite.naming"

    #: NS_AUTOCLEAN in seconds, at least
    min_autoclean_value: float = 3
    #: accept smaller values, for tests
    override_autoclean_min: bool = False
    #: seconds after which an unreachable registration is removed
    max_unreachable_time: float = 20.0
    #: seconds between looks at the clock
    loop_delay: float = 2.0

    def __init__(self, nameserver: NameServer, *, config: Configuration | None = None) -> None:
        super().__init__(name="pyrolite-autoclean", daemon=True)
        self._config = config or global_config
        self.check_interval(self._config.NS_AUTOCLEAN)
        self.nameserver = nameserver
        self._stopping = threading.Event()
        #: name -> its URI, and since when (monotonic time) that cannot be connected
        self._unreachable: dict[str, tuple[str, float]] = {}

    @classmethod
    def check_interval(cls, seconds: float) -> None:
        """Refuse a value of NS_AUTOCLEAN that is too small; 0 is off.

        Raises:
            ValueError: it is.
        """
        if 0 < seconds < cls.min_autoclean_value and not cls.override_autoclean_min:
            raise ValueError(f"NS_AUTOCLEAN cannot be smaller than {cls.min_autoclean_value}")

    def stop(self) -> None:
        """End the thread, and wait for that at most half a second."""
        self._stopping.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(0.5)

    def run(self) -> None:
        """Work until `stop`."""
        last_round = time.monotonic()
        while not self._stopping.wait(self.loop_delay):
            interval = self._config.NS_AUTOCLEAN
            if interval > 0 and time.monotonic() - last_round >= interval:
                try:
                    self._clean()
                except _Stopped:
                    return
                except Exception as error:  # the storage may work again in the next round
                    log.warning("autoclean: round failed: %s", error, exc_info=True)
                last_round = time.monotonic()

    def _clean(self) -> None:
        """One round over all registrations.

        Raises:
            _Stopped: the thread has to end.
        """
        names = self.nameserver._names
        entries = names.snapshot(metadata=False)
        self._unreachable = {name: since for name, since in self._unreachable.items() if name in entries}
        reachable: dict[str, bool] = {}  # by location: many objects live in one server
        for name, (uri, _) in entries.items():
            if name in _KEPT:
                continue
            try:
                self._check(name, uri, reachable)
            except _Stopped:
                raise
            except Exception as error:
                log.warning("autoclean: cannot check %r (%r): %s", name, uri, error)

    def _check(self, name: str, text: str, reachable: dict[str, bool]) -> None:
        uri = URI(text)
        location = uri.location
        if uri.protocol != "PYRO" or location is None:
            return
        if location not in reachable:
            reachable[location] = self._can_connect(uri)
        if reachable[location]:
            self._unreachable.pop(name, None)
            return
        now = time.monotonic()
        known, since = self._unreachable.get(name, (text, now))
        if known != text:
            since = now
        self._unreachable[name] = text, since
        if now - since >= self.max_unreachable_time and self.nameserver._names.discard((name,), uri=text):
            del self._unreachable[name]
            log.info(
                "autoclean: unregistering %s; cannot connect uri %s for %d sec",
                visible(name),
                visible(text),
                now - since,
            )

    def _can_connect(self, uri: URI) -> bool:
        """Whether somebody accepts connections there, at one of its addresses.

        Raises:
            OSError: this process lacks something, so nothing can be said about the server.
            _Stopped: the thread has to end.
        """
        if uri.sockname is not None:
            return self._can_connect_to(socket.AF_UNIX, uri.sockname)
        try:
            addresses = lookup(str(uri.host), uri.port)
        except (OSError, OverflowError, UnicodeError):  # no such host, or nothing that could be one
            return False
        return any(self._can_connect_to(family, address) for family, address in addresses)

    def _can_connect_to(self, family: int, address: Any) -> bool:
        """The same for one address.

        Raises:
            OSError: this process lacks something, so nothing can be said about the server.
            _Stopped: the thread has to end.
        """
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                return self._connect(sock, address)
        except OSError as error:
            if error.errno in _OWN_TROUBLE:
                raise
            return False

    def _connect(self, sock: socket.socket, address: Any) -> bool:
        """Connect without blocking, so that `stop` is noticed."""
        sock.setblocking(False)
        result = sock.connect_ex(address)
        if result in _OWN_TROUBLE:
            raise OSError(result, os.strerror(result))
        if result not in _UNDERWAY:
            return result == 0
        if result == errno.EAGAIN and address == str(address):  # a Unix domain socket whose server is busy
            return True
        deadline = time.monotonic() + (self._config.COMMTIMEOUT or PATIENCE)
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_WRITE)
            while time.monotonic() < deadline:
                if self._stopping.is_set():
                    raise _Stopped
                if selector.select(GLANCE):
                    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        return False
