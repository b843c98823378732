r"""Regular expressions from clients: only those are used that cannot take long ([NS-15], [HRD-17]).

Python's matcher tries one way after the other to divide a text among the parts of an expression. `checked_pattern`
bounds how many ways there can be, from the structure of the expression. Repeating something that can itself be matched
in several ways, as in ``(a+)+``, takes time that grows exponentially with the text, and is refused. So is a series of
ambiguous repetitions, as in ``a*a*a*a*b``, that is long enough to matter. ``.*foo.*bar`` and ``[^.]+\.(\w+\.)*x`` are
fine.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from pyrolite.errors import NamingError

__all__ = ["MAX_PATTERN_LENGTH", "CheckedPattern", "checked_pattern"]

# the tree of an expression has been part of Python for ever, under two names
_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

#: Characters of an expression, at most.
MAX_PATTERN_LENGTH: Final = 1000
#: Ambiguous repetitions that may follow each other; each one multiplies the time by the length of the text.
MAX_DEGREE: Final = 3
#: Ways in which the rest of the expression may match, at most.
MAX_FACTOR: Final = 1000
#: Ways to match one name that are tried, at most; a million take far less than a second.
MAX_WAYS: Final = 3_000_000
#: Time (and memory) of a step of a repetition that repeats more than a single character.
HEAVY: Final = 10
#: Repetitions with more than this many choices are taken for unbounded ones.
FEW: Final = 8
#: Characters in the sets of an expression that ignores case, at most; each one is looked at when it is compiled.
MAX_CASELESS_CHARACTERS: Final = 20_000
#: Seconds of processor time for all names together.
TIME_LIMIT: Final = 1.0
#: Characters to match between looks at the clock.
CLOCK_INTERVAL: Final = 4096

#: Nodes whose match needs more characters than it takes.
_LOOKING: Final = frozenset(("ASSERT", "ASSERT_NOT", "GROUPREF", "GROUPREF_EXISTS"))


class _Refused(Exception):
    """The expression could take too long; the text says why."""


class _Cost(NamedTuple):
    """How many ways there are, at most, to match a text of n characters: ``factor * n ** degree``.

    ``effort`` is the power of n by which the time grows, which is more than ``degree`` where attempts fail late.
    ``weight`` is what one step takes, compared to a step of a loop over single characters.
    """

    degree: int = 0
    factor: int = 1
    effort: int = 0
    weight: int = 1


class _Set(NamedTuple):
    """The characters that may come first: some single ones, or ``anything``."""

    characters: frozenset[str] = frozenset()
    #: conditions of the parser that are not single characters, such as categories and long ranges
    conditions: tuple[Any, ...] = ()
    anything: bool = False
    #: nothing has to come any more: the expression has matched
    end: bool = False

    def joined(self, other: _Set, *, end: bool = False) -> _Set:
        """What is in one or the other."""
        return _Set(
            self.characters | other.characters,
            self.conditions + other.conditions,
            self.anything or other.anything,
            end,
        )


_NOTHING: Final = _Set()
_ANYTHING: Final = _Set(anything=True)
_END: Final = _Set(end=True)

#: Whether a part can match the empty text: no, only at some places, at any place.
_NEVER: Final = 0
_SOMEWHERE: Final = 1
_ALWAYS: Final = 2


class CheckedPattern:
    """A compiled expression that is known to be harmless.

    ``prefix`` is what all names begin with that match it, so that not all names have to be looked at.

    Thread safety: may be used by several threads.
    """

    def __init__(self, pattern: re.Pattern[str], prefix: str, cost: _Cost) -> None:
        self.prefix = prefix
        self._match = pattern.match
        self._cost = cost
        self._limit = _longest_text(cost)

    def matching(self, names: Iterable[str]) -> Iterator[str]:
        """Those of the names that match from their start.

        Raises:
            NamingError: it takes more than a second of processor time, or a name is too long for this expression.
        """
        match, limit = self._match, self._limit
        start, characters = time.thread_time(), 0
        for name in names:
            if len(name) > limit:
                raise NamingError(
                    f"regex is too expensive for names of {len(name)} characters: "
                    f"it has several repetitions (such as .*) that can match the same text"
                )
            characters += len(name) ** max(1, self._cost.effort)
            if characters > CLOCK_INTERVAL:
                characters = 0
                if time.thread_time() - start > TIME_LIMIT:
                    raise NamingError(f"regex takes more than {TIME_LIMIT:g} s: use a simpler one, or a prefix")
            if match(name):
                yield name


def checked_pattern(regex: str) -> CheckedPattern:
    """Compile an expression if it is harmless.

    Raises:
        TypeError: it is no text.
        NamingError: it is no valid expression, too long, or could take too long.

    Thread safety: may be called from any thread.
    """
    if not isinstance(regex, str):
        raise TypeError("regex must be a str")
    if len(regex) > MAX_PATTERN_LENGTH:
        raise NamingError(f"invalid regex: longer than {MAX_PATTERN_LENGTH} characters")
    try:
        tree = _parser.parse(regex)
        caseless = bool(tree.state.flags & re.IGNORECASE) or _has_caseless_group(tree)
        if caseless and _characters_in_sets(tree) > MAX_CASELESS_CHARACTERS:
            raise _Refused("ignoring case in sets of so many characters takes too long")
        cost = _Analysis(caseless=caseless).sequence(tree, _END)
        return CheckedPattern(re.compile(regex), "" if caseless else _literal_start(tree), cost)
    except _Refused as error:
        raise NamingError(f"invalid regex: {error}") from None
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise NamingError(f"invalid regex: {error}") from error


def _longest_text(cost: _Cost) -> int:
    """The longest text for which not too many ways are tried: n characters can be cut in C(n+d, d) ways."""
    if not cost.effort:
        return sys.maxsize
    budget = MAX_WAYS // (cost.factor * cost.weight)
    low, high = 1, budget
    while low < high:
        middle = (low + high + 1) // 2
        if math.comb(middle + cost.effort, cost.effort) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


# ---- walking through the tree


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    """All nodes of the tree, with the names of their kinds."""
    for operator, argument in tree:
        kind = str(operator)
        yield kind, argument
        for part in _parts(kind, argument):
            yield from _nodes(part)


def _parts(kind: str, argument: Any) -> list[Any]:
    """The sequences inside of a node."""
    if kind == "BRANCH":
        return list(argument[1])
    if kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
        return [argument[2]]
    if kind == "SUBPATTERN":
        return [argument[3]]
    if kind == "ATOMIC_GROUP":
        return [argument]
    if kind in {"ASSERT", "ASSERT_NOT"}:
        return [argument[1]]
    if kind == "GROUPREF_EXISTS":
        return [part for part in argument[1:] if part is not None]
    return []


def _has_caseless_group(tree: Any) -> bool:
    return any(kind == "SUBPATTERN" and argument[1] & re.IGNORECASE for kind, argument in _nodes(tree))


def _literal_start(tree: Any) -> str:
    """The characters that every match begins with, as far as that is plain to see."""
    start = ""
    for operator, argument in tree:
        if str(operator) == "LITERAL":
            start += chr(argument)
        elif str(operator) != "AT" or start:
            break
    return start


def _is_single(body: Any) -> bool:
    """Whether a sequence is one character, which the matcher repeats quickly and without a note of each time."""
    if len(body) != 1:
        return False
    kind, argument = str(body[0][0]), body[0][1]
    if kind == "SUBPATTERN":
        return argument[0] is None and _is_single(argument[3])
    return kind in {"LITERAL", "NOT_LITERAL", "IN", "ANY"}


def _characters_in_sets(tree: Any) -> int:
    return sum(
        argument[1] - argument[0] + 1
        for kind, items in _nodes(tree)
        if kind == "IN"
        for operator, argument in items
        if str(operator) == "RANGE"
    )


class _Analysis:
    """Bounds the cost of an expression; ``caseless``: some part of it ignores case."""

    def __init__(self, *, caseless: bool) -> None:
        self._caseless = caseless
        #: results of `_first` by kind and identity of the argument
        self._known: dict[tuple[str, int], tuple[_Set, int]] = {}

    def sequence(self, tree: Any, follow: _Set) -> _Cost:
        """The cost of parts that are matched one after the other, when ``follow`` comes after them.

        Raises:
            _Refused: it has no acceptable bound.
        """
        costs = []
        for operator, argument in reversed(list(tree)):
            kind = str(operator)
            costs.append(self._node(kind, argument, follow))
            first, empty = self._first(kind, argument)
            follow = first.joined(follow, end=follow.end and empty == _ALWAYS) if empty else first
        degree, factor, effort = 0, 1, 0
        for cost in reversed(costs):
            # what comes later is tried again for each way in which this part matches
            effort = max(effort, degree + cost.effort)
            degree += cost.degree
            factor *= cost.factor
            if max(effort, degree) > MAX_DEGREE or factor > MAX_FACTOR:
                raise _Refused("it has too many repetitions or choices that can match the same text")
        return _Cost(degree, factor, effort, max((cost.weight for cost in costs), default=1))

    def _node(self, kind: str, argument: Any, follow: _Set) -> _Cost:
        if kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            return self._repetition(*argument, follow=follow)
        if kind == "BRANCH":
            return self._branches(argument[1], follow)
        if kind == "GROUPREF":
            return _Cost(effort=1)
        if kind in {"ASSERT", "ASSERT_NOT"}:  # matched in one way, or not at all
            inner = self.sequence(argument[1], _ANYTHING)
            return inner._replace(degree=0)
        if kind == "GROUPREF_EXISTS":
            return self._branches([part or [] for part in argument[1:]], follow)
        parts = _parts(kind, argument)
        return self.sequence(parts[0], follow) if parts else _Cost()

    def _branches(self, branches: list[Any], follow: _Set) -> _Cost:
        costs = [self.sequence(branch, follow) for branch in branches]
        firsts = [self._first_of(branch) for branch in branches]
        sets = [first.joined(follow) if empty else first for first, empty in firsts]
        factor = max(cost.factor for cost in costs) if self._exclusive(sets) else sum(cost.factor for cost in costs)
        return _Cost(
            max(cost.degree for cost in costs),
            factor,
            max(cost.effort for cost in costs),
            max(cost.weight for cost in costs),
        )

    def _exclusive(self, sets: list[_Set]) -> bool:
        """Whether certainly no character is in two of these; there may be many."""
        before = _NOTHING
        for one in sets:
            if not self._disjoint(one, before):
                return False
            before = (
                before.joined(one) if one.conditions else before._replace(characters=before.characters | one.characters)
            )
        return True

    def _repetition(self, least: int, most: int, body: Any, *, follow: _Set) -> _Cost:
        most = int(most)
        first, empty = self._first_of(body)
        inner = self.sequence(body, first.joined(follow) if most > 1 else follow)
        if empty and most > 1:
            raise _Refused("it repeats something that may be empty")
        if inner.degree or inner.factor > 1:
            if most > FEW:
                raise _Refused("it repeats something that can itself match the same text in several ways")
            choices = 1 if most == least else most - least + 1
            effort = inner.effort + inner.degree * (most - 1)
            return _Cost(inner.degree * most, choices * inner.factor**most, effort, inner.weight)
        effort, weight = inner.effort, inner.weight
        if most > FEW and not _is_single(body):
            effort, weight = max(1, effort), HEAVY
        if follow.end:  # the first way to match is the last one that is tried
            return _Cost(effort=effort, weight=weight)
        # when it can go on it cannot end there, so that it matches in one way only
        decided = not empty and self._disjoint(first, follow)
        if most > FEW:
            looking_ahead = any(kind in _LOOKING for kind, _ in _nodes(body))
            effort = inner.effort + 1 if looking_ahead else max(1, inner.effort)
        if most - least > FEW:
            return _Cost(0 if decided else 1, 1, effort, weight)
        return _Cost(0, 1 if decided else most - least + 1, effort, weight)

    # ---- what may come first

    def _first_of(self, tree: Any) -> tuple[_Set, int]:
        """The characters that a match of the sequence may begin with, and whether it may be empty."""
        result, empty = _NOTHING, _ALWAYS
        for operator, argument in tree:
            first, part_empty = self._first(str(operator), argument)
            result = result.joined(first)
            empty = min(empty, part_empty)
            if not empty:
                break
        return result, empty

    def _first(self, kind: str, argument: Any) -> tuple[_Set, int]:
        """The same for one node."""
        key = (kind, id(argument))
        if key not in self._known:
            self._known[key] = self._find_first(kind, argument)
        return self._known[key]

    def _find_first(self, kind: str, argument: Any) -> tuple[_Set, int]:
        if kind == "LITERAL":
            return _Set(self._spellings(argument)), _NEVER
        if kind == "IN":
            return self._set(argument), _NEVER
        if kind in {"NOT_LITERAL", "ANY"}:
            return _Set(conditions=((kind, argument),)), _NEVER
        if kind == "AT":
            return _NOTHING, _SOMEWHERE
        if kind == "BRANCH":
            result, empty = _NOTHING, _NEVER
            for first, branch_empty in map(self._first_of, argument[1]):
                result = result.joined(first)
                empty = max(empty, branch_empty)
            return result, empty
        if kind in {"SUBPATTERN", "ATOMIC_GROUP"}:
            return self._first_of(_parts(kind, argument)[0])
        if kind.endswith("REPEAT"):
            first, empty = self._first_of(argument[2])
            return first, _ALWAYS if argument[0] == 0 else empty
        # what looks ahead or back, what refers to groups, and what a later Python may have
        return _ANYTHING, _SOMEWHERE

    def _set(self, items: Any) -> _Set:
        if str(items[0][0]) == "NEGATE":
            return _Set(conditions=(("NOT_IN", self._set(items[1:])),))
        characters: set[str] = set()
        conditions = []
        for operator, argument in items:
            kind = str(operator)
            if kind == "LITERAL":
                characters |= self._spellings(argument)
            elif kind == "RANGE" and argument[1] - argument[0] < 256:
                for code in range(argument[0], argument[1] + 1):
                    characters |= self._spellings(code)
            else:
                conditions.append((kind, argument))
        return _Set(frozenset(characters), tuple(conditions))

    def _spellings(self, code: int) -> frozenset[str]:
        character = chr(code)
        if not self._caseless:
            return frozenset((character,))
        return frozenset((character, *character.lower(), *character.upper(), *character.casefold()))

    def _disjoint(self, one: _Set, other: _Set) -> bool:
        """Whether certainly no character is in both; both are empty where the expression has matched."""
        if one.anything or other.anything or one.characters & other.characters:
            return False
        if one.conditions and other.conditions:
            return False  # not found out
        conditions, characters = one.conditions, other.characters
        if other.conditions:
            conditions, characters = other.conditions, one.characters
        return not any(self._fulfils(character, *condition) for character in characters for condition in conditions)

    def _fulfils(self, character: str, kind: str, argument: Any) -> bool:
        """Whether the character may fulfil the condition."""
        if kind == "NOT_IN":
            return self._caseless or not self._in(character, argument)
        if kind == "NOT_LITERAL":
            return self._caseless or ord(character) != argument
        if kind == "ANY":
            return True
        if kind == "RANGE":
            return bool(self._caseless or argument[0] <= ord(character) <= argument[1])
        return _in_category(character, str(argument))

    def _in(self, character: str, inner: _Set) -> bool:
        return character in inner.characters or any(
            self._fulfils(character, kind, argument) for kind, argument in inner.conditions
        )


def _in_category(character: str, category: str) -> bool:
    """Whether a character may be in a category, of the Unicode or the ASCII kind."""
    name = category.rpartition("_")[2]
    member = {
        "DIGIT": character.isdecimal(),
        "SPACE": character.isspace(),
        "WORD": character.isalnum() or character == "_",
    }
    if name not in member:
        return True
    # outside of ASCII the kinds differ, so that both have to be reckoned with
    return (member[name] is not ("NOT" in category)) or not character.isascii()
