"""Where a message bus keeps messages until they have been delivered: in memory, or in a file that survives."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    number: int
    topic: str
    text: str


class Storage(Protocol):
    """Thread safety: all methods may be called from any thread."""

    def add(self, topic: str, text: str) -> None: ...

    def waiting(self) -> list[Message]:
        """All messages, oldest first."""

    def remove(self, messages: list[Message]) -> None: ...


class MemoryStorage:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: list[Message] = []
        self._last = 0

    def add(self, topic: str, text: str) -> None:
        with self._lock:
            self._last += 1
            self._messages.append(Message(self._last, topic, text))

    def waiting(self) -> list[Message]:
        with self._lock:
            return list(self._messages)

    def remove(self, messages: list[Message]) -> None:
        gone = {message.number for message in messages}
        with self._lock:
            self._messages = [message for message in self._messages if message.number not in gone]


class SqliteStorage:
    """A connection for each operation, so that any thread may ask."""

    def __init__(self, path: str) -> None:
        self._path = path
        with closing(self._connect()) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS messages (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, text TEXT)"
            )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path)

    def add(self, topic: str, text: str) -> None:
        with closing(self._connect()) as database, database:
            database.execute("INSERT INTO messages (topic, text) VALUES (?, ?)", (topic, text))

    def waiting(self) -> list[Message]:
        with closing(self._connect()) as database:
            return [
                Message(*row) for row in database.execute("SELECT number, topic, text FROM messages ORDER BY number")
            ]

    def remove(self, messages: list[Message]) -> None:
        with closing(self._connect()) as database, database:
            database.executemany("DELETE FROM messages WHERE number = ?", [(message.number,) for message in messages])
