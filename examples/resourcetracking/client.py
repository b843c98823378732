"""Locks what is named on the command line, and waits: python client.py [URI [NAME...]]. Kill it, or press Enter."""

import sys

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the locksmith: ")
    names = sys.argv[2:] or ["door", "window"]
    with pyrolite.Proxy(uri) as locksmith:
        for name in names:
            locksmith.lock(name)
        print("locked:", ", ".join(names))
        input("press Enter to unlock the first one and to end, or kill this program\n")
        locksmith.unlock(names[0])


if __name__ == "__main__":
    main()
