"""Pyro4's module of that name: serializers, tracebacks, and the checks of what is exposed ([OV-22], [OV-23])."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Final

from pyrolite.configuration import config
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


def _json_module() -> ModuleType:
    try:
        return importlib.import_module(config.JSON_MODULE)
    except ImportError:  # then there is no serializer for it either
        return importlib.import_module("json")


#: The module that JSON_MODULE selects, the standard one where that is missing.
json: Final = _json_module()
