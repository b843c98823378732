"""Directive ``serializer-tables``: what each value looks like on the wire, from the recorded bytes in tests/vectors.

Where pyrolite differs from what was recorded, the entry of the vector says so, and the table names the requirement.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_VECTORS = Path(__file__).resolve().parent.parent.parent / "tests" / "vectors" / "data" / "p4-values.json"
_TEXT_FORMATS = ("serpent", "json")
_LONGEST = 44  # characters in a cell


class SerializerTables(SphinxDirective):
    """A section for each serializer."""

    def run(self) -> list[nodes.Node]:
        """Make the tables."""
        self.env.note_dependency(str(_VECTORS))
        vectors = json.loads(_VECTORS.read_text(encoding="utf-8"))["vectors"]
        names = dict.fromkeys(vector["serializer"] for vector in vectors)
        lines = []
        for name in names:
            lines += [f"## {name}", "", "| value | on the wire | arrives as |", "|---|---|---|"]
            lines += [_row(vector) for vector in vectors if vector["serializer"] == name]
            lines.append("")
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _row(vector: dict[str, Any]) -> str:
    value = python(vector["value"])
    return f"| {_code(value)} | {_wire(vector)} | {_outcome(vector, value)} |"


def _wire(vector: dict[str, Any]) -> str:
    if "hex" not in vector:
        return ""
    data = bytes.fromhex(vector["hex"])
    if vector["serializer"] in _TEXT_FORMATS:
        text = data.decode("utf-8", "backslashreplace")
        return _code(re.sub(r"^# serpent utf-8 python\S+\n", "", text))
    return _code(data.hex(" "))


def _outcome(vector: dict[str, Any], value: str) -> str:
    note = f" [{vector['req']}]" if "pyrolite" in vector and "req" in vector else ""
    ours = {**vector, **vector["pyrolite"]} if isinstance(vector.get("pyrolite"), dict) else vector
    if "result" in ours and not (ours is not vector and "error" in vector["pyrolite"]):
        result = python(ours["result"])
        return ("the same" if result == value else _code(result)) + note
    error = ours.get("error", {})
    sending = error.get("stage") == "dumps"
    kind = str(error.get("type", "error")).rpartition(".")[2]
    if not sending and kind != "SecurityError":
        kind = "SerializeError"  # [SER-5]
    return f"**{kind}** when {'sending' if sending else 'receiving'}{note}"


def _code(text: str) -> str:
    text = text.replace("\n", "\\n").replace("|", "\\|").replace("`", "'")
    return f"`{text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}`"


def python(value: Any) -> str:
    """The tagged JSON of the vectors (tests/vectors/data/README.md) as Python would write it."""
    if isinstance(value, list):
        return f"[{', '.join(map(python, value))}]"
    if not isinstance(value, dict):
        return repr(value)
    tag = next((key for key in value if key.startswith("$")), "")
    if not tag:
        return "{" + ", ".join(f"{key!r}: {python(item)}" for key, item in value.items()) + "}"
    return _tagged(tag[1:], value[tag], value)


def _tagged(tag: str, content: Any, value: dict[str, Any]) -> str:
    items = ", ".join(map(python, content)) if isinstance(content, list) else ""
    forms = {
        "tuple": lambda: f"({items}{',' * (len(content) == 1)})",
        "set": lambda: f"{{{items}}}" if content else "set()",
        "frozenset": lambda: f"frozenset({{{items}}})",
        "bytes": lambda: repr(bytes.fromhex(content)),
        "bytearray": lambda: repr(bytearray.fromhex(content)),
        "memoryview": lambda: f"memoryview({bytes.fromhex(content)!r})",
        "int": lambda: str(content),
        "float": lambda: str(content),
        "complex": lambda: f"complex({items})",
        "dict": lambda: "{" + ", ".join(f"{python(key)}: {python(item)}" for key, item in content) + "}",
        "ext": lambda: f"ExtType({content[0]}, {bytes.fromhex(content[1])!r})",
        "uri": lambda: f"URI({_uri(*content)})",
        "proxy": lambda: f"Proxy({content['uri']})",
        "exception": lambda: f"{_short(content)}({', '.join(map(python, value.get('args', [])))})",
        "instance": lambda: f"{_short(content)}({_assignments(value['state'])})",
        "enum": lambda: content.partition(".")[2],
    }
    if tag in forms:
        return str(forms[tag]())
    shown = content if isinstance(content, str) else python(content)
    return f"{tag}({shown})"


def _uri(protocol: str, name: Any, socket: str | None, host: str | None, port: int | None) -> str:
    where = f"@./u:{socket}" if socket else f"@{host}:{port}" if host else ""
    tags = name if isinstance(name, str) else ",".join(name.get("$set", ()))
    return f"{protocol}:{tags}{where}"


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _assignments(state: dict[str, Any]) -> str:
    return ", ".join(f"{key}={python(item)}" for key, item in state.items())


def rows_of(name: str) -> Iterator[str]:
    """The rows of one serializer, for those who want to look at them without a build."""
    for vector in json.loads(_VECTORS.read_text(encoding="utf-8"))["vectors"]:
        if vector["serializer"] == name:
            yield _row(vector)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("serializer-tables", SerializerTables)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
