"""Instances of registered classes: one for the daemon, one per session, or one per call (chapter 31, DMN-70)."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from pyrolite.errors import DaemonError

if TYPE_CHECKING:
    from pyrolite.net.connection import SocketConnection

__all__ = ["InstanceTable"]

log: logging.Logger = logging.getLogger("pyrolite.core")


class InstanceTable:
    """Makes and keeps the instances of a daemon's registered classes.

    Thread safety: `instance_for` may be called from any thread.
    """

    def __init__(self) -> None:
        self.singletons: dict[type, Any] = {}
        # One for each class in single mode: makes its creation happen once. Held while the creator runs, by the meaning
        # of "single"; one for all classes could make a creator wait for itself that calls another object of the daemon.
        self._creation_locks: dict[type, threading.RLock] = {}

    def instance_for(self, cls: type, connection: SocketConnection) -> Any:
        """The instance of ``cls`` that serves the current request of ``connection`` ([DMN-70] to [DMN-72]).

        Raises: what the class or its creator raises; TypeError when the creator returns something else.
        """
        mode, creator = cls._pyroInstancing  # type: ignore[attr-defined]
        if mode == "session":
            instances = connection.pyroInstances
            if cls not in instances:
                instances[cls] = _create(cls, creator)
            return instances[cls]
        if mode == "percall":
            return _create(cls, creator)
        if mode == "single":
            if cls not in self.singletons:
                with self._creation_locks.setdefault(cls, threading.RLock()):
                    if cls not in self.singletons:
                        self.singletons[cls] = _create(cls, creator)
            return self.singletons[cls]
        raise DaemonError(f"invalid instancemode in registered class: {mode!r}")


def _create(cls: type, creator: Any) -> Any:
    try:
        if creator is None:
            return cls()
        instance = creator(cls)
        if isinstance(instance, cls):
            return instance
        raise TypeError("instance creator returned object of different type")
    except BaseException:
        log.exception("could not create an instance of %r", cls)
        raise
