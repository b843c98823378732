"""Iterates over what the server makes."""

import itertools
import sys
import time

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the streams: ")
    with pyrolite.Proxy(uri) as streams:
        print("a list comes as a whole:", streams.all_at_once())
        print("an iterator comes item by item:", *streams.iterator())
        print("a generator as well:", *streams.generator())

        started = time.perf_counter()
        slow = streams.slow(0.1)
        print("a slow one is there at once:", time.perf_counter() - started < 0.1)
        for item in slow:
            print("  item", item)
        print("and takes as long as it takes:", time.perf_counter() - started >= 0.3)

        endless = streams.without_end()
        print("some of a stream without end:", *itertools.islice(endless, 5))
        print("meanwhile, other calls:", *streams.generator())
        print("more of it:", *itertools.islice(endless, 5))
        endless.close()

        try:
            for item in streams.failing():
                print("before the error:", item)
        except ZeroDivisionError as error:
            print("error in the generator:", error)

        # after a lost connection, the same stream goes on
        endless = streams.without_end()
        print("before the connection is lost:", *itertools.islice(endless, 3))
        streams._pyroRelease()
        try:
            next(endless)
        except pyrolite.errors.ConnectionClosedError:
            streams._pyroReconnect()
        print("after reconnecting:", *itertools.islice(endless, 3))
        endless.close()


if __name__ == "__main__":
    main()
