"""Pyro5: no pickle, no HMAC, no inline oneway calls; a proxy belongs to one thread at a time."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.peers.base import Peer, Scenario, UnsupportedError
from benchmarks.peers.pyro_family import PyroClient, PyroServer


def refuse_what_is_missing(scenario: Scenario) -> None:
    """Raise UnsupportedError for what Pyro5 dropped."""
    if scenario.serializer == "pickle":
        raise UnsupportedError("no pickle")
    if scenario.hmac:
        raise UnsupportedError("no HMAC")
    if not scenario.oneway_threaded:
        raise UnsupportedError("oneway calls always have a thread")


class Pyro5Server(PyroServer):
    """A Pyro5 daemon."""

    library = "Pyro5.api"

    def __init__(self, scenario: Scenario) -> None:
        refuse_what_is_missing(scenario)
        super().__init__(scenario)

    def name_server_starter(self) -> Callable[..., tuple[Any, Any, Any]]:
        """Pyro5 calls it start_ns."""
        starter: Callable[..., tuple[Any, Any, Any]] = import_module("Pyro5.nameserver").start_ns
        return starter


class Pyro5Client(PyroClient):
    """Pyro5 proxies."""

    library = "Pyro5.api"

    def __init__(self, scenario: Scenario, address: Any) -> None:
        refuse_what_is_missing(scenario)
        super().__init__(scenario, address)

    def adopt(self, target: Any) -> None:
        """Make the proxy belong to this thread."""
        target._pyroClaimOwnership()

    def disconnect(self, target: Any) -> None:
        """Take the proxy back from the thread that had it, and close it."""
        self.adopt(target)
        super().disconnect(target)

    def storage_module(self) -> str:
        """Pyro5 has it elsewhere."""
        return "Pyro5.nameserver"

    def new_batch(self, target: Any) -> Any:
        """Pyro5 has a class for it."""
        return self.module.BatchProxy(target)


PEER = Peer("Pyro5", "Pyro5.api", "Pyro5", Pyro5Server, Pyro5Client, pyro_family=True)
