"""Sphinx configuration; the tables and the API pages are generated from the package itself."""

from __future__ import annotations

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
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Sets the following fields", "params_style")]

# The pages that state facts of the package are written anew at every build, so they cannot age.
generate.everything(Path(__file__).parent / "generated")
