"""A finished folder as tables: Arrow, pandas, polars, DuckDB and Dask see the same rows."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import lo2dask
from lo2dask.api.folder import Folder
from lo2dask.api.tables import LIBRARIES
from lo2dask.errors import InputError
from lo2dask.execute.session import Session


@pytest.fixture(scope="module")
def folder(tiny_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    output = tmp_path_factory.mktemp("folder") / "out"
    loading = lo2dask.LoadOptions(root=tiny_tree, output_dir=output, partition_size="100KB")
    lo2dask.load(loading, Session.serial(loading))
    training = lo2dask.TrainOptions(root=output, models=("excess",), skip_if=True)
    lo2dask.train(training, Session.serial(training))
    return lo2dask.open(str(output))


def test_a_table_is_read_whole_or_in_part(folder: Folder) -> None:
    table = folder.sequences()
    assert len(table.paths) > 1
    whole = table.to_arrow()
    assert whole.num_rows == len(table)
    assert whole.equals(pa.table(table))
    token = table.to_arrow(["run", "seq_len"], pc.field("service") == "token")
    assert token.column_names == ["run", "seq_len"]
    assert 0 < token.num_rows < whole.num_rows
    with pytest.raises(InputError, match=r"^columns: lo2_sequences\w* has no 'nope'; there are seq_id, run, "):
        table.to_pandas(["run", "nope"])
    assert table.to_pandas()["seq_len"].sum() == pc.sum(whole["seq_len"]).as_py()


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_scans_the_same_rows(folder: Folder, library: str) -> None:
    if library in ("polars", "duckdb"):
        pytest.importorskip(library)
    scanned = folder.sequences().scan(library)
    expected = pc.sum(folder.sequences().to_arrow()["seq_len"]).as_py()
    found = {
        "dask": lambda: scanned["seq_len"].sum().compute(),
        "polars": lambda: scanned.collect()["seq_len"].sum(),
        "duckdb": lambda: scanned.sum("seq_len").fetchall()[0][0],
        "arrow": lambda: pc.sum(scanned.to_table(columns=["seq_len"])["seq_len"]).as_py(),
    }[library]()
    assert found == expected


def test_findings_are_shown_in_a_notebook(folder: Folder) -> None:
    kinds = folder.findings().to_arrow(["kind"])["kind"].to_pylist()
    found = sum(kind != "silent" for kind in kinds)
    assert 0 < found < 10
    assert repr(folder).endswith(f", {found} findings>")
    assert folder._repr_html_().count("<tr>") == 1 + found
    assert "<table" in folder.sequences()._repr_html_()
    assert repr(folder.rejects()).startswith("<lo2_rejects: 0 rows, columns ")


def test_every_table_has_a_method(folder: Folder) -> None:
    for path in folder.root.glob("lo2_*.parquet"):
        name = path.name.removeprefix("lo2_").removesuffix(".parquet")
        table = getattr(folder, {"sequences_enhanced": "enhanced"}.get(name, name))()
        assert table.column_names == table.schema.names
        assert len(table) == table.to_arrow().num_rows
    assert folder.predictions("excess").column_names[-1] == "split"


def test_what_is_not_there_is_named(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(lo2dask.InputError, match=r"lo2_events\.parquet is not there"):
        folder.events()
    with pytest.raises(lo2dask.InputError, match="no predictions of 'x'; there are: .*excess"):
        folder.predictions("x")
    with pytest.raises(lo2dask.InputError, match="no folder that lo2dask has written"):
        lo2dask.open(tmp_path)
    with pytest.raises(lo2dask.InputError, match="use dask, polars, duckdb, arrow"):
        folder.sequences().scan("spark")
    with pytest.raises(AttributeError):
        folder.nothing  # noqa: B018
    assert folder.report is None
