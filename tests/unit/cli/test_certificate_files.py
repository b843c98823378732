"""What ``pyrolite-check`` says of certificate files ([CLI-30], [CLI-31], [SEC-36])."""

from __future__ import annotations

import re
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pyrolite.cli.certificates import look_at, validity
from pyrolite.cli.selftest import certificate_steps
from pyrolite.configuration import Configuration

PASSWORD = "open sesame"  # as in tests.certificates
NOW = datetime.now(timezone.utc)


def steps(**settings: Any) -> dict[str, Any]:
    config = Configuration().copy(**{name: str(value) for name, value in settings.items()})
    return {step.name: step for step in certificate_steps(config)}


def der_of(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(
        re.findall(r"-----BEGIN CERTIFICATE.*?END CERTIFICATE-----", path.read_text(), re.DOTALL)[0]
    )


def test_dates(certificates: Any) -> None:
    """As another reader of certificates sees them."""
    x509 = pytest.importorskip("cryptography.x509")
    for path in (certificates.ca, certificates.server, certificates.expired):
        parsed = x509.load_pem_x509_certificate(path.read_bytes())
        assert validity(der_of(path)) == (parsed.not_valid_before_utc, parsed.not_valid_after_utc)


def test_no_certificates(certificates: Any) -> None:
    """Damaged ones, too: a ValueError, nothing else."""
    der = der_of(certificates.server)
    for damaged in (*(der[:size] for size in range(0, 120, 3)), b"\x30\x03abc", b"\x00" * 40, b"\x30\xff" + der):
        with pytest.raises(ValueError):
            validity(damaged)


def test_proper_files(certificates: Any) -> None:
    told = steps(SSL_SERVERCERT=certificates.server, SSL_CLIENTCERT=certificates.client, SSL_CACERTS=certificates.ca)
    assert all(step.ok for step in told.values()), told
    assert "valid until " in told["SSL_SERVERCERT"].text
    told = steps(
        SSL_SERVERCERT=certificates.server_alone,
        SSL_SERVERKEY=certificates.server_key_encrypted,
        SSL_SERVERKEYPASSWD=PASSWORD,
    )
    assert all(step.ok for step in told.values()), told


def test_expired(certificates: Any) -> None:
    step = steps(SSL_SERVERCERT=certificates.expired)["SSL_SERVERCERT"]
    assert not step.ok
    assert "expired on " in step.text
    assert step.remedy


@pytest.mark.parametrize(
    ("before_the_end", "usable", "text"),
    [
        (timedelta(days=60), True, "valid until"),
        (timedelta(days=10, hours=1), True, "that is in 10 days"),
        (-timedelta(seconds=1), False, "expired on"),
    ],
)
def test_time_left(
    certificates: Any, before_the_end: timedelta, usable: bool, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warned of a month before, so that there is time to renew it."""
    begin, end = NOW - timedelta(days=300), NOW + timedelta(days=300)
    monkeypatch.setattr("pyrolite.cli.certificates.validity", lambda der: (begin, end))
    config = Configuration()
    finding = look_at("SSL_CACERTS", certificates.ca, config, end - before_the_end)
    assert finding.usable is usable
    assert text in finding.text
    assert bool(finding.remedy) is (before_the_end < timedelta(days=30))
    finding = look_at("SSL_CACERTS", certificates.ca, config, begin - timedelta(hours=1))
    assert not finding.usable
    assert "not valid before" in finding.text


def test_files_that_are_something_else(certificates: Any, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    (tmp_path / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n")
    assert "no certificate in it" in steps(SSL_CACERTS=tmp_path / "text.pem")["SSL_CACERTS"].text
    for name in ("text.pem", "damaged.pem", "missing.pem"):
        for item in ("SSL_CACERTS", "SSL_SERVERCERT", "SSL_CLIENTCERT"):
            assert not steps(**{item: tmp_path / name})[item].ok
    assert steps(SSL_CACERTS=tmp_path)["SSL_CACERTS"].ok  # a directory of authorities


def test_keys(certificates: Any, tmp_path: Path) -> None:
    """Of another certificate; readable by everybody."""
    told = steps(SSL_SERVERCERT=certificates.server, SSL_SERVERKEY=certificates.client)
    assert not told["SSL_SERVERCERT"].ok
    assert "has no private key of this certificate" in told["SSL_SERVERCERT"].cause
    # an encrypted key without its password: nobody is asked for it
    told = steps(SSL_SERVERCERT=certificates.server_alone, SSL_SERVERKEY=certificates.server_key_encrypted)
    assert not told["SSL_SERVERCERT"].ok
    key = tmp_path / "key.pem"
    key.write_bytes(certificates.server.read_bytes())
    key.chmod(0o644)
    step = steps(SSL_SERVERKEY=key)["SSL_SERVERKEY"]
    assert step.risky
    assert "can be read by other users" in step.text
    key.chmod(0o600)
    assert not steps(SSL_SERVERKEY=key)["SSL_SERVERKEY"].risky
