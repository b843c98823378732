"""Tells clients in the network where the name server is ([NS-30] to [NS-33])."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final

from pyrolite.configuration import config
from pyrolite.core import URI
from pyrolite.net.sockets import createBroadcastSocket, getInterfaceAddress
from pyrolite.socketserver.wakeup import Waker, wait_readable

__all__ = ["BroadcastServer"]

log: logging.Logger = logging.getLogger("pyrolite.naming")

REQUEST: Final = b"GET_NSURI"
#: Bytes of a datagram that are looked at.
REQUEST_SIZE: Final = 100
#: Seconds to wait for a datagram in `BroadcastServer.processRequest`.
RECEIVE_TIMEOUT: Final = 2.0
_ALL_INTERFACES: Final = frozenset(("0.0.0.0", "::"))  # noqa: S104 - compared, not bound


class _Transport:
    """What `Daemon.combine` needs to serve the responder in the loop of a daemon."""

    def __init__(self, server: BroadcastServer) -> None:
        self._server = server
        self.sockets: list[BroadcastServer] = [server]

    def events(self, eventsockets: Iterable[Any]) -> None:
        """Answer the requests that have arrived."""
        for _ in eventsockets:
            self._server.processRequest()


class BroadcastServer:
    """Answers broadcast requests for the name server with its URI.

    Args:
        nsUri: the URI of the name server that is not translated by NAT.
        bchost: the host to bind to, default NS_BCHOST or else all interfaces.
        bcport: the UDP port, 0 for a random one, default NS_BCPORT.
        ipv6: use IPv6, as is done when the name server does.

    Raises:
        OSError: the address cannot be bound.

    Thread safety: `close` may be called from any thread.
    """

    __module__ = "pyrolite.naming"

    def __init__(self, nsUri: URI, bchost: str | None = None, bcport: int | None = None, ipv6: bool = False) -> None:
        self.nsUri = nsUri
        if bcport is None:
            bcport = config.NS_BCPORT
        host = bchost or config.NS_BCHOST or ""
        ipv6 = ipv6 or ":" in (nsUri.host or "")
        bind = (host or "::", bcport, 0, 0) if ipv6 else (host, bcport)
        self._waker = Waker()
        try:
            self.sock: socket.socket = createBroadcastSocket(
                bind, reuseaddr=config.SOCK_REUSE, timeout=RECEIVE_TIMEOUT, ipv6=ipv6
            )
        except BaseException:
            self._waker.close()
            raise
        self.running: bool = True
        self._serving: threading.Thread | None = None
        self._name: str = host or self.sock.getsockname()[0]
        shown = f"[{self._name}]" if ":" in self._name else self._name
        self.locationStr: str = f"{shown}:{self.getPort()}"
        self.transportServer: _Transport = _Transport(self)
        log.info("ns broadcast server created on %s", self.locationStr)

    def __repr__(self) -> str:
        return f"<pyrolite.naming.BroadcastServer at 0x{id(self):x}; {self.locationStr}>"

    def getPort(self) -> int:
        """The UDP port."""
        port: int = self.sock.getsockname()[1]
        return port

    def fileno(self) -> int:
        """The descriptor to wait for; -1 when closed."""
        return self.sock.fileno()

    def processRequest(self) -> None:
        """Answer one datagram if it is a request; waits for it at most 2 seconds. Socket errors are ignored."""
        try:
            data, sender = self.sock.recvfrom(REQUEST_SIZE)
            if data == REQUEST:
                self.sock.sendto(str(self._uri_for(sender)).encode("iso-8859-1"), sender)
        except (OSError, UnicodeError) as error:  # nothing came, or the sender cannot be reached
            log.debug("broadcast request not answered: %s", error)

    def _uri_for(self, sender: Any) -> URI:
        """The URI for a client there: it cannot connect to "all interfaces"."""
        uri = URI(self.nsUri)
        if uri.host in _ALL_INTERFACES:
            uri.host = getInterfaceAddress(sender[0])
        log.debug("responding to a broadcast request of %r: %s", sender, uri)
        return uri

    def runInThread(self) -> threading.Thread:
        """Answer requests in a thread until `close`; returns the thread."""
        thread = threading.Thread(target=self._serve, name="pyrolite-broadcast", daemon=True)
        self._serving = thread
        thread.start()
        return thread

    def _serve(self) -> None:
        descriptors = self.sock.fileno(), self._waker.fileno()
        try:
            while self.running:
                wait_readable(descriptors, None)
                if self.running:
                    self._process_safely()
        finally:
            self._release()

    def _process_safely(self) -> None:
        """One datagram; whatever it is about it that nobody has thought of, the next one is answered."""
        try:
            self.processRequest()
        except Exception as error:
            log.warning("error in a broadcast request: %s", error, exc_info=True)

    def close(self) -> None:
        """End; may be repeated. The thread, if there is one, closes the socket, but that is waited for."""
        self.running = False
        thread = self._serving
        if thread is None or not thread.is_alive():
            self._release()
            return
        self._waker.wake()
        if thread is not threading.current_thread():
            thread.join(RECEIVE_TIMEOUT)

    def _release(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()
        self._waker.close()

    def __enter__(self) -> BroadcastServer:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
