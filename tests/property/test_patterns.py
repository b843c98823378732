"""No expression that is accepted takes long ([NS-15], [HRD-17]), and all of them mean what they mean to Python."""

from __future__ import annotations

import re
import time
import warnings

from hypothesis import given, settings
from hypothesis import strategies as st

from pyrolite.errors import NamingError
from pyrolite.naming.patterns import checked_pattern

ATOMS = ["a", "b", ".", "[ab]", "[^a]", r"\w", r"\W", "ab", "$", "^", r"\b", "(?i:A)", r"\1", "(?=a)", "(?!b)", ""]
QUANTIFIERS = ["*", "+", "?", "{2}", "{0,3}", "{1,30}", "{3,}", "*?", "+?"]


def _extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.sampled_from(["({})", "(?:{})", "(?={})", "(?!{})", "(?i:{})"])
    grouped = st.builds(lambda form, text: form.format(text), group, inner)
    repeated = st.builds(lambda text, quantifier: f"(?:{text}){quantifier}", inner, st.sampled_from(QUANTIFIERS))
    series = st.lists(inner, min_size=2, max_size=4).map("".join)
    choice = st.lists(inner, min_size=2, max_size=3).map("|".join)
    return grouped | repeated | series | st.builds("(?:{})".format, choice)


def _repeated_atoms() -> st.SearchStrategy[str]:
    quantified = st.builds(
        lambda atom, quantifier: f"(?:{atom}){quantifier}", st.sampled_from(ATOMS), st.sampled_from(QUANTIFIERS)
    )
    return st.sampled_from(ATOMS) | quantified


expressions = st.recursive(_repeated_atoms(), _extended, max_leaves=8)
pieces = st.sampled_from(["a", "b", "ab", "aab", "a b", "A", "aB"])


@settings(deadline=None, max_examples=300)
@given(regex=expressions, piece=pieces, end=st.sampled_from(["", "!", "b", "\n"]))
def test_accepted_expressions_are_fast(regex: str, piece: str, end: str) -> None:
    """[NS-15] A name as long as the expression is used for, made to fail late, takes less than a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pattern = checked_pattern(regex)
        except NamingError:
            return
    length = min(pattern._limit, 3000)
    name = (piece * length)[: max(0, length - len(end))] + end
    start = time.thread_time()
    list(pattern.matching([name]))
    assert time.thread_time() - start < 1


@settings(deadline=None)
@given(regex=expressions, names=st.lists(st.text("abAB \n", max_size=6), max_size=8))
def test_accepted_expressions_mean_what_they_say(regex: str, names: list[str]) -> None:
    """[NS-12] What matches is what Python's matcher finds at the start of the name, and begins with the prefix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pattern = checked_pattern(regex)
        except NamingError:
            return
        expected = [name for name in names if re.match(regex, name)]
    assert list(pattern.matching(names)) == expected
    assert all(name.startswith(pattern.prefix) for name in expected)


@settings(deadline=None, max_examples=200)
@given(regex=st.text(alphabet="ab()[]{}|?*+^$.\\-,0123456789:=!<>iPx&~", max_size=60))
def test_any_text_is_used_or_refused(regex: str) -> None:
    """[NS-12] There is no text that raises anything but a NamingError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pattern = checked_pattern(regex)
            list(pattern.matching(["", "ab", "a.b"]))
        except NamingError:
            return
