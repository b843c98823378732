"""Sends functions to the server and gets one back, with cloudpickle and with dill."""

import sys

import pyrolite

FACTOR = 10


def cube(number: float) -> float:
    """A function of this program; the server does not have the module."""
    return number**3


def times_ten(number: float) -> float:
    """Needs a variable of this program."""
    return number * FACTOR


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the engine: ")
    for serializer in ("cloudpickle", "dill", "serpent"):
        print(f"with {serializer}:")
        with pyrolite.Proxy(uri) as engine:
            engine._pyroSerializer = serializer
            try:
                print("  function:", engine.apply(cube, [1, 2, 3]))
                print("  lambda:", engine.apply(lambda word: word[::-1], ["drawer", "live"]))
                print("  a function from the server:", engine.adder(5)(37))
                print("  function with a global variable:", engine.apply(times_ten, [1, 2]))
            except NameError as error:
                print("  function with a global variable: the server says", error)
            except pyrolite.errors.CommunicationError as error:
                print("  refused:", str(error).rpartition(" rejected: ")[2])


if __name__ == "__main__":
    main()
