"""Regular expressions that are meant to stall a name server, sent to a running one ([NS-15], [HRD-17])."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pyrolite.core import Proxy
from pyrolite.errors import NamingError

#: Seconds that others may wait in the worst case: an expression has one, and the test machine other things to do.
LONGEST_WAIT = 4.0

#: What makes matchers that try one way after the other slow, each in a few forms.
CORES = [
    "(a+)+", "(a*)*", "(a|a)*", "(a|aa)+", "(a|a?)+", "(a?){40}a{40}", "(.*)*", "(.+)+", "(.*a){12}", "(a+a+)+",
    "([a-z]+)*", r"(\w+\s?)*", r"(\w*)*", r"(\d+|\w+)*", "((a+)b?)*", "(?:a*)*", "(?:a{0,9}){0,9}", "(a{1,30}){1,30}",
    "((((a*)*)*)*)*", "(?:a|ab|b)*", "(?:.|a)*", "(?:a.?)*", "a*a*a*a*a*a*", ".*.*.*.*.*", ".*a.*a.*a.*a", "(.*?)+",
    "(?:(a)|b)*", "(?:(?=(a+))a)*", "(?=(a+)+b)", "(?!(a+)+b)", "(?:(?!a*b)a)*", r"(a*)\1*", r"(.*)\1\1", "(?i:a|A)*",
    "(?i)(k|\u212a)+", "(?:a(?:a(?:a(?:a)*)*)*)*", "(?:a??)*", "(?:a*?)*?", "(?:a+?)+?", "(a)?(?(1)a|b)*",
    "(?:^a*)*", r"(?:\b|a)*", "(?:$|a)*", "(|a)+", "(?:a|){30}", "(.{0,50}){0,50}", "(?s:.*)(?s:.*)(?s:.*)(?s:.*)",
    "(?:[^b]+b?)+", "(?:[ab]|[bc])*", r"(?:\w|\d)*", r"(?:\W|a)*", "(?:aa|a)*(?:aa|a)*", "(a{50}){50}", "(?<!b)(a+)+",
    "[\0-\U0010ffff]{0,60}[\0-\U0010ffff]{0,60}", "(?:ab|a)(?:ba|a)*(?:ab|b)*", "(?P<x>a+)+(?P=x)*",
]  # fmt: skip
ENDS = ["", "$", "b", "!", "[^a]$", r"\Z", "{2}x"]
NAMES = [
    "a" * 30, "a" * 260, "a" * 2447, "a" * 20_000, "a" * 300_000, "ab" * 1000, "a b " * 500, "aA" * 500,
    "k\u212a" * 500, "a" * 2000 + "!", "\n" * 1000, "a1" * 1000, "_" * 5000,
]  # fmt: skip


def patterns() -> Iterator[str]:
    """Each core with some end, and some with a beginning, in an order that is always the same."""
    chance = random.Random(15)
    for core in CORES:
        for end in chance.sample(ENDS, 2):
            yield core + end
        yield chance.choice(["^", "a", ".*", "(?:x|a)?"]) + core + chance.choice(ENDS)


def test_no_expression_stalls_the_server(start_tool: Any, servertype: str) -> None:
    """[NS-15] While four clients send such expressions, another one gets its answers as ever."""
    tool = start_tool("pyrolite.naming", "-p", "0", PYRO_SERVERTYPE=servertype)
    uri = tool.wait_for("URI = ")
    with Proxy(uri) as nameserver:
        for name in NAMES:
            nameserver.register(name, "PYRO:o@h:1")
        for number in range(500):
            nameserver.register(f"aaaa.bbbb.{number}", "PYRO:o@h:1")
    todo = list(patterns())
    lock = threading.Lock()
    failures: list[BaseException] = []

    def attack() -> None:
        with Proxy(uri) as nameserver, contextlib.suppress(IndexError):
            while True:
                with lock:
                    regex = todo.pop()
                try:
                    with contextlib.suppress(NamingError):
                        nameserver.list(regex=regex)
                except BaseException as error:
                    failures.append(error)

    attackers = [threading.Thread(target=attack) for _ in range(4)]
    for thread in attackers:
        thread.start()
    worst = 0.0
    with Proxy(uri) as nameserver:
        while any(thread.is_alive() for thread in attackers):
            begin = time.monotonic()
            nameserver.ping()
            assert nameserver.lookup("aaaa.bbbb.7").object == "o"
            worst = max(worst, time.monotonic() - begin)
            time.sleep(0.01)
        assert failures == []
        print(f"{servertype}: longest wait of others {worst:.2f} s")
        assert worst < LONGEST_WAIT
        assert nameserver.count() == len(NAMES) + 501
    assert tool.end() == 0
    assert tool.errors == ""


def test_removal(start_tool: Any) -> None:
    """[NS-15] [NS-9] The same for removals: refused, and nothing is gone."""
    tool = start_tool("pyrolite.naming", "-p", "0")
    with Proxy(tool.wait_for("URI = ")) as nameserver:
        nameserver.register("a" * 5000, "PYRO:o@h:1")
        for regex in ("(a+)+b", "a*a*a*a*b", ".*a.*a.*ab", "(a|aa)*$", "(" * 200):
            with pytest.raises(NamingError, match="regex"):
                nameserver.remove(regex=regex)
        assert nameserver.count() == 2
    assert tool.end() == 0
