"""Offers the same data in four ways: as a result, as a stream, in annotations, and over a socket next to the daemon.

python server.py [MEGABYTES]
"""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pyrolite
from pyrolite import current_context

CHUNK = 65000  # an annotation may have up to 65535 bytes


class FileServerDaemon(pyrolite.Daemon):
    """A daemon that also has an ordinary socket, on which clients fetch what has been prepared for them."""

    def __init__(self) -> None:
        super().__init__()
        self._prepared: dict[bytes, bytes] = {}
        self._socket = socket.create_server(("localhost", 0))
        self._thread = threading.Thread(target=self._serve_files, name="files")

    def prepare(self, data: bytes) -> tuple[str, int, str]:
        """Have data ready for one client; returns the address and the key to ask with."""
        key = secrets.token_hex(16)
        self._prepared[key.encode()] = data
        host, port = self._socket.getsockname()[:2]
        return host, port, key

    def _serve_files(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            with connection, connection.makefile("rb") as file:
                data = self._prepared.pop(file.readline().strip(), None)
                if data is not None:
                    connection.sendall(data)

    def requestLoop(self, loopCondition: Callable[[], bool] = lambda: True) -> None:
        self._thread.start()
        super().requestLoop(loopCondition)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            with socket.create_connection(self._socket.getsockname()):  # wakes the thread up
                self._socket.close()
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if self._thread.is_alive():
            self._thread.join()


@pyrolite.expose
class FileServer:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def size(self) -> int:
        return len(self._data)

    def as_result(self) -> bytes:
        return self._data

    def as_stream(self) -> Iterator[bytes]:
        for begin in range(0, len(self._data), CHUNK):
            yield self._data[begin : begin + CHUNK]

    def in_annotations(self) -> Iterator[int]:
        """A stream of sizes; the data is next to them, untouched by the serializer."""
        view = memoryview(self._data)
        for begin in range(0, len(self._data), CHUNK):
            chunk = view[begin : begin + CHUNK]
            current_context.response_annotations = {"FDAT": bytes(chunk)}
            yield len(chunk)

    def on_socket(self) -> tuple[str, int, str]:
        daemon: Any = self._pyroDaemon  # type: ignore[attr-defined]  # set when this object was registered
        address: tuple[str, int, str] = daemon.prepare(self._data)
        return address


def main() -> None:
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    pyrolite.config.SERIALIZERS_ACCEPTED = {"marshal", "serpent"}
    data = secrets.token_bytes(int(megabytes * 1e6))
    with FileServerDaemon() as daemon:
        print("the file server is ready:", daemon.register(FileServer(data)))
        daemon.requestLoop()


if __name__ == "__main__":
    main()
