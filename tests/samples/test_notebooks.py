"""The notebooks run from top to bottom, and what is committed is what they show.

They run on a copy of samples/, so that no weights or runs of the folder help them.
"""

import ast
import re
import shutil
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "samples" / "isic"
FIGURES = {"inspect_data": 9, "inspect_model": 14, "inspect_weights": 5}
MAX_BYTES = 1_500_000


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def count_figures(notebook):
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return sum("image/jpeg" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("name", FIGURES)
def test_every_code_cell_compiles_and_has_a_sentence_before_it(name):
    notebook = read(name)
    nbformat.validate(notebook)
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            tree = ast.parse(cell.source)
            assert before.cell_type == "markdown", cell.source
            assert re.search(r"[.?]$", before.source.strip()), before.source
            defined = [ast.FunctionDef, ast.ClassDef, ast.Lambda]
            assert not any(isinstance(n, tuple(defined)) for n in ast.walk(tree))


@pytest.mark.parametrize("name", FIGURES)
def test_the_committed_outputs_hold_the_figures_and_nothing_of_the_machine(name):
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < MAX_BYTES
    notebook = read(name)
    assert count_figures(notebook) == FIGURES[name]
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    for output in outputs:
        output.get("data", {}).pop("image/jpeg", None)
    text = nbformat.writes(notebook)
    assert not re.search(r"/(home|tmp|root|work|Users)/", text)
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    numbers = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    assert numbers == list(range(1, len(numbers) + 1)), "run in one go"


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The samples' folder in a tree of its own, without runs or weights."""
    root = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FOLDER, root / "samples" / "isic", ignore=ignored)
    return root / "samples" / "isic"


def run(name, folder):
    """Run a notebook of the folder from top to bottom; returns it with its outputs."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = read(name)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    where = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=3600, resources=where).execute()
    return notebook


def test_inspect_data_runs(copied):
    notebook = run("inspect_data", copied)
    assert count_figures(notebook) == FIGURES["inspect_data"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inspect_model", "inspect_weights"])
def test_notebooks_with_a_network_run(name, copied):
    """The first of them trains the small network, which the second finds."""
    notebook = run(name, copied)
    assert count_figures(notebook) == FIGURES[name]
