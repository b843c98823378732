"""Draws a ticket each time that Enter is pressed, whatever happens to the server in between."""

import contextlib
import sys

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the clerk: ")
    with pyrolite.Proxy(uri) as clerk:
        print("press Enter for a ticket, Ctrl-D to end")
        for _ in sys.stdin:
            while True:
                try:
                    print("ticket", clerk.ticket())
                    break
                except pyrolite.errors.ConnectionClosedError:
                    print("the connection is lost, reconnecting...")
                    clerk._pyroReconnect()  # tries every 2 seconds, as often as need be
                    print("reconnected")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends it, too
        main()
