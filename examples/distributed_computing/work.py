"""Pieces of work, and how they travel: hooks for the serializers, known to all three programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pyrolite.util import SerializerBase

DISPATCHER = "PYRONAME:example.distributed.dispatcher"


@dataclass
class WorkItem:
    number: int
    factors: list[int] = field(default_factory=list)
    worker: str = ""


def _to_dict(item: WorkItem) -> dict[str, Any]:
    return {"__class__": "example.WorkItem", **asdict(item)}


def _from_dict(class_name: str, data: dict[str, Any]) -> WorkItem:
    return WorkItem(data["number"], list(data["factors"]), data["worker"])


SerializerBase.register_class_to_dict(WorkItem, _to_dict)
SerializerBase.register_dict_to_class("example.WorkItem", _from_dict)
