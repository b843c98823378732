"""RPyC: a service used through ``conn.root``, values by copy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from time import monotonic, sleep
from typing import Any

from benchmarks.peers.base import Client, Peer, Scenario, Server, UnsupportedError
from benchmarks.service import Service

HOST = "127.0.0.1"
REQUEST_TIMEOUT = 60
METHODS = ("add", "echo", "sink", "source", "note", "stream", "fail")


def refuse_what_is_missing(scenario: Scenario) -> None:
    """Raise UnsupportedError for what RPyC does not have."""
    if scenario.hmac:
        raise UnsupportedError("no HMAC")
    if scenario.server_type != "thread":
        raise UnsupportedError("threads only")


def by_value(value: Any) -> Any:
    """Return dicts and lists as tuples: RPyC would send references to them, and copies only immutable values."""
    if isinstance(value, dict):
        return tuple((key, by_value(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(by_value(item) for item in value)
    return value


class RpycServer(Server):
    """A ThreadedServer in a thread."""

    def start(self) -> Any:
        """Serve one Service; return the port."""
        refuse_what_is_missing(self.scenario)
        rpyc: Any = import_module("rpyc")
        service = Service(self.scenario.size)
        members: dict[str, Any] = {f"exposed_{name}": staticmethod(getattr(service, name)) for name in METHODS}
        members["exposed_value"] = property(lambda _: service.value)
        root = type("BenchmarkService", (rpyc.Service,), members)
        authenticator = None
        if self.scenario.certificate:
            authenticators: Any = import_module("rpyc.utils.authenticators")
            authenticator = authenticators.SSLAuthenticator(self.scenario.private_key, self.scenario.certificate)
        servers: Any = import_module("rpyc.utils.server")
        self._server = servers.ThreadedServer(root, hostname=HOST, port=0, authenticator=authenticator, backlog=1024)
        threading.Thread(target=self._server.start, daemon=True).start()
        deadline = monotonic() + 10
        while not self._server.active and monotonic() < deadline:  # RPyC offers nothing to wait for
            sleep(0.01)
        return self._server.port

    def stop(self) -> None:
        """Close the server and its connections."""
        self._server.close()


class RpycClient(Client):
    """``conn.root`` of a connection per target."""

    def __init__(self, scenario: Scenario, address: Any) -> None:
        super().__init__(scenario, address)
        refuse_what_is_missing(scenario)
        self._rpyc: Any = import_module("rpyc")

    def connect(self) -> Any:
        """Return the root of a new connection."""
        config = {"sync_request_timeout": REQUEST_TIMEOUT}
        if self.scenario.certificate:
            certificate = self.scenario.certificate
            return self._rpyc.ssl_connect(HOST, self.address, ca_certs=certificate, config=config).root
        return self._rpyc.connect(HOST, self.address, config=config).root

    def disconnect(self, target: Any) -> None:
        """Close the connection behind the root."""
        object.__getattribute__(target, "____conn__").close()

    def nested(self) -> Any:
        """Nested tuples."""
        return by_value(super().nested())

    def call_oneway(self, target: Any) -> Callable[[], object]:
        """Asynchronous calls whose results nobody reads come closest."""
        note: Callable[[], object] = self._rpyc.async_(target.note)
        return note


PEER = Peer("RPyC", "rpyc", "rpyc", RpycServer, RpycClient)
