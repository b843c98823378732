"""The market of phase 1 in a process of its own; its URI is passed on by hand.

python stockmarket.py [NAME SYMBOL...]
"""

import random
import sys
from collections.abc import Iterator

import pyrolite


@pyrolite.expose  # this, and the daemon below, is all that is new
class StockMarket:
    def __init__(self, name: str, symbols: list[str]) -> None:
        self._name = name
        self._prices = dict.fromkeys(symbols, 100.0)

    def name(self) -> str:
        return self._name

    def symbols(self) -> list[str]:
        return sorted(self._prices)

    def quotes(self) -> Iterator[tuple[str, float]]:
        while True:
            symbol = random.choice(self.symbols())
            self._prices[symbol] *= 1 + random.uniform(-0.02, 0.02)
            yield symbol, round(self._prices[symbol], 2)


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "Village"
    with pyrolite.Daemon() as daemon:
        print("the market is ready:", daemon.register(StockMarket(name, sys.argv[2:] or ["HEN", "COW"])))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
