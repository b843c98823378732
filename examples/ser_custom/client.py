"""Sends objects of its own classes, with each serializer; first without, then with hooks."""

import sys

import shapes
from shapes import Point, Polygon, TooFewPointsError

import pyrolite


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the geometry: ")
    triangle = Polygon((Point(0, 0), Point(3, 0), Point(0, 6)))

    with pyrolite.Proxy(uri) as geometry:
        try:
            print("without hooks:", geometry.centre(triangle))
        except Exception as error:
            print("without hooks:", type(error).__name__)

    shapes.register()
    for serializer in ("serpent", "json", "marshal", "msgpack"):
        with pyrolite.Proxy(uri) as geometry:
            geometry._pyroSerializer = serializer
            print(f"{serializer}: {geometry.centre(triangle)}, nested: {geometry.corners(triangle)[1]}")
            try:
                geometry.centre(Polygon((Point(0, 0),)))
            except TooFewPointsError as error:
                print(f"{serializer}: TooFewPointsError, {error} is not enough")


if __name__ == "__main__":
    main()
