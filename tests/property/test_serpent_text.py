"""[SER-18] [HRD-7]: the reader of serpent text is ``serpent.loads``, the writer ``serpent.dumps``, for all input."""

from __future__ import annotations

import itertools
import os
import random
import warnings
from typing import Any

import serpent
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrolite.serializers import serpent_reader, serpent_writer

# As many texts as one likes: PYROLITE_FUZZ_CASES=100000.
CASES = int(os.environ.get("PYROLITE_FUZZ_CASES", "6000"))
SEED = int(os.environ.get("PYROLITE_FUZZ_SEED", "1"))

STRINGS = (
    st.text() | st.text("ab'\"\\\n\t\r\0\x7f\x85é€\U0001f600\ud800 (){}[],:#") | st.sampled_from(["a", "None", "it's"])
)
NUMBERS = (
    st.integers()
    | st.integers(-(2**100), 2**100)
    | st.floats()
    | st.complex_numbers()
    | st.sampled_from([0, 1, -1, 0.0, -0.0, float("inf"), float("-inf"), 1e-7, complex(-0.0, -0.0)])
)
ATOMS = st.none() | st.booleans() | NUMBERS | STRINGS
KEYS = st.recursive(st.booleans() | NUMBERS | STRINGS, lambda inner: st.tuples(inner, inner | st.none()), max_leaves=4)
VALUES = st.recursive(
    ATOMS | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(STRINGS, inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.lists(ATOMS, min_size=8, max_size=12)
        | st.lists(NUMBERS, min_size=8, max_size=12)
        | st.sets(st.integers() | STRINGS, min_size=8, max_size=12)
    ),
    max_leaves=20,
)
CALLS = st.tuples(
    STRINGS, STRINGS, st.lists(VALUES, max_size=3).map(tuple), st.dictionaries(STRINGS, VALUES, max_size=2)
)
BATCHES = st.tuples(
    STRINGS,
    st.just("<batch>"),
    st.lists(
        st.tuples(STRINGS, st.lists(ATOMS, max_size=3).map(tuple), st.dictionaries(STRINGS, ATOMS, max_size=2))
        | st.tuples(STRINGS, st.lists(VALUES, max_size=2).map(tuple), st.none())
    ),
    st.none(),
)
WITHOUT_DEADLINE = settings(deadline=None)


def as_text(value: Any) -> str:
    """Text that is the same for values of the same types and contents; the order of sets does not matter."""
    if isinstance(value, set):
        return f"set({sorted(map(as_text, value))})"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}({', '.join(map(as_text, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{as_text(key)}: {as_text(item)}' for key, item in value.items())})"
    return ascii(value)


def outcome(loads: Any, data: Any) -> str | None:
    """The value, or None for an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if loads is serpent.loads else "error")  # odd escapes
        try:
            return as_text(loads(data))
        except (ValueError, SyntaxError, TypeError, OverflowError):
            return None


def check(text: str) -> bool:
    """Compare the readers; True: it is a literal."""
    data = text.encode("utf-8", "surrogatepass")
    expected = outcome(serpent.loads, data)
    assert outcome(serpent_reader.loads, data) == expected, ascii(text)
    return expected is not None


@given(VALUES | CALLS | BATCHES, st.booleans(), st.booleans(), st.booleans())
@WITHOUT_DEADLINE
def test_what_serpent_writes_is_read(value: Any, indent: bool, bytes_repr: bool, header: bool) -> None:
    data = serpent.dumps(value, indent=indent, module_in_classname=True, bytes_repr=bytes_repr)
    if not header:
        data = data.partition(b"\n")[2]
    expected = outcome(serpent.loads, data)
    assert outcome(serpent_reader.loads, data) == expected
    assert outcome(serpent_reader.loads, bytearray(data)) == expected
    assert outcome(serpent_reader.loads, memoryview(b"x" + data)[1:]) == expected
    assert outcome(serpent_reader._read_exactly, data.decode()) == expected


@given(VALUES | CALLS | BATCHES)
@WITHOUT_DEADLINE
def test_what_serpent_writes_is_written(value: Any) -> None:
    data = serpent_writer.dumps(value)
    assert data == serpent.dumps(value, module_in_classname=True)


class Unknown:
    """Of a class that serpent can write."""


@given(
    st.recursive(
        VALUES | st.sampled_from([Unknown(), object(), range(3), ..., ValueError("x")]) | st.binary().map(bytearray),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.frozensets(st.integers()), inner, max_size=2),
    )
)
@WITHOUT_DEADLINE
def test_the_writer_writes_the_same_or_nothing(value: Any) -> None:
    data = serpent_writer.dumps(value)
    assert data is None or data == serpent.dumps(value, module_in_classname=True)


@given(STRINGS, st.sampled_from(["", "b", "r", "u", "rb", "Rb", "f"]), st.sampled_from(["'", '"', "'''", '"""']))
@settings(deadline=None, max_examples=500)
def test_string_literals(body: str, prefix: str, quote: str) -> None:
    check(f"{prefix}{quote}{body}{quote}")
    check(f"[{prefix}{quote}\\{body}{quote}]")


@given(st.text("0123456789_.eEjJ+-xXobBoOaF", min_size=1, max_size=8))
@settings(deadline=None, max_examples=1000)
def test_numbers(text: str) -> None:
    check(text)
    check(f"({text},[{text}])")


def test_all_short_texts() -> None:
    """Brackets, commas and colons in every order: the shortcuts must not confuse them."""
    tokens = ["(", ")", "[", "]", "{", "}", ",", ":", "1", "'k'"]
    literals = sum(check("".join(text)) for size in range(1, 5) for text in itertools.product(tokens, repeat=size))
    assert literals > 50


TOKENS = [
    *"()[]{},:'\"\\ \n\t#+-.0123456789eEjJxXbBrRuUNTFs_é€\f\r", "None", "True", "False", "set()", "...", "'''", '"""',
    "1+2j", "'a'", "b'a'", "\\n", "\\x41", "\\u20ac", "\\\n", "\\N{BULLET}", "#c\n", "1.5", "-1", "(1,)", "{1:2}",
    "{1}", "[]", "()", "null", "NaN", "\x7f", "\\x7f", "{'k':", "],", "),", "},",
]  # fmt: skip


ODD_VALUES = [
    None, True, False, 0, 1, -1, "a", "it's", 'say "x"', "both ' \" ", "\\", "a\nb", "é€", "\U0001f600", "\ud800", 1.5,
    "", float("inf"), -0.0, 1e-7, 2**70, -(2**63), 1j, complex(float("-inf"), 2), b"bytes", b"\x00'\"",
]  # fmt: skip


def random_value(rnd: random.Random, level: int = 0) -> Any:
    kind = rnd.randrange(14 if level < 4 else 9)
    if kind < 3:
        return rnd.choice(ODD_VALUES)
    if kind == 3:
        return rnd.randrange(-(10**6), 10**6)
    if kind == 4:
        return rnd.random() * 10 ** rnd.randrange(-20, 20)
    if kind == 5:
        return "".join(rnd.choice("ab'\"\\\n\t\0é€\x7f \U0001f600(){}[],:") for _ in range(rnd.randrange(12)))
    if kind < 8:
        return f"key{rnd.randrange(5)}"
    if kind == 8:
        return complex(rnd.random(), -rnd.random())
    size = rnd.choice([0, 1, 1, 2, 3, 4])
    if kind == 9:
        return tuple(random_value(rnd, level + 1) for _ in range(size))
    if kind == 10:
        return [random_value(rnd, level + 1) for _ in range(size)]
    if kind < 13:
        return {random_key(rnd): random_value(rnd, level + 1) for _ in range(size)}
    return {random_key(rnd) for _ in range(size)}


def random_key(rnd: random.Random) -> Any:
    return rnd.choice(
        [
            *(f"key{number}" for number in range(5)),
            rnd.randrange(100),
            rnd.random(),
            (rnd.randrange(3), "x"),
            True,
            2**70,
            1j,
        ]
    )


def random_text(rnd: random.Random) -> str:
    kind = rnd.randrange(10)
    if kind == 0:
        return "".join(rnd.choice(TOKENS) for _ in range(rnd.randrange(1, 12)))
    value = random_value(rnd)
    if kind < 4:
        value = ("obj", rnd.choice(["method", "it's"]), (value,) * rnd.randrange(3), rnd.choice([{}, {"k": value}]))
    elif kind == 4:
        calls = [(f"m{number}", (value, number)[: rnd.randrange(3)], {}) for number in range(rnd.randrange(4))]
        value = ("obj", "<batch>", calls, None)
    text = serpent.dumps(value, rnd.random() < 0.2, module_in_classname=True, bytes_repr=rnd.random() < 0.3).decode()
    if rnd.random() < 0.3:
        text = text.partition("\n")[2]
    for _ in range(rnd.choice([0, 1, 1, 2, 3])):
        pos = rnd.randrange(len(text) + 1)
        what = rnd.randrange(6)
        if what == 0:
            text = text[:pos] + text[pos + 1 :]
        elif what == 1:
            text = text[:pos] + rnd.choice(TOKENS) + text[pos:]
        elif what == 2:
            text = text[:pos] + rnd.choice(TOKENS) + text[pos + 1 :]
        elif what == 3:
            start = rnd.randrange(len(text) + 1)
            text = text[:pos] + text[start : start + rnd.randrange(6)] + text[pos:]
        elif what == 4 and rnd.random() < 0.3:
            text = text[:pos]
        else:
            brackets = [pos for pos, char in enumerate(text) if char in "()[]{}"]
            for _ in range(rnd.choice([1, 2, 2, 3])):
                if brackets:
                    pos = rnd.choice(brackets)
                    text = text[:pos] + rnd.choice("()[]{}") + text[pos + 1 :]
    return text


def test_broken_texts() -> None:
    """Texts of serpent with changes, and random tokens: both readers give the same value, or both refuse it."""
    rnd = random.Random(SEED)
    literals = sum(check(random_text(rnd)) for _ in range(CASES))
    assert CASES // 10 < literals < CASES * 9 // 10


def test_brackets_in_calls() -> None:
    """In calls round brackets are read as square ones: never when the brackets do not belong together."""
    rnd = random.Random(SEED)
    tokens = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ",",
        "1",
        "'k'",
        "'a':",
        "(1,)",
        "[1]",
        "{'k':",
        "None",
        "-1",
        "{1:2}",
        "{1}",
    ]
    forms = [
        "('o','m',(%s),{%s})",
        "(%s%s)",
        "[%s,%s]",
        "{'k':[%s],'j':(%s)}",
        "([%s),(%s])",
        "('o','it\\'s',(%s),{%s})",
    ]
    literals = 0
    for _ in range(CASES):
        parts = ["".join(rnd.choice(tokens) for _ in range(rnd.randrange(6))) for _ in range(2)]
        literals += check(rnd.choice(forms) % tuple(parts))
    assert literals > CASES // 30


def test_escapes() -> None:
    """Backslashes before and behind everything."""
    rnd = random.Random(SEED)
    chars = [*"\\\\\\xuUntb07fF41d8'\"\n\ré/N{}a \x7f\t()", "None"]
    forms = [
        "'%s'",
        '"%s"',
        "['%s','%s']",
        "(\"%s\",'%s')",
        "('o','m',('%s',),{'%s':1})",
        "('%s','m',(1,),{})",
        "b'%s'",
    ]
    forms += ["{'%s':{'%s'}}", "'''%s'''", "r'%s'", "[\"%s\" '%s']", "[b\"%s\",'%s']"]
    literals = 0
    for _ in range(CASES):
        form = rnd.choice(forms)
        parts = ["".join(rnd.choice(chars) for _ in range(rnd.randrange(8))) for _ in range(form.count("%s"))]
        literals += check(form % tuple(parts))
    assert literals > CASES // 10


def test_calls_with_something_else() -> None:
    """Quotes, brackets, comments and line ends in, before and behind calls and other short texts."""
    rnd = random.Random(SEED)
    tokens = [
        "'",
        "'",
        '"',
        "'a'",
        "'it\\'s'",
        '"x"',
        ",",
        "1",
        "None",
        "\n",
        " ",
        "#",
        "\\",
        "\\'",
        "b",
        "-",
        "1j",
        *"[]{}()",
    ]
    texts = [
        "('o','m',(1,),{})",
        "('o','m',('x',2),{'k':'v'})",
        "('o','m',(),{})",
        "['a',('b',)]",
        "{'a':(1,2)}",
        "'s'",
    ]
    texts += [
        "('o','it\\'s',(1,),{})",
        "('o','m',([1],),{'a':{1,2}})",
        "# serpent utf-8 python3.2\n('o','m',('x',),{})",
    ]
    literals = 0
    for _ in range(CASES):
        text = rnd.choice(texts)
        for _ in range(rnd.choice([1, 1, 2, 3])):
            pos = rnd.choice([0, len(text), rnd.randrange(len(text) + 1)])
            text = text[:pos] + rnd.choice(tokens) + text[pos + (rnd.random() < 0.3) :]
        literals += check(text)
    assert literals > CASES // 30
