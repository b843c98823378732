"""Calls without waiting for an answer."""

import sys
import time

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the starter: ")
    with pyrolite.Proxy(uri) as starter:
        starter._pyroBind()
        print("methods without an answer:", ", ".join(sorted(starter._pyroOneway)))
        started = time.perf_counter()
        for _ in range(3):
            print("result:", starter.start(0.3))
        print("result of the failing one:", starter.fail())
        print("that took no time:", time.perf_counter() - started < 0.3)

        # what does the next ordinary call have to wait for?
        done = starter.done()
        waited = time.perf_counter() - started
        if done == 3:
            print("the next call had to wait until all three were done:", waited > 0.8)
        else:
            print("the next call did not have to wait:", waited < 0.3)
            while starter.done() < 3:
                time.sleep(0.02)
            print("the three were done side by side:", time.perf_counter() - started < 0.8)


if __name__ == "__main__":
    main()
