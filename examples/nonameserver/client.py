"""Uses an object whose URI it is told."""

import sys

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the fortune teller: ")
    with pyrolite.Proxy(uri) as fortune:
        print(fortune.tell("Ada"))

    # the parts of a URI can be put together as well
    parsed = pyrolite.URI(uri)
    again = pyrolite.URI(f"PYRO:{parsed.object}@{parsed.location}")
    print("the same URI:", again == parsed)
    with pyrolite.Proxy(again) as fortune:
        print(fortune.tell("Bob"))


if __name__ == "__main__":
    main()
