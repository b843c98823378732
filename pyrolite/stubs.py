"""``python -m pyrolite.stubs``: what a remote object offers, as a class for type checkers of clients ([BYD-23])."""

from __future__ import annotations

import builtins
import collections.abc
import inspect
import keyword
import sys
import textwrap
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pyrolite.commandline import OptionParser, errors_in_one_line
from pyrolite.core.description import signature_of
from pyrolite.core.exposure import exposed_names, get_exposed_members
from pyrolite.serve import find_object

__all__ = ["main", "stub"]

_EPILOG: Final = """\
examples:
  python -m pyrolite.stubs shop:Stock                     print it
  python -m pyrolite.stubs shop:Stock -o stock.py         a module for the client
  python -m pyrolite.stubs shop:Stock -o stock.pyi        or a stub file
  python -m pyrolite.stubs --expose-all statistics:NormalDist
                                                          for servers with REQUIRE_EXPOSE off

A client uses it so:
  from stock import Stock
  with pyrolite.Proxy("PYRONAME:example.stock") as proxy:
      stock = pyrolite.typed(Stock, proxy)

Exit code: 0 success, 1 error, 2 wrong usage.
"""

_INDENT: Final = "    "
#: Longer lists of parameters are broken into lines.
_LONG: Final = 80


def main(args: Sequence[str] | None = None) -> int:
    """Write the class for what these arguments say, default those of the process; returns the exit code.

    Raises:
        SystemExit: the arguments are wrong (2), or something cannot be used (1).
    """
    parser = OptionParser(
        "python -m pyrolite.stubs",
        "Write a typing.Protocol of what a class offers to its clients.",
        _EPILOG,
        usage="[options] MODULE:CLASS",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write it (default: standard output)")
    parser.add_argument("--expose-all", action="store_true", help="everything public, not only what has @expose")
    options, arguments = parser.parse(args)
    if len(arguments) != 1:
        parser.error("exactly one MODULE:CLASS is needed")
    try:
        thing = find_object(arguments[0])
    except (ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))
    with errors_in_one_line():
        text = stub(thing, only_exposed=not options.expose_all)
        if options.output:
            Path(options.output).write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)
    return 0


def stub(class_or_object: Any, *, only_exposed: bool = True) -> str:
    """The source of a module with a ``typing.Protocol`` of what a class, or the class of an object, exposes.

    Args:
        class_or_object: what is published.
        only_exposed: only what has ``@expose``; False: everything public.

    Raises:
        ValueError: it does not expose anything.
    """
    cls = class_or_object if isinstance(class_or_object, type) else type(class_or_object)
    metadata = get_exposed_members(cls, only_exposed=only_exposed)
    if not exposed_names(metadata):
        what = f"{cls.__qualname__} does not expose anything"
        raise ValueError(f"{what}: put @expose before the class, or say --expose-all")
    writer = _Writer({*metadata["attrs"], *metadata["methods"]})
    members = [writer.attribute(cls, name) for name in sorted(metadata["attrs"])]
    members += [writer.method(cls, name, oneway=name in metadata["oneway"]) for name in sorted(metadata["methods"])]
    lines = [
        f'"""What {cls.__module__}:{cls.__qualname__} offers to its clients; made by pyrolite.stubs, do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        *writer.import_lines(),
        "",
        "",
        f"class {cls.__name__}(Protocol):",
        *_docstring(inspect.getdoc(cls) if cls.__doc__ else None),
        "",
        "\n\n".join(members),
    ]
    return "\n".join(lines) + "\n"


def _docstring(text: str | None, depth: int = 1) -> list[str]:
    """The lines of a docstring; none when there is none."""
    if not text:
        return []
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if safe.endswith('"'):
        safe = safe[:-1] + '\\"'
    if "\n" in safe:
        safe += "\n"
    return textwrap.indent(f'"""{safe}"""', _INDENT * depth).splitlines()


class _Text:
    """Stands in signatures for annotations and defaults, and looks there as its text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class _Writer:
    """Writes members, and remembers what has to be imported for their annotations.

    ``members`` are the names of all of them: where one is that of a builtin class, that class needs another name.
    """

    def __init__(self, members: set[str]) -> None:
        self._members = members
        self._modules: set[str] = set()
        self._names: dict[str, set[str]] = {"typing": {"Protocol"}}

    def import_lines(self) -> list[str]:
        """The import statements for what has been written."""
        lines = [f"import {module}" for module in sorted(self._modules)]
        froms = sorted(self._names.items())
        return lines + [f"from {module} import {', '.join(sorted(names))}" for module, names in froms]

    # ---- members

    def method(self, cls: type, name: str, *, oneway: bool) -> str:
        """A method, as clients call it."""
        member = getattr(cls, name)
        signature = signature_of(inspect.getattr_static(cls, name), member)
        hints = _hints(member)
        if signature is None:
            shown = f"(self, *args: {self._any()}, **kwargs: {self._any()}) -> {'None' if oneway else self._any()}"
        else:
            result = "None" if oneway else self.annotation(hints.get("return", Any))
            shown = self._signature(signature, hints, result)
        return self._body(f"def {name}{shown}:", inspect.getdoc(member))

    def _signature(self, signature: inspect.Signature, hints: dict[str, Any], result: str) -> str:
        parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        if any(parameter.kind is inspect.Parameter.POSITIONAL_ONLY for parameter in signature.parameters.values()):
            parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
        for parameter in signature.parameters.values():
            default = parameter.default if parameter.default is inspect.Parameter.empty else _Text("...")
            annotation = _Text(self.annotation(hints.get(parameter.name, Any)))
            parameters.append(parameter.replace(annotation=annotation, default=default))
        text = str(inspect.Signature(parameters))
        if len(text) > _LONG:
            marked = [str(inspect.Signature([parameter]))[1:-1] for parameter in parameters]
            text = f"(\n{textwrap.indent(self._separated(parameters, marked), _INDENT * 2)}\n{_INDENT})"
        return f"{text} -> {result}"

    @staticmethod
    def _separated(parameters: list[inspect.Parameter], texts: list[str]) -> str:
        """One parameter a line, with the marks for those that are positional-only or keyword-only."""
        lines: list[str] = []
        for number, (parameter, text) in enumerate(zip(parameters, texts, strict=True)):
            before = parameters[number - 1].kind if number else None
            if before is parameter.POSITIONAL_ONLY and parameter.kind is not parameter.POSITIONAL_ONLY:
                lines.append("/,")
            if parameter.kind is parameter.KEYWORD_ONLY:
                if before not in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}:
                    lines.append("*,")
                text = text.removeprefix("*, ")  # noqa: PLW2901
            lines.append(text.removesuffix(", /") + ",")
        if parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
            lines.append("/,")
        return "\n".join(lines)

    def attribute(self, cls: type, name: str) -> str:
        """A property, with its setter when it has one."""
        descriptor: Any = inspect.getattr_static(cls, name)
        kind = self.annotation(_hints(getattr(descriptor, "fget", None)).get("return", Any))
        text = f"{_INDENT}@property\n" + self._body(f"def {name}(self) -> {kind}:", inspect.getdoc(descriptor))
        if getattr(descriptor, "fset", None) is not None:
            text += f"\n\n{_INDENT}@{name}.setter\n" + self._body(f"def {name}(self, value: {kind}) -> None:", None)
        return text

    @staticmethod
    def _body(head: str, doc: str | None) -> str:
        lines = _docstring(doc, 2)
        if not lines:
            return f"{_INDENT}{head} ..."
        return "\n".join([f"{_INDENT}{head}", *lines, f"{_INDENT * 2}..."])

    # ---- annotations

    def _any(self) -> str:
        self._names["typing"].add("Any")
        return "Any"

    def annotation(self, hint: Any) -> str:
        """The text of an annotation; ``Any`` for what clients could not understand."""
        if hint is None or hint is type(None):
            return "None"
        if hint is Any:
            return self._any()
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Union or origin is types.UnionType:
            return " | ".join(dict.fromkeys(map(self.annotation, arguments)))
        if origin is typing.Literal:
            self._names["typing"].add("Literal")
            return f"Literal[{', '.join(map(repr, arguments))}]"
        if origin is typing.Annotated:
            return self.annotation(arguments[0])
        if origin is collections.abc.Callable:
            return self._callable(arguments)
        if isinstance(origin, type):
            return self._generic(origin, arguments, hint)
        return self._class(hint) if isinstance(hint, type) else self._any()

    def _generic(self, origin: type, arguments: tuple[Any, ...], hint: Any) -> str:
        if not arguments:
            return self._class(origin) + ("[()]" if origin is tuple and hint is not typing.Tuple else "")  # noqa: UP006
        if origin in {collections.abc.Generator, collections.abc.AsyncGenerator}:
            origin, arguments = collections.abc.Iterator, arguments[:1]  # clients can only read it
        return f"{self._class(origin)}[{', '.join(map(self._argument, arguments))}]"

    def _argument(self, hint: Any) -> str:
        return "..." if hint is Ellipsis else self.annotation(hint)

    def _callable(self, arguments: tuple[Any, ...]) -> str:
        self._names.setdefault("collections.abc", set()).add("Callable")
        if len(arguments) != 2:
            return f"Callable[..., {self._any()}]"
        taken = arguments[0]
        shown = f"[{', '.join(map(self.annotation, taken))}]" if isinstance(taken, list) else "..."
        return f"Callable[{shown}, {self.annotation(arguments[1])}]"

    def _class(self, cls: type) -> str:
        """How a class is named; one that cannot be imported is Any."""
        if cls.__module__ == "builtins":
            if not hasattr(builtins, cls.__qualname__):
                return self._any()
            if cls.__qualname__ not in self._members:
                return cls.__qualname__
        if cls.__module__ == "collections.abc":
            self._names.setdefault("collections.abc", set()).add(cls.__name__)
            return cls.__name__
        parts = f"{cls.__module__}.{cls.__qualname__}".split(".")
        if cls.__module__ == "__main__" or not all(map(_is_name, parts)):
            return self._any()
        self._modules.add(cls.__module__)
        return ".".join(parts)


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _hints(function: Any) -> dict[str, Any]:
    """The annotations of a function as what they mean; those that mean nothing here are left out."""
    function = inspect.unwrap(getattr(function, "__func__", function)) if function is not None else None
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # names that exist for type checkers only, for instance
        return _single_hints(function)


def _single_hints(function: Any) -> dict[str, Any]:
    """As `_hints`, one by one, since one of them has no meaning."""
    found: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            found |= typing.get_type_hints(holder, getattr(function, "__globals__", {}), include_extras=True)
        except Exception:  # noqa: S112 - this one stays Any
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
