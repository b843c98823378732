"""The fast writer writes what the serpent package writes, or nothing ([SER-10], [SER-18])."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import math
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
import serpent

from pyrolite.serializers import serpent_reader, serpent_writer

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data"


def by_serpent(value: Any) -> bytes | None:
    try:
        return bytes(serpent.dumps(value, module_in_classname=True))
    except (ValueError, TypeError):
        return None


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


class Odd:
    """Cannot even be compared."""

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


class Color(enum.Enum):
    RED = 1


class IntSub(int):
    pass


WRITTEN = [
    None, True, False, 0, -1, 2**64, -(10**100), 0.0, -0.0, 1e16, 1e22, 1e-7, 5e-324, math.inf, -math.inf, math.nan,
    1j, -1j, 1 - 2j, complex(-0.0, -0.0), complex(0.0, -0.0), complex(math.inf, -math.inf), complex(math.nan, 1),
    complex(1, math.nan), complex(-math.inf, math.nan), "", "a", "it's", 'say "it"', "both ' and \"", "\\",
    "\n\t\r\0\x7f", "é€\U0001f600", "\ud800", "\u2028", b"", b"abc", bytes(range(256)), bytearray(b"abc"),
    memoryview(b"abcd")[::1], (), (1,), (1, 2), ((),), [], [[]], [()], {}, {"a": 1},
    {1: 2, 1.5: 3, False: 4, 1j: 5, (1, "a"): 6, "b": {}}, {b"k": 1}, {1}, {1, 2, 3}, set(range(20)),
    set("abcdefghij"), {(1, None)}, set(), frozenset(), frozenset({"a"}), list(range(20)), [1.5] * 20, [1, 1.5] * 10,
    [1.5, math.inf] * 10, [math.nan] * 20, [1, True, None, "x"] * 5, ["n"] * 20, [b"a"] * 20, [[1]] * 20,
    tuple("abcdefghijk"), {str(number): number for number in range(20)}, ("obj", "method", (), {}),
    ("obj", "method", (1,), {"a": (1,)}), ("obj", "method", [], []), ("a", "b", "c", "d"),
    ("obj", "method", None, None), ("obj", "method", {}, ()), ("a", "b", 1.5, set()), ("it's", "é", ("x",), {}),
    nested(200, []), nested(199, 1), (nested(100, [1]), nested(150, ())), {"a": nested(198, 1)},
]  # fmt: skip


@pytest.mark.parametrize("value", WRITTEN, ids=lambda value: type(value).__name__)
def test_written(value: Any) -> None:
    text = serpent_writer.dumps(value)
    assert text is not None
    assert text == by_serpent(value)
    assert serpent_writer.dumps([value, (value,)]) == by_serpent([value, (value,)])


def circular(kind: type) -> Any:
    if kind is dict:
        value: Any = {}
        value["x"] = value
    else:
        value = []
        value.append(value)
    return value


LEFT = [
    object(), Color.RED, IntSub(5), [IntSub(5)], Odd(), ("a", "b", Odd(), {}), ("a", "b", (), Odd()), len, int, ...,
    collections.OrderedDict(a=1), collections.deque([1]), decimal.Decimal("1.5"), datetime.date(2020, 1, 1),
    uuid.UUID(int=1), ValueError("x"), {None: 1}, {frozenset(): 1}, {None}, {frozenset()}, {decimal.Decimal(1): 1},
    {Color.RED: 1}, circular(dict), circular(list), [circular(list)] * 3, nested(202, []), nested(201, 1),
    nested(100_000, 1), {"a": nested(200, 1), "b": 1}, 10**5000, [10**5000] * 20, memoryview(b"abcd")[::2],
]  # fmt: skip


@pytest.mark.parametrize("value", LEFT, ids=lambda value: type(value).__name__)
def test_left_to_the_serpent_package(value: Any) -> None:
    assert serpent_writer.dumps(value) is None


def test_level_of_nesting() -> None:
    """[SER-21]: where serpent refuses, also below brackets of bytes, strings and sets."""
    for depth in range(190, 210):
        for value in (
            nested(depth, 1),
            nested(depth, []),
            nested(depth, b"x"),
            [nested(depth, "(" * 500), {1: {2: 3}}],
        ):
            assert serpent_writer.dumps(value) == by_serpent(value)


def test_deep_stack() -> None:
    """A stack that is nearly used up is no error: the caller finds out by the serpent package."""

    def below(levels: int) -> Any:
        return below(levels - 1) if levels else serpent_writer.dumps(nested(150, 1))

    assert below(sys.getrecursionlimit() - 200) is None


def test_graph_that_changes() -> None:
    """Another thread may change the graph meanwhile: the text is that of some moment, or None."""
    value = {number: [number] for number in range(50)}
    stop = threading.Event()

    def change() -> None:
        number = 50
        while not stop.is_set():
            value[number] = [number]
            value.pop(number - 25, None)
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            text = serpent_writer.dumps(value)
            assert text is None or isinstance(serpent_reader.loads(text), dict)
    finally:
        stop.set()
        thread.join()


def test_recorded_payloads() -> None:
    """[SER-80]: what Pyro4 wrote is written again, unless there are sets in it, or classes."""
    same = 0
    for entry in json.loads((VECTORS / "p4-messages.json").read_text())["vectors"]:
        if entry.get("serializer") == "serpent" and "payload" in entry:
            data = bytes.fromhex(entry.get("payload_uncompressed_hex") or entry["payload_hex"])
            same += serpent_writer.dumps(serpent_reader.loads(data)) == data
    assert same > 40
