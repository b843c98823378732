"""What the gateway shows and calls in its tests: a name server and a daemon with objects of all kinds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyrolite.core import Daemon, Proxy, current_context, expose, oneway
from pyrolite.testing import running_daemon, running_nameserver

#: A name that would be a script in a page that does not escape it.
HOSTILE = "http.<script>document.title='taken'</script>\"'&"


@expose
class Calculator:
    """Methods of all kinds."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._precision = 3

    def add(self, a: Any, b: Any = 2) -> Any:
        """Add two values."""
        return a + b

    def echo(self, message: Any = None) -> Any:
        """Return the message."""
        return message

    def divide(self, a: int, b: int) -> float:
        """Divide <one> by another."""
        return a / b

    def whatever(self, **more: Any) -> dict[str, Any]:
        return more

    def items(self) -> Iterator[int]:
        yield 1

    def not_finite(self) -> float:
        return float("nan")

    def correlation(self) -> str:
        return str(current_context.correlation_id)

    @oneway
    def note(self, text: str) -> None:
        """Take a note."""
        self.seen.append(text)

    def nothing(self) -> None:
        """Return nothing."""

    def strange(self) -> None:
        raise type('Bad"\r\nX-Evil: 1', (Exception,), {})("strange")

    def __dunder__(self) -> str:
        return "private"

    @property
    def precision(self) -> int:
        """Digits."""
        return self._precision


class Site(NamedTuple):
    daemon: Daemon
    calculator: Calculator
    nameserver: Any
    nameserver_daemon: Daemon


@contextlib.contextmanager
def running_site(hmac_key: str | None = None) -> Iterator[Site]:
    """A name server that is configured as the one to be found, and a calculator in it."""
    calculator = Calculator()
    with (
        running_nameserver(hmac_key=hmac_key) as names,
        running_daemon({"calculator": calculator, "a/b": Calculator()}, hmac_key=hmac_key) as running,
        Proxy(names.uri) as nameserver,
    ):
        nameserver._pyroHmacKey = hmac_key
        nameserver.register("http.calculator", running.uris["calculator"])
        nameserver.register("http.a/b", running.uris["a/b"])
        nameserver.register(HOSTILE, running.uris["calculator"])
        nameserver.register("secret.calculator", running.uris["calculator"])
        nameserver.register("http.gone", "PYRO:gone@127.0.0.1:1")
        yield Site(running.daemon, calculator, nameserver, names.daemon)
