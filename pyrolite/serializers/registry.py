"""Which serializers there are: one shared object of each, by name and by id ([SER-1], [SER-2])."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any, Final

from pyrolite.configuration import config
from pyrolite.errors import SerializeError
from pyrolite.serializers.base import SerializerBase
from pyrolite.serializers.classes import register_library_class
from pyrolite.serializers.cloudpickle import CloudpickleSerializer
from pyrolite.serializers.dill import DillSerializer
from pyrolite.serializers.json import JsonSerializer
from pyrolite.serializers.marshal import MarshalSerializer
from pyrolite.serializers.msgpack import MsgpackSerializer
from pyrolite.serializers.pickle import PickleSerializer
from pyrolite.serializers.serpent import SerpentSerializer

__all__ = ["_serializers", "_serializers_by_id", "get_serializer", "get_serializer_by_id"]

log: logging.Logger = logging.getLogger("pyrolite.serializers")

_CLASSES: Final[dict[str, type[SerializerBase]]] = {
    "serpent": SerpentSerializer,
    "json": JsonSerializer,
    "marshal": MarshalSerializer,
    "pickle": PickleSerializer,
    "dill": DillSerializer,
    "msgpack": MsgpackSerializer,
    "cloudpickle": CloudpickleSerializer,
}
#: Those that need a package of the same name.
_OPTIONAL: Final = frozenset({"serpent", "dill", "msgpack", "cloudpickle"})


def _is_available(name: str) -> bool:
    """Whether the package that a serializer needs is there, without loading it ([BYD-60])."""
    module = config.JSON_MODULE if name == "json" else name
    if module == "json" or (name != "json" and name not in _OPTIONAL):
        return True
    try:
        available = importlib.util.find_spec(module) is not None
    except ValueError:  # a stand-in without a spec in sys.modules
        available = True
    except ImportError:  # the parent of a dotted name is missing
        available = False
    if not available and name == "serpent":
        log.warning("serpent serializer is not available")
    elif not available and name == "json":
        log.warning("json serializer is not available: there is no module %r (config item JSON_MODULE)", module)
    return available


#: The serializers by name, and by id.
_serializers: dict[str, SerializerBase] = {name: cls() for name, cls in _CLASSES.items() if _is_available(name)}
_serializers_by_id: dict[int, SerializerBase] = {
    serializer.serializer_id: serializer for serializer in _serializers.values()
}


def get_serializer(name: str) -> SerializerBase:
    """The serializer of that name.

    Raises:
        SerializeError: there is none.
    """
    try:
        return _serializers[name]
    except KeyError:
        raise SerializeError(f"serializer '{name}' is unknown or not available") from None


def get_serializer_by_id(sid: int) -> SerializerBase:
    """The serializer with that id in message headers.

    Raises:
        SerializeError: there is none.
    """
    try:
        return _serializers_by_id[sid]
    except KeyError:
        raise SerializeError(f"no serializer available for id {sid}") from None


def _register_serializer_class(cls: type[SerializerBase]) -> None:
    """Let serializer objects be serialized themselves ([SER-41])."""
    name = f"Pyro4.util.{cls.__name__}"

    def to_dict(serializer: Any) -> dict[str, Any]:
        return {"__class__": name}

    def from_dict(data: dict[str, Any]) -> SerializerBase:
        return cls()

    register_library_class(cls, name, to_dict, from_dict)


for _class in _CLASSES.values():
    _register_serializer_class(_class)
