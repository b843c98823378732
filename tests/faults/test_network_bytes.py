"""Bytes from the network never crash, stall or bloat a server ([HRD-1] to [HRD-9], [HRD-29], [SEC-25])."""

from __future__ import annotations

import contextlib
import marshal
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from pyrolite.compression import DEFAULT_LIMIT, DEFAULT_RATIO
from pyrolite.errors import ConnectionClosedError
from pyrolite.serializers import get_serializer
from pyrolite.wire import v48
from pyrolite.wire.message import (
    FLAGS_COMPRESSED,
    FLAGS_EXCEPTION,
    FLAGS_KEEPSERIALIZED,
    MSG_CONNECT,
    MSG_CONNECTFAIL,
    MSG_INVOKE,
    MSG_RESULT,
)

from ..mutations import announced_size, damaged, recorded, requests
from .harness import MEGABYTE, Server, eventually

ACCEPTED = ["serpent", "json", "marshal", "msgpack"]
WAKERS = 6  # descriptors of the workers that are kept, and of the lobby


@pytest.fixture
def server(share_server: Callable[..., Server]) -> Server:
    """The same one for all tests but those that need something special: it has to get through all of them."""
    return share_server(SERIALIZERS_ACCEPTED=ACCEPTED)


def bombard(server: Server, count: int, seed: int) -> tuple[int, int]:
    """Send damaged messages; gives how many of them the server survived without and with closing the connection."""
    messages = damaged(recorded(requests=True) + requests("target"), random.Random(seed))
    alive = closed = 0
    client = server.client()
    for _ in range(count):
        message = next(messages)
        try:
            client.send(message)
            size = announced_size(message)
            if size is not None and size > len(message):  # the server waits for the rest: vanish instead
                client.vanish()
                closed += 1
                client = server.client()
                continue
        except OSError:  # closed after the one before
            pass
        if client.pinged():
            alive += 1
        else:
            closed += 1
            client.close()
            client = server.client()
    return alive, closed


def test_damaged_messages(server: Server, watch: Any, record: Any) -> None:
    """A seeded selection of damaged requests, those with a right checksum included."""
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        alive, closed = bombard(server, 600, seed=7)
    record(count=600, alive=alive, closed=closed)
    assert alive > 200
    assert closed > 80
    watched.was_undisturbed()
    server.hang_up()
    server.settle(before, threads=40, descriptors=WAKERS, megabytes=24)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_damaged_messages_by_the_hundred_thousand(server: Server, watch: Any, record: Any) -> None:
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        alive, closed = bombard(server, 100_000, seed=8)
    record(count=100_000, alive=alive, closed=closed)
    watched.was_undisturbed()
    server.hang_up()
    server.settle(before, threads=40, descriptors=WAKERS, megabytes=24)


def test_damaged_greetings(server: Server, watch: Any, record: Any) -> None:
    """Before the handshake is complete, nothing else is looked at ([SEC-15])."""
    corpus = recorded(requests=True) + requests("target")
    messages = damaged(corpus, random.Random(11))
    with watch(server) as watched:
        for _ in range(300):
            client = server.connect()
            message = next(messages)
            client.send(message)
            size = announced_size(message)
            if len(message) >= 24 and (size is None or size <= len(message)):  # otherwise it waits for more
                try:
                    frame = client.receive()
                    assert frame.type in (2, 3)
                except (ConnectionClosedError, OSError):
                    pass
            client.vanish()
    record(count=300)
    watched.was_undisturbed()
    server.is_well()


def hurl_random_bytes(server: Server, count: int) -> None:
    """Before and after the handshake."""
    rnd = random.Random(3)
    for _ in range(count // 2):
        client = server.connect()
        client.send(rnd.randbytes(rnd.choice((1, 23, 24, 25, 1000, 70_000))))
        client.vanish()
        server.forget(client)
        client = server.client()
        with contextlib.suppress(OSError):  # closed after the first of many bytes
            client.send(rnd.randbytes(rnd.choice((24, 25, 1000, 70_000))))
        assert client.closed_by_server()
        client.close()
        server.forget(client)


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_random_bytes(server: Server, watch: Any, record: Any, count: int) -> None:
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        hurl_random_bytes(server, count)
    record(count=count)
    watched.was_undisturbed()
    server.settle(before, threads=40, descriptors=WAKERS)


def test_claims_of_two_gigabytes(server: Server, watch: Any, record: Any) -> None:
    """[HRD-5]: memory is taken for what has arrived, not for what was announced."""
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        for kind, prepare in ((MSG_INVOKE, Server.client), (MSG_CONNECT, Server.connect)):
            for _ in range(40):
                header = v48.pack(kind, 0, 1, 1, 0x7FFFFFFF)
                prepare(server).send(header + bytes(66_000))
        watched.at_least(0.4)
        assert server.usage().resident - before.resident < 100 * MEGABYTE
    record(count=80)
    watched.was_undisturbed()
    server.hang_up()
    server.settle(before, threads=40, descriptors=WAKERS, megabytes=30)


def test_memory_runs_out(start_server: Callable[..., Server], watch: Any) -> None:
    """[HRD-5]: many half large messages; whoever asks for the last memory loses the connection, nobody else."""
    server = start_server(memory=400 * MEGABYTE)
    server.is_well()
    with watch(server) as watched:
        clients = [server.client() for _ in range(14)]
        for client in clients:
            client.send(v48.pack(MSG_INVOKE, 0, 1, 1, 0x7FFFFFFF))
            with contextlib.suppress(OSError):  # it lost
                for _ in range(30):
                    client.send(bytes(MEGABYTE))
        eventually(lambda: any(client.is_closed() for client in clients))
        server.hang_up()
    assert watched.failures <= 3, watched.errors  # memory may run out in the middle of an honest call as well
    server.is_well()


def zlib_bomb(size: int) -> bytes:
    """A thousandth of ``size`` bytes that becomes so many."""
    compressor = zlib.compressobj(1)
    block = bytes(MEGABYTE)
    return b"".join(compressor.compress(block) for _ in range(size // MEGABYTE)) + compressor.flush()


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_zlib_bombs(start_server: Callable[..., Server], watch: Any, limit: int) -> None:
    """[HRD-4]: what is decompressed is limited, before and after the handshake."""
    server = start_server(MAX_MESSAGE_SIZE=limit)
    server.is_well()
    before = server.usage()
    bomb = zlib_bomb(200 * MEGABYTE)
    most = before.resident + (limit or max(DEFAULT_LIMIT, DEFAULT_RATIO * len(bomb))) + 30 * MEGABYTE
    with watch(server) as watched:
        client = server.client()
        for number in range(3):
            client.send(client.message(MSG_INVOKE, bomb, flags=FLAGS_COMPRESSED))
            error = client.result()
            assert "max message size exceeded" in str(error), (number, error)
        for damage in (bomb[: len(bomb) // 2], zlib.compress(b"('target','echo',(1,),{})") + b"more"):
            client.send(client.message(MSG_INVOKE, damage, flags=FLAGS_COMPRESSED))
            assert type(client.result()).__name__ in {"SerializeError", "MessageTooLargeError"}
        newcomer = server.connect()
        newcomer.send(newcomer.message(MSG_CONNECT, bomb, flags=FLAGS_COMPRESSED))
        assert newcomer.receive().type == MSG_CONNECTFAIL
    assert watched.peak < most
    watched.was_undisturbed(p99=1.0, longest=3.0)
    server.settle(before, threads=40, descriptors=WAKERS + 5, megabytes=16)


def nested(name: str, depth: int) -> bytes:
    """A call whose argument is a list in a list in a list..."""
    if name == "serpent":
        return b"('target','echo',(" + b"[" * depth + b"]" * depth + b",),{})"
    if name == "json":
        return b'{"object":"target","method":"echo","params":[' + b"[" * depth + b"]" * depth + b'],"kwargs":{}}'
    if name == "msgpack":
        return b"\x94\xa6target\xa4echo\x91" + b"\x91" * depth + b"\xc0\x80"
    return marshal_call(b"[\1\0\0\0" * depth + b"N")


def marshal_call(argument: bytes, method: str = "noted") -> bytes:
    """A call with one argument that is marshalled already."""
    return b"(\4\0\0\0" + marshal.dumps("target", 2) + marshal.dumps(method, 2) + b"(\1\0\0\0" + argument + b"{0"


@pytest.mark.parametrize("name", ACCEPTED)
def test_deep_nesting(server: Server, watch: Any, name: str) -> None:
    """[HRD-7], [SER-21]"""
    with watch(server) as watched:
        client = server.client()
        for depth in (220, 1_100, 20_000, 200_000):
            client.send(client.message(MSG_INVOKE, nested(name, depth), serializer=name))
            frame = client.receive()
            assert frame.flags & FLAGS_EXCEPTION
            assert b"SerializeError" in bytes(frame.data) or b"ProtocolError" in bytes(frame.data)
    watched.was_undisturbed(p99=1.0, longest=3.0)


SELF_REFERENCE = b"\xa8\1\0\0\0<\1\0\0\0r\0\0\0\0"  # a tuple with a set that refers back to the unfinished tuple
MARSHAL_GARBAGE = {
    "self-reference": SELF_REFERENCE,
    "list in itself": b"\xdb\1\0\0\0r\0\0\0\0",
    "false count": b"[\xff\xff\xff\x07",
    "false count of a tuple": b"(\xff\xff\xff\x7f" + b"N" * 40,
    "false count of a long": b"l\xff\xff\xff\x7f" + bytes(40),
    "negative count": b"[\xff\xff\xff\xff",
    "code": marshal.dumps(compile("1", "x", "eval")),
    "reference to nothing": b"r\7\0\0\0",
    "nothing": b"",
    "null": b"0",
    "ends early": b"s\x40\0\0\0abc",
    "unhashable": b"<\1\0\0\0[\0\0\0\0",
}


@pytest.mark.parametrize("place", ["request", "handshake", "annotation"])
def test_marshal_garbage(server: Server, place: str) -> None:
    """[HRD-1]: nothing unchecked reaches the interpreter's own loader."""
    for what, garbage in MARSHAL_GARBAGE.items():
        if place == "handshake":
            client = server.connect()
            client.send(client.message(MSG_CONNECT, garbage, serializer="marshal"))
            assert client.receive().type == MSG_CONNECTFAIL, what
            assert client.closed_by_server()
            continue
        client = server.client()
        if place == "request":
            client.send(client.message(MSG_INVOKE, garbage, serializer="marshal"))
        else:
            client.send(
                client.message(MSG_INVOKE, b"('target',)", flags=FLAGS_KEEPSERIALIZED, annotations={"BLBI": garbage})
            )
        frame = client.receive()
        assert frame.flags & FLAGS_EXCEPTION, what
        assert client.pinged(), what
    server.is_well()


def test_foreign_blob_annotation(server: Server) -> None:
    """[HRD-1]: ``BLBI`` without the keep-serialized flag is no blob."""
    client = server.client()
    payload = bytes(get_serializer("serpent").dumpsCall("target", "echo", (5,), {}))
    for value in (SELF_REFERENCE, marshal.dumps(("info", "target", "big"))):
        client.send(client.message(MSG_INVOKE, payload, annotations={"BLBI": value}))
        assert client.result() == 5


def msgpack_call(argument: bytes) -> bytes:
    """A call with one argument that is packed already."""
    return b"\x94\xa6target\xa5noted\x91" + argument + b"\x80"


def packed_key(key: Any) -> bytes:
    """A key as msgpack has it, large integers in the extension type."""
    if isinstance(key, tuple):
        return bytes([0x90 + len(key)]) + b"".join(map(packed_key, key))
    digits = str(key).encode()
    return bytes([0xC7, len(digits), 0x31]) + digits


def call_with(name: str, argument: bytes) -> bytes:
    if name == "serpent":
        return b"('target','noted',(" + argument + b",),{})"
    return b'{"object":"target","method":"noted","params":[' + argument + b'],"kwargs":{}}'


@pytest.mark.parametrize("name", ACCEPTED)
def test_huge_integers(server: Server, watch: Any, name: str) -> None:
    """[HRD-9]: numbers of a megabyte do not stop the server, because they are refused or taken in no time."""
    if name == "marshal":
        size = 500_000
        payload = marshal_call(b"l" + struct.pack("<i", size) + b"\xff\x7f" * size)
    elif name == "msgpack":
        payload = msgpack_call(b"\xc9" + struct.pack(">I", 1_000_000) + b"1" + b"9" * 1_000_000)
    else:
        payload = call_with(name, b"9" * 1_000_000)
    with watch(server) as watched:
        client = server.client()
        client.send(client.message(MSG_INVOKE, payload, serializer=name))
        assert client.receive().flags & FLAGS_EXCEPTION
    watched.was_undisturbed(p99=0.3)


PRIME = 2**61 - 1  # hash(n * PRIME) is 0 for all n
COLLISIONS: dict[str, list[Any]] = {
    "integers": [number * PRIME for number in range(20_000)],
    # these numbers have 64 bits, and their combinations collide as well
    "tuples": [
        (a * PRIME, b * PRIME, c * PRIME, d * PRIME)
        for a in range(-4, 5)
        for b in range(-4, 5)
        for c in range(-4, 5)
        for d in range(-4, 5)
    ],
    "floats": [2.0 ** (61 * exponent) for exponent in range(-16, 17)],
}


@pytest.mark.parametrize("name", ["serpent", "marshal", "msgpack"])
@pytest.mark.parametrize("shape", ["set", "dict"])
@pytest.mark.parametrize("what", ["integers", "tuples"])
def test_colliding_keys(server: Server, watch: Any, name: str, shape: str, what: str) -> None:
    """[HRD-9]: keys that were chosen for having the same hash do not stop the server."""
    keys = COLLISIONS[what]
    if name == "msgpack":
        if shape == "set":
            pytest.skip("msgpack has no sets")
        items = [packed_key(key) for key in keys]
        payload = msgpack_call(b"\xdf" + struct.pack(">I", len(items)) + b"".join(item + b"\xc0" for item in items))
    elif name == "serpent":
        inner = ",".join(map(repr, keys)) if shape == "set" else ",".join(f"{key!r}:0" for key in keys)
        payload = call_with("serpent", b"{" + inner.encode() + b"}")
    else:
        items = [marshal.dumps(key, 2) for key in keys]
        if shape == "set":
            argument = b"<" + struct.pack("<i", len(items)) + b"".join(items)
        else:
            argument = b"{" + b"".join(item + b"N" for item in items) + b"0"
        payload = marshal_call(argument)
    with watch(server) as watched:
        client = server.client()
        client.send(client.message(MSG_INVOKE, payload, serializer=name))
        assert client.receive().flags & FLAGS_EXCEPTION
    watched.was_undisturbed(p99=1.0, longest=3.0)


@pytest.mark.parametrize("name", ACCEPTED)
def test_many_small_values(server: Server, watch: Any, name: str) -> None:
    """[HRD-7]: 12 MB of one-byte values are not taken for more than their share of memory and time."""
    count = 6_000_000 if name in {"serpent", "json"} else 12_000_000
    if name == "marshal":
        payload = marshal_call(b"[" + struct.pack("<i", count) + b"N" * count)
    elif name == "msgpack":
        payload = msgpack_call(b"\xdd" + struct.pack(">I", count) + b"\x01" * count)
    else:
        payload = call_with(name, b"[" + b"1," * (count - 1) + b"1]")
    server.is_well()
    before = server.usage()
    with watch(server) as watched:
        client = server.client()
        client.sock.settimeout(50)
        client.send(client.message(MSG_INVOKE, payload, serializer=name))
        assert client.receive().flags & FLAGS_EXCEPTION  # there is no such parameter
    assert watched.peak < before.resident + 400 * MEGABYTE
    watched.was_undisturbed(p99=2.0, longest=10.0)
    # after freeing blocks of many MB, the C library keeps up to 64 MB in the arena of a thread for the next ones
    server.settle(before, threads=40, descriptors=WAKERS, megabytes=96)


def test_many_annotations(server: Server, watch: Any) -> None:
    """[HRD-29]: as many chunks as there can be."""
    area = b"".join(b"%04X\0\0" % number for number in range(10_922))
    payload = b"('target','echo',(1,),{})"
    fields = [48, MSG_INVOKE, 0, 1, len(payload), 1, len(area), 0]
    header = struct.pack(v48.HEADER_FORMAT, b"PYRO", *fields, sum(fields) + v48.CHECKSUM_MAGIC & 0xFFFF)
    with watch(server) as watched:
        client = server.client()
        for _ in range(20):
            client.send(header + area + payload)
            assert client.receive().type == MSG_RESULT
    watched.was_undisturbed()


MALFORMED_ANNOTATIONS = {
    "stray bytes": b"ABCD\0\1x" + b"zzz",
    "longer than the area": b"ABCD\0\xffx",
    "no ascii": b"\xff\xff\xff\xff\0\1x",
    "only half a head": b"AB",
}


@pytest.mark.parametrize("what", MALFORMED_ANNOTATIONS)
def test_malformed_annotations(server: Server, what: str) -> None:
    """[HRD-29]: the chunks have to fill their area exactly; the connection ends, and only this one."""
    area = MALFORMED_ANNOTATIONS[what]
    other, client = server.client(), server.client()
    payload = b"('target','echo',(1,),{})"
    size = len(area)
    checksum = (48 + MSG_INVOKE + 1 + len(payload) + 1 + size + v48.CHECKSUM_MAGIC) & 0xFFFF
    header = struct.pack(v48.HEADER_FORMAT, b"PYRO", 48, MSG_INVOKE, 0, 1, len(payload), 1, size, 0, checksum)
    client.send(header + area + payload)
    assert client.closed_by_server()
    assert other.pinged()


def test_messages_that_clients_must_not_send(server: Server) -> None:
    """[WIRE-121]: a second CONNECT, a RESULT, an unknown type."""
    for kind in (MSG_CONNECT, 2, 3, MSG_RESULT, 0, 7, 0xFFFF):
        client = server.client()
        client.send(client.message(kind, b"{'handshake':1}"))
        assert client.closed_by_server(), kind


def test_foreign_serializers(server: Server) -> None:
    """[SEC-20]: what is not accepted is refused before anything is decoded."""
    poison = b"cos\n_exit\n(I7\ntR."
    for serializer in (4, 5, 7, 0, 99):
        client = server.client()
        client.send(client.message(MSG_INVOKE, poison, serializer=serializer))
        frame = client.receive()
        assert frame.flags & FLAGS_EXCEPTION
        assert b"not accepted" in bytes(frame.data)
        newcomer = server.connect()
        newcomer.send(newcomer.message(MSG_CONNECT, poison, serializer=serializer))
        frame = newcomer.receive()
        assert frame.type == MSG_CONNECTFAIL
        assert b"not accepted" in bytes(frame.data)
        blob = server.client()
        blob.send(
            blob.message(
                MSG_INVOKE,
                poison,
                serializer=serializer,
                flags=FLAGS_KEEPSERIALIZED,
                annotations={"BLBI": marshal.dumps(("info", "target", "echo"))},
            )
        )
        frame = blob.receive()
        assert frame.flags & FLAGS_EXCEPTION
    server.is_well()


def test_wrong_signatures(start_server: Callable[..., Server], watch: Any) -> None:
    """[SEC-30], [SEC-32]: without the key nothing gets in, and no part of the payload is parsed."""
    server = start_server(hmac_key="secret")
    good = b"secret"
    payload = bytes(get_serializer("serpent").dumpsCall("target", "note", (), {}))
    with watch(server) as watched:
        for key in (None, b"wrong"):
            client = server.connect()
            client.send(client.message(MSG_CONNECT, b"{'handshake':'x'}", key=key))
            assert client.closed_by_server()
            client = server.connect()
            client.send(client.message(MSG_CONNECT, b"{'handshake':'x'}", key=good)).receive()
            client.send(client.message(MSG_INVOKE, payload, key=key, flags=4))
            assert client.closed_by_server()
            client = server.connect()
            client.send(client.message(MSG_CONNECT, b"{'handshake':'x'}", key=good)).receive()
            message = bytearray(client.message(MSG_INVOKE, payload, key=good, flags=4))
            message[-5] ^= 1
            client.send(message)
            assert client.closed_by_server()
    watched.was_undisturbed()
    with server.proxy() as proxy:
        assert proxy.noted() == 0
