"""Which serializers there are, and what each of them can do ([SER-1] to [SER-4], [SER-41])."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import pyrolite.util
from pyrolite import serializers
from pyrolite.configuration import config
from pyrolite.core import Daemon, Proxy
from pyrolite.errors import SerializeError
from pyrolite.serializers import SerializerBase, _serializers, _serializers_by_id, get_serializer, get_serializer_by_id

IDS = {"serpent": 1, "json": 2, "marshal": 3, "pickle": 4, "dill": 5, "msgpack": 6, "cloudpickle": 7}
CLASSES = {name: getattr(serializers, f"{name.capitalize()}Serializer") for name in IDS}
VALUE = {"list": [1, "two", 3.5, None, True], "more": "x" * 500}

each_name = pytest.mark.parametrize("name", IDS)


@each_name
def test_names_and_ids(name: str) -> None:
    """[SER-1], [SER-2], [WIRE-75]: one shared object, by name and by id."""
    serializer = get_serializer(name)
    assert type(serializer) is CLASSES[name]
    assert serializer.serializer_id == CLASSES[name].serializer_id == IDS[name]
    assert get_serializer(name) is serializer
    assert get_serializer_by_id(IDS[name]) is serializer
    assert _serializers[name] is serializer
    assert _serializers_by_id[IDS[name]] is serializer


def test_no_others() -> None:
    """[SER-1]: these and no more."""
    assert _serializers.keys() == IDS.keys()
    assert sorted(_serializers_by_id) == sorted(IDS.values())


@pytest.mark.parametrize("name", ["", "Serpent", "yaml"])
def test_unknown_name(name: str) -> None:
    """[SER-2]: the error for a name."""
    with pytest.raises(SerializeError) as caught:
        get_serializer(name)
    assert str(caught.value) == f"serializer '{name}' is unknown or not available"


@pytest.mark.parametrize("sid", [0, 8, 42, -1])
def test_unknown_id(sid: int) -> None:
    """[SER-2]: the error for an id."""
    with pytest.raises(SerializeError) as caught:
        get_serializer_by_id(sid)
    assert str(caught.value) == f"no serializer available for id {sid}"


def test_public_names() -> None:
    """[SER-2]: importable from pyrolite.util, too."""
    for name in (
        "SerializerBase",
        "get_serializer",
        "get_serializer_by_id",
        *(cls.__name__ for cls in CLASSES.values()),
    ):
        assert getattr(pyrolite.util, name) is getattr(serializers, name)


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_packages_are_loaded_when_needed() -> None:
    """[BYD-60], [SER-1]: the optional packages are known to be there without loading them."""
    names = "('msgpack', 'cloudpickle', 'dill', 'sqlite3', 'asyncio')"
    code = f"""
import sys
from pyrolite import serializers
assert {{'msgpack', 'cloudpickle', 'dill'}} <= serializers._serializers.keys()
print(sorted(sys.modules.keys() & set({names})))
for name in ('msgpack', 'cloudpickle', 'dill'):
    serializer = serializers.get_serializer(name)
    assert serializer.loads(serializer.dumps([lambda: 1] if name != 'msgpack' else [1]))
print(sorted(sys.modules.keys() & {{'msgpack', 'cloudpickle', 'dill'}}))
"""
    assert run(code).splitlines() == ["[]", "['cloudpickle', 'dill', 'msgpack']"]


def test_absent_without_its_package() -> None:
    """[SER-1]: a serializer whose package is missing is absent; serpent's absence is logged."""
    code = """
import importlib.util, logging
records = []
handler = logging.Handler()
handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
logging.getLogger('pyrolite').addHandler(handler)
logging.getLogger('pyrolite').setLevel('INFO')
find_spec = importlib.util.find_spec
missing = {'msgpack', 'cloudpickle', 'dill', 'serpent'}
importlib.util.find_spec = lambda name, package=None: None if name in missing else find_spec(name, package)
from pyrolite import serializers
print(sorted(serializers._serializers), records)
try:
    serializers.get_serializer('msgpack')
except Exception as error:
    print(type(error).__name__, error)
"""
    lines = run(code).splitlines()
    assert lines[0] == "['json', 'marshal', 'pickle'] [('WARNING', 'serpent serializer is not available')]"
    assert lines[1] == "SerializeError serializer 'msgpack' is unknown or not available"


@each_name
def test_interface(name: str) -> None:
    """[SER-4]: every method, with and without compression."""
    serializer = get_serializer(name)
    data = serializer.dumps(VALUE)
    assert type(data) is bytes
    assert serializer.loads(data) == VALUE
    call = serializer.dumpsCall("object", "method", (1, "a"), {"key": [2]})
    for buffer in (call, bytearray(call), memoryview(call), memoryview(b"??" + call)[2:]):
        obj, method, vargs, kwargs = serializer.loadsCall(buffer)
        assert (obj, method, list(vargs), kwargs) == ("object", "method", [1, "a"], {"key": [2]})

    plain, compressed = serializer.serializeData(VALUE)
    assert (plain, compressed) == (data, False)
    small, compressed = serializer.serializeData(VALUE, compress=True)
    assert compressed
    assert len(small) < len(data)
    assert serializer.deserializeData(data) == VALUE
    assert serializer.deserializeData(memoryview(small), compressed=True) == VALUE
    tiny, compressed = serializer.serializeData(1, compress=True)
    assert (tiny, compressed) == (serializer.dumps(1), False)

    plain, compressed = serializer.serializeCall("object", "method", (VALUE,), {})
    assert (plain, compressed) == (serializer.dumpsCall("object", "method", (VALUE,), {}), False)
    small, compressed = serializer.serializeCall("object", "method", (VALUE,), {}, compress=True)
    assert compressed
    for result in (
        serializer.deserializeCall(plain),
        serializer.deserializeCall(plain, compressed=False),
        serializer.deserializeCall(bytearray(small), compressed=True),
    ):
        assert (*result[:2], list(result[2]), result[3]) == ("object", "method", [VALUE], {})


@each_name
def test_equality(name: str) -> None:
    """[SER-4]: objects of the same class are equal, and hashable by identity."""
    one, other = CLASSES[name](), CLASSES[name]()
    assert one == other == get_serializer(name)
    assert one != get_serializer("json" if name != "json" else "marshal")
    assert one != name
    assert len({one, other}) == 2


@each_name
@pytest.mark.parametrize("sent", IDS)
def test_serializers_can_be_serialized(name: str, sent: str) -> None:
    """[SER-4], [SER-41]: with every serializer, also nested and as an argument."""
    serializer = get_serializer(name)
    received = serializer.loads(serializer.dumps([get_serializer(sent)]))
    assert received == [get_serializer(sent)]
    _, _, vargs, _ = serializer.loadsCall(serializer.dumpsCall("o", "m", (get_serializer(sent),), {}))
    assert list(vargs) == [get_serializer(sent)]
    if name in ("serpent", "json", "marshal", "msgpack"):
        assert SerializerBase.class_to_dict(get_serializer(sent)) == {
            "__class__": f"Pyro4.util.{CLASSES[sent].__name__}"
        }


def test_configured_names() -> None:
    """[SER-3]: an unknown name is reported where it is used."""
    assert config.SERIALIZER == "serpent"
    assert config.SERIALIZERS_ACCEPTED == {"serpent", "marshal", "json"}
    with config.override(SERIALIZER="nonsense"), pytest.raises(SerializeError, match="'nonsense' is unknown"):
        Proxy("PYRO:o@h:1")
    accepted = {"serpent", "nonsense"}
    with config.override(SERIALIZERS_ACCEPTED=accepted), pytest.raises(SerializeError, match="'nonsense' is unknown"):
        Daemon()


def test_base_class() -> None:
    """[SER-4]: what subclasses must provide."""
    base = SerializerBase()
    actions: list[Any] = [
        lambda: base.dumps(1),
        lambda: base.loads(b""),
        lambda: base.dumpsCall("o", "m", (), {}),
        lambda: base.loadsCall(b""),
        lambda: base.serializeData(1),
        lambda: base.deserializeData(b""),
        lambda: SerializerBase.register_type_replacement(int, int),
    ]
    for action in actions:
        with pytest.raises(NotImplementedError):
            action()
