"""Make notebooks from their scripts and run them: `python notebooks/execute.py [NAME …]`, all without a name.

Each notebook is a pair (jupytext): NAME.py is written by hand, NAME.ipynb holds the same cells with the outputs of a
run from top to bottom. What goes to stderr, such as progress bars, is not kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
LIMIT = 300  # seconds a cell may take


def scripts() -> list[Path]:
    """Return the hand-written half of every pair."""
    return sorted(path for path in HERE.glob("*.py") if path.name[:2].isdigit())


def notebook_of(script: Path) -> nbformat.NotebookNode:
    """Return the notebook of a script, without outputs; cell ids count from 0, so that the same script gives the same bytes."""
    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for k, cell in enumerate(notebook.cells):
        cell.id = f"cell-{k}"
    return notebook


def run(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run a notebook in this folder and return it with its outputs."""
    NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    for script in scripts():
        if script.stem in sys.argv[1:] or len(sys.argv) == 1:
            nbformat.write(run(notebook_of(script)), script.with_suffix(".ipynb"))
