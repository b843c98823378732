"""``pyrolite-test-echoserver``: a server to try clients and networks with ([CLI-21] to [CLI-25])."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pyrolite.commandline import Lifetime, OptionParser, checked_port, errors_in_one_line, hmac_key, say
from pyrolite.configuration import config
from pyrolite.core import URI, Daemon, Proxy, _locateNS, expose, oneway
from pyrolite.naming.broadcast import BroadcastServer
from pyrolite.naming.server import NameServerDaemon
from pyrolite.naming.service import NO_KEY_WARNING, address_named, startNS

__all__ = ["EchoServer"]

OBJECT_NAME: Final = "test.echoserver"
#: Seconds that the slow methods take.
SLOW: Final = 5.0

_EPILOG: Final = """\
examples:
  pyrolite-test-echoserver -v         print the URI and what is called
  pyrolite-test-echoserver -N         together with a name server, as PYRONAME:test.echoserver
  pyrolite-test-echoserver -H 0.0.0.0 -p 4444
"""


@expose
class EchoServer:
    """Methods of all kinds, to be called by clients for a test.

    Thread safety: all methods may be called from any thread.
    """

    _verbose = False
    _must_shutdown = False

    def _report(self, text: str) -> None:
        if self._verbose:
            say(f"{time.asctime()} - {text}")

    def echo(self, message: Any) -> Any:
        """Return the message."""
        self._report(f"echo: {message!r}")
        return message

    def error(self) -> None:
        """Raise a ValueError."""
        self._report("error: generating exception")
        raise ValueError("expected error from echoserver error() method")

    def error_with_text(self) -> None:
        """Raise a ValueError, as `error`."""
        self._report("error: generating exception")
        raise ValueError("the message of the error")

    @oneway
    def oneway_echo(self, message: Any) -> None:
        """Take a message that nobody waits for."""
        self._report(f"oneway_echo: {message!r}")

    def slow(self) -> str:
        """Return a text after 5 seconds."""
        self._report("slow: waiting a bit...")
        time.sleep(SLOW)
        self._report("slow: returning result")
        return "Finally, an answer!"

    @oneway
    def oneway_slow(self) -> None:
        """Take 5 seconds that nobody waits for."""
        self._report("oneway_slow: waiting a bit...")
        time.sleep(SLOW)
        self._report("oneway_slow: done")

    def generator(self) -> Iterator[str]:
        """Yield three texts."""
        self._report("generator: yielding")
        yield "one"
        yield "two"
        yield "three"

    def nan(self) -> float:
        """Return a float that is no number."""
        return float("nan")

    def inf(self) -> float:
        """Return an infinite float."""
        return float("inf")

    def __dunder__(self) -> str:
        """A name that is allowed in spite of its underscores."""
        return "should be allowed (dunder)"

    def _private(self) -> str:
        """Cannot be called remotely."""
        return "should not be allowed (private)"

    def __private(self) -> str:
        """Cannot be called remotely."""
        return "should not be allowed (private)"

    def shutdown(self) -> None:
        """End the server."""
        self._report("shutting down")
        self._must_shutdown = True

    @property
    def verbose(self) -> bool:
        """Whether calls are printed on the server."""
        return self._verbose

    @verbose.setter
    def verbose(self, onoff: bool) -> None:
        self._verbose = bool(onoff)


class NameServer(threading.Thread):
    """A name server in a thread.

    Args:
        hostname: where to listen, at port NS_PORT.
        hmac: the key that clients need.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(self, hostname: str | None, hmac: bytes | str | None = None) -> None:
        super().__init__(name="pyrolite-nameserver", daemon=True)
        self.hostname = hostname
        self.hmac = hmac
        self.uri: URI
        self.ns_daemon: NameServerDaemon
        self.bc_server: BroadcastServer | None
        self.uri, self.ns_daemon, self.bc_server = startNS(hostname, hmac=hmac)
        self.started: threading.Event = threading.Event()

    def run(self) -> None:
        """Serve until `stop`."""
        if self.bc_server is not None:
            self.bc_server.runInThread()
        self.started.set()
        try:
            self.ns_daemon.requestLoop()
        finally:
            if self.bc_server is not None:
                self.bc_server.close()
            self.ns_daemon.close()

    def stop(self) -> None:
        """End it, with the calls in progress finished."""
        self.ns_daemon.shutdown()
        if self.is_alive():
            self.join()


def startNameServer(host: str | None, hmac: bytes | str | None = None) -> NameServer:
    """Start a name server in a thread, and return that.

    Raises:
        OSError: the address cannot be bound.
    """
    nameserver = NameServer(host, hmac=hmac)
    nameserver.start()
    nameserver.started.wait()
    return nameserver


def main(args: Sequence[str] | None = None, returnWithoutLooping: bool = False) -> Any:
    """Run the echo server with these arguments, default those of the process.

    Args:
        args: the arguments.
        returnWithoutLooping: return the daemon, the `EchoServer` and its URI instead of serving ([CLI-24]).

    Raises:
        SystemExit: the arguments are wrong (2), or something cannot be used (1).
    """
    options = _parse(args)
    key = hmac_key(options.key)
    with errors_in_one_line(), Lifetime() as lifetime:
        checked_port(options.port)
        config.SERVERTYPE = "multiplex"
        tell = _silent if options.quiet else say
        tell("Starting Pyro's built-in test echo server.")
        if not key:
            tell(NO_KEY_WARNING)
        with address_named(options.unixsocket, options.host, options.port):
            daemon = Daemon(host=options.host, port=options.port, unixsocket=options.unixsocket)
        nameserver: NameServer | None = None
        try:
            daemon._pyroHmacKey = key
            echo = EchoServer()
            echo.verbose = options.verbose
            uri = daemon.register(echo, OBJECT_NAME)
            if options.nameserver:
                with address_named(None, options.host, config.NS_PORT):
                    nameserver = startNameServer(options.host, hmac=key)
            _register(options, uri, key, nameserver)
            tell(f"object name: {OBJECT_NAME}")
            tell(f"echo uri: {uri}")
            tell("echoserver running.")
            if returnWithoutLooping:
                return daemon, echo, uri
            with lifetime.serving(daemon.shutdown):
                daemon.requestLoop(loopCondition=lambda: not echo._must_shutdown)
            daemon.shutdown()
        except BaseException:
            daemon.close()
            if nameserver is not None:
                nameserver.stop()
            raise
        if nameserver is not None:
            nameserver.stop()
    return None


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = OptionParser("pyrolite-test-echoserver", "Run a server to try clients and networks with.", _EPILOG)
    parser.add_argument("-H", "--host", default="localhost", help="hostname to bind the server on (default: localhost)")
    parser.add_argument("-p", "--port", type=int, default=0, help="port to bind the server on (default: a random one)")
    parser.add_argument("-u", "--unixsocket", metavar="NAME", help="Unix domain socket to bind the server on instead")
    parser.add_argument("-n", "--naming", action="store_true", help="register with the name server")
    parser.add_argument("-N", "--nameserver", action="store_true", help="also start a name server on the same host")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what is called")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    parser.add_key_option()
    options, _ = parser.parse(args)
    if options.verbose:
        options.quiet = False
    if options.nameserver:
        options.naming = True
    return options


def _silent(text: str) -> None:
    """Instead of `say`, with option ``-q``."""


def _register(options: argparse.Namespace, uri: URI, key: bytes | None, started: NameServer | None) -> None:
    """Register in the name server when that is wanted, and tell which one it is ([CLI-22])."""
    tell = say if options.verbose else _silent
    if not options.naming:
        tell("not using a name server.")
        return
    if started is None:
        proxy = _locateNS(hmac_key=key)
    else:
        proxy = Proxy(started.uri)
        proxy._pyroHmacKey = key
    with proxy:
        proxy.register(OBJECT_NAME, uri)
        tell(f"using name server at {proxy._pyroUri}")
    if started is not None:
        if started.bc_server is not None:
            tell(f"broadcast server running at {started.bc_server.locationStr}")
        else:
            tell("not using a broadcast server")


if __name__ == "__main__":
    main()
