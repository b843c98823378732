"""The floor: blocking sockets that move messages of about Pyro's size and do nothing else.

A request is a header (its size, the size of the wanted reply) and filler; the reply is filler.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import suppress
from typing import Any

from benchmarks.peers.base import Client, Peer, Run, Scenario, Server, UnsupportedError, timed
from benchmarks.service import make_payload

HEADER = struct.Struct("!II")
SMALL = 64  # bytes of a small request or reply, roughly what Pyro sends with marshal
NESTED = 1024
CHUNK = 65536
WAIT_ALL = getattr(socket, "MSG_WAITALL", 0)


def receive(sock: socket.socket, size: int) -> bytearray:
    """Return exactly `size` bytes, in new memory as a caller expects his results."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = sock.recv_into(view, 0, WAIT_ALL)
        if not count:
            raise ConnectionError("connection closed")
        view = view[count:]
    return buffer


class FloorServer(Server):
    """Accepts in one thread, answers each connection in a thread of its own."""

    def start(self) -> Any:
        """Serve; return the port."""
        if self.scenario.server_type != "thread":
            raise UnsupportedError("the row of the thread server shows the floor")
        self._context: ssl.SSLContext | None = None
        if self.scenario.certificate:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(self.scenario.certificate, self.scenario.private_key)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        threading.Thread(target=self._accept, daemon=True).start()
        return self._listener.getsockname()[1]

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed: the end
            while True:
                sock = self._listener.accept()[0]
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True)
        replies = {size: make_payload(size) for size in (SMALL, NESTED, self.scenario.size)}
        with sock, suppress(OSError):  # the client went away: the end
            while first := sock.recv(CHUNK):  # a client waits for the reply, so it is one request or a part of one
                size, reply = HEADER.unpack_from(first)
                if size > len(first):
                    receive(sock, size - len(first))
                sock.sendall(replies[reply])

    def stop(self) -> None:
        """Close the listening socket."""
        with suppress(OSError):  # Linux only: wakes the accepting thread
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Exchange:
    """A connection with the methods of Service that are a plain exchange of bytes."""

    def __init__(self, sock: socket.socket, size: int) -> None:
        self.sock = sock
        self._size = size
        self._small = HEADER.pack(SMALL, SMALL).ljust(SMALL)
        self._download = HEADER.pack(SMALL, size).ljust(SMALL)

    def add(self, a: int, b: int) -> int:
        """Small request, small reply."""
        self.sock.sendall(self._small)
        reply = self.sock.recv(SMALL)
        return a + b if len(reply) == SMALL else 0

    def sink(self, data: bytes) -> int:
        """Large request, small reply."""
        self.sock.sendall(HEADER.pack(HEADER.size + len(data), SMALL))
        self.sock.sendall(data)
        receive(self.sock, SMALL)
        return len(data)

    def source(self) -> bytearray:
        """Small request, large reply."""
        self.sock.sendall(self._download)
        return receive(self.sock, self._size)

    def echo(self, data: bytes) -> bytearray:
        """Request and reply of the same size."""
        self.sock.sendall(HEADER.pack(HEADER.size + len(data), len(data)) + data)
        return receive(self.sock, len(data))


class FloorClient(Client):
    """Plain connections."""

    def __init__(self, scenario: Scenario, address: Any) -> None:
        super().__init__(scenario, address)
        self._context: ssl.SSLContext | None = None
        if scenario.certificate:
            self._context = ssl.create_default_context(cafile=scenario.certificate)

    def connect(self) -> Any:
        """Return a connected Exchange."""
        sock = socket.create_connection(("127.0.0.1", self.address))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_hostname="127.0.0.1")
        return Exchange(sock, self.scenario.size)

    def disconnect(self, target: Any) -> None:
        """Close the socket."""
        target.sock.close()

    def echo_nested(self) -> Run:
        """As many bytes as the payload has."""
        target, payload = self.open(), bytes(NESTED)
        return timed(lambda: target.echo(payload))

    def stream(self) -> Run:
        """One exchange an item, which is one call."""
        raise UnsupportedError("the same as a call")

    def attribute(self) -> Run:
        """One exchange."""
        raise UnsupportedError("the same as a call")

    def raising(self) -> Run:
        """One exchange."""
        raise UnsupportedError("the same as a call")


PEER = Peer("raw socket", "socket", "", FloorServer, FloorClient, everywhere=True)
