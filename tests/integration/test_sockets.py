"""Addresses, sockets and moving bytes ([SOC-1] to [SOC-18])."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pyrolite.socketutil
from pyrolite.configuration import config
from pyrolite.errors import ConnectionClosedError, TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net import addresses, sockets
from pyrolite.net.sockets import createBroadcastSocket, createSocket, receiveData, sendData

UNIX = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix domain sockets here")


def has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    with config.override(PREFER_IP_VERSION=4, USE_MSG_WAITALL=config.USE_MSG_WAITALL):
        yield


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Host names and their addresses, as long as the test lasts; everything else is looked up."""
    table: dict[str, list[str]] = {
        "both.example": ["2001:db8::1", "192.0.2.7", "192.0.2.8"],
        "four.example": ["192.0.2.7"],
        "six.example": ["2001:db8::1"],
    }
    original = socket.getaddrinfo

    def getaddrinfo(host: str, port: int | None, *arguments: Any, **options: Any) -> Any:
        if host not in table:
            return original(host, port, *arguments, **options)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port or 0, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))
            for address in table[host]
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def in_thread() -> Iterator[Callable[..., threading.Thread]]:
    """Runs functions in threads, which have to end."""
    threads: list[threading.Thread] = []

    def run(function: Callable[..., object], *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments)
        threads.append(thread)
        thread.start()
        return thread

    yield run
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


# ---- addresses


@pytest.mark.parametrize(
    ("host", "version", "address"),
    [
        ("both.example", 4, "192.0.2.7"),
        ("both.example", 6, "2001:db8::1"),
        ("both.example", 0, "2001:db8::1"),
        ("both.example", None, "192.0.2.7"),
        ("six.example", 4, "2001:db8::1"),
        ("six.example", None, "2001:db8::1"),
        ("four.example", 0, "192.0.2.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("::1", None, "::1"),
    ],
)
def test_get_ip_address(names: object, host: str, version: int | None, address: str) -> None:
    """[SOC-1] The first address of the wanted version; 4 is only a preference."""
    assert addresses.getIpAddress(host, ipVersion=version) == address


def test_preferred_version(names: object) -> None:
    """[SOC-1] PREFER_IP_VERSION decides when nothing is asked for."""
    config.PREFER_IP_VERSION = 6
    assert addresses.getIpAddress("both.example") == "2001:db8::1"
    assert addresses.getIpVersion("both.example") == 6
    config.PREFER_IP_VERSION = 4
    assert addresses.getIpVersion("both.example") == 4
    config.PREFER_IP_VERSION = 5
    with pytest.raises(ValueError, match=r"^unknown value for argument ipVersion\.$"):
        addresses.getIpAddress("both.example")


def test_address_errors(names: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """[SOC-1] Wrong versions, names without the address, unknown names."""
    with pytest.raises(ValueError, match=r"^unknown value for argument ipVersion\.$"):
        addresses.getIpAddress("localhost", ipVersion=5)
    with pytest.raises(OSError, match="^unable to determine IPV6 address$"):
        addresses.getIpAddress("four.example", ipVersion=6)

    def unknown(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror):
        addresses.getIpAddress("unknown.example")


@pytest.mark.parametrize("name", ["", None])
def test_own_address(names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    """[SOC-1] Without a name it is the local host's."""
    monkeypatch.setattr(socket, "gethostname", lambda: "four.example")
    assert addresses.getIpAddress(name) == "192.0.2.7"


def test_workaround(names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """[SOC-2] A loopback address is replaced by that of the interface to the outside, if there is one."""
    names["me.example"] = ["127.0.1.1"]
    names["any.example"] = ["0.0.0.0"]
    monkeypatch.setattr(addresses, "getInterfaceAddress", lambda address: "192.0.2.99")
    assert addresses.getIpAddress("me.example") == "127.0.1.1"
    assert addresses.getIpAddress("me.example", workaround127=True) == "192.0.2.99"
    assert addresses.getIpAddress("any.example", workaround127=True) == "192.0.2.99"
    assert addresses.getIpAddress("four.example", workaround127=True) == "192.0.2.7"

    def no_route(address: str) -> str:
        raise OSError(errno.ENETUNREACH, "no route")

    monkeypatch.setattr(addresses, "getInterfaceAddress", no_route)
    assert addresses.getIpAddress("me.example", workaround127=True) == "127.0.1.1"


def test_interface_address() -> None:
    """[SOC-3] The own address on the way to another."""
    assert addresses.getInterfaceAddress("127.0.0.1") == "127.0.0.1"
    assert addresses.getInterfaceAddress("localhost") == "127.0.0.1"


@IPV6
def test_interface_address_ipv6() -> None:
    """[SOC-3] The own address on the way to another, IPv6."""
    assert addresses.getInterfaceAddress("::1") == "::1"


@pytest.mark.parametrize(("host", "version"), [("127.0.0.1", 4), ("::1", 6), ("four.example", 4), ("six.example", 6)])
def test_ip_version(names: object, host: str, version: int) -> None:
    """[SOC-3] The version of the resolved address."""
    assert addresses.getIpVersion(host) == version


# ---- making sockets


def test_family_str(tmp_path: Path) -> None:
    """[SOC-4] Names of address families."""
    with socket.socket(socket.AF_INET) as sock:
        assert sockets.family_str(sock) == "IPv4"
    if socket.has_ipv6:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
            assert sockets.family_str(sock) == "IPv6"
    if hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as sock:
            assert sockets.family_str(sock) == "Unix"

    class Other:
        family = 4711

    other: Any = Other()
    assert sockets.family_str(other) == "???"


def test_bad_addresses() -> None:
    """[SOC-5] Both addresses, or something that is none."""
    with pytest.raises(ValueError, match="^bind and connect cannot both be specified at the same time$"):
        createSocket(bind=("localhost", 0), connect=("localhost", 1))
    strange: Any
    for strange in (5, ["localhost", 0], ("localhost",), b"name"):
        with pytest.raises(ValueError, match=r"^unknown bind or connect format\.$"):
            createSocket(bind=strange)
        with pytest.raises(ValueError, match=r"^unknown bind or connect format\.$"):
            createSocket(connect=strange)


def test_plain_socket() -> None:
    """[SOC-5], [SOC-7] A socket that is not connected, with the usual options."""
    with createSocket() as sock:
        assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert sock.gettimeout() == socket.getdefaulttimeout()
    with createSocket(keepalive=False, nodelay=False, noinherit=True) as sock:
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.get_inheritable()


@pytest.mark.skipif(sys.platform == "win32", reason="is dangerous there and not set")
def test_reuse_address() -> None:
    """[SOC-7] SO_REUSEADDR on request."""
    with createSocket(reuseaddr=True) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


@pytest.mark.skipif(sys.platform != "linux", reason="the options have other names elsewhere")
def test_keepalive() -> None:
    """[BYD-6] A vanished peer is noticed after 60 s and 3 probes of 10 s."""
    with createSocket() as sock:
        values = [
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        ]
    assert values == [60, 10, 3]


@pytest.mark.parametrize(
    "setter", [sockets.setNoDelay, sockets.setReuseAddr, sockets.setKeepalive, sockets.setNoInherit]
)
def test_option_failures(setter: Callable[[socket.socket], None]) -> None:
    """[SOC-7] Options that cannot be set are left alone."""
    sock = socket.socket()
    sock.close()
    setter(sock)


@pytest.mark.parametrize(("timeout", "set_to"), [(None, None), (0, None), (0.0, None), (2, 2.0)])
def test_timeout(timeout: float | None, set_to: float | None) -> None:
    """[SOC-7] None and 0 mean blocking."""
    socket.setdefaulttimeout(7)
    try:
        with createSocket(timeout=timeout) as sock, createBroadcastSocket(timeout=timeout) as other:
            assert sock.gettimeout() == other.gettimeout() == set_to
        with createSocket() as sock, createBroadcastSocket() as other:
            assert sock.gettimeout() == other.gettimeout() == 7
    finally:
        socket.setdefaulttimeout(None)


def test_bind_and_connect() -> None:
    """[SOC-5], [SOC-8] A listening socket on a free port, and a connection to it."""
    with createSocket(bind=("localhost", 0)) as server:
        host, port = server.getsockname()
        assert host == "127.0.0.1"
        assert port > 0
        with createSocket(connect=("localhost", port), timeout=5) as client:
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"hello")
                assert receiveData(accepted, 5) == b"hello"
        with pytest.raises(OSError, match=r".") as caught:
            createSocket(bind=("localhost", port))
        assert caught.value.errno in sockets.ERRNO_EADDRINUSE


def test_empty_host() -> None:
    """[SOC-6] An empty host is all interfaces of IPv4."""
    with createSocket(bind=("", 0)) as server:
        assert server.family == socket.AF_INET
        assert server.getsockname()[0] == "0.0.0.0"


@IPV6
def test_ipv6() -> None:
    """[SOC-6], [SOC-8] IPv6, by address or on request."""
    with createSocket(bind=("::1", 0)) as server:
        assert server.family == socket.AF_INET6
        assert server.getsockname()[0] == "::1"
        with createSocket(connect=server.getsockname()[:2]) as client:
            assert client.family == socket.AF_INET6
    with createSocket(bind=("", 0), ipv6=True) as server:
        assert server.getsockname()[0] == "::"
    config.PREFER_IP_VERSION = 6
    with createSocket(bind=("", 0), ipv6=None) as server, createSocket(bind=("", 0)) as other:
        assert server.family == socket.AF_INET6
        assert other.family == socket.AF_INET


def test_forced_ipv6(names: object) -> None:
    """[SOC-6] An IPv4 address does not go together with forced IPv6."""
    with pytest.raises(
        ValueError, match=r"^IPv4 address is used bind argument with forceIPv6 argument:127\.0\.0\.1\.$"
    ):
        createSocket(bind=("127.0.0.1", 0), ipv6=True)
    text = r"^IPv4 address is used in connect argument with forceIPv6 argument:four\.example\.$"
    with pytest.raises(ValueError, match=text):
        createSocket(connect=("four.example", 9), ipv6=True)


@UNIX
def test_unix_socket(tmp_path: Path) -> None:
    """[SOC-5] A str is the name of a Unix domain socket."""
    name = str(tmp_path / "s")
    with createSocket(bind=name) as server, createSocket(connect=name) as client:
        assert server.family == client.family == socket.AF_UNIX
        accepted, _ = server.accept()
        with accepted:
            sendData(client, b"x")
            assert receiveData(accepted, 1) == b"x"


def refusing_port() -> int:
    return sockets.findProbablyUnusedPort()


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_refused(timeout: float | None) -> None:
    """[SOC-9] Failing to connect raises the OSError and closes the socket (a ResourceWarning would fail this test)."""
    with pytest.raises(ConnectionRefusedError):
        createSocket(connect=("127.0.0.1", refusing_port()), timeout=timeout)


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog is silent on Linux")
def test_connect_timeout() -> None:
    """[SOC-9] A server that does not react: the timeout raises, once and in time."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        began = time.monotonic()

        def fill_backlog() -> None:
            for _ in range(10):
                stack.enter_context(createSocket(connect=server.getsockname(), timeout=0.2))

        with pytest.raises(OSError, match="timed out"):
            fill_backlog()
        assert time.monotonic() - began < 3


def test_all_addresses_are_tried(names: dict[str, list[str]]) -> None:
    """[SOC-9] With PREFER_IP_VERSION 0 the addresses are tried in order; else there is only one."""
    names["several.example"] = ["127.0.0.2", "127.0.0.1"]
    with createSocket(bind=("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config.PREFER_IP_VERSION = 0
        with createSocket(connect=("several.example", port), timeout=5) as client:
            assert client.getpeername() == ("127.0.0.1", port)
        config.PREFER_IP_VERSION = 4
        with pytest.raises(ConnectionRefusedError):
            createSocket(connect=("several.example", port), timeout=5)
    config.PREFER_IP_VERSION = 0
    with pytest.raises(ConnectionRefusedError):
        createSocket(connect=("several.example", port), timeout=5)


def test_preference_of_the_owner(names: dict[str, list[str]]) -> None:
    """[BYD-33], [SOC-9] The PREFER_IP_VERSION of a configuration of one's own."""
    names["several.example"] = ["127.0.0.2", "127.0.0.1"]
    with createSocket(bind=("127.0.0.1", 0)) as server:
        address = ("several.example", server.getsockname()[1])
        with createSocket(connect=address, timeout=5, prefer_ip_version=0) as client:
            assert client.getpeername() == server.getsockname()
        with pytest.raises(ConnectionRefusedError):
            createSocket(connect=address, timeout=5, prefer_ip_version=4)
    with pytest.raises(OSError, match="^unable to determine IPV6 address$"):
        createSocket(connect=("four.example", 9), prefer_ip_version=6)


# ---- broadcast, ports


def test_broadcast_socket() -> None:
    """[SOC-11] UDP with SO_BROADCAST."""
    with createBroadcastSocket() as sock:
        assert sock.type == socket.SOCK_DGRAM
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
    with createBroadcastSocket(bind=("127.0.0.1", 0), reuseaddr=True) as sock:
        host, port = sock.getsockname()
        assert host == "127.0.0.1"
        assert port > 0
        with createBroadcastSocket(timeout=5) as other:
            other.sendto(b"request", ("127.0.0.1", port))
        sock.settimeout(5)
        assert sock.recv(100) == b"request"
    with createBroadcastSocket(bind=(None, 0)) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"
    port = sockets.findProbablyUnusedPort(socktype=socket.SOCK_DGRAM)
    with createBroadcastSocket(bind=("", port)) as sock:
        assert sock.getsockname() == ("0.0.0.0", port)


@IPV6
def test_broadcast_socket_ipv6() -> None:
    """[SOC-11] UDP over IPv6."""
    for bind in (("::1", 0, 0, 0), ("::1", 0)):
        with createBroadcastSocket(bind=bind, ipv6=True) as sock:
            assert sock.family == socket.AF_INET6
            assert sock.getsockname()[0] == "::1"


@pytest.mark.parametrize("bind", ["name", (1,), ("h", 1, 2), ("h", 1, 0, 5), 5])
def test_broadcast_bad_bind(bind: Any) -> None:
    """[SOC-11] Other formats are refused."""
    with pytest.raises(ValueError, match="^unknown bind format: "):
        createBroadcastSocket(bind=bind)


@pytest.mark.parametrize("family", [socket.AF_INET, pytest.param(socket.AF_INET6, marks=IPV6)])
def test_unused_ports(family: int) -> None:
    """[SOC-12] Free ports, on the loopback interface when the host is localhost."""
    assert 0 < sockets.findProbablyUnusedPort(family) < 65536
    assert 0 < sockets.findProbablyUnusedPort(family, socket.SOCK_DGRAM) < 65536
    with socket.socket(family) as sock:
        port = sockets.bindOnUnusedPort(sock)
        assert sock.getsockname()[:2] == ("127.0.0.1" if family == socket.AF_INET else "::1", port)
    with socket.socket(family) as sock:
        port = sockets.bindOnUnusedPort(sock, "")
        assert sock.getsockname()[:2] == ("0.0.0.0" if family == socket.AF_INET else "::", port)


def test_exclusive_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """[SOC-12] On Windows a free port is bound for exclusive use."""
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", ~4, raising=False)
    options = []

    class Spy(socket.socket):
        def setsockopt(self, *arguments: Any) -> None:
            options.append(arguments)

    with Spy() as sock:
        sockets.bindOnUnusedPort(sock)
    assert options == [(socket.SOL_SOCKET, ~4, 1)]


def test_interrupt(in_thread: Any, tmp_path: Path) -> None:
    """[SOC-13] A blocking accept is woken; errors are ignored."""
    with createSocket(bind=("localhost", 0)) as server:
        accepted: list[Any] = []
        thread = in_thread(lambda: accepted.append(server.accept()[0]))
        sockets.interruptSocket(server.getsockname())
        thread.join(5)
        assert len(accepted) == 1
        accepted[0].close()
    sockets.interruptSocket(("localhost", refusing_port()))
    sockets.interruptSocket(str(tmp_path / "nobody"))


def test_errno_lists() -> None:
    """[SOC-14] The lists of error numbers."""
    assert set(sockets.ERRNO_RETRIES) >= {errno.EINTR, errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS}
    assert errno.EBADF in sockets.ERRNO_BADF
    assert errno.ENOTSOCK in sockets.ERRNO_ENOTSOCK
    assert errno.EADDRNOTAVAIL in sockets.ERRNO_EADDRNOTAVAIL
    assert errno.EADDRINUSE in sockets.ERRNO_EADDRINUSE


# ---- receiving


BOTH_WAYS = pytest.mark.parametrize("waitall", [False, True])
MODES = pytest.mark.parametrize("timeout", [None, 5.0, 0.0], ids=["blocking", "timeout", "non-blocking"])


@BOTH_WAYS
@MODES
@pytest.mark.parametrize("size", [0, 1, 59_999, 60_000, 60_001, 3_000_000])
def test_receive(pair: Any, in_thread: Any, waitall: bool, timeout: float | None, size: int) -> None:
    """[SOC-15], [SOC-16], [SOC-17] Blocks of any size, on sockets of every kind."""
    config.USE_MSG_WAITALL = waitall
    one, other = pair
    one.settimeout(timeout)
    other.settimeout(timeout)
    data = os.urandom(1000) * (size // 1000) + b"x" * (size % 1000)
    in_thread(sendData, one, data + b"more")
    received = receiveData(other, size)
    assert type(received) is bytes
    assert received == data
    assert receiveData(other, 4) == b"more"


@BOTH_WAYS
@MODES
def test_receive_in_pieces(pair: Any, in_thread: Any, waitall: bool, timeout: float | None) -> None:
    """[SOC-15], [SOC-16] Data that dribbles in."""
    config.USE_MSG_WAITALL = waitall
    one, other = pair
    other.settimeout(timeout)

    def dribble() -> None:
        for number in range(20):
            one.sendall(bytes([number]) * 7)
            time.sleep(0.002)

    in_thread(dribble)
    assert receiveData(other, 140) == b"".join(bytes([number]) * 7 for number in range(20))


@BOTH_WAYS
def test_receive_closed(pair: Any, waitall: bool) -> None:
    """[SOC-15], [ERR-4] The peer closes early: what came is in the error."""
    config.USE_MSG_WAITALL = waitall
    one, other = pair
    one.sendall(b"half")
    one.close()
    with pytest.raises(ConnectionClosedError, match="^receiving: not enough data$") as caught:
        receiveData(other, 8)
    assert caught.value.partialData == b"half"
    with pytest.raises(ConnectionClosedError) as caught:
        receiveData(other, 8)
    assert caught.value.partialData == b""


@BOTH_WAYS
def test_receive_timeout(pair: Any, waitall: bool) -> None:
    """[SOC-15], [SOC-16] A timeout keeps what came."""
    config.USE_MSG_WAITALL = waitall
    one, other = pair
    other.settimeout(0.05)
    one.sendall(b"half")
    with pytest.raises(TimeoutError, match="^receiving: timeout$") as caught:
        receiveData(other, 8)
    assert caught.value.partialData == b"half"


class Failing:
    """A socket whose operations fail in a given order; None lets one byte through."""

    def __init__(self, sock: socket.socket, errors: list[OSError | None]) -> None:
        self._sock = sock
        self._errors = errors

    def _next(self) -> None:
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error

    def recv_into(self, buffer: memoryview, size: int = 0, flags: int = 0) -> int:
        self._next()
        return self._sock.recv_into(buffer, 1)

    def send(self, data: memoryview) -> int:
        self._next()
        return self._sock.send(data[:1])

    def fileno(self) -> int:
        return self._sock.fileno()


def test_receive_lost(pair: Any) -> None:
    """[SOC-15], [SOC-16], [BYD-6] Other errors mean that the connection is lost, also when the system has timed out."""
    one, other = pair
    one.sendall(b"abc")
    for number in (errno.ECONNRESET, errno.ETIMEDOUT):
        failing: Any = Failing(other, [None, OSError(number, "gone")])
        with pytest.raises(ConnectionClosedError, match=r"^receiving: connection lost: \[Errno \d+\] gone$") as caught:
            receiveData(failing, 8)
        assert len(caught.value.partialData) == 1
        assert isinstance(caught.value.__cause__, OSError)


def test_retries(pair: Any) -> None:
    """[SOC-15], [SOC-17], [SOC-14] Some errors only mean: again."""
    one, other = pair
    errors: list[OSError | None] = [OSError(number, "again") for number in sockets.ERRNO_RETRIES for _ in range(3)]
    sending: Any = Failing(one, [*errors, None, *errors])
    sendData(sending, b"abc")
    receiving: Any = Failing(other, [*errors, None, *errors])
    assert receiveData(receiving, 3) == b"abc"


@BOTH_WAYS
def test_receive_memory(pair: Any, waitall: bool) -> None:
    """[HRD-5], [SOC-16] An announced size costs no memory before the data is there."""
    import tracemalloc

    config.USE_MSG_WAITALL = waitall
    one, other = pair
    one.sendall(b"x" * 1000)
    one.close()
    tracemalloc.start()
    try:
        with pytest.raises(ConnectionClosedError):
            receiveData(other, 1 << 30)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20


# ---- sending


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_send_kinds(pair: Any, kind: type) -> None:
    """[SOC-17] Any kind of buffer."""
    one, other = pair
    sendData(one, kind(b"data"))
    assert receiveData(other, 4) == b"data"


def test_send_timeout(pair: Any) -> None:
    """[SOC-17] The other end takes nothing."""
    one, _other = pair
    one.settimeout(0.05)
    with pytest.raises(TimeoutError, match="^sending: timeout$"):
        sendData(one, b"x" * 10_000_000)


def test_send_timeout_is_for_progress(pair: Any, in_thread: Any) -> None:
    """[SOC-17] A slow receiver is no timeout as long as it takes something."""
    one, other = pair
    one.settimeout(0.5)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    total = 0

    def take() -> None:
        nonlocal total
        while piece := other.recv(100_000):
            total += len(piece)
            time.sleep(0.02)

    in_thread(take)
    began = time.monotonic()
    sendData(one, b"x" * 1_000_000)
    taken = time.monotonic() - began
    one.close()
    assert taken > 0.1


def test_send_lost(pair: Any) -> None:
    """[SOC-17] The connection is lost."""
    one, other = pair
    other.close()
    with pytest.raises(ConnectionClosedError, match="^sending: connection lost: "):
        sendData(one, b"x" * 10_000_000)


# ---- the alias


def test_socketutil() -> None:
    """[OV-27] Everything that Pyro4's module of this name has."""
    names = (
        "getIpVersion getIpAddress getInterfaceAddress receiveData sendData createSocket createBroadcastSocket"
        " setReuseAddr setNoDelay setKeepalive setNoInherit family_str findProbablyUnusedPort bindOnUnusedPort"
        " interruptSocket getSSLcontext SocketConnection ERRNO_RETRIES ERRNO_BADF ERRNO_ENOTSOCK"
        " ERRNO_EADDRNOTAVAIL ERRNO_EADDRINUSE"
    ).split()
    assert sorted(pyrolite.socketutil.__all__) == sorted(names)
    assert all(hasattr(pyrolite.socketutil, name) for name in names)
    assert pyrolite.socketutil.createSocket is createSocket
