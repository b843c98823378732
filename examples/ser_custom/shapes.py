"""Classes of the application, and how they travel. Client and server import this module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyrolite.util import SerializerBase


@dataclass(frozen=True)
class Point:
    x: float
    y: float


@dataclass(frozen=True)
class Polygon:
    points: tuple[Point, ...]


class TooFewPointsError(Exception):
    """Errors of one's own can travel as well."""


def _point_to_dict(point: Point) -> dict[str, Any]:
    return {"__class__": "shapes.Point", "xy": [point.x, point.y]}


def _point_from_dict(class_name: str, data: dict[str, Any]) -> Point:
    return Point(*data["xy"])


def _polygon_to_dict(polygon: Polygon) -> dict[str, Any]:
    # only plain data: what is nested in here is not given to the other hooks by all serializers
    return {"__class__": "shapes.Polygon", "points": [[point.x, point.y] for point in polygon.points]}


def _polygon_from_dict(class_name: str, data: dict[str, Any]) -> Polygon:
    return Polygon(tuple(Point(x, y) for x, y in data["points"]))


def _error_to_dict(error: TooFewPointsError) -> dict[str, Any]:
    return {"__class__": "shapes.TooFewPointsError", "__exception__": True, "args": list(error.args), "attributes": {}}


def _error_from_dict(class_name: str, data: dict[str, Any]) -> TooFewPointsError:
    return TooFewPointsError(*data["args"])


def register() -> None:
    """Let all serializers know the classes."""
    for cls, to_dict in ((Point, _point_to_dict), (Polygon, _polygon_to_dict), (TooFewPointsError, _error_to_dict)):
        SerializerBase.register_class_to_dict(cls, to_dict)
    for name, from_dict in (
        ("shapes.Point", _point_from_dict),
        ("shapes.Polygon", _polygon_from_dict),
        ("shapes.TooFewPointsError", _error_from_dict),
    ):
        SerializerBase.register_dict_to_class(name, from_dict)


def unregister() -> None:
    for cls in (Point, Polygon, TooFewPointsError):
        SerializerBase.unregister_class_to_dict(cls)
        SerializerBase.unregister_dict_to_class(f"shapes.{cls.__name__}")
