from pathlib import Path

import pytest

from lo2dask.execute.session import Session
from lo2dask.ingest.plan import make_plan
from lo2dask.options import LoadOptions
from lo2dask.sources import layouts, listing
from lo2dask.sources.layouts import find_tree
from lo2dask.sources.listing import scan_files
from lo2dask.sources.tree import SourceFile
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts


def write_runs(root: Path, runs: int) -> Path:
    names = [name for run in range(runs) for name in (f"cart/r{run:03}.log", f"pay/r{run:03}.log.gz")]
    for name in [*names, "cart/r001.log.1", "cart/r001.log.gz", "cart/notes", "top.txt", "cart/deep/x.log", "a.png"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        line = b"21:25:00.000 [main]  c DEBUG a.B go - on\n"
        (root / name).write_bytes(b"\x01\x02\x03" * 50 if "r003" in name else line)
    return root


def plan(root: Path, out: Path, layout: str = "{service}/{run}.log") -> list[dict]:
    options = LoadOptions(root=root, output_dir=out, layout=layout)
    make_plan(root, options, Layout(out), Session.serial())
    return [row for part in read_parts(Layout(out).manifest) for row in part.to_pylist()]


def test_folders_are_listed_as_often_for_many_runs_as_for_few(tmp_path, monkeypatch):
    calls = []
    entries = layouts.entries
    monkeypatch.setattr(layouts, "entries", lambda folder: calls.append(folder) or entries(folder))
    counted = []
    for runs in (5, 60):
        plan(write_runs(tmp_path / str(runs), runs), tmp_path / f"out{runs}")
        counted.append(len(calls))
        calls.clear()
    assert counted[0] == counted[1]


@pytest.mark.parametrize("at_once", [7, 50_000])
def test_listed_runs_have_the_files_that_a_walk_for_each_has(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(listing, "FILES_AT_ONCE", at_once)
    root = write_runs(tmp_path / "tree", 40)
    rows = plan(root, tmp_path / "out")
    tree = find_tree(root, LoadOptions(root=root, output_dir=tmp_path / "out", layout="{service}/{run}.log"))
    alone = [file for run in tree.runs for file in scan_files(run, False)]
    assert {file.kind for file in alone} >= {"log", "binary file", layouts.OUTSIDE}
    names = [name for name in rows[0] if name not in ("selected", "why", "normal")]
    assert [[row[name] for name in names] for row in rows] == [_values(file, names) for file in alone]
    assert not (Layout(tmp_path / "out").internal / "listing").exists()


def _values(file: SourceFile, names: list[str]) -> list[object]:
    parts = [{"path": part.path, "size": part.size} for part in file.parts]
    return [parts if name == "parts" else getattr(file, name) for name in names]
