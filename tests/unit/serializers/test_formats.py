"""The bytes of each format, its limits and its rules ([SER-17] to [SER-21], [SER-70], [SER-71], [WIRE-70], [HRD-7])."""

from __future__ import annotations

import datetime
import gc
import json
import marshal
import pickle
import struct
import sys
import types
from typing import Any

import msgpack
import pytest
import serpent

from pyrolite.configuration import config
from pyrolite.errors import SerializeError
from pyrolite.serializers import get_serializer, marshal_guard

NAMES = ["serpent", "json", "marshal", "msgpack"]


@pytest.mark.parametrize("vargs", [(), (1, "two"), [1, "two"]], ids=repr)
@pytest.mark.parametrize("kwargs", [{}, {"key": 1}, None], ids=repr)
def test_shape_of_calls(vargs: Any, kwargs: Any) -> None:
    """[WIRE-70]: what the four parts look like; kwargs may be None (batches, attributes)."""

    def data(name: str) -> Any:
        return get_serializer(name).dumpsCall("object", "method", vargs, kwargs)

    assert data("serpent") == serpent.dumps(("object", "method", vargs, kwargs), indent=False)
    assert json.loads(data("json")) == {
        "object": "object",
        "method": "method",
        "params": list(vargs),
        "kwargs": kwargs,
    }
    assert marshal.loads(data("marshal")) == ("object", "method", list(vargs), kwargs)
    assert msgpack.unpackb(data("msgpack")) == ["object", "method", list(vargs), kwargs]
    for name in ("pickle", "cloudpickle", "dill"):
        assert pickle.loads(data(name)) == ("object", "method", vargs, kwargs)
    for name in (*NAMES, "pickle", "cloudpickle", "dill"):
        obj, method, received, named = get_serializer(name).loadsCall(data(name))
        assert (obj, method, list(received), named) == ("object", "method", list(vargs), kwargs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blob", ["text", {"a": 1}, 5, [1, (2,)], None], ids=repr)
def test_data_of_blobs(name: str, blob: Any) -> None:
    """[BLOB-4], [BLOB-5], [BLOB-10]: the arguments' position may hold any value, in place of a list."""
    serializer = get_serializer(name)
    expected = serializer.loads(serializer.dumps(blob))
    assert serializer.loadsCall(serializer.dumpsCall("o", "m", blob, {}))[2] == expected


def test_batches() -> None:
    """[WIRE-90]: a list of calls in the place of the arguments, with objects in it."""
    entries = [("one", (1, datetime.time(1)), {}), ("two", (), {"key": ValueError("x")})]
    for name in NAMES:
        serializer = get_serializer(name)
        _, _, calls, kwargs = serializer.loadsCall(serializer.dumpsCall("o", "<batch>", entries, None))
        assert kwargs is None
        assert list(calls[0]) == ["one", type(calls[0][1])([1, "01:00:00"]), {}]
        assert isinstance(calls[1][2]["key"], ValueError)


class TestSerpent:
    def test_text(self) -> None:
        """[SER-18]: header, one literal, no blanks."""
        data = get_serializer("serpent").dumps({"a": [1, (2,)], "b": "\u20ac"})
        assert data == "# serpent utf-8 python3.2\n{'a':[1,(2,)],'b':'\u20ac'}".encode()

    def test_header_is_optional(self) -> None:
        """[SER-18]: and bytes, complex and set literals are read."""
        loads = get_serializer("serpent").loads
        assert loads(b"[1, b'ab', 1+2j, {1}, ()]") == [1, b"ab", 1 + 2j, {1}, ()]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\0",
            "'a\0b'",
            "f()",
            "a",
            "1+1",
            "[1",
            "f'{1}'",
            "lambda: 1",
            "1 if 1 else 2",
            "[x for x in y]",
            "1\n2",
            "{1:}",
        ],
    )
    def test_refused(self, text: str) -> None:
        """[SER-18], [SER-5]: nothing but literals."""
        for loads in (get_serializer("serpent").loads, get_serializer("serpent").loadsCall):
            with pytest.raises(SerializeError):
                loads(text.encode())

    @pytest.mark.parametrize("enabled", [True, False])
    def test_garbage_collector(self, enabled: bool) -> None:
        """[SER-71]: the collector is left as the program has it."""
        serializer = get_serializer("serpent")
        was = gc.isenabled()
        try:
            (gc.enable if enabled else gc.disable)()
            serializer.loads(serializer.dumps([1, datetime.time(1)]))
            with config.override(SERPENT_BYTES_REPR=True):
                serializer.dumps(b"x")
            assert gc.isenabled() is enabled
            with pytest.raises(ValueError, match="too deep"):
                serializer.dumps(nested(500))
            assert gc.isenabled() is enabled
        finally:
            (gc.enable if was else gc.disable)()


class TestJson:
    def test_text(self) -> None:
        """[SER-19]: separators, no escapes for other scripts."""
        data = get_serializer("json").dumps({"a": [1, 2.5, None, True], "b": "\u20ac"})
        assert data == '{"a": [1, 2.5, null, true], "b": "\u20ac"}'.encode()

    def test_reading(self) -> None:
        """[SER-19]: the last of equal keys, special numbers, blanks around."""
        loads = get_serializer("json").loads
        assert loads(b' \n{"a": 1, "a": 2} ') == {"a": 2}
        assert loads(b"[Infinity, -Infinity]") == [float("inf"), float("-inf")]

    @pytest.mark.parametrize("text", [b"", b"[1", b"[1] 2", b"{1: 2}", b"\xff", b"'a'", b"nul", b"\xef\xbb\xbf1"])
    def test_refused(self, text: bytes) -> None:
        """[SER-5], [SER-17]: also what follows a value."""
        with pytest.raises(SerializeError):
            get_serializer("json").loads(text)

    def test_other_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[SER-1]: config item JSON_MODULE."""
        calls = []
        module = types.ModuleType("jason")
        module.dumps = lambda *args, **kwargs: calls.append("dumps") or json.dumps(*args, **kwargs)  # type: ignore[attr-defined]
        module.loads = lambda text: calls.append("loads") or json.loads(text)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "jason", module)
        serializer = get_serializer("json")
        with config.override(JSON_MODULE="jason"):
            assert serializer.loads(serializer.dumps([datetime.time(1), ValueError("x")]))[0] == "01:00:00"
            assert serializer.loadsCall(serializer.dumpsCall("o", "m", [1], {})) == ("o", "m", [1], {})
            with pytest.raises(SerializeError):
                serializer.loads(b"[")
        assert calls == ["dumps", "loads", "dumps", "loads", "loads"]
        with config.override(JSON_MODULE="no_such_module"), pytest.raises(SerializeError, match="no_such_module"):
            serializer.dumps(1)

    @pytest.mark.parametrize(
        ("text", "deep"),
        [
            ("[" * 200 + "]" * 200, False),
            ("[" * 201 + "]" * 201, True),
            ('{"a":' * 200 + "1" + "}" * 200, False),
            ('{"a":' * 201 + "1" + "}" * 201, True),
            ("[" + '{"a": [1, "x"]},' * 500 + "1]", False),
            ('["' + "[" * 1000 + '"]', False),
            ('["\\"' + "[" * 1000 + '\\\\"]', False),
            ("[" + '"]", [' * 210 + "1" + "]" * 211, True),
            ("[" + '"\\"]", [' * 210 + "1" + "]" * 211, True),
            ('["[", "]"' + ',["{"]' * 300 + "]", False),
        ],
    )
    def test_depth(self, text: str, deep: bool) -> None:
        """[HRD-7], [SER-71]: brackets, not counting those in texts."""
        for data in (text.encode(), memoryview(text.encode())):
            if deep:
                with pytest.raises(SerializeError, match="200 levels"):
                    get_serializer("json").loads(data)
            else:
                assert get_serializer("json").loads(data) == json.loads(text)


class TestMarshal:
    def test_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """[SER-20]: version 4, whatever the default of the Python is."""
        monkeypatch.setattr(marshal, "version", 2)
        for value in (["abc", "abc", 1.5], 5, "text"):
            assert get_serializer("marshal").dumps(value) == marshal.dumps(value, 4)
        assert get_serializer("marshal").dumps("text") != marshal.dumps("text", 2)

    @pytest.mark.parametrize("version", [0, 1, 2, 3, 4])
    def test_reading(self, version: int) -> None:
        """[SER-20]: what older versions wrote."""
        value = [1, -5, 2**40, 1.5, "text", b"bytes", (1,), {"a": None}, True]
        assert get_serializer("marshal").loads(marshal.dumps(value, version)) == value

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"[",
            marshal.dumps(compile("1", "", "eval")),
            marshal.dumps(1) + b"N",
            b"(\xff\xff\xff\x7f",
            b"[\xff\xff\xff\x7fN",
            b"\xa8\x01\0\0\0<\x01\0\0\0r\0\0\0\0",
            b"S",
            b".",
            b"0",
            marshal.dumps([1, [2, [3]]])[:-1],
        ],
        ids=repr,
    )
    def test_refused(self, data: bytes) -> None:
        """[SER-70], [HRD-1], [SEC-24]: nothing gets to marshal.loads unchecked."""
        for loads in (get_serializer("marshal").loads, get_serializer("marshal").loadsCall):
            with pytest.raises(SerializeError):
                loads(data)

    def test_guard_is_public(self) -> None:
        """[BLOB-12]: the same decoder for blob annotations."""
        assert marshal_guard.loads(marshal.dumps(("info", "object", "method"), 2)) == ("info", "object", "method")


class TestMsgpack:
    """[SER-17]."""

    def test_extensions(self) -> None:
        """Code and data of each type."""
        dumps = get_serializer("msgpack").dumps
        naive = datetime.datetime(2024, 1, 2, 3, 4, 5, 500000)
        for value, code, data in [
            (1 + 2j, 0x30, struct.pack("<dd", 1, 2)),
            (2**64, 0x31, b"18446744073709551616"),
            (-(2**63) - 1, 0x31, b"-9223372036854775809"),
            (naive, 0x32, struct.pack("<d", naive.timestamp())),
            (naive.date(), 0x33, struct.pack("<q", naive.toordinal())),
        ]:
            assert msgpack.unpackb(dumps(value)) == msgpack.ExtType(code, data)
            assert msgpack.unpackb(dumps({"a": [value]})) == {"a": [msgpack.ExtType(code, data)]}
            assert get_serializer("msgpack").loads(dumps([value])) == [value]

    def test_short_date(self) -> None:
        """A platform whose C long has 4 bytes wrote this."""
        day = datetime.date(2024, 1, 2)
        data = msgpack.packb(msgpack.ExtType(0x33, struct.pack("<l", day.toordinal())))
        assert get_serializer("msgpack").loads(data) == day

    def test_timestamp(self) -> None:
        """Code -1 is the library's own."""
        stamp = msgpack.Timestamp(5, 6)
        assert get_serializer("msgpack").loads(msgpack.packb([stamp])) == [stamp]

    @pytest.mark.parametrize("code", [0, 1, 0x2F, 0x34, 127])
    def test_other_codes(self, code: int) -> None:
        with pytest.raises(SerializeError, match=f"invalid ext code for msgpack: {code}"):
            get_serializer("msgpack").loads(msgpack.packb([msgpack.ExtType(code, b"1")]))

    @pytest.mark.parametrize(
        ("code", "data"),
        [
            (0x30, b"short"),
            (0x31, b""),
            (0x31, b"1x"),
            (0x31, b" 1"),
            (0x31, b"1_0"),
            (0x31, b"--1"),
            (0x31, b"9" * 5000),
            (0x32, b"123"),
            (0x32, struct.pack("<d", 1e300)),
            (0x32, struct.pack("<d", float("nan"))),
            (0x33, b"12345"),
            (0x33, struct.pack("<q", -1)),
            (0x33, struct.pack("<q", 1 << 60)),
        ],
    )
    def test_malformed_extensions(self, code: int, data: bytes) -> None:
        """[SER-5]."""
        with pytest.raises(SerializeError):
            get_serializer("msgpack").loads(msgpack.packb(msgpack.ExtType(code, data)))

    @pytest.mark.parametrize(
        "data", [b"", b"\x93\x01", b"\x01\x02", b"\xa1\xff", b"\xc1", b"\x81\x81\x01\x02\x03"], ids=repr
    )
    def test_refused(self, data: bytes) -> None:
        """Also what follows a value, bad UTF-8, unhashable keys."""
        with pytest.raises(SerializeError):
            get_serializer("msgpack").loads(data)

    def test_strings_and_bytes(self) -> None:
        assert get_serializer("msgpack").dumps(["a", b"b"]) == b"\x92\xa1a\xc4\x01b"
        with pytest.raises(UnicodeEncodeError):
            get_serializer("msgpack").dumps("\ud800")

    @pytest.mark.parametrize("size", [0, 100, 65536, 65537, 300000])
    def test_large_bytes(self, size: int) -> None:
        """[BYD-55]: not copied by the packer, with the same result."""
        serializer = get_serializer("msgpack")
        value = b"x" * size
        assert serializer.loads(serializer.dumps(value)) == value
        assert serializer.dumps(value) == msgpack.packb(value)
        for vargs in ((value,), (1, value, [datetime.date(2020, 1, 1)], value), tuple([value] * 20)):
            call = serializer.dumpsCall("object", "method", vargs, {"key": 1})
            assert serializer.loadsCall(call) == ["object", "method", list(vargs), {"key": 1}] or (
                serializer.loadsCall(call) == ("object", "method", list(vargs), {"key": 1})
            )

    def test_many_large_integers(self) -> None:
        """[HRD-9]: as values, or as some of the keys."""
        large = [2**64 + number for number in range(1500)]
        loads, dumps = get_serializer("msgpack").loads, get_serializer("msgpack").dumps
        assert loads(dumps(large)) == large
        assert loads(dumps(dict.fromkeys(large[:1000], large))) == dict.fromkeys(large[:1000], large)

    @pytest.mark.parametrize("factor", [2**61 - 1, 1])
    def test_keys_with_chosen_hashes(self, factor: int) -> None:
        """[HRD-9]: 20,000 keys with the same hash would take seconds."""
        keys = [2**64 + (number * factor) for number in range(20_000)]
        ext = b"".join(msgpack.packb(msgpack.ExtType(0x31, str(key).encode())) + b"\xc0" for key in keys)
        with pytest.raises(SerializeError, match="1000 keys"):
            get_serializer("msgpack").loads(b"\xdf" + struct.pack(">I", len(keys)) + ext)
        arrays = b"".join(b"\x91" + msgpack.packb(number) + b"\xc0" for number in range(2000))
        with pytest.raises(SerializeError, match="1000 keys"):
            get_serializer("msgpack").loads(b"\xde" + struct.pack(">H", 2000) + arrays)

    def test_a_hook_may_serialize(self) -> None:
        """Packers are shared, but never by two at a time."""
        serializer = get_serializer("msgpack")

        class Inner:
            def __getstate__(self) -> dict[str, Any]:
                return {"inner": serializer.dumps([1, {"a": datetime.date(2020, 1, 1)}])}

        received = serializer.loads(serializer.dumps([Inner(), {"x": Inner()}, 2]))
        state = {"inner": serializer.dumps([1, {"a": datetime.date(2020, 1, 1)}])}
        assert received == [state, {"x": state}, 2]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("name", [*NAMES, "pickle", "cloudpickle", "dill"])
class TestDepth:
    """[SER-21], [SER-71]: a limit, an error, never a crash."""

    def test_reasonable(self, name: str) -> None:
        serializer = get_serializer(name)
        for value in (nested(190), [nested(180), datetime.time(1)]):
            received = serializer.loads(serializer.dumps(value))
            depth = 0
            while isinstance(received, list) and received:
                received, depth = received[0], depth + 1
            assert depth >= 180

    def test_encoding(self, name: str) -> None:
        serializer = get_serializer(name)
        value = nested(100_000)
        for action in (
            lambda: serializer.dumps(value),
            lambda: serializer.dumpsCall("o", "m", (value,), {}),
            lambda: serializer.dumps([datetime.time(1), value]),
        ):
            with pytest.raises((ValueError, RecursionError, SerializeError, pickle.PicklingError)):
                action()

    def test_decoding(self, name: str) -> None:
        count = 100_000
        data = {
            "serpent": b"[" * count,
            "json": b"[" * count,
            "marshal": b"[\x01\0\0\0" * count + b"N",
            "msgpack": b"\x91" * count + b"\x01",
        }.get(name, b"\x80\x04" + b"]" * count + b"a" * (count - 1) + b".")
        serializer = get_serializer(name)
        if name in ("pickle", "cloudpickle", "dill"):
            serializer.loads(data)  # flat opcodes, no recursion
            return
        for loads in (serializer.loads, serializer.loadsCall):
            with pytest.raises(SerializeError):
                loads(data)
