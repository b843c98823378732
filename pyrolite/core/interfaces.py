"""Proxies that type checkers see as what they stand for, and the check that they are it ([BYD-31])."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pyrolite import lazily
from pyrolite.core.proxy import Proxy
from pyrolite.core.uri import URI
from pyrolite.errors import PyroError

if sys.version_info >= (3, 14):
    import annotationlib

if TYPE_CHECKING:
    import inspect
else:
    inspect = lazily.module("inspect", globals())

__all__ = ["typed"]

T = TypeVar("T")

#: Modules whose classes bring no members of an interface: Protocol, Generic, ABC, object.
_SCAFFOLDING: Final = frozenset(("abc", "builtins", "typing", "typing_extensions"))


# Callable and not type[T]: type checkers refuse Protocols and abstract classes for the latter.
def typed(interface: Callable[..., T], uri_or_proxy: URI | str | Proxy, *, check: bool = False) -> T:
    """A proxy that type checkers see as ``interface``; when it connects, it checks that the remote object is like that.

    What is checked are names: each public method of the interface has to be an exposed method, and each property an
    exposed attribute. The check needs the metadata of the remote object, so with METADATA off there is none, except
    with ``check``.

    Args:
        interface: a class or Protocol, for instance one that ``python -m pyrolite.stubs`` has written.
        uri_or_proxy: where the object is; a proxy is returned as it is, and is also to be released by the caller.
        check: connect and check now, and not when the proxy is used for the first time.

    Raises:
        PyroError: the object lacks something, which the text names; also raised later, whenever the proxy connects.
        TypeError: ``interface`` is no class.
        CommunicationError, NamingError: with ``check``, the object cannot be reached.

    Thread safety: as for `Proxy`.
    """
    cls = typing.get_origin(interface) or interface
    if not isinstance(cls, type):
        raise TypeError(f"expected a class or Protocol, not {interface!r}")
    proxy = uri_or_proxy if isinstance(uri_or_proxy, Proxy) else Proxy(uri_or_proxy)
    promised = _Interface(cls)
    proxy.__dict__["_pyroInterface"] = promised
    if check:
        proxy._pyroGetMetadata()
    elif proxy._pyroConnection is not None and (proxy._pyroMethods or proxy._pyroAttrs):
        promised.check(proxy._pyroUri, proxy._pyroMethods, proxy._pyroAttrs)
    return cast("T", proxy)


class _Interface:
    """What the class of an interface promises."""

    def __init__(self, cls: type) -> None:
        self._name = cls.__qualname__
        self._kinds = dict(_public_members(cls))

    def check(self, uri: URI, methods: Collection[str], attrs: Collection[str]) -> None:
        """Check that all of it is exposed.

        Raises:
            PyroError: something is missing, or is a method instead of an attribute or the other way round.
        """
        wrong = []
        for name, kind in sorted(self._kinds.items()):
            if name not in methods and name not in attrs:
                wrong.append(f"'{name}' is missing")
            elif kind == "method" and name not in methods:
                wrong.append(f"'{name}' is an attribute there, not a method")
            elif kind == "attribute" and name not in attrs:
                wrong.append(f"'{name}' is a method there, not an attribute")
        if wrong:
            raise PyroError(f"remote object '{uri}' is not what {self._name} promises: {', '.join(wrong)}")


def _public_members(cls: type) -> Iterator[tuple[str, str]]:
    """Names of public members, and each time whether it is a ``method``, an ``attribute``, or may be ``either``."""
    for base in cls.__mro__:
        if base.__module__ in _SCAFFOLDING:
            continue
        for name in {*vars(base), *_annotated(base)}:
            if not name.startswith("_"):
                yield name, _kind(inspect.getattr_static(cls, name, None))


def _annotated(cls: type) -> Collection[str]:
    """The names that have annotations in the body of a class; what these mean is not looked at."""
    if sys.version_info >= (3, 14):
        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def _kind(member: Any) -> str:
    if inspect.isdatadescriptor(member):
        return "attribute"
    return "method" if inspect.isroutine(member) else "either"  # an annotation may be that of something callable
