"""Pyro4."""

from __future__ import annotations

from benchmarks.peers.base import Peer
from benchmarks.peers.pyro_family import PyroClient, PyroServer

PEER = Peer("Pyro4", "Pyro4", "Pyro4", PyroServer, PyroClient, pyro_family=True)
