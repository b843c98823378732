"""Asks any of the workers, another one each time: python client.py [HOW_MANY]."""

import sys
from collections import Counter

import pyrolite


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    asked: Counter[str] = Counter()
    primes = []
    for number in range(10**6, 10**6 + count):
        # the name server knows who has this metadata; one of them is chosen by chance
        with pyrolite.Proxy("PYROMETA:example.primes") as worker:
            if worker.is_prime(number):
                primes.append(number)
            assert worker._pyroConnection is not None
            asked[str(worker._pyroConnection.objectId)] += 1
    print("primes:", *primes)
    for name, calls in sorted(asked.items()):
        print(f"{name} did {calls} of {count} calls")
    print(f"all {sum(asked.values())} calls were answered by {len(asked)} workers")


if __name__ == "__main__":
    main()
