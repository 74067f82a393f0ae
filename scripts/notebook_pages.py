"""A hook of mkdocs: each notebook is a page, with the outputs of its executed copy where there is one.

The copies lie in build/notebooks (`scripts/docs --notebooks`, or the docs tests with LO2DASK_NOTEBOOKS). One whose
cells are no longer those of the notebook is not taken.
"""

import logging
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

EXECUTED = Path(__file__).resolve().parents[1] / "build" / "notebooks"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, and the pictures that are among the outputs."""
    for path in sorted(Path(config.docs_dir, "notebooks").glob("*.ipynb")):
        text, resources = MarkdownExporter().from_notebook_node(newest(path), {"unique_key": path.stem})
        # The theme lays out tables without a class alone: wide ones then scroll.
        text = text.replace('<table border="1" class="dataframe">', "<table>")
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, data in resources["outputs"].items():
            files.append(File.generated(config, f"notebooks/{name}", content=data))
    return files


def newest(path: Path) -> nbformat.NotebookNode:
    """Read the executed copy of a notebook, or the notebook without outputs where there is none of the same cells."""
    stored, copy = nbformat.read(path, as_version=4), EXECUTED / path.name
    if copy.is_file():
        executed = nbformat.read(copy, as_version=4)
        if [cell.source for cell in executed.cells] == [cell.source for cell in stored.cells]:
            for cell in executed.cells:
                # Bars of progress.
                cell["outputs"] = [output for output in cell.get("outputs", ()) if output.get("name") != "stderr"]
            return executed
    logging.getLogger("mkdocs.hooks").info(f"{path.name} is shown without outputs: scripts/docs --notebooks runs it")
    return stored
