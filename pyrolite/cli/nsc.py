"""``pyrolite-nsc``: looks into the name server and changes what is in it ([NSC-1] to [NSC-5], [CLI-11] to [CLI-20])."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pyrolite.commandline import OptionParser, checked_port, errors_in_one_line, hmac_key, say, visible
from pyrolite.core import _locateNS
from pyrolite.errors import PyroError

__all__ = ["handleCommand", "main"]

_USAGE: Final = """[options] command [arguments]
commands: list listmatching listmeta_all listmeta_any lookup ping
          register remove removematching setmeta"""
_EPILOG: Final = """\
commands:
  list [prefix]          show the registrations (whose name starts with prefix)
  listmatching pattern   show those whose name matches a regular expression
  listmeta_all tag...    show those that have all of these metadata tags
  listmeta_any tag...    show those that have at least one of these
  lookup name            show the URI and the metadata of a name
  register name uri      register a name that is not registered yet
  setmeta name [tag...]  replace the metadata of a name, without tags remove it
  remove name            remove a name
  removematching pattern remove all names that match a regular expression (asks first)
  ping                   see whether the name server answers

Lists have the form that Pyro4's tool prints, unless --table or --json is given; JSON is an array of objects with
name, uri and metadata, sorted by name. With --json a failure is reported on stderr, so that stdout is JSON or empty.

examples:
  pyrolite-nsc list
  pyrolite-nsc --table list example.
  pyrolite-nsc --json listmeta_all printer | jq -r '.[].uri'
  pyrolite-nsc --wait 30 ping
  pyrolite-nsc --ttl 60 register example.cron PYRO:job@192.168.1.7:4444
  pyrolite-nsc -n 192.168.1.5 register example.printer PYRO:printer@192.168.1.7:4444
  pyrolite-nsc setmeta example.printer colour a4
  pyrolite-nsc listmeta_any colour

Exit code: 0 success, 1 error, 2 wrong usage.
"""


def main(args: Sequence[str] | None = None) -> int:
    """Run the tool with these arguments, default those of the process; returns the exit code ([CLI-20]).

    Raises:
        SystemExit: the options, or the arguments of the command, are wrong.
    """
    parser = OptionParser("pyrolite-nsc", "Control the name server.", _EPILOG, usage=_USAGE)
    parser.add_argument("-n", "--host", help="hostname of the name server")
    parser.add_argument(
        "-p", "--port", type=int, help="port of the name server (or broadcast port if no host is given)"
    )
    parser.add_argument("-u", "--unixsocket", metavar="NAME", help="Unix domain socket of the name server")
    parser.add_key_option()
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done")
    parser.add_argument("-t", "--table", action="store_true", help="print lists as a table")
    parser.add_argument("-j", "--json", action="store_true", help="print lists and what lookup finds as JSON")
    parser.add_argument("-w", "--wait", type=float, metavar="SECONDS", help="wait so long until there is a name server")
    parser.add_argument("--ttl", type=float, metavar="SECONDS", help="register for this time only")
    options, arguments = parser.parse(args)
    key = hmac_key(options.key)
    if not arguments or arguments[0] not in _COMMANDS:
        parser.error("invalid or missing command")
    host = f"./u:{options.unixsocket}" if options.unixsocket else options.host
    with errors_in_one_line():
        checked_port(options.port)
    if options.table and options.json:
        parser.error("--table and --json exclude each other")
    if options.verbose and not options.json:
        say("Locating name server...")
    try:
        nameserver = _locateNS(host, options.port, hmac_key=key, timeout=options.wait)
    except PyroError as error:
        _say_error(options, str(error))
        return 1
    except KeyboardInterrupt:
        say("")
        return 1
    with nameserver:
        if options.verbose and not options.json:
            say(f"Name server found: {nameserver._pyroUri}")
        try:
            succeeded = handleCommand(nameserver, options, arguments)
        except KeyboardInterrupt:  # most likely instead of an answer to a question
            say("")
            return 1
    if options.verbose and not options.json:
        say("Done.")
    return 0 if succeeded else 1


def handleCommand(nameserver: Any, options: Any, args: Sequence[str]) -> bool:
    """Execute the command ``args[0]`` with the other arguments, and print the result or what went wrong.

    Args:
        nameserver: a proxy for a name server, or a `NameServer`.
        options: the options of the tool; ``table``, ``json`` and ``ttl`` matter here, where there are such attributes.
        args: the command and its arguments.

    Returns:
        whether it succeeded.

    Raises:
        SystemExit: the command needs other arguments.
    """
    try:
        _COMMANDS[args[0]](nameserver, args[1:], options)
    except Exception as error:
        _say_error(options, f"{type(error).__name__} - {error}")
        return False
    return True


def _is_on(options: Any, name: str) -> bool:
    """Whether an option is on; ``options`` may be anything, such as the options of another program."""
    return getattr(options, name, None) is True


def _say_error(options: Any, text: str) -> None:
    line = f"Error: {visible(text)}"
    if _is_on(options, "json"):
        sys.stderr.write(line + "\n")
    else:
        say(line)


def _print_list(entries: Mapping[str, tuple[str, Sequence[str]]], title: str, options: Any) -> None:
    if _is_on(options, "json"):
        say(json.dumps([_as_json(name, *entry) for name, entry in sorted(entries.items())], indent=1))
        return
    if _is_on(options, "table"):
        _print_table(entries)
        return
    say(f"--------START LIST {visible(title)}")
    for name, (uri, metadata) in sorted(entries.items()):
        say(visible(f"{name} --> {uri}"))
        if metadata:
            say(f"    metadata: {sorted(metadata)}")
    say(f"--------END LIST {visible(title)}")


def _as_json(name: str, uri: object, metadata: Iterable[str]) -> dict[str, Any]:
    return {"name": name, "uri": str(uri), "metadata": sorted(metadata)}


def _print_table(entries: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    """Columns as wide as what is in them, a headline, and the number of entries."""
    rows = [("NAME", "URI", "METADATA")]
    rows += [
        (visible(name), visible(uri), visible(", ".join(sorted(metadata))))
        for name, (uri, metadata) in sorted(entries.items())
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, uri, metadata in rows:
        say(f"{name:{widths[0]}}  {uri:{widths[1]}}  {metadata}".rstrip())
    say(f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}")


def _ping(nameserver: Any, args: Sequence[str], options: Any) -> None:
    nameserver.ping()
    say("Name server ping ok.")


def _list(nameserver: Any, args: Sequence[str], options: Any) -> None:
    if args:
        _print_list(nameserver.list(prefix=args[0], return_metadata=True), f"- prefix '{args[0]}'", options)
    else:
        _print_list(nameserver.list(return_metadata=True), "", options)


def _list_matching(nameserver: Any, args: Sequence[str], options: Any) -> None:
    if len(args) != 1:
        raise SystemExit("requires one argument: pattern")
    _print_list(nameserver.list(regex=args[0], return_metadata=True), f"- regex '{args[0]}'", options)


def _list_by_metadata(nameserver: Any, args: Sequence[str], options: Any, search: str) -> None:
    if not args:
        raise SystemExit("requires at least one metadata tag argument")
    _print_list(nameserver.list(**{search: list(args)}, return_metadata=True), " - searched by metadata", options)


def _list_meta_all(nameserver: Any, args: Sequence[str], options: Any) -> None:
    _list_by_metadata(nameserver, args, options, "metadata_all")


def _list_meta_any(nameserver: Any, args: Sequence[str], options: Any) -> None:
    _list_by_metadata(nameserver, args, options, "metadata_any")


def _lookup(nameserver: Any, args: Sequence[str], options: Any) -> None:
    if len(args) != 1:
        raise SystemExit("requires one argument: name")
    uri, metadata = nameserver.lookup(args[0], return_metadata=True)
    if _is_on(options, "json"):
        say(json.dumps(_as_json(args[0], uri, metadata), indent=1))
        return
    say(visible(str(uri)))
    if metadata:
        say(f"metadata: {sorted(metadata)}")


def _register(nameserver: Any, args: Sequence[str], options: Any) -> None:
    if len(args) != 2:
        raise SystemExit("requires two arguments: name uri")
    ttl = getattr(options, "ttl", None)
    if isinstance(ttl, float):
        nameserver.register(args[0], args[1], safe=True, ttl=ttl)
    else:
        nameserver.register(args[0], args[1], safe=True)
    say(f"Registered {visible(args[0])}")


def _remove(nameserver: Any, args: Sequence[str], options: Any) -> None:
    if len(args) != 1:
        raise SystemExit("requires one argument: name")
    if nameserver.remove(args[0]):
        say(f"Removed {visible(args[0])}")
    else:
        say("Nothing removed")


def _remove_matching(nameserver: Any, args: Sequence[str], options: Any) -> None:
    if len(args) != 1:
        raise SystemExit("requires one argument: pattern")
    question = "Potentially removing lots of items from the Name server. Are you sure (y/n)?"
    if input(question).strip() in {"y", "Y"}:
        say(f"{nameserver.remove(regex=args[0])} items removed.")


def _set_metadata(nameserver: Any, args: Sequence[str], options: Any) -> None:
    if not args:
        raise SystemExit("requires at least 2 arguments: uri and zero or more meta tags")
    nameserver.set_metadata(args[0], list(args[1:]))
    say("Metadata updated" if len(args) > 1 else "Metadata cleared")


_COMMANDS: Final[dict[str, Callable[[Any, Sequence[str], Any], None]]] = {
    "list": _list,
    "listmatching": _list_matching,
    "listmeta_all": _list_meta_all,
    "listmeta_any": _list_meta_any,
    "lookup": _lookup,
    "ping": _ping,
    "register": _register,
    "remove": _remove,
    "removematching": _remove_matching,
    "setmeta": _set_metadata,
}
