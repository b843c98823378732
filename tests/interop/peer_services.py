"""The peer processes of a test session and the services that run in them."""

from __future__ import annotations

from collections.abc import Mapping
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
#: kinds of services that serve one connection only, whatever the server type
CONNECTED = ("connected", "pair")
#: kind of service -> configuration items of its process, other than the defaults
CONFIGURATION: dict[str, dict[str, Any]] = {
    "compressing": {"COMPRESSION": True},
    "nolinger": {"ITER_STREAM_LINGER": 0},
    "nostreaming": {"ITER_STREAMING": False},
}
#: kind of service -> arguments of the peer's command ``start``, other than the defaults
ARGUMENTS: dict[str, dict[str, Any]] = {
    "hmac": {"hmac": HMAC_KEY},
    "ipv6": {"host": "::1"},
    "picky": {"accept": ["serpent", "json", "marshal"]},
    "nat": {"host": "127.0.0.1", "nathost": "localhost", "natport": 0},
}


class Peers:
    """All peer processes of the session, and what runs in them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._peers: dict[tuple[str, str], Peer] = {}
        self._services: dict[tuple[str, ...], Any] = {}
        self._failures: dict[tuple[str, ...], str] = {}
        self._pairs = 0

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

    def service(
        self, library: str, servertype: str, kind: str, certificates: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What a client needs to know to use a server of some kind: ``uris`` and more.

        ``certificates`` are the files for the kinds that begin with ``tls``. The configuration of the server's process
        is set as the kind needs it.
        """
        server = self.server(library)
        server("configure", **(_tls_items(kind, certificates) if certificates else CONFIGURATION.get(kind, {})))
        if kind == "connected":
            return {"uris": {}, "port": server("start_connected", name="connected")}
        if kind == "pair":
            self._pairs += 1
            path = str(self.directory / f"{library}-pair-{self._pairs}")
            server("start_pair", name="pair", path=path)
            return {"uris": {}, "path": path}
        key = (library, servertype, kind)
        self._failed(key)
        if key not in self._services:
            try:
                self._services[key] = self._start(server, servertype, kind)
            except PeerError as error:
                self._failures[key] = str(error)
                raise
        service: dict[str, Any] = self._services[key]
        return {**service, "certificates": certificates} if certificates else service

    def _start(self, server: Peer, servertype: str, kind: str) -> dict[str, Any]:
        name = f"{servertype}-{kind}"
        path = str(self.directory / f"{server.library}-{servertype}-{kind}")
        if "nameserver" in kind:
            return self._start_nameserver(server, servertype, kind, path)
        arguments = {"unixsocket": path} if kind == "unix" else ARGUMENTS.get(kind, {})
        return {"uris": server("start", name=name, servertype=servertype, **arguments)}

    def _start_nameserver(self, server: Peer, servertype: str, kind: str, path: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {"broadcast": kind == "nameserver", "servertype": servertype}
        uris = {}
        if not kind.startswith("tls"):
            uris = self.service(server.library, servertype, "daemon")["uris"]
        if kind == "nameserver_hmac":
            arguments["hmac"] = "ns key"
        elif kind == "nameserver_unix":
            arguments["unixsocket"] = path
        elif kind == "nameserver_ipv6":
            arguments["host"] = "::1"
        elif kind == "nameserver_nat":
            arguments |= {"nathost": "localhost", "natport": 0}
        return {"uris": uris, **server("start_nameserver", name=f"{servertype}-{kind}", **arguments)}

    def close(self) -> dict[str, str]:
        """End all programs; what they wrote to their error output, by program."""
        return {peer.name: peer.close() for peer in self._peers.values()}


def _tls_items(kind: str, certificates: Mapping[str, str]) -> dict[str, Any]:
    """The configuration items of a daemon with TLS."""
    certificate = certificates["elsewhere" if kind == "tls_elsewhere" else "server"]
    items = {"SSL": True, "SSL_SERVERCERT": certificate, "SSL_CACERTS": certificates["ca"]}
    return {**items, "SSL_REQUIRECLIENTCERT": kind == "tls_mutual"}
