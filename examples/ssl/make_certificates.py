"""Makes certificates for trying TLS: python make_certificates.py [DIRECTORY]. Needs the package cryptography.

``ca.pem``: the authority that both sides trust. ``server.pem``, ``client.pem``: a certificate and its key each.
``stranger.pem``: for a client, by an authority that nobody knows. They are valid for two days.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    def __init__(self, name: str) -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))

    def issue(self, directory: Path, name: str, *, host: bool) -> None:
        """Write a file with a new key and its certificate; for a host, it is valid for this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Ltd"),
                x509.NameAttribute(NameOID.COMMON_NAME, "localhost" if host else name),
            ]
        )
        certificate = self._issue(subject, key, x509.BasicConstraints(ca=False, path_length=None))
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = directory / f"{name}.pem"
        path.touch(mode=0o600)
        path.write_bytes(text + certificate.public_bytes(serialization.Encoding.PEM))

    def _issue(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, constraints: x509.BasicConstraints
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        issuer = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(constraints, critical=True)
            .add_extension(_usage(authority=constraints.ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "certificates")
    directory.mkdir(exist_ok=True)
    authority = Authority("Example authority")
    (directory / "ca.pem").write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    authority.issue(directory, "server", host=True)
    authority.issue(directory, "client", host=False)
    Authority("Unknown authority").issue(directory, "stranger", host=False)
    print("made", ", ".join(sorted(path.name for path in directory.glob("*.pem"))))


if __name__ == "__main__":
    main()
