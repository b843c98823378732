"""Names in order, for prefixes: adding, removing and finding cost little in tables of a million names."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["SortedNames"]

#: A list that grows beyond this is split in two: short enough to insert in, long enough that there are few.
LIMIT: Final = 1024


class SortedNames:
    """A set of names kept in order, as a list of short sorted lists.

    Thread safety: none, the owner has a lock.
    """

    __slots__ = ("_chunks", "_lasts")

    def __init__(self, names: Iterable[str] = ()) -> None:
        ordered = sorted(set(names))
        half = LIMIT // 2
        self._chunks = [ordered[start : start + half] for start in range(0, len(ordered), half)]
        #: the last name of each chunk
        self._lasts = [chunk[-1] for chunk in self._chunks]

    def add(self, name: str) -> None:
        """Add a name that is not there yet."""
        if not self._chunks:
            self._chunks.append([name])
            self._lasts.append(name)
            return
        index = min(bisect_left(self._lasts, name), len(self._lasts) - 1)
        chunk = self._chunks[index]
        insort(chunk, name)
        if len(chunk) > LIMIT:
            half = len(chunk) // 2
            self._chunks.insert(index + 1, chunk[half:])
            self._lasts.insert(index + 1, chunk[-1])
            del chunk[half:]
        self._lasts[index] = self._chunks[index][-1]

    def remove(self, name: str) -> None:
        """Remove a name that is there."""
        index = bisect_left(self._lasts, name)
        chunk = self._chunks[index]
        del chunk[bisect_left(chunk, name)]
        if chunk:
            self._lasts[index] = chunk[-1]
        else:
            del self._chunks[index], self._lasts[index]

    def starting_with(self, prefix: str) -> Iterator[str]:
        """The names that start with ``prefix``, in order."""
        index = bisect_left(self._lasts, prefix)
        start = bisect_left(self._chunks[index], prefix) if index < len(self._chunks) else 0
        for chunk in self._chunks[index:]:
            for name in chunk[start:] if start else chunk:
                if not name.startswith(prefix):
                    return
                yield name
            start = 0
