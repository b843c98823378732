"""The incremental reader of a byte stream, and the reader for connections that know no frames."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pyrolite.errors import MessageTooLargeError, ProtocolError, SecurityError
from pyrolite.pieces import Pieces
from pyrolite.wire import framing, v48
from pyrolite.wire.body import FINDERS, KEPT_BUFFERS, KEPT_SIZE
from pyrolite.wire.framing import MAX_AHEAD, FrameReader, read_frame
from pyrolite.wire.message import FLAGS_COMPRESSED, FLAGS_KEEPSERIALIZED, Buffer, Frame, Header

KEY = b"secret-key"
LARGE = 300_000


def message(payload: bytes = b"data", **options: Any) -> bytes:
    return b"".join(v48.encode(options.pop("type", 4), 0, options.pop("seq", 7), 1, payload, **options))


@pytest.fixture
def reader() -> FrameReader:
    return FrameReader()


def receive(reader: FrameReader, data: bytes) -> Iterator[Frame]:
    """Feed everything at once; gives the frames."""
    reader.feed(data)
    while (frame := reader.next_frame()) is not None:
        yield frame


class TestSmallMessages:
    def test_one(self, reader: FrameReader) -> None:
        """[WIRE-1]"""
        reader.feed(message(annotations={"ABCD": b"x"}))
        assert reader.buffered == 24 + 7 + 4
        assert reader.next_frame() == Frame(4, 0, 7, 1, {"ABCD": b"x"}, b"data")
        assert reader.buffered == 0
        assert reader.next_frame() is None

    def test_empty_payload(self, reader: FrameReader) -> None:
        """[WIRE-1]"""
        assert [frame.data for frame in receive(reader, message(b""))] == [b""]

    def test_pipelined(self, reader: FrameReader) -> None:
        """[WIRE-1]: several in one piece."""
        frames = receive(reader, b"".join(message(seq=seq) for seq in range(5)))
        assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]
        assert reader.buffered == 0

    def test_split_anywhere(self) -> None:
        """[WIRE-1]: two messages in two pieces, for every cut."""
        data = message(seq=1, annotations={"ABCD": b"x"}) + message(seq=2)
        for cut in range(len(data) + 1):
            reader = FrameReader()
            frames = [*receive(reader, data[:cut]), *receive(reader, data[cut:])]
            assert [frame.seq for frame in frames] == [1, 2], cut

    def test_nothing_is_consumed_before_it_is_complete(self, reader: FrameReader) -> None:
        """[WIRE-1]"""
        data = message()
        reader.feed(data[:-1])
        assert reader.next_frame() is None
        assert reader.buffered == len(data) - 1
        reader.feed(data[-1:])
        assert reader.next_frame() is not None

    def test_consumed_bytes_are_let_go(self, reader: FrameReader) -> None:
        """[BYD-3]: consumed bytes cost no memory, others stay."""
        reader.feed(message(seq=1) + message(seq=2))
        assert reader.next_frame() is not None
        frame = reader.next_frame()
        assert frame is not None
        assert frame.seq == 2
        assert reader.rest == b""
        assert reader.buffered == 0

    def test_short_way(self, reader: FrameReader) -> None:
        """[WIRE-1]: `plain` tells whether a message begins with ``rest``, and can be taken or put there at once."""
        first, second, third = (message(seq=number) for number in (1, 2, 3))
        assert not reader.plain  # the protocol is not known yet
        reader.feed(first)
        reader.next_frame()
        assert reader.plain
        reader.rest = second + third
        assert (frame := reader.next_frame()) is not None
        assert frame.seq == 2
        assert not reader.plain  # the third is in the midst of it
        reader.feed(first[:5])
        assert reader.plain
        assert (frame := reader.next_frame()) is not None
        assert frame.seq == 3
        reader.feed(first[5:])
        assert reader.plain
        assert reader.rest == first

    def test_short_way_around_a_large_message(self, reader: FrameReader) -> None:
        """[WIRE-1]: while a large message is being collected, there is no short way."""
        large, small = message(bytes(LARGE)), message()
        reader.feed(small)
        reader.next_frame()
        reader.feed(large[:100])
        assert reader.plain
        assert reader.next_frame() is None
        assert not reader.plain
        reader.feed(large[100:] + small)
        assert not reader.plain
        assert reader.next_frame() is not None
        assert reader.plain
        assert reader.rest == small

    def test_take(self, reader: FrameReader) -> None:
        """[WIRE-125]: raw bytes from the front; a message behind them can still be read."""
        reader.feed(b"raw" + message())
        assert reader.take(3) == b"raw"
        assert reader.next_frame() is not None
        assert reader.take(10) == b""


class TestErrors:
    @pytest.mark.parametrize(
        ("data", "options", "kind", "text"),
        [
            (b"\0" * 24, {}, ProtocolError, "invalid data or unsupported protocol version"),
            (message()[:22] + b"xx", {}, ProtocolError, "header checksum mismatch"),
            (message()[:24], {"types": (5,)}, ProtocolError, "invalid msg type 4 received"),
            (message()[:24], {"max_size": 3}, MessageTooLargeError, "max message size exceeded (4 where max=3)"),
            (message()[:24], {"max_size": 3, "types": (5,)}, MessageTooLargeError, "max message size exceeded"),
            (message(), {"hmac_key": KEY}, SecurityError, "hmac key config not symmetric"),
            (message(hmac_key=KEY), {}, SecurityError, "hmac key config not symmetric"),
            (message(hmac_key=b"other"), {"hmac_key": KEY}, SecurityError, "message hmac mismatch"),
            (message(annotations={"ABCD": b""})[:28] + b"\0\1" + b"data", {}, ProtocolError, "malformed annotations"),
        ],
    )
    @pytest.mark.parametrize("split", [False, True])
    def test_reported(self, data: bytes, options: Any, kind: type, text: str, split: bool) -> None:
        """[WIRE-50]: as soon as it is certain, header errors after 24 bytes; [WIRE-45], [WIRE-10], [WIRE-32]"""
        reader = FrameReader()
        if split:
            for position in range(len(data) - 1):
                reader.feed(data[position : position + 1])
                if position < 23:
                    assert reader.next_frame(**options) is None
                    assert not reader.ready(options.get("max_size", 0))
            data = data[-1:]
        reader.feed(data)
        with pytest.raises(kind) as caught:
            reader.next_frame(**options)
        assert str(caught.value).startswith(text)

    def test_type_of_a_large_message(self, reader: FrameReader) -> None:
        """[WIRE-10]: reported before the payload has been received, also when the reader was asked before."""
        reader.feed(message(bytes(LARGE))[:1000])
        assert not reader.ready()
        with pytest.raises(ProtocolError, match="invalid msg type 4 received"):
            reader.next_frame((5,))

    def test_six_bytes_of_garbage_wait(self, reader: FrameReader) -> None:
        """[WIRE-66]: fewer than 24 bytes never provoke an answer."""
        reader.feed(b"!" * 23)
        assert reader.next_frame() is None
        assert not reader.ready()
        reader.feed(b"!")
        assert reader.ready()
        with pytest.raises(ProtocolError):
            reader.next_frame()


class TestReady:
    def test_whole_messages(self, reader: FrameReader) -> None:
        data = message()
        for position in range(len(data)):
            assert not reader.ready()
            reader.feed(data[position : position + 1])
        assert reader.ready()
        assert reader.next_frame() is not None
        assert not reader.ready()

    @pytest.mark.parametrize("data", [b"\0" * 24, message(bytes(100))[:24]])
    def test_certain_errors(self, data: bytes, reader: FrameReader) -> None:
        reader.feed(data)
        assert reader.ready(max_size=10)

    def test_large_messages(self, reader: FrameReader) -> None:
        data = message(bytes(LARGE)) + message(seq=8)
        reader.feed(data[:100])
        assert not reader.ready()
        assert reader.collecting
        reader.feed(data[100:-10])
        assert reader.ready()
        frame = reader.next_frame()
        assert frame is not None
        assert len(frame.data) == LARGE
        assert not reader.ready()
        reader.feed(data[-10:])
        assert reader.ready()


def fill(reader: FrameReader, data: bytes) -> int:
    """Feed ``data`` in pieces as large as the reader wants them; returns how much it wanted of the message."""
    done = 0
    while done < len(data):
        count = min(reader.wanted, len(data) - done)
        reader.feed(data[done : done + count])
        done += count
    return done


class TestLargeMessages:
    PAYLOAD = bytes(range(256)) * (LARGE // 256)

    @pytest.mark.parametrize("annotations", [None, {"ABCD": b"x"}])
    @pytest.mark.parametrize("key", [None, KEY])
    @pytest.mark.parametrize("first", [24, 25, 40, 1000, 70_000])
    def test_received_as_wanted(self, annotations: Any, key: bytes | None, first: int) -> None:
        """[HRD-5], [WIRE-1]"""
        reader = FrameReader()
        data = message(self.PAYLOAD, annotations=annotations, hmac_key=key)
        reader.feed(data[:first])
        assert reader.next_frame((4,), key) is None
        assert fill(reader, data[first:]) == len(data) - first
        assert reader.buffered == len(data)
        frame = reader.next_frame((4,), key)
        assert frame is not None
        assert frame.data == self.PAYLOAD
        assert ("ABCD" in frame.annotations) == (annotations is not None)
        assert reader.buffered == 0
        assert not reader.collecting
        assert next(receive(reader, message(seq=9))).seq == 9

    def test_next_message_behind(self, reader: FrameReader) -> None:
        """[WIRE-1]: bytes after the large message are those of the next one."""
        data = message(self.PAYLOAD) + message(seq=8) + message(self.PAYLOAD, seq=9) + message(seq=10)
        frames = []
        for start in range(0, len(data), 9000):
            frames += receive(reader, data[start : start + 9000])
        assert [frame.seq for frame in frames] == [7, 8, 9, 10]
        assert [len(frame.data) for frame in frames] == [len(self.PAYLOAD), 4] * 2

    def test_several_fed_before_the_first_is_taken(self, reader: FrameReader) -> None:
        """[WIRE-1]: what comes behind a large message waits for its turn."""
        data = message(self.PAYLOAD) + message(seq=8)
        reader.feed(data[:100])
        assert reader.next_frame() is None
        reader.feed(data[100:-5])
        reader.feed(data[-5:])
        assert reader.buffered == len(data)
        frames = [reader.next_frame(), reader.next_frame(), reader.next_frame()]
        assert [frame and frame.seq for frame in frames] == [7, 8, None]

    def test_take_gives_up_collecting(self, reader: FrameReader) -> None:
        """[WIRE-125]"""
        data = message(self.PAYLOAD)[:70_000]
        reader.feed(data[:100])
        assert reader.next_frame() is None
        fill(reader, data[100:])
        assert reader.take(10) == data[:10]
        assert reader.take(len(data)) == data[10:]
        assert not reader.collecting

    def test_wrong_signature(self, reader: FrameReader) -> None:
        """[WIRE-32]"""
        reader.feed(message(self.PAYLOAD, hmac_key=b"other"))
        with pytest.raises(SecurityError, match="mismatch"):
            reader.next_frame(None, KEY)

    @pytest.mark.parametrize("announce", [0x7FFFFFFF, 100_000_000])
    def test_announced_memory_is_not_allocated(self, announce: int, reader: FrameReader) -> None:
        """[WIRE-46], [HRD-5]: a MiB at most is asked for, and memory grows with what arrives, in steps of an eighth."""
        reader.feed(v48.pack(4, 0, 1, 1, announce))
        tracemalloc.start()
        try:
            assert reader.next_frame() is None
            for arrived in range(1, 24):
                assert reader.wanted == MAX_AHEAD
                reader.feed(bytes(MAX_AHEAD))
                assert tracemalloc.get_traced_memory()[0] < arrived * MAX_AHEAD * 1.13 + 10_000
        finally:
            tracemalloc.stop()
        assert not reader.ready()


class TestKeptBuffers:
    """[HRD-5], [BYD-3]: a few buffers for payloads of moderate size serve the whole process."""

    PAYLOADS = tuple(bytes([number]) * LARGE for number in range(2 * KEPT_BUFFERS))

    @staticmethod
    def arrive(payload: bytes) -> Frame:
        """A message in two pieces."""
        reader, data = FrameReader(), message(payload)
        reader.feed(data[:100])
        assert reader.next_frame() is None
        return next(receive(reader, data[100:]))

    @staticmethod
    def is_kept(frame: Frame) -> bool:
        assert isinstance(frame.data, memoryview) and frame.data.readonly
        return type(frame.data.obj) is bytearray

    def test_written_by_the_socket(self) -> None:
        """What is written into the space of a reader is as good as fed."""
        data = message(self.PAYLOADS[1]) + message(seq=8)
        reader = FrameReader()
        reader.feed(data[:100])
        assert reader.next_frame() is None
        space = reader.space()
        assert space is not None and len(space) == LARGE - 76
        space[:1000] = data[100:1100]
        reader.added(1000)
        assert (reader.buffered, reader.wanted) == (1100, LARGE - 1076)
        reader.feed(data[1100:])
        assert reader.space() is None
        frames = [reader.next_frame(), reader.next_frame()]
        assert [frame and bytes(frame.data) for frame in frames] == [self.PAYLOADS[1], b"data"]

    def test_not_used_again_while_somebody_has_the_data(self) -> None:
        """As many messages as there are, and more, and each one keeps its payload."""
        frames = [self.arrive(payload) for payload in self.PAYLOADS]
        assert [self.is_kept(frame) for frame in frames] == [True] * KEPT_BUFFERS + [False] * KEPT_BUFFERS
        assert [bytes(frame.data) for frame in frames] == list(self.PAYLOADS)
        del frames[2]
        frame = self.arrive(self.PAYLOADS[0])
        assert self.is_kept(frame)
        assert [bytes(frame.data) for frame in frames] == [*self.PAYLOADS[:2], *self.PAYLOADS[3:]]

    def test_too_large_for_them(self) -> None:
        frame = self.arrive(bytes(KEPT_SIZE + 1))
        assert frame.data == bytes(KEPT_SIZE + 1)
        assert not self.is_kept(frame)
        assert self.is_kept(self.arrive(bytes(KEPT_SIZE)))

    def test_half_messages(self) -> None:
        """Connections that end in the middle of a message keep no buffer."""
        for _ in range(3):
            readers = [FrameReader() for _ in range(KEPT_BUFFERS)]
            for reader in readers:
                reader.feed(message(self.PAYLOADS[1])[:70_000])
                assert reader.next_frame() is None
                assert reader.space() is not None
            assert readers[0].take(100_000) == message(self.PAYLOADS[1])[:70_000]
            assert readers[0].space() is None


class TestPieces:
    """[BYD-55]: large bytes in a payload are received in memory of their own."""

    PAYLOAD = bytes(range(256)) * (KEPT_SIZE // 256 + 4)

    @pytest.fixture(autouse=True)
    def finder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(FINDERS, 1, lambda begin, size: (10, size - 5))

    @pytest.mark.parametrize("key", [None, KEY])
    @pytest.mark.parametrize("first", [24, 30, 34, 1000, 100_000, KEPT_SIZE + 1000])
    @pytest.mark.parametrize("step", [300_000, MAX_AHEAD, 2 * KEPT_SIZE])
    def test_received(self, key: bytes | None, first: int, step: int) -> None:
        """[WIRE-1], [WIRE-32]: whatever the pieces are in which it arrives; if too little comes first, as ever."""
        reader, data = FrameReader(), message(self.PAYLOAD, hmac_key=key) + message(seq=8, hmac_key=key)
        reader.feed(data[:first])
        assert reader.next_frame((4,), key) is None
        for start in range(first, len(data), step):
            assert reader.buffered == start
            reader.feed(data[start : start + step])
        frame, following = reader.next_frame((4,), key), reader.next_frame((4,), key)
        assert frame is not None and following is not None and following.seq == 8
        assert bytes(frame.data) == self.PAYLOAD
        if first >= 100:
            assert type(frame.data) is Pieces
            assert list(map(len, frame.data.pieces)) == [10, len(self.PAYLOAD) - 15, 5]

    def test_handed_out_raw(self) -> None:
        """[WIRE-125]"""
        reader, data = FrameReader(), message(self.PAYLOAD)
        reader.feed(data[:1000])
        assert reader.next_frame() is None
        reader.feed(data[1000:200_000])
        assert reader.take(len(data)) == data[:200_000]

    @pytest.mark.parametrize("flags", [FLAGS_COMPRESSED, FLAGS_KEEPSERIALIZED])
    def test_not_what_a_serializer_has_made(self, flags: int) -> None:
        reader = FrameReader()
        data = v48.pack(4, flags, 1, 1, len(self.PAYLOAD)) + self.PAYLOAD
        reader.feed(data[:1000])
        assert reader.next_frame() is None
        frame = next(receive(reader, data[1000:]))
        assert type(frame.data) is memoryview
        assert frame.data == self.PAYLOAD


class TestReadFrame:
    @staticmethod
    def reading(data: bytes, *args: Any) -> tuple[Frame, list[int]]:
        sizes: list[int] = []

        def recv(size: int) -> bytes:
            start = sum(sizes)
            sizes.append(size)
            return data[start : start + size]

        return read_frame(recv, *args), sizes

    def test_order_of_reads(self) -> None:
        """[WIRE-50]: header, annotations, payload; nothing is asked for that is not there."""
        frame, sizes = self.reading(message(annotations={"ABCD": b"x"}))
        assert frame == Frame(4, 0, 7, 1, {"ABCD": b"x"}, b"data")
        assert sizes == [24, 7, 4]
        assert self.reading(message())[1] == [24, 4]
        assert self.reading(message(b""))[1] == [24]

    def test_checks(self) -> None:
        """[WIRE-50]"""
        assert self.reading(message(hmac_key=KEY), (4,), KEY, 30)[0].data == b"data"
        with pytest.raises(SecurityError):
            self.reading(message(), None, KEY)
        with pytest.raises(MessageTooLargeError):
            self.reading(message(), (5,), None, 3)
        with pytest.raises(ProtocolError, match="type 4"):
            self.reading(message(), (5,))


class OtherCodec(SimpleNamespace):
    """A protocol of version 999: 30 bytes of header, sizes of 8 bits each, and an item of its own behind the header."""

    HEADER_SIZE = 30

    @staticmethod
    def message(payload: bytes, area: bytes = b"") -> bytes:
        return struct.pack("!4sHBBBB20s", b"PYRO", 999, 5, len(payload), len(area), 3, b"i" * 20) + area + payload

    def parse_header(self, buffer: Buffer, offset: int = 0) -> Header:
        tag, version, kind, size, area, seq, extra = struct.unpack_from("!4sHBBBB20s", buffer, offset)
        if tag != b"PYRO" or version != 999:
            raise ProtocolError("not 999")
        return (kind, 0, seq, size, 1, area, extra)  # type: ignore[return-value]

    def parse_annotations(self, area: Buffer) -> dict[str, bytes]:
        return {"AREA": bytes(area)}

    def finish(self, frame: Frame, header: Header, hmac_key: bytes | None) -> Frame:
        return frame._replace(annotations={**frame.annotations, "CORR": header[6]})  # type: ignore[misc]


class TestOtherProtocols:
    @pytest.fixture(autouse=True)
    def other(self, monkeypatch: pytest.MonkeyPatch) -> OtherCodec:
        codec = OtherCodec()
        monkeypatch.setitem(framing.OTHER_CODECS, b"PYRO" + (999).to_bytes(2, "big"), codec)
        return codec

    def test_chosen_by_the_first_six_bytes(self, other: OtherCodec, reader: FrameReader) -> None:
        """[P5-40], [P5-2]"""
        data = other.message(b"pay", b"area") + other.message(b"")
        for position in range(6):
            assert reader.codec is None
            reader.feed(data[position : position + 1])
        assert reader.codec is other
        reader.feed(data[6:])
        corr = b"i" * 20
        assert reader.next_frame() == Frame(5, 0, 3, 1, {"AREA": b"area", "CORR": corr}, b"pay")
        assert reader.next_frame() == Frame(5, 0, 3, 1, {"CORR": corr}, b"")
        assert reader.next_frame() is None

    def test_byte_by_byte(self, other: OtherCodec, reader: FrameReader) -> None:
        """[P5-40]"""
        data = other.message(b"pay", b"area") * 2
        frames = []
        for position in range(len(data)):
            reader.feed(data[position : position + 1])
            ready = reader.ready()
            frame = reader.next_frame()
            assert ready == (frame is not None)
            frames += [frame] if frame else []
        assert [frame.data for frame in frames] == [b"pay", b"pay"]

    def test_version_48_stays(self, other: OtherCodec, reader: FrameReader) -> None:
        """[P5-40]: for the life of the connection; another version is a reader error."""
        reader.feed(message() + other.message(b"pay"))
        assert reader.next_frame() is not None
        assert reader.codec is v48
        assert reader.ready()
        with pytest.raises(ProtocolError, match="unsupported protocol version"):
            reader.next_frame()

    def test_other_version_stays(self, other: OtherCodec, reader: FrameReader) -> None:
        """[P5-40]"""
        reader.feed(other.message(b"pay") + message(b"longer than the header of 999"))
        assert reader.next_frame() is not None
        with pytest.raises(ProtocolError, match="not 999"):
            reader.next_frame()

    def test_unknown_is_answered_in_48(self, reader: FrameReader) -> None:
        """[P5-40]: anything else is waited for until 24 bytes are there."""
        reader.feed(b"PYRO\x01\xf5" + bytes(17))
        assert reader.next_frame() is None
        assert reader.codec is v48
        reader.feed(b"\0")
        with pytest.raises(ProtocolError, match="unsupported protocol version"):
            reader.next_frame()

    def test_read_frame(self, other: OtherCodec) -> None:
        """[P5-40]: 48 for those who read without frames, too."""
        frame, sizes = TestReadFrame.reading(other.message(b"pay", b"area"))
        assert frame.data == b"pay"
        assert sizes == [24, 6, 4, 3]
