"""``python -m pyrolite.serve``: publishes objects and classes of a program from the command line ([BYD-22])."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from pyrolite.commandline import Lifetime, OptionParser, checked_port, errors_in_one_line, hmac_key, say
from pyrolite.configuration import config
from pyrolite.core import Daemon, _locateNS
from pyrolite.core.exposure import exposed_names, get_exposed_members
from pyrolite.naming.service import NO_KEY_WARNING, address_named

__all__ = ["find_object", "main"]

_EPILOG: Final = """\
A MODULE is imported as in a program that is started here; an OBJECT is a class (clients use instances of it, made as
its @behavior says) or anything else in the module, also Class.attribute. NAME is the object id, and the name in the
name server; default: the OBJECT.

examples:
  python -m pyrolite.serve shop:Stock                   class Stock of shop.py, at a random port of localhost
  python -m pyrolite.serve shop:Stock till=shop:till    two objects, one of them with another name
  python -m pyrolite.serve -n example.stock=shop:Stock  with that name in the name server
  PYRO_HMAC_KEY=... python -m pyrolite.serve -H 192.168.1.5 -p 4444 shop:Stock
                                                        for the network, with a key
  python -m pyrolite.serve -u /run/shop.socket shop:Stock
  python -m pyrolite.serve --expose-all statistics=statistics:NormalDist
                                                        what has no @expose; only where you trust all clients

Names in the name server are leases: they are renewed while this runs, registered again after a restart of the name
server, and vanish within --ttl when this is killed. (Pyro4's name server has no leases; there they stay.)

SIGTERM and Ctrl-C end it: names are taken out of the name server, and calls in progress may finish.
Exit code: 0 ended by a signal, 1 error, 2 wrong usage.
"""


class _Published(NamedTuple):
    """An object of the command line."""

    name: str
    thing: Any


def find_object(text: str) -> Any:
    """The object that ``module:dotted.path`` stands for; the module is imported.

    Raises:
        ValueError: that is not its form, or the module has no such thing.
        Exception: whatever importing the module raises.
    """
    module_name, _, path = text.partition(":")
    if not module_name or not path or not all(part.isidentifier() for part in f"{module_name}.{path}".split(".")):
        raise ValueError(f"{text!r} does not have the form module:object")
    found: Any = importlib.import_module(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(f"{module_name} has no {path}") from None
    return found


def main(args: Sequence[str] | None = None) -> int:
    """Publish what these arguments say, default those of the process, until a signal comes; 0 then.

    Raises:
        SystemExit: the arguments are wrong (2), or something cannot be used (1).
    """
    options, published = _parse(args)
    key = hmac_key(options.key)
    tell: Callable[[str], None] = _silent if options.quiet else say
    with errors_in_one_line(), Lifetime() as lifetime:
        checked_port(options.port)
        if options.servertype:
            config.SERVERTYPE = options.servertype
        if options.expose_all:
            config.REQUIRE_EXPOSE = False
            tell("Warning: everything public of these objects can be used by clients, not only what has @expose.")
        if not key:
            tell(NO_KEY_WARNING)
        for entry in published:
            _check(entry)
        with address_named(options.unixsocket, options.host or config.HOST, options.port):
            daemon = Daemon(host=options.host, port=options.port, unixsocket=options.unixsocket)
        with daemon:
            daemon._pyroHmacKey = key
            for entry in published:
                tell(f"{entry.name}: {daemon.register(entry.thing, entry.name)}")
            if options.naming:
                tell(f"registered in the name server at {_keep_names(daemon, published, options.ttl)}")
            tell("Pyro daemon running.")
            with lifetime.serving(lambda: daemon.shutdown(options.drain)):
                daemon.requestLoop()
    return 0


def _keep_names(daemon: Daemon, published: list[_Published], ttl: float) -> str:
    """Register the names while the daemon serves ([BYD-14]); returns where the name server is."""
    with _locateNS(hmac_key=daemon._pyroHmacKey) as nameserver:
        location = str(nameserver._pyroUri.location)
    for entry in published:
        daemon.register_ns(entry.thing, entry.name, ttl=ttl)
    return location


def _parse(args: Sequence[str] | None) -> tuple[argparse.Namespace, list[_Published]]:
    parser = OptionParser(
        "python -m pyrolite.serve",
        "Publish objects and classes.",
        _EPILOG,
        usage="[options] [NAME=]MODULE:OBJECT [[NAME=]MODULE:OBJECT ...]",
    )
    parser.add_argument("-H", "--host", help="hostname to listen on (default: HOST)")
    parser.add_argument("-p", "--port", type=int, default=0, help="TCP port (default: a random one)")
    parser.add_argument("-u", "--unixsocket", metavar="NAME", help="Unix domain socket to listen on instead")
    parser.add_argument("-s", "--servertype", choices=("thread", "multiplex"), help="default: SERVERTYPE")
    parser.add_argument("-n", "--naming", action="store_true", help="register the names in the name server")
    parser.add_argument(
        "--ttl", type=float, default=30.0, metavar="SECONDS", help="how long names outlive this program (default: 30)"
    )
    parser.add_argument("--expose-all", action="store_true", help="everything public can be used (dangerous)")
    parser.add_argument(
        "--drain", type=float, default=5.0, metavar="SECONDS", help="time for calls in progress at the end (default: 5)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    parser.add_key_option()
    options, arguments = parser.parse(args)
    if not arguments:
        parser.error("nothing to publish")
    if not 0 <= options.drain < 1e6:
        parser.error("--drain must be 0 or more")
    if not 0 < options.ttl < 1e6:
        parser.error("--ttl must be more than 0")
    published: dict[str, _Published] = {}
    for text in arguments:
        name, _, path = text.rpartition("=")
        try:
            thing = find_object(path)
        except (ValueError, ModuleNotFoundError) as error:
            parser.error(str(error))
        name = name or path.partition(":")[2]
        if name in published:
            parser.error(f"two objects of the name {name}")
        published[name] = _Published(name, thing)
    return options, list(published.values())


def _silent(text: str) -> None:
    """Instead of `say`, with option ``-q``."""


def _check(entry: _Published) -> None:
    """Refuse what no client could do anything with."""
    if not exposed_names(get_exposed_members(entry.thing, only_exposed=config.REQUIRE_EXPOSE)):
        raise ValueError(f"{entry.name} does not expose anything: put @expose before the class, or say --expose-all")


if __name__ == "__main__":
    sys.exit(main())
