"""Talks to the echo server that comes with pyrolite: python client.py [URI]."""

import sys

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the echo server: ")
    with pyrolite.Proxy(uri) as echo:
        for message in ("hello", [1, 2, {"three": 4}], None):
            print("echo:", echo.echo(message))
        print("stream:", ", ".join(echo.generator()))
        print("not a number:", echo.nan(), "infinity:", echo.inf())
        print("verbose:", echo.verbose)
        try:
            echo.error()
        except ValueError as error:
            print("error:", error)
            print("it happened in", "".join(error._pyroTraceback).strip().splitlines()[-2].strip())  # type: ignore[attr-defined]
        print("oneway:", echo.oneway_echo("no answer is expected"))
        echo.shutdown()
        print("the server ends")


if __name__ == "__main__":
    main()
