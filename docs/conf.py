"""Sphinx configuration."""

import os
from pathlib import Path

import typer
import typer.cli
import typer.main

import lagllama_adapters
from lagllama_adapters.cli import app as command_line

project = "lagllama_adapters"
author = "the lagllama_adapters contributors"
copyright = f"2026, {author}"
version = release = lagllama_adapters.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": project},
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages of one level with nothing beneath them have nothing to list at their side.
html_sidebars = {"index": [], "changelog": [], "glossary": []}

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Pictures of a cell are part of its output, whatever the tests draw with.
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
nb_execution_mode = "auto"  # pages that are notebooks hold no output: each build makes it anew
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"  # the hosts' warnings about themselves

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections carry the types
autodoc_inherit_docstrings = False  # the hosts document their own methods
numpydoc_show_class_members = False


def _write_command_page(*_: object) -> None:
    """Write the reference of the command line: what `lagllama COMMAND --help` says."""
    command = typer.main.get_command(command_line)
    context = typer.Context(command, info_name="lagllama")
    text = typer.cli.get_docs_for_click(
        obj=command, ctx=context, name="lagllama", title="Command line"
    )
    page = Path(__file__).parent / "reference" / "generated" / "lagllama.md"
    page.parent.mkdir(exist_ok=True)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app: object) -> None:
    app.connect("builder-inited", _write_command_page)
