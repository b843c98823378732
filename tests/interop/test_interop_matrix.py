"""Every value of `value_table` with every serializer between all pairs of libraries, as an argument and as a result.

What arrives has to be what arrives between two Pyro4 processes, unless `DEVIATIONS` says otherwise.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import value_table
from peer_common import describe, stable
from peer_services import DIRECTIONS, Peers

import pyrolite

pytestmark = [pytest.mark.interop, pytest.mark.timeout(90)]

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SERIALIZERS = ("serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill")
#: the directions with pyrolite on at least one end
WITH_PYROLITE = [direction for direction in DIRECTIONS if direction != "control"]


class Deviation(NamedTuple):
    """What arrives instead of what arrives between Pyro4 and Pyro4; None: the same.

    ``sent`` is what Pyro4 gets from pyrolite, ``received`` what pyrolite gets from Pyro4. What pyrolite gets from
    pyrolite is ``between``, or if that is None ``sent``, or if that is None ``received``.
    """

    requirement: str
    sent: str | None = None
    received: str | None = None
    between: str | None = None

    def expected(self, sender: str, receiver: str) -> str | None:
        """What ``receiver`` gets from ``sender``; None: the same as between Pyro4 and Pyro4."""
        if sender == receiver == "pyrolite":
            return self.between or self.sent or self.received
        return self.sent if sender == "pyrolite" else self.received


_UNKNOWN_FRACTION = "!SerializeError: unsupported serialized class: fractions.Fraction"
_KEY = "bytes(6b657920ff)"
_PROXY = f"Proxy(PYRO:some.object@ADDRESS, list('m', 'n'), list('a'), list('n'), 'secret', 'json', {_KEY})"


def _meta(tags: str) -> str:
    return f"URI('PYROMETA', {tags}('one', 'two'), None, '127.0.0.1', 9090)"


def _no_function(error: str, serializer: str) -> str:
    advice = "Give it vars() or an appropriate __getstate__"
    return f"!{error}: don't know how to serialize class <class 'function'>{serializer}. {advice}"


#: serializers, values, and what the specification ([BETTER]) asks for there
_DEVIATIONS = [
    # ---- simple forms for values that Pyro4 cannot express with this serializer
    ("json", "bytes", Deviation("SER-16", "dict('data': 'AP9ieXRlcw==', 'encoding': 'base64')")),
    (
        "json",
        "bytes_nested",
        Deviation("SER-16", "dict('b': list(dict('data': 'aW4gbGlzdA==', 'encoding': 'base64')))"),
    ),
    ("json", "bytearray", Deviation("SER-16", "dict('data': 'AGFycmF5', 'encoding': 'base64')")),
    ("json", "memoryview", Deviation("SER-16", "dict('data': 'AHZpZXc=', 'encoding': 'base64')")),
    ("marshal", "memoryview", Deviation("SER-16", "bytes(0076696577)")),
    ("json msgpack", "frozenset", Deviation("SER-16", "list(1, 2)")),
    ("marshal", "datetime", Deviation("SER-16", "'2024-02-29T13:14:15.000678'")),
    ("marshal", "datetime_aware", Deviation("SER-16", "'2024-02-29T13:14:15.000678+00:00'")),
    ("marshal", "date", Deviation("SER-16", "'2024-02-29'")),
    ("json marshal msgpack", "time", Deviation("SER-16", "'13:14:15.000678'")),
    ("json marshal msgpack", "timedelta", Deviation("SER-16", "86402.000003")),
    ("marshal", "decimal", Deviation("SER-16", "'1.50'")),
    ("json marshal msgpack", "deque", Deviation("SER-16", "list(1, 2)")),
    ("json marshal msgpack", "dict_values", Deviation("SER-16", "list(1)")),
    ("json marshal msgpack", "enum", Deviation("SER-16", "1")),
    ("marshal", "intenum", Deviation("SER-16", "1")),
    ("marshal", "ordereddict", Deviation("SER-16", "dict('a': 2, 'b': 1)")),
    ("marshal", "counter", Deviation("SER-16", "dict('a': 1, 'b': 2)")),
    ("marshal", "namedtuple", Deviation("SER-16", "tuple(1, 'y')")),
    ("serpent marshal", "int_subclass", Deviation("SER-16", "5")),
    ("serpent", "ordereddict", Deviation("SER-16", received="OrderedDict('b': 1, 'a': 2)")),
    ("msgpack", "fraction", Deviation("SER-16", _UNKNOWN_FRACTION, "!SerializeError: invalid integer in msgpack data")),
    ("serpent", "function", Deviation("SER-15", _no_function("TypeError", ""))),
    ("json", "function", Deviation("SER-15", _no_function("SerializeError", " using serializer JsonSerializer"))),
    ("marshal", "function", Deviation("SER-15", _no_function("SerializeError", " using serializer MarshalSerializer"))),
    ("msgpack", "function", Deviation("SER-15", _no_function("SerializeError", " using serializer MsgpackSerializer"))),
    # ---- marshal converts at every level
    ("marshal", "uuid_nested", Deviation("SER-33", "list('12345678-1234-5678-1234-567812345678')")),
    (
        "marshal",
        "converted_nested",
        Deviation("SER-33", "dict('items': list(value_table.Converted(dict('text': 'nested'))))"),
    ),
    ("marshal", "exception_nested", Deviation("SER-33", "list(KeyError('in list'))")),
    (
        "marshal",
        "uri_nested",
        Deviation("SER-33", "dict('uris': list(URI('PYRO', 'some.object', None, '127.0.0.1', 4444)))"),
    ),
    ("marshal", "proxy_nested", Deviation("SER-33", f"list({_PROXY})")),
    # ---- msgpack decodes arguments as it decodes results, and all keys
    ("msgpack", "dict_int_keys", Deviation("SER-14", received="dict(1: 'one', 2: dict(3: 'three'))")),
    ("msgpack", "dict_mixed_keys", Deviation("SER-14", received="dict(1.5: 'f', True: 't')")),
    ("msgpack", "dict_none_key", Deviation("SER-14", received="dict(None: 1)")),
    ("msgpack", "dict_tuple_keys", Deviation("SER-14", received="dict(tuple(1, 2): 'pair')")),
    ("msgpack", "int_big", Deviation("SER-11", received="int of 201 bits")),
    ("msgpack", "int_negative_big", Deviation("SER-11", received="-1180591620717411303424")),
    ("msgpack", "complex", Deviation("SER-11", received="(1.5-2j)")),
    ("msgpack", "datetime", Deviation("SER-11", received="datetime.datetime(2024, 2, 29, 13, 14, 15, 678)")),
    ("msgpack", "date", Deviation("SER-11", received="datetime.date(2024, 2, 29)")),
    # ---- the tags of a URI are a set
    ("json msgpack", "uri_meta", Deviation("SER-40 URI-14", _meta("list"), _meta("set"), _meta("set"))),
]
DEVIATIONS = {
    (serializer, item): deviation for names, item, deviation in _DEVIATIONS for serializer in names.split()
}  # fmt: skip


def comparable(outcome: str) -> str:
    """An outcome without what pyrolite adds to the texts of errors: [WIRE-86], [BYD-40]."""
    if not outcome.startswith("!"):
        return outcome
    outcome = outcome.replace(": cannot deserialize request: ", ": ").partition(" (at ")[0]
    if outcome.startswith("!PyroError: Error serializing exception:"):
        return outcome.partition(". Original exception:")[0]
    return outcome.replace("cannot pickle memoryview objects", "cannot pickle 'memoryview' object")  # of Python 3.11


Matrix = dict[str, dict[str, str]]
Found = Callable[[str, str], Matrix]


@pytest.fixture(scope="module")
def found(peers: Peers) -> Found:
    """What arrives, by direction and serializer: value -> ``argument`` and ``result`` -> description."""

    @functools.cache
    def matrix(direction: str, serializer: str) -> Matrix:
        client, server = DIRECTIONS[direction]
        uri = peers.service(server, "thread", "daemon")["uris"]["target"]
        answer: Matrix = peers.client(client)("matrix", uri=uri, serializer=serializer)
        return answer

    return matrix


def row_of(found: Found, direction: str, serializer: str, item: str) -> dict[str, Any]:
    """What ``tools/interop_table.py`` needs to know of a value."""
    return {
        "value": item,
        "serializer": serializer,
        "direction": direction,
        "requirement": DEVIATIONS.get((serializer, item), Deviation("")).requirement,
        "original": stable(describe(value_table.make(item, pyrolite))),
        "control": found("control", serializer)[item],
        "found": found(direction, serializer)[item],
    }


@pytest.mark.parametrize("item", value_table.ITEMS)
@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("direction", WITH_PYROLITE)
def test_value(
    found: Found, record_property: Callable[[str, Any], None], direction: str, serializer: str, item: str
) -> None:
    """[SER-10] to [SER-63]: pyrolite writes and reads what Pyro4 does, or what a [BETTER] rule asks for."""
    row = row_of(found, direction, serializer, item)
    record_property("interop", row)
    control, outcome = row["control"], row["found"]
    deviation = DEVIATIONS.get((serializer, item), Deviation(""))
    client, server = DIRECTIONS[direction]
    for way, sender, receiver in (("argument", client, server), ("result", server, client)):
        expected = deviation.expected(sender, receiver) or control[way]
        assert comparable(outcome[way]) == comparable(expected), way


@pytest.mark.parametrize(("serializer", "item"), DEVIATIONS)
def test_deviation_is_one(found: Found, serializer: str, item: str) -> None:
    """The table of deviations lists nothing that Pyro4 does as well."""
    control, deviation = found("control", serializer)[item], DEVIATIONS[serializer, item]
    for expected in (deviation.sent, deviation.received):
        assert expected is None or any(control[way] != expected for way in ("argument", "result"))


@pytest.fixture(scope="module")
def generator() -> Any:
    """The program that writes the page of the documentation."""
    spec = importlib.util.spec_from_file_location("interop_table", TOOLS / "interop_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_current(found: Found, generator: Any) -> None:
    """The documentation tells what was found; if not, write the page again with ``tools/interop_table.py``."""
    rows = [
        {**row_of(found, direction, serializer, item), "outcome": "passed"}
        for item in value_table.ITEMS
        for serializer in SERIALIZERS
        for direction in WITH_PYROLITE
    ]
    assert generator.page(rows) == generator.PAGE.read_text()


def test_page_needs_everything(generator: Any) -> None:
    """Of failed and of missing tests the page says nothing."""
    outcome = {"argument": "1", "result": "1"}
    row = {
        "value": "int",
        "serializer": "json",
        "requirement": "",
        "original": "1",
        "control": outcome,
        "found": outcome,
    }
    with pytest.raises(SystemExit, match="failed"):
        generator.page([{**row, "direction": "to_pyro4", "outcome": "failed"}])
    with pytest.raises(SystemExit, match="directions are missing"):
        generator.page([{**row, "direction": "to_pyro4", "outcome": "passed"}])
