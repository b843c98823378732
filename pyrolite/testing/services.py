"""Context managers: an isolated configuration, a running daemon, a running name server ([OV-37])."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pyrolite.configuration import Configuration, config
from pyrolite.core import URI, Daemon

__all__ = ["RunningDaemon", "RunningNameServer", "restored_config", "running_daemon", "running_nameserver"]

#: Seconds within which the loop of a daemon has to end after its shutdown.
END_TIMEOUT = 10.0


class RunningDaemon(NamedTuple):
    """A daemon that serves in a thread of its own, and the URIs of its objects by their object ids."""

    daemon: Daemon
    uris: dict[str, URI]


class RunningNameServer(NamedTuple):
    """A name server that serves in a thread of its own."""

    uri: URI
    daemon: Daemon


@contextlib.contextmanager
def restored_config(**items: Any) -> Iterator[Configuration]:
    """Set configuration items, and restore the whole global configuration on exit.

    Args:
        items: configuration items and their values for the duration.

    Raises:
        AttributeError, TypeError, ValueError: an item or value is wrong.

    Thread safety: the configuration is global; other threads see the changes.
    """
    saved = {key: set(value) if isinstance(value, set) else value for key, value in config.asDict().items()}
    try:
        for key, value in items.items():
            setattr(config, key, value)
        yield config
    finally:
        for key, value in saved.items():
            setattr(config, key, value)


@contextlib.contextmanager
def running_daemon(
    objects: Mapping[str, Any] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    unixsocket: str | None = None,
    servertype: str | None = None,
    hmac_key: bytes | str | None = None,
    daemon_class: type[Daemon] = Daemon,
    **items: Any,
) -> Iterator[RunningDaemon]:
    """Run a daemon in a background thread; shut it down and unregister the objects on exit.

    Args:
        objects: object ids and the objects or classes to register with them.
        host: where to listen, default the loopback interface.
        port: TCP port, 0 for a free one.
        unixsocket: name of a Unix socket to listen on instead.
        servertype: ``thread`` or ``multiplex``, default as configured.
        hmac_key: key for signed messages; set the same as ``_pyroHmacKey`` of the proxies.
        daemon_class: the class to make the daemon of, called as `Daemon`.
        items: configuration items, for this daemon only ([BYD-33]).

    Raises:
        DaemonError: an object is registered already.
        OSError: the address cannot be used.
        RuntimeError: the loop of the daemon does not end on exit.

    Thread safety: several daemons may run at the same time.
    """
    if servertype is not None:
        items["SERVERTYPE"] = servertype
    options: dict[str, Any] = {"unixsocket": unixsocket} if unixsocket else {"host": host, "port": port}
    if items:
        options["config"] = config.copy(**items)
    daemon = daemon_class(**options)
    registered: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        stack.callback(daemon.close)
        if hmac_key is not None:
            daemon._pyroHmacKey = hmac_key
        stack.callback(_unregister, daemon, registered)
        uris = {}
        for name, thing in (objects or {}).items():
            uris[name] = daemon.register(thing, name)
            registered[name] = thing
        stack.enter_context(_serving(daemon))
        yield RunningDaemon(daemon, uris)


def _unregister(daemon: Daemon, registered: dict[str, Any]) -> None:
    """Take the marks of the registration off the objects, so that the next daemon can have them."""
    for name, thing in registered.items():
        if daemon.objectsById.get(name) is thing:
            daemon.unregister(thing)


@contextlib.contextmanager
def _serving(daemon: Daemon) -> Iterator[None]:
    """Run the loop of a daemon in a thread; an exception of the loop is raised on exit."""
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            daemon.requestLoop()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=serve, name="pyrolite-testing-daemon", daemon=True)
    thread.start()
    try:
        yield
    finally:
        daemon.shutdown()
        thread.join(END_TIMEOUT)
        if thread.is_alive():
            raise RuntimeError(f"the loop of {daemon!r} did not end within {END_TIMEOUT:g} s after its shutdown")
        if failures:
            raise failures[0]


@contextlib.contextmanager
def running_nameserver(
    *,
    hmac_key: bytes | str | None = None,
    storage: Any = None,
    broadcast: bool = False,
    servertype: str | None = None,
) -> Iterator[RunningNameServer]:
    """Run a name server on free loopback ports, as the one that `locateNS` finds; all is restored on exit.

    ``NS_HOST``, ``NS_PORT`` and ``NS_BCPORT`` (and ``BROADCAST_ADDRS``) are set for the duration, so that neither the
    name server of the site is found nor this one by others.

    Args:
        hmac_key: key for signed messages.
        storage: as for ``startNS``, default in memory.
        broadcast: also answer broadcast look-ups, on the loopback interface.
        servertype: ``thread`` or ``multiplex``, default as configured.

    Raises:
        RuntimeError: the loop of the name server does not end on exit.

    Thread safety: the configuration is global, so only one name server at a time.
    """
    # not needed by most tests, so the pytest plugin does not load it
    from pyrolite import naming
    from pyrolite.naming.broadcast import BroadcastServer

    with contextlib.ExitStack() as stack:
        stack.enter_context(restored_config(**({} if servertype is None else {"SERVERTYPE": servertype})))
        uri, daemon, _ = naming.startNS(host="127.0.0.1", port=0, enableBroadcast=False, storage=storage, hmac=hmac_key)
        stack.callback(daemon.close)
        if broadcast:
            responder = stack.enter_context(BroadcastServer(uri, bchost="127.0.0.1", bcport=0))
            broadcast_port = responder.getPort()
            thread = responder.runInThread()
            stack.callback(thread.join, END_TIMEOUT)
            stack.callback(responder.close)
        else:  # a port that is taken and never answers
            silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            silent.bind(("127.0.0.1", 0))
            broadcast_port = silent.getsockname()[1]
        assert uri.port is not None
        config.NS_HOST, config.NS_PORT, config.NS_BCPORT = "127.0.0.1", uri.port, broadcast_port
        config.BROADCAST_ADDRS = "127.0.0.1"
        stack.enter_context(_serving(daemon))
        yield RunningNameServer(uri, daemon)
