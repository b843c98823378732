"""Many connections ([BYD-3])."""

from __future__ import annotations

import sys
from typing import Any

import pytest

SERVER = """
    import os, socket, sys, threading, time
    from pyrolite.configuration import config
    from pyrolite.socketserver import make_server
    from pyrolite.wire import v48

    kind, count = sys.argv[1], int(sys.argv[2])
    config.POLLTIMEOUT = 5.0

    class Daemon:
        def _handshake(self, conn, denied_reason=None):
            frame = conn.receive_frame()
            conn.send_parts(*v48.encode(2, 0, frame.seq, 3, b"hi"))
            return True
        def handleRequest(self, conn):
            frame = conn.receive_frame()
            conn.send_parts(*v48.encode(5, 0, frame.seq, 3, frame.data))
        def _clientDisconnect(self, conn): pass
        def _housekeeping(self): pass

    def be_clients(port):
        clients = []
        for number in range(100 + count):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"".join(v48.encode(1, 0, 1, 3, b"hi")))
            client.recv(1000)
            clients.append(client)
        for number in (0, count // 2, count - 1):
            clients[number].sendall(b"".join(v48.encode(4, 0, 1, 3, b"x")))
            assert len(clients[number].recv(1000)) == 25
        os.read(reader, 1)  # stay connected until the memory has been measured

    # the clients are in a process of their own: what is measured is the server
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        be_clients(int(os.read(reader, 100)))
        os._exit(0)

    def memory():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    server = make_server(kind)
    server.init(Daemon(), "127.0.0.1", 0)
    thread = threading.Thread(target=server.loop)
    thread.start()
    os.write(writer, b"%d" % server.sock.getsockname()[1])
    few = None
    while True:
        opened = server.stats()["connections_open"]
        if opened >= 100 and few is None:
            few = opened, memory()
        if opened == 100 + count:
            many = opened, memory()
            break
        time.sleep(0.001)
    os.write(writer, b"!")
    _, status = os.waitpid(child, 0)
    print(status, (many[1] - few[1]) / (many[0] - few[0]))
    server.shutdown()
    thread.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at memory in /proc")
@pytest.mark.parametrize("name", ["thread", "multiplex"])
def test_memory_of_idle_connections(run_python: Any, name: str) -> None:
    """[BYD-3] An idle connection costs at most 2 KiB, and idle ones are served when they call."""
    resource = pytest.importorskip("resource")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(3000, soft - 400)
    if count < 500:
        pytest.skip("not enough descriptors")
    done = run_python(SERVER, name, str(count))
    assert done.returncode == 0, done.stderr
    status, bytes_each = done.stdout.split()
    assert status == "0"
    assert float(bytes_each) < 2048
