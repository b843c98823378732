"""One handshake with a server of whatever kind, and what came back ([BYD-20]).

Unlike a proxy, this looks at the bytes of the answer before it believes that they are a Pyro message.
"""

from __future__ import annotations

import contextlib
import hmac
import socket
import ssl
from typing import Any, Final

from pyrolite import compression
from pyrolite.errors import PyroError, SerializeError
from pyrolite.serializers import SerializerBase, get_serializer_by_id
from pyrolite.wire import v48
from pyrolite.wire.message import (
    ANNOTATION_HMAC,
    FLAGS_COMPRESSED,
    FLAGS_META_ON_CONNECT,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
)

__all__ = ["ForeignAnswerError", "ServerAnswer", "handshake", "probe_http", "probe_tls"]

#: No answer to a handshake is larger, in bytes.
_LARGEST: Final = 16 << 20
_MARSHAL: Final = 3
#: First bytes of TLS records: alert and handshake.
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")


class ForeignAnswerError(Exception):
    """What came back is no message of protocol 48.

    ``kind`` is ``TLS``, ``HTTP`` or empty, ``version`` the number of another version of the protocol, or 0, and
    ``text`` what can be told of the rest.
    """

    def __init__(self, kind: str, version: int, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.version = version
        self.text = text


class ServerAnswer:
    """The answer to a handshake; nothing in it is decoded before it is asked for."""

    def __init__(self, kind: int, flags: int, serializer_id: int, annotations: dict[str, bytes], data: bytes) -> None:
        self.flags = flags
        self.serializer_id = serializer_id
        self.annotations = annotations
        self.data = data
        #: why the server refuses the client; None: it does not
        self.refusal: str | None = self._reason() if kind == MSG_CONNECTFAIL else None
        self.metadata: Any = None

    @property
    def signed(self) -> bool:
        """Whether the server has a key."""
        return ANNOTATION_HMAC in self.annotations

    def verified(self, key: bytes | None) -> bool:
        """Whether the signature is the one of this key."""
        if not key:
            return not self.signed
        digest = v48.message_hmac(key, self.data, self.annotations)
        return hmac.compare_digest(digest, self.annotations.get(ANNOTATION_HMAC, b""))

    def decode(self, serializer: SerializerBase) -> None:
        """Read the metadata.

        Raises:
            SerializeError, TypeError, LookupError: it is malformed.
        """
        if self.serializer_id != serializer.serializer_id:
            raise SerializeError(f"invalid serializer in handshake response: {self.serializer_id}")
        self.metadata = serializer.loads(self._payload())["meta"]

    def _payload(self) -> Any:
        return compression.decompress(self.data, _LARGEST) if self.flags & FLAGS_COMPRESSED else self.data

    def _reason(self) -> str:
        try:
            # texts in formats that run no code
            reason = get_serializer_by_id(self.serializer_id if self.serializer_id in {1, 2, _MARSHAL} else _MARSHAL)
            text = reason.loads(self._payload())
        except PyroError as error:
            return f"the reason cannot be read: {error}"
        return text if isinstance(text, str) else repr(text)


def handshake(sock: socket.socket, object_id: str, serializer: SerializerBase, key: bytes | None) -> ServerAnswer:
    """Offer the handshake on a connected socket, and wait for the answer.

    Raises:
        ForeignAnswerError: the other end speaks something else.
        OSError: there is no answer.
    """
    payload = serializer.dumps({"handshake": "hello", "object": object_id})
    parts = v48.encode(MSG_CONNECT, FLAGS_META_ON_CONNECT, 0, serializer.serializer_id, payload, {}, key, 0)
    with contextlib.suppress(BrokenPipeError):  # what the other end has to say may be there nevertheless
        sock.sendall(b"".join(parts))
    head = _receive(sock, v48.HEADER_SIZE)
    if head[:4] != b"PYRO" or len(head) < v48.HEADER_SIZE:
        raise _foreign(sock, head)
    version = int.from_bytes(head[4:6], "big")
    if version != 48:
        raise ForeignAnswerError("", version, _text_of(_rest(sock, head)[24:]))
    try:
        kind, flags, _, data_size, serializer_id, annotations_size = v48.parse_header(head)[:6]
        if data_size > _LARGEST or kind not in {MSG_CONNECTOK, MSG_CONNECTFAIL}:
            raise ForeignAnswerError("", 0, f"message type {kind} of {data_size} bytes")
        annotations = v48.parse_annotations(_complete(sock, annotations_size))
    except PyroError as error:
        raise ForeignAnswerError("", 0, str(error)) from error
    return ServerAnswer(kind, flags, serializer_id, annotations, _complete(sock, data_size))


def _receive(sock: socket.socket, size: int) -> bytes:
    """That many bytes, or fewer when the other end closes, or says no more.

    Raises:
        OSError: nothing came.
    """
    data = b""
    while len(data) < size:
        try:
            piece = sock.recv(size - len(data))
        except OSError:
            if data:
                return data
            raise
        if not piece:
            if not data:
                raise ConnectionResetError("closed without a word")
            return data
        data += piece
    return data


def _complete(sock: socket.socket, size: int) -> bytes:
    data = _receive(sock, size) if size else b""
    if len(data) < size:
        raise ConnectionResetError("closed in the middle of the answer")
    return data


def _rest(sock: socket.socket, head: bytes) -> bytes:
    with contextlib.suppress(OSError):
        sock.settimeout(0.5)
        return head + sock.recv(1000)
    return head


def _foreign(sock: socket.socket, head: bytes) -> ForeignAnswerError:
    data = _rest(sock, head)
    if data[:2] in _TLS_RECORDS:
        return ForeignAnswerError("TLS", 0, "a TLS record")
    return ForeignAnswerError("HTTP" if _is_http(data) else "", 0, _text_of(data))


def _is_http(data: bytes) -> bool:
    start = data.lstrip()[:300].lower()
    return start.startswith((b"http/", b"<!doctype html", b"<html"))


def _text_of(data: bytes) -> str:
    """The readable beginning of what came."""
    lines = data.decode("latin-1").strip("\0").splitlines() or [""]
    return "".join(char for char in lines[0][-80:] if char.isprintable()) or f"{len(data)} bytes"


def _connect(where: Any, timeout: float) -> socket.socket:
    if isinstance(where, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(where)
        return sock
    return socket.create_connection(where, timeout=timeout)


def probe_tls(where: Any, timeout: float) -> bool:
    """Whether TLS is spoken there; nothing is verified, and nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connect(where, timeout) as sock, context.wrap_socket(sock) as encrypted:
            return encrypted.version() is not None
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def probe_http(where: Any, timeout: float) -> bool:
    """Whether HTTP is spoken there."""
    with contextlib.suppress(OSError), _connect(where, timeout) as sock:
        sock.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        return _is_http(sock.recv(300))
    return False
