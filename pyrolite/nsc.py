"""The name server control tool, under Pyro4's name for this module ([OV-31])."""

from __future__ import annotations

import sys

from pyrolite.cli.nsc import handleCommand, main

__all__ = ["handleCommand", "main"]

if __name__ == "__main__":
    sys.exit(main())
