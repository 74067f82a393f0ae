"""The notebooks of the documentation run from their first cell to their last, and are stored without outputs.

The executed copies go to the folder that LO2DASK_NOTEBOOKS names, for the site.
"""

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
