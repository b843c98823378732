"""Fetches the same data in four ways, and tells how fast each of them was."""

from __future__ import annotations

import hashlib
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import pyrolite


def as_result(server: Any) -> bytes:
    return bytes(server.as_result())


def as_stream(server: Any) -> bytes:
    return b"".join(server.as_stream())


def in_annotations(server: Any) -> bytes:
    data = bytearray()
    for size in server.in_annotations():
        chunk = pyrolite.current_context.response_annotations["FDAT"]
        assert len(chunk) == size
        data += chunk
    return bytes(data)


def on_socket(server: Any) -> bytes:
    host, port, key = server.on_socket()
    data = bytearray()
    with socket.create_connection((host, port)) as connection:
        connection.sendall(key.encode() + b"\n")
        while chunk := connection.recv(1_000_000):
            data += chunk
    return bytes(data)


def main() -> None:
    uri = sys.argv[1] if len(sys.argv) > 1 else input("URI of the file server: ")
    digests = set()
    ways: list[Callable[[Any], bytes]] = [as_result, as_stream, in_annotations, on_socket]
    with pyrolite.Proxy(uri) as server:
        server._pyroSerializer = "marshal"  # sends bytes as they are
        size = server.size()
        for way in ways:
            started = time.perf_counter()
            data = way(server)
            duration = time.perf_counter() - started
            assert len(data) == size
            digests.add(hashlib.sha256(data).hexdigest())
            print(f"{way.__name__:>15}: {size / 1e6:.1f} MB in {duration:.3f} s, {size / 1e6 / duration:.0f} MB/s")
    print("all of them brought the same data:", len(digests) == 1)


if __name__ == "__main__":
    main()
