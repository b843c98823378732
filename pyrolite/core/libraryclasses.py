"""How URIs and the wrapped exceptions of batches look to serializers that know no classes ([SER-40], [SER-54])."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyrolite.core.futures import _ExceptionWrapper
from pyrolite.core.uri import URI
from pyrolite.errors import SerializeError
from pyrolite.serializers import register_library_class

__all__: list[str] = []


def _uri_to_dict(uri: URI) -> dict[str, Any]:
    return {"__class__": "Pyro4.core.URI", "state": uri.__getstate__()}


def _uri_from_dict(data: Mapping[str, Any]) -> URI:
    protocol, named, sockname, host, port = data["state"]
    if (
        protocol not in ("PYRO", "PYRONAME", "PYROMETA")
        or not isinstance(named, (str, list, tuple, set, frozenset) if protocol == "PYROMETA" else str)
        or not isinstance(sockname, (str, type(None)))
        or not isinstance(host, (str, type(None)))
        or not isinstance(port, (int, type(None)))
    ):
        raise SerializeError("malformed URI state")
    uri = URI.__new__(URI)
    uri.__setstate__((protocol, named, sockname, host, port))
    return uri


def _wrapper_to_dict(wrapper: _ExceptionWrapper) -> dict[str, Any]:
    return {"__class__": "Pyro4.futures._ExceptionWrapper", "exception": wrapper.exception}


def _wrapper_from_dict(data: Mapping[str, Any]) -> _ExceptionWrapper:
    exception = data["exception"]
    if not isinstance(exception, BaseException):
        raise SerializeError("a wrapped exception is none")
    return _ExceptionWrapper(exception)


register_library_class(URI, "Pyro4.core.URI", _uri_to_dict, _uri_from_dict)
register_library_class(_ExceptionWrapper, "Pyro4.futures._ExceptionWrapper", _wrapper_to_dict, _wrapper_from_dict)
