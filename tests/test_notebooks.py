"""Every notebook is a pair, runs from top to bottom, and its committed outputs are those of a run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
specification = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
execute = importlib.util.module_from_spec(specification)
specification.loader.exec_module(execute)
SCRIPTS = execute.scripts()
PROMISED = ("01_five_minutes", "01_five_minutes_zh", "02", "03", "04", "05", "06", "07", "08")


def committed(script: Path) -> nbformat.NotebookNode:
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def code_cells(script: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in committed(script).cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_runs_top_to_bottom(script: Path) -> None:
    done = execute.run(execute.notebook_of(script))
    shown = [bool(cell.outputs) for cell in done.cells if cell.cell_type == "code"]
    assert shown == [bool(cell.outputs) for cell in code_cells(script)]


def test_every_promised_notebook_is_there_and_every_notebook_has_its_script() -> None:
    stems = [path.stem for path in SCRIPTS]
    assert [name for name in PROMISED if not any(stem.startswith(name) for stem in stems)] == []
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(stems)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_both_halves_of_a_pair_hold_the_same_cells(script: Path) -> None:
    halves = [[(cell.cell_type, cell.source) for cell in half.cells] for half in (execute.notebook_of(script), committed(script))]
    assert halves[0] == halves[1]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_its_outputs_and_no_path_of_a_machine(script: Path) -> None:
    cells = code_cells(script)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
    texts = [str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", "")) for cell in cells for o in cell.outputs]
    assert not [text for text in texts if re.search(r"/tmp/|/home/|/root/|/work/", text)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_long_function(script: Path) -> None:
    bodies = re.findall(r"^def .*?:\n((?:    .*\n|\n)+)", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert all(len(body.strip().splitlines()) <= 8 for body in bodies)
