"""Uses a foreign class in both ways: python client.py [URI_OF_EXPOSED URI_OF_ADAPTER]."""

import sys
from collections.abc import Callable

import pyrolite


def attempt(what: str, call: Callable[[], object]) -> None:
    try:
        print(f"  {what}:", call())
    except Exception as error:
        print(f"  {what}: {type(error).__name__}")


def main() -> None:
    uris = sys.argv[1:] or [input("URI of the exposed one: "), input("URI of the adapter: ")]
    for way, uri in zip(("exposed class", "adapter"), uris, strict=True):
        print(f"{way}:")
        with pyrolite.Proxy(uri) as station:
            attempt("temperature", station.temperature)
            attempt("describe", station.describe)
            attempt("reset", lambda: station.reset())  # noqa: PLW0108 - the lookup may fail as well


if __name__ == "__main__":
    main()
