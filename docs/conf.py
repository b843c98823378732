"""How Sphinx builds this documentation: ``./run docs``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from pyrolite.constants import VERSION

project = "pyrolite"
author = "the pyrolite developers"
copyright = f"2026 {author}"
version = release = VERSION

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "command_help",
    "config_items",
    "differences",
    "page_marks",
    "serializer_tables",
    "spec_ids",
]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"pyrolite {VERSION}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_use_legacy_class_based = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Single backquotes in docstrings name things of pyrolite: a link where there is one, and code where there is none.
default_role = "py:obj"
# Building must work without a network, so no inventories of other projects are fetched.
intersphinx_mapping: dict[str, tuple[str, None]] = {}
