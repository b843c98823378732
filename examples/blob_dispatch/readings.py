"""The class that senders and listeners know, and the dispatcher does not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pyrolite.util import SerializerBase


@dataclass
class Reading:
    station: str
    celsius: float

    def __str__(self) -> str:
        return f"{self.celsius:.1f} degrees at {self.station}"


def _to_dict(reading: Reading) -> dict[str, Any]:
    return {"__class__": "example.Reading", **asdict(reading)}


def _from_dict(class_name: str, data: dict[str, Any]) -> Reading:
    return Reading(data["station"], data["celsius"])


SerializerBase.register_class_to_dict(Reading, _to_dict)
SerializerBase.register_dict_to_class("example.Reading", _from_dict)
