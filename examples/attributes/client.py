"""Reads and sets properties of an object in another process."""

import sys
from collections.abc import Callable

import pyrolite


def attempt(what: str, action: Callable[[], object]) -> None:
    try:
        print(f"{what}: {action()}")
    except (AttributeError, ValueError) as error:
        print(f"{what}: {type(error).__name__}: {error}")


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the oven: ")
    with pyrolite.Proxy(uri) as oven:
        print("temperature:", oven.temperature, "hot:", oven.is_hot)
        oven.temperature = 180.0
        oven.temperature += 20  # one remote read and one remote write
        print("temperature:", oven.temperature, "hot:", oven.is_hot)

        # an exception of the setter arrives like any other
        attempt("too hot", lambda: setattr(oven, "temperature", 1000))

        # what is read is a copy: changing it does not change the oven
        oven.note("cleaned")
        oven.notes.append("only in the copy")
        print("notes:", oven.notes, "how many:", oven.__len__())
        print("length of the first note:", len(oven.notes[0]))

        attempt("setting a read-only property", lambda: setattr(oven, "is_hot", False))
        attempt("property that is not exposed", lambda: oven.serial_number)
        attempt("plain attribute", lambda: oven.colour)
        attempt("private attribute", lambda: oven._temperature)
        attempt("no such attribute", lambda: oven.door)
        attempt("setting a new attribute", lambda: setattr(oven, "door", "open"))
        attempt("dotted name", lambda: oven.note.im_func("x"))
        print("has a temperature:", hasattr(oven, "temperature"), "has a door:", hasattr(oven, "door"))


if __name__ == "__main__":
    main()
