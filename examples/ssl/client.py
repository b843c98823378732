"""Uses a server over TLS: with its own certificate, with none, and with one of a stranger.

python client.py [URI [DIRECTORY_OF_CERTIFICATES]]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyrolite


class CertificateProxy(pyrolite.Proxy):
    def _pyroValidateHandshake(self, response: Any) -> None:
        """The authority and the name of the host have been checked already; more can be looked at here."""
        assert self._pyroConnection is not None
        certificate = self._pyroConnection.getpeercert() or {}
        names = {key: value for part in certificate.get("subject", ()) for key, value in part}
        print("  the server has the certificate of", names.get("commonName"), "from", names.get("organizationName"))
        if names.get("organizationName") != "Example Ltd":
            raise pyrolite.errors.SecurityError("this is another server")


def attempt(uri: str, what: str) -> None:
    print(what)
    try:
        with CertificateProxy(uri) as safe:
            print("  the safe contains", safe.content())
    except pyrolite.errors.CommunicationError as error:
        print("  no connection:", type(error).__name__)


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the safe: ")
    certificates = Path(sys.argv[2] if len(sys.argv) > 2 else "certificates")
    attempt(uri, "without TLS:")
    pyrolite.config.SSL = True
    attempt(uri, "without knowing the authority:")
    pyrolite.config.SSL_CACERTS = str(certificates / "ca.pem")  # whose servers are trusted
    attempt(uri, "without a certificate:")
    pyrolite.config.SSL_CLIENTCERT = str(certificates / "stranger.pem")
    attempt(uri, "with the certificate of a stranger:")
    pyrolite.config.SSL_CLIENTCERT = str(certificates / "client.pem")
    attempt(uri, "with the right certificate:")


if __name__ == "__main__":
    main()
