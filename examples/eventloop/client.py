"""Finds the name server by broadcast, and an object by its name: python client.py [BROADCAST_PORT]."""

import sys

import pyrolite


def main() -> None:
    if len(sys.argv) > 1:
        pyrolite.config.NS_BCPORT = int(sys.argv[1])
    pyrolite.config.NS_HOST = "0.0.0.0"  # noqa: S104 - nowhere, so that only broadcast can find it
    with pyrolite.locateNS() as nameserver:
        print("found", nameserver._pyroUri)
        uri = nameserver.lookup("example.eventloop.greeter")
    for name in ("Ada", "Bob"):
        with pyrolite.Proxy(uri) as greeter:
            print(greeter.greet(name))


if __name__ == "__main__":
    main()
