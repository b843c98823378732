"""How many connections a second: each one is made, used for one call, and closed.

python connections.py [URI [CONNECTIONS]]
"""

import sys
import time

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the server: ")
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    for metadata in (True, False):
        pyrolite.config.METADATA = metadata
        started = time.perf_counter()
        for _ in range(connections):
            with pyrolite.Proxy(uri) as bench:
                bench.nothing()
        duration = time.perf_counter() - started
        print(f"metadata {'on ' if metadata else 'off'}: {connections / duration:6.0f} connections/s")


if __name__ == "__main__":
    main()
