"""Regular expressions of clients are harmless, or refused ([NS-15], [HRD-17])."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import pytest

from pyrolite.errors import NamingError
from pyrolite.naming import patterns
from pyrolite.naming.patterns import checked_pattern

ACCEPTED = [
    "", "ab", "ab$", "^$", r"http\.", ".*m2", ".*foo.*", "foo.*bar", ".*foo.*bar", ".*a.*b.*c.*", r"^(a|b)\..+$",
    r"[^.]+\.[^.]+", r"(?:[^.]+\.)*x", r"(\w+\.)+\w+$", r"([a-z]+_)*[a-z]+\Z", "(foo|bar)+baz", "a{2,5}b", "x?",
    "(a|ab)c",
    "(?!foo).*", "(?!.*test).*", ".*(one|two)$", "(?i)abc.*", r"\w+\s+\w+", r"(.)\1", "obj_[0-9a-f]{32}$", ".*?x",
    r"interop\.r\d", "(?P<kind>[a-z]+)-(?P=kind)", "(a)?(?(1)b|c)", "[\u4e00-\u9fff]+x", r"(?:ab?c)*d", "(a{3}){4}b",
    r"\bword\b.*", "(?s:.)*x", "(?i:abc)+d",
]  # fmt: skip
REFUSED = [
    "(a+)+", "(a+)+$", "(a*)*b", "(a|a)*b", "(a|aa)+$", "(.*)*x", r"(\w+\s?)+$", "a*a*a*a*b", "a?" * 30 + "a" * 30,
    "(.*a){10}", "(x+x+)+y", "((a{0,100})?b){0,50}c", "(a?){50}a{50}", r"(\d+|\w+)*!", "(?:.*,){11}P",
    "^(([a-z])+.)+[A-Z]([a-z])+$", "(?:a+b?)+c", "(|a)+b", "(?:^)*a", "([a-zA-Z]+)*$", "(.*?,){12}x",
    "(?i)(k+\u212a+)+x",
    "(?:(?=a*b)a?)*c", "(a{1,50}){1,50}b", r"([^.]+\.?)+x", "(.|\n)*.*.*.*x", "(?:a|b|ab)*c",
]  # fmt: skip


@pytest.mark.parametrize("regex", ACCEPTED)
def test_accepted(regex: str) -> None:
    """[NS-12] Usual expressions work as with Python's ``re.match``."""
    names = ["", *"a ab abc foo foo.bar http.x a.b.x aab aabbcc foobarbaz x ac".split(), "word x"]
    assert list(checked_pattern(regex).matching(names)) == [name for name in names if re.match(regex, name)]


@pytest.mark.parametrize("regex", REFUSED)
def test_refused(regex: str) -> None:
    """[HRD-17] Nested and ambiguous repetitions are refused, at once."""
    start = time.perf_counter()
    with pytest.raises(NamingError, match="^invalid regex: it "):
        checked_pattern(regex)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        ("((", r"missing \), unterminated subpattern at position 1"),
        ("*", "nothing to repeat at position 0"),
        ("a{99999999999999}", "the repetition number is too large"),
        ("a" * 1001, "longer than 1000 characters"),
        ("(?i)" + "[\0-\U0010ffff]" * 100, "ignoring case in sets of so many characters"),
        ("(?i:" + "[\0-\U0010ffff]" * 100 + ")", "ignoring case in sets of so many characters"),
    ],
)
def test_invalid(regex: str, text: str) -> None:
    """[NS-12] [NS-15] What is no expression, or too long, or would take long to compile."""
    start = time.perf_counter()
    with pytest.raises(NamingError, match=f"^invalid regex: {text}"):
        checked_pattern(regex)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("regex", ["(" * 490 + ")" * 490, "(?:" * 330, "[" * 999, "(?=" * 240 + ")" * 240, "|" * 1000])
def test_deep_and_odd(regex: str) -> None:
    """[HRD-17] Anything else of 1000 characters is either used or refused, but does not take long or crash."""
    start = time.perf_counter()
    with contextlib.suppress(NamingError):
        list(checked_pattern(regex).matching(["a"]))
    assert time.perf_counter() - start < 1


WORST: list[tuple[str, Any]] = [
    (".*foo.*bar", "foo"), (".*a.*a.*ab", "a"), ("a*a*a*b", "a"), (".*a*b", "a"), (r"(\w+\.)+\w+$", "a."),
    ("(.*)\\1b", "a"), ("(?!.*a.*b)", "a"),
]  # fmt: skip


@pytest.mark.parametrize(("regex", "piece"), WORST)
def test_the_worst_names(regex: str, piece: str) -> None:
    """[NS-15] The longest names for which an expression is used take less than a second each; longer ones are not."""
    pattern = checked_pattern(regex)
    limit = min(pattern._limit, 100_000)
    start = time.perf_counter()
    list(pattern.matching([(piece * limit)[:limit]]))
    assert time.perf_counter() - start < 1
    if limit < 100_000:
        with pytest.raises(NamingError, match="regex is too expensive for names of"):
            list(pattern.matching([piece * (limit + 1)]))


@pytest.mark.parametrize(
    ("regex", "fits"),
    [("(?:(a)|b)*", False), ("(a|b)*", False), ("(?:(a)|b)*c", False), (r"(?:ab|(b))+$", False), ("(ab?)*", False),
     (".*", True), ("(?s:.)*", True), ("[ab]*", True), ("a", True), ("(?:a|b)*", True)],
)  # fmt: skip
def test_giant_names(regex: str, fits: bool) -> None:
    """[NS-15] Loops that take notes at each step need not just time but memory: not for names of any length."""
    pattern = checked_pattern(regex)
    if fits:
        assert list(pattern.matching(["a" * 1_000_000])) == ["a" * 1_000_000]
    else:
        assert pattern._limit <= 300_000
        start = time.thread_time()
        list(pattern.matching(["a" * pattern._limit]))
        assert time.thread_time() - start < 1


def test_many_choices() -> None:
    """[HRD-17] To find out whether choices exclude each other takes little time, however many there are."""
    names = [f"{letter}{number}" for number in range(60) for letter in "abcd"]
    start = time.thread_time()
    assert list(checked_pattern("|".join(names)).matching(["d59", "e1", "a0b"])) == ["d59", "a0b"]
    with contextlib.suppress(NamingError):
        checked_pattern("(" + "|" * 900 + ")")
    for _ in range(10):
        checked_pattern("(?:" + "|".join(map(chr, range(200, 600))) + ")*x")
    assert time.thread_time() - start < 1


def test_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """[NS-15] An expression does not take more than a second for all names together."""
    monkeypatch.setattr(patterns, "TIME_LIMIT", 0.02)
    with pytest.raises(NamingError, match=r"regex takes more than 0.02 s: use a simpler one, or a prefix"):
        list(checked_pattern(".*a.*a.*ab").matching(["a" * 250] * 1000))


@pytest.mark.parametrize(
    ("regex", "prefix"),
    [
        ("abc", "abc"),
        (r"^a\.b.*", "a.b"),
        ("a*b", ""),
        ("ab*", "a"),
        ("a|b", ""),
        ("(abc)", ""),
        ("(?i)abc", ""),
        ("ab$", "ab"),
        ("a$b", "a"),
    ],
)
def test_literal_start(regex: str, prefix: str) -> None:
    """[NS-12] Names are looked up by what all matches begin with."""
    assert checked_pattern(regex).prefix == prefix


def test_only_texts() -> None:
    """[NS-12] Compiled expressions and bytes are not for clients."""
    for regex in (b"a", re.compile("a"), 5):
        with pytest.raises(TypeError, match="regex must be a str"):
            checked_pattern(regex)  # type: ignore[arg-type]
