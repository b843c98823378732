"""Objects to bytes and back: one module per format, and what they have in common.

* `registry`: which formats there are.
* `base`: the interface of all, the hooks of users, the shape of errors.
* `classes`, `exceptions`: instances as dicts and back; `values`: everything else in simpler values.
* `serpent`, `json`, `marshal`, `msgpack`; `pickle`, `cloudpickle`, `dill`: the formats.
* `serpent_reader`, `serpent_writer`, `marshal_guard`: what others do slower or unsafely.

Knows nothing of messages, sockets and remote objects; `register_library_class` is how those bring their classes.
"""

from __future__ import annotations

from pyrolite.serializers import marshal_guard
from pyrolite.serializers.base import SerializerBase
from pyrolite.serializers.classes import register_library_class, register_library_name
from pyrolite.serializers.cloudpickle import CloudpickleSerializer
from pyrolite.serializers.dill import DillSerializer
from pyrolite.serializers.exceptions import all_exceptions
from pyrolite.serializers.json import JsonSerializer
from pyrolite.serializers.marshal import MarshalSerializer
from pyrolite.serializers.msgpack import MsgpackSerializer
from pyrolite.serializers.pickle import PickleSerializer
from pyrolite.serializers.registry import _serializers, _serializers_by_id, get_serializer, get_serializer_by_id
from pyrolite.serializers.serpent import SerpentSerializer

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
    "get_serializer",
    "get_serializer_by_id",
    "marshal_guard",
    "register_library_class",
    "register_library_name",
]
