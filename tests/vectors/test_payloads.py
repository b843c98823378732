"""The payloads of the messages that Pyro4 sent: decoded, and written again ([WIRE-70], [SER-40], [SER-45])."""

from __future__ import annotations

import datetime
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from pyrolite import errors
from pyrolite.core import URI, Proxy
from pyrolite.futures import _ExceptionWrapper
from pyrolite.serializers import get_serializer, get_serializer_by_id

VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads((Path(__file__).parent / "data" / "p4-messages.json").read_text())["vectors"]
    if "serializer" in vector
]


def each(vectors: Any) -> Any:
    return pytest.mark.parametrize("vector", list(vectors), ids=lambda vector: vector["id"])


def payload_of(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector.get("payload_uncompressed_hex", vector["payload_hex"]))


EXTENSIONS = {
    0x30: lambda data: complex(*struct.unpack("<dd", data)),
    0x31: int,
    0x32: lambda data: datetime.datetime.fromtimestamp(*struct.unpack("<d", data)),
    0x33: lambda data: datetime.date.fromordinal(*struct.unpack("<q", data)),
}
TAGS = {
    "$tuple": lambda v: tuple(untag(v)),
    "$set": lambda v: set(untag(v)),
    "$bytes": bytes.fromhex,
    "$int": int,
    "$ext": lambda v: EXTENSIONS[v[0]](bytes.fromhex(v[1])),
    "$float": float,
    "$complex": lambda v: complex(*untag(v)),
    "$dict": lambda v: {untag(key): untag(value) for key, value in v},
}


def untag(tagged: Any) -> Any:
    """The value that tagged JSON stands for."""
    if isinstance(tagged, list):
        return [untag(item) for item in tagged]
    if not isinstance(tagged, dict):
        return tagged
    if len(tagged) == 1:
        ((tag, value),) = tagged.items()
        if tag.startswith("$"):
            return TAGS[tag](value)
    return {key: untag(value) for key, value in tagged.items()}


def is_exact(vector: dict[str, Any]) -> bool:
    """Whether writing the decoded payload again must give the same bytes (``data/README.md``)."""
    text = json.dumps(vector["payload"])
    return vector["serializer"] in ("serpent", "json", "msgpack") and not any(
        tag in text for tag in ('"$set"', '"$bytes"', "__class__", '"encoding": "base64"')
    )


def holds_no_objects(vector: dict[str, Any]) -> bool:
    return "$object" not in json.dumps(vector["payload"]) and "__class__" not in json.dumps(vector["payload"])


@each(v for v in VECTORS if v["type_name"] == "INVOKE" and holds_no_objects(v))
def test_calls(vector: dict[str, Any]) -> None:
    """[WIRE-70]: the four items of a call, in the shape that each serializer has for them."""
    serializer = get_serializer(vector["serializer"])
    payload = untag(vector["payload"])
    if vector["serializer"] == "json":
        payload = [payload["object"], payload["method"], payload["params"], payload["kwargs"]]
    decoded = serializer.loadsCall(payload_of(vector))
    assert list(decoded) == list(payload)
    assert type(decoded[2]) is type(payload[2])
    written = serializer.dumpsCall(*decoded)
    assert list(serializer.loadsCall(written)) == list(payload)
    if is_exact(vector):
        assert written == payload_of(vector)


@each(v for v in VECTORS if v["type_name"] != "INVOKE" and holds_no_objects(v))
def test_other_payloads(vector: dict[str, Any]) -> None:
    """[WIRE-73]: results, handshakes and refusals."""
    serializer = get_serializer(vector["serializer"])
    decoded = serializer.loads(payload_of(vector))
    assert decoded == untag(vector["payload"])
    written = serializer.dumps(decoded)
    assert serializer.loads(written) == decoded
    if is_exact(vector):
        assert written == payload_of(vector)


UNKNOWN_CLASS = "p4.exc-unknown-class"
OBJECTS = [v for v in VECTORS if not holds_no_objects(v) and v["type_name"] == "RESULT"]


@each(v for v in OBJECTS if v["id"] != UNKNOWN_CLASS)
def test_objects(vector: dict[str, Any]) -> None:
    """[SER-40], [SER-45], [SER-50], [SER-54]: results with library classes and exceptions, from all serializers."""
    kind = vector["id"].rpartition(".")[2]
    value = get_serializer(vector["serializer"]).loads(payload_of(vector))
    if "batch-exc" in kind:
        assert isinstance(value[-1], _ExceptionWrapper)
        assert isinstance(value[-1].exception, ZeroDivisionError)
        value = value[-1].exception
    elif kind == "result-uri":
        assert value == URI("PYRO:some@host:4444")
    elif kind == "autoproxy-result":
        assert isinstance(value, Proxy)
        assert value._pyroOneway == {"fire"}
        assert "echo" in value._pyroMethods
    elif kind == "stream-start":
        assert type(value) is errors.ProtocolError
        assert value._pyroTraceback is None
    if isinstance(value, BaseException) and "Traceback (most recent" in json.dumps(vector["payload"]):
        assert value._pyroTraceback[0].startswith("Traceback")


def test_unknown_exception() -> None:
    """[SER-55], [BYD-40]: what Pyro4 sends for an exception that is not known here."""
    (vector,) = (v for v in OBJECTS if v["id"] == UNKNOWN_CLASS)
    with pytest.raises(errors.RemoteError) as caught:
        get_serializer(vector["serializer"]).loads(payload_of(vector))
    error = caught.value
    assert str(error) == "unsupported serialized class: vecmod.Custom (remote exception: 'c', 1)"
    assert (error.class_name, error.remote_args) == ("vecmod.Custom", ("c", 1))
    assert error.remote_traceback == error._pyroTraceback == vector["payload"]["attributes"]["_pyroTraceback"]


def test_every_serializer_has_objects() -> None:
    """The test above is about all of them."""
    for name in ("serpent", "json", "msgpack", "pickle", "dill", "cloudpickle"):
        decoded = {
            type(get_serializer(name).loads(payload_of(vector)))
            for vector in OBJECTS
            if vector["serializer"] == name and vector["id"] != UNKNOWN_CLASS
        }
        assert {URI, ZeroDivisionError, errors.NamingError} <= decoded


def test_ids() -> None:
    """[WIRE-75]: the serializer of every message is the one that its header says."""
    for vector in VECTORS:
        assert get_serializer_by_id(vector["header"]["serializer_id"]) is get_serializer(vector["serializer"])
