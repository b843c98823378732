"""pyrolite: Pyro4's API under another name."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import Peer
from benchmarks.peers.pyro_family import PyroClient, PyroServer


class PyroliteServer(PyroServer):
    """A pyrolite daemon."""

    library = "pyrolite"


class PyroliteClient(PyroClient):
    """pyrolite proxies."""

    library = "pyrolite"

    def set_prefetch(self, proxy: Any) -> None:
        """Let streams fetch several items at once."""
        proxy._pyroStreamPrefetch = self.scenario.prefetch


PEER = Peer("pyrolite", "pyrolite", "pyrolite-rpc", PyroliteServer, PyroliteClient, pyro_family=True)
