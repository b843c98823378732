"""Connections that end with an answer while the other end is still sending ([HRD-6])."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pyrolite.net import lingering
from pyrolite.net.connection import SocketConnection

PATIENCE = 10.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection; resets do not happen on other sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), PATIENCE)
        server, _ = listener.accept()
        with client, server:
            yield client, server


def lingering_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pyrolite-shared-lingering"]


def send_for_ever(sock: socket.socket) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        sock.sendall(b"x" * 1000)


def test_answer_arrives(pair: tuple[socket.socket, socket.socket]) -> None:
    """[HRD-6]: although the other end sends megabytes that nobody wants."""
    client, server = pair
    server.sendall(b"the answer")
    connection = SocketConnection(server)
    connection.lingering = True
    connection.close()
    assert connection.fileno() == -1
    client.sendall(b"x" * 20_000_000)
    assert client.recv(100) == b"the answer"
    assert client.recv(100) == b""


def test_it_would_be_lost_otherwise(pair: tuple[socket.socket, socket.socket]) -> None:
    """What all this is for."""
    client, server = pair
    client.sendall(b"x" * 100_000)
    server.sendall(b"the answer")
    SocketConnection(server).close()
    with pytest.raises(ConnectionError):
        send_for_ever(client)


def test_not_for_ever(pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-6], [SEC-40]: a client that neither closes nor stops is left alone after a while."""
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 0.1)
    client, server = pair
    lingering.close_later(server)
    with pytest.raises(ConnectionError):
        send_for_ever(client)
    for thread in lingering_threads():
        thread.join(PATIENCE)
    assert lingering_threads() == []


def test_not_too_many(pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    """[SEC-41]"""
    monkeypatch.setattr(lingering, "MOST", 0)
    client, server = pair
    lingering.close_later(server)
    assert client.recv(1) == b""
    assert lingering_threads() == []


def test_closed_sockets(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    client.close()
    lingering.close_later(server)
    lingering.close_later(server)
    for thread in lingering_threads():
        thread.join(PATIENCE)
    assert lingering_threads() == []


@pytest.mark.skipif(not hasattr(os, "fork") or sys.version_info >= (3, 12), reason="forking with threads is warned of")
def test_fork(pair: tuple[socket.socket, socket.socket]) -> None:
    """[OV-44], [HRD-33]: a child has nothing to do with the connections of its parent."""
    client, server = pair
    lingering.close_later(server)
    child = os.fork()
    if child == 0:
        os._exit(len(lingering._lingering._deadlines))
    assert os.waitpid(child, 0)[1] == 0
    assert client.recv(1) == b""
    client.close()
    for thread in lingering_threads():
        thread.join(PATIENCE)
