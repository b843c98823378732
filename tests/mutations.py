"""Messages that are almost right: the recorded ones and some more, damaged in ways that get past the first checks."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pyrolite.serializers import get_serializer
from pyrolite.wire import v48
from pyrolite.wire.message import (
    FLAGS_BATCH,
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_ITEMSTREAMRESULT,
    FLAGS_ONEWAY,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_CONNECTOK,
    MSG_INVOKE,
    MSG_PING,
    MSG_RESULT,
)

_VECTORS: Final = Path(__file__).parent / "vectors" / "data" / "p4-messages.json"
_HEADER: Final = struct.Struct("!4sHHHHiHHHH")
_SERIALIZERS: Final = ("serpent", "json", "marshal", "msgpack")
_REQUESTS: Final = frozenset((MSG_CONNECT, MSG_INVOKE, MSG_PING))
_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**70,
    1.5,
    "text",
    "\u20ac\u00e4",
    [1, "two", [3.0, None]],
    {"a": 1, "b": {"c": [1, 2, 3]}},
    {"__class__": "Pyro4.core.URI", "state": ["PYRO", "obj", None, "localhost", 9090]},
    {"__class__": "ValueError", "__exception__": True, "args": ["x"], "attributes": {"y": 1}},
    {"__class__": "Pyro4.core.Proxy", "state": ["PYRO:o@h:1", [], [], [], 0.0, None, "hello", 0, None]},
)
#: Numbers that are the first or last of their kind.
_EDGES: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TOKENS: Final = (
    b"[" * 40,
    b"(" * 300,
    b"{'__class__':'builtins.SystemExit'}",
    b"__import__('os').getpid()",
    b"9" * 5000,
    b"1e999",
    b"\xff\xfe",
    b"\x00" * 30,
    b"nan",
    b"'\\ud800'",
    b"r\x00\x00\x00\x00",
    b"<\x01\x00\x00\x00",
    b"\xdd\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x30",
)


def recorded(requests: bool) -> list[bytes]:
    """The recorded messages of clients, or those of servers."""
    vectors = json.loads(_VECTORS.read_text())["vectors"]
    return [
        bytes.fromhex(vector["hex"])
        for vector in vectors
        if (vector["header"]["type"] in _REQUESTS) is requests and "hmac_key" not in vector
    ]


def requests(target: str) -> list[bytes]:
    """Calls of ``echo`` and ``numbers`` of ``target`` with all serializers and in all shapes."""
    made = []
    for name in _SERIALIZERS:
        serializer = get_serializer(name)
        number = serializer.serializer_id
        for value in _VALUES:
            if name == "json" or not isinstance(value, int) or abs(value) < 2**63:
                call = bytes(serializer.dumpsCall(target, "echo", (value,), {}))
                made += [_message(MSG_INVOKE, 0, number, call)]
                made += [_message(MSG_INVOKE, FLAGS_COMPRESSED, number, zlib.compress(call))]
        batch = bytes(serializer.dumpsCall(target, "<batch>", [("echo", (1,), {}), ("nothing", (), {})], None))
        made += [_message(MSG_INVOKE, FLAGS_BATCH, number, batch)]
        stream = bytes(serializer.dumpsCall(target, "numbers", (3,), {}))
        made += [_message(MSG_INVOKE, 0, number, stream), _message(MSG_INVOKE, FLAGS_ONEWAY, number, stream)]
        attribute = bytes(serializer.dumpsCall(target, "__getattr__", ("broken",), {}))
        made += [_message(MSG_INVOKE, 0, number, attribute)]
        made += [_message(MSG_CONNECT, 16, number, bytes(serializer.dumps({"handshake": "hello", "object": target})))]
    made += [_message(MSG_PING, 0, 42, b"ping", {"CORR": b"c" * 16})]
    return made


def answers() -> list[bytes]:
    """Answers of a server to the request with sequence number 1, with all serializers and in all shapes."""
    made = []
    metadata = {"handshake": "hello", "meta": {"methods": ["echo"], "oneway": [], "attrs": ["x"]}}
    for name in _SERIALIZERS:
        serializer = get_serializer(name)
        number = serializer.serializer_id
        made += [_message(MSG_CONNECTOK, 16, number, bytes(serializer.dumps(metadata)))]
        made += [_message(MSG_CONNECTFAIL, 0, number, bytes(serializer.dumps("no")))]
        for value in _VALUES:
            if name == "json" or not isinstance(value, int) or abs(value) < 2**63:
                result = bytes(serializer.dumps(value))
                made += [_message(MSG_RESULT, 0, number, result)]
                made += [_message(MSG_RESULT, FLAGS_COMPRESSED, number, zlib.compress(result))]
        for error in (ValueError("x"), SystemExit(1), StopIteration(), OSError(2, "none", "file")):
            error._pyroTraceback = ["line 1\n", "line 2\n"]  # type: ignore[attr-defined]
            made += [_message(MSG_RESULT, FLAGS_EXCEPTION, number, bytes(serializer.dumps(error)))]
        made += [
            _message(
                MSG_RESULT,
                FLAGS_EXCEPTION | FLAGS_ITEMSTREAMRESULT,
                number,
                bytes(serializer.dumps(None)),
                {"STRM": b"0f" * 16},
            )
        ]
    return made


def _message(
    kind: int, flags: int, serializer: int, payload: bytes, annotations: dict[str, bytes] | None = None
) -> bytes:
    return b"".join(v48.encode(kind, flags, 1, serializer, payload, annotations))  # type: ignore[arg-type]


def damaged(corpus: Sequence[bytes], rnd: random.Random) -> Iterator[bytes]:
    """Damaged messages without end: a third of them as they are, the others with the right checksum and sizes."""
    while True:
        data = bytearray(rnd.choice(corpus))
        for _ in range(rnd.choice((1, 1, 1, 2, 3, 6))):
            _damage(data, corpus, rnd)
        repair = rnd.random()
        if repair > 0.3:
            _repair(data, sizes=repair > 0.5)
        yield bytes(data)


def _damage(data: bytearray, corpus: Sequence[bytes], rnd: random.Random) -> None:
    # mostly behind the header, whose checksum catches the rest
    start = rnd.randrange(len(data) + 1) if rnd.random() < 0.3 else rnd.randrange(min(24, len(data)), len(data) + 1)
    kind = rnd.randrange(9)
    if kind == 0 and start < len(data):
        data[start] ^= 1 << rnd.randrange(8)
    elif kind == 1:
        del data[start : start + rnd.choice((1, 2, 4, 30))]
    elif kind == 2:
        data[start:start] = rnd.randbytes(rnd.choice((1, 2, 4, 30)))
    elif kind == 3:
        data[start : start + 4] = rnd.choice(_EDGES).to_bytes(4, rnd.choice(("big", "little")))
    elif kind == 4:
        data[start:start] = rnd.choice(_TOKENS)
    elif kind == 5:
        piece = data[start : start + rnd.choice((4, 10, 60))]
        data[start:start] = piece * rnd.choice((1, 2, 20))
    elif kind == 6:  # the end of another message
        other = rnd.choice(corpus)
        data[start:] = other[rnd.randrange(len(other)) :]
    elif kind == 7 and len(data) >= 24:  # a field of the header
        place = rnd.choice((6, 8, 10, 16, 18))
        data[place : place + 2] = rnd.choice((0, 1, 2, 3, 4, 5, 6, 8, 16, 64, 0xFFFF)).to_bytes(2, "big")
    elif kind == 8:
        data[start:] = b""


def _repair(data: bytearray, *, sizes: bool) -> None:
    """Make the header's checksum right, and with ``sizes`` also the size of the payload."""
    if len(data) < 24:
        return
    _, version, kind, flags, seq, size, serializer, annotations, reserved, _ = _HEADER.unpack_from(data)
    if sizes:
        annotations = min(annotations, len(data) - 24)
        size = len(data) - 24 - annotations
    total = version + kind + flags + seq + size + serializer + annotations + v48.CHECKSUM_MAGIC
    _HEADER.pack_into(
        data, 0, b"PYRO", version, kind, flags, seq, size, serializer, annotations, reserved, total & 0xFFFF
    )


def announced_size(data: bytes) -> int | None:
    """The size of the first message in ``data`` as its header tells, None when that is invalid or incomplete."""
    if len(data) < v48.HEADER_SIZE:
        return None
    try:
        header = v48.parse_header(data)
    except Exception:
        return None
    return v48.HEADER_SIZE + header[3] + header[5]
