"""The libraries that are compared: one module each, with PEER describing it.

To add one, write ``<name>_peer.py`` here with `PEER` and put its name into `PEER_MODULES`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from benchmarks.peers.base import Peer

PEER_MODULES = {
    "pyrolite": "pyrolite_peer",
    "pyro4": "pyro4_peer",
    "pyro5": "pyro5_peer",
    "rpyc": "rpyc_peer",
    "managers": "managers_peer",
    "thriftpy2": "thriftpy2_peer",
    "floor": "floor",
}


def load_peer(name: str) -> Peer:
    """Return the peer called `name` (KeyError: unknown); its library is not imported yet."""
    peer: Peer = import_module(f"benchmarks.peers.{PEER_MODULES[name]}").PEER
    return peer


def installed(peer: Peer) -> bool:
    """Tell if the peer's library can be imported here."""
    return find_spec(peer.library.partition(".")[0]) is not None
