"""The class Message and its module (chapter 10, section 21)."""

from __future__ import annotations

import hashlib
import hmac
import logging
import zlib
from typing import Any

import pytest

import pyrolite.message
from pyrolite import constants
from pyrolite.configuration import config
from pyrolite.errors import (
    ConnectionClosedError,
    MessageTooLargeError,
    ProtocolError,
    SecurityError,
    SerializeError,
)
from pyrolite.message import FLAGS_COMPRESSED, MSG_INVOKE, MSG_PING, MSG_RESULT, Message, secure_compare
from pyrolite.testing.memory import MemoryConnection

KEY = b"secret-key"


class TestModule:
    def test_names(self) -> None:
        """[OV-24], [WIRE-130]"""
        assert pyrolite.message.__all__ == ["Message", "secure_compare"]
        assert Message.__module__ == "pyrolite.message"

    def test_constants(self) -> None:
        """[OV-24], [WIRE-10], [WIRE-11]"""
        names = "CONNECT CONNECTOK CONNECTFAIL INVOKE RESULT PING".split()
        assert [getattr(pyrolite.message, f"MSG_{name}") for name in names] == [1, 2, 3, 4, 5, 6]
        names = "EXCEPTION COMPRESSED ONEWAY BATCH META_ON_CONNECT ITEMSTREAMRESULT KEEPSERIALIZED".split()
        assert [getattr(pyrolite.message, f"FLAGS_{name}") for name in names] == [1, 2, 4, 8, 16, 32, 64]

    def test_class_attributes(self) -> None:
        """[WIRE-130], [OV-25]"""
        assert Message.header_format == "!4sHHHHiHHHH"
        assert Message.header_size == 24
        assert Message.checksum_magic == 0x34E9

    def test_secure_compare(self) -> None:
        """[WIRE-132]"""
        assert secure_compare(b"abc", b"abc")
        assert secure_compare("abc", "abc")
        assert not secure_compare(b"abc", b"abd")
        assert not secure_compare("abc", "abcd")
        for one, other in [(b"abc", "abc"), ("abc", b"abc"), (b"abc", None), (1, 1)]:
            with pytest.raises(TypeError):
                secure_compare(one, other)  # type: ignore[arg-type]


class TestConstruction:
    def test_attributes(self) -> None:
        """[WIRE-130], [OV-25]"""
        given = {"ABCD": b"xy"}
        message = Message(MSG_INVOKE, b"payload", 3, 8, 77, annotations=given)
        assert (message.type, message.flags, message.seq, message.serializer_id) == (4, 8, 77, 3)
        assert message.data == b"payload"
        assert message.data_size == 7
        assert message.annotations == given
        assert message.annotations is not given
        assert message.annotations_size == 8
        assert message.hmac_key is None

    def test_defaults(self) -> None:
        """[WIRE-130]"""
        message = Message(MSG_PING, b"", 42, 0, 0)
        assert message.annotations == {}
        assert message.annotations_size == 0

    def test_any_type(self) -> None:
        """[WIRE-130], [WIRE-10]: the type is not checked."""
        assert Message(99, b"", 1, 0, 0).to_bytes()[6:8] == b"\0\x63"

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_signed(self, kind: type) -> None:
        """[WIRE-30], [WIRE-31], [WIRE-130]"""
        message = Message(MSG_INVOKE, b"payload", 3, 8, 77, {"ZZZZ": b"2", "HMAC": b"?", "AAAA": b"1"}, kind(KEY))
        digest = hmac.new(KEY, b"payload12", hashlib.sha1).digest()
        assert list(message.annotations.items()) == [("ZZZZ", b"2"), ("AAAA", b"1"), ("HMAC", digest)]
        assert message.annotations_size == 7 + 7 + 26
        assert message.hmac_key == KEY
        assert message.hmac() == digest

    def test_empty_key_is_none(self) -> None:
        """[WIRE-30]"""
        message = Message(MSG_INVOKE, b"", 3, 0, 0, None, b"")
        assert message.annotations == {}
        assert message.hmac_key is None

    def test_hmac_without_key(self) -> None:
        """[WIRE-131]"""
        with pytest.raises(TypeError):
            Message(MSG_INVOKE, b"", 3, 0, 0).hmac()

    @pytest.mark.parametrize("wrong", [{"ABC": b""}, {"ÄÄÄÄ": b""}, {"ABCD": "x"}, {"ABCD": bytes(65530)}])
    @pytest.mark.parametrize("key", [None, KEY])
    def test_wrong_annotations(self, wrong: Any, key: bytes | None) -> None:
        """[WIRE-21]"""
        with pytest.raises(ProtocolError, match="annotation"):
            Message(MSG_INVOKE, b"", 3, 0, 0, wrong, key)

    def test_size_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[WIRE-43], [WIRE-44]: annotations count, the digest too."""
        monkeypatch.setattr(config, "MAX_MESSAGE_SIZE", 50)
        Message(MSG_INVOKE, bytes(42), 3, 0, 0, {"ABCD": b"xy"})
        with pytest.raises(MessageTooLargeError, match=r"^max message size exceeded \(51 where max=50\)$"):
            Message(MSG_INVOKE, bytes(43), 3, 0, 0, {"ABCD": b"xy"})
        Message(MSG_INVOKE, bytes(24), 3, 0, 0, None, KEY)
        with pytest.raises(MessageTooLargeError, match=r"\(51 where max=50\)"):
            Message(MSG_INVOKE, bytes(25), 3, 0, 0, None, KEY)
        monkeypatch.setattr(config, "MAX_MESSAGE_SIZE", 0)
        Message(MSG_INVOKE, bytes(100_000), 3, 0, 0)

    def test_repr(self) -> None:
        """[WIRE-131]"""
        message = Message(MSG_INVOKE, b"payload", 3, 8, 77, {"ABCD": b"", "EFGH": b""})
        expected = f"<pyrolite.message.Message at {id(message):x}; type=4 flags=8 seq=77 datasize=7 #ann=2>"
        assert repr(message) == expected


class TestBytes:
    def test_to_bytes(self) -> None:
        """[WIRE-1], [WIRE-2], [WIRE-20]"""
        message = Message(MSG_RESULT, bytearray(b"data"), 1, 0, 7, {"ABCD": b"xy"})
        assert message.to_bytes() == bytes.fromhex(
            "5059524f 0030 0005 0000 0007 00000004 0001 0008 0000 3532 41424344 0002 7879 64617461"
        )

    @pytest.mark.parametrize("size", [-1, 0x80000000])
    def test_size_is_checked_when_written(self, size: int) -> None:
        """[WIRE-5]"""
        message = Message(MSG_RESULT, b"", 1, 0, 7)
        message.data_size = size
        with pytest.raises(ValueError, match=r"^invalid message size \(outside range 0..2Gb\)$"):
            message.to_bytes()

    def test_version_is_read_when_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[WIRE-133]"""
        message = Message(MSG_RESULT, b"", 1, 0, 7)
        monkeypatch.setattr(constants, "PROTOCOL_VERSION", 49)
        assert message.to_bytes()[4:6] == b"\0\x31"
        assert Message.from_header(message.to_bytes()).seq == 7
        monkeypatch.setattr(constants, "PROTOCOL_VERSION", 48)
        with pytest.raises(ProtocolError, match="invalid data or unsupported protocol version"):
            Message.from_header(b"PYRO\0\x31" + message.to_bytes()[6:])

    def test_send(self) -> None:
        """[WIRE-6]: in one operation."""
        sent: list[bytes] = []

        class Connection:
            send = staticmethod(sent.append)

        message = Message(MSG_RESULT, b"payload", 1, 0, 7, {"ABCD": b"xy"}, KEY)
        message.send(Connection())
        assert sent == [message.to_bytes()]

    def test_from_header(self) -> None:
        """[WIRE-131]: the sizes are known, nothing else is there."""
        message = Message.from_header(Message(MSG_INVOKE, b"payload", 3, 8, 77, {"ABCD": b"xy"}).to_bytes()[:24])
        assert (message.type, message.flags, message.seq, message.serializer_id) == (4, 8, 77, 3)
        assert (message.data, message.annotations) == (b"", {})
        assert (message.data_size, message.annotations_size) == (7, 8)

    @pytest.mark.parametrize("data", [b"", bytes(23), bytes(25), "text of twenty-four bytes"[:24], None])
    def test_from_header_of_wrong_length(self, data: Any) -> None:
        """[WIRE-4], [WIRE-131]"""
        with pytest.raises(ProtocolError, match=r"^header data size mismatch$"):
            Message.from_header(data)

    def test_from_header_checks(self) -> None:
        """[WIRE-4], [WIRE-46]"""
        head = Message(MSG_INVOKE, b"", 3, 8, 77).to_bytes()
        for data, text in [
            (b"XYRO" + head[4:], "invalid data or unsupported protocol version"),
            (head[:22] + b"\0\0", "header checksum mismatch"),
        ]:
            with pytest.raises(ProtocolError) as caught:
                Message.from_header(data)
            assert str(caught.value) == text


class TestReceive:
    def test_recv(self) -> None:
        """[WIRE-131], [WIRE-1]"""
        one = Message(MSG_INVOKE, b"payload", 3, 8, 77, {"ABCD": b"xy"}, KEY)
        two = Message(MSG_RESULT, b"", 3, 0, 77, None, KEY)
        connection = MemoryConnection(one.to_bytes() + two.to_bytes())
        for sent in (one, two):
            received = Message.recv(connection, hmac_key=KEY)
            assert vars(received) == vars(sent)
        assert not connection.closed

    def test_required_types(self) -> None:
        """[WIRE-10], [ERR-4]: annotations and payload are not read."""
        connection = MemoryConnection(Message(MSG_INVOKE, b"payload", 3, 8, 77).to_bytes())
        with pytest.raises(ProtocolError, match=r"^invalid msg type 4 received$") as caught:
            Message.recv(connection, [MSG_RESULT, MSG_PING])
        assert connection.buffered == 7
        message = caught.value.pyroMsg
        assert isinstance(message, Message)
        assert (message.type, message.flags, message.seq, message.serializer_id) == (4, 8, 77, 3)

    def test_too_large(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """[WIRE-45], [ERR-4]: before the type is looked at; logged, and the connection is closed."""
        connection = MemoryConnection(Message(MSG_INVOKE, b"payload", 3, 8, 77).to_bytes())
        monkeypatch.setattr(config, "MAX_MESSAGE_SIZE", 6)
        with (
            caplog.at_level(logging.ERROR, "pyrolite.message"),
            pytest.raises(MessageTooLargeError, match=r"^max message size exceeded \(7 where max=6\)$") as caught,
        ):
            Message.recv(connection, [MSG_RESULT])
        assert connection.closed
        assert connection.buffered == 7
        assert caught.value.pyroMsg.seq == 77
        assert "max message size exceeded" in caplog.text

    def test_hmac(self) -> None:
        """[WIRE-32], [ERR-4]: after everything has been read."""
        for key, text in [(KEY, "hmac key config not symmetric"), (None, "message hmac mismatch")]:
            sent = Message(MSG_INVOKE, b"payload", 3, 8, 77, None, b"other" if key is None else None)
            connection = MemoryConnection(sent.to_bytes())
            with pytest.raises(SecurityError, match=f"^{text}$") as caught:
                Message.recv(connection, None, KEY)
            assert connection.buffered == 0
            assert isinstance(caught.value.pyroMsg, Message)
            assert caught.value.pyroMsg.data == b"payload"

    @pytest.mark.parametrize("length", [0, 23, 24, 30, 35])
    def test_stream_ends(self, length: int) -> None:
        """[WIRE-50]"""
        data = Message(MSG_INVOKE, b"data", 3, 8, 77, {"ABCD": b"xy"}).to_bytes()
        with pytest.raises(ConnectionClosedError, match=r"^receiving: not enough data$"):
            Message.recv(MemoryConnection(data[:length]))

    def test_ping(self) -> None:
        """[WIRE-120], [OV-25]"""
        connection = MemoryConnection(Message(MSG_PING, b"pong", 42, 0, 0, {"CORR": bytes(16)}).to_bytes())
        assert Message.ping(connection) is None
        assert connection.sent == bytes.fromhex("5059524f00300006000000000000 0004 002a 0000 0000 354d 70696e67")

    def test_ping_with_key(self) -> None:
        """[WIRE-34], [OV-25]"""
        connection = MemoryConnection(Message(MSG_PING, b"pong", 42, 0, 0, None, KEY).to_bytes())
        Message.ping(connection, KEY)
        (ping,) = connection.take_messages(KEY)
        assert ping.data == b"ping"
        with pytest.raises(SecurityError, match="not symmetric"):
            Message.ping(MemoryConnection(Message(MSG_PING, b"pong", 42, 0, 0).to_bytes()), KEY)

    def test_ping_of_a_dead_connection(self) -> None:
        """[OV-25]"""
        with pytest.raises(ConnectionClosedError):
            Message.ping(MemoryConnection())
        with pytest.raises(ProtocolError, match="invalid msg type 5 received"):
            Message.ping(MemoryConnection(Message(MSG_RESULT, b"", 1, 0, 0).to_bytes()))


class TestDecompress:
    def test_compressed(self) -> None:
        """[WIRE-131], [WIRE-40]"""
        message = Message(MSG_INVOKE, zlib.compress(b"x" * 1000), 3, FLAGS_COMPRESSED | 8, 77)
        assert message.decompress_if_needed() is message
        assert message.data == b"x" * 1000
        assert message.data_size == 1000
        assert message.flags == 8
        assert message.decompress_if_needed().data_size == 1000

    def test_plain(self) -> None:
        """[WIRE-131]"""
        message = Message(MSG_INVOKE, b"plain", 3, 8, 77)
        assert message.decompress_if_needed() is message
        assert message.data == b"plain"

    def test_broken(self) -> None:
        """[WIRE-42]"""
        with pytest.raises(SerializeError):
            Message(MSG_INVOKE, b"broken", 3, FLAGS_COMPRESSED, 77).decompress_if_needed()

    def test_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[WIRE-42], [HRD-4]"""
        message = Message(MSG_INVOKE, zlib.compress(bytes(1000)), 3, FLAGS_COMPRESSED, 77)
        monkeypatch.setattr(config, "MAX_MESSAGE_SIZE", 999)
        with pytest.raises(MessageTooLargeError):
            message.decompress_if_needed()
        assert message.flags == FLAGS_COMPRESSED
