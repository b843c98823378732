"""The parts of the documentation that are made while it is built say what their sources say."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("sphinx")

REPOSITORY = Path(__file__).resolve().parents[3]


def extension(name: str) -> ModuleType:
    """One of the extensions of Sphinx in ``docs/_ext``."""
    path = REPOSITORY / "docs" / "_ext" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"documentation_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_difference_is_listed() -> None:
    """Each requirement with a mark is there once, with the text behind the mark."""
    differences = extension("differences").differences
    for path in (REPOSITORY / "docs" / "specification").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        listed = list(differences(text))
        marked = set(re.findall(r"^(?:- )?\[([A-Z0-9]+-\d+)\] \[BETTER", text, re.MULTILINE))
        assert marked <= {name for name, _ in listed}
        assert all(what and "[BETTER" not in what for _, what in listed)


def test_difference_begins_with_its_sentence() -> None:
    differences = extension("differences").differences
    chapter = (
        "# 1 Chapter\n\n"
        "- [AB-1] Something is so. Pyro4 does this, [BETTER] and pyrolite\n  does that, which is better.\n"
        "- [AB-2] Nothing else.\n"
        "- [AB-3] [BETTER] All of it.\n\n"
        "A paragraph. [BETTER] It belongs to what is before it.\n"
    )
    assert list(differences(chapter)) == [
        ("AB-1", "Pyro4 does this, and pyrolite does that, which is better."),
        ("AB-3", "All of it."),
        ("AB-3", "It belongs to what is before it."),
    ]


@pytest.mark.parametrize(
    ("tagged", "shown"),
    [
        ('{"$tuple": [1]}', "(1,)"),
        ('{"$set": []}', "set()"),
        ('{"$dict": [[{"$bytes": "6b"}, 1]]}', "{b'k': 1}"),
        ('{"a": [null, true, {"$float": "nan"}]}', "{'a': [None, True, nan]}"),
        ('{"$exception": "builtins.ValueError", "args": ["bad", 1], "attributes": {}}', "ValueError('bad', 1)"),
        ('{"$uri": ["PYRO", "obj", null, "host", 1]}', "URI(PYRO:obj@host:1)"),
        ('{"$uri": ["PYRO", "obj", "sock", null, null]}', "URI(PYRO:obj@./u:sock)"),
    ],
)
def test_tagged_values_are_shown_as_python_writes_them(tagged: str, shown: str) -> None:
    assert extension("serializer_tables").python(json.loads(tagged)) == shown


def test_tables_have_a_row_for_each_vector() -> None:
    tables = extension("serializer_tables")
    for name in ("serpent", "json", "marshal", "msgpack", "pickle"):
        rows = list(tables.rows_of(name))
        assert len(rows) == 97
        assert all(row.replace("\\|", "").count("|") == 4 for row in rows)


def test_settings_are_in_groups() -> None:
    """[CFG-11] Every item is in a group, and has a sentence."""
    items = extension("config_items")
    grouped = [name for _, names in items._groups() for name in names]
    assert sorted(grouped) == sorted(items._defaults())
    meanings = items._meanings()
    assert [name for name in grouped if len(re.sub(r"\[[A-Z0-9]+-\d+\]", "", meanings[name])) < 15] == []
