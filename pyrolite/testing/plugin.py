"""The pytest plugin: fixtures for tests of programs that use pyrolite ([BYD-30]). Loaded by pytest itself.

``pyro_config``      the global configuration, restored after the test
``pyro_daemon``      a daemon running in the background, on a free port
``pyro_serve``       function: object or class -> proxy that is connected to it
``pyro_nameserver``  a name server on free ports, which `locateNS` finds
``pyro_leakcheck``   the test fails when it leaves threads or sockets behind

The server type of ``pyro_daemon`` is the configured one; a test chooses others with
``@pytest.mark.parametrize("pyro_daemon", ["thread", "multiplex"], indirect=True)``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyrolite.configuration import Configuration
    from pyrolite.core import Daemon, Proxy
    from pyrolite.testing.services import RunningNameServer

__all__ = ["pyro_config", "pyro_daemon", "pyro_leakcheck", "pyro_nameserver", "pyro_serve"]

# The imports are inside of the fixtures, since pytest loads this module in every run, also of tests that have nothing
# to do with pyrolite.


@pytest.fixture
def pyro_config() -> Iterator[Configuration]:
    """pyrolite's global configuration; whatever the test changes is undone afterwards."""
    from pyrolite.testing.services import restored_config

    with restored_config() as config:
        yield config


@pytest.fixture
def pyro_daemon(request: pytest.FixtureRequest, pyro_config: Configuration) -> Iterator[Daemon]:
    """A daemon that serves in a thread of its own; parametrise it indirectly with the server type."""
    from pyrolite.testing.services import running_daemon

    with running_daemon(servertype=getattr(request, "param", None)) as running:
        yield running.daemon


@pytest.fixture
def pyro_serve(pyro_daemon: Daemon) -> Iterator[Callable[..., Proxy]]:
    """A function that registers an object or class in ``pyro_daemon`` and returns a proxy that is connected to it.

    Its optional second argument is the object id. Proxies are released and objects unregistered after the test.
    """
    from pyrolite.core import Proxy

    with contextlib.ExitStack() as stack:

        def serve(object_or_class: Any, objectId: str | None = None) -> Proxy:
            uri = pyro_daemon.register(object_or_class, objectId)
            stack.callback(pyro_daemon.unregister, object_or_class)
            proxy = stack.enter_context(Proxy(uri))
            proxy._pyroHmacKey = pyro_daemon._pyroHmacKey
            proxy._pyroBind()
            return proxy

        yield serve


@pytest.fixture
def pyro_nameserver(pyro_config: Configuration) -> Iterator[RunningNameServer]:
    """A name server; ``NS_HOST``, ``NS_PORT`` and ``NS_BCPORT`` lead to it and are restored afterwards."""
    from pyrolite.testing.services import running_nameserver

    with running_nameserver() as running:
        yield running


@pytest.fixture
def pyro_leakcheck() -> Iterator[None]:
    """The test fails when it leaves threads, sockets or connections behind.

    Ask for it before other fixtures, so that it looks after they have been undone.
    """
    from pyrolite.testing.leaks import leak_check

    with leak_check():
        yield
