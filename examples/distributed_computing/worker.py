"""Takes numbers from the dispatcher and finds their prime factors: python worker.py [NAME]."""

from __future__ import annotations

import os
import sys

from work import DISPATCHER

import pyrolite


def factors_of(number: int) -> list[int]:
    factors = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else f"worker {os.getpid()}"
    print(f"{name} is ready; Ctrl-C to end")
    with pyrolite.Proxy(DISPATCHER) as dispatcher:
        try:
            while True:
                item = dispatcher.get_work(timeout=1.0)
                if item is not None:
                    item.factors = factors_of(item.number)
                    item.worker = name
                    print(f"{item.number} = {' * '.join(map(str, item.factors))}")
                    dispatcher.put_result(item)
        except KeyboardInterrupt:
            print(f"{name} ends")


if __name__ == "__main__":
    main()
