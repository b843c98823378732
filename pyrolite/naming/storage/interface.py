"""What a storage of the name server does ([NS-22]), with the atomic operations that the name server is built on.

A storage is a mutable mapping of names to ``(uri text, metadata)`` with a few functions more. `Storage` adds operations
that happen in one step; they work for every mapping, and storages override those that they can do better. Storages that
users wrote for Pyro4, which know nothing of them, are wrapped by `as_storage`.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

__all__ = ["NO_METADATA", "Entry", "Listing", "Storage", "as_storage", "end_of_prefix", "entry_of", "listing_of"]

#: What is stored under a name: the text of the URI and the metadata.
Entry: TypeAlias = tuple[str, frozenset[str]]
#: What the listing functions of the mapping interface return: URI texts, or with ``return_metadata`` entries.
Listing: TypeAlias = dict[str, Any]

NO_METADATA: Final[frozenset[str]] = frozenset()


def entry_of(value: tuple[str, Collection[str] | None]) -> Entry:
    """The entry that ``(uri, metadata or None)`` stands for.

    Raises:
        ValueError, TypeError: it is no pair.
    """
    uri, metadata = value
    return uri, frozenset(metadata) if metadata else NO_METADATA


def end_of_prefix(prefix: str) -> str | None:
    """The first text after all that start with ``prefix``; None: there is none ([HRD-35]).

    The order is that of the code points, which is also that of the UTF-8 bytes.
    """
    rest = prefix.rstrip("\U0010ffff")  # nothing comes after this character
    if not rest:
        return None
    following = ord(rest[-1]) + 1
    if following == 0xD800:  # surrogates are no characters
        following = 0xE000
    return rest[:-1] + chr(following)


class Storage(MutableMapping[str, Entry]):
    """Base class of storages: names mapped to ``(uri text, frozenset of metadata)``.

    Subclasses provide the five methods of a mapping; metadata given to ``__setitem__`` may be any collection or None.
    Everything else has an implementation on top of these, correct but not fast.

    Thread safety: all operations may be called from any thread; each of them is one step for all others.
    """

    def __init__(self) -> None:
        #: held while several steps have to be one; taken before any lock of the subclass
        self._lock = threading.RLock()

    @abstractmethod
    def __setitem__(self, name: str, value: tuple[str, Collection[str] | None]) -> None: ...

    # ---- the interface that Pyro4 has, too

    def optimized_prefix_list(self, prefix: str, return_metadata: bool = False) -> Listing | None:
        """The entries whose name starts with ``prefix``; None: not optimised, filter yourself."""
        return None

    def optimized_regex_list(self, regex: str, return_metadata: bool = False) -> Listing | None:
        """The entries whose name matches ``regex`` from its start; None: not optimised, filter yourself."""
        return None

    def optimized_metadata_search(
        self,
        metadata_all: Collection[str] | None = None,
        metadata_any: Collection[str] | None = None,
        return_metadata: bool = False,
    ) -> Listing | None:
        """The entries with all, or any, of the given metadata; None: not optimised, filter yourself."""
        return None

    def everything(self, return_metadata: bool = False) -> Listing:
        """All entries, at one moment."""
        return listing_of(self.snapshot(metadata=return_metadata), return_metadata=return_metadata)

    def remove_items(self, items: Iterable[str]) -> None:
        """Remove these names; unknown ones are ignored."""
        self.discard(items)

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            for name in list(self):
                del self[name]

    def close(self) -> None:
        """Release what the storage uses; may be repeated."""

    # ---- the operations of the name server, each of them one step

    def entry(self, name: str) -> Entry | None:
        """The entry of ``name``, None when unknown."""
        with self._lock:
            try:
                return entry_of(self[name])
            except KeyError:
                return None

    def put(self, name: str, uri: str, metadata: frozenset[str], *, safe: bool = False) -> bool:
        """Store an entry in place of the one there is; with ``safe`` only if there is none. Returns whether it did."""
        with self._lock:
            if safe and name in self:
                return False
            self[name] = uri, metadata
            return True

    def put_metadata(self, name: str, metadata: frozenset[str]) -> bool:
        """Replace the metadata of an entry; False when the name is unknown."""
        with self._lock:
            found = self.entry(name)
            if found is None:
                return False
            self[name] = found[0], metadata
            return True

    def discard(self, names: Iterable[str], *, uri: str | None = None) -> int:
        """Remove these names, with ``uri`` only those that have it; returns how many were removed."""
        removed = 0
        with self._lock:
            for name in names:
                found = self.entry(name)
                if found is not None and uri in {None, found[0]}:
                    del self[name]
                    removed += 1
        return removed

    def discard_prefix(self, prefix: str, keep: Collection[str] = ()) -> int:
        """Remove all names that start with ``prefix`` except those to ``keep``; returns how many were removed."""
        with self._lock:
            return self.discard([name for name in self.with_prefix(prefix, metadata=False) if name not in keep])

    def discard_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA, keep: Collection[str] = ()
    ) -> int:
        """Remove what `with_metadata` finds except those to ``keep``; returns how many were removed."""
        with self._lock:
            return self.discard([name for name in self.with_metadata(all_of, any_of) if name not in keep])

    def discard_selected(self, prefix: str, select: Callable[[Iterable[str]], Collection[str]]) -> int:
        """Remove those of the names that start with ``prefix`` which ``select`` returns; returns how many were removed.

        It may be called several times, and has to be quick, because nobody can store anything meanwhile.
        """
        with self._lock:
            return self.discard(select(self.with_prefix(prefix, metadata=False)))

    def discard_entry(self, name: str, entry: Entry) -> bool:
        """Remove a name if it still has exactly this entry; returns whether it had."""
        with self._lock:
            return self.entry(name) == entry and self.discard((name,)) == 1

    def with_prefix(self, prefix: str, *, metadata: bool = True) -> dict[str, Entry]:
        """The entries whose name starts with ``prefix``; metadata may be left out when not asked for."""
        with self._lock:
            found = self.optimized_prefix_list(prefix, return_metadata=True)
            entries = self.snapshot(metadata=metadata) if found is None else _entries(found)
        # storages written for Pyro4 may ignore case ([NS-11])
        return {name: entry for name, entry in entries.items() if name.startswith(prefix)}

    def with_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA
    ) -> dict[str, Entry]:
        """The entries that have all of ``all_of`` and, unless it is empty, at least one of ``any_of``."""
        with self._lock:
            entries = self.snapshot()
        return {
            name: entry
            for name, entry in entries.items()
            if all_of <= entry[1] and (not any_of or not any_of.isdisjoint(entry[1]))
        }

    def snapshot(self, *, metadata: bool = True) -> dict[str, Entry]:
        """All entries at one moment; metadata may be left out when not asked for."""
        with self._lock:
            return {name: entry_of(self[name]) for name in self}


def _entries(listing: Mapping[str, Any]) -> dict[str, Entry]:
    return {name: entry_of(value) for name, value in listing.items()}


def listing_of(entries: Mapping[str, Entry], *, return_metadata: bool) -> Listing:
    """What the functions of the mapping interface return."""
    return dict(entries) if return_metadata else {name: entry[0] for name, entry in entries.items()}


class SearchableStorage(Storage):
    """A storage with its own `with_prefix` and `with_metadata`, on which the functions of [NS-22] rest."""

    def optimized_prefix_list(self, prefix: str, return_metadata: bool = False) -> Listing | None:
        """The entries whose name starts with ``prefix``."""
        return listing_of(self.with_prefix(prefix), return_metadata=return_metadata)

    def optimized_metadata_search(
        self,
        metadata_all: Collection[str] | None = None,
        metadata_any: Collection[str] | None = None,
        return_metadata: bool = False,
    ) -> Listing | None:
        """The entries with all, or any, of the given metadata; duplicates do not matter ([NS-13])."""
        found = self.with_metadata(frozenset(metadata_all or ()), frozenset(metadata_any or ()))
        return listing_of(found, return_metadata=return_metadata)


class _MappingStorage(Storage):
    """The atomic operations for a storage that only has the interface of [NS-22]."""

    def __init__(self, wrapped: Any) -> None:
        super().__init__()
        self._wrapped = wrapped

    def __getitem__(self, name: str) -> Entry:
        return entry_of(self._wrapped[name])

    def __setitem__(self, name: str, value: tuple[str, Collection[str] | None]) -> None:
        self._wrapped[name] = value

    def __delitem__(self, name: str) -> None:
        del self._wrapped[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._wrapped)

    def __len__(self) -> int:
        return len(self._wrapped)

    def __contains__(self, name: object) -> bool:
        return name in self._wrapped

    def optimized_prefix_list(self, prefix: str, return_metadata: bool = False) -> Listing | None:
        found: Listing | None = self._wrapped.optimized_prefix_list(prefix, return_metadata)
        return found

    def with_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA
    ) -> dict[str, Entry]:
        with self._lock:
            found = None
            if not (all_of and any_of):
                found = self._wrapped.optimized_metadata_search(
                    metadata_all=all_of or None, metadata_any=any_of or None, return_metadata=True
                )
        return super().with_metadata(all_of, any_of) if found is None else _entries(found)

    def snapshot(self, *, metadata: bool = True) -> dict[str, Entry]:
        with self._lock:
            return _entries(self._wrapped.everything(return_metadata=True))

    def close(self) -> None:
        self._wrapped.close()


def as_storage(storage: Any) -> Storage:
    """The atomic operations of ``storage``: itself, or a wrapper around what only has the interface of [NS-22].

    Thread safety: a wrapped storage is used by one thread at a time.
    """
    return storage if isinstance(storage, Storage) else _MappingStorage(storage)
