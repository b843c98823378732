"""``pyrolite-check``: is this installation all right, and what about that URI? ([CLI-30], [BYD-20], [BYD-21])."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pyrolite import constants
from pyrolite.cli.bench import measure
from pyrolite.cli.diagnoses import visible
from pyrolite.cli.doctor import Step, Walk
from pyrolite.cli.selftest import certificate_steps, host_step, risk_steps, self_test, serializer_lines
from pyrolite.commandline import Lifetime, OptionParser, hmac_key, say
from pyrolite.configuration import colours_wanted, config
from pyrolite.core import URI
from pyrolite.errors import PyroError

__all__ = ["main"]

_EPILOG: Final = """\
examples:
  pyrolite-check                                   the configuration, and a test of this installation
  pyrolite-check PYRO:printer@192.168.1.7:4444     why can I not call this object?
  pyrolite-check PYRONAME:example.printer          ... and this one, by its name
  pyrolite-check --ns                              is there a name server, and does it answer?
  pyrolite-check --ns 192.168.1.5                  ... at this address
  pyrolite-check --json PYRONAME:example.printer   for programs
  pyrolite-check --bench PYRONAME:test.echoserver --seconds 5
                                                   how fast are calls of an echo server?

It uses the configuration that your program would have: PYRO_SERIALIZER, PYRO_SSL, PYRO_HMAC_KEY, ...
WARN marks what works and is dangerous; it does not change the exit code.
Exit code: 0 everything works, 1 something does not, 2 wrong usage.
"""

_BAR: Final = 30


class _Output:
    """Prints steps as lines, or keeps them for JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.steps: list[Step] = []
        self.result: dict[str, Any] = {}
        self._coloured = sys.stdout.isatty() and colours_wanted()

    def line(self, text: str) -> None:
        if not self.as_json:
            say(text)

    def step(self, step: Step) -> None:
        """Tell about a step; times are told for those that have any."""
        self.steps.append(step)
        time = f"{step.seconds * 1000:9.1f} ms" if step.seconds else " " * 12
        mark = self._colour("FAILED", "1;31")
        if step.ok:
            mark = self._colour("WARN  ", "33") if step.risky else self._colour("ok    ", "32")
        self.line(f"{mark}  {step.name:<22}{time}  {visible(step.text)}")
        if step.cause:
            self.line(f"        cause:  {visible(step.cause)}")
        if step.remedy:
            self.line(f"        remedy: {visible(step.remedy)}")

    def _colour(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text

    def end(self, failed: str = "") -> int:
        """The last line, or all the JSON; the exit code."""
        failure = failed or next((f"{step.name}: {step.text}" for step in self.steps if not step.ok), "")
        if self.as_json:
            steps = [_as_dict(step) for step in self.steps]
            say(json.dumps({**self.result, "steps": steps, "ok": not failure, "failed": failure or None}, indent=2))
        elif failure:
            say(self._colour(f"FAILED: {visible(failure)}", "1;31"))
        else:
            say(self._colour("OK", "32"))
        return 1 if failure else 0


def _as_dict(step: Step) -> dict[str, Any]:
    told = {"step": step.name, "ok": step.ok, "ms": round(step.seconds * 1000, 3), "text": step.text}
    if step.risky:
        told["warning"] = True
    return {**told, "cause": step.cause, "remedy": step.remedy} if step.remedy else told


def main(args: Sequence[str] | None = None) -> int:
    """Run the tool with these arguments, default those of the process; returns the exit code.

    Raises:
        SystemExit: the arguments are wrong.
    """
    options, key, uri = _parse(args)
    output = _Output(as_json=options.json)
    finished: int | None = None
    with Lifetime():
        if options.bench:
            finished = _bench(output, str(uri), key, options.seconds)
        elif uri is not None:
            finished = _walk(output, uri, key, options.timeout)
        else:
            finished = _installation(output, options, key)
    return output.end("interrupted") if finished is None else finished


def _parse(args: Sequence[str] | None) -> tuple[argparse.Namespace, bytes | None, URI | None]:
    parser = OptionParser(
        "pyrolite-check", "See whether pyrolite works, here and to an object.", _EPILOG, usage="[options] [URI]"
    )
    parser.add_argument("--ns", nargs="?", const="", metavar="HOST", help="check the name server (at this host)")
    parser.add_argument("--no-selftest", action="store_true", help="do not make calls over loopback")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--bench", action="store_true", help="measure calls of method echo of the object")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to measure (default: 2)")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds that a step may take (default: 5)")
    parser.add_key_option()
    options, arguments = parser.parse(args)
    if options.ns and options.ns.upper().startswith("PYRO"):  # --ns URI: the URI is no host
        arguments.append(options.ns)
        options.ns = ""
    if len(arguments) > 1:
        parser.error("more than one URI")
    if options.bench and not arguments:
        parser.error("--bench needs a URI")
    for name in ("seconds", "timeout"):
        if not 0 < getattr(options, name) < 1e6:
            parser.error(f"--{name} must be greater than 0")
    uri = None
    if arguments:
        try:
            uri = URI(arguments[0])
        except PyroError as error:
            parser.error(f"{error}: {arguments[0]} (as in PYRO:object@host:port, PYRONAME:name, PYROMETA:tag)")
        if options.ns and uri.protocol != "PYRO" and not uri.location:
            uri = URI(f"{uri}@{options.ns}")
    return options, hmac_key(options.key), uri


# ---- the installation


def _installation(output: _Output, options: argparse.Namespace, key: bytes | None) -> int:
    output.line(config.dump())
    output.line("")
    output.result["configuration"] = {
        name: sorted(value) if isinstance(value, set) else value for name, value in _shown_items()
    }
    output.result["serializers"] = serializers = serializer_lines(config)
    for serializer in serializers:
        available = "available" if serializer["available"] else "not available"
        accepted = "yes" if serializer["accepted"] else "no"
        output.line(f"serializer {serializer['name']:<12} {available} {serializer['version']}, accepted {accepted}")
    output.line(f"HMAC key: {'set' if key else 'not set'}")
    for step in _installation_steps(options, key):
        output.step(step)
    if options.ns is not None:
        host = options.ns or None
        try:
            uri = URI(f"PYRONAME:{constants.NAMESERVER_NAME}" + (f"@{host}" if host else ""))
        except PyroError as error:
            return output.end(f"--ns {host}: {error}")
        Walk(config, key, options.timeout, output.step).run(uri)
    return output.end()


def _shown_items() -> Iterator[tuple[str, Any]]:
    for name, value in config.asDict().items():
        yield name, "***" if name.endswith("PASSWD") and value else value


def _installation_steps(options: argparse.Namespace, key: bytes | None) -> Iterator[Step]:
    yield host_step(config)
    yield from certificate_steps(config)
    yield from risk_steps(config, key)
    if not options.no_selftest:
        yield from self_test(config)


# ---- an object


def _walk(output: _Output, uri: URI, key: bytes | None, timeout: float) -> int:
    output.result["uri"] = str(uri)
    Walk(config, key, timeout, output.step).run(uri)
    return output.end()


def _bench(output: _Output, uri: str, key: bytes | None, seconds: float) -> int:
    show = sys.stderr.isatty()

    def progress(part: float, calls: int) -> None:
        if show:
            done = int(min(part, 1.0) * _BAR)
            sys.stderr.write(f"\r[{'#' * done}{'.' * (_BAR - done)}] {min(part, 1.0):4.0%} {calls} calls")
            sys.stderr.flush()

    output.result["uri"] = uri
    try:
        result = measure(uri, config, key, seconds, progress)
    except (PyroError, AttributeError, TypeError, ValueError) as error:
        return output.end(f"{type(error).__name__}: {error} (pyrolite-check {uri} tells more)")
    finally:
        if show:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
    output.result["bench"] = result
    output.line(f"{result['calls']:.0f} calls in {result['seconds']:.1f} s: {result['calls_per_second']:.0f} calls/s")
    for name in ("min", "median", "p90", "p99", "p999", "max"):
        output.line(f"{name:>8} {result[f'{name}_us']:10.1f} us")
    return output.end()


if __name__ == "__main__":
    sys.exit(main())
