"""How servers end: shutdown, drain, close, exhausted descriptors."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.errors import ConnectionClosedError, PyroError
from pyrolite.net.connection import SocketConnection
from pyrolite.socketserver import make_server, register_server
from pyrolite.socketserver.multiplexserver import SocketServer_Multiplex
from pyrolite.wire.message import MSG_INVOKE

from .conftest import EchoDaemon

BOTH = pytest.mark.parametrize("name", ["thread", "multiplex"])


@BOTH
def test_idle_server_ends_quickly(start_server: Any, name: str) -> None:
    """[BYD-5], [SRV-27] With idle, parked and pending connections, shutdown takes less than 0.2 s; all are closed."""
    running = start_server(name, THREADPOOL_SIZE=3, THREADPOOL_SIZE_MIN=1)
    clients = [running.client() for _ in range(10)]
    silent = running.connect()
    clients[0].call()
    began = time.monotonic()
    running.server.shutdown()
    assert time.monotonic() - began < 0.5  # 0.2 with some allowance for a busy machine
    running.thread.join(1)
    assert not running.thread.is_alive()
    assert all(client.closed_by_server() for client in [*clients, silent])
    assert len(running.daemon.disconnected) == 10
    assert running.server.sock is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(running.address)


@BOTH
def test_shutdown_within_a_call(start_server: Any, name: str) -> None:
    """[DMN-32], [HRD-32] A method shuts the server down: its reply is delivered, then its connection is closed."""
    running = start_server(name)

    def stop(conn: SocketConnection) -> bytes:
        began = time.monotonic()
        running.server.shutdown()
        return b"%.3f" % (time.monotonic() - began)

    running.daemon.behaviours[b"stop"] = stop
    caller, other = running.client(), running.client()
    assert float(caller.call(b"stop")) < 1.0
    assert caller.closed_by_server()
    assert other.closed_by_server()
    running.thread.join(5)
    assert not running.thread.is_alive()
    running.daemon.wait_until(lambda: len(running.daemon.disconnected) == 2)


@BOTH
def test_requests_in_progress_are_finished(start_server: Any, name: str) -> None:
    """[HRD-32], [BYD-5] A request in progress delivers its reply; the connection is served no further."""
    running = start_server(name)
    entered, leave = threading.Event(), threading.Event()

    def slow(conn: SocketConnection) -> bytes:
        entered.set()
        assert leave.wait(10)
        return b"finished"

    running.daemon.behaviours[b"slow"] = slow
    client = running.client()
    client.send(MSG_INVOKE, b"slow")
    client.send(MSG_INVOKE, b"one more, which is not served")
    assert entered.wait(10)
    stopper = threading.Thread(target=running.server.shutdown)
    stopper.start()
    running.eventually(lambda: running.server.shutting_down)
    stopper.join(0.2)
    assert stopper.is_alive()
    leave.set()
    assert client.receive().data == b"finished"
    stopper.join(5)
    assert client.closed_by_server()
    assert running.daemon.requests == 1


@BOTH
def test_drain_is_limited(start_server: Any, name: str) -> None:
    """[BYD-5], [SRV-15] A request that does not end holds up the shutdown for ``drain`` seconds."""
    running = start_server(name)
    entered, leave = threading.Event(), threading.Event()

    def stuck(conn: SocketConnection) -> bytes:
        entered.set()
        assert leave.wait(10)
        return b""

    running.daemon.behaviours[b"stuck"] = stuck
    client = running.client()
    client.send(MSG_INVOKE, b"stuck")
    assert entered.wait(10)
    began = time.monotonic()
    running.server.shutdown(0.5)
    assert 0.4 < time.monotonic() - began < 2
    with pytest.raises((ConnectionClosedError, OSError)):
        client.receive()
    leave.set()


@BOTH
def test_close_with_a_request_in_progress(start_server: Any, name: str) -> None:
    """[SRV-27] `close` returns within a second."""
    running = start_server(name)
    entered, leave = threading.Event(), threading.Event()

    def stuck(conn: SocketConnection) -> bytes:
        entered.set()
        assert leave.wait(10)
        return b""

    running.daemon.behaviours[b"stuck"] = stuck
    for _ in range(1 if name == "multiplex" else 15):
        client = running.client()
        client.send(MSG_INVOKE, b"stuck")
    assert entered.wait(10)
    began = time.monotonic()
    running.server.close()
    assert time.monotonic() - began < 1.5
    leave.set()


@BOTH
def test_condition_ends_the_loop(start_server: Any, name: str) -> None:
    """[DMN-30], [SRV-23] A false condition ends the loop, `wakeup` makes it be looked at, and it may run again."""
    server: Any = make_server(name)
    running = start_server(name)  # provides the daemon
    server.init(running.daemon, "127.0.0.1", 0)
    go_on = threading.Event()
    go_on.set()
    server.loop(lambda: False)
    thread = threading.Thread(target=server.loop, args=(go_on.is_set,))
    thread.start()
    go_on.clear()
    server.wakeup()
    thread.join(5)
    assert not thread.is_alive()
    server.close()
    server.close()


@BOTH
def test_unix_socket(start_server: Any, name: str, tmp_path: Path) -> None:
    """[DMN-5], [SRV-10], [HRD-34] Unix sockets: location, removal of the file, and of one left by a killed server."""
    path = str(tmp_path / "pyro.sock")
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(path)
    running = start_server(name, unixsocket=path)
    assert running.server.locationStr == f"./u:{path}"
    assert running.client().call(b"unix") == b"unix"
    with pytest.raises(OSError, match="in use"):
        start_server(name, unixsocket=path)
    assert running.client().call(b"unharmed") == b"unharmed"
    running.server.close()
    assert not Path(path).exists()


@BOTH
def test_bind_error(start_server: Any, name: str) -> None:
    """[DMN-5] Bind errors propagate, and nothing is left behind."""
    running = start_server(name)
    server: Any = make_server(name)
    with pytest.raises(OSError, match="in use"):
        server.init(running.daemon, "127.0.0.1", running.address[1])
    server.close()


def test_make_server() -> None:
    """[SRV-2], [DMN-3] Servers are made by name; more names may be registered."""
    register_server("mine", SocketServer_Multiplex)
    server = make_server("mine")
    assert isinstance(server, SocketServer_Multiplex)
    server.close()
    with pytest.raises(PyroError, match="^invalid server type 'nope'$"):
        make_server("nope")


EXHAUSTION = """
    import resource, socket, sys, threading, time, logging
    from pyrolite.configuration import config
    from pyrolite.socketserver import make_server

    logging.basicConfig(stream=sys.stdout, level=logging.ERROR, format="LOG %(message)s")
    logging.getLogger("pyrolite").setLevel(logging.NOTSET)

    class Daemon:
        def _handshake(self, conn, denied_reason=None): return True
        def handleRequest(self, conn): conn.receive_frame()
        def _clientDisconnect(self, conn): pass
        def _housekeeping(self): pass

    server = make_server(sys.argv[1])
    server.init(Daemon(), "127.0.0.1", 0)
    address = server.sock.getsockname()
    threading.Thread(target=server.loop, daemon=True).start()
    clients = [socket.socket() for _ in range(30)]
    for client in clients:
        client.settimeout(10)
    used = len(__import__("os").listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 5, used + 5))
    for client in clients:
        client.connect(address)
    began, cpu = time.monotonic(), time.process_time()
    time.sleep(1.0)
    print("CPU", (time.process_time() - cpu) / (time.monotonic() - began) < 0.2)
    for client in clients[:10]:
        client.close()
    time.sleep(1.2)
    print("OPEN", server.stats()["connections_total"])
    server.shutdown()
    for client in clients:
        client.close()
"""


@BOTH
@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_descriptors_exhausted(name: str, run_python: Any) -> None:
    """[HRD-16], [SRV-12] Without descriptors accepting pauses, logs once, uses no CPU, and goes on later."""
    done = run_python(EXHAUSTION, name, options=("-W", "error"))
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "CPU True" in lines
    assert lines.count("LOG cannot accept connections for now: [Errno 24] Too many open files") == len(
        [line for line in lines if line.startswith("LOG")]
    )
    assert 1 <= len([line for line in lines if line.startswith("LOG")]) <= 4
    opened = int(next(line for line in lines if line.startswith("OPEN")).split()[1])
    assert opened > 5


UNCLOSED = """
    import socket, sys, threading
    from pyrolite.socketserver import make_server

    class Daemon:
        def _handshake(self, conn, denied_reason=None): return True
        def handleRequest(self, conn): conn.receive_frame()
        def _clientDisconnect(self, conn): pass
        def _housekeeping(self): pass

    server = make_server(sys.argv[1])
    server.init(Daemon(), "127.0.0.1", 0)
    threading.Thread(target=server.loop, daemon=True).start()
    client = socket.create_connection(server.sock.getsockname())
    client.close()
    print("done")
"""


@BOTH
def test_exit_without_close(name: str, run_python: Any) -> None:
    """[OV-43] A program may end while its server runs: no warning, no hanging."""
    done = run_python(UNCLOSED, name, options=("-W", "error", "-X", "dev"))
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


FORKED = """
    import os, socket, sys, threading
    from pyrolite.net.connection import SocketConnection
    from pyrolite.socketserver import make_server
    from pyrolite.wire import v48

    class Daemon:
        def _handshake(self, conn, denied_reason=None):
            frame = conn.receive_frame()
            conn.send_parts(*v48.encode(2, 0, frame.seq, 3, b""))
            return True
        def handleRequest(self, conn):
            frame = conn.receive_frame()
            conn.send_parts(*v48.encode(5, 0, frame.seq, 3, frame.data))
        def _clientDisconnect(self, conn): pass
        def _housekeeping(self): pass

    server = make_server(sys.argv[1])
    server.init(Daemon(), None, 0, sys.argv[2])
    threading.Thread(target=server.loop, daemon=True).start()
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[2])
    client = SocketConnection(sock)
    def call(msg_type):
        client.send_parts(*v48.encode(msg_type, 0, 1, 3, b"x"))
        return client.receive_frame().type
    assert call(1) == 2
    child = os.fork()
    if child == 0:
        server.shutdown()
        os._exit(0)
    os.waitpid(child, 0)
    assert call(4) == 5
    print(os.path.exists(sys.argv[2]))
    client.close()
    server.shutdown()
"""


@BOTH
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_shutdown_in_a_forked_child(name: str, tmp_path: Path, run_python: Any) -> None:
    """[HRD-33] A child that closes the server it has inherited does not touch the connections of the parent."""
    done = run_python(FORKED, name, str(tmp_path / "s"))
    assert done.stdout == "True\n", done.stderr


@BOTH
def test_unix_socket_mode(name: str, tmp_path: Path) -> None:
    """[SEC-2] The permissions of the socket's file."""
    server: Any = make_server(name)
    server.unixsocket_mode = 0o600
    server.init(EchoDaemon(config.copy()), None, 0, str(tmp_path / "private"))
    try:
        assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    finally:
        server.close()


@BOTH
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_idle_server_uses_no_cpu(start_server: Any, name: str) -> None:
    """[BYD-4] Idle connections and workers cost no CPU time: no thread is woken up."""
    running = start_server(name, THREADPOOL_SIZE=5, THREADPOOL_SIZE_MIN=1, POLLTIMEOUT=60.0)
    clients = [running.client() for _ in range(10)]
    assert all(client.call(b"x") == b"x" for client in clients)
    time.sleep(0.2)

    def switches() -> int:
        total = 0
        for status in Path("/proc/self/task").glob("*/status"):
            if int(status.parent.name) != threading.get_native_id():
                line = next(line for line in status.read_text().splitlines() if line.startswith("voluntary"))
                total += int(line.split()[1])
        return total

    before = switches()
    time.sleep(0.5)
    assert switches() - before <= 2
