"""Starts name servers: `startNS` for programs, `startNSloop` and `main` for the command line ([NS-34] to [NS-38])."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from pyrolite.commandline import Lifetime, OptionParser, checked_port, errors_in_one_line, hmac_key, say
from pyrolite.configuration import config
from pyrolite.core import URI
from pyrolite.core.uri import bracketed
from pyrolite.naming.broadcast import BroadcastServer
from pyrolite.naming.server import NameServerDaemon

__all__ = ["main", "startNS", "startNSloop"]

NO_KEY_WARNING: Final = "Warning: HMAC key not set. Anyone can connect to this server!"

_EPILOG: Final = """\
examples:
  pyrolite-ns                              for programs on this computer only
  pyrolite-ns -n 192.168.1.5               for the network, found by broadcast
  pyrolite-ns -s sql:/var/lib/names.sqlite with names that survive a restart
  pyrolite-ns -s postgresql:///names       one of several that share a PostgreSQL database
  pyrolite-ns -u /run/names.socket         on a Unix domain socket

All options have defaults in the configuration, and so in environment variables such as PYRO_NS_PORT.
The environment variable PYRO_HMAC_KEY is the key that clients need to connect.

Signals: SIGTERM and SIGINT (Ctrl-C) end it when the calls in progress are finished, a second one at once.
Exit code: 0 ended by a signal, 1 something cannot be used (one line on stderr says what), 2 wrong usage.
"""


class _Started(NamedTuple):
    """A name server that is ready to serve; ``remark`` says why there is no broadcast responder."""

    uri: URI
    internal_uri: URI
    daemon: NameServerDaemon
    broadcast: BroadcastServer | None
    remark: str


def _start(
    host: str | None,
    port: int | None,
    enableBroadcast: bool,
    bchost: str | None,
    bcport: int | None,
    unixsocket: str | None,
    nathost: str | None,
    natport: int | None,
    storage: Any,
    hmac: bytes | str | None,
) -> _Started:
    with address_named(unixsocket, host or config.HOST, config.NS_PORT if port is None else port):
        daemon = NameServerDaemon(host, port, unixsocket, nathost=nathost, natport=natport, storage=storage)
    try:
        daemon._pyroHmacKey = hmac
        uri = daemon.uriFor(daemon.nameserver)
        internal_uri = daemon.uriFor(daemon.nameserver, nat=False)
        responder, remark = None, ""
        if enableBroadcast and not unixsocket:
            bound = daemon.sock.getsockname()[0]
            if ":" in bound:
                remark = "Not starting broadcast server for IPv6."
            elif bound.startswith("127."):
                remark = "Not starting broadcast server for localhost."
            else:
                with address_named(None, bchost or config.NS_BCHOST, config.NS_BCPORT if bcport is None else bcport):
                    responder = BroadcastServer(internal_uri, bchost, bcport)
    except BaseException:
        daemon.close()
        raise
    return _Started(uri, internal_uri, daemon, responder, remark)


@contextlib.contextmanager
def address_named(unixsocket: str | None, host: str | None, port: int) -> Iterator[None]:
    """Have errors of the system say which address they are about ([HRD-45])."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = unixsocket or f"{bracketed(host or '')}:{port}"
        raise


def startNS(
    host: str | None = None,
    port: int | None = None,
    enableBroadcast: bool = True,
    bchost: str | None = None,
    bcport: int | None = None,
    unixsocket: str | None = None,
    nathost: str | None = None,
    natport: int | None = None,
    storage: Any = None,
    hmac: bytes | str | None = None,
) -> tuple[URI, NameServerDaemon, BroadcastServer | None]:
    """Make a name server that is ready to serve, without serving yet.

    The caller runs ``daemon.requestLoop()`` and ``broadcastserver.runInThread()``, or combines them.

    Args:
        host: where to listen, default HOST.
        port: TCP port, 0 for a random one, default NS_PORT.
        enableBroadcast: answer broadcast requests; never done on loopback, IPv6, and Unix domain sockets.
        bchost: where to listen for these, default NS_BCHOST or all interfaces.
        bcport: the UDP port for these, default NS_BCPORT.
        unixsocket: name of a Unix domain socket to listen on instead.
        nathost: host that clients use to reach this one from outside, default NATHOST.
        natport: port for ``nathost``, default NATPORT.
        storage: ``memory`` (default), ``dbm:file``, ``sql:file``, ``redis://host``, ``postgresql://host/database``, or
            an object with the interface of storages.
        hmac: the key that clients need.

    Returns:
        the URI of the name server for clients, its daemon, and the broadcast responder or None.

    Raises:
        ValueError: the arguments do not fit together.
        NamingError: the storage cannot be used.
        OSError: an address cannot be bound.
    """
    started = _start(host, port, enableBroadcast, bchost, bcport, unixsocket, nathost, natport, storage, hmac)
    return started.uri, started.daemon, started.broadcast


def startNSloop(
    host: str | None = None,
    port: int | None = None,
    enableBroadcast: bool = True,
    bchost: str | None = None,
    bcport: int | None = None,
    unixsocket: str | None = None,
    nathost: str | None = None,
    natport: int | None = None,
    storage: Any = None,
    hmac: bytes | str | None = None,
) -> None:
    """Run a name server until Ctrl-C, or until its daemon is shut down; prints what there is to know.

    Arguments and errors are those of `startNS`.
    """
    started = _start(host, port, enableBroadcast, bchost, bcport, unixsocket, nathost, natport, storage, hmac)
    _serve(started, lambda _: contextlib.nullcontext())


def _serve(started: _Started, serving: Callable[[Callable[[], None]], AbstractContextManager[None]]) -> None:
    """Serve inside of the context that ``serving`` makes of what ends the daemon."""
    daemon, responder = started.daemon, started.broadcast
    thread: threading.Thread | None = None
    try:
        with serving(daemon.shutdown):
            _announce(started)
            if responder is not None:
                thread = responder.runInThread()
            daemon.requestLoop()
        daemon.shutdown()
    finally:
        if responder is not None:
            responder.close()
        daemon.close()
    if thread is not None:
        thread.join()
    say("NS shut down.")


def _announce(started: _Started) -> None:
    """Print what clients and operators need to know, in this order ([NS-35])."""
    daemon, responder = started.daemon, started.broadcast
    if started.remark:
        say(started.remark)
    elif responder is not None:
        say(f"Broadcast server running on {responder.locationStr}")
    existing = daemon.nameserver.count() if daemon.nameserver is not None else 0
    if existing > 1:
        say(f"Persistent store contains {existing} existing registrations.")
    address = "Unix domain socket" if started.internal_uri.sockname else daemon.sock.getsockname()[0]
    say(f"NS running on {daemon.locationStr} ({address})")
    if not daemon._pyroHmacKey:
        say(NO_KEY_WARNING)
    if daemon.natLocationStr:
        say(f"internal URI = {started.internal_uri}")
        say(f"external URI = {started.uri}")
    else:
        say(f"URI = {started.uri}")


def main(args: Sequence[str] | None = None) -> None:
    """Run the tool ``pyrolite-ns`` with these arguments, default those of the process ([CLI-10]).

    Raises:
        SystemExit: the arguments are wrong (2), or something cannot be used (1).
    """
    parser = OptionParser("pyrolite-ns", "Run a name server.", _EPILOG)
    parser.add_argument("-n", "--host", help="hostname to bind the server on")
    parser.add_argument("-p", "--port", type=int, help="port to bind the server on (0=random)")
    parser.add_argument("-u", "--unixsocket", metavar="NAME", help="Unix domain socket to bind the server on instead")
    parser.add_argument(
        "-s",
        "--storage",
        default="memory",
        help="where to keep the names: memory (default), dbm:file, sql:file, redis://host, postgresql://host/database",
    )
    parser.add_argument("--bchost", help="hostname to bind the broadcast responder on")
    parser.add_argument("--bcport", type=int, help="UDP port to bind the broadcast responder on (0=random)")
    parser.add_argument("--nathost", help="external hostname in case of NAT")
    parser.add_argument("--natport", type=int, help="external port in case of NAT")
    parser.add_argument("-x", "--nobc", action="store_true", help="don't answer broadcast requests")
    parser.add_key_option()
    options, _ = parser.parse(args)
    key = hmac_key(options.key)
    with errors_in_one_line(), Lifetime() as lifetime:
        started = _start(
            host=options.host,
            port=checked_port(options.port),
            enableBroadcast=not options.nobc,
            bchost=options.bchost,
            bcport=checked_port(options.bcport),
            unixsocket=options.unixsocket,
            nathost=options.nathost,
            natport=checked_port(options.natport),
            storage=options.storage,
            hmac=key,
        )
        _serve(started, lifetime.serving)
