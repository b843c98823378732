"""thriftpy2 (optional): binary protocol, buffered transport, a thread per connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from time import monotonic, sleep
from typing import Any

from benchmarks.peers.base import Client, Peer, Scenario, Server, UnsupportedError
from benchmarks.service import Service

HOST = "127.0.0.1"
TIMEOUT = 60_000  # milliseconds
INTERFACE = """
exception Failure { 1: string text }
service BenchmarkService {
    i32 add(1: i32 a, 2: i32 b),
    binary echo(1: binary value),
    i32 sink(1: binary data),
    binary source(),
    oneway void note(),
    void fail() throws (1: Failure failure)
}
"""


def load_interface() -> Any:
    """Return the module that thriftpy2 makes of INTERFACE."""
    return import_module("thriftpy2").load_fp(StringIO(INTERFACE), "benchmark_thrift")


def refuse_what_is_missing(scenario: Scenario) -> None:
    """Raise UnsupportedError for what this peer does not do."""
    if scenario.certificate or scenario.hmac:
        raise UnsupportedError("plain connections only")
    if scenario.server_type != "thread":
        raise UnsupportedError("threads only")


class ThriftServer(Server):
    """A TThreadedServer in a thread."""

    def start(self) -> Any:
        """Serve one Service; return the port."""
        refuse_what_is_missing(self.scenario)
        interface = load_interface()

        class Handler(Service):
            """Service whose failure is the declared exception."""

            def fail(self) -> None:
                raise interface.Failure("benchmark")

        rpc: Any = import_module("thriftpy2.rpc")
        handler = Handler(self.scenario.size)
        self._server = rpc.make_server(interface.BenchmarkService, handler, HOST, 1, client_timeout=TIMEOUT)
        self._server.trans.port = 0  # any free one; make_server does not take it
        threading.Thread(target=self._server.serve, daemon=True).start()
        deadline = monotonic() + 10
        while monotonic() < deadline:  # thriftpy2 offers nothing to wait for
            listener = self._server.trans.sock
            if listener is not None and listener.getsockname()[1]:
                return listener.getsockname()[1]
            sleep(0.01)
        raise TimeoutError("the server does not listen")

    def stop(self) -> None:
        """Close the listening socket."""
        self._server.close()
        self._server.trans.close()


class ThriftClient(Client):
    """Clients made from the interface."""

    def __init__(self, scenario: Scenario, address: Any) -> None:
        super().__init__(scenario, address)
        refuse_what_is_missing(scenario)
        self._interface = load_interface()
        self._make_client: Any = import_module("thriftpy2.rpc").make_client
        self.expected_error = self._interface.Failure

    def connect(self) -> Any:
        """Return a connected client."""
        return self._make_client(self._interface.BenchmarkService, HOST, self.address, timeout=TIMEOUT)

    def disconnect(self, target: Any) -> None:
        """Close the client."""
        target.close()

    def call_oneway(self, target: Any) -> Callable[[], object]:
        """``note`` is oneway in the interface."""
        note: Callable[[], object] = target.note
        return note

    def echo_nested(self) -> Any:
        """Values of any shape are not what thrift is for."""
        raise UnsupportedError("needs a declared structure")

    def stream(self) -> Any:
        """Thrift has no generators."""
        raise UnsupportedError("no streams")

    def attribute(self) -> Any:
        """Thrift has only calls."""
        raise UnsupportedError("no attributes")


PEER = Peer("thriftpy2", "thriftpy2.rpc", "thriftpy2", ThriftServer, ThriftClient)
