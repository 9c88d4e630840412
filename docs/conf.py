"""Sphinx configuration."""

import lagllama_adapters

project = "lagllama_adapters"
author = "the lagllama_adapters contributors"
copyright = f"2026, {author}"
version = release = lagllama_adapters.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_title = f"{project} {release}"
html_sidebars = {"**": []}  # the pages have no sections that it could list

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections carry the types
autodoc_inherit_docstrings = False  # the hosts document their own methods
numpydoc_show_class_members = False
