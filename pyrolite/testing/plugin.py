"""The pytest plugin: fixtures for tests of programs that use pyrolite ([BYD-30]). Loaded by pytest itself.

``pyro_config``      the global configuration, restored after the test
``pyro_daemon``      a daemon running in the background, on a free port
``pyro_serve``       function: object or class -> proxy that is connected to it
``pyro_nameserver``  a name server on free ports, which `locateNS` finds
``pyro_leakcheck``   the test fails when it leaves threads or sockets behind

The server type of ``pyro_daemon`` is the configured one; a test chooses others with
``@pytest.mark.parametrize("pyro_daemon", ["thread", "multiplex"], indirect=True)``. Instead of a server type there can
be a dict of arguments for `running_daemon`. The same goes for ``pyro_nameserver`` and `running_nameserver`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
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
def pyro_config(request: pytest.FixtureRequest) -> Iterator[Configuration]:
    """pyrolite's global configuration; whatever the test changes is undone afterwards."""
    from pyrolite.testing.services import restored_config

    if "pyro_leakcheck" in request.fixturenames:  # looks last, whatever the order in which the test asks for fixtures
        request.getfixturevalue("pyro_leakcheck")
    with restored_config() as config:
        yield config


@pytest.fixture
def pyro_daemon(request: pytest.FixtureRequest, pyro_config: Configuration) -> Iterator[Daemon]:
    """A daemon that serves in a thread of its own.

    Parametrise it indirectly with the server type, or with a dict of arguments for `running_daemon`.
    """
    from pyrolite.testing.services import running_daemon

    with running_daemon(**_options(request)) as running:
        yield running.daemon


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a fixture was parametrised with."""
    chosen: Any = getattr(request, "param", None)
    return dict(chosen) if isinstance(chosen, Mapping) else {"servertype": chosen}


@pytest.fixture
def pyro_serve(pyro_daemon: Daemon) -> Iterator[Callable[..., Proxy]]:
    """A function that registers an object or class in ``pyro_daemon`` and returns a proxy that is connected to it.

    Its optional second argument is the object id. Proxies are released and objects unregistered after the test.
    """
    from pyrolite.core import Proxy
    from pyrolite.testing.services import _unregister

    with contextlib.ExitStack() as stack:

        def serve(object_or_class: Any, objectId: str | None = None) -> Proxy:
            uri = pyro_daemon.register(object_or_class, objectId)
            stack.callback(_unregister, pyro_daemon, {uri.object: object_or_class})
            proxy = stack.enter_context(Proxy(uri))
            proxy._pyroHmacKey = pyro_daemon._pyroHmacKey
            proxy._pyroBind()
            return proxy

        yield serve


@pytest.fixture
def pyro_nameserver(request: pytest.FixtureRequest, pyro_config: Configuration) -> Iterator[RunningNameServer]:
    """A name server; ``NS_HOST``, ``NS_PORT`` and ``NS_BCPORT`` lead to it and are restored afterwards.

    Parametrise it indirectly with the server type, or with a dict of arguments for `running_nameserver`.
    """
    from pyrolite.testing.services import running_nameserver

    with running_nameserver(**_options(request)) as running:
        yield running


@pytest.fixture
def pyro_leakcheck() -> Iterator[None]:
    """The test fails when it leaves threads, sockets or connections behind.

    It looks when the other fixtures of pyrolite have been undone. Ask for it before fixtures of your own that start
    something, or let those ask for it.
    """
    from pyrolite.testing.leaks import leak_check

    with leak_check():
        yield
