"""Calls that are started now and whose results are asked for later."""

import sys
import time

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the kitchen: ")
    with pyrolite.Proxy(uri) as kitchen:
        pyrolite.asyncproxy(kitchen)  # from now on, calls return a FutureResult at once

        soup = kitchen.cook("soup")
        print("ordered; ready at once?", soup.ready)
        print("ready within 10 ms?", soup.wait(0.01))
        print("ready within 5 s?", soup.wait(5))
        print("->", soup.value)

        # each call has a connection of its own, so that they run side by side
        started = time.perf_counter()
        orders = [kitchen.cook(dish) for dish in ("bread", "salad", "pie", "cake")]
        for order in orders:
            print("->", order.value)  # waits if need be
        duration = time.perf_counter() - started
        print(
            "four dishes of 0.3 s each, done",
            "side by side" if duration < 1.0 else "one by one",
            f"in {duration:.1f} s",
        )

        # an exception waits in the result until somebody looks
        failing = kitchen.portions("pie", guests=0)
        failing.wait()
        try:
            print(failing.value)
        except ValueError as error:
            print("exception:", error)

        pyrolite.asyncproxy(kitchen, asynchronous=False)
        print("back to normal:", kitchen.cook("tea", 0.0))


if __name__ == "__main__":
    main()
