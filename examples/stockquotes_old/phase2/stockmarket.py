"""Trades, and tells the aggregator about it: python stockmarket.py [AGGREGATOR_URI [NAME SYMBOL...]]."""

import random
import sys
import time

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the aggregator: ")
    name = sys.argv[2] if len(sys.argv) > 2 else "Village"
    prices = dict.fromkeys(sys.argv[3:] or ["HEN", "COW"], 100.0)
    with pyrolite.Proxy(uri) as aggregator:
        print(f"the market {name} is ready; Ctrl-C to end")
        try:
            while True:
                symbol = random.choice(sorted(prices))
                prices[symbol] = round(prices[symbol] * (1 + random.uniform(-0.02, 0.02)), 2)
                aggregator.quotes(name, {symbol: prices[symbol]})
                time.sleep(random.uniform(0.01, 0.1))
        except KeyboardInterrupt:
            print(f"the market {name} has closed")


if __name__ == "__main__":
    main()
