"""One connection: a connected socket, the frames that arrive on it, and what belongs to its lifetime ([SOC-20]).

The same class serves proxies and the worker threads of a server (blocking: `receive_frame`, `send_parts`) and event
loops (non-blocking: `fill`, `frame_ready`, `buffer_output`, `flush`).
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from pyrolite.errors import ConnectionClosedError, TimeoutError  # noqa: A004 - [ERR-2]
from pyrolite.net import lingering, sockets
from pyrolite.net.tlssockets import is_tls, would_block
from pyrolite.pieces import LARGE, Pieces
from pyrolite.tracebacks import is_interrupt
from pyrolite.wire.framing import FrameReader
from pyrolite.wire.message import Buffer, Frame, Payload
from pyrolite.wire.v48 import is_whole, read_whole

__all__ = ["SocketConnection"]

log: logging.Logger = logging.getLogger("pyrolite.core")

#: Bytes asked for by one receive; a message up to this size arrives with one system call.
RECEIVE_SIZE: Final = 1 << 16
#: Messages above this size are sent without joining header and payload ([WIRE-6]).
JOIN_LIMIT: Final = LARGE
#: Least number of body bytes that have to arrive within one timeout period ([HRD-15]).
MINIMUM_PROGRESS: Final = 1024

#: Makes one receive non-blocking whatever the mode of the socket; 0 where the system cannot do that.
_DONT_WAIT: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)

#: Makes one receive wait for all that it asks for, on blocking sockets; 0 where the system cannot do that.
_WAIT_ALL: Final[int] = 0 if sys.platform == "win32" else getattr(socket, "MSG_WAITALL", 0)

#: Whether one system call can send several pieces of memory, and how many it takes for sure.
_HAS_SENDMSG: Final[bool] = hasattr(socket.socket, "sendmsg")
_MOST_PIECES: Final = 16


class SocketConnection:
    """A connected stream socket that speaks frames.

    ``objectId`` is the object that a proxy talks to; ``keep_open`` marks a socket that belongs to the user and is never
    closed here; ``peer_address`` is the other end's address as given by ``accept``, or None.

    Thread safety: one thread may receive while others send nothing; use is serialised by the owner.
    """

    # pyroInstances and tracked_resources are made when first used: most connections never need them, and an idle
    # connection of a busy server must cost little memory. __dict__ stays available for attributes of user code.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_instances",
        "_output",
        "_queueing",
        "_reader",
        "_resources",
        "_tls",
        "eof",
        "keep_open",
        "objectId",
        "on_full",
        "on_stall",
        "output_pending",
        "peer_address",
        "sock",
    )

    #: the other end may still be sending when this is closed, and is to get the last answer nevertheless ([HRD-6])
    lingering = False
    #: tells whether the server is to leave the connection alone, though there may be more to read ([HRD-19])
    hold: Callable[[], bool] | None = None
    #: the timeout of a connection that keeps the time itself while its socket has none, see `keep_time`
    _kept_timeout: float | None = None

    def __init__(
        self,
        sock: socket.socket,
        objectId: str | None = None,
        keep_open: bool = False,
        peer_address: Any = None,
    ) -> None:
        self.sock: socket.socket = sock
        self.objectId: str | None = objectId
        self.keep_open: bool = keep_open
        self.peer_address: Any = peer_address
        #: the other end has closed, or the connection is lost
        self.eof: bool = False
        #: called instead of waiting, when the rest of a message has not come within `brief_waits` or, on a
        #: non-blocking socket, at once: with the number of seconds to wait for it (None: for ever), returns whether
        #: bytes have come. What it raises leaves the buffer as it is.
        self.on_stall: Callable[[float | None], bool] | None = None
        #: called when the other end has not taken a whole message at once; it may wait a little, and tells whether the
        #: rest is to be queued until `flush`
        self.on_full: Callable[[], bool] | None = None
        #: bytes that are queued because the other end has not taken them yet
        self.output_pending: int = 0
        self._reader = FrameReader()
        self._tls = is_tls(sock)
        self._instances: dict[type, Any] | None = None
        self._resources: weakref.WeakSet[Any] | None = None
        self._queueing = False
        self._output: deque[memoryview] | None = None  # exists only while there is something in it

    # ---- receiving, blocking

    def receive_frame(
        self, types: Collection[int] | None = None, hmac_key: bytes | None = None, max_size: int = 0
    ) -> Frame:
        """Wait for the next message: one system call when it arrives in one piece.

        With a socket timeout, the first byte must come within that time, the header must be complete within that time
        after it, and then each such period has to bring 1 KiB or the end of the message ([HRD-15]).

        Raises:
            ConnectionClosedError, TimeoutError: the stream ended or stalled; ``partialData`` holds what had come, at
                most the first 64 KiB of it.
            ProtocolError, MessageTooLargeError, SecurityError: as `FrameReader.next_frame`.
        """
        reader = self._reader
        if not reader.rest and not reader.collecting:
            try:
                data = self.sock.recv(RECEIVE_SIZE)
            except OSError as error:
                data = self._recv_again(error)
            if not data:
                raise self._closed()
            reader.rest = data
        frame: Frame | None
        if reader.plain:  # nearly always
            frame = read_whole(reader.rest, types, hmac_key, max_size)
            if frame is not None:
                reader.rest = b""
                return frame
        frame = reader.next_frame(types, hmac_key, max_size)
        return self._receive_rest(types, hmac_key, max_size) if frame is None else frame

    def _receive_rest(self, types: Collection[int] | None, hmac_key: bytes | None, max_size: int) -> Frame:
        """The message did not come in one piece: go on until it is complete."""
        reader = self._reader
        timeout = self.getTimeout()
        mark, deadline = 0, time.monotonic() + (timeout or 0.0)
        wait = self.on_stall or self._wait_for_socket
        while True:
            if timeout:
                left = deadline - time.monotonic()
                if left <= 0 or not wait(left):
                    arrived = reader.buffered
                    if arrived - mark < MINIMUM_PROGRESS:
                        raise self._timed_out()
                    mark, deadline = arrived, time.monotonic() + timeout
            self._receive_piece()
            frame = reader.next_frame(types, hmac_key, max_size)
            if frame is not None:
                return frame

    def _receive_piece(self) -> None:
        """One receive, of as much as the message in progress lets expect."""
        reader = self._reader
        # the system collects as well: without that, every few KiB would wake this thread
        flags = 0 if self._tls or not reader.collecting else _WAIT_ALL
        try:
            size = self._receive_more(flags)
        except OSError as error:
            data = self._recv_again(error)
            size = len(data)
            reader.feed(data)
        if not size:
            raise self._closed()

    def _receive_more(self, flags: int) -> int:
        """Let the reader have what one receive call gives; returns the number of bytes."""
        reader = self._reader
        space = reader.space()
        if space is None:
            data = self.sock.recv(reader.wanted, flags)
            reader.feed(data)
            return len(data)
        size = self.sock.recv_into(space, 0, flags)
        reader.added(size)
        return size

    def _recv_again(self, error: OSError) -> bytes:
        """A receive failed with ``error``: wait and repeat if nothing was there yet, else raise what it means."""
        while isinstance(error, would_block()):
            # the kernel's receive timeout of an idle-aware server, or a non-blocking socket
            wait = self.on_stall or self._wait_for_socket
            if not wait(self.getTimeout() or None):
                raise self._timed_out()
            try:
                return self.sock.recv(4096)
            except OSError as again:
                error = again
        if sockets.is_socket_timeout(error):
            raise self._timed_out() from error
        self.eof = True
        lost = ConnectionClosedError(f"receiving: connection lost: {error}")
        lost.partialData = self._reader.take(RECEIVE_SIZE)
        raise lost from error

    def wait_readable(self, timeout: float | None) -> bool:
        """Wait until there are bytes of a message; False after ``timeout`` seconds (None: wait for ever)."""
        return bool(self._reader.buffered) or self._wait_for_socket(timeout)

    def waiter(self, timeout: float) -> Callable[[], bool]:
        """A function that does the same as `wait_readable` with that timeout, in less time when it is called often."""
        if not hasattr(select, "poll"):
            return lambda: self.wait_readable(timeout)
        reader, milliseconds = self._reader, timeout * 1000
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)

        def wait() -> bool:
            if reader.rest or reader.collecting or (self._tls and self.sock.pending()):  # type: ignore[attr-defined]
                return True
            return bool(poll.poll(milliseconds))

        return wait

    def _wait_for_socket(self, timeout: float | None) -> bool:
        """Wait until the socket has bytes, or tells of an error; False after ``timeout`` seconds."""
        if self._tls and self.sock.pending():  # type: ignore[attr-defined]
            return True
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self.sock, select.POLLIN)
            return bool(poll.poll(None if timeout is None else timeout * 1000))
        return bool(select.select([self.sock], [], [], timeout)[0])

    def wait_writable(self, timeout: float) -> bool:
        """Wait until the socket takes bytes, or tells of an error; False after ``timeout`` seconds."""
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self.sock, select.POLLOUT)
            return bool(poll.poll(timeout * 1000))
        return bool(select.select([], [self.sock], [], timeout)[1])

    def _closed(self) -> ConnectionClosedError:
        self.eof = True
        error = ConnectionClosedError("receiving: not enough data")
        error.partialData = self._reader.take(RECEIVE_SIZE)
        return error

    def _timed_out(self) -> TimeoutError:
        error = TimeoutError("receiving: timeout")
        error.partialData = self._reader.take(RECEIVE_SIZE)
        if error.partialData:
            self.eof = True  # what comes next is no beginning of a message
        return error

    def recv(self, size: int) -> bytes:
        """Exactly ``size`` raw bytes, the buffered ones first.

        Raises:
            ConnectionClosedError, TimeoutError: as `receive_frame`.
        """
        data = self._reader.take(size)
        if len(data) == size:
            return data
        mode = self.sock.gettimeout()
        if self._kept_timeout:
            self.sock.settimeout(self._kept_timeout)
        try:
            return data + sockets.receiveData(self.sock, size - len(data))
        except (ConnectionClosedError, TimeoutError) as error:
            error.partialData = data + error.partialData
            raise
        finally:
            if self._kept_timeout:
                self.sock.settimeout(mode)

    # ---- receiving, for worker threads that have to notice when their client is idle

    def keep_time(self, timeout: float | None) -> None:
        """Take the socket's timeout off and keep the time for messages here, for owners that wait in their own way."""
        if self.sock.gettimeout() is not None:
            self.sock.settimeout(None)
        if timeout or self._kept_timeout is not None:
            self._kept_timeout = timeout or 0.0

    def brief_waits(self, seconds: float) -> bool:
        """Let the system end each blocking receive or send after ``seconds`` of waiting, see `receive_some`, `on_full`.

        That costs no system call per message. False: not possible here (TLS, a socket timeout, the platform).
        """
        if self._tls or self.sock.gettimeout() is not None or sys.platform == "win32":
            return False
        try:
            value = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
        except OSError:
            return False
        return True

    def receive_some(self) -> bool:
        """Make the beginning of the next message arrive in the buffer; False: nothing came within `brief_waits`.

        True as well when the stream has ended; then ``eof`` is True.
        """
        reader = self._reader
        if reader.rest or reader.collecting:
            return True
        try:
            data = self.sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return False
        except OSError as error:
            log.debug("connection %r lost: %s", self.peer_address, error)
            self.eof = True
            return True
        if data:
            reader.rest = data
        else:
            self.eof = True
        return True

    # ---- receiving, for event loops

    @property
    def buffered(self) -> int:
        """Number of bytes received and not consumed."""
        return self._reader.buffered

    @property
    def drained(self) -> bool:
        """Whether all bytes received have been consumed; quicker than `buffered`."""
        return not self._reader.rest and not self._reader.collecting

    def unblock(self) -> None:
        """Prepare the socket for `fill`: make it non-blocking where that is needed."""
        if self._tls or not _DONT_WAIT or self.sock.gettimeout():
            self.sock.setblocking(False)

    def fill(self) -> bool:
        """Read what is there without waiting, from a socket that is non-blocking or prepared with `unblock`.

        Returns True when bytes came or the stream ended (then ``eof`` is True), False when nothing was there.
        """
        reader = self._reader
        progress = False
        try:
            while not self.eof:
                flags = 0 if self._tls else _DONT_WAIT
                if reader.rest or reader.collecting:
                    if not self._receive_more(flags):
                        self.eof = True
                elif not (data := self.sock.recv(RECEIVE_SIZE, flags)):
                    self.eof = True
                else:
                    reader.rest = data
                progress = True
                # bytes that the TLS layer has decrypted already cause no further event of the selector ([SRV-39])
                if not self._tls or not self.sock.pending():  # type: ignore[attr-defined]
                    break
        except would_block():
            pass
        except OSError as error:
            log.debug("connection %r lost: %s", self.peer_address, error)
            self.eof = progress = True
        return progress

    def frame_ready(self, max_size: int = 0) -> bool:
        """Whether `receive_frame` would return or raise at once: a message is complete, or it never will be."""
        reader = self._reader
        return (reader.plain and is_whole(reader.rest)) or reader.ready(max_size) or self.eof

    # ---- sending

    def send(self, data: Buffer) -> None:
        """Send all of ``data``.

        Raises:
            ConnectionClosedError: the connection is lost.
            TimeoutError: the other end takes nothing for as long as the socket's timeout.
        """
        if self._queueing or self._output is not None:
            self._queue(data)
            return
        try:
            sent = self.sock.send(data)
        except OSError as error:
            sent = self._none_sent(error)
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        """The other end did not take everything at once."""
        if self.on_full is None:
            sockets.sendData(self.sock, rest)
            return
        while not self.on_full():
            try:
                rest = rest[self.sock.send(rest) :]
            except would_block():
                continue
            except OSError as error:
                raise ConnectionClosedError(f"sending: connection lost: {error}") from error
            if not rest:
                return
        self._queue(rest)

    def send_parts(self, head: bytes, payload: Payload) -> None:
        """Send ``head`` and ``payload`` as one piece, without copying a large payload ([WIRE-6], [SOC-18]).

        Raises: as `send`.
        """
        if len(payload) < JOIN_LIMIT:
            data = head + payload if type(payload) is bytes else head + bytes(payload)
            if self._queueing or self._output is not None:
                self._queue(data)
                return
            try:
                sent = self.sock.send(data)
            except OSError as error:
                sent = self._none_sent(error)
            if sent != len(data):
                self._send_rest(memoryview(data)[sent:])
        else:
            self._send_large(head, payload)

    @staticmethod
    def _none_sent(error: OSError) -> int:
        """A first try to send failed: the second one, by `sendData`, tells why, except that it must not wait again."""
        if sockets.is_socket_timeout(error):
            raise TimeoutError("sending: timeout") from error
        return 0

    def _send_large(self, head: bytes, payload: Payload) -> None:
        """Send as many pieces as there are with one system call, and what is left one by one."""
        pieces: list[Buffer]
        if type(payload) is not Pieces:
            pieces = [head, payload]
        elif len(payload.pieces) < _MOST_PIECES and _HAS_SENDMSG and not self._tls:
            pieces = [head, *payload.pieces]
        else:
            pieces = [head, bytes(payload)]
        if self._tls or not _HAS_SENDMSG:  # let the first record carry both
            view, first = memoryview(pieces[1]), (1 << 14) - len(head)
            self.send(b"".join((head, view[:first])))
            self.send(view[first:])
            return
        sent = self._send_together(pieces)
        send_rest = self.send if self._queueing or self._output is not None else self._send_rest
        for piece in pieces:
            if sent >= len(piece):
                sent -= len(piece)
            else:
                send_rest(memoryview(piece)[sent:])
                send_rest, sent = self.send, 0

    def _send_together(self, pieces: list[Buffer]) -> int:
        """Send what the other end takes at once of all pieces; returns the number of bytes."""
        if self._output is not None:
            return 0  # other things have to be sent before
        try:
            if self._queueing:
                return self.sock.sendmsg(pieces, (), _DONT_WAIT)
            return self.sock.sendmsg(pieces)
        except OSError as error:
            return 0 if self._queueing else self._none_sent(error)

    def buffer_output(self) -> None:
        """From now on `send` never waits: what the other end does not take at once is queued until `flush`."""
        self._queueing = True

    def _queue(self, data: Buffer) -> None:
        if not self._output:
            try:
                sent = self.sock.send(data, 0 if self._tls else _DONT_WAIT)
            except would_block():
                sent = 0
            except OSError as error:
                self.eof = True
                raise ConnectionClosedError(f"sending: connection lost: {error}") from error
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            self._output = deque()
        self._output.append(memoryview(data))
        self.output_pending += len(data)

    def flush(self) -> bool:
        """Send queued output without waiting; True when nothing is left.

        Raises:
            ConnectionClosedError: the connection is lost.
        """
        output = self._output
        if not output:
            return True
        flags = 0 if self._tls else _DONT_WAIT
        try:
            while output:
                sent = self.sock.send(output[0], flags)
                self.output_pending -= sent
                if sent == len(output[0]):
                    output.popleft()
                else:
                    output[0] = output[0][sent:]
        except would_block():
            return False
        except OSError as error:
            self.eof = True
            raise ConnectionClosedError(f"sending: connection lost: {error}") from error
        self._output = None
        return True

    # ---- lifetime

    def close(self) -> None:
        """Close the socket, the tracked resources and let go of the session's instances ([SOC-21], [HRD-30]).

        Does nothing when the socket is the user's. May be repeated; never raises.
        """
        if self.keep_open:
            return
        self.eof = True
        if self.sock.fileno() >= 0:
            if self.lingering:
                lingering.close_later(self.sock)
            else:
                with contextlib.suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)
                with contextlib.suppress(OSError):
                    self.sock.close()
        self._output = None
        self.release_resources()
        self._instances = None

    def abandon(self) -> None:
        """Close this process's descriptor only: the connection itself belongs to the parent process ([HRD-33])."""
        with contextlib.suppress(OSError):
            socket.socket(fileno=self.sock.detach()).close()

    def release_resources(self) -> None:
        """Call ``close()`` of every tracked resource that is still alive, once ([CTX-5])."""
        resources, self._resources = self._resources, None
        for resource in list(resources or ()):
            try:
                resource.close()
            except BaseException as error:
                if is_interrupt(error):
                    raise
                log.warning("closing tracked resource %r failed", type(resource), exc_info=True)

    def __del__(self) -> None:
        # the attributes may be missing when the constructor failed
        if hasattr(self, "_resources"):
            self.close()

    def __enter__(self) -> SocketConnection:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pyroInstances(self) -> dict[type, Any]:
        """Instances of registered classes in session mode that belong to this connection."""
        if self._instances is None:
            self._instances = {}
        return self._instances

    @property
    def tracked_resources(self) -> weakref.WeakSet[Any]:
        """Objects whose ``close()`` is called when the connection ends."""
        if self._resources is None:
            self._resources = weakref.WeakSet()
        return self._resources

    def fileno(self) -> int:
        """The socket's descriptor, -1 when closed."""
        return self.sock.fileno()

    def family(self) -> str:
        """``IPv4``, ``IPv6``, ``Unix`` or ``???``."""
        return sockets.family_str(self.sock)

    def getTimeout(self) -> float | None:
        """Timeout in seconds of one socket operation; None: no limit."""
        return self.sock.gettimeout() if self._kept_timeout is None else self._kept_timeout or None

    def setTimeout(self, timeout: float | None) -> None:
        """Set the timeout in seconds; None or 0: no limit."""
        if self._kept_timeout is None:
            self.sock.settimeout(timeout or None)
        else:
            self._kept_timeout = timeout or 0.0

    if TYPE_CHECKING:

        @property
        def timeout(self) -> float | None:
            """As `getTimeout` and `setTimeout`."""

        @timeout.setter
        def timeout(self, seconds: float | None) -> None: ...

    else:
        timeout = property(getTimeout, setTimeout)

    def getpeercert(self) -> dict[str, Any] | None:
        """The other end's certificate as the ssl module gives it; None without TLS or certificate."""
        if is_tls(self.sock):
            return self.sock.getpeercert()
        return None

    def __repr__(self) -> str:
        state = "closed" if self.sock.fileno() < 0 else self.family()
        return f"<pyrolite.socketutil.SocketConnection at 0x{id(self):x}; {state}; peer {self.peer_address!r}>"
