"""Certificates for the tests of TLS, made when they are needed ([TLS-11])."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: Password of the encrypted key.
PASSWORD = "open sesame"

_DAY = datetime.timedelta(days=1)


class Certificates(NamedTuple):
    """Files of certificates; each ``.pem`` has its key as well, unless there is a file for the key."""

    ca: Path
    #: for localhost, 127.0.0.1 and ::1, signed by ``ca``
    server: Path
    #: the same, the certificate alone, and its key with PASSWORD
    server_alone: Path
    server_key_encrypted: Path
    #: for another host, signed by ``ca``
    elsewhere: Path
    #: for localhost, no longer valid, signed by ``ca``
    expired: Path
    #: signed by ``ca``, for clients
    client: Path
    #: for localhost and clients, signed by nobody who is trusted
    stranger: Path

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        """Make all of them in ``directory``."""
        authority = _Authority("Test CA")
        ca = directory / "ca.pem"
        ca.write_bytes(_pem(authority.certificate))

        def issue(name: str, issuer: _Authority, hosts: tuple[str, ...], age: int = 0) -> tuple[Path, _Signed]:
            signed = issuer.sign(name, hosts, datetime.datetime.now(datetime.timezone.utc) - age * _DAY)
            path = directory / f"{name}.pem"
            path.write_bytes(_key_pem(signed.key) + _pem(signed.certificate))
            return path, signed

        here = ("localhost", "127.0.0.1", "::1")
        server, signed = issue("localhost", authority, here)
        server_alone, encrypted = directory / "certificate.pem", directory / "key.pem"
        server_alone.write_bytes(_pem(signed.certificate))
        encrypted.write_bytes(_key_pem(signed.key, PASSWORD))
        return cls(
            ca,
            server,
            server_alone,
            encrypted,
            issue("elsewhere", authority, ("elsewhere.example",))[0],
            issue("expired", authority, here, age=10)[0],
            issue("client", authority, ())[0],
            issue("stranger", _Authority("Strange CA"), here)[0],
        )


class _Signed(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class _Authority:
    """A CA of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc) - 20 * _DAY
        builder = self._builder(name, self._key, now).not_valid_after(now + 40 * _DAY)
        self.certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def sign(self, name: str, hosts: tuple[str, ...], now: datetime.datetime) -> _Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name, key, now).not_valid_after(now + 2 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        return _Signed(builder.sign(self._key, hashes.SHA256()), key)

    def _builder(self, name: str, key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey, password: str = "") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption(),
    )
