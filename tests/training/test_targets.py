"""Exports of train replace nothing that train did not write."""

import csv
import gzip
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lo2dask.errors import InputError
from lo2dask.models import bundle
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.tables.records import Stage
from lo2dask.training import exports
from tests.trees import load_tree, make_tree, table_of, train_root


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    return load_tree(
        make_tree(folder / "raw", scale=0.04, runs=3, services=("key", "user")), folder / "out", partition_size="60KB"
    )


@pytest.fixture
def root(loaded, tmp_path):
    return Path(shutil.copytree(loaded, tmp_path / "out"))


def train_forest(root: Path, **changes):
    return train_root(root, phase="if", if_n_estimators=5, **changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def foreign(tmp_path: Path) -> dict[str, Path]:
    """Make targets that lo2dask did not write here: a table of parts, other files, a file, a folder of the user."""
    table = tmp_path / "table.parquet"
    table.mkdir()
    pq.write_table(pa.table({"a": [1]}), table / "part-000000.parquet")
    pq.write_table(pa.table({"a": [2]}), table / "part-000009.parquet")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "note.txt").write_text("mine")
    (tmp_path / "own.parquet").write_bytes(b"own")
    (tmp_path / "own.csv").write_text("a,b\n1,2\n")
    return {name: tmp_path / name for name in ("table.parquet", "notes", "own.parquet", "own.csv")}


@pytest.mark.parametrize("name", ["table.parquet", "notes", "own.parquet", "own.csv"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_predictions_never_replace_what_somebody_else_wrote(root, tmp_path, name, overwrite):
    target = foreign(tmp_path)[name]
    before = contents(tmp_path)
    with pytest.raises(InputError, match=f"--save-if .*{name}"):
        train_forest(root, save_if=target, overwrite_if=overwrite)
    assert contents(tmp_path) == before, "it is found before any work"


OWN = (
    "lo2_sequences.parquet", "lo2_sequences_enhanced.parquet/part-000000.parquet", "lo2_events.parquet",
    "_lo2dask/models/x", "metrics", "if_runs.parquet", ".", "..", "explainability/a.csv", "report.html",
)  # fmt: skip


@pytest.mark.parametrize("own", OWN)
def test_the_output_folders_own_tables_are_no_targets(root, own):
    before = contents(root)
    for changes in ({"save_if": root / own, "overwrite_if": True}, {"save_model": root / own, "overwrite_model": True}):
        with pytest.raises(InputError, match=r"own|itself"):
            train_forest(root, **changes)
    assert contents(root) == before


def test_a_link_to_an_own_table_is_no_target(root, tmp_path):
    (tmp_path / "link").symlink_to(root / "lo2_sequences.parquet")
    with pytest.raises(InputError, match="lo2_sequences.parquet"):
        train_forest(root, save_if=tmp_path / "link", overwrite_if=True)


@pytest.mark.thorough
def test_predictions_of_this_folder_are_written_again_and_those_of_another_only_when_told(root, loaded, tmp_path):
    target = tmp_path / "if.parquet"
    train_forest(root, save_if=target)
    first = table_of(target)
    train_forest(root, save_if=tmp_path / "second.parquet", sample_seed=7)
    train_forest(root, save_if=target, sample_seed=8)
    assert not table_of(target).equals(first)
    other = Path(shutil.copytree(loaded, tmp_path / "other"))
    with pytest.raises(InputError, match="--overwrite-if"):
        train_forest(other, save_if=target)
    train_forest(other, save_if=target, overwrite_if=True)
    assert table_of(target).equals(first)


def test_an_interrupted_export_goes_on(root, tmp_path, monkeypatch):
    target, part = tmp_path / "if.parquet", exports.forest_part

    def stop(name, **shared):
        part(name, **shared)
        raise KeyboardInterrupt

    monkeypatch.setattr(exports, "forest_part", stop)
    with pytest.raises(KeyboardInterrupt):
        train_forest(root, save_if=target)
    assert len(part_paths(target)) == 1
    monkeypatch.undo()
    train_forest(root, save_if=target)
    assert table_of(target).num_rows == table_of(Layout(root).sequences).num_rows
    assert Stage(Layout(root), exports.IF_PREDICTIONS).read().summary["targets"] == [str(target)]


@pytest.mark.parametrize(
    "name", ["if.csv", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("IF.CSV", "if.csv.gz"))]
)
def test_a_name_that_ends_with_csv_is_a_csv_file(root, tmp_path, name):
    target = tmp_path / name
    train_forest(root, save_if=target)
    with gzip.open(target, "rt") if name.endswith(".gz") else target.open() as file:
        rows = list(csv.DictReader(file))
    expected = table_of(Layout(root).predictions / "if")
    assert sorted(row["seq_id"] for row in rows) == expected["seq_id"].to_pylist()
    assert {row["seq_id"]: float(row["score_if"]) for row in rows} == dict(
        zip(expected["seq_id"].to_pylist(), expected["score"].to_pylist(), strict=True)
    )
    stamp = target.stat().st_mtime_ns
    train_forest(root, save_if=target)
    assert target.stat().st_mtime_ns == stamp
    train_forest(root, save_if=target, sample_seed=3)
    assert target.stat().st_mtime_ns > stamp


@pytest.mark.parametrize("lines", ["notes", "a pickle", "a table"])
def test_a_bundle_replaces_bundles_alone(root, tmp_path, lines):
    saved = tmp_path / "lo2_if.joblib"
    if lines == "a table":
        pq.write_table(pa.table({"a": [1]}), saved)
    else:
        saved.write_bytes(b"\x80\x05K\x01." if lines == "a pickle" else b"mine")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="no bundle of lo2dask"):
        train_forest(root, save_model=saved, overwrite_model=True)
    with pytest.raises(InputError, match="no bundle of lo2dask"):
        train_root(root, models=("if_words",), save_sup_models=_named(saved, "if_words.joblib"), overwrite_model=True)
    assert contents(tmp_path)["lo2_if.joblib"] == before["lo2_if.joblib"]


def _named(path: Path, name: str) -> Path:
    folder = path.parent / "sup"
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder / name)
    return folder


def test_files_next_to_a_bundle_are_replaced_only_where_lo2dask_wrote_them(root, tmp_path):
    saved = tmp_path / "models" / "lo2_if.joblib"
    saved.parent.mkdir()
    for name in ("model.yml", "lo2_if.joblib.sha256"):
        (saved.parent / name).write_text("mine: 1\n")
        with pytest.raises(InputError, match=name):
            train_forest(root, save_model=saved, dump_metadata=True, overwrite_model=True)
        (saved.parent / name).unlink()
    train_forest(root, save_model=saved)
    second = saved.with_name("other.joblib")
    with pytest.raises(InputError, match=r"model.yml describes lo2_if.joblib.*--overwrite-model"):
        train_forest(root, save_model=second)
    train_forest(root, save_model=second, overwrite_model=True)
    assert bundle.is_bundle(saved)
    assert bundle.is_bundle(second)
    with pytest.raises(InputError, match="a folder is there"):
        train_forest(root, save_model=saved.parent)


@pytest.mark.thorough
def test_measures_replace_measures_alone(root, tmp_path):
    folder = tmp_path / "measures"
    folder.mkdir()
    (folder / "if_metrics.json").write_text('{"mine": 1}')
    with pytest.raises(InputError, match=r"--metrics-dir .*if_metrics.json"):
        train_forest(root, metrics_dir=folder)
    os.remove(folder / "if_metrics.json")
    train_forest(root, metrics_dir=folder)
    train_forest(root, metrics_dir=folder, sample_seed=5)
    with pytest.raises(InputError, match="own"):
        train_forest(root, metrics_dir=root / "_lo2dask" / "models")


def test_an_enhanced_table_is_not_exported_into_another_output_folder(root, loaded, tmp_path):
    with pytest.raises(InputError, match="--enhancers-output-dir"):
        train_forest(root, save_enhancers=True, enhancers_output_dir=loaded, overwrite_enhancers=True)
    train_forest(root, save_enhancers=True, enhancers_output_dir=tmp_path / "new")
    assert table_of(Layout(tmp_path / "new").enhanced).equals(table_of(Layout(root).enhanced))
