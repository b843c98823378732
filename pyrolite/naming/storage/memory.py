"""The storage that keeps everything in memory, as a dict with indexes ([NS-23])."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from pyrolite.naming.storage.interface import NO_METADATA, Entry, Listing, Storage, entry_of
from pyrolite.naming.storage.sortednames import SortedNames
from pyrolite.naming.storage.tagindex import TagIndex

__all__ = ["MemoryStorage"]


class MemoryStorage(dict[str, Entry], Storage):
    """Names in a dict; what is stored is lost when the process ends.

    Made as a dict is. The names are also kept in order, and by their metadata, so that what a prefix or a search costs
    depends on what it finds. Equal sets of metadata are kept once.

    Thread safety: as `Storage`. Iterating over it is not safe while others change it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Storage.__init__(self)
        dict.__init__(self)
        self._names = SortedNames()
        self._tags = TagIndex()
        self.update(*args, **kwargs)

    # ---- every way in which a dict changes

    def __setitem__(self, name: str, value: tuple[str, Collection[str] | None]) -> None:
        uri, metadata = entry_of(value)
        with self._lock:
            old = self.get(name)
            if old is None:
                self._names.add(name)
                metadata = self._note_metadata(name, metadata)
            elif old[1] == metadata:
                metadata = old[1]
            else:
                self._forget_metadata(name, old[1])
                metadata = self._note_metadata(name, metadata)
            super().__setitem__(name, (uri, metadata))

    def __delitem__(self, name: str) -> None:
        with self._lock:
            _, metadata = self[name]
            super().__delitem__(name)
            self._names.remove(name)
            self._forget_metadata(name, metadata)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As for a dict."""
        with self._lock:
            for name, value in dict(*args, **kwargs).items():
                self[name] = value

    def __ior__(self, other: Any) -> MemoryStorage:  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = ("", None)) -> Entry:
        """As for a dict."""
        with self._lock:
            if name not in self:
                self[name] = default
            return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        """As for a dict."""
        with self._lock:
            if default and name not in self:
                return dict.pop(self, name, *default)
            value = self[name]
            del self[name]
            return value

    def popitem(self) -> tuple[str, Entry]:
        """As for a dict."""
        with self._lock:
            if not self:
                raise KeyError("popitem(): dictionary is empty")
            name = next(reversed(self))
            return name, self.pop(name)

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            dict.clear(self)
            self._names = SortedNames()
            self._tags = TagIndex()

    def __reduce__(self) -> Any:
        return type(self), (dict(self),)

    def _note_metadata(self, name: str, metadata: frozenset[str]) -> frozenset[str]:
        return self._tags.add(name, metadata) if metadata else NO_METADATA

    def _forget_metadata(self, name: str, metadata: frozenset[str]) -> None:
        if metadata:
            self._tags.remove(name, metadata)

    # ---- the mapping interface of storages

    def optimized_metadata_search(
        self,
        metadata_all: Collection[str] | None = None,
        metadata_any: Collection[str] | None = None,
        return_metadata: bool = False,
    ) -> Listing | None:
        """Not optimised in this interface ([NS-23]); `with_metadata` is."""
        return None

    # ---- the operations of the name server

    def entry(self, name: str) -> Entry | None:
        """The entry of ``name``, None when unknown."""
        return self.get(name)

    def with_prefix(self, prefix: str, *, metadata: bool = True) -> dict[str, Entry]:
        """The entries whose name starts with ``prefix``."""
        with self._lock:
            return {name: self[name] for name in self._names.starting_with(prefix)}

    def with_metadata(
        self, all_of: frozenset[str] = NO_METADATA, any_of: frozenset[str] = NO_METADATA
    ) -> dict[str, Entry]:
        """The entries that have all of ``all_of`` and, unless it is empty, at least one of ``any_of``."""
        with self._lock:
            found: Iterable[str] = self._tags.having(all_of, any_of) if all_of or any_of else self
            return {name: self[name] for name in found}

    def snapshot(self, *, metadata: bool = True) -> dict[str, Entry]:
        """All entries at one moment."""
        with self._lock:
            return dict(self)
