"""Compression of payloads, and its bounds."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrolite import compression
from pyrolite.compression import compress, decompress
from pyrolite.errors import MessageTooLargeError, SerializeError

RANDOM = random.Random(4).randbytes(1000)


@pytest.mark.parametrize(
    ("payload", "compressed"),
    [
        (b"", False),
        (b"a" * 199, False),
        (b"a" * 200, True),
        (RANDOM, False),
        (bytearray(b"a" * 5000), True),
        (memoryview(b"a" * 5000), True),
    ],
)
def test_compress(payload: bytes, compressed: bool) -> None:
    """[WIRE-40] From 200 bytes on, with zlib's default level, if that makes it smaller."""
    made, flag = compress(payload)
    assert flag is compressed
    assert made == (zlib.compress(payload) if compressed else payload)
    if not compressed:
        assert made is payload


def test_incompressible_by_one_byte() -> None:
    """[WIRE-40] A payload that stays as long as it was is sent as it is."""
    for size in range(200, 400):
        payload = RANDOM[:size] + b"a" * 12
        made, flag = compress(payload)
        assert flag is (len(zlib.compress(payload)) < len(payload))
        assert len(made) <= len(payload)


@given(st.binary(max_size=3000), st.sampled_from([0, 1, 100, 3000]))
def test_round_trip(payload: bytes, limit: int) -> None:
    """[WIRE-40], [WIRE-42] What was compressed comes back whole, or is refused for its size."""
    data = zlib.compress(payload)
    if limit and len(payload) > limit:
        with pytest.raises(MessageTooLargeError):
            decompress(data, limit)
    else:
        assert decompress(data, limit) == payload


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds(kind: type) -> None:
    """[WIRE-42] Any kind of buffer."""
    result = decompress(kind(zlib.compress(b"x" * 500)))
    assert result == b"x" * 500
    assert type(result) is bytes


def test_limit() -> None:
    """[WIRE-42], [HRD-4] The limit is for the decompressed bytes; a payload of just that size passes."""
    data = zlib.compress(b"\0" * 1000)
    assert decompress(data, 1000) == b"\0" * 1000
    with pytest.raises(MessageTooLargeError, match=r"^max message size exceeded \(more than 999 .* where max=999\)$"):
        decompress(data, 999)


def test_huge_limit() -> None:
    """[WIRE-42] A limit that is larger than any memory is no obstacle."""
    assert decompress(zlib.compress(b"x"), 1 << 80) == b"x"


def test_limit_without_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """[HRD-4] Without MAX_MESSAGE_SIZE: 64 MiB, or 100 times the compressed size if that is more."""
    assert compression.DEFAULT_LIMIT == 64 << 20
    assert compression.DEFAULT_RATIO == 100
    monkeypatch.setattr(compression, "DEFAULT_LIMIT", 5000)
    few = zlib.compress(b"\0" * 5000)
    assert len(few) < 50
    assert len(decompress(few)) == 5000
    with pytest.raises(MessageTooLargeError):
        decompress(zlib.compress(b"\0" * 5001))
    more = zlib.compress(RANDOM + b"\0" * 90_000)
    assert len(decompress(more)) == 91_000
    with pytest.raises(MessageTooLargeError):
        decompress(zlib.compress(RANDOM + b"\0" * 200_000))


def test_memory() -> None:
    """[WIRE-42], [HRD-4] A message that would fill the memory is refused before it does."""
    data = zlib.compress(b"\0" * (50 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooLargeError):
            decompress(data, 1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "cut short"),
        (b"not compressed at all", "incorrect header check"),
        (zlib.compress(RANDOM)[:-1], "cut short"),
        (zlib.compress(RANDOM)[:500], "cut short"),
        (zlib.compress(RANDOM) + b"!", "1 bytes after its end"),
        (zlib.compress(b"a") + zlib.compress(b"b"), "after its end"),
        (zlib.compress(RANDOM)[:-1] + b"\0", "incorrect data check"),
    ],
)
@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_bad_data(data: bytes, text: str, limit: int) -> None:
    """[WIRE-42], [HRD-4] Data that is no zlib stream, is cut short, or is followed by something."""
    with pytest.raises(SerializeError, match=text):
        decompress(data, limit)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 3])
@pytest.mark.parametrize("kind", ["zeros", "random"])
def test_sizes_around_those_of_the_pieces(size: int, kind: str) -> None:
    """[HRD-4]: large data is decompressed piece by piece, and nothing is lost, added or overlooked between them."""
    payload = bytes(size) if kind == "zeros" else random.Random(size).randbytes(size)
    data = zlib.compress(payload, 1)
    assert decompress(data) == payload
    assert decompress(memoryview(data), size) == payload
    with pytest.raises(MessageTooLargeError):
        decompress(data, size - 1)
    for damaged in (data[:-1], data + b"x", data + bytes(100_000), data[:-1] + bytes([data[-1] ^ 1])):
        with pytest.raises(SerializeError):
            decompress(damaged)


def test_memory_of_large_payloads() -> None:
    """[HRD-4]: no second copy of what has been decompressed so far."""
    data = zlib.compress(bytes(32 << 20))
    tracemalloc.start()
    try:
        decompress(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 48 << 20
