"""Pyro4's module of that name: serializers, tracebacks, and the checks of what is exposed ([OV-22], [OV-23])."""

from __future__ import annotations

from pyrolite.core.exposure import (
    get_exposed_members,
    get_exposed_property_value,
    getAttribute,
    is_private_attribute,
    reset_exposed_members,
    set_exposed_property_value,
)
from pyrolite.serializers import (
    CloudpickleSerializer,
    DillSerializer,
    JsonSerializer,
    MarshalSerializer,
    MsgpackSerializer,
    PickleSerializer,
    SerializerBase,
    SerpentSerializer,
    _serializers,
    _serializers_by_id,
    all_exceptions,
    get_serializer,
    get_serializer_by_id,
)
from pyrolite.serializers.json import json as json  # noqa: PLC0414 - what JSON_MODULE selects
from pyrolite.tracebacks import excepthook, formatTraceback, getPyroTraceback

__all__ = [
    "CloudpickleSerializer",
    "DillSerializer",
    "JsonSerializer",
    "MarshalSerializer",
    "MsgpackSerializer",
    "PickleSerializer",
    "SerializerBase",
    "SerpentSerializer",
    "_serializers",
    "_serializers_by_id",
    "all_exceptions",
    "excepthook",
    "formatTraceback",
    "getAttribute",
    "getPyroTraceback",
    "get_exposed_members",
    "get_exposed_property_value",
    "get_serializer",
    "get_serializer_by_id",
    "is_private_attribute",
    "json",
    "reset_exposed_members",
    "set_exposed_property_value",
]
