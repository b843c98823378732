"""Calculates with shapes."""

import shapes
from shapes import Point, Polygon, TooFewPointsError

import pyrolite

pyrolite.config.SERIALIZERS_ACCEPTED = {"serpent", "json", "marshal", "msgpack"}


@pyrolite.expose
class Geometry:
    def centre(self, polygon: Polygon) -> Point:
        if len(polygon.points) < 3:
            raise TooFewPointsError(len(polygon.points))
        count = len(polygon.points)
        return Point(sum(point.x for point in polygon.points) / count, sum(point.y for point in polygon.points) / count)

    def corners(self, polygon: Polygon) -> list[Point]:
        return list(polygon.points)


def main() -> None:
    shapes.register()
    with pyrolite.Daemon() as daemon:
        print("the geometry is ready:", daemon.register(Geometry))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
