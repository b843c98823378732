"""The broadcast responder ([NS-30] to [NS-33])."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from typing import Any

import pytest

from pyrolite.configuration import config
from pyrolite.core import URI, Daemon
from pyrolite.errors import NamingError
from pyrolite.naming import BroadcastServer, locateNS, startNS
from pyrolite.testing import running_nameserver

pytestmark = pytest.mark.usefixtures("pyro_leakcheck", "pyro_config")

NS_URI = URI("PYRO:Pyro.NameServer@name.example:9090")


def ask(port: int, *requests: bytes, host: str = "127.0.0.1") -> list[bytes]:
    """Send the requests; all answers until nothing more comes."""
    answers = []
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for request in requests:
            sock.sendto(request, (host, port))
        sock.sendto(b"GET_NSURI", (host, port))  # datagrams on loopback arrive in order: the last answer is for this
        sock.settimeout(5)
        answers.append(sock.recv(4096))
        sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                answers.append(sock.recv(4096))
    return answers


def test_requests() -> None:
    """[NS-31] Exactly the request is answered; everything else is ignored."""
    with BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=0) as server:
        server.runInThread()
        assert ask(server.getPort()) == [str(NS_URI).encode()]
        wrong = [b"", b"GET_NSURI\n", b"get_nsuri", b"GET_NSUR", b"GET_NSURI" + b"x" * 5000, b"\xff" * 200]
        assert ask(server.getPort(), *wrong) == [str(NS_URI).encode()]
        assert ask(server.getPort(), b"GET_NSURI") == [str(NS_URI).encode()] * 2


def test_answers_with_the_interface() -> None:
    """[NS-31] "All interfaces" is no address for clients."""
    with BroadcastServer(URI("PYRO:Pyro.NameServer@0.0.0.0:4444"), bchost="127.0.0.1", bcport=0) as server:
        server.runInThread()
        assert ask(server.getPort()) == [b"PYRO:Pyro.NameServer@127.0.0.1:4444"]
        assert server.nsUri.host == "0.0.0.0"


def test_attributes() -> None:
    """[NS-30] [NS-32] [OV-19] What it has."""
    with BroadcastServer(nsUri=NS_URI, bchost="127.0.0.1", bcport=0, ipv6=False) as server:
        assert server.nsUri is NS_URI
        assert server.running
        assert server.fileno() == server.sock.fileno()
        assert server.sock.gettimeout() == 2.0
        assert server.sock.type == socket.SOCK_DGRAM
        assert server.getPort() == server.sock.getsockname()[1]
        assert server.locationStr == f"127.0.0.1:{server.getPort()}"
        assert server.transportServer.sockets == [server]
        assert callable(server.transportServer.events)
        assert "127.0.0.1" in repr(server)
    assert not server.running
    assert server.fileno() == -1
    server.close()


def test_defaults() -> None:
    """[NS-30] Host and port come from the configuration; without a host all interfaces."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    config.NS_BCHOST, config.NS_BCPORT = "127.0.0.1", port
    with BroadcastServer(NS_URI) as server:
        assert server.locationStr == f"127.0.0.1:{port}"
    config.NS_BCHOST = None
    with BroadcastServer(NS_URI, bcport=0) as server:
        assert server.sock.getsockname()[0] == "0.0.0.0"
        assert server.locationStr == f"0.0.0.0:{server.getPort()}"


@pytest.mark.parametrize(("uri", "ipv6"), [("PYRO:Pyro.NameServer@[::1]:9090", False), (str(NS_URI), True)])
def test_ipv6(uri: str, ipv6: bool) -> None:
    """[NS-30] IPv6 when the name server uses that, or when asked to."""
    try:
        server = BroadcastServer(URI(uri), bcport=0, ipv6=ipv6)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        assert server.sock.family == socket.AF_INET6
        assert server.locationStr == f"[::]:{server.getPort()}"
        server.runInThread()
        assert ask(server.getPort(), host="::1") == [uri.encode()]


def test_process_request() -> None:
    """[NS-32] One datagram at a time, for loops of one's own; nothing coming is no error."""
    with BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=0) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", server.getPort()))
            for data, answered in ((b"nonsense", False), (b"GET_NSURI", True)):
                sock.send(data)
                server.processRequest()
                if answered:
                    assert sock.recv(4096) == str(NS_URI).encode()
        server.sock.settimeout(0.01)
        server.processRequest()


def test_thread_ends_at_once() -> None:
    """[NS-32] The thread is returned, and ends with the responder."""
    server = BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=0)
    thread = server.runInThread()
    assert isinstance(thread, threading.Thread)
    assert thread.daemon
    start = time.monotonic()
    server.close()
    assert not thread.is_alive()
    assert time.monotonic() - start < 1


def test_combined_with_a_daemon() -> None:
    """[NS-32] [DMN-34] Served in the loop of a daemon."""
    config.SERVERTYPE = "multiplex"
    with Daemon("127.0.0.1", 0) as daemon, BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=0) as server:
        daemon.combine(server)
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        try:
            assert ask(server.getPort(), b"nonsense") == [str(NS_URI).encode()]
        finally:
            daemon.shutdown()
            thread.join()


def test_located_by_broadcast(servertype: str) -> None:
    """[NS-31] [RES-13] Clients find the name server this way."""
    with running_nameserver(broadcast=True, servertype=servertype) as running, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        config.NS_PORT = nobody.getsockname()[1]
        with locateNS() as nameserver:
            assert nameserver._pyroUri == running.uri
            nameserver.ping()
        with pytest.raises(NamingError):
            locateNS(broadcast=False)


def test_port_in_use() -> None:
    """[NS-30] Two responders cannot have one address."""
    config.SOCK_REUSE = False
    with BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=0) as server, pytest.raises(OSError):
        BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=server.getPort())


def test_unreachable_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-31] Socket errors are ignored."""
    with BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=0) as server:

        class Broken:
            """A socket that has a request, but cannot answer."""

            def recvfrom(self, size: int) -> Any:
                return b"GET_NSURI", ("192.0.2.1", 5)

            def sendto(self, *arguments: Any) -> None:
                raise OSError("Network is unreachable")

        sock, server.sock = server.sock, Broken()  # type: ignore[assignment]
        server.processRequest()
        server.sock = sock


def test_unexpected_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """[NS-31] Whatever goes wrong with one request, the next one is answered."""
    failures = iter(range(2))
    answer = BroadcastServer._uri_for

    def failing(server: BroadcastServer, sender: Any) -> URI:
        for _ in failures:
            raise RuntimeError("nobody has thought of this")
        return answer(server, sender)

    monkeypatch.setattr(BroadcastServer, "_uri_for", failing)
    with BroadcastServer(NS_URI, bchost="127.0.0.1", bcport=0) as server:
        server.runInThread()
        assert ask(server.getPort(), b"GET_NSURI", b"GET_NSURI") == [str(NS_URI).encode()]
    assert caplog.text.count("nobody has thought of this") >= 2


@pytest.mark.parametrize("combined", [False, True])
def test_garbage(combined: bool) -> None:
    """[NS-31] A flood of garbage, also from senders that are gone, harms neither the responder nor the name server."""
    config.SERVERTYPE = "multiplex"
    chance = random.Random(4)
    uri, daemon, responder = startNS("0.0.0.0", 0, bchost="127.0.0.1", bcport=0)
    assert responder is not None
    with daemon, responder:
        if combined:
            daemon.combine(responder)
        else:
            responder.runInThread()
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        try:
            for _ in range(20):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    for _ in range(50):
                        data = chance.choice(
                            [b"", b"GET_NSURI", b"GET_NSURI\0", chance.randbytes(chance.randrange(1, 2000))]
                        )
                        sock.sendto(data, ("127.0.0.1", responder.getPort()))
            with locateNS("127.0.0.1", uri.port) as nameserver:
                nameserver.ping()
            deadline = time.monotonic() + 20
            while not answered(responder.getPort(), str(uri).replace("0.0.0.0", "127.0.0.1").encode()):
                assert time.monotonic() < deadline
        finally:
            daemon.shutdown()
            thread.join()


def answered(port: int, answer: bytes) -> bool:
    """Whether a request is answered; while there is much to do the system may drop it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.sendto(b"GET_NSURI", ("127.0.0.1", port))
        with contextlib.suppress(TimeoutError):
            return sock.recv(4096) == answer
    return False
