"""Serialized blobs as objects (chapter 34)."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

import pyrolite
from pyrolite.core import SerializedBlob
from pyrolite.errors import SerializeError
from pyrolite.message import Message
from pyrolite.serializers import get_serializer


def test_sending_side() -> None:
    """[BLOB-1]"""
    data = {"a": [1]}
    blob = pyrolite.SerializedBlob("info", data)
    assert SerializedBlob is pyrolite.SerializedBlob
    assert blob.info == "info"
    assert blob.deserialized() is data


@pytest.mark.parametrize("name", ["serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill"])
@pytest.mark.parametrize("compressed", [True, False])
def test_receiving_side(name: str, compressed: bool) -> None:
    """[BLOB-1], [BLOB-4]: decoded anew at every call."""
    serializer = get_serializer(name)
    payload = serializer.dumpsCall("object", "method", ["x" * 300, 2], {})
    message = Message(
        4, zlib.compress(payload) if compressed else payload, serializer.serializer_id, 0x42 if compressed else 0x40, 1
    )
    blob = SerializedBlob("info", message, is_blob=True)
    first, second = blob.deserialized(), blob.deserialized()
    assert first == second == ["x" * 300, 2]
    assert first is not second


def test_garbage() -> None:
    """[BLOB-4]: an error when the data is wanted."""
    blob = SerializedBlob("info", Message(4, b"garbage", 1, 0x40, 1), is_blob=True)
    with pytest.raises(SerializeError):
        blob.deserialized()


@pytest.mark.parametrize("name", ["serpent", "json", "marshal", "msgpack", "pickle", "cloudpickle", "dill"])
@pytest.mark.parametrize("wrap", [lambda blob: blob, lambda blob: [blob], lambda blob: {"k": (1, blob)}])
def test_not_serializable(name: str, wrap: Any) -> None:
    """[BLOB-2]"""
    with pytest.raises(SerializeError, match="^if SerializedBlob is used, it must be the only argument"):
        get_serializer(name).dumps(wrap(SerializedBlob("info", 1)))
