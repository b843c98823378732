"""The reader of serpent text: the same as ``serpent.loads``, but with bounds ([SER-18], [HRD-7], [SER-71])."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import pytest
import serpent

from pyrolite.serializers import serpent_reader

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "data"
HEADER = "# serpent utf-8 python3.2\n"
MODULUS = 2**61 - 1  # of the hashes of numbers


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
        if loads is serpent.loads:
            warnings.simplefilter("ignore")  # odd escapes
        try:
            return as_text(loads(data))
        except (ValueError, SyntaxError, TypeError, OverflowError):
            return None


def refused(text: str | bytes, match: str = "malformed serpent data") -> None:
    with pytest.raises(ValueError, match=match):
        serpent_reader.loads(text)


ACCEPTED = r"""
None | True | False | ... | [...] | () | (1,) | (1, 2) | (1, 2, ) | (1) | ((1)) | ((1,),) | [] | [1,] | [[], ()] | {}
{ } | {1} | {1, 2, } | {1: 2} | {1: 2, } | {(): []} | set() | set ( ) | [set(), 1] | {1: set()} | 1,2 | 1, | 'a',
{1,2,1.0,True} | {1: 2, True: 3} | {1: 1, 2: 2, 1.0: 3, 1: 4} | {'a': 1, 'b': 2, 'a': 3} | {1.5: 1, None: 2}
{'a': {1: {'b': {2: ()}}}} | 0 | 00 | -0 | +1 | - 1 | 1_000 | 0xFF | 0XfF_f | 0b101 | 0o17 | 0b_1
12345678901234567890 | -9223372036854775809 | 1.5 | .5 | 5. | 1e5 | 1E5 | 1e-7 | 1.5e+10 | -0.0 | 1e30000 | -1e30000
0777.5 | 00e1 | 1_0e1_0 | 5e-324 | 0.1 | 1j | -1j | 1+2j | -1-2j | (1+2j) | (-1.5e30000-1e30000j) | (-0.0-0j)
(-0.0+0j) | (1)+(2j) | -(1) | ((1)+(2j)) | 0777j | (1e5+1.5E5j) | [1+2j, (1+2j)] | 1_0j | {(1+2j): 1} | {1j}
1e400-1e400j | '' | "" | 'a' | "it's" | 'say "x"' | 'a\nb' | '\\' | '\'' | '\"' | "\'" | '\\\'' | 'a\\' | ['\\','\\']
'\t\r\b\f\a\v' | '\x41' | '\u20ac' | '\U0001f600' | '\ud83d\ude00' | '\ud800' | '\udc00' | '\N{BULLET}' | '\0'
'\101' | '\777' | '\8' | '\d' | '\/' | '\é' | '\x7f' | '\u007F' | '\u0000' | '\x00' | 'é€😀' | '\€' | r'\n' | R'\''
u'a' | U"a" | 'a' 'b' | 'a''b' | ('a' "b") | ['a' 'b', 'c'] | {'a' 'b': 'c' 'd'} | '''a'b''' | ''''a''' | QQQa"bQQQ
'''a\'''' | '' '' | 'None' | '(1,)' | 'True,False' | b'' | b'a' | b"\x00\xff" | b'\d' | b'\777' | b'\u1234' | rb'\n'
bR'\n' | Rb'x' | b'a' b'b' | b'a' rb'\b' | {b'a': b"b'"} | ('o','m',(),{}) | ('o','m',(1,),{})
('o','m',(1,2),{'a':1}) | ('o','m',('x',),{}) | ('o','m',([1],[2]),{'k':[(1,)]}) | ('o','m',(1),{})
('o','m',(1,[2,[3]]),{1:2}) | ('o','m',(None,True,False),{'null':None}) | ("o","m",("it's",),{})
('','',('',),{'':''}) | ('o','m',[],[]) | ('o','m',(),{'a':1},5) | ('o','m',(1,2,),{'a':{'b':{}}})
('o','m',('(',')','N','nu'),{'tr':'fa'}) | {'data': 'QUI=', 'encoding': 'base64'}
{'__class__':'float','value':'nan'} | [{'a':{1,2}},{'b':(1,)}] | {'a b': "x'y"}
""".replace("QQQ", '"""')
REFUSED = r"""
( | ) | (] | [) | {] | [1) | (1] | {1) | (,) | [,] | {,} | [1,,] | {1:2,,} | {1:2,3} | {1,2:3} | {1:} | {:1} | {1:2:3}
1: | ,1 | 1,, | (1]} | (1,2]} | {(1} | {'k':[1) | [(1,2]},{'k':[3)] | ('o','m',(1],{'k':[[2),{'a':1}],'z':[{'b':2}]})
{'a':1) | ('o','m',(,),{}) | ('o','m',(1,,),{}) | ('o','m',(1 2),{}) | ('o','m',(1,),{1}x) | ('o','m',(nul),{}) | a
set | set(1) | setx() | frozenset() | none | null | true | false | NaN | Infinity | -Infinity | nan | inf | [null]
[true] | {'a':null} | NoneNone | None1 | 1None | TrueFalse | nuNonell | -None | -True | +'a' | not 1 | ~1 | --1 | +-1
-(-1) | 1+1 | 1-2 | 1*2j | 1+2j+3j | 1j+2j | 1+-2j | -(1+2j) | True+1j | 1+True | 'a'+1j | 1 if 1 else 2 | lambda: 1
[x for x in ()] | (yield) | a.b | a[0] | a() | 'a'[0] | [1][0] | [1](2) | 'a'('b') | ().x | *() | (*(),) | {**{}}
[*[]] | f'a' | f"{1}" | fr'a' | 'a' f'b' | ur'a' | b'é' | t'a' | 'a' b'b' | b'a' 'b' | ('a') 'b' | 'a' ('b') | 'a | "a
'''a | ' | '''' | 'a\ | '\ | 'a\' | '\x4' | '\u12' | '\U0011ffff' | '\N{no such}' | b'\x4' | 0777 | 0_7 | 1_ | 1__0
1._5 | _1 | 0x | 0b2 | 0o8 | 0xg | 1e | 1e+ | 1.e | 1.5.5 | 1..5 | 1 2 | 1'a' | 'a'1 | 1a | 0j1 | . | .. | ....
. . . | 1.j. | ; | 1; | 1;2 | $ | ? | ! | @ | ` | \ | \1 | 1\ | x=1 | (x:=1) | a, b | : | {} {} | [] [] | () () | é
[é] | ١ | [１] | {{}} | {[]} | {[]: 1} | {{1}: 2} | {set()} | {1: 2}: | [1:2] | (1:2) | print | import os
__import__('os')
"""
LAYOUTS = [
    "", " ", "\n", "#", "# only a comment", "1\n", "1\n\n", "1 ", "1\t", "\t1", " 1", "\n1", "\n 1", "# c\n1",
    "# c\n 1", "1 # c", "1\n# c", "1\n # c\n", "1\n ", "1\n  \n", "1\n2", "1\n,2", "(1,\n2)", "(\n1\n,\n)",
    "[1, # c\n2]", "[\n]", "-\n1", "(-\n1)", "1\\\n", "1\\\n ", "\\\n1", " \\\n1", "\\\n 1", "(1,\\\n2)",
    "'a'\\\n'b'", "'a\\\nb'", "'a\nb'", "'''a\nb'''", '"""a\n\nb"""', "'''a\\\nb'''", "1\r", "1\r\n", "(1,\r2)",
    "'a\rb'", "'''a\r\nb'''", "'a\\\r\nb'", "\f1", "\f 1", "# c\n\f1", "# c\n \f1", "1\f", "1\n\f", "1\n\f 2", "\v1",
    "1\v", "\x1a", "1\x1a", "\ufeff1", "[\xa01]", "\u20281", "'\u2028'", "'\x01'", "'\t'", "'\x7f'", "['\x7f']",
    "('\x7f',)", "# c\\\n1", "# c\\\\\n1", "# it's\n1", "# \"\n'a'", "[1 # it's\n]", "['a' # 'b'\n,'c']",
    "['a'\n'b']", "# a\rb\n1", HEADER, HEADER + "\n1", HEADER + " 1", HEADER + "1\n", HEADER + HEADER + "1",
    "set(\n)", "{\n'a': 1\n}", "'a'#'b'", "'\\x\\\n41'", "'\\u20\\\nac'", "'\\\\\\\n'", "((\n1\n,),\n)",
    "[1]\n\n  # c\n\n",
]  # fmt: skip


@pytest.mark.parametrize("header", ["", HEADER])
def test_accepted(header: str) -> None:
    """[SER-18]: all literals."""
    for line in ACCEPTED.strip().split("\n"):
        for text in line.split(" | "):
            expected = outcome(serpent.loads, (header + text).encode())
            assert expected is not None, text
            for data in (header + text, (header + text).encode(), bytearray(f"{header}{text}\n".encode())):
                assert outcome(serpent_reader.loads, data) == expected, text
            assert outcome(serpent_reader._read_exactly, header + text) == expected, text
            others = [f"{header}[({text},), {{'k': [{text}]}}]", f"{header}('o','m',({text},),{{'k':{text}}})"]
            for junk in ("'", '"', "'x", '"x', "''", "x", "1", ",", ")", "]", "}", " ", "#'", "\\", "\n'", "'\n"):
                others += [header + text + junk, junk + text, f"{header}({text}{junk})"]
            for other in others:
                data = other.encode()
                assert outcome(serpent_reader.loads, data) == outcome(serpent.loads, data), data


@pytest.mark.parametrize("header", ["", HEADER])
def test_refused(header: str) -> None:
    """[SER-18]: names, calls, operators, and all that is no Python at all."""
    for line in REFUSED.strip().split("\n"):
        for text in line.split(" | "):
            assert outcome(serpent.loads, (header + text).encode()) is None, text
            refused(header + text)
            refused(memoryview(text.encode()))
            refused(f"[{text}")
            for inside in (
                f"{header}[{text}]".encode(),
                f"({text},)".encode(),
                f"('o','m',({text}),{{'k':{text}}})".encode(),
            ):
                assert outcome(serpent_reader.loads, inside) == outcome(serpent.loads, inside), inside


@pytest.mark.parametrize("text", LAYOUTS, ids=ascii)
def test_layout(text: str) -> None:
    """[SER-18]: blanks, line ends and comments are where Python has them."""
    for data in (text.encode(), f"[{text}]".encode(), f"('a', {text} )".encode()):
        assert outcome(serpent_reader.loads, data) == outcome(serpent.loads, data)


@pytest.mark.parametrize("name", ["p4-messages", "p4-values"])
def test_recorded_payloads(name: str) -> None:
    """[SER-80]: all that peers were seen to send."""
    count = 0
    for entry in json.loads((VECTORS / f"{name}.json").read_text())["vectors"]:
        text = entry.get("payload_uncompressed_hex") or entry.get("payload_hex") or entry.get("hex")
        if entry.get("serializer") == "serpent" and text:
            data = bytes.fromhex(text)
            assert outcome(serpent_reader.loads, data) == outcome(serpent.loads, data), entry["id"]
            count += 1
    assert count > 40


def test_bytes_of_all_kinds() -> None:
    """[SER-10] (d): the base64 dict stays a dict; bytes literals are bytes ([SER-13])."""
    data = bytes(range(256)) * 3
    for value in (data, [data], {"k": data}, ("o", "m", (data,), {})):
        for bytes_repr in (False, True):
            text = serpent.dumps(value, bytes_repr=bytes_repr)
            assert serpent_reader.loads(text) == serpent.loads(text)
    assert serpent_reader.loads(serpent.dumps(b"ab")) == {"data": "YWI=", "encoding": "base64"}


@pytest.mark.parametrize(
    "data",
    [b"\0", b"1\0", b"'\0'", b"# \0\n1", b"['a\0']", b"('o','m',('\0',),{})", b"(\0,\0,('a','b'),{})", b"\xff",
     b"'\xff'",     b"\xed\xa0\x80", b"'\xed\xa0\x80'", b"\xc0\x80", b"'\xe2\x82'", 5, None, [b"1"], "\ud800", "'a\0'"],
)  # fmt: skip
def test_no_text(data: Any) -> None:
    """[SER-18]: NUL is an error, and so is all that is no UTF-8."""
    refused(data)


def test_depth() -> None:
    """[SER-71]: 200 brackets inside of each other, whatever they are; all ways, also with many that are not."""
    many = "[" + "[],()," * 300 + "]"
    for opening, closing in [
        ("[", "]"),
        ("(", ")"),
        ("(", ",)"),
        ("{'a':", "}"),
        ("[(", ")]"),
        ("[{1:", "}]"),
        ("[(1,", ")]"),
    ]:
        levels = 200 // len([bracket for bracket in opening if bracket in "([{"])
        for inner in ("1", "'a'", "'it\\'s'", "1j", "b'x'"):
            text = opening * levels + inner + closing * levels
            assert as_text(serpent_reader.loads(text))
            refused(f"[{text}]", "too deep")
            refused(f"({text},{many})", "too deep")
            refused(f"('o','m',({text},),{{}})", "too deep")
            refused(f"{HEADER}('o','m',({text},),{{}})", "too deep")
            refused(f"{HEADER}('o','m',(1,{text}),{{}})", "too deep")
        assert serpent_reader.loads(f"[{'[' * 198}{']' * 198},{many}]")
    for bracket in "([{":
        refused(bracket * 100_000, "too deep")
        refused(bracket * 100_000 + "1" + ")" * 100_000, "too deep")
    refused("[" * 100_000 + "]" * 100_000, "too deep")


def test_deep_stack() -> None:
    """A stack that is nearly used up does not matter to the exact reader."""

    def below(levels: int) -> Any:
        return below(levels - 1) if levels else serpent_reader.loads("[" * 150 + "'a'" + "]" * 150)

    assert as_text(below(800))


def test_integers() -> None:
    """[SER-10]: Python's own limit of 4300 digits is an error, for decimal ones."""
    assert serpent_reader.loads("9" * 4300) == 10**4300 - 1
    assert serpent_reader.loads("0x" + "f" * 10_000) == 16**10_000 - 1
    for text in ("9" * 4301, "[-" + "9" * 4301 + "]", "('o','m',(" + "9" * 4301 + ",),{})", "{1:" + "9" * 4301 + "}"):
        refused(text)
    assert serpent_reader.loads("9" * 4301 + ".0") == float("inf")


@pytest.mark.parametrize("form", ["{%s}", "('o','m',({%s},),{})", "[{%s},1j,b'']", "{%s,}", "{%s,'a'}"])
def test_colliding_integers(form: str) -> None:
    """[HRD-9]: more than 1000 integers above 64 bits as keys of one container are refused."""
    numbers = [MODULUS * (2**10 + number) for number in range(1001)]
    for separator in (",", ":1,"):
        items = separator.join(map(str, numbers))
        if separator == ":1,":
            items = items + ":1" if "'a'" not in form else items + ":1,1:1"
            form = form.replace(",'a'", ",'a':1")
        refused(form % items, "too many large integers as keys")
    assert serpent_reader.loads(f"[{','.join(map(str, numbers))}]") == numbers
    assert len(serpent_reader.loads("{" + ",".join(map(str, numbers[:1000])) + "}")) == 1000
    assert len(serpent_reader.loads("{" + ",".join(str(2**62 + number) for number in range(3000)) + "}")) == 3000
    assert len(serpent_reader.loads("{" + ",".join(f"{2**62 + number}:1" for number in range(3000)) + "}")) == 3000


def test_colliding_compound_keys() -> None:
    """[HRD-9]: the same with keys of which the hash is just as well known."""
    twins = [complex(-1_000_003.0 * number, float(number)) for number in range(3000)]
    start = time.monotonic()
    for keys in (twins, [(number,) for number in twins]):
        refused("{" + ",".join(map(repr, keys)) + "}", "too many keys with the same hash")
        refused("{" + ",".join(f"{key}:1" for key in keys) + "}", "too many keys with the same hash")
    assert time.monotonic() - start < 10
    assert len(serpent_reader.loads("{" + ",".join(f"({number},'a'):1" for number in range(3000)) + "}")) == 3000


SLOW = {
    "strings side by side": "'a' " * 100_000,
    "bytes side by side": "b'a' " * 100_000,
    "comments": "# c\n" * 100_000 + "1",
    "comments with backslashes": "#\\\\\n" * 100_000 + "1",
    "comments that go on": "#\\\n" * 100_000 + "1",
    "continued lines": "(" + "\\\n" * 100_000 + ")",
    "blanks": "(" + " " * 1_000_000,
    "quotes": "'" * 300_001,
    "hidden quotes": "'" + "\\'" * 200_000,
    "hidden quotes, with an end": "'" + "\\'" * 200_000 + "'",
    "double backslashes": "'" + "\\\\" * 200_000 + "'",
    "digits, then none": "1" * 1_000_000 + "x",
    "underscores": "1" + "_1" * 500_000 + "x",
    "fraction": "0." + "1" * 1_000_000 + "x",
    "exponent": "1e" + "1" * 1_000_000 + "x",
    "float with many digits": "1" * 1_000_000 + ".5",
    "set, then none": "set(" + " " * 1_000_000,
    "brackets": "[" * 200_000,
    "pairs of brackets": "[" + "()," * 200_000 + "]",
    "columns of brackets": "[" + ("[" * 190 + "]" * 190 + ",") * 1_000 + "]",
    "braces without an end": "[" + "{1," * 100_000,
    "open sets": "{1," * 199 + "1" * 300_000,
    "signs": "[" + "-" * 300_000 + "1]",
    "signs of numbers": "[" + "-1," * 200_000 + "]",
    "colons": "{" + "1:" * 200_000 + "}",
    "complex numbers": "[" + "(1+1j)," * 50_000 + "]",
    "half a complex number": "[" + "(1+" * 100_000 + "]",
    "triple quotes": "'''" + "''" * 100_001,
    "names": "[" + "None," * 200_000 + "]",
    "triple strings": "(" + "'''a'''," * 100_000 + ")",
    "odd escapes": "'" + "\\d" * 200_000 + "'",
    "octal escapes": "b'" + "\\777" * 200_000 + "'",
    "unicode escapes": "'" + "\\u20ac" * 200_000 + "'",
}


@pytest.mark.parametrize("kind", SLOW)
def test_linear_time(kind: str) -> None:
    """[HRD-7]: no text of half a megabyte takes long (quadratic ones would take minutes)."""
    start = time.monotonic()
    assert outcome(serpent_reader.loads, SLOW[kind]) != ""
    assert time.monotonic() - start < 10


def test_linear_memory() -> None:
    """[HRD-7]: what is read takes more memory than the reading (``ast`` takes 2 GB for 12 MB)."""
    for item in ("1,", "1j,", "'a',", "{1},"):
        text = "[" + item * 10_000 + "]"
        tracemalloc.start()
        try:
            value = serpent_reader.loads(text)
            size, peak = tracemalloc.get_traced_memory()
            assert peak < size + 40 * len(text) + 500_000
        finally:
            tracemalloc.stop()
        assert len(value) == 10_000


def test_garbage_collector_is_left_alone() -> None:
    """[SER-71]: serpent switches it on."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        serpent_reader.loads("[1, 1j, 'a']")
        refused("[1, x]")
        assert not gc.isenabled()
    finally:
        if enabled:
            gc.enable()
