"""Leases: registrations that vanish when they are not made again in time ([BYD-14]).

A lease is stored as one more piece of metadata, ``pyrolite.lease:<seconds>:<end>``, so that it is stored, replaced and
removed in one step with its entry, by whoever does that: several name servers on one store, or a Pyro4 name server that
is given the file. Clients never see it. A dbm file has no metadata; there, leases are in a journal beside the file,
``<file>.leases``.

When a lease ends is measured with the monotonic clock where it was registered here, and with the time of day where it
was read from the store. After a start, all leases that are found get the time that they were given once more, so that
servers can renew what they could not renew while there was no name server.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import logging
import math
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

from pyrolite.errors import NamingError
from pyrolite.naming.storage.interface import Entry, Storage
from pyrolite.naming.storage.journal import Journal, JournalError, replay
from pyrolite.naming.storage.memory import MemoryStorage

__all__ = ["LEASE_PREFIX", "Leases", "checked_ttl", "without_leases"]

log: logging.Logger = logging.getLogger("pyrolite.naming")

#: What the metadata begins with that stands for a lease; clients cannot set it.
LEASE_PREFIX: Final = "pyrolite.lease:"
#: Seconds, at most.
LONGEST: Final = 1e9
#: Seconds after which removing is tried again, when the store did not work.
RETRY_PAUSE: Final = 5.0
#: Leases that are known, and ends that are not those of known ones, before it is looked whether they are still needed.
MANY_KNOWN: Final = 1000
MANY_ENDS: Final = 64
#: Bytes of the journal beside a dbm file at which it is written anew.
LARGE_JOURNAL: Final = 1 << 18


def checked_ttl(ttl: Any) -> float | None:
    """The seconds of a lease, None for none.

    Raises:
        TypeError: it is no number.
        ValueError: there can be no such lease.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError("ttl must be a number of seconds, or None")
    if not 0 < ttl <= LONGEST:
        raise ValueError(f"ttl must be more than 0 and at most {LONGEST:g} seconds")
    return float(ttl)


def without_leases(tags: frozenset[str]) -> frozenset[str]:
    """Metadata as clients see it."""
    return frozenset(tag for tag in tags if not tag.startswith(LEASE_PREFIX))


class _Lease(NamedTuple):
    """How long it was given, and when it ends by the time of day, both in seconds."""

    ttl: float
    end: float

    @property
    def tag(self) -> str:
        return f"{LEASE_PREFIX}{self.ttl!r}:{self.end:.3f}"


def _lease_in(tags: Collection[str]) -> _Lease | None:
    """The lease among the metadata; what only looks like one is none."""
    for tag in tags:
        if tag.startswith(LEASE_PREFIX):
            with contextlib.suppress(ValueError):
                ttl, end = map(float, tag[len(LEASE_PREFIX) :].split(":"))
                if 0 < ttl <= LONGEST and math.isfinite(end):
                    return _Lease(ttl, end)
    return None


class Leases:
    """Stores entries with leases, and removes those whose lease has ended.

    Args:
        names: the atomic operations of the storage.
        storage: the storage itself.

    Raises:
        NamingError: the journal beside a dbm file cannot be used.

    Thread safety: all methods may be called from any thread.
    """

    def __init__(self, names: Storage, storage: Any) -> None:
        self._names = names
        # protects what follows; the lock of the storage is taken inside of it
        self._lock = threading.RLock()
        #: (monotonic time of the end, name, lease as text)
        self._ends: list[tuple[float, str, str]] = []
        #: name -> the text of the lease that it is known to have
        self._known: dict[str, str] = {}
        self._many_known = MANY_KNOWN
        self._loaded = False
        self._next_load = 0.0
        self._started = time.monotonic()
        dbmfile = getattr(storage, "dbmfile", None)
        self._beside = None if dbmfile is None else _Beside(Path(f"{dbmfile}.leases"))
        #: whether others may write to the store at the same time; files are used by one process at a time
        self._shared = not (isinstance(storage, MemoryStorage) or hasattr(storage, "dbfile") or dbmfile is not None)
        self._load()

    def _load(self) -> None:
        """Find out which entries have leases; done again later while the store does not work."""
        try:
            entries = self._names.snapshot()
        except NamingError as error:
            log.warning("cannot look for leases yet: %s", error)
            self._next_load = time.monotonic() + RETRY_PAUSE
            return
        self._loaded = True
        for name, entry in entries.items():
            lease = self._lease(name, entry)
            if lease is not None:
                self._note(name, lease, self._left(lease))
        if self._beside is not None:
            self._beside.keep_only(self._known)

    def _lease(self, name: str, entry: Entry) -> _Lease | None:
        if self._beside is not None:
            return self._beside.lease(name, entry[0])
        return _lease_in(entry[1]) if entry[1] else None

    def _note(self, name: str, lease: _Lease, seconds: float) -> None:
        """Remember to look at the name in that time, at the latest when the lease can have ended."""
        with self._lock:
            self._known[name] = lease.tag
            heapq.heappush(self._ends, (time.monotonic() + min(seconds, lease.ttl), name, lease.tag))
            if len(self._known) > self._many_known:
                self._forget_removed()
            if len(self._ends) > 2 * len(self._known) + MANY_ENDS:  # mostly of leases that were renewed
                current = {(name, text): end for end, name, text in self._ends if self._known.get(name) == text}
                self._ends = [(end, name, text) for (name, text), end in current.items()]
                heapq.heapify(self._ends)

    def _forget_removed(self) -> None:
        """Forget the leases of names that were removed since, which may have had very long ones."""
        try:
            names = set(self._names)
        except NamingError as error:
            log.debug("cannot look which leases are still needed: %s", error)
            names = set(self._known)
        self._known = {name: text for name, text in self._known.items() if name in names}
        self._many_known = max(MANY_KNOWN, 2 * len(self._known))
        if self._beside is not None:
            self._beside.keep_only(self._known)

    # ---- changes

    def put(self, name: str, uri: str, metadata: frozenset[str], *, safe: bool, ttl: float | None) -> bool:
        """Store an entry as `Storage.put` does, with a lease unless ``ttl`` is None."""
        lease = None if ttl is None else _Lease(ttl, time.time() + ttl)
        if self._beside is not None:
            with self._lock:
                stored = self._names.put(name, uri, metadata, safe=safe)
                if stored:
                    self._beside.set(name, uri, lease)
                    self._noted(name, lease)
            return stored
        if safe and self._shared:
            self._remove_if_ended(name)
        if lease is not None:
            metadata |= {lease.tag}
        stored = self._names.put(name, uri, metadata, safe=safe)
        if stored:
            self._noted(name, lease)
        return stored

    def _noted(self, name: str, lease: _Lease | None) -> None:
        if lease is not None:
            self._note(name, lease, lease.ttl)
        elif self._known:
            with self._lock:
                self._known.pop(name, None)

    def put_metadata(self, name: str, metadata: frozenset[str]) -> bool:
        """Replace the metadata of an entry, and keep its lease."""
        if self._beside is None and (self._shared or name in self._known):
            entry = self._names.entry(name)
            lease = None if entry is None else _lease_in(entry[1])
            if lease is not None:
                if self._ended(lease):
                    return False
                metadata |= {lease.tag}
        return self._names.put_metadata(name, metadata)

    # ---- what clients see

    def visible(self, entries: dict[str, Entry]) -> dict[str, Entry]:
        """The entries whose lease has not ended, without what stands for it."""
        if self._beside is not None or not (self._known or self._shared):
            return entries
        leased = [name for name, (_, tags) in entries.items() if tags for tag in tags if tag.startswith(LEASE_PREFIX)]
        if not leased:
            return entries
        entries = dict(entries)
        for name in leased:
            uri, tags = entries[name]
            lease = _lease_in(tags)
            if lease is not None and self._shared and self._known.get(name) != lease.tag:
                self._note(name, lease, self._left(lease))
                if self._ended(lease):
                    del entries[name]
                    continue
            entries[name] = uri, without_leases(tags)
        return entries

    def visible_entry(self, name: str, entry: Entry | None) -> Entry | None:
        """The same for one entry."""
        if entry is None or not entry[1]:
            return entry
        return self.visible({name: entry}).get(name)

    def _left(self, lease: _Lease) -> float:
        """Seconds until a lease ends that was read from the store."""
        return max(lease.end - time.time(), self._started + lease.ttl - time.monotonic())

    def _ended(self, lease: _Lease) -> bool:
        return self._left(lease) <= 0

    # ---- removal

    def sweep(self) -> None:
        """Remove the entries whose lease has ended; costs nothing while there are none."""
        if not self._loaded and time.monotonic() >= self._next_load:
            with self._lock:
                self._load()
        if not self._ends or self._ends[0][0] > time.monotonic():
            return
        with self._lock:
            now = time.monotonic()
            while self._ends and self._ends[0][0] <= now:
                item = heapq.heappop(self._ends)
                _, name, text = item
                if self._known.get(name) != text:
                    continue  # renewed, or registered without a lease
                try:
                    self._remove(name, text)
                except NamingError as error:
                    heapq.heappush(self._ends, (now + RETRY_PAUSE, name, text))
                    log.warning("cannot remove %r, whose lease has ended: %s", name, error)
                    return

    def _remove(self, name: str, text: str) -> None:
        """Remove an entry that still has the lease of this text, or another one that has ended."""
        with self._names._lock:  # nobody in this process can renew it in between
            entry = self._names.entry(name)
            lease = None if entry is None else self._lease(name, entry)
            if entry is not None and lease is not None and lease.tag != text and not self._ended(lease):
                self._note(name, lease, self._left(lease))  # renewed elsewhere
                return
            # another name server may renew it in just this moment
            if entry is not None and lease is not None and self._names.discard_entry(name, entry):
                log.info("the lease of %r has ended: unregistered %r", name, entry[0])
        self._known.pop(name, None)
        if self._beside is not None:
            self._beside.set(name, "", None)

    def _remove_if_ended(self, name: str) -> None:
        """Make room for a safe registration when the lease was given by another name server."""
        entry = self._names.entry(name)
        lease = None if entry is None else _lease_in(entry[1])
        if entry is not None and lease is not None and self._ended(lease):
            self._names.discard_entry(name, entry)

    def close(self) -> None:
        """Release the journal beside a dbm file; may be repeated."""
        with self._lock:
            if self._beside is not None:
                self._beside.close()


class _Beside:
    """Leases in a journal beside a file that has no room for them; opened when there is the first one.

    Thread safety: none, the owner has a lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        #: name -> JSON of [uri, seconds, end]: a lease is that of this registration only
        self._table: dict[str, str] = {}
        self._journal: Journal | None = None
        self._compact_at = LARGE_JOURNAL
        if path.exists():
            self._open()

    def _open(self) -> Journal:
        if self._journal is None:
            try:
                self._journal = Journal(self._path)
            except (OSError, JournalError) as error:
                raise NamingError(f"dbm error in leases: {error}") from error
            replay(self._journal.changes, self._table)
            self._journal.changes.clear()
        return self._journal

    def lease(self, name: str, uri: str) -> _Lease | None:
        """The lease of a registration."""
        if name not in self._table:
            return None
        leased, ttl, end = json.loads(self._table[name])
        return _Lease(ttl, end) if leased == uri else None

    def set(self, name: str, uri: str, lease: _Lease | None) -> None:
        """Store the lease of a registration, or that it has none.

        Raises:
            NamingError: it cannot be written.
        """
        if lease is None and name not in self._table:
            return
        if lease is None:
            self._write(["del", [name]])
            del self._table[name]
        else:
            text = json.dumps([uri, lease.ttl, round(lease.end, 3)])
            self._write(["set", name, text])
            self._table[name] = text

    def _write(self, change: list[Any]) -> None:
        journal = self._open()
        try:
            journal.append(change)
            if journal.size > self._compact_at:
                pending = dict(self._table)
                replay([change], pending)
                journal.replace(pending)
                self._compact_at = max(LARGE_JOURNAL, 4 * journal.size)
        except OSError as error:
            raise NamingError(f"dbm error in leases: {error}") from error

    def keep_only(self, names: Collection[str]) -> None:
        """Forget the leases of all other names.

        Raises:
            NamingError: that cannot be written.
        """
        gone = [name for name in self._table if name not in names]
        if gone:
            self._write(["del", gone])
            for name in gone:
                del self._table[name]

    def close(self) -> None:
        """Release the file, which is removed when there are no leases."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close(remove=not self._table)
