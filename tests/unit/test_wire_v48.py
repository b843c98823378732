"""Messages of protocol 48 to bytes and back (chapter 10, sections 1 to 9)."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any

import pytest

from pyrolite import constants
from pyrolite.errors import MessageTooLargeError, ProtocolError, SecurityError
from pyrolite.wire import v48
from pyrolite.wire.message import Frame, check_size, check_type

KEY = b"secret-key"


def header_bytes(**fields: int) -> bytes:
    """A header built from the table of [WIRE-2] alone."""
    values = {"version": 48, "type": 4, "flags": 0, "seq": 1, "data": 0, "serializer": 1, "annotations": 0, **fields}
    reserved = values.pop("reserved", 0)
    checksum = values.pop("checksum", (sum(values.values()) + 0x34E9) & 0xFFFF)
    head = struct.pack("!HHHHiHH", *values.values())
    return b"PYRO" + head + struct.pack("!HH", reserved, checksum)


class TestHeader:
    def test_worked_example(self) -> None:
        """[WIRE-2], [WIRE-3]: section 20."""
        expected = bytes.fromhex("5059524f 0030 0004 0000 0001 0000004c 0001 0000 0000 356b")
        assert v48.pack(4, 0, 1, 1, 76) == expected == header_bytes(data=76)
        assert v48.parse_header(expected) == (4, 0, 1, 76, 1, 0)

    def test_constants(self) -> None:
        """[WIRE-130]"""
        assert (v48.HEADER_FORMAT, v48.HEADER_SIZE, v48.CHECKSUM_MAGIC) == ("!4sHHHHiHHHH", 24, 0x34E9)
        assert struct.calcsize(v48.HEADER_FORMAT) == 24

    def test_offset(self) -> None:
        """[WIRE-2]: the header may be anywhere in a buffer."""
        for kind in (bytes, bytearray, memoryview):
            assert v48.parse_header(kind(b"xxx" + header_bytes(seq=7)), 3)[2] == 7

    def test_any_16_bit_values(self) -> None:
        """[WIRE-2], [WIRE-3]: flags, serializer id and sequence number are free; the checksum wraps."""
        head = v48.pack(4, 0xFFFF, 0xFFFF, 0xFFFF, 4)
        assert head == header_bytes(flags=0xFFFF, seq=0xFFFF, serializer=0xFFFF, data=4)
        assert v48.parse_header(head) == (4, 0xFFFF, 0xFFFF, 4, 0xFFFF, 0)

    def test_reserved_is_ignored(self) -> None:
        """[WIRE-2], [WIRE-4]"""
        assert v48.parse_header(header_bytes(reserved=0x1234))[0] == 4

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"PYRX" + header_bytes()[4:], "invalid data or unsupported protocol version"),
            (header_bytes(version=49), "invalid data or unsupported protocol version"),
            (b"PYRX" + header_bytes(checksum=0)[4:], "invalid data or unsupported protocol version"),
            (header_bytes(checksum=1), "header checksum mismatch"),
            (header_bytes(data=-1), "invalid message size"),
            (header_bytes(data=-1, checksum=1), "header checksum mismatch"),
        ],
    )
    def test_refused(self, data: bytes, text: str) -> None:
        """[WIRE-4] in this order, [WIRE-46]"""
        with pytest.raises(ProtocolError) as caught:
            v48.parse_header(data)
        assert str(caught.value) == text

    def test_every_single_bit_counts(self) -> None:
        """[WIRE-3]: a flipped bit of any field but the reserved one is noticed, or changes the checked field."""
        good = header_bytes(type=5, flags=3, seq=9, data=1000, serializer=2, annotations=30)
        for bit in range(24 * 8):
            bad = bytearray(good)
            bad[bit // 8] ^= 0x80 >> bit % 8
            if 20 <= bit // 8 < 22 or bit // 8 in (12, 13):  # reserved; upper half of the size is beyond 16 bits
                continue
            with pytest.raises(ProtocolError):
                v48.parse_header(bytes(bad))

    def test_version_is_read_at_run_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[WIRE-133], [OV-30]"""
        old = v48.pack(4, 0, 1, 1, 0)
        monkeypatch.setattr(constants, "PROTOCOL_VERSION", 77)
        new = v48.pack(4, 0, 1, 1, 0)
        assert new == header_bytes(version=77)
        assert v48.parse_header(new)[0] == 4
        with pytest.raises(ProtocolError, match="unsupported protocol version"):
            v48.parse_header(old)

    @pytest.mark.parametrize("size", [-1, 0x80000000, 1 << 40])
    def test_payload_size_limits(self, size: int) -> None:
        """[WIRE-5]"""
        with pytest.raises(ValueError, match=r"^invalid message size \(outside range 0..2Gb\)$"):
            v48.pack(4, 0, 1, 1, size)

    def test_largest_payload(self) -> None:
        """[WIRE-2], [WIRE-5]"""
        assert v48.parse_header(v48.pack(4, 0, 1, 1, 0x7FFFFFFF))[3] == 0x7FFFFFFF


class TestLimits:
    HEADER = (4, 8, 7, 43, 1, 8)

    @pytest.mark.parametrize("limit", [0, 51, 1000])
    def test_size_accepted(self, limit: int) -> None:
        """[WIRE-43]: annotations and payload count, the header does not."""
        check_size(self.HEADER, limit)
        v48.pack(4, 0, 1, 1, 43, b"x" * 8, limit)

    def test_size_exceeded(self) -> None:
        """[WIRE-43], [WIRE-45], [ERR-4]"""
        with pytest.raises(MessageTooLargeError, match=r"^max message size exceeded \(51 where max=50\)$") as caught:
            check_size(self.HEADER, 50)
        assert caught.value.pyroMsg == Frame(4, 8, 7, 1, {}, b"")
        with pytest.raises(MessageTooLargeError, match=r"^max message size exceeded \(51 where max=50\)$"):
            v48.pack(4, 0, 1, 1, 43, b"x" * 8, 50)

    def test_type(self) -> None:
        """[WIRE-10]"""
        check_type(self.HEADER, None)
        check_type(self.HEADER, (4, 6))
        for types in ((5,), ()):
            with pytest.raises(ProtocolError, match=r"^invalid msg type 4 received$") as caught:
                check_type(self.HEADER, types)
            assert caught.value.pyroMsg == Frame(4, 8, 7, 1, {}, b"")


class TestAnnotations:
    def test_chunks(self) -> None:
        """[WIRE-20]: in the order of the dict, without padding."""
        encoded = v48.encode_annotations(
            {"ZZZZ": b"1", "AAAA": b"", "BBBB": bytearray(b"22"), "CCCC": memoryview(b"3")}
        )
        assert encoded == b"ZZZZ\0\x011" + b"AAAA\0\0" + b"BBBB\0\x0222" + b"CCCC\0\x013"
        decoded = v48.parse_annotations(encoded)
        assert list(decoded.items()) == [("ZZZZ", b"1"), ("AAAA", b""), ("BBBB", b"22"), ("CCCC", b"3")]
        assert all(type(value) is bytes for value in decoded.values())

    def test_none(self) -> None:
        """[WIRE-20]"""
        assert v48.encode_annotations({}) == b""
        assert v48.parse_annotations(b"") == {}

    def test_wide_memoryview(self) -> None:
        """[WIRE-20]: the length is in bytes."""
        view = memoryview(struct.pack("=3i", 1, 2, 3)).cast("i")
        assert v48.encode_annotations({"VIEW": view}) == b"VIEW\0\x0c" + bytes(view)

    def test_largest(self) -> None:
        """[WIRE-20]: 65529 bytes in one chunk; [WIRE-21]: the total fits in 16 bits."""
        assert len(v48.encode_annotations({"ABCD": bytes(65529)})) == 65535
        for too_many in ({"ABCD": bytes(65530)}, {"ABCD": bytes(65523), "EFGH": b"x"}):
            with pytest.raises(ProtocolError, match=r"annotations too large.*'(ABCD|EFGH)'"):
                v48.encode_annotations(too_many)

    @pytest.mark.parametrize(
        ("annotations", "text"),
        [
            ({"ABC": b""}, r"annotation key must be of length 4.*'ABC'"),
            ({"ABCDE": b""}, r"annotation key must be of length 4.*'ABCDE'"),
            ({b"ABCD": b""}, r"annotation key must be of length 4"),
            ({"ÄBCD": b""}, r"annotation key must be ASCII.*'ÄBCD'"),
            ({"ABCD": "text"}, r"annotation value must be bytes.*'ABCD' is str"),
            ({"ABCD": None}, r"annotation value must be bytes.*'ABCD' is NoneType"),
            ({"ABCD": 5}, r"annotation value must be bytes"),
        ],
    )
    @pytest.mark.parametrize("key", [None, KEY], ids=["plain", "signed"])
    def test_writer_errors(self, annotations: dict[Any, Any], text: str, key: bytes | None) -> None:
        """[WIRE-21]: always ProtocolError, which names the annotation; also before it is signed."""
        with pytest.raises(ProtocolError, match=text):
            v48.encode(4, 0, 1, 1, b"", {"GOOD": b"1", **annotations}, key)

    def test_signature_counts(self) -> None:
        """[WIRE-21]: the sum includes the HMAC chunk."""
        v48.encode(4, 0, 1, 1, b"", {"ABCD": bytes(65535 - 26 - 6)}, KEY)
        with pytest.raises(ProtocolError, match="annotations too large"):
            v48.encode(4, 0, 1, 1, b"", {"ABCD": bytes(65535 - 26 - 5)}, KEY)

    def test_duplicates(self) -> None:
        """[WIRE-22]: the last one wins."""
        assert v48.parse_annotations(b"ABCD\0\x011" + b"EFGH\0\0" + b"ABCD\0\x012") == {"ABCD": b"2", "EFGH": b""}

    @pytest.mark.parametrize(
        "area",
        [b"A", b"ABCD\0", b"ABCD\0\x01", b"ABCD\0\x05four", b"ABCD\0\0x", b"ABCD\0\x01xEFG", b"\xc3\xa9AB\0\0"],
    )
    def test_malformed(self, area: bytes) -> None:
        """[WIRE-22], [HRD-29]"""
        for kind in (bytes, bytearray, memoryview):
            with pytest.raises(ProtocolError, match="^malformed annotations"):
                v48.parse_annotations(kind(area))

    def test_any_ascii_id(self) -> None:
        """[WIRE-22]: i4.ann-nul"""
        assert v48.parse_annotations(b"A\0 B\0\x01x") == {"A\0 B": b"x"}


class TestHmac:
    def test_worked_example(self) -> None:
        """[WIRE-31]: section 20."""
        payload = b"# serpent utf-8 python3.2\n('vec.obj','call',(1,'two'),{'key':[3,None,True]})"
        digest = bytes.fromhex("50c80a30d43e69f94ed74634a2a4834b08371c3e")
        assert v48.message_hmac(KEY, payload, {}) == digest
        head, data = v48.encode(4, 0, 1, 1, payload, None, KEY)
        assert data is payload
        assert head == bytes.fromhex("5059524f003000040000000100 00004c 0001 001a 0000 3585") + b"HMAC\0\x14" + digest

    @pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
    def test_keys_of_all_sizes(self, size: int) -> None:
        """[WIRE-31]: the digest is an HMAC-SHA1 as everybody computes it."""
        key = bytes(range(size))
        for payload, values in ((b"", b""), (b"payload", b"value"), (bytes(100_000), b"value")):
            digest = hmac.new(key, payload + values, hashlib.sha1).digest()
            assert v48.signature(key, payload, values) == b"HMAC\0\x14" + digest
            assert v48.message_hmac(key, payload, {"ABCD": values}) == digest

    def test_order_and_contents(self) -> None:
        """[WIRE-31]: payload, then the values in the order of their ids, without the digest itself."""
        annotations = {"ZZZZ": b"last", "HMAC": b"ignored", "AAAA": bytearray(b"first")}
        expected = hmac.new(KEY, b"payload" + b"first" + b"last", hashlib.sha1).digest()
        assert v48.message_hmac(KEY, b"payload", annotations) == expected
        assert v48.message_hmac(KEY, memoryview(b"payload"), annotations) == expected

    def test_chunk_is_the_last_one(self) -> None:
        """[WIRE-20], [WIRE-30]: and one that the program sets does not count."""
        annotations = {"HMAC": b"forged", "ZZZZ": b"1", "AAAA": b"2"}
        head, _ = v48.encode(4, 0, 1, 1, b"", annotations, KEY)
        decoded = v48.parse_annotations(head[24:])
        assert list(decoded) == ["ZZZZ", "AAAA", "HMAC"]
        assert decoded["HMAC"] == hmac.new(KEY, b"21", hashlib.sha1).digest()
        assert annotations["HMAC"] == b"forged"

    def test_verify(self) -> None:
        """[WIRE-32]"""
        digest = v48.message_hmac(KEY, b"data", {"ABCD": b"x"})
        signed = Frame(4, 0, 1, 1, {"ABCD": b"x", "HMAC": digest}, b"data")
        plain = Frame(4, 0, 1, 1, {"ABCD": b"x"}, b"data")
        v48.verify(signed, KEY)
        v48.verify(plain, None)
        v48.verify(plain, b"")
        assert v48.finish(signed, (4, 0, 1, 4, 1, 36), KEY) is signed

    @pytest.mark.parametrize(
        ("frame", "key", "text"),
        [
            (Frame(4, 0, 1, 1, {}, b"data"), KEY, "hmac key config not symmetric"),
            (Frame(4, 0, 1, 1, {"HMAC": bytes(20)}, b"data"), None, "hmac key config not symmetric"),
            (Frame(4, 0, 1, 1, {"HMAC": bytes(20)}, b"data"), b"", "hmac key config not symmetric"),
            (Frame(4, 0, 1, 1, {"HMAC": bytes(20)}, b"data"), KEY, "message hmac mismatch"),
            (Frame(4, 0, 1, 1, {"HMAC": b""}, b"data"), KEY, "message hmac mismatch"),
        ],
    )
    def test_verify_refuses(self, frame: Frame, key: bytes | None, text: str) -> None:
        """[WIRE-32], [ERR-4]"""
        with pytest.raises(SecurityError, match=f"^{text}$") as caught:
            v48.verify(frame, key)
        assert caught.value.pyroMsg is frame

    def test_comparison_takes_constant_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[WIRE-32]"""
        compared: list[tuple[bytes, bytes]] = []

        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return True

        monkeypatch.setattr("hmac.compare_digest", compare_digest)
        v48.verify(Frame(4, 0, 1, 1, {"HMAC": b"received"}, b""), KEY)
        assert compared == [(b"received", hmac.new(KEY, b"", hashlib.sha1).digest())]


class TestEncode:
    def test_payload_is_not_copied(self) -> None:
        """[WIRE-6]"""
        for payload in (b"x" * 100, bytearray(100), memoryview(bytes(100))):
            head, data = v48.encode(5, 2, 3, 4, payload, {"ABCD": b"y"})
            assert data is payload
            assert v48.parse_header(head) == (5, 2, 3, 100, 4, 7)
            assert head[24:] == b"ABCD\0\x01y"

    def test_limit_includes_the_signature(self) -> None:
        """[WIRE-43], [WIRE-44]"""
        v48.encode(5, 0, 0, 1, bytes(10), None, KEY, 36)
        with pytest.raises(MessageTooLargeError, match=r"\(36 where max=35\)"):
            v48.encode(5, 0, 0, 1, bytes(10), None, KEY, 35)
