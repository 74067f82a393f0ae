"""A finished folder as tables: Arrow, pandas, polars, DuckDB and Dask see the same rows."""

import shutil
from pathlib import Path

import numpy as np
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


def test_a_number_shows_the_case_of_a_finding(folder: Folder) -> None:
    first = lo2dask.list_findings(root=folder.root, limit=1).findings[0]
    for number in (1, np.int64(1), "1"):
        shown = lo2dask.show(root=folder.root, case=number, around=0)
        assert (shown.run, shown.test_case) == (first.run, first.test_case)
    with pytest.raises(InputError, match=r"^99: no finding of this number"):
        lo2dask.show(root=folder.root, case=99)


def test_findings_and_audit_take_keywords(folder: Folder, tmp_path: Path) -> None:
    given = lo2dask.list_findings(lo2dask.FindingsOptions(root=folder.root, service="token"))
    assert lo2dask.list_findings(root=str(folder.root), service="token") == given
    assert lo2dask.audit_folder(root=folder.root, html=tmp_path / "audit.html", limit=5).html.is_file()
    with pytest.raises(TypeError, match=r"list_findings\(\) has no keyword 'servic'; did you mean service\?"):
        lo2dask.list_findings(root=folder.root, servic="token")
    with pytest.raises(InputError, match=r"^limit: -1 is out of range"):
        lo2dask.audit_folder(root=folder.root, limit=-1)


def test_every_table_has_a_method(folder: Folder) -> None:
    for path in folder.root.glob("lo2_*.parquet"):
        name = path.name.removeprefix("lo2_").removesuffix(".parquet")
        table = getattr(folder, {"sequences_enhanced": "enhanced"}.get(name, name))()
        assert table.column_names == table.schema.names
        assert len(table) == table.to_arrow().num_rows
    assert folder.predictions("excess").column_names[-1] == "split"


def test_runs_and_explanations_are_read_by_model(folder: Folder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder.root, copy)
    explaining = lo2dask.ExplainOptions(root=copy, nn_top_k=1)
    lo2dask.explain(explaining, Session.serial(explaining))
    explained = lo2dask.open(copy)
    assert len(explained.runs("excess")) > 0
    assert explained.runs("excess").to_arrow().equals(lo2dask.read_table(copy, "excess_runs"))
    assert "nearest_normal" in explained.explanations("excess").column_names
    with pytest.raises(InputError, match=r"explainability/x_explanations\.parquet is not there"):
        folder.explanations("x")


def test_predictions_of_score_are_found(folder: Folder, tiny_tree: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "mine.joblib"
    for path, name in ((bundle, "excess.joblib"), (tmp_path / "mine.joblib.sha256", "excess.joblib.sha256")):
        shutil.copy(folder.root / "_lo2dask" / "models" / name, path)
    options = lo2dask.ScoreOptions(bundle=bundle, root=tiny_tree, output_dir=tmp_path / "scores", trust=True)
    scored = lo2dask.score(options, Session.serial(options))
    assert (tmp_path / "scores" / "mine_predictions.parquet").is_dir()
    assert scored.models() == ["excess"]
    assert "score_excess" in scored.predictions("excess").column_names
    assert len(scored.predictions("excess")) == len(folder.sequences())
    assert len(scored.runs("excess")) == 4
    with pytest.raises(InputError, match="no predictions of 'x'; there are: excess$"):
        scored.predictions("x")


def test_models_of_an_earlier_training_are_told(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder.root, copy)
    options = lo2dask.TrainOptions(root=copy, models=("drift_words",), skip_if=True, holdout_by="group")
    trained = lo2dask.train(options, Session.serial(options))
    assert trained.models() == ["baseline_seq_len_sup", "drift_words"]
    caplog.clear()
    assert len(trained.predictions("drift_words")) == len(trained.sequences())
    assert not caplog.messages
    assert len(trained.predictions("excess")) == len(trained.sequences())
    assert caplog.messages == ["model excess is of an earlier training, the last one has none: train it for a new one"]


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
