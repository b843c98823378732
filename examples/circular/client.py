"""Starts a message on its way around: python client.py [STATION]."""

import sys

import pyrolite


def main() -> None:
    start = sys.argv[1] if len(sys.argv) > 1 else input("Where to start: ")
    with pyrolite.Proxy(f"PYRONAME:example.circular.{start}") as station:
        print("the way around:", " -> ".join(station.pass_on([])))


if __name__ == "__main__":
    main()
