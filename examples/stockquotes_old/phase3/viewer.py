"""Shows some quotes of the symbols that are given: python viewer.py [SYMBOL...]."""

import sys

import pyrolite

ENOUGH = 6


class Viewer:
    def __init__(self) -> None:
        self.seen = 0

    @pyrolite.expose
    @pyrolite.oneway
    def quotes(self, market: str, quotes: dict[str, float]) -> None:
        self.seen += len(quotes)
        for symbol, price in quotes.items():
            print(f"{market}: {symbol} {price:.2f}")


def main() -> None:
    pyrolite.config.POLLTIMEOUT = 0.1
    viewer = Viewer()
    with pyrolite.Daemon() as daemon, pyrolite.Proxy("PYRONAME:example.stockquotes.aggregator") as aggregator:
        daemon.register(viewer)
        aggregator.view(sys.argv[1:] or ["HEN", "COD"], viewer)
        daemon.requestLoop(lambda: viewer.seen < ENOUGH)
    print("seen enough")


if __name__ == "__main__":
    main()
