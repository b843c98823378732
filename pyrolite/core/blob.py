"""Serialized blobs: call arguments that a dispatcher passes on without decoding them (chapter 34)."""

from __future__ import annotations

import marshal
from typing import Any, NamedTuple

from pyrolite import compression
from pyrolite.configuration import config
from pyrolite.core.message import Message
from pyrolite.errors import ProtocolError, SerializeError
from pyrolite.serializers import SerializerBase, get_serializer_by_id, marshal_guard
from pyrolite.wire.message import ANNOTATION_BLOB_INFO, FLAGS_COMPRESSED, Buffer, Frame

__all__ = ["BlobTarget", "SerializedBlob", "blob_argument", "encode_info", "read_info"]

ONLY_ARGUMENT = "if SerializedBlob is used, it must be the only argument"


class SerializedBlob:
    """Data that travels serialized through dispatchers, with a small description ``info`` that they can read.

    Use it as the only argument of a call: ``proxy.method(SerializedBlob(info, data))``. ``is_blob`` is for the library:
    ``_data`` is then the received message.
    """

    def __init__(self, info: Any, data: Any, is_blob: bool = False) -> None:
        self.info = info
        self._data = data
        self._is_blob = is_blob

    @property
    def message(self) -> Message | None:
        """The received message that holds the data, None on the side that made the blob."""
        return self._data if self._is_blob else None

    def deserialized(self) -> Any:
        """The data; on the receiving side it is decoded anew at every call.

        Raises:
            SerializeError: the data cannot be decoded here.
        """
        if not self._is_blob:
            return self._data
        message: Message = self._data
        data = message.data
        if message.flags & FLAGS_COMPRESSED:
            data = compression.decompress(data, config.MAX_MESSAGE_SIZE)
        _, _, arguments, _ = get_serializer_by_id(message.serializer_id).loadsCall(data)
        return arguments

    def __reduce__(self) -> Any:
        raise SerializeError(ONLY_ARGUMENT)


def _refuse(blob: SerializedBlob) -> dict[str, Any]:
    raise SerializeError(ONLY_ARGUMENT)


SerializerBase.register_class_to_dict(SerializedBlob, _refuse)


class BlobTarget(NamedTuple):
    """What the blob annotation says: the description and where the call goes ([BLOB-11])."""

    info: Any
    object_id: str
    method: str


def blob_argument(vargs: Any, kwargs: Any) -> SerializedBlob | None:
    """The blob that is a call's first positional argument, None when there is none ([BLOB-2]).

    A blob anywhere else is met, and refused, by the serializer.

    Raises:
        SerializeError: there are other arguments beside it.
    """
    if not vargs or not isinstance(vargs[0], SerializedBlob):
        return None
    if len(vargs) != 1 or kwargs:
        raise SerializeError(ONLY_ARGUMENT)
    return vargs[0]


def encode_info(target: BlobTarget) -> bytes:
    """The value of the blob annotation, in a marshal version that every peer reads ([BLOB-12]).

    Raises:
        ValueError: the info cannot be marshalled.
    """
    return marshal.dumps(tuple(target), 2)


def read_info(frame: Frame) -> BlobTarget:
    """The blob annotation of a received call ([BLOB-12], [BLOB-13]).

    Raises:
        ProtocolError: it is missing or malformed.
    """
    value: Buffer | None = frame.annotations.get(ANNOTATION_BLOB_INFO)
    if value is not None:
        try:
            target = marshal_guard.loads(value)
        except ValueError as error:
            raise ProtocolError("malformed blob annotation") from error
        if type(target) is tuple and len(target) == 3 and type(target[1]) is str and type(target[2]) is str:
            return BlobTarget(*target)
    raise ProtocolError("malformed blob annotation")
