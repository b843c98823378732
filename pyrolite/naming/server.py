"""The name server: an object that maps names to URIs, and the daemon that offers it ([NS-1] to [NS-21])."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Final, TypeVar

from pyrolite import constants
from pyrolite.commandline import say
from pyrolite.configuration import Configuration
from pyrolite.configuration import config as global_config
from pyrolite.core import URI, Daemon, current_context, expose
from pyrolite.errors import NamingError, ProtocolError, PyroError
from pyrolite.naming.autoclean import AutoCleaner
from pyrolite.naming.leases import Leases, checked_ttl, without_leases
from pyrolite.naming.patterns import CheckedPattern, checked_pattern
from pyrolite.naming.storage import NO_METADATA, Entry, MemoryStorage, as_storage, open_storage
from pyrolite.socketserver.interface import DEFAULT_DRAIN

__all__ = ["NameServer", "NameServerDaemon", "type_meta"]

N = TypeVar("N", bound="NameServerDaemon")

log: logging.Logger = logging.getLogger("pyrolite.naming")

#: Metadata of the name server's own entry ([NS-2]): clients of all kinds find what they look for.
OWN_METADATA: Final = frozenset(
    (
        "class:Pyro4.naming.NameServer",
        "class:Pyro5.nameserver.NameServer",
        "class:pyrolite.naming.NameServer",
    )
)
_KEPT: Final = frozenset((constants.NAMESERVER_NAME,))
_SETS_PROTOCOL: Final = 502
#: Seconds that a shutdown may take longer than it waits for calls in progress.
LAST_WAIT: Final = 5.0
#: Rounds in which a removal by regular expression takes names into account that were registered meanwhile.
_ROUNDS: Final = 10


def type_meta(class_or_object: Any, prefix: str = "class:") -> set[str]:
    """Metadata that names a class and its base classes, for registrations that are found by them ([NS-16]).

    Args:
        class_or_object: a class, or an object whose class is meant.
        prefix: what each item begins with.

    Thread safety: may be called from any thread.
    """
    cls = class_or_object if isinstance(class_or_object, type) else type(class_or_object)
    return {f"{prefix}{base.__module__}.{base.__name__}" for base in cls.__mro__ if base.__module__ != "builtins"}


@expose
class NameServer:
    """Maps names to URIs, with metadata; all of its methods can be called remotely ([NS-3]).

    ``storageProvider`` is where the names are kept, default in memory.

    Thread safety: all methods may be called from any thread; each call happens in one step.
    """

    __module__ = "pyrolite.naming"

    def __init__(self, storageProvider: Any = None) -> None:
        self.storage: Any = MemoryStorage() if storageProvider is None else storageProvider
        self._names = as_storage(self.storage)
        self._leases = Leases(self._names, self.storage)

    def count(self) -> int:
        """The number of registrations."""
        self._leases.sweep()
        return len(self._names)

    def ping(self) -> None:
        """Do nothing, successfully."""

    def lookup(self, name: str, return_metadata: bool = False) -> Any:
        """The URI of a name, or with ``return_metadata`` a tuple of it and the metadata.

        Raises:
            NamingError: the name is unknown.
        """
        self._leases.sweep()
        entry = self._leases.visible_entry(name, self._names.entry(name)) if isinstance(name, str) else None
        if entry is None:
            raise NamingError(f"unknown name: {name}")
        uri = URI(entry[0])
        return (uri, _metadata_form(entry[1])) if return_metadata else uri

    def register(
        self,
        name: str,
        uri: URI | str,
        safe: bool = False,
        metadata: Iterable[str] | None = None,
        ttl: float | None = None,
    ) -> None:
        """Store a URI under a name, replacing what was there, metadata included.

        Args:
            name: any text.
            uri: a URI of any protocol, or its text.
            safe: refuse names that are registered already.
            metadata: texts to find the registration by.
            ttl: seconds after which the registration vanishes unless it is made again; default: it stays ([BYD-14]).

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: ``ttl`` is not positive.
            PyroError: ``uri`` is no valid URI.
            NamingError: the name is registered already, or it is the name server's own.
        """
        if isinstance(uri, URI):
            text = str(uri)
        elif isinstance(uri, str):
            text = uri
            URI(uri)
        else:
            raise TypeError("only URIs or strings can be registered")
        tags = _checked_metadata(_checked_name(name), metadata)
        seconds = checked_ttl(ttl)
        self._leases.sweep()
        if not self._leases.put(name, text, tags, safe=bool(safe), ttl=seconds):
            raise NamingError(f"name already registered: {name}")

    def set_metadata(self, name: str, metadata: Iterable[str] | None) -> None:
        """Replace the metadata of a registration; None or nothing: remove it.

        Raises:
            TypeError: an argument has the wrong type.
            NamingError: the name is unknown, or it is the name server's own.
        """
        self._leases.sweep()
        if not self._leases.put_metadata(name, _checked_metadata(_checked_name(name), metadata)):
            raise NamingError(f"unknown name: {name}")

    def remove(
        self,
        name: str | None = None,
        prefix: str | None = None,
        regex: str | None = None,
        metadata_all: Iterable[str] | None = None,
        metadata_any: Iterable[str] | None = None,
    ) -> int:
        """Remove a name, or all that start with ``prefix``, or match ``regex`` from their start, or have metadata.

        The first of these that is given and, for ``name``, known, counts. The name server's own entry stays. Everything
        goes in one step, also for other name servers on the same store.

        Returns:
            how many were removed.

        Raises:
            TypeError: a filter has the wrong type.
            NamingError: the expression is invalid, or could take too long; the storage has no metadata.
        """
        self._leases.sweep()
        if name and isinstance(name, str) and name not in _KEPT and self._names.discard((name,)):
            return 1
        if prefix:
            return self._names.discard_prefix(_checked_prefix(prefix), _KEPT)
        if regex:
            return self._remove_matching(regex)
        all_of, any_of = _tags("metadata_all", metadata_all), _tags("metadata_any", metadata_any)
        if all_of:
            return self._names.discard_metadata(all_of=all_of, keep=_KEPT)
        return self._names.discard_metadata(any_of=any_of, keep=_KEPT) if any_of else 0

    def _remove_matching(self, regex: str) -> int:
        """Expressions are matched while nothing is locked, except for the few names that come in the last moment."""
        pattern = checked_pattern(regex)
        seen: set[str] = set()
        matching: set[str] = set()

        def select(names: Iterable[str]) -> set[str]:
            candidates = set(names)
            new = candidates - seen
            matching.update(pattern.matching(new))
            seen.update(new)
            return (matching & candidates) - _KEPT

        for _ in range(_ROUNDS):
            known = len(seen)
            select(self._candidates(pattern))
            if len(seen) == known:
                break
        return self._names.discard_selected(pattern.prefix, select)

    def _candidates(self, pattern: CheckedPattern, *, metadata: bool = False) -> dict[str, Entry]:
        """The entries among which those are that match."""
        if pattern.prefix:
            return self._names.with_prefix(pattern.prefix, metadata=metadata)
        return self._names.snapshot(metadata=metadata)

    def list(
        self,
        prefix: str | None = None,
        regex: str | None = None,
        metadata_all: Iterable[str] | None = None,
        metadata_any: Iterable[str] | None = None,
        return_metadata: bool = False,
    ) -> dict[str, Any]:
        """Names and the texts of their URIs, or with ``return_metadata`` tuples of these and the metadata.

        At most one of the filters can be given; an empty one is none.

        Args:
            prefix: names that start with it.
            regex: names that match it from their start.
            metadata_all: registrations that have all of these.
            metadata_any: registrations that have at least one of these.
            return_metadata: whether to return metadata.

        Raises:
            ValueError: there is more than one filter.
            TypeError: a filter has the wrong type.
            NamingError: the expression is invalid, or could take too long.
        """
        if sum(filter_ is not None for filter_ in (prefix, regex, metadata_all, metadata_any)) > 1:
            raise ValueError("you can only filter on one thing at a time")
        self._leases.sweep()
        entries: dict[str, Entry]
        if prefix:
            entries = self._names.with_prefix(_checked_prefix(prefix), metadata=return_metadata)
        elif regex:
            pattern = checked_pattern(regex)
            found = self._candidates(pattern, metadata=return_metadata)
            entries = {name: found[name] for name in pattern.matching(found)}
        elif metadata_all is not None:
            entries = self._with_metadata("metadata_all", metadata_all, metadata=return_metadata)
        elif metadata_any is not None:
            entries = self._with_metadata("metadata_any", metadata_any, metadata=return_metadata)
        else:
            entries = self._names.snapshot(metadata=return_metadata)
        return _result(self._leases.visible(entries), return_metadata=return_metadata)

    def yplookup(
        self,
        meta_all: Iterable[str] | None = None,
        meta_any: Iterable[str] | None = None,
        return_metadata: bool = True,
    ) -> dict[str, Any]:
        """Search by metadata as the name server of Pyro5 does ([P5-51]); as `list`, but nothing without a filter.

        Raises:
            ValueError: there are two filters.
            TypeError: a filter has the wrong type.
        """
        if meta_all is not None and meta_any is not None:
            raise ValueError("you can't use meta_all or meta_any at the same time")
        if meta_all:
            return self.list(metadata_all=meta_all, return_metadata=return_metadata)
        return self.list(metadata_any=meta_any, return_metadata=return_metadata) if meta_any else {}

    def _with_metadata(self, argument: str, wanted: Iterable[str], *, metadata: bool) -> dict[str, Entry]:
        tags = _tags(argument, wanted)
        if not tags:
            return self._names.snapshot(metadata=metadata)
        if argument == "metadata_all":
            return self._names.with_metadata(all_of=tags)
        return self._names.with_metadata(any_of=tags)

    def _register_own(self, uri: URI) -> None:
        """Store the name server's own entry, which clients cannot change."""
        self._names.put(constants.NAMESERVER_NAME, str(uri), OWN_METADATA)


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError("name must be a str")
    return name


def _checked_metadata(name: str, metadata: Any) -> frozenset[str]:
    """The metadata to store, when the caller may do that."""
    tags = _tags("metadata", metadata)
    # the server itself calls from outside of a request
    if name in _KEPT and current_context.client is not None:
        raise NamingError("the name server's own registration cannot be changed by clients")
    return without_leases(tags) if tags else tags


def _tags(argument: str, metadata: Any) -> frozenset[str]:
    """What was given for ``argument``, as a set of texts ([NS-7], [NS-13], [NS-14])."""
    if metadata is None:
        return NO_METADATA
    if isinstance(metadata, str):
        raise TypeError(f"{argument} should not be a str, but another iterable (set, list, etc)")
    tags = list(metadata)
    if not all(isinstance(tag, str) for tag in tags):
        raise TypeError(f"{argument} must contain only str")
    return frozenset(tags)


def _checked_prefix(prefix: Any) -> str:
    if not isinstance(prefix, str):
        raise TypeError("prefix must be a str")
    return prefix


def _metadata_form(tags: Collection[str]) -> list[str] | set[str]:
    """Metadata as it is returned: a sorted list, because not all serializers have sets ([NS-14], [P5-52])."""
    return set(tags) if current_context.protocol == _SETS_PROTOCOL else sorted(tags)


def _result(entries: dict[str, Entry], *, return_metadata: bool) -> dict[str, Any]:
    if return_metadata:
        return {name: (uri, _metadata_form(tags)) for name, (uri, tags) in entries.items()}
    return {name: uri for name, (uri, _) in entries.items()}


def _nameserver_class() -> type[NameServer]:
    """`NameServer`, or what a program has put in its place in `pyrolite.naming`: that is how programs extend it."""
    chosen: type[NameServer] = sys.modules["pyrolite.naming"].NameServer
    return chosen


class NameServerDaemon(Daemon):
    """The daemon of a name server ([NS-17]).

    Args:
        host: where to listen, default HOST.
        port: TCP port, 0 for a random one, default NS_PORT.
        unixsocket: name of a Unix domain socket to listen on instead.
        nathost: host that clients use to reach this one from outside, default NATHOST.
        natport: port for ``nathost``, default NATPORT.
        storage: ``memory`` (default), ``dbm:file``, ``sql:file``, ``redis://host``, ``postgresql://host/database``, or
            an object with the interface of storages.
        config: the configuration to use instead of the global one.

    Raises:
        ValueError: the arguments do not fit together, or NS_AUTOCLEAN is too small.
        NamingError: the storage cannot be used.
        OSError: the address cannot be bound.

    Thread safety: as `Daemon`.
    """

    __module__ = "pyrolite.naming"

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        unixsocket: str | None = None,
        nathost: str | None = None,
        natport: int | None = None,
        storage: Any = None,
        *,
        config: Configuration | None = None,
    ) -> None:
        configuration = config or global_config
        AutoCleaner.check_interval(configuration.NS_AUTOCLEAN)
        self._end_lock = threading.Lock()  # protects only the next flag
        self._ending = False
        self._ended = threading.Event()
        self.nameserver: NameServer | None = None
        self.cleaner_thread: AutoCleaner | None = None
        if isinstance(storage, str) and storage.startswith("dbm:"):
            warning = "Warning: the DbmStorage doesn't support metadata."
            log.warning(warning)
            say(warning)
        super().__init__(
            host,
            configuration.NS_PORT if port is None else port,
            unixsocket,
            nathost=nathost,
            natport=natport,
            config=config,
        )
        try:
            self.nameserver = _nameserver_class()(open_storage(storage))
            self.nameserver._register_own(self.register(self.nameserver, constants.NAMESERVER_NAME))
            if configuration.NS_AUTOCLEAN > 0:
                self.cleaner_thread = AutoCleaner(self.nameserver, config=configuration)
                self.cleaner_thread.start()
        except BaseException:
            self.close()
            raise
        log.info("nameserver daemon created on %s", self.locationStr)

    def shutdown(self, drain: float = DEFAULT_DRAIN) -> None:
        """As `Daemon.shutdown`; when everything has ended the storage is closed.

        Whoever calls it while another thread does already waits for that one, except from within a call.
        """
        with self._end_lock:
            first, self._ending = not self._ending, True
        if not first:
            if current_context.client is None:
                self._ended.wait(drain + LAST_WAIT)
            return
        try:
            super().shutdown(drain)
        finally:
            self._release()
            self._ended.set()

    def close(self) -> None:
        """As `Daemon.close`, and close the storage; may be repeated."""
        super().close()
        self._release()

    def _release(self) -> None:
        """Close what belongs to the name server. Calls that are still running have their own reference to it."""
        cleaner, self.cleaner_thread = self.cleaner_thread, None
        if cleaner is not None:
            cleaner.stop()
        nameserver, self.nameserver = self.nameserver, None
        if nameserver is not None:
            nameserver._leases.close()
            nameserver.storage.close()

    def __enter__(self: N) -> N:  # noqa: PYI019
        if self.nameserver is None:
            raise PyroError("cannot reuse this object")
        super().__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def handleRequest(self, conn: Any) -> None:
        """As `Daemon.handleRequest`; what clients do wrong in the protocol is also told as a warning ([NS-20])."""
        try:
            super().handleRequest(conn)
        except ProtocolError as error:
            _warn(error)
            raise

    def _housekeeping(self) -> None:
        """As `Daemon._housekeeping`; removes registrations whose lease has ended ([BYD-14])."""
        nameserver = self.nameserver
        if nameserver is not None:
            nameserver._leases.sweep()
        super()._housekeeping()

    def _pyroRefused(self, error: BaseException) -> None:
        """The same for the handshake, where a serializer that is not accepted shows first."""
        if isinstance(error, ProtocolError):
            _warn(error)


def _warn(error: ProtocolError) -> None:
    # where warnings are errors, the client must get its answer nevertheless
    with contextlib.suppress(UserWarning):
        warnings.warn(f"Pyro protocol error occurred: {error}", stacklevel=3)
