"""Names by their metadata, small also for a million names: names with equal metadata are kept together."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["TagIndex"]


class TagIndex:
    """Which names have which metadata.

    What there is only one of is kept as it is, without a set around it.

    Thread safety: none, the owner has a lock.
    """

    __slots__ = ("_groups", "_tagged")

    def __init__(self) -> None:
        #: metadata -> the name that has them, or an object for these metadata that is shared by all names of a set
        self._groups: dict[frozenset[str], str | tuple[frozenset[str], set[str]]] = {}
        #: tag -> the metadata, one or several, in which it is
        self._tagged: dict[str, frozenset[str] | set[frozenset[str]]] = {}

    def __len__(self) -> int:
        """The number of different metadata."""
        return len(self._groups)

    def add(self, name: str, metadata: frozenset[str]) -> frozenset[str]:
        """Add a name that is not there yet; returns its metadata, as an object that equal ones share."""
        group = self._groups.get(metadata)
        if group is None:
            self._groups[metadata] = name
            for tag in metadata:
                self._note(tag, metadata)
            return metadata
        if isinstance(group, str):
            self._groups[metadata] = group = metadata, {group}
        group[1].add(name)
        return group[0]

    def _note(self, tag: str, metadata: frozenset[str]) -> None:
        found = self._tagged.get(tag)
        if found is None:
            self._tagged[tag] = metadata
        elif isinstance(found, frozenset):
            self._tagged[tag] = {found, metadata}
        else:
            found.add(metadata)

    def remove(self, name: str, metadata: frozenset[str]) -> None:
        """Remove a name that is there with these metadata."""
        group = self._groups[metadata]
        if not isinstance(group, str):
            group[1].discard(name)
            if group[1]:
                return
        del self._groups[metadata]
        for tag in metadata:
            found = self._tagged[tag]
            if isinstance(found, set):
                found.discard(metadata)
                if found:
                    continue
            del self._tagged[tag]

    def _with_tag(self, tag: str) -> set[frozenset[str]]:
        found = self._tagged.get(tag, set())
        return found if isinstance(found, set) else {found}

    def having(self, all_of: frozenset[str], any_of: frozenset[str]) -> Iterator[str]:
        """The names that have all of the one and, unless it is empty, one of the other; one of them is not empty."""
        if any_of:
            found = set().union(*map(self._with_tag, any_of))
        if all_of:
            smallest, *others = sorted(map(self._with_tag, all_of), key=len)
            found = smallest.intersection(*others, *([found] if any_of else []))
        for metadata in found:
            group = self._groups[metadata]
            if isinstance(group, str):
                yield group
            else:
                yield from group[1]
