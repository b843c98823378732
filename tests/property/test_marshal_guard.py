"""[SER-70] [HRD-1]: the marshal guard lets all data pass, and nothing else."""

from __future__ import annotations

import itertools
import marshal
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrolite.serializers import marshal_guard

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary(max_size=80)
    | st.sampled_from(["obj", "a", 1, 2, "\ud800", "r\x01\0\0\0", b"r\0\0\0\0", "x" * 300])
)
HASHABLES = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=6)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(HASHABLES, inner, max_size=4)
        | st.sets(HASHABLES, max_size=4)
        | inner.map(lambda value: [value] * 2)
    ),
    max_leaves=30,
)
UNIFORM = st.lists(
    st.integers(-3, 300) | st.floats(allow_nan=False) | st.sampled_from(["a", "b", None]), max_size=3, min_size=1
).flatmap(lambda some: st.lists(st.sampled_from(some), min_size=30, max_size=400))

WITHOUT_DEADLINE = settings(deadline=None)

# As many as one likes: PYROLITE_FUZZ_CASES=100000.
CASES = int(os.environ.get("PYROLITE_FUZZ_CASES", "6000"))


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right and repr(left) == repr(right)


@given(VALUES, st.integers(0, 4))
@WITHOUT_DEADLINE
def test_what_marshal_writes_is_read(value: Any, version: int) -> None:
    """[SER-20]: all versions of the format."""
    data = marshal.dumps(value, version)
    assert same(marshal_guard.loads(data), marshal.loads(data))
    marshal_guard._scan(data)


@given(VALUES, st.dictionaries(st.text(max_size=5), VALUES, max_size=2))
@WITHOUT_DEADLINE
def test_calls_are_read_from_any_buffer(value: Any, kwargs: Any) -> None:
    call = ("obj", "method", (value, 1, 1, "obj"), kwargs)
    data = marshal.dumps(call, 4)
    assert marshal_guard.loads(bytearray(data)) == call
    assert marshal_guard.loads(memoryview(data)) == call
    assert marshal_guard.loads(memoryview(b"xx" + data)[2:]) == call


@given(st.lists(UNIFORM, min_size=1, max_size=4).map(lambda runs: list(itertools.chain(*runs))), st.booleans())
@WITHOUT_DEADLINE
def test_uniform_runs_are_read(values: list[Any], nested: bool) -> None:
    data = marshal.dumps((values, tuple(values), set(values)) if nested else values, 4)
    marshal_guard._scan(data)
    assert same(marshal_guard.loads(data), marshal.loads(data))


@given(VALUES, st.data())
@settings(max_examples=50, deadline=None)
def test_no_part_of_a_value_is_a_value(value: Any, data: st.DataObject) -> None:
    whole = marshal.dumps(value, 4)
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for text in (part, whole + b"N", whole + whole, whole + b"0", b"N" + whole):
        with pytest.raises(ValueError, match="malformed marshal data"):
            marshal_guard.loads(text)
        with pytest.raises(ValueError, match="malformed marshal data"):
            marshal_guard._scan(text)


@pytest.mark.timeout(600)
def test_broken_data_does_no_harm(pytestconfig: pytest.Config) -> None:
    """[HRD-1]: mutations of payloads, random tokens and random bytes, in a process that must not need 600 MB.

    The expression for small payloads and the scan are two implementations: they have to agree.
    """
    program = pathlib.Path(__file__).with_name("marshal_fuzz.py")
    seed = os.environ.get("PYROLITE_FUZZ_SEED", "1")
    result = subprocess.run(  # a crash is a negative return code
        [sys.executable, str(program), seed, str(CASES)], capture_output=True, text=True, timeout=590, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    accepted, refused, by_expression = map(int, result.stdout.split())
    assert accepted > CASES // 10
    assert refused > CASES // 2
    assert by_expression > CASES // 10
