"""The peer processes of a test session and the services that run in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import Peer, PeerError

#: direction -> library of the client, library of the server; the control shows what the others have to find
DIRECTIONS = {
    "control": ("Pyro4", "Pyro4"),
    "to_pyro4": ("pyrolite", "Pyro4"),
    "from_pyro4": ("Pyro4", "pyrolite"),
    "pyrolite": ("pyrolite", "pyrolite"),
}
HMAC_KEY = "s\xe9cret"


class Peers:
    """All peer processes of the session, and what runs in them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._peers: dict[tuple[str, str], Peer] = {}
        self._services: dict[tuple[str, ...], Any] = {}
        self._failures: dict[tuple[str, ...], str] = {}

    def peer(self, script: str, library: str) -> Peer:
        """The running program, started if needed."""
        key = (script, library)
        if key not in self._peers or self._peers[key].closed:
            self._failed(key)
            self._services = {k: v for k, v in self._services.items() if k[0] != library or script != "peer_server.py"}
            try:
                self._peers[key] = Peer(script, library)
            except PeerError as error:
                self._failures[key] = str(error)
                raise
        return self._peers[key]

    def _failed(self, key: tuple[str, ...]) -> None:
        if key in self._failures:  # do not wait again and again for what cannot start
            raise PeerError(self._failures[key])

    def client(self, library: str) -> Peer:
        """The client program of ``library``."""
        return self.peer("peer_client.py", library)

    def server(self, library: str) -> Peer:
        """The server program of ``library``."""
        return self.peer("peer_server.py", library)

    def service(self, library: str, servertype: str, kind: str) -> dict[str, Any]:
        """What a client needs to know to use a server of some kind: ``uris`` and more."""
        if kind == "connected":  # serves one connection only
            return {"uris": {}, "port": self.server(library)("start_connected", name="connected")}
        server = self.server(library)
        if kind == "compressing":
            server("configure", COMPRESSION=True)
        elif kind == "daemon":
            server("configure")
        key = (library, servertype, kind)
        self._failed(key)
        if key not in self._services:
            try:
                self._services[key] = self._start(server, servertype, kind)
            except PeerError as error:
                self._failures[key] = str(error)
                raise
        return self._services[key]

    def _start(self, server: Peer, servertype: str, kind: str) -> dict[str, Any]:
        name = f"{servertype}-{kind}"
        if kind.startswith("nameserver"):
            server("configure", SERVERTYPE=servertype)
            hmac = "ns key" if kind == "nameserver_hmac" else None
            service = server("start_nameserver", name=name, hmac=hmac, broadcast=hmac is None)
            return {"uris": self.service(server.library, servertype, "daemon")["uris"], **service}
        arguments: dict[str, Any] = {}
        if kind == "hmac":
            arguments["hmac"] = HMAC_KEY
        elif kind == "unix":
            arguments["unixsocket"] = str(self.directory / f"{server.library}-{servertype}")
        elif kind == "ipv6":
            arguments["host"] = "::1"
        elif kind == "picky":
            arguments["accept"] = ["serpent", "json", "marshal"]
        return {"uris": server("start", name=name, servertype=servertype, **arguments)}

    def close(self) -> dict[str, str]:
        """End all programs; what they wrote to their error output, by program."""
        return {peer.name: peer.close() for peer in self._peers.values()}
