"""The market registers in the name server: python stockmarket.py [NAME SYMBOL...]."""

import random
import sys
from collections.abc import Iterator

import pyrolite


@pyrolite.expose
class StockMarket:
    def __init__(self, name: str, symbols: list[str]) -> None:
        self._name = name
        self._prices = dict.fromkeys(symbols, 100.0)

    def name(self) -> str:
        return self._name

    def symbols(self) -> list[str]:
        return sorted(self._prices)

    def quotes(self) -> Iterator[tuple[str, float]]:
        try:
            while True:
                symbol = random.choice(self.symbols())
                self._prices[symbol] *= 1 + random.uniform(-0.02, 0.02)
                yield symbol, round(self._prices[symbol], 2)
        finally:
            print(f"{self._name}: a viewer has left")  # the stream has been closed, or its connection is gone


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "Village"
    pyrolite.config.ITER_STREAM_LINGER = 0  # nobody comes back for the rest of a stream
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        uri = daemon.register(StockMarket(name, sys.argv[2:] or ["HEN", "COW"]))
        nameserver.register(f"example.stockmarket.{name}", uri)
        print(f"the market {name} is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
