"""Serves over TLS, and only clients with a certificate: python server.py [DIRECTORY_OF_CERTIFICATES]."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyrolite


@pyrolite.expose
class Safe:
    def content(self) -> str:
        return "gold"


class CertificateDaemon(pyrolite.Daemon):
    def validateHandshake(self, conn: pyrolite.socketutil.SocketConnection, data: Any) -> Any:
        """The authority has been checked already; who is it?"""
        certificate = conn.getpeercert() or {}
        names = {key: value for part in certificate.get("subject", ()) for key, value in part}
        print("a client with the certificate of", names.get("commonName"), "from", names.get("organizationName"))
        if names.get("organizationName") != "Example Ltd":
            raise ValueError("wrong organization")
        return super().validateHandshake(conn, data)


def main() -> None:
    certificates = Path(sys.argv[1] if len(sys.argv) > 1 else "certificates")
    pyrolite.config.SSL = True
    pyrolite.config.SSL_SERVERCERT = str(certificates / "server.pem")  # has the key as well
    pyrolite.config.SSL_CACERTS = str(certificates / "ca.pem")  # whose clients are let in
    pyrolite.config.SSL_REQUIRECLIENTCERT = True
    with CertificateDaemon() as daemon:
        print("the safe is ready:", daemon.register(Safe))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
