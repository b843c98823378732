"""What the members of an object are like: signatures and docstrings, for people and their tools ([DMN-82])."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from pyrolite import lazily

if TYPE_CHECKING:
    import inspect
else:
    inspect = lazily.module("inspect", globals())

__all__ = ["describe_members", "signature_of"]

#: No more characters than these of a docstring, a signature, and a default value are told.
_DOC_SHOWN: Final = 4000
_SIGNATURE_SHOWN: Final = 1000
_DEFAULT_SHOWN: Final = 100


def describe_members(cls: type, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Signature, parameters and docstring of members of a class, in values that every serializer takes.

    Each parameter is a list of its name, its kind (as ``inspect.Parameter.kind.name``) and the text of its default, or
    None when it has none. For attributes and where nothing is known, ``signature`` is None and there are no parameters.
    """
    return {name: _describe(inspect.getattr_static(cls, name, None), getattr(cls, name, None)) for name in names}


def _describe(static: Any, member: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "signature": None,
        "parameters": [],
        "doc": (inspect.getdoc(member) or "")[:_DOC_SHOWN],
    }
    if inspect.isdatadescriptor(member):
        return described
    signature = signature_of(static, member)
    if signature is not None:
        described["signature"] = str(signature)[:_SIGNATURE_SHOWN]
        described["parameters"] = [
            [parameter.name, parameter.kind.name, _default_text(parameter)]
            for parameter in signature.parameters.values()
        ]
    return described


def signature_of(static: Any, member: Any) -> inspect.Signature | None:
    """The signature of a method as a caller sees it, without ``self``; None when it has none, or it cannot be told.

    ``static`` is the member as it stands in the class, ``member`` what attribute access on the class gives.
    """
    try:
        signature = _plain(inspect.signature(member))
        str(signature)  # texts of annotations come from code of the program, too
    except Exception:
        return None
    if inspect.ismethod(member) or isinstance(static, staticmethod):
        return signature
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind in {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    }:
        return signature.replace(parameters=parameters[1:])
    return signature


class _Shown:
    """Stands in a signature for an annotation or a default value, and looks there as its text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


#: Default values of these types are told; other values may run code of the program for their text, and have addresses.
_TOLD: Final = frozenset({type(None), bool, int, float, complex, str, bytes})
_EMPTY: Final[tuple[Any, ...]] = ([], {}, ())


def _plain(signature: inspect.Signature) -> inspect.Signature:
    """The signature with annotations that are text unquoted, and with ``...`` for defaults that are not told."""

    def annotation(value: Any) -> Any:
        return _Shown(value) if isinstance(value, str) else value

    def default(value: Any) -> Any:
        if value is inspect.Parameter.empty:
            return value
        told = type(value) in _TOLD or (type(value) in {list, dict, tuple} and value in _EMPTY)
        return _Shown(repr(value)[:_DEFAULT_SHOWN] if told else "...")

    parameters = [
        parameter.replace(annotation=annotation(parameter.annotation), default=default(parameter.default))
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=annotation(signature.return_annotation))


def _default_text(parameter: inspect.Parameter) -> str | None:
    return None if parameter.default is inspect.Parameter.empty else repr(parameter.default)
