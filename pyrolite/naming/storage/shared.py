"""What storages on a server have in common, which several name servers use at the same time ([BYD-10]).

Every operation is one step of that server, so nothing is locked here. The name server's own entry is the exception:
each of them has another one, so it never leaves the process.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final
from urllib.parse import urlsplit

from pyrolite import constants
from pyrolite.errors import NamingError
from pyrolite.naming.storage.interface import NO_METADATA, Entry, SearchableStorage, entry_of

__all__ = ["ANSWER_TIME", "CONNECT_TIME", "LOCAL_NAMES", "SharedStorage", "shown_url", "unavailable"]

#: Names that every name server keeps for itself.
LOCAL_NAMES: Final = frozenset((constants.NAMESERVER_NAME,))
#: Seconds to wait for a connection to one address of the store, and for an answer; the caller gets an error within 5 s.
CONNECT_TIME: Final = 2.0
ANSWER_TIME: Final = 4.0


def unavailable(why: object) -> NamingError:
    """What callers get while the store cannot be reached."""
    text = " ".join(str(why).split()) or type(why).__name__
    return NamingError(f"name store unavailable: {text}")


def shown_url(url: str) -> str:
    """What may be told of a URL: not what is before the host, nor options, because passwords are there."""
    try:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "<invalid URL>"
    if "@" in parts.path:  # what is before it may be the rest of a password
        return f"{parts.scheme}://..."
    return f"{parts.scheme}://{place}{parts.path}"


class SharedStorage(SearchableStorage):
    """Base class of storages on a server; subclasses provide the operations whose names begin with an underscore.

    Metadata given to those is a set, names given to them are never those of `LOCAL_NAMES`.

    Thread safety: as `Storage`; operations of several threads and processes happen at the same time.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        #: without user and password
        self.place: str = shown_url(url)
        self._local: dict[str, Entry] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} at {self.place}>"

    # ---- what a store does, each in one step

    @abstractmethod
    def _entry(self, operation: str, name: str) -> Entry | None:
        """The entry of ``name``."""

    @abstractmethod
    def _put(self, name: str, uri: str, metadata: frozenset[str], *, safe: bool) -> bool:
        """Store an entry."""

    @abstractmethod
    def _put_metadata(self, name: str, metadata: frozenset[str]) -> bool:
        """Replace the metadata of an entry."""

    @abstractmethod
    def _discard(self, operation: str, names: list[str], uri: str | None) -> int:
        """Remove these names, all of which are different."""

    @abstractmethod
    def _discard_prefix(self, prefix: str, keep: list[str]) -> int:
        """Remove what starts with ``prefix``."""

    @abstractmethod
    def _discard_metadata(self, all_of: frozenset[str], any_of: frozenset[str], keep: list[str]) -> int:
        """Remove what has the metadata."""

    @abstractmethod
    def _discard_selected(self, prefix: str, select: Callable[[Iterable[str]], Collection[str]]) -> int:
        """Remove what is selected among the names that start with ``prefix``."""

    @abstractmethod
    def _discard_entry(self, name: str, entry: Entry) -> bool:
        """Remove a name that has this entry."""

    @abstractmethod
    def _with_prefix(self, prefix: str) -> dict[str, Entry]:
        """What starts with ``prefix``."""

    @abstractmethod
    def _with_metadata(self, all_of: frozenset[str], any_of: frozenset[str]) -> dict[str, Entry]:
        """What has the metadata."""

    @abstractmethod
    def _snapshot(self) -> dict[str, Entry]:
        """Everything."""

    @abstractmethod
    def _count(self) -> int:
        """The number of names."""

    @abstractmethod
    def _names(self) -> list[str]:
        """All names."""

    @abstractmethod
    def _clear(self) -> None:
        """Remove everything."""

    # ---- the mapping

    def __getitem__(self, name: str) -> Entry:
        found = self._find("getitem", name) if isinstance(name, str) else None
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: tuple[str, Collection[str] | None]) -> None:
        uri, metadata = entry_of(value)
        self.put(name, uri, metadata)

    def __delitem__(self, name: str) -> None:
        if not self._remove("delitem", [name]):
            raise KeyError(name)

    def __len__(self) -> int:
        return self._count() + len(self._local)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find("contains", name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([*self._local, *self._names()])

    def clear(self) -> None:
        """Remove everything, for all name servers that use the store."""
        self._clear()
        self._local.clear()

    # ---- the operations of the name server

    def entry(self, name: str) -> Entry | None:
        """The entry of ``name``, None when unknown."""
        return self._find("getitem", name)

    def _find(self, operation: str, name: str) -> Entry | None:
        return self._local.get(name) if name in LOCAL_NAMES else self._entry(operation, name)

    def put(self, name: str, uri: str, metadata: frozenset[str], *, safe: bool = False) -> bool:
        """Store an entry in place of the one there is; with ``safe`` only if there is none. Returns whether it did."""
        if name not in LOCAL_NAMES:
            return self._put(name, uri, metadata, safe=safe)
        with self._lock:
            if safe and name in self._local:
                return False
            self._local[name] = uri, metadata
            return True

    def put_metadata(self, name: str, metadata: frozenset[str]) -> bool:
        """Replace the metadata of an entry; False when the name is unknown."""
        if name not in LOCAL_NAMES:
            return self._put_metadata(name, metadata)
        with self._lock:
            if name not in self._local:
                return False
            self._local[name] = self._local[name][0], metadata
            return True

    def discard(self, names: Iterable[str], *, uri: str | None = None) -> int:
        """Remove these names, with ``uri`` only those that have it; returns how many were removed."""
        return self._remove("remove_items", names, uri)

    def _remove(self, operation: str, names: Iterable[str], uri: str | None = None) -> int:
        different = [name for name in dict.fromkeys(names) if isinstance(name, str)]
        shared = [name for name in different if name not in LOCAL_NAMES]
        removed = self._discard(operation, shared, uri) if shared else 0
        with self._lock:
            local = [name for name in different if name in self._local and uri in {None, self._local[name][0]}]
            for name in local:
                del self._local[name]
        return removed + len(local)

    def discard_prefix(self, prefix: str, keep: Collection[str] = ()) -> int:
        """Remove all names that start with ``prefix`` except those to ``keep``; returns how many were removed."""
        removed = self._discard_prefix(prefix, list(keep))
        return removed + self.discard(name for name in LOCAL_NAMES if name.startswith(prefix) and name not in keep)

    def discard_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA, keep: Collection[str] = ()
    ) -> int:
        """Remove what `with_metadata` finds except those to ``keep``; returns how many were removed."""
        removed = self._discard_metadata(all_of, any_of, list(keep))
        local = [name for name, entry in self._local.items() if _has(entry, all_of, any_of) and name not in keep]
        return removed + self.discard(local)

    def discard_selected(self, prefix: str, select: Callable[[Iterable[str]], Collection[str]]) -> int:
        """Remove those of the names that start with ``prefix`` which ``select`` returns; returns how many."""
        removed = self._discard_selected(prefix, select)
        return removed + self.discard(select([name for name in self._local if name.startswith(prefix)]))

    def discard_entry(self, name: str, entry: Entry) -> bool:
        """Remove a name if it still has exactly this entry; returns whether it had."""
        return super().discard_entry(name, entry) if name in LOCAL_NAMES else self._discard_entry(name, entry)

    def with_prefix(self, prefix: str, *, metadata: bool = True) -> dict[str, Entry]:
        """The entries whose name starts with ``prefix``."""
        found = self._with_prefix(prefix)
        found.update((name, entry) for name, entry in self._local.items() if name.startswith(prefix))
        return found

    def with_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA
    ) -> dict[str, Entry]:
        """The entries that have all of ``all_of`` and, unless it is empty, at least one of ``any_of``."""
        found = self._with_metadata(all_of, any_of) if all_of or any_of else self._snapshot()
        found.update((name, entry) for name, entry in self._local.items() if _has(entry, all_of, any_of))
        return found

    def snapshot(self, *, metadata: bool = True) -> dict[str, Entry]:
        """All entries at one moment."""
        return {**self._snapshot(), **self._local}


def _has(entry: Entry, all_of: frozenset[str], any_of: frozenset[str]) -> bool:
    return all_of <= entry[1] and (not any_of or not any_of.isdisjoint(entry[1]))
