"""Phase 3: visits the warehouse that the name server knows. The last visitor asks for something that is not there."""

import sys

from visitor import Visitor

import pyrolite

sys.excepthook = pyrolite.util.excepthook  # shows where it happened in the warehouse, too


def main() -> None:
    with pyrolite.Proxy("PYRONAME:example.warehouse") as warehouse:
        Visitor("Janet").visit(warehouse, bring="lamp", fetch="bike")
        Visitor("Henry").visit(warehouse, bring="hat", fetch="lamp")
        Visitor("Peter").visit(warehouse, bring="coat", fetch="lamp")


if __name__ == "__main__":
    main()
