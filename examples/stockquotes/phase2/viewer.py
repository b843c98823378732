"""Shows the quotes of markets whose URIs are given: python viewer.py [URI...]."""

import sys

import pyrolite


def main() -> None:
    uris = sys.argv[1:] or input("URIs of the markets: ").split()
    markets = [pyrolite.Proxy(uri) for uri in uris]
    streams = [(market.name(), market.quotes()) for market in markets]
    for _ in range(5):
        for name, stream in streams:
            symbol, price = next(stream)  # the server makes a quote when we ask for it
            print(f"{name}: {symbol} {price:.2f}")
    for market in markets:
        market._pyroRelease()


if __name__ == "__main__":
    main()
