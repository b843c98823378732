"""Runs a program that was written for Pyro4, unmodified, on pyrolite ([BYD-32]).

``python -m pyrolite.compat SCRIPT [ARGS...]`` or ``python -m pyrolite.compat -m MODULE [ARGS...]``. In it, ``import
Pyro4`` gives pyrolite, see `install_as_Pyro4`.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence

from pyrolite.pyro4alias import install_as_Pyro4

__all__ = ["install_as_Pyro4", "main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run a script or module with pyrolite in the place of Pyro4; ``args``: the command line (default: sys.argv)."""
    parser = argparse.ArgumentParser(
        prog="python -m pyrolite.compat",
        description="Run a program that was written for Pyro4, unmodified, on pyrolite.",
        epilog="examples: python -m pyrolite.compat server.py --port 9999;  python -m pyrolite.compat -m some.package",
    )
    parser.add_argument("-m", dest="module", action="store_true", help="PROGRAM is a module, as with python -m")
    parser.add_argument("program", metavar="PROGRAM", help="the script to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="its command line")
    options = parser.parse_args(args)
    install_as_Pyro4()
    sys.argv = [options.program, *options.arguments]
    if options.module:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(options.program, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(options.program)))
        runpy.run_path(options.program, run_name="__main__")


if __name__ == "__main__":
    main()
