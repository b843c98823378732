"""Markets tell an aggregator about quotes, which tells the viewers. Nothing remote yet: this is plain Python."""

import random
from collections.abc import Callable

Listener = Callable[[str, dict[str, float]], None]


class StockMarket:
    def __init__(self, name: str, symbols: list[str]) -> None:
        self._name = name
        self._prices = dict.fromkeys(symbols, 100.0)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def trade(self) -> None:
        symbol = random.choice(sorted(self._prices))
        self._prices[symbol] = round(self._prices[symbol] * (1 + random.uniform(-0.02, 0.02)), 2)
        for listener in self._listeners:
            listener(self._name, {symbol: self._prices[symbol]})


class Aggregator:
    """Passes on to viewers what they are interested in."""

    def __init__(self) -> None:
        self._viewers: list[tuple[set[str], Listener]] = []

    def view(self, symbols: set[str], viewer: Listener) -> None:
        self._viewers.append((symbols, viewer))

    def quotes(self, market: str, quotes: dict[str, float]) -> None:
        for symbols, viewer in self._viewers:
            interesting = {symbol: price for symbol, price in quotes.items() if symbol in symbols}
            if interesting:
                viewer(market, interesting)


def main() -> None:
    aggregator = Aggregator()
    markets = [StockMarket("Village", ["HEN", "COW"]), StockMarket("Harbour", ["COD", "EEL"])]
    for market in markets:
        market.listen(aggregator.quotes)
    aggregator.view({"HEN", "COD"}, lambda market, quotes: print(f"{market}: {quotes}"))
    for _ in range(10):
        for market in markets:
            market.trade()


if __name__ == "__main__":
    main()
