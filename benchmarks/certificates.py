"""A certificate for 127.0.0.1, made with the openssl program for the time of a run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def make_certificate(directory: Path) -> tuple[str, str]:
    """Return the files of a new self-signed certificate and its key; empty names if there is no openssl program."""
    program = shutil.which("openssl")
    if program is None:
        return "", ""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return str(certificate), str(key)
