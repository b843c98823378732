"""Compares single calls with one batch of them.

python client.py [URI [CALLS]]
"""

import sys
import time

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the till: ")
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with pyrolite.Proxy(uri) as till:
        started = time.perf_counter()
        for _ in range(calls):
            total = till.scan(1)
        single = time.perf_counter() - started
        print(f"{calls} single calls: {single:.3f} s, the total is {total}")

        started = time.perf_counter()
        batch = pyrolite.batch(till)
        for _ in range(calls):
            batch.scan(1)  # nothing is sent yet
        total = list(batch())[-1]  # one request, one answer
        batched = time.perf_counter() - started
        print(f"one batch of {calls} calls: {batched:.3f} s, the total is {total}")
        print("the batch was", "faster" if batched < single else "slower")

        batch.scan(5)
        batch.scan(-1)
        batch.scan(7)
        results = batch()
        print("before the error:", next(results) - total)
        try:
            next(results)
        except ValueError as error:
            print("error in the batch:", error)
        print("calls after the error were", "skipped" if till.total() == total + 5 else "done")

        batch.scan(10)
        batch.scan(20)
        print("a oneway batch returns", batch(oneway=True))
        print("and is done before the next call:", till.total() - total - 5)


if __name__ == "__main__":
    main()
