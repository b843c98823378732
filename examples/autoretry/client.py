"""Calls a server that closes idle connections: first without, then with automatic retries."""

import time

import pyrolite


def main() -> None:
    with pyrolite.Proxy("PYRONAME:example.autoretry") as adder:
        print("first call:", adder.add(1, 2))
        time.sleep(0.8)  # longer than the server has patience
        try:
            print("second call:", adder.add(3, 4))
        except pyrolite.errors.ConnectionClosedError:
            print("second call: the server has closed the connection")

        adder._pyroMaxRetries = 2  # or for all proxies: config.MAX_RETRIES
        print("third call:", adder.add(5, 6))
        time.sleep(0.8)
        print("fourth call, by a retry on a new connection:", adder.add(7, 8))


if __name__ == "__main__":
    main()
