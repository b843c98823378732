"""What certificate files say of the time in which they are valid, and whether a key fits ([SEC-36])."""

from __future__ import annotations

import os
import re
import ssl
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final, NamedTuple

from pyrolite.configuration import Configuration

__all__ = ["Finding", "key_fits", "look_at", "validity"]

#: Certificates that end sooner than this are warned of.
SOON: Final = timedelta(days=30)

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
#: Tags of ASN.1.
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_LONG_FORM: Final = 0x80
#: Two digits of the year 1950 and later (RFC 5280).
_PIVOT: Final = 50


class Finding(NamedTuple):
    """What is to be said of a file; ``usable`` False: it cannot be used."""

    usable: bool
    text: str
    cause: str = ""
    remedy: str = ""


def look_at(item: str, path: Path, config: Configuration, now: datetime | None = None) -> Finding:
    """What there is to say of the file of a TLS item; of several certificates, that which ends first counts.

    Args:
        item: name of the item of the configuration.
        path: its file, or directory of authorities.
        config: where the other items are.
        now: default the present time.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return Finding(usable=True, text=f"{path} has {len(list(path.iterdir()))} files")
    data = path.read_bytes()
    if item.endswith("KEY"):
        return _key(path)
    periods = [validity(ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))) for pem in _PEM.findall(data)]
    if not periods:
        return Finding(
            usable=False,
            text=f"{path}: no certificate in it",
            cause=f"{item} needs certificates in PEM format.",
            remedy="Name the right file; openssl x509 -inform DER -in FILE converts others.",
        )
    finding = _period(path, periods if item == "SSL_CACERTS" else periods[:1], now or datetime.now(timezone.utc))
    if not finding.usable or item == "SSL_CACERTS":
        return finding
    kind = item.removesuffix("CERT")
    problem = key_fits(path, getattr(config, f"{kind}KEY"), getattr(config, f"{kind}KEYPASSWD"))
    if problem:
        return Finding(
            usable=False,
            text=f"{path}: {problem}",
            cause=f"{kind}KEY (or, without it, {item} itself) has no private key of this certificate.",
            remedy="Name the key that the certificate was made for, and its password.",
        )
    return finding


def _key(path: Path) -> Finding:
    mode = path.stat().st_mode
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        return Finding(
            usable=True,
            text=f"{path} can be read by other users ({stat.filemode(mode)})",
            cause="Whoever has the private key can pretend to be this server or client.",
            remedy=f"chmod 600 {path}",
        )
    return Finding(usable=True, text=f"{path} can be read")


def _period(path: Path, periods: list[tuple[datetime, datetime]], now: datetime) -> Finding:
    begin = max(begin for begin, _ in periods)
    end = min(end for _, end in periods)
    until = f"valid until {end:%Y-%m-%d}"
    if end <= now:
        return Finding(
            usable=False,
            text=f"{path}: expired on {end:%Y-%m-%d}",
            cause="The certificate is not valid any more: all peers will refuse it.",
            remedy="Renew it.",
        )
    if begin > now:
        return Finding(
            usable=False,
            text=f"{path}: not valid before {begin:%Y-%m-%d %H:%M} UTC",
            cause="The certificate is not valid yet, or the clock of this machine is slow.",
            remedy="Correct the clocks.",
        )
    if end - now < SOON:
        return Finding(
            usable=True,
            text=f"{path}, {until}, that is in {(end - now).days} days",
            cause="When it has expired, nobody can connect any more.",
            remedy="Renew it, and start the programs again that use it.",
        )
    return Finding(usable=True, text=f"{path}, {until}")


def key_fits(certificate: Path, key: str, password: str) -> str:
    """Why the private key is not that of the certificate; empty when it is."""
    try:
        # the password is given in any case: without one, OpenSSL asks for it at the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key or None, password=password or "")
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", None) or error)
    return ""


# ---- the part of ASN.1 that it takes to find the dates


def validity(der: bytes) -> tuple[datetime, datetime]:
    """From when until when a certificate is valid.

    Raises:
        ValueError: this is no certificate.
    """
    tag, certificate, _ = _element(der)
    tag, body, _ = _element(certificate)
    tag, value, rest = _element(body)
    if tag == _VERSION:
        tag, value, rest = _element(rest)  # the serial number
    for _ in ("signature", "issuer"):
        tag, value, rest = _element(rest)
    tag, value, rest = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("no certificate")
    begin_tag, begin, rest = _element(value)
    end_tag, end, _ = _element(rest)
    return _time(begin_tag, begin), _time(end_tag, end)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and value of the first element, and what follows it."""
    if len(data) < 2:
        raise ValueError("certificate ends early")
    size, begin = data[1], 2
    if size >= _LONG_FORM:
        begin += size - _LONG_FORM
        size = int.from_bytes(data[2:begin], "big")
    if begin + size > len(data):
        raise ValueError("certificate ends early")
    return data[0], data[begin : begin + size], data[begin + size :]


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _PIVOT else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time where a certificate has it")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
