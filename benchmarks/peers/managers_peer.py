"""multiprocessing.managers of the standard library, over loopback TCP (pickle only)."""

from __future__ import annotations

import threading
from multiprocessing.managers import BaseManager
from typing import Any

from benchmarks.peers.base import Client, Peer, Scenario, Server, UnsupportedError
from benchmarks.service import Service

AUTHKEY = b"benchmark"
EXPOSED = ("add", "echo", "sink", "source", "fail")


def refuse_what_is_missing(scenario: Scenario) -> None:
    """Raise UnsupportedError for what managers do not have."""
    if scenario.certificate:
        raise UnsupportedError("no TLS")
    if scenario.hmac:
        raise UnsupportedError("messages are not signed")
    if scenario.server_type != "thread":
        raise UnsupportedError("threads only")


class ManagersServer(Server):
    """A manager's server object in a thread."""

    def start(self) -> Any:
        """Serve one Service; return host and port."""
        refuse_what_is_missing(self.scenario)
        service = Service(self.scenario.size)

        class ServiceManager(BaseManager):
            """Hands out the one service."""

        ServiceManager.register("get_service", lambda: service, exposed=EXPOSED)
        self._server: Any = ServiceManager(("127.0.0.1", 0), AUTHKEY).get_server()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        address: Any = self._server.address
        return list(address)

    def stop(self) -> None:
        """Close the listening socket; the thread notices within a second."""
        self._server.stop_event.set()
        self._server.listener.close()


class ManagersClient(Client):
    """Proxies of a manager; each thread gets a connection of its own from the library."""

    def __init__(self, scenario: Scenario, address: Any) -> None:
        super().__init__(scenario, address)
        refuse_what_is_missing(scenario)
        if scenario.connections:
            raise UnsupportedError("one connection per thread")

        class ServiceManager(BaseManager):
            """Finds the one service."""

        ServiceManager.register("get_service", exposed=EXPOSED)
        self._manager = ServiceManager(tuple(address), AUTHKEY)
        self._manager.connect()

    def connect(self) -> Any:
        """Return a proxy."""
        return self._manager.get_service()  # type: ignore[attr-defined]

    def disconnect(self, target: Any) -> None:
        """Nothing: the connection belongs to the thread, the proxy goes away by itself."""

    def connect_call_close(self) -> Any:
        """Connections cannot be closed by hand."""
        raise UnsupportedError("one connection per thread")

    def stream(self) -> Any:
        """Generators cannot be returned."""
        raise UnsupportedError("no streams")

    def attribute(self) -> Any:
        """Only methods are exposed."""
        raise UnsupportedError("no attributes")


PEER = Peer("managers", "multiprocessing.managers", "", ManagersServer, ManagersClient)
