"""Feed random and broken marshal data to the guard, with little memory: ``marshal_fuzz.py SEED CASES``.

Prints how many were accepted and refused; a crash, a large allocation or another error ends the process before.
"""

from __future__ import annotations

import marshal
import random
import resource
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyrolite.serializers import marshal_guard

CODES = b"NTFiIlfgxystuaAzZ()[{0<>rcS.:?"
TYPES = (type(None), bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset)


def random_value(rnd: random.Random, level: int = 0, hashable: bool = False) -> object:
    kind = rnd.randrange(20 if level < 4 else 11)
    if kind < 4:
        return rnd.choice([None, True, False, 0, 1, 1, 2, "a", "a", "key", b"x", 1.5])
    if kind == 4:
        return rnd.randrange(-(2**80), 2**80)
    if kind == 5:
        return rnd.randrange(-(2**31), 2**31)
    if kind == 6:
        return rnd.random()
    if kind == 7:
        return complex(rnd.randrange(3), rnd.random())
    if kind == 8:
        return rnd.choice(["é", "\ud800", "text" * 5, "x" * 300, "€" * 20, "r\x01\0\0\0", "\0"])
    if kind == 9:
        return bytes(rnd.randrange(256) for _ in range(rnd.choice([0, 1, 5, 70])))
    if kind == 10:
        return f"name {rnd.randrange(30)}"
    size = rnd.choice([0, 1, 1, 2, 2, 3, 4, 4, 40, 100])
    if size > 4:
        level = 9
    if kind == 11:
        return frozenset(random_value(rnd, level + 1, hashable=True) for _ in range(size))
    if hashable or kind == 12:
        return tuple(random_value(rnd, level + 1, hashable=hashable) for _ in range(size))
    if kind == 13:
        return {random_value(rnd, level + 1, hashable=True) for _ in range(size)}
    if kind in (14, 15):
        return [random_value(rnd, level + 1) for _ in range(size)]
    if kind in (18, 19) and not hashable:
        return random_rows(rnd)
    if kind == 16:
        same = random_value(rnd, level + 1)
        return [same] * size
    return {random_value(rnd, level + 1, hashable=True): random_value(rnd, level + 1) for _ in range(size)}


def random_rows(rnd: random.Random) -> list[object]:
    """What is skipped in steps of many values: rows of one form, or plain values."""
    form = rnd.randrange(3)
    rows: list[object] = []
    for number in range(rnd.choice([15, 33, 100])):
        row = [rnd.choice([number * 1000 + rnd.randrange(900), float(number), None, f"k{number}"]) for _ in range(3)]
        rows += [tuple(row)] if form == 0 else [dict(zip(("a", "b", 1), row, strict=True))] if form == 1 else row
    return rows


def payload(rnd: random.Random) -> bytes:
    value = random_rows(rnd) if rnd.random() < 0.2 else random_value(rnd)
    if rnd.random() < 0.5:
        value = ("obj", "method", (value, 1, 1, "obj"), rnd.choice([{}, {"key": value}]))
    return marshal.dumps(value, rnd.choice([4, 4, 4, 3, 2, 2, 2, 1, 0]))


def token(rnd: random.Random) -> bytes:
    """Make a token that may be valid; counts are mostly small and sometimes absurd."""
    code = rnd.choice(CODES) if rnd.random() < 0.3 else rnd.choice(b"NNiiggzzzr))){[(<>00rrrrr")
    count = rnd.choice([0, 1, 1, 2, 2, 3, 4, 5])
    if rnd.random() < 0.03:
        count = rnd.choice([255, 256, 70000, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 3])
    head = bytes([code | rnd.choice([0, 0, 0x80])])
    long_count = struct.pack("<I", count & 0xFFFFFFFF)
    content = bytes(rnd.randrange(256) for _ in range(min(count, 8)))
    if code in b"i":
        return head + struct.pack("<i", rnd.choice([0, 1, 7, -1, 2**31 - 1, 0x72]))
    if code in b"Ig":
        return head + content.ljust(8, b"\0")[:8]
    if code in b"y":
        return head + struct.pack("<dd", 1.0, rnd.random())
    if code in b"l":
        return head + long_count + bytes(rnd.choice([0, 1, 0x7F]) for _ in range(2 * min(count, 8)))
    if code in b"stuaA":
        return head + long_count + content
    if code in b"zZ":
        return head + bytes([count & 0xFF]) + content
    if code in b"fx":
        text = rnd.choice([b"\x031.5", b"\x02-2", b"\x00", b"\x03nan"])
        return head + text + (text if code in b"x" else b"")
    if code in b"([<>":
        return head + long_count
    if code in b")":
        return head + bytes([count & 0xFF])
    if code in b"r":
        return head + long_count
    return head


def broken(rnd: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rnd.choice([1, 1, 1, 2, 4])):
        pos = rnd.randrange(len(changed) + 1)
        what = rnd.randrange(8)
        if what == 0:
            del changed[pos:]
        elif what == 1:
            changed[pos:pos] = token(rnd)
        elif what == 2:
            other = payload(rnd)
            start = rnd.randrange(len(other))
            changed[pos:pos] = other[start : start + rnd.randrange(20)]
        elif pos < len(changed):
            if what == 3:
                changed[pos] ^= 0x80
            elif what == 4:
                changed[pos] = rnd.randrange(256)
            elif what == 5:
                changed[pos] = (changed[pos] + rnd.choice([-1, 1])) & 0xFF
            elif what == 6:
                changed[pos] = rnd.choice(CODES)
            else:
                changed[pos : pos + rnd.choice([1, 5])] = token(rnd)
    return bytes(changed)


def case(rnd: random.Random) -> bytes:
    kind = rnd.randrange(10)
    if kind == 0:
        return payload(rnd)
    if kind < 6:
        return broken(rnd, payload(rnd))
    if kind < 9:
        head = rnd.choice(
            [b"", b"", b")\x04\xda\x01o\xda\x01m\xa9\x02", b"\xdb\x03\0\0\0", b")\x02", b"\xa9\x01<\x01\0\0\0"]
        )
        return head + b"".join(token(rnd) for _ in range(rnd.randrange(12)))
    return bytes(rnd.randrange(256) for _ in range(rnd.randrange(30)))


def as_text(value: object) -> str:
    """Text that is the same for equal values; sets with a NaN have no order that can be repeated."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({sorted(map(as_text, value))})"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}({', '.join(map(as_text, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{as_text(key)}: {as_text(item)}' for key, item in value.items())})"
    return ascii(value)


def outcome(data: bytes) -> str | None:
    """The value as text, None when refused; a value contains data only, and never itself."""
    try:
        value = marshal_guard.loads(data)
    except ValueError as error:
        if not str(error).startswith("malformed marshal data"):
            raise
        return None
    seen: set[int] = set()

    def check(item: object) -> None:
        assert type(item) in TYPES, item
        assert id(item) not in seen, "a container is inside of itself"
        if isinstance(item, (tuple, list, set, frozenset, dict)):
            seen.add(id(item))
            for part in item:
                check(part)
            if isinstance(item, dict):
                for part in item.values():
                    check(part)
            seen.discard(id(item))

    check(value)
    return as_text(value)


def main(seed: int, cases: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
    sys.setrecursionlimit(3000)
    small = marshal_guard._SMALL
    rnd = random.Random(seed)
    accepted = refused = by_expression = 0
    for number in range(cases):
        data = case(rnd)
        try:
            marshal_guard._SMALL = small
            expected = outcome(data)
            by_expression += len(data) <= small and marshal_guard._has_safe_tokens(data) is not None
            marshal_guard._SMALL = -1  # the scan alone
            assert outcome(data) == expected, "the two ways disagree"
            if expected is not None:
                assert as_text(marshal.loads(data)) == expected, "the loader disagrees"
        except BaseException:
            print("case", number, "of seed", seed, data.hex(), file=sys.stderr)
            raise
        accepted += expected is not None
        refused += expected is None
    print(accepted, refused, by_expression)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
