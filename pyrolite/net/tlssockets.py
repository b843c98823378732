"""Which sockets and errors are those of TLS, told without loading the ssl module for programs that use none ([BYD-60]).

As long as nobody has loaded that module, there are no such sockets and errors.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, TypeGuard

from pyrolite import lazily

if TYPE_CHECKING:
    import ssl
else:
    ssl = lazily.module("ssl", globals())

__all__ = ["is_tls", "is_tls_error", "wants_reading", "wants_writing", "would_block"]


def is_tls(sock: object) -> TypeGuard[ssl.SSLSocket]:
    """Whether this is a socket with TLS."""
    return "ssl" in sys.modules and isinstance(sock, ssl.SSLSocket)


def is_tls_error(error: object) -> TypeGuard[ssl.SSLError]:
    """Whether this is an error of TLS; these have numbers of their own, not those of the system."""
    return "ssl" in sys.modules and isinstance(error, ssl.SSLError)


def wants_reading(error: object) -> bool:
    """Whether TLS has to receive something before the operation can be repeated."""
    return "ssl" in sys.modules and isinstance(error, ssl.SSLWantReadError)


def wants_writing(error: object) -> bool:
    """Whether TLS has to send something before the operation can be repeated."""
    return "ssl" in sys.modules and isinstance(error, ssl.SSLWantWriteError)


def would_block() -> tuple[type[OSError], ...]:
    """The errors that tell that a socket is not ready yet, to be named in an ``except`` clause."""
    return _with_tls() if "ssl" in sys.modules else (BlockingIOError,)


@functools.cache
def _with_tls() -> tuple[type[OSError], ...]:
    return BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError
