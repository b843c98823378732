"""Pickles that name the classes of Pyro4 ([SER-45], [SER-46]) and are used only when asked for ([SEC-20])."""

from __future__ import annotations

import pickle
import pickletools
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from pyrolite import errors
from pyrolite.configuration import config
from pyrolite.core import URI, Daemon, Proxy
from pyrolite.errors import SerializeError
from pyrolite.futures import _ExceptionWrapper
from pyrolite.serializers import get_serializer

NAMES = ["pickle", "cloudpickle", "dill"]

each_name = pytest.mark.parametrize("name", NAMES)

#: What an unmodified Pyro4 has, as far as unpickling is concerned.
FAKE_PYRO4 = """
import sys, types

def module(name, **contents):
    created = types.ModuleType(name)
    vars(created).update(contents)
    for value in contents.values():
        value.__module__ = name
    sys.modules[name] = created
    return created

class URI:
    def __getstate__(self): return self.state
    def __setstate__(self, state): self.state = state

class Proxy(URI): pass
class Daemon: pass
class _ExceptionWrapper: pass
class PyroError(Exception): pass
class NamingError(PyroError): pass
class SerializeError(PyroError): pass
class JsonSerializer: pass

Pyro4 = module("Pyro4")
Pyro4.core = module("Pyro4.core", URI=URI, Proxy=Proxy, Daemon=Daemon)
Pyro4.errors = module("Pyro4.errors", PyroError=PyroError, NamingError=NamingError, SerializeError=SerializeError)
Pyro4.futures = module("Pyro4.futures", _ExceptionWrapper=_ExceptionWrapper)
Pyro4.util = module("Pyro4.util", JsonSerializer=JsonSerializer)
"""


def run_peer(code: str, data: bytes) -> str:
    """Run ``code`` in a process that has the modules of Pyro4, and no pyrolite."""
    program = f"{FAKE_PYRO4}\nimport pickle\ndata = bytes.fromhex({data.hex()!r})\n{textwrap.dedent(code)}"
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = [p for p in sys.path if p]\n{program}"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def proxy() -> Proxy:
    made = Proxy("PYRO:o@h:1")
    made._pyroMethods = {"m"}
    made._pyroHmacKey = b"key"
    made._pyroSerializer = "json"
    return made


def objects() -> list[Any]:
    error = errors.NamingError("n")
    error._pyroTraceback = ["line"]  # type: ignore[attr-defined]
    return [
        URI("PYRO:o@h:1"),
        URI("PYROMETA:a"),
        proxy(),
        error,
        errors.RemoteError("unknown"),
        _ExceptionWrapper(ValueError("w")),
        get_serializer("json"),
        errors.NamingError,
        URI,
    ]


@each_name
def test_a_peer_reads_it_with_plain_pickle(name: str) -> None:
    """[SER-45]: with `pickle.loads` and nothing else, all objects, as what they are there."""
    data = get_serializer(name).dumps(objects())
    assert b"pyrolite" not in data
    output = run_peer(
        """
        for item in pickle.loads(data):
            cls = item if isinstance(item, type) else type(item)
            print(cls.__module__, cls.__name__, isinstance(item, type), getattr(item, "state", None),
                  *((item.args, sorted(vars(item))) if isinstance(item, Exception) else (None, None)))
        """,
        data,
    )
    assert output.splitlines() == [
        "Pyro4.core URI False ('PYRO', 'o', None, 'h', 1) None None",
        "Pyro4.core URI False ('PYROMETA', {'a'}, None, None, None) None None",
        output.splitlines()[2],
        "Pyro4.errors NamingError False None ('n',) ['_pyroTraceback']",
        "Pyro4.errors SerializeError False None ('unknown',) []",
        "Pyro4.futures _ExceptionWrapper False None None None",
        "Pyro4.util JsonSerializer False None None None",
        "Pyro4.errors NamingError True None None None",
        "Pyro4.core URI True None None None",
    ]
    line = output.splitlines()[2]
    assert line.startswith("Pyro4.core Proxy False (<Pyro4.core.URI object")
    assert line.endswith("set(), {'m'}, set(), 0.0, b'key', 'hello', 0, 'json') None None")


@each_name
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_a_peer_writes(name: str, protocol: int) -> None:
    """[SER-45], [SER-46]: names of Pyro4 mean the classes of pyrolite, and back again."""
    output = run_peer(
        f"""
        def made(cls, state):
            instance = cls.__new__(cls)
            instance.state = state
            return instance
        uri = made(URI, ("PYRO", "o", None, "h", 1))
        wrapper = _ExceptionWrapper()
        wrapper.exception = NamingError("inner")
        proxy = made(Proxy, (uri, {{"one"}}, {{"two"}}, set(), 5.0, b"key", "hello", 3, None))
        print(pickle.dumps([uri, proxy, NamingError("n"), wrapper, JsonSerializer(), NamingError], {protocol}).hex())
        """,
        b"",
    )
    serializer = get_serializer(name)
    for buffer in (bytes, bytearray, memoryview):
        uri, made, error, wrapper, json_serializer, cls = serializer.loads(buffer(bytes.fromhex(output)))
        assert uri == URI("PYRO:o@h:1")
        assert isinstance(made, Proxy)
        assert (made._pyroOneway, made._pyroMethods, made._pyroHmacKey) == ({"one"}, {"two"}, b"key")
        assert (type(error), error.args) == (errors.NamingError, ("n",))
        assert type(wrapper.exception) is errors.NamingError
        assert json_serializer == get_serializer("json")
        assert cls is errors.NamingError


@each_name
def test_round_trip(name: str) -> None:
    """[SER-45]: between two pyrolites, nested and as arguments, whatever is around."""
    serializer = get_serializer(name)
    for value in (objects(), {"key": (objects(), "pyrolite is no name")}):
        received = serializer.loads(serializer.dumps(value))
        _, _, vargs, _ = serializer.loadsCall(serializer.dumpsCall("o", "m", (value,), {}))
        for got in (received, vargs[0]):
            items = got if isinstance(got, list) else got["key"][0]
            expected = objects()
            assert items[:2] == expected[:2]
            assert items[2].__getstate__() == expected[2].__getstate__()
            assert (type(items[3]), vars(items[3])) == (errors.NamingError, vars(expected[3]))
            assert type(items[4]) is SerializeError
            assert type(items[5].exception) is ValueError
            assert items[6:] == expected[6:]


@each_name
def test_daemons(name: str) -> None:
    """[SER-45]: an empty state."""
    serializer = get_serializer(name)
    data = serializer.dumps([Daemon.__new__(Daemon)])
    assert b"Pyro4.core" in data
    received = serializer.loads(data)[0]
    assert isinstance(received, Daemon)
    assert "unusable" in repr(received)


@each_name
@pytest.mark.parametrize("value", [1, "x", b"y", [1, (2,)], {"a": {1}}], ids=repr)
def test_plain_values_are_plain_pickles(name: str, value: Any) -> None:
    """[SER-45]: no trace of the mapping where nothing is mapped."""
    data = get_serializer(name).dumps(value)
    assert data == pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    assert get_serializer(name).dumpsCall("o", "m", (value,), {"k": value}) == pickle.dumps(
        ("o", "m", (value,), {"k": value}), pickle.HIGHEST_PROTOCOL
    )


@each_name
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_protocol_numbers(name: str, protocol: int) -> None:
    """[SER-46]."""
    serializer = get_serializer(name)
    with config.override(PICKLE_PROTOCOL_VERSION=protocol, DILL_PROTOCOL_VERSION=protocol):
        for value in (5, [1], URI("PYRO:o@h:1"), {"a": errors.NamingError("x")}):
            for data in (serializer.dumps(value), serializer.dumpsCall("o", "m", (value,), {})):
                assert data[:2] == bytes([0x80, protocol])
                assert max(op.proto for op, _, _ in pickletools.genops(data)) <= protocol
        assert serializer.loads(serializer.dumps(URI("PYRO:o@h:1"))) == URI("PYRO:o@h:1")
    with pytest.raises(ValueError, match="pickle protocol needs to be 2 or higher"):
        config.PICKLE_PROTOCOL_VERSION = 1


@each_name
def test_functions(name: str) -> None:
    """[SER-15]: functions by value with cloudpickle and dill."""

    def twice(x: int) -> int:
        return 2 * x

    serializer = get_serializer(name)
    if name == "pickle":
        with pytest.raises((AttributeError, pickle.PicklingError)):
            serializer.dumps(twice)
    else:
        assert serializer.loads(serializer.dumps([twice]))[0](4) == 8
        # together with classes of the library
        function, uri = serializer.loads(serializer.dumps([twice, URI("PYRO:o@h:1")]))
        assert function(4) == 8
        assert uri == URI("PYRO:o@h:1")


@each_name
def test_generators(name: str) -> None:
    """[SER-15]."""
    with pytest.raises((TypeError, pickle.PicklingError), match=r"generator.*at result\[0\]"):
        get_serializer(name).dumps([(item for item in ())])


@each_name
@pytest.mark.parametrize(
    "data",
    [
        b"cPyro4.core\nNothing\n.",
        b"cPyro4.nothing\nURI\n.",
        b"cPyro4.core\nURI.nothing\n.",
        b"cno.such.module\nName\n.",
        b"cPyro4.core\nURI\n)\x81K\x05b.",
        b"Pyro4",
    ],
    ids=repr,
)
def test_refused(name: str, data: bytes) -> None:
    """[SER-5]: names that there are not, states that are none."""
    with pytest.raises(SerializeError):
        get_serializer(name).loads(data)


def test_other_modules_are_not_mapped() -> None:
    """[SER-45]: only Pyro4 and what is below it."""
    with pytest.raises(SerializeError, match="Pyro4x"):
        get_serializer("pickle").loads(b"cPyro4x.core\nURI\n.")


def test_never_accepted_unless_named() -> None:
    """[SEC-20]."""
    assert not {"pickle", "cloudpickle", "dill"} & config.SERIALIZERS_ACCEPTED
