"""Shows the quotes of all markets that the name server knows, each in a thread: python viewer.py [QUOTES]."""

import sys
import threading

import pyrolite


def watch(uri: str, count: int) -> None:
    with pyrolite.Proxy(uri) as market:
        name = market.name()
        quotes = market.quotes()
        for _ in range(count):
            symbol, price = next(quotes)
            print(f"{name}: {symbol} {price:.2f}")
        quotes.close()
    print(f"{name}: seen {count} quotes")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with pyrolite.locateNS() as nameserver:
        uris = nameserver.list(prefix="example.stockmarket.").values()
    threads = [threading.Thread(target=watch, args=(uri, count)) for uri in uris]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
