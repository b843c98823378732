"""Checks an installed pyrolite: run it with the interpreter of an environment that has the wheel and nothing else.

The package comes from that environment, its version is the one of its metadata, commands and typing marker are there,
and a call through every available serializer works. ``--without NAME`` says that a serializer must *not* be available.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import Any

import pyrolite

DISTRIBUTION = "pyrolite-rpc"
SERIALIZERS = ("serpent", "marshal", "json", "msgpack", "pickle", "cloudpickle", "dill")


class CheckError(Exception):
    """Something is not as it should be."""


def check(condition: object, what: str) -> None:
    """Raise CheckError saying ``what`` unless the condition is true."""
    if not condition:
        raise CheckError(what)
    print("ok:", what)


def check_installation() -> None:
    """Where it comes from, what belongs to it."""
    package = Path(pyrolite.__file__).resolve().parent
    check(package.parent == Path(sysconfig.get_path("purelib")).resolve(), f"pyrolite is installed in {package}")
    metadata = importlib.metadata.distribution(DISTRIBUTION)
    check(metadata.version == pyrolite.__version__, f"version {metadata.version} in package and metadata")
    check((package / "py.typed").exists(), "typing marker")
    for script in metadata.entry_points.select(group="console_scripts"):
        check(callable(script.load()), f"{script.name} leads to {script.value}")
        command = Path(sysconfig.get_path("scripts")) / script.name
        done = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=30, check=False)
        check(done.returncode == 0 and done.stdout, f"{script.name} --help prints something {done.stderr}".rstrip())


@pyrolite.expose
class Echo:
    """What is called."""

    def echo(self, value: Any) -> Any:
        """Give it back."""
        return value


def check_serializers(missing: frozenset[str]) -> None:
    """Call through those that must be there, and see that the others are not."""
    for name in missing:
        try:
            pyrolite.util.get_serializer(name)
        except pyrolite.errors.SerializeError as error:
            print(f"ok: {error}")
        else:
            raise CheckError(f"{name} should not be available")
    available = [name for name in SERIALIZERS if name not in missing]
    pyrolite.config.SERIALIZERS_ACCEPTED = set(available)
    with pyrolite.Daemon(host="127.0.0.1") as daemon:
        uri = daemon.register(Echo())
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        try:
            for name in available:
                with pyrolite.Proxy(uri) as proxy:
                    proxy._pyroSerializer = name
                    check(proxy.echo([1, "two", None]) == [1, "two", None], f"call with {name}")
        finally:
            daemon.shutdown()
            thread.join()


def main() -> int:
    """Run the checks; 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--without", action="append", default=[], choices=SERIALIZERS, metavar="NAME")
    options = parser.parse_args()
    try:
        check_installation()
        check_serializers(frozenset(options.without))
    except CheckError as error:
        print("FAILED:", error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
