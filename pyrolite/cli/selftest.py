"""Whether this installation works: serializers, addresses, certificates, and calls over loopback ([CLI-30])."""

from __future__ import annotations

import contextlib
import importlib.metadata
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pyrolite.cli.certificates import look_at
from pyrolite.cli.doctor import Step
from pyrolite.configuration import Configuration
from pyrolite.configuration.risks import risks
from pyrolite.constants import VERSION
from pyrolite.core import Daemon, Proxy, expose
from pyrolite.net import addresses
from pyrolite.serializers import _serializers

__all__ = ["certificate_steps", "host_step", "risk_steps", "self_test", "serializer_lines"]

_ALL: Final = ("serpent", "json", "marshal", "pickle", "cloudpickle", "dill", "msgpack")
#: Values that all serializers take.
_VALUES: Final = ["text", 42, 1.5, None, True, [1, 2]]


def serializer_lines(config: Configuration) -> list[dict[str, Any]]:
    """For each serializer: its name, whether it is available, the version of its package, whether servers accept it."""
    lines = []
    for name in _ALL:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = f"pyrolite {VERSION}" if name in _serializers else ""
        accepted = name in config.SERIALIZERS_ACCEPTED
        lines.append({"name": name, "available": name in _serializers, "version": version, "accepted": accepted})
    return lines


def host_step(config: Configuration) -> Step:
    """What HOST resolves to; on a loopback address, servers are for this machine only."""
    try:
        found = addresses.getIpAddress(config.HOST)
    except (OSError, ValueError) as error:
        return Step("HOST", False, 0.0, f"{config.HOST}: {error}", "HOST is no address of this machine.", "Correct it.")
    loopback = found.startswith("127.") or found == "::1"
    who = "loopback, servers are for this machine only" if loopback else "no loopback address, for the network"
    return Step("HOST", True, 0.0, f"{config.HOST} is {found}: {who}")


def certificate_steps(config: Configuration) -> Iterator[Step]:
    """Whether the files of the TLS items can be used, now and for some time to come."""
    for item in ("SSL_SERVERCERT", "SSL_SERVERKEY", "SSL_CLIENTCERT", "SSL_CLIENTKEY", "SSL_CACERTS"):
        name = getattr(config, item)
        if not name:
            continue
        try:
            finding = look_at(item, Path(name), config)
        except OSError as error:
            why = error.strerror or str(error)
            yield Step(item, False, 0.0, f"{name}: {why}", f"{item} cannot be read.", "Correct the path or the rights.")
        except ValueError as error:
            yield Step(item, False, 0.0, f"{name}: {error}", f"{item} has no proper certificate.", "Make a new one.")
        else:
            yield Step(item, finding.usable, 0.0, finding.text, finding.cause, finding.remedy)


def risk_steps(config: Configuration, key: bytes | None) -> Iterator[Step]:
    """What is dangerous about the configuration, if it is that of a server or client."""
    for item, text, remedy in risks(config, key):
        yield Step(item, True, 0.0, text, remedy=f"{remedy[0].upper()}{remedy[1:]}.")


@expose
class Echo:
    """What the self-test calls."""

    def echo(self, value: Any) -> Any:
        """Return the value."""
        return value

    def items(self) -> Iterator[int]:
        """Yield 0, 1, 2."""
        yield from range(3)


def self_test(config: Configuration) -> Iterator[Step]:
    """Call through each serializer, and read a stream, over a loopback address.

    Nobody else can use the daemon: it has a random key.
    """
    try:
        with _running_daemon(config) as (daemon, key):
            for name in sorted(_serializers):
                yield _tried(daemon, key, name)
    except OSError as error:
        yield Step(
            "self-test", False, 0.0, str(error), "No server can be started on 127.0.0.1.", "See what the system allows."
        )


def _tried(daemon: Daemon, key: bytes, name: str) -> Step:
    step = f"call with {name}"
    config = daemon._pyroConfig.copy(SERIALIZER=name)
    try:
        with Proxy(daemon.uriFor("echo"), config=config) as proxy:
            proxy._pyroHmacKey = key
            if proxy.echo(_VALUES) != _VALUES:
                raise ValueError("the values came back changed")
            if list(proxy.items()) != [0, 1, 2]:
                raise ValueError("the stream came back changed")
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return Step(step, False, 0.0, text, "The serializer does not work.", f"Install {name} again, or do not use it.")
    return Step(step, True, 0.0, "values and a stream came back as they were")


@contextlib.contextmanager
def _running_daemon(config: Configuration) -> Iterator[tuple[Daemon, bytes]]:
    own = config.copy(
        SERIALIZERS_ACCEPTED=set(_serializers),
        SSL=False,
        NATHOST=None,
        ITER_STREAMING=True,
        METADATA=True,
        REQUIRE_EXPOSE=True,
        MAX_MESSAGE_SIZE=0,
        COMMTIMEOUT=10.0,
    )
    key = secrets.token_bytes(32)
    with Daemon("127.0.0.1", config=own) as daemon:
        daemon._pyroHmacKey = key
        daemon.register(Echo(), "echo")
        thread = threading.Thread(target=daemon.requestLoop, name="pyrolite-selftest", daemon=True)
        thread.start()
        try:
            yield daemon, key
        finally:
            daemon.shutdown()
            thread.join()
