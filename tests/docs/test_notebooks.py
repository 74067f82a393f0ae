"""The notebooks of the documentation run from their first cell to their last, and are stored without outputs.

The executed copies go to the folder that LO2DASK_NOTEBOOKS names, for the site.
"""

import importlib.util
import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the docs extra")
nbclient = pytest.importorskip("nbclient", reason="needs the docs extra")

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.docs


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "store it without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources, coalesce_streams=True).execute()
    if folder := os.environ.get("LO2DASK_NOTEBOOKS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, Path(folder, path.name))


def test_a_page_has_the_outputs_of_a_copy_with_the_same_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs", reason="needs the docs extra")
    pytest.importorskip("nbconvert", reason="needs the docs extra")
    spec = importlib.util.spec_from_file_location("pages", NOTEBOOKS[0].parents[2] / "scripts" / "notebook_pages.py")
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    monkeypatch.setattr(pages, "EXECUTED", tmp_path)
    copy = nbformat.read(NOTEBOOKS[0], as_version=4)
    cell = next(cell for cell in copy.cells if cell.cell_type == "code")
    cell.outputs = [nbformat.v4.new_output("stream", name=name, text="said") for name in ("stdout", "stderr")]
    assert not any(cell.get("outputs") for cell in pages.newest(NOTEBOOKS[0]).cells)
    nbformat.write(copy, tmp_path / NOTEBOOKS[0].name)
    assert [output.name for cell in pages.newest(NOTEBOOKS[0]).cells for output in cell.outputs] == ["stdout"]
    cell.source += "# changed"
    nbformat.write(copy, tmp_path / NOTEBOOKS[0].name)
    assert not any(cell.get("outputs") for cell in pages.newest(NOTEBOOKS[0]).cells)
