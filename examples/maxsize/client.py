"""Tries messages of different sizes, with and without a limit of its own."""

import sys
from collections.abc import Callable

import pyrolite


def attempt(what: str, call: Callable[[], object]) -> None:
    try:
        print(f"{what}: {call()}")
    except pyrolite.errors.MessageTooLargeError as error:
        print(f"{what}: MessageTooLargeError, {error}")
    except pyrolite.errors.ConnectionClosedError:
        print(f"{what}: the server has closed the connection")


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the box: ")
    for limit in (0, 1000):
        pyrolite.config.MAX_MESSAGE_SIZE = limit
        print(f"with a limit of {limit} in the client:" if limit else "without a limit in the client:")
        with pyrolite.Proxy(uri) as box:
            attempt("  sending 500 letters", lambda: box.put("x" * 500))
            attempt("  sending 2000 letters", lambda: box.put("x" * 2000))
            attempt("  sending 9000 letters", lambda: box.put("x" * 9000))
            attempt("  getting 500 letters", lambda: len(box.get(500)))
            attempt("  getting 2000 letters", lambda: len(box.get(2000)))
            attempt("  getting 9000 letters", lambda: len(box.get(9000)))


if __name__ == "__main__":
    main()
