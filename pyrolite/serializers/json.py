"""The json format, written and read by the module that config JSON_MODULE names ([SER-19])."""

from __future__ import annotations

import importlib
import json
import json.encoder
import re
from collections.abc import Callable
from typing import Any, ClassVar, Final

from pyrolite import lazily
from pyrolite.configuration import config
from pyrolite.errors import SerializeError
from pyrolite.serializers.base import Buffer, SerializerBase, concerned
from pyrolite.serializers.values import GraphConverter, base64_dict, simple_forms

__all__ = ["JsonSerializer"]

_ATOMS: Final = frozenset({type(None), bool, int, float, str})
#: What the encoder writes itself, subclasses included, without asking anybody.
_NATIVE: Final = (int, float, str, list, tuple, dict)


class JsonSerializer(SerializerBase):
    """JSON: safe, understood by everyone, with few types."""

    serializer_id = 2
    _forms = simple_forms(
        {set: list, frozenset: list, bytes: base64_dict, bytearray: base64_dict, memoryview: base64_dict},
        without=(complex,),
    )
    #: Whether hooks concern values that the encoder would write itself.
    _walk_all: ClassVar[bool] = False

    def _encode(self, data: Any) -> bytes:
        if self._walk_all:
            data = GraphConverter(
                _ATOMS, self._hookable, self._hooked, self._simpler, lambda key: key, sets=False
            ).convert(data)
        name = config.JSON_MODULE
        if name != "json":
            return _dumps_with(name, data, self._simpler)
        try:
            return "".join(_json_chunks(data, 0)).encode("utf-8")
        except RecursionError:
            return _dumps_with("json", data, self._simpler)  # raises the right error for circular references

    def _encode_call(self, obj: Any, method: str, vargs: Any, kwargs: Any) -> bytes:
        return self._encode({"object": obj, "method": method, "params": vargs, "kwargs": kwargs})

    def _read(self, data: Buffer) -> Any:
        text = str(data, "utf-8")
        if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(data):
            raise ValueError(f"malformed json data: more than {MAX_DEPTH} levels")
        name = config.JSON_MODULE
        if name != "json":
            return _module(name).loads(text)
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            return _decode(text)  # blanks in front of the value, or the error
        return value if end == len(text) else _decode(text)

    _has_own_call = True

    def _read_call(self, data: Buffer) -> tuple[Any, Any, Any, Any]:
        call = self._read(data)
        return call["object"], call["method"], call["params"], call["kwargs"]

    @classmethod
    def _hooks_changed(cls) -> None:
        super()._hooks_changed()
        cls._walk_all = concerned(_NATIVE, cls._hooks())


MAX_DEPTH: Final = 200
"""Brackets inside of brackets, at most ([HRD-7], [SER-71])."""
#: All bytes but those that make up the skeleton of a text.
_FLESH: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STRINGS: Final = lazily.value("_STRINGS", globals(), lambda: re.compile(rb'"[^"]*"'))
_EASY_LEVELS: Final = 16


def _is_deep(data: Buffer) -> bool:
    """Whether the nesting of a text is beyond the limit; takes a tenth of the time of parsing it."""
    text = bytes(data)
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    skeleton = text.translate(None, _FLESH)
    without_strings = skeleton.replace(b'""', b"")
    # If quotes are left, then there are brackets in strings. There are none if all quotes were in runs of even length.
    skeleton = _STRINGS.sub(b"", skeleton) if b'"' in without_strings else without_strings
    rest = skeleton
    for _ in range(_EASY_LEVELS):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
        if not rest:
            return False
    depth = 0
    for bracket in skeleton:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


_decoder: Final = json.JSONDecoder()
_decode: Final = _decoder.decode
_scan: Final[Callable[[str, int], tuple[Any, int]]] = _decoder.scan_once  # type: ignore[attr-defined]


def _make_encoder() -> Callable[[Any, int], Any]:
    """The encoder of the json module, made once instead of for every call, which halves the time.

    It keeps no record of the containers it is in, because that cannot be shared by threads: circular references end in
    a RecursionError.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=JsonSerializer._simpler)
    make: Callable[..., Callable[[Any, int], Any]] | None = getattr(json.encoder, "c_make_encoder", None)
    if make is not None:
        return make(None, encoder.default, json.encoder.encode_basestring, None, ": ", ", ", False, False, True)
    return lambda data, _: encoder.iterencode(data)


_json_chunks: Final = _make_encoder()


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SerializeError(f"the module {name!r} of config item JSON_MODULE is not available") from error


def _dumps_with(name: str, data: Any, default: Callable[[Any], Any]) -> bytes:
    text = _module(name).dumps(data, ensure_ascii=False, default=default)
    return text if isinstance(text, bytes) else text.encode("utf-8")
