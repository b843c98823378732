"""The decoder of marshal data: what it accepts, and known attacks ([SER-70], [HRD-1], [HRD-9])."""

from __future__ import annotations

import json
import marshal
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pyrolite.serializers import marshal_guard

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data"
CALL = ("obj_x", "echo", (1, "two", [3.5, None]), {})


def nested(depth: int, value: Any = None) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def vectors() -> list[Any]:
    found = []
    for name in ("p4-messages", "p4-values"):
        for entry in json.loads((VECTORS / f"{name}.json").read_text())["vectors"]:
            if entry.get("serializer") == "marshal":
                text = entry.get("payload_uncompressed_hex") or entry.get("payload_hex") or entry.get("hex")
                if text:
                    found.append(pytest.param(bytes.fromhex(text), id=entry["id"]))
    return found


@pytest.mark.parametrize("data", vectors())
def test_recorded_payloads(data: bytes) -> None:
    """[SER-80]: all that peers were seen to send."""
    assert repr(marshal_guard.loads(data)) == repr(marshal.loads(data))


@pytest.mark.parametrize("version", range(5))
@pytest.mark.parametrize(
    "value",
    [
    CALL, None, True, False, 0, -1, 2**31 - 1, 2**31, -(2**31), 2**63, 2**64, -(2**64), 10**4000, 0.0, -0.0, 1e300,
    float("inf"), 1j, -0.5 + 2j, "", "a" * 255, "a" * 256, "é", "\ud800", "\U0001f600", "\0", b"", b"x" * 1000, (),
    (1,), tuple(range(300)), [], [[]], {}, {"a": {}}, {1: 2, None: 3, (1, 2): 4}, set(), {1}, frozenset(),
    frozenset({(1,)}), ("obj", "m", (), {"key": [1, 1, "key"]}), [1, 1, 1], {"a": 1, "b": 1}, [{"a": 1}] * 3,
    ["r\0\0\0\0"] * 3, ("obj", "<batch>", ([("m", (1,), {}), ("n", (2, 3), {"a": b"r"})],), {}), [("row", 1)] * 100,
    list(range(1000)), [1.5] * 1000, ["name"] * 1000, [f"name {i}" for i in range(1000)], [1, "a", None, 1.5] * 500,
    {i: str(i) for i in range(2000)}, [[0] * 100] * 100, {(i, 1): i for i in range(3000)},
    {complex(i, i) for i in range(3000)}, {frozenset({i, i + 1}) for i in range(3000)},
    {2**63 + i for i in range(3000)}, {2**64 + i for i in range(1000)},
    [(i, f"name {i}", i / 2, None) for i in range(100)], [{"id": i, "name": f"n{i}", "x": None} for i in range(100)],
    [[(i, "a") for i in range(40)], {"k": [{i: i} for i in range(40)]}], {i: f"value {i}" for i in range(100)},
    ["a", 1, 2.5, None, f"b{1}"] * 40, [("x" * 70, i) for i in range(40)], [(2**70 + i, 1j) for i in range(40)],
    ],
    ids=lambda value: ascii(value)[:30],
)  # fmt: skip
def test_values(value: Any, version: int) -> None:
    """[SER-10]: what marshal writes is read, by both ways."""
    data = marshal.dumps(value, version)
    result = marshal_guard.loads(data)
    assert type(result) is type(value)
    assert repr(result) == repr(marshal.loads(data))
    assert marshal_guard._scan(data) in (False, True)


@pytest.mark.parametrize("version", [2, 4])
def test_runs_of_all_lengths(version: int) -> None:
    """[SER-70]: steps of many values end where the container ends, and the data with it."""
    for size in range(140):
        for kind in (
            lambda number: number * 1000,
            lambda number: number / 7,
            lambda number: f"text {number}",
            lambda number: [number * 1000, None, 0.5, f"{number}x"][number % 4],
            lambda number: (number, "a", 1.5),
            lambda number: {"a": number, "b": f"{number}x"},
            lambda number: (number, [None]),
        ):
            items = [kind(number) for number in range(size)]
            data = marshal.dumps(items, version)
            marshal_guard._scan(data)
            assert marshal_guard.loads(data) == items
            with pytest.raises(ValueError, match="malformed marshal data"):
                marshal_guard._scan(data[:-1])
            with pytest.raises(ValueError, match="malformed marshal data"):
                marshal_guard._scan(data + b"N")


def test_old_codes() -> None:
    """[SER-70]: codes that only old Pythons write."""
    for data, value in [
        (b"I" + struct.pack("<q", -(2**40)), -(2**40)),
        (b"f\x041.25", 1.25),
        (b"x\x041.25\x02-2", 1.25 - 2j),
        (b"\xe6\x041.25", 1.25),
        (b"(\x02\0\0\0\xc9" + struct.pack("<q", 5) + b"r\0\0\0\0", (5, 5)),
    ]:
        assert marshal_guard.loads(data) == value
        marshal_guard._scan(data)


CYCLE = b")\x01\xa9\x01<\x01\0\0\0r\0\0\0\0"
ATTACKS = {
    "crash: set in a tuple with the tuple in it": CYCLE,
    "the same in a call": b")\x04\xda\x01o\xda\x01m\xa9\x01<\x01\0\0\0r\x02\0\0\0\xfb0",
    "crash: key of a dict": b"\xa9\x01{r\0\0\0\0N0",
    "crash: frozenset in a tuple": b"\xa8\x01\0\0\0>\x01\0\0\0r\0\0\0\0",
    "list in itself": b"\xdb\x01\0\0\0r\0\0\0\0",
    "dict in itself": b"\xfbNr\0\0\0\x000",
    "tuple in itself, later": b"\xa9\x02Nr\0\0\0\0",
    "frozenset in itself": b"\xbe\x01\0\0\0r\0\0\0\0",
    "reference to what does not exist": b")\x01r\0\0\0\0",
    "reference to what comes later": b")\x02r\0\0\0\0\xe9\0\0\0\0",
    "negative reference": b")\x02\xe9\0\0\0\0r\xff\xff\xff\xff",
    "0.8 GB by ten bytes": b"[\x00\xe1\xf5\x05" + b"NNNNN",
    "16 GB by five bytes": b"(\xff\xff\xff\x7f",
    "negative count": b"(\xff\xff\xff\xff",
    "set of two billion": b"<\xff\xff\xff\x7f",
    "bytes of two billion": b"s\xff\xff\xff\x7f",
    "text of two billion": b"u\xff\xff\xff\x7f",
    "integer of two billion digits": b"l\xff\xff\xff\x7f",
    "integer of minus two billion digits": b"l\x01\x00\x00\x80",
    "many lists, each as long as the data": b"[\xe8\x03\0\0" * 190 + b"N" * 1000,
    "code object": marshal.dumps(compile("1", "", "eval")),
    "code object in a list": marshal.dumps([compile("1", "", "eval")]),
    "code": b"c",
    "StopIteration": b"S",
    "Ellipsis": b".",
    "slice of version 5": b":NNN",
    "end of a dict": b"0",
    "end of a dict in a tuple": b")\x010",
    "dict without an end": b"{NN",
    "unknown code": b"?",
    "empty": b"",
    "two values": b"NN",
    "value and zero bytes": b"N\0\0",
    "flagged end of a dict": b"{\xb0",
    "string out of the data": b"z\x05abcd",
    "number cut off": b"i\0\0\0",
    "float cut off": b"g\0\0\0",
    "list as key": b"{[\0\0\0\0N0",
    "set in a set": b"<\x01\0\0\0<\0\0\0\0",
    "digits out of range": b"l\x02\0\0\0\xff\xff\xff\xff",
    "no UTF-8": b"u\x01\0\0\0\xff",
    "no number": b"f\x01x",
    "depth 201": marshal.dumps(nested(201)),
    "depth 1000": marshal.dumps(nested(1000)),
    "depth 100000": b"[\x01\0\0\0" * 100_000 + b"N",
    "depth 100000 of small tuples": b")\x01" * 100_000 + b"N",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks(attack: str) -> None:
    """[SER-70] [HRD-1]: each one is a ValueError at once, and takes no memory."""
    data = ATTACKS[attack]
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="malformed marshal data"):
            marshal_guard.loads(data)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000 + 100 * len(data)
    finally:
        tracemalloc.stop()


REQUEST = b")\x04\xda\x01o\xda\x01m"
FLAGGED_CONTAINERS = (b"\xa9\x01", b"\xdb\x01\0\0\0", b"\xa8\x01\0\0\0", b"\xbc\x01\0\0\0", b"\xbe\x01\0\0\0", b"\xfbN")


@pytest.mark.parametrize("argument", FLAGGED_CONTAINERS)
@pytest.mark.parametrize("arguments", [b"[\x01\0\0\0", b"\xdb\x01\0\0\0", b"\xa9\x01", b")\x01"])
def test_arguments_that_contain_themselves(arguments: bytes, argument: bytes) -> None:
    """[HRD-1]: no argument of a call, flagged or not, can refer to itself or to the list of arguments."""
    end = b"0" if argument.startswith(b"\xfb") else b""
    flagged = 3 if arguments[0] > 127 else 2
    for index in range(2, flagged + 1):
        reference = b"r" + struct.pack("<I", index)
        data = REQUEST + arguments + argument + b")\x01" + reference + end + b"\xfb0"
        with pytest.raises(ValueError, match="malformed marshal data"):
            marshal_guard.loads(data)


def test_usual_calls_are_not_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls as Pyro4 and pyrolite write them, with a nested argument of 1 KB, are checked by the expression alone."""
    monkeypatch.setattr(marshal_guard, "_scan", lambda _data: pytest.fail("was scanned"))
    argument = {
        "name": "x" * 200,
        "rows": [{"id": number, "title": f"row {number}", "scores": [number, 2 * number]} for number in range(12)],
        "position": {"x": 1.5, "y": -3},
    }
    arguments = [argument]
    calls = [marshal.dumps(("obj", "echo", arguments, {}), 4), marshal.dumps(("obj", "echo", [argument], {}), 4)]
    for data in calls:
        assert marshal_guard.loads(data) == ("obj", "echo", [argument], {})
    assert marshal_guard.loads(marshal.dumps(argument, 4)) == argument


@pytest.mark.parametrize("padding", [0, 5000])
def test_attacks_inside_of_other_data(padding: int) -> None:
    """[HRD-1]: large payloads take another way than small ones."""
    pad = b"s" + struct.pack("<I", padding) + b"x" * padding
    for data in ATTACKS.values():
        with pytest.raises(ValueError, match="malformed marshal data"):
            marshal_guard.loads(b"[\x02\0\0\0" + pad + data.replace(b"r\x02", b"r\x03") + b"NN")


def test_depth() -> None:
    """[SER-70]: 200 levels, by both ways."""
    for value in (nested(200), nested(200, [])[0], {"a": nested(198, (1,))}):
        assert marshal_guard.loads(marshal.dumps(value)) == value
    wide = [nested(199), "x" * 6000]
    assert marshal_guard.loads(marshal.dumps(wide)) == wide
    for row in ((1, 2), {"a": 1}):
        rows = nested(198, [row] * 50)
        assert marshal_guard.loads(marshal.dumps(rows, 2)) == rows
        with pytest.raises(ValueError, match="too deep"):
            marshal_guard.loads(marshal.dumps([rows], 2))


def test_finished_containers_may_be_shared() -> None:
    """[SER-70]: references to completed objects are allowed, and stay references."""
    shared = [1, 2]
    result = marshal_guard.loads(marshal.dumps([shared, shared, (shared, "x" * 6000)]))
    assert result[0] is result[1]
    assert result[2][0] is result[0]


@pytest.mark.parametrize("container", [b"\xa9\x02", b"\xdb\x02\0\0\0"])
def test_references_cannot_multiply(container: bytes) -> None:
    """[SER-70]: the number of items is bounded, though each list is in the next one twice."""
    depth = 150
    data = (
        container * depth + b"NN" + b"".join(b"r" + struct.pack("<I", depth - 1 - level) for level in range(depth - 1))
    )
    with pytest.raises(ValueError, match="too many references"):
        marshal_guard.loads(data)


def test_keys_are_not_hashed_again_and_again() -> None:
    """[HRD-9]: a long integer is hashed each time it is a key, though it is in the data once."""
    number = b"\xec" + struct.pack("<i", 200_000) + b"\x01\x00" * 200_000
    refs = 100_000
    data = b")\x02" + number + b"<" + struct.pack("<I", refs) + b"r\0\0\0\0" * refs
    start = time.monotonic()
    with pytest.raises(ValueError, match="too many references in keys"):
        marshal_guard.loads(data)
    assert time.monotonic() - start < 5


MODULUS = 2**61 - 1  # of the hashes of numbers


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("as_dict", [False, True])
def test_colliding_integers(flagged: bool, as_dict: bool) -> None:
    """[HRD-9]: above 1000 integers of more than 64 bits as keys of a container are refused, even as references."""
    numbers = [MODULUS * (2**10 + number) for number in range(1001)]
    keys = dict.fromkeys(numbers) if as_dict else set(numbers)
    value = [numbers, keys] if flagged else keys
    with pytest.raises(ValueError, match="too many large integers as keys"):
        marshal_guard.loads(marshal.dumps(value))
    assert marshal_guard.loads(marshal.dumps(numbers)) == numbers


def test_colliding_compound_keys() -> None:
    """[HRD-9]: the same with keys of which the hash is just as well known."""
    twins = [complex(-1_000_003.0 * number, float(number)) for number in range(3000)]
    assert len(set(map(hash, twins))) < 10
    for value in (set(twins), dict.fromkeys(twins), [twins, set(twins)], {(number,): 1 for number in twins}):
        with pytest.raises(ValueError, match="too many keys with the same hash"):
            marshal_guard.loads(marshal.dumps(value))
    assert marshal_guard.loads(marshal.dumps(twins)) == twins


def test_no_copy_of_large_data() -> None:
    """[SER-70]: what is large and simple is neither copied nor walked through."""
    data = memoryview(marshal.dumps(("obj", "m", (bytes(64 << 20),), {})))
    tracemalloc.start()
    try:
        start = time.monotonic()
        marshal_guard._scan(data)
        assert time.monotonic() - start < 0.1
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
