"""An append-only file of changes: what was written to it is on the disk, whole lines or not at all ([HRD-37])."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

try:
    import fcntl
except ImportError:  # Windows: two processes that use one file are not noticed there
    fcntl = None  # type: ignore[assignment]

__all__ = ["Journal", "JournalError"]

_HEADER: Final = b"pyrolite journal 1\n"


class JournalError(Exception):
    """The journal is damaged, or another process is using it."""


class Journal:
    """The changes to a table of texts since it was last saved.

    A change is ``["set", key, value]``, ``["del", [key, ...]]`` or ``["all", {key: value, ...}]``, which replaces
    everything. A line that was cut off by the end of the process had not been acknowledged, and is dropped.

    Args:
        path: the file; created if needed, only for the user, and locked against other processes.

    Raises:
        OSError: the file cannot be used.
        JournalError: another process is using it, or it is damaged.

    Thread safety: none, the owner has a lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size: int = 0  # bytes, to see when it is worth saving the table
        self._descriptor = _open_locked(path)
        try:
            self.changes: list[list[Any]] = self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> list[list[Any]]:
        """The changes in the file; the file then ends after the last whole line."""
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].decode("utf-8", "replace").splitlines()
        if not lines:
            self.reset()
            return []
        if lines[0] != _HEADER.decode().rstrip():
            raise JournalError(f"{self.path} is no journal of this storage")
        changes = []
        for number, line in enumerate(lines[1:], 2):
            checksum, _, text = line.partition(" ")
            if checksum != _checksum(text):
                raise JournalError(f"{self.path} is damaged at line {number}: restore a copy, or remove this line")
            changes.append(json.loads(text))
        if whole < len(content):
            os.ftruncate(self._descriptor, whole)
        self.size = whole
        return changes

    def append(self, change: list[Any]) -> None:
        """Add a change; it is on the disk when this returns.

        Raises:
            OSError: it could not be written; the journal is as before.
        """
        data = _line(change)
        try:
            _write(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def replace(self, table: dict[str, str]) -> None:
        """Make the contents of the whole table the only change, in one step.

        Raises:
            OSError: it could not be written; the journal is as before.
        """
        beside = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(beside, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _lock(descriptor, beside)
            data = _HEADER + _line(["all", table])
            _write(descriptor, data)
            os.fsync(descriptor)
            os.replace(beside, self.path)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor, self.size = descriptor, len(data)
        sync_directory(self.path.parent)

    def reset(self) -> None:
        """Forget all changes, because the table has been saved.

        Raises:
            OSError: the file cannot be written.
        """
        os.ftruncate(self._descriptor, 0)
        _write(self._descriptor, _HEADER)
        os.fsync(self._descriptor)
        self.size = len(_HEADER)

    @property
    def empty(self) -> bool:
        """Whether there are no changes."""
        return self.size <= len(_HEADER)

    def close(self, *, remove: bool = False) -> None:
        """Release the file, and remove it when the table has been saved; may be repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if remove:
            self.path.unlink()
        os.close(descriptor)


def _line(change: list[Any]) -> bytes:
    text = json.dumps(change)  # nothing but ASCII
    return f"{_checksum(text)} {text}\n".encode("ascii")


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8')):08x}"


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _open_locked(path: Path) -> int:
    """A descriptor of the file that is at ``path`` and locked, though another process may be removing it just now."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            _lock(descriptor, path)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(descriptor)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(f"{path} is in use already, most likely by another process") from None


def sync_files(paths: Iterable[Path]) -> None:
    """Have the contents of these files written to the disk; missing ones are skipped."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            _sync(path, os.O_RDWR)


def sync_directory(path: Path) -> None:
    """Have the names of the files in the directory written to the disk, where the system can do that."""
    if os.name == "posix":
        _sync(path, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replay(changes: Iterable[list[Any]], table: dict[str, str]) -> None:
    """Apply the changes to ``table``."""
    for kind, *arguments in changes:
        if kind == "all":
            table.clear()
            table.update(arguments[0])
        elif kind == "set":
            key, value = arguments
            table[key] = value
        else:
            for key in arguments[0]:
                table.pop(key, None)
