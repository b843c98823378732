"""Runs an example unattended: all of its programs, on free ports of this machine.

    python examples/run.py                    which examples there are
    python examples/run.py first_object       run one (or several)
    python examples/run.py --all              run all of them

What the programs print is shown behind their names. The exit code is 0 when all of them did what they should and ended
by themselves. Needs nothing but pyrolite.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from _plans import PLANS
from _processes import ExampleError, Stage


def show(name: str, line: str) -> None:
    print(f"{name:>15} | {line}", flush=True)


def perform(folder: str, timeout: float) -> None:
    """Run one example.

    Raises:
        ExampleError: a program did not do what it should.
    """
    # programs may leave files, which are none of the user's
    with (
        tempfile.TemporaryDirectory() as directory,
        Stage(folder, Path(directory), timeout=timeout, show=show) as stage,
    ):
        PLANS[folder](stage)


def main(arguments: list[str] | None = None) -> int:
    """Run the examples that are named and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("example", nargs="*", help="names of examples")
    parser.add_argument("--all", action="store_true", help="run all of them")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for each example (60)")
    options = parser.parse_args(arguments)
    chosen = [name.strip("/") for name in options.example] or (sorted(PLANS) if options.all else [])
    if not chosen:
        print("Which one?", *sorted(PLANS), sep="\n  ")
        return 0
    unknown = sorted(set(chosen) - set(PLANS))
    if unknown:
        parser.error(f"no such example: {', '.join(unknown)}")
    failed = 0
    for name in chosen:
        print(f"==== {name}")
        started = time.monotonic()
        try:
            perform(name, options.timeout)
        except ExampleError as error:
            print(f"---- {name} FAILED: {str(error).partition(';')[0]}", file=sys.stderr)  # the output is above
            failed += 1
        else:
            print(f"---- {name}: {time.monotonic() - started:.1f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
