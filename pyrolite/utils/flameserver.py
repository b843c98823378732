"""``pyrolite-flameserver``: a daemon that offers nothing but Flame ([FLM-1])."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from pyrolite.commandline import Lifetime, OptionParser, checked_port, errors_in_one_line, hmac_key, say
from pyrolite.configuration import config
from pyrolite.core import Daemon
from pyrolite.naming.service import NO_KEY_WARNING, address_named
from pyrolite.utils import flame

__all__ = ["main"]

_EPILOG: Final = """\
This gives clients full control of the process that runs it, so it has to be enabled in the configuration, and it does
not listen where the network reaches it unless clients need a key or a certificate.

examples:
  PYRO_FLAME_ENABLED=1 pyrolite-flameserver
                            for programs on this computer only
  PYRO_FLAME_ENABLED=1 pyrolite-flameserver -u /run/flame.socket
                            for those that may open this Unix domain socket
  PYRO_FLAME_ENABLED=1 PYRO_HMAC_KEY=... pyrolite-flameserver -H 192.168.1.5 -p 9999
                            for those on the network who have the key

A client then says, with PYRO_SERIALIZER=pickle and the server's location:
  from pyrolite.utils import flame
  flame.connect("localhost:9999").console().interact()

Exit code: 0 ended by a signal, 1 error, 2 wrong usage.
"""


def main(args: Sequence[str] | None = None, returnWithoutLooping: bool = False) -> Any:
    """Run the server with these arguments, default those of the process.

    Args:
        args: the arguments.
        returnWithoutLooping: return the daemon and the URI of Flame instead of serving.

    Raises:
        SystemExit: the arguments are wrong (2), or Flame is not enabled or an address cannot be used (1).
        SecurityError, OSError, ValueError: instead of the latter, with ``returnWithoutLooping``.
    """
    parser = OptionParser("pyrolite-flameserver", "Give clients control of this process by Flame.", _EPILOG)
    parser.add_argument("-H", "--host", default="localhost", help="hostname to bind the server on (default: localhost)")
    parser.add_argument("-p", "--port", type=int, default=0, help="port to bind the server on (default: a random one)")
    parser.add_argument("-u", "--unixsocket", metavar="NAME", help="Unix domain socket to bind the server on instead")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    parser.add_key_option()
    options, _ = parser.parse(args)
    key = hmac_key(options.key)
    tell = _silent if options.quiet else say
    reported = contextlib.nullcontext() if returnWithoutLooping else errors_in_one_line()
    with reported, Lifetime() as lifetime:
        checked_port(options.port)
        tell("Starting Pyro Flame server.")
        if not key:
            tell(NO_KEY_WARNING)
        config.SERIALIZERS_ACCEPTED = {"pickle"}
        with address_named(options.unixsocket, options.host, options.port):
            daemon = Daemon(host=options.host, port=options.port, unixsocket=options.unixsocket)
        try:
            daemon._pyroHmacKey = key
            uri = flame.start(daemon)
            tell(f"server uri: {uri}")
            tell("server is running.")
            if returnWithoutLooping:
                return daemon, uri
            with lifetime.serving(daemon.shutdown):
                daemon.requestLoop()
                daemon.shutdown()
        except BaseException:
            daemon.close()
            raise
    return None


def _silent(text: str) -> None:
    """Instead of `say`, with option ``-q``."""


if __name__ == "__main__":
    main()
