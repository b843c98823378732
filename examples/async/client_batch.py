"""A batch of calls that runs in the background, with functions chained to its result."""

import sys
from collections.abc import Iterable, Iterator

import pyrolite


def shout(results: Iterable[str]) -> Iterator[str]:
    return (result.upper() for result in results)


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the kitchen: ")
    with pyrolite.Proxy(uri) as kitchen:
        batch = pyrolite.batch(kitchen)
        for dish in ("rice", "pasta"):
            batch.cook(dish, 0.1)
        result = batch(asynchronous=True)  # one request, whose answer is on its way
        print("batch sent; ready at once?", result.ready)
        result.then(shout)
        for text in result.value:
            print("->", text)

        batch.portions("pie", 4)
        batch.portions("pie", 0)
        batch.portions("pie", 6)
        answers = batch(asynchronous=True).value  # what fails, fails when its result is reached
        print("portions:", next(answers))
        try:
            next(answers)
        except ValueError as error:
            print("exception in the batch:", error)


if __name__ == "__main__":
    main()
