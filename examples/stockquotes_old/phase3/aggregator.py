"""Gets quotes from markets and passes them on to viewers."""

import threading

import pyrolite


@pyrolite.expose
class Aggregator:
    def __init__(self) -> None:
        self._viewers: list[tuple[set[str], pyrolite.Proxy]] = []
        self._lock = threading.Lock()  # protects the viewers; several markets may call at the same time

    def view(self, symbols: list[str], viewer: pyrolite.Proxy) -> None:
        with self._lock:
            self._viewers.append((set(symbols), viewer))
        print("a viewer of", ", ".join(symbols))

    def quotes(self, market: str, quotes: dict[str, float]) -> None:
        with self._lock:
            for entry in list(self._viewers):
                symbols, viewer = entry
                interesting = {symbol: price for symbol, price in quotes.items() if symbol in symbols}
                if not interesting:
                    continue
                try:
                    viewer.quotes(market, interesting)
                except pyrolite.errors.CommunicationError:
                    print("a viewer is gone")
                    self._viewers.remove(entry)


def main() -> None:
    with pyrolite.Daemon() as daemon, pyrolite.locateNS() as nameserver:
        nameserver.register("example.stockquotes.aggregator", daemon.register(Aggregator()))
        print("the aggregator is ready")
        daemon.requestLoop()


if __name__ == "__main__":
    main()
