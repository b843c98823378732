"""The object ``Pyro.Daemon`` of every daemon ([DMN-80], [DMN-81])."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pyrolite.core.context import current_context
from pyrolite.core.description import describe_members
from pyrolite.core.exposure import expose, exposed_names, get_exposed_members
from pyrolite.errors import DaemonError

if TYPE_CHECKING:
    from pyrolite.core.daemon import Daemon

__all__ = ["DaemonObject"]


@expose
class DaemonObject:
    """What clients may ask a daemon itself. Subclasses are given to `Daemon` as ``interface``.

    Thread safety: the methods may be called from any thread.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def registered(self) -> list[str]:
        """The ids of all registered objects."""
        return list(self.daemon.objectsById)

    def ping(self) -> None:
        """Do nothing; for checking that the daemon answers."""

    def info(self) -> str:
        """A line about the daemon."""
        daemon = self.daemon
        return (
            f"Pyro.Daemon bound on {daemon.locationStr}, NAT {daemon.natLocationStr}, "
            f"{len(daemon.objectsById)} objects registered. Servertype: {daemon.transportServer!r}"
        )

    def get_metadata(self, objectId: str, as_lists: bool = False, *, details: bool = False) -> dict[str, Any]:
        """Names of what an object exposes: ``methods``, ``oneway`` methods and ``attrs``, as sets or lists.

        With ``details`` there are also the signatures and docstrings of all of them, see `describe_members` ([DMN-82]).

        Raises:
            DaemonError: there is no such object.
        """
        thing = self.daemon.objectsById.get(objectId)
        if thing is None:
            raise DaemonError("unknown object")
        only_exposed = self.daemon._pyroConfig.REQUIRE_EXPOSE
        metadata = get_exposed_members(thing, only_exposed=only_exposed, as_lists=as_lists)
        if only_exposed and not exposed_names(metadata):
            cls = thing if isinstance(thing, type) else type(thing)
            warnings.warn(
                f"Class {cls!r} doesn't expose any methods or attributes. Did you forget setting @expose on them?",
                stacklevel=2,
            )
        if details:
            cls = thing if isinstance(thing, type) else type(thing)
            names = sorted({*metadata["methods"], *metadata["attrs"]})
            return {**metadata, "details": describe_members(cls, names)}
        return metadata

    def get_next_stream_item(self, streamId: str) -> Any:
        """The next item of a stream.

        Raises:
            PyroError: the stream is unknown, expired, or another client's.
            Exception: whatever the iterator raises, StopIteration at its end.
        """
        return self.daemon._pyroStreams.next_item(streamId, current_context.client)

    def close_stream(self, streamId: str) -> None:
        """End a stream; unknown ones are ignored."""
        self.daemon._pyroStreams.close(streamId, current_context.client)


# where programs know it from
DaemonObject.__module__ = "pyrolite.core"
