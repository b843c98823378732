"""Phase 2: visits a warehouse elsewhere: python visit.py [URI]."""

import sys

from visitor import Visitor

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the warehouse: ")
    with pyrolite.Proxy(uri) as warehouse:
        Visitor("Janet").visit(warehouse, bring="lamp", fetch="bike")
        Visitor("Henry").visit(warehouse, bring="hat", fetch="lamp")


if __name__ == "__main__":
    main()
