"""Catches what fails in the server. With --uncaught, the last error ends the program."""

import sys
from collections.abc import Callable

import pyrolite


def attempt(what: str, call: Callable[[], object]) -> None:
    try:
        print(f"{what}: returned {call()!r}")
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        print(f"{what}: {type(error).__name__}: {first_line}")


def main() -> None:
    with pyrolite.Proxy("PYRONAME:example.exceptions") as trouble:
        attempt("no error", lambda: trouble.divide(6, 3))
        attempt("division", lambda: trouble.divide(1, 0))
        attempt("wrong type", lambda: trouble.divide("one", 2))
        attempt("key", lambda: trouble.lookup("two"))
        attempt("file", lambda: trouble.open("/no/such/file"))
        attempt("wrong number of arguments", lambda: trouble.divide(1))
        attempt("no such method", lambda: trouble.multiply(1, 2))
        attempt("an error of the library", trouble.communication)
        attempt("a class that is unknown here", trouble.own_class)
        attempt("an error that cannot be sent", trouble.unsendable_error)
        attempt("a result that cannot be sent", trouble.unsendable_result)
        attempt("an exception as a value", trouble.returned)

        print("where it happened, locally and remotely:")
        try:
            trouble.nested(2)
        except ZeroDivisionError:
            print("".join(pyrolite.util.getPyroTraceback()))

        if "--uncaught" in sys.argv:
            sys.excepthook = pyrolite.util.excepthook  # shows the remote traceback of uncaught errors as well
            trouble.nested(2)


if __name__ == "__main__":
    main()
