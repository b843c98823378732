"""Asks a factory for objects, and uses them where they are: in the server."""

import sys

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the factory: ")
    with pyrolite.Proxy(uri) as factory:
        try:
            counter = factory.counter("apples")
        except (pyrolite.errors.SecurityError, pyrolite.errors.SerializeError) as error:
            print("no proxy came, and a Counter is unknown here:", str(error).partition(" (")[0])
            return
        print("got a", type(counter).__name__)
        with counter:
            counter.increment()
            print("apples:", counter.increment())

        several = factory.counters(["pears", "plums"])
        for name, counter in sorted(several.items()):
            with counter:
                print(f"{name}:", counter.increment())


if __name__ == "__main__":
    main()
