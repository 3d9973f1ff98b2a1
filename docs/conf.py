"""Sphinx settings: pages in Markdown, notebooks as they are committed, the reference from each package's `__all__`.

Warnings are errors (`python tasks.py docs`). What is generated, `api/` and `notebooks/`, is not kept in git.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import types
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).resolve().parent

project = "causalsem"
author = "The causalsem maintainers"
release = version = installed("causalsem")

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build", "jupyter_execute", "schema"]
html_theme = "pydata_sphinx_theme"
html_title = "causalsem"
html_show_sourcelink = False
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}

# The tests run every notebook; here a notebook without outputs is run, and one that fails ends the build.
nb_execution_mode = "auto"
nb_execution_raise_on_error = True
nb_execution_timeout = 300

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
# Annotations of other packages' types are shown as written; there is no inventory to link them to offline.
nitpicky = False
myst_heading_anchors = 3
# A page may be listed under its topic and again among all pages.
# Two packages may have a class of the same short name.
suppress_warnings = ["toc.multiple_toc_parents", "myst.xref_missing", "ref.python"]

STAGES = {
    "behaviour": "From log to moments",
    "graph": "Graphs and knowledge",
    "simulate": "Worlds with known truth",
    "discovery": "Discovery",
    "sem": "Structural equations",
    "identify": "Identification",
    "effects": "Effects",
    "networks": "Networks",
    "outcome": "The outcome model",
    "recommend": "Scores and rankings",
    "policy": "Policies",
    "report": "Pictures and the report",
    "datasets": "Data sets",
    "pipeline": "The whole study",
}


def api_page(stage: str, title: str) -> str:
    """Return the reference page of one package: every name of its `__all__`."""
    module = importlib.import_module(f"causalsem.{stage}")
    parts = [title, "=" * len(title), "", f".. automodule:: causalsem.{stage}", "   :no-members:", ""]
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) and not isinstance(value, types.GenericAlias):
            parts += [f".. autoclass:: causalsem.{stage}.{name}", "   :members:", ""]
        elif inspect.isroutine(value):
            parts += [f".. autofunction:: causalsem.{stage}.{name}", ""]
        else:  # a type alias or a constant
            parts += [f".. py:data:: causalsem.{stage}.{name}", f"   :value: {' '.join(repr(value).split())[:120]}", ""]
    return "\n".join(parts)


def prepare() -> None:
    """Write the reference pages and copy the notebooks to where Sphinx finds them; what is unchanged is left alone."""
    wanted = {HERE / "api" / f"{stage}.rst": api_page(stage, title).encode() for stage, title in STAGES.items()}
    wanted |= {HERE / "notebooks" / path.name: path.read_bytes() for path in (HERE.parent / "notebooks").glob("*.ipynb")}
    for folder in ("api", "notebooks"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in set((HERE / folder).iterdir()) - set(wanted):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for path, content in wanted.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def plain_docstring(app: object, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Turn our docstrings, which are plain text with `code` in backticks, into RST that means the same."""
    text = "\n".join(lines)
    text = re.sub(r"(?<![`:])`([^`\n]+)`(?![`_])", r"``\1``", text)
    parts = re.split(r"(``[^`]+``)", text)
    parts[::2] = [re.sub(r"(\*|\||(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    paragraphs = re.split(r"\n\s*\n", "".join(parts))
    # A paragraph whose lines are indented is a list or a drawing: its lines stay lines.
    shaped = [_as_lines(block) if re.search(r"^\s+\S", block, re.MULTILINE) else block for block in paragraphs]
    lines[:] = "\n\n".join(shaped).split("\n")


def _as_lines(block: str) -> str:
    return "\n".join(f"| {line.strip()}" if line.strip() else "|" for line in block.split("\n"))


def setup(app: object) -> None:
    """Prepare the pages before Sphinx looks for them."""
    prepare()
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)  # type: ignore[attr-defined]  # Sphinx's application
