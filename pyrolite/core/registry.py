"""Which objects a daemon offers, under which ids ([DMN-12] to [DMN-21])."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

from pyrolite import constants, lazily
from pyrolite.core.uri import URI
from pyrolite.errors import DaemonError

if TYPE_CHECKING:
    import uuid
else:
    uuid = lazily.module("uuid", globals())

__all__ = ["ObjectRegistry"]

_MARKS: Final = ("_pyroId", "_pyroDaemon")


class ObjectRegistry:
    """The objects and classes of one daemon by their ids.

    ``objects`` is the table; reading it needs no lock.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, daemon: Any) -> None:
        self._daemon = daemon
        self.objects: dict[str, Any] = {}
        # makes check and entry of a registration one step; protects only that
        self._lock = threading.Lock()

    def add(self, thing: Any, object_id: str | None, force: bool) -> str:
        """Register an object or class; returns its id, a random one when none was given.

        Raises:
            TypeError: the id is no text, or the object takes no attributes.
            AttributeError: the object takes no attributes.
            DaemonError: the object has an id already, or the id is in use.
            PyroError: the id cannot be part of a URI.
        """
        if object_id and not isinstance(object_id, str):
            raise TypeError("objectId must be a string or None")
        object_id = object_id or f"obj_{uuid.uuid4().hex}"
        URI(f"PYRO:{object_id}@host:1")  # refuses ids that no client could name
        with self._lock:
            if object_id == constants.DAEMON_NAME and object_id in self.objects:
                raise DaemonError("an object or class is already registered with that id")
            if not force:
                if _own_id(thing):
                    raise DaemonError("object or class already has a Pyro id")
                if object_id in self.objects:
                    raise DaemonError("an object or class is already registered with that id")
            self._mark(thing, object_id)
            self.objects[object_id] = thing
        return object_id

    def _mark(self, thing: Any, object_id: str) -> None:
        if isinstance(thing, type) and not hasattr(thing, "_pyroInstancing"):
            thing._pyroInstancing = ("session", None)  # type: ignore[attr-defined]
        thing._pyroId = object_id
        try:
            thing._pyroDaemon = self._daemon
        except (AttributeError, TypeError):
            del thing._pyroId
            raise

    def remove(self, thing_or_id: Any) -> None:
        """Unregister an object, or what has the id; unknown ids are ignored ([DMN-19]).

        Raises:
            ValueError: nothing given.
            DaemonError: the object is not registered.
        """
        if thing_or_id is None:
            raise ValueError("object or objectid argument expected")
        if isinstance(thing_or_id, str):
            if thing_or_id != constants.DAEMON_NAME:
                self.objects.pop(thing_or_id, None)
            return
        object_id = _own_id(thing_or_id)
        if object_id is None:
            raise DaemonError("object isn't registered")
        if object_id == constants.DAEMON_NAME:
            return
        with self._lock:
            # its place may have been given to another object, and it may be registered in another daemon
            if self.objects.get(object_id) is thing_or_id:
                del self.objects[object_id]
            elif getattr(thing_or_id, "_pyroDaemon", None) is not self._daemon:
                return
            for mark in _MARKS:
                with contextlib.suppress(AttributeError):  # deleted by the user
                    delattr(thing_or_id, mark)

    def id_of(self, thing_or_id: Any) -> str:
        """The id of an object that is registered here; an id stands for itself and is not checked.

        Raises:
            DaemonError: the object is not registered here.
        """
        if isinstance(thing_or_id, str):
            return thing_or_id
        object_id: str | None = getattr(thing_or_id, "_pyroId", None)
        if not isinstance(object_id, str) or not _belongs_to(thing_or_id, self.objects.get(object_id)):
            raise DaemonError("object isn't registered in this daemon")
        return object_id


def _belongs_to(thing: Any, registered: Any) -> bool:
    """Whether ``thing`` is what is registered, or an instance or subclass of the registered class ([DMN-26])."""
    if thing is registered:
        return True
    return isinstance(registered, type) and (
        isinstance(thing, registered) or (isinstance(thing, type) and issubclass(thing, registered))
    )


def _own_id(thing: Any) -> Any:
    """The id of the object itself, not one that it inherits from its class or base class ([DMN-15])."""
    object_id = getattr(thing, "_pyroId", None)
    if not object_id:
        return None
    if isinstance(thing, type):
        return vars(thing).get("_pyroId")
    own = getattr(thing, "__dict__", None)
    if own is not None and "_pyroId" in own:
        return own["_pyroId"]
    # without an entry of its own it comes from a slot, or from the class
    inherited = getattr(type(thing), "_pyroId", None)
    return object_id if inherited is None or not isinstance(inherited, str) else None
