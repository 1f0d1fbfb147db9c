"""Sphinx configuration; the tables and the API pages are generated from the package itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

import scifn

project = "scifn"
author = "The scifn developers"
copyright = f"2026, {author}"
version = release = scifn.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "generated/*.inc.md"]
smartquotes_action = "D"  # dashes, no quotes: names are printed as they are
html_theme = "furo"
html_title = f"scifn {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"footer_icons": []}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Sets the following fields", "params_style")]

# The pages that state facts of the package are written anew at every build, so they cannot age.
generate.everything(Path(__file__).parent / "generated")


def plain_fields(*event: object) -> None:
    """Names of fields stand in backticks for readers of the source; napoleon sets them in bold."""
    lines = event[-1]
    lines[:] = [re.sub(r"^``(.+)``( : .+)$", r"\1\2", line) for line in lines]


def setup(app: object) -> None:
    """Before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", plain_fields, priority=400)
