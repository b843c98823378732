"""Sockets: making them, their options, and moving whole blocks of bytes through them ([SOC-4]..[SOC-18])."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyrolite.configuration import config
from pyrolite.errors import ConnectionClosedError, TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net.addresses import SocketAddress, getInterfaceAddress, getIpAddress, getIpVersion, lookup
from pyrolite.net.tlssockets import is_tls, is_tls_error, wants_reading, wants_writing

if TYPE_CHECKING:
    import ssl

__all__ = [
    "ERRNO_BADF",
    "ERRNO_EADDRINUSE",
    "ERRNO_EADDRNOTAVAIL",
    "ERRNO_ENOTSOCK",
    "ERRNO_RETRIES",
    "bindOnUnusedPort",
    "createBroadcastSocket",
    "createSocket",
    "family_str",
    "findProbablyUnusedPort",
    "getInterfaceAddress",
    "getIpAddress",
    "getIpVersion",
    "interruptSocket",
    "is_retryable",
    "is_socket_timeout",
    "peer_has_ended",
    "receiveData",
    "sendData",
    "setKeepalive",
    "setNoDelay",
    "setNoInherit",
    "setReuseAddr",
]

#: A Unix domain socket's name, or host and port.
Address: TypeAlias = str | tuple[Any, ...]


def _errnos(*names: str) -> list[int]:
    """The numbers of these errors on this system, with Windows' own variants."""
    numbers = (getattr(errno, prefix + name, None) for name in names for prefix in ("", "WSA"))
    return list(dict.fromkeys(number for number in numbers if number is not None))


#: Errors after which the same operation should be tried again ([SOC-14]).
ERRNO_RETRIES: Final = _errnos("EINTR", "EAGAIN", "EWOULDBLOCK", "EINPROGRESS")
ERRNO_BADF: Final = _errnos("EBADF")
ERRNO_ENOTSOCK: Final = _errnos("ENOTSOCK")
ERRNO_EADDRNOTAVAIL: Final = _errnos("EADDRNOTAVAIL")
ERRNO_EADDRINUSE: Final = _errnos("EADDRINUSE")

_AF_UNIX: Final[int | None] = getattr(socket, "AF_UNIX", None)
_MSG_WAITALL: Final[int] = getattr(socket, "MSG_WAITALL", 0)
_UNSET: Final = -1.0

#: Connections that wait to be accepted, at most ([SOC-8]).
BACKLOG: Final = 100
#: Bytes asked for by one receive that is not the first ([SOC-16]).
PIECE: Final = 60000
#: How far a receive buffer may be ahead of what has really arrived, in bytes ([HRD-5]).
MAX_AHEAD: Final = 1 << 20
#: Seconds to wait before an operation is tried again: at first, and at most.
FIRST_DELAY: Final = 0.001
LONGEST_DELAY: Final = 0.1
#: TCP keepalive: seconds of silence before the first probe, seconds between probes, and their number ([BYD-6]).
KEEPALIVE_IDLE: Final = 60
KEEPALIVE_INTERVAL: Final = 10
KEEPALIVE_PROBES: Final = 3
_KEEPALIVE_OPTIONS: Final = [
    (getattr(socket, name), value)
    for name, value in (
        ("TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    )
    if hasattr(socket, name)
]


# ---- options


def setReuseAddr(sock: socket.socket) -> None:
    """Let the socket bind to an address that another one has used a moment ago, where that is safe."""
    if sys.platform not in {"win32", "cygwin"}:  # there it would let two servers share one address
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def setNoDelay(sock: socket.socket) -> None:
    """Send small messages at once (TCP_NODELAY)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def setKeepalive(sock: socket.socket) -> None:
    """Notice a vanished peer: after 60 s of silence 3 probes, 10 s apart, where we have the choice ([BYD-6])."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sock.family == _AF_UNIX:
        return
    for option, value in _KEEPALIVE_OPTIONS:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def setNoInherit(sock: socket.socket) -> None:
    """Close the socket in programs that this process starts."""
    with contextlib.suppress(OSError):
        sock.set_inheritable(False)


def family_str(sock: socket.socket) -> str:
    """``IPv4``, ``IPv6``, ``Unix`` or ``???``."""
    if sock.family == socket.AF_INET:
        return "IPv4"
    if sock.family == socket.AF_INET6:
        return "IPv6"
    if sock.family == _AF_UNIX:
        return "Unix"
    return "???"


def _set_timeout(sock: socket.socket, timeout: float | None) -> None:
    if timeout != _UNSET:
        sock.settimeout(timeout or None)


# ---- making sockets


def createSocket(
    bind: Address | None = None,
    connect: Address | None = None,
    reuseaddr: bool = False,
    keepalive: bool = True,
    timeout: float | None = _UNSET,
    noinherit: bool = False,
    ipv6: bool | None = False,
    nodelay: bool = True,
    sslContext: ssl.SSLContext | None = None,
    *,
    prefer_ip_version: int | None = None,
) -> socket.socket:
    """A stream socket: listening at ``bind``, or connected with ``connect``, or plain if neither is given.

    Args:
        bind: name of a Unix domain socket, or ``(host, port)``; an empty host is all interfaces, port 0 a free one.
        connect: the same for the other end. The one address is used that PREFER_IP_VERSION chooses; when that is 0, all
            addresses of the name are tried in order.
        reuseaddr: see `setReuseAddr`.
        keepalive: see `setKeepalive`.
        timeout: seconds for each operation, to connect included; None and 0: no limit; not given: Python's default.
        noinherit: see `setNoInherit`.
        ipv6: IPv6 only; None: as PREFER_IP_VERSION says, where the address leaves that open.
        nodelay: see `setNoDelay`.
        prefer_ip_version: PREFER_IP_VERSION of the owner's configuration; None: of the global one.
        sslContext: speak TLS. A listening socket accepts at once: connections are negotiated at their first transfer.

    Raises:
        ValueError: the addresses make no sense together.
        OSError: the address is unknown, taken, or nobody listens there; TLS negotiation failed.

    Thread safety: may be called from any thread.
    """
    if bind and connect:
        raise ValueError("bind and connect cannot both be specified at the same time")
    version = config.PREFER_IP_VERSION if prefer_ip_version is None else prefer_ip_version
    force_ipv6 = bool(ipv6) or (ipv6 is None and version == 6)
    targets = _targets(bind or connect, version, force_ipv6, "bind" if bind else "in connect")
    if bind or version:
        del targets[1:]
    for number, (family, target) in enumerate(targets, 1):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            _set_options(sock, timeout, keepalive=keepalive, nodelay=nodelay, reuseaddr=reuseaddr, noinherit=noinherit)
            if bind:
                sock = _listening(sock, target, sslContext)
            elif connect:
                sock = _connected(sock, connect, target, sslContext)
        except BaseException as error:
            sock.close()
            if number == len(targets) or not isinstance(error, OSError):
                raise
        else:
            break
    return sock


def _set_options(
    sock: socket.socket, timeout: float | None, *, keepalive: bool, nodelay: bool, reuseaddr: bool, noinherit: bool
) -> None:
    _set_timeout(sock, timeout)
    if nodelay and sock.family != _AF_UNIX:
        setNoDelay(sock)
    if reuseaddr:
        setReuseAddr(sock)
    if keepalive:
        setKeepalive(sock)
    if noinherit:
        setNoInherit(sock)


def _targets(address: Address | None, version: int, force_ipv6: bool, use: str) -> list[tuple[int, Address | None]]:
    """Family and socket address of everything that ``address`` may mean, the preferred one first."""
    if address is None:
        return [(socket.AF_INET6 if force_ipv6 else socket.AF_INET, None)]
    if isinstance(address, str):
        if _AF_UNIX is None:
            raise OSError("there are no Unix domain sockets on this system")
        return [(_AF_UNIX, address)]
    if not isinstance(address, tuple) or len(address) < 2:
        raise ValueError("unknown bind or connect format.")
    host, port = address[:2]
    if not host:
        return [(socket.AF_INET6, ("", port, 0, 0)) if force_ipv6 else (socket.AF_INET, ("", port))]
    found = lookup(host, port, 0 if ":" in host else version)
    if force_ipv6:
        found = [pair for pair in found if pair[0] == socket.AF_INET6]
        if not found:
            raise ValueError(f"IPv4 address is used {use} argument with forceIPv6 argument:{host}.")
    return [*found]


def _listening(sock: socket.socket, address: Any, context: ssl.SSLContext | None) -> socket.socket:
    if sock.family != _AF_UNIX and address[1] == 0:
        _bind_exclusively(sock, address)
    else:
        sock.bind(address)
    sock.listen(BACKLOG)
    if context is not None:
        # the negotiation belongs to each connection: accept must not wait for a client ([SRV-11])
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    return sock


def _connected(sock: socket.socket, connect: Address, address: Any, context: ssl.SSLContext | None) -> socket.socket:
    if context is not None:
        host = None if isinstance(connect, str) else connect[0].partition("%")[0]
        if host is None and context.check_hostname:
            raise ValueError("a Unix domain socket has no host name that the TLS context could check")
        sock = context.wrap_socket(sock, server_hostname=host)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()  # the TLS socket has taken over the descriptor of the plain one
        raise
    return sock


def createBroadcastSocket(
    bind: SocketAddress | None = None,
    reuseaddr: bool = False,
    timeout: float | None = _UNSET,
    ipv6: bool = False,
) -> socket.socket:
    """A UDP socket that may broadcast.

    Args:
        bind: ``(host, port)`` or ``(host, port, 0, 0)``; host None or empty: all interfaces; port 0: a free one.
        reuseaddr: see `setReuseAddr`.
        timeout: seconds for each operation; None and 0: no limit; not given: Python's default.
        ipv6: IPv6 instead of IPv4.

    Raises:
        ValueError: ``bind`` is something else.
        OSError: the address is unknown or taken.

    Thread safety: may be called from any thread.
    """
    if bind is not None and not (isinstance(bind, tuple) and (len(bind) == 2 or bind[2:] == (0, 0))):
        raise ValueError(f"unknown bind format: {bind!r}")
    ipv6 = ipv6 or (bind is not None and len(bind) == 4)
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if not ipv6:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if reuseaddr:
            setReuseAddr(sock)
        _set_timeout(sock, timeout)
        if bind is not None:
            host, port = bind[0] or "", bind[1]
            if port:
                sock.bind((host, port))
            else:
                bindOnUnusedPort(sock, host)
    except BaseException:
        sock.close()
        raise
    return sock


def bindOnUnusedPort(sock: socket.socket, host: str = "localhost") -> int:
    """Bind the socket to a free port of ``host`` and return the port.

    Raises:
        OSError: the host is unknown or not of this machine.
    """
    if host == "localhost":
        host = "::1" if sock.family == socket.AF_INET6 else "127.0.0.1"
    _bind_exclusively(sock, (host, 0))
    port: int = sock.getsockname()[1]
    return port


def _bind_exclusively(sock: socket.socket, address: SocketAddress) -> None:
    option = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
    if option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind(address)


def findProbablyUnusedPort(family: int = socket.AF_INET, socktype: int = socket.SOCK_STREAM) -> int:
    """A port that nobody used a moment ago; better bind to port 0 where possible.

    Raises:
        OSError: this family of addresses cannot be used here.
    """
    with socket.socket(family, socktype) as sock:
        return bindOnUnusedPort(sock)


def interruptSocket(address: Address) -> None:
    """Make a blocking ``accept`` of the server at ``address`` return, by connecting to it; errors are ignored."""
    with contextlib.suppress(OSError, ValueError):
        createSocket(connect=address, keepalive=False, timeout=1.0).close()


# ---- whole blocks of bytes


def receiveData(sock: socket.socket, size: int) -> bytes:
    """Exactly ``size`` bytes from the stream.

    Works with blocking, non-blocking and timeout sockets; a timeout is for each piece that arrives.

    Raises:
        ConnectionClosedError: the stream ended before, or the connection is lost.
        TimeoutError: nothing came for as long as the socket's timeout. Both carry what had come in ``partialData``.

    Thread safety: one thread at a time for one socket.
    """
    flags = _MSG_WAITALL if config.USE_MSG_WAITALL and not is_tls(sock) else 0
    buffer = bytearray(min(size, MAX_AHEAD))
    arrived, delay = 0, FIRST_DELAY
    while arrived < size:
        if arrived == len(buffer):
            buffer += bytes(min(size - arrived, MAX_AHEAD))
        try:
            with memoryview(buffer) as whole, whole[arrived : None if flags else arrived + PIECE] as space:
                count = sock.recv_into(space, 0, flags) if flags else sock.recv_into(space)
        except OSError as error:
            flags = 0
            if is_retryable(error):
                delay = _pause(sock, error, reading=True, delay=delay)
                continue
            failure: ConnectionClosedError | TimeoutError
            if is_socket_timeout(error):
                failure = TimeoutError("receiving: timeout")
            else:
                failure = ConnectionClosedError(f"receiving: connection lost: {error}")
            failure.partialData = bytes(buffer[:arrived])
            raise failure from error
        if not count:
            ended = ConnectionClosedError("receiving: not enough data")
            ended.partialData = bytes(buffer[:arrived])
            raise ended
        arrived += count
        flags, delay = 0, FIRST_DELAY
    return bytes(buffer)


def sendData(sock: socket.socket, data: bytes | bytearray | memoryview) -> None:
    """Send all of ``data``.

    Works with blocking, non-blocking and timeout sockets; with a timeout, the other end must take something within it.

    Raises:
        ConnectionClosedError: the connection is lost.
        TimeoutError: the other end took nothing for as long as the socket's timeout.

    Thread safety: one thread at a time for one socket.
    """
    delay = FIRST_DELAY
    with memoryview(data) as rest:
        sent = 0
        while sent < len(rest):
            try:
                with rest[sent:] as piece:
                    sent += sock.send(piece)
            except OSError as error:
                if is_retryable(error):
                    delay = _pause(sock, error, reading=False, delay=delay)
                    continue
                if is_socket_timeout(error):
                    raise TimeoutError("sending: timeout") from error
                raise ConnectionClosedError(f"sending: connection lost: {error}") from error
            delay = FIRST_DELAY


def is_retryable(error: OSError) -> bool:
    """Whether the operation that failed with ``error`` just has to be repeated later."""
    if is_tls_error(error):
        return wants_reading(error) or wants_writing(error)
    return error.errno in ERRNO_RETRIES


def is_socket_timeout(error: OSError) -> bool:
    """Whether ``error`` tells that the socket's own timeout is over.

    The system gives the same class, but with a number, when it has lost the other end ([BYD-6]).
    """
    return isinstance(error, socket.timeout) and error.errno is None


def peer_has_ended(sock: Any) -> bool:
    """Whether the other end has closed the connection, or it is broken; what it sent before may still be unread.

    Where the system does not tell (only Linux does), that is assumed.
    """
    hung_up = getattr(select, "POLLRDHUP", None)
    if hung_up is None:
        return True
    poll = select.poll()
    try:
        poll.register(sock, hung_up)
    except (OSError, TypeError, ValueError):  # closed at this end
        return True
    return bool(poll.poll(0))


def _pause(sock: socket.socket, error: OSError, reading: bool, delay: float) -> float:
    """Wait until the socket is ready after ``error``, at most ``delay`` seconds; gives the next delay."""
    if wants_reading(error) or wants_writing(error):
        reading = wants_reading(error)
    if not isinstance(error, BlockingIOError) and not is_tls_error(error):
        time.sleep(delay)
    elif hasattr(select, "poll"):
        event = select.POLLIN if reading else select.POLLOUT
        poll = select.poll()
        poll.register(sock, event)
        if any(not found & event for _, found in poll.poll(delay * 1000)):
            time.sleep(delay)  # not ready, and never will be: the next try tells why
    else:
        wanted = [sock]
        select.select(wanted if reading else [], [] if reading else wanted, [], delay)
    return min(delay * 2, LONGEST_DELAY)
