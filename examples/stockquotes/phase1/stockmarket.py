"""A stock market whose quotes come out of a generator. Nothing remote yet: this is plain Python."""

import random
import sys
from collections.abc import Iterator


class StockMarket:
    def __init__(self, name: str, symbols: list[str], seed: int | None = None) -> None:
        self._name = name
        self._prices = dict.fromkeys(symbols, 100.0)
        self._random = random.Random(seed)

    def name(self) -> str:
        return self._name

    def symbols(self) -> list[str]:
        return sorted(self._prices)

    def quotes(self) -> Iterator[tuple[str, float]]:
        """Quotes without end: a symbol and its price."""
        while True:
            symbol = self._random.choice(self.symbols())
            self._prices[symbol] *= 1 + self._random.uniform(-0.02, 0.02)
            yield symbol, round(self._prices[symbol], 2)


class Viewer:
    def __init__(self, markets: list[StockMarket]) -> None:
        self._markets = markets

    def show(self, count: int) -> None:
        streams = [(market.name(), market.quotes()) for market in self._markets]
        for _ in range(count):
            for name, stream in streams:
                symbol, price = next(stream)
                print(f"{name}: {symbol} {price:.2f}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    Viewer([StockMarket("Village", ["HEN", "COW"], 1), StockMarket("Harbour", ["COD", "EEL"], 2)]).show(count)


if __name__ == "__main__":
    main()
