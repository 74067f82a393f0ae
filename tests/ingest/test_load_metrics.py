"""Metrics and traces of whole trees, in every layout and from tars, and what becomes of bad files."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lo2dask.commands.load import LoadSummary, load
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.ingest import metrics
from lo2dask.ingest.metrics import MetricsSummary
from lo2dask.options import LoadOptions
from tests.trees import make_tree, table_of


def run(root: Path, out: Path, **changes: object) -> LoadSummary:
    options = {"load_metrics": True, "enhance": False} | changes
    return load(LoadOptions(root=root, output_dir=out, **options), Session.serial())


def read(root: Path, out: Path, **changes: object) -> MetricsSummary:
    summary = run(root, out, **changes).metrics
    assert summary is not None
    return summary


def tables(out: Path) -> tuple[pa.Table, pa.Table]:
    return table_of(out / "lo2_metrics.parquet"), table_of(out / "lo2_traces.parquet")


def plainly(path: Path) -> list[tuple[str, float]]:
    return [
        (series["metric"]["__name__"], float(value))
        for series in json.loads(path.read_text())
        for _, value in series["values"]
    ]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("raw") / "tree", scale=0.01, runs=2, errors_per_run=1, with_metrics=True)


def test_the_real_slice(sample_root: Path, tmp_path: Path) -> None:
    """It has metrics and traces, and no log."""
    summary = read(sample_root / "v2", tmp_path)
    samples, spans = tables(tmp_path)
    files = sorted((sample_root / "v2").rglob("metric_*.json"))
    wanted = [pair for path in files for pair in plainly(path)]
    found = zip(samples["metric_name"].to_pylist(), samples["value"].to_pylist(), strict=True)
    key = [(name, "NaN" if math.isnan(value) else value) for name, value in found]
    assert sorted(key, key=str) == sorted(((n, "NaN" if math.isnan(v) else v) for n, v in wanted), key=str)
    assert (summary.samples, summary.rejects) == (len(wanted), 0)
    assert set(samples["test_case"].to_pylist()) == {path.parents[1].name for path in files}
    assert {"node", "cadvisor"} <= set(samples["job"].to_pylist())
    assert {stamp.date().isoformat() for stamp in samples["timestamp"].to_pylist()} == {"2025-02-16"}
    assert (summary.spans, set(spans["service"].to_pylist())) == (spans.num_rows, {"client", "token"})
    assert spans.num_rows > 50
    assert set(spans["run"].to_pylist()) == {"LO2_run_1739743201"}


def test_every_value_of_a_tree(raw: Path, tmp_path: Path) -> None:
    read(raw, tmp_path / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "GROUP_BYTES", 20_000)
        summary = read(raw, tmp_path / "many", partition_size="300KB")
    assert summary.batches > 3
    one, many = tables(tmp_path / "one"), tables(tmp_path / "many")
    odd = one[0].filter(pc.invert(pc.is_finite(one[0]["value"])))["value"].to_pylist()
    assert {str(value) for value in odd} == {"nan", "inf", "-inf"}
    assert [table.to_pandas().equals(other.to_pandas()) for table, other in zip(one, many, strict=True)] == [True, True]
    assert one[0].num_rows == sum(len(plainly(path)) for path in raw.rglob("metric_*.json"))
    assert one[1].num_rows == 2 * 2 * 2 * 20


def test_tars_equal_the_tree(raw: Path, tmp_path: Path) -> None:
    packed = make_tree(tmp_path / "tars", scale=0.01, runs=2, errors_per_run=1, with_metrics=True, tar=True)
    read(raw, tmp_path / "tree out")
    read(packed, tmp_path / "tar out")
    for one, other in zip(tables(tmp_path / "tree out"), tables(tmp_path / "tar out"), strict=True):
        assert one.num_rows
        assert one.to_pandas().equals(other.to_pandas())


def test_guide_layout_has_metrics_of_whole_runs(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "raw", scale=0.01, runs=2, errors_per_run=1, layout="guide", with_metrics=True)
    read(root, tmp_path / "out")
    samples, _ = tables(tmp_path / "out")
    assert set(samples["run"].to_pylist()) == {"run_0001", "run_0002"}
    assert set(samples["test_case"].to_pylist()) == set(samples["normal"].to_pylist()) == {None}


@pytest.mark.parametrize("below", ["", "logs"])
def test_wide_tables_of_the_published_sample(tmp_path: Path, below: str) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.01, runs=2, errors_per_run=1, layout="sample", with_metrics=True)
    summary = run(raw / below, tmp_path / "out")
    assert summary.metrics is not None
    assert (summary.metrics.files, summary.metrics.samples) == (2, 2 * 172 * 1125)
    samples, _ = tables(tmp_path / "out")
    assert len(set(samples["test_case"].to_pylist())) >= 2
    assert samples["normal"].to_pylist() == pc.equal(samples["test_case"], "correct").to_pylist()


@pytest.mark.parametrize("layout", ["v2", pytest.param("sample", marks=pytest.mark.thorough)])
def test_metrics_have_the_labels_of_the_load(tmp_path: Path, layout: str) -> None:
    root = make_tree(tmp_path / "raw", scale=0.01, runs=2, errors_per_run=1, layout=layout, with_metrics=True)
    read(root, tmp_path / "out")
    runs = sorted(set(tables(tmp_path / "out")[0]["run"].to_pylist()))
    labels = tmp_path / "labels.csv"
    for label in ("normal", "slow"):
        labels.write_text(f"run,test_case,label\n{runs[0]},,{label}\n{runs[1]},correct,fault\n")
        read(root, tmp_path / "labelled", labels=labels)
        for table in tables(tmp_path / "labelled"):
            for row in table.group_by(["run", "test_case", "normal", "anomaly"]).aggregate([]).to_pylist():
                known = label == "normal" if row["run"] == runs[0] else False if row["test_case"] == "correct" else None
                assert (row["normal"], row["anomaly"]) == (known, None if known is None else not known)


def test_labels_of_parts_of_runs_are_those_of_the_samples_within(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "raw", scale=0.01, runs=2, errors_per_run=1, layout="v2", with_metrics=True)
    read(root, tmp_path / "out")
    samples, spans = tables(tmp_path / "out")
    run, at = samples["run"][0].as_py(), samples["timestamp"][0].as_py()
    labels = tmp_path / "labels.csv"
    labels.write_text(f"run,start,end,label\n{run},{at.isoformat()},{at.isoformat()},slow\n")
    read(root, tmp_path / "labelled", labels=labels)
    found, found_spans = tables(tmp_path / "labelled")
    for row in found.to_pylist():
        known = None if row["run"] != run else row["timestamp"] != at
        assert (row["normal"], row["anomaly"]) == (known, None if known is None else not known)
    for row in found_spans.to_pylist():
        assert row["normal"] == (None if row["run"] != run else not row["start"] <= at <= row["end"])
    assert False in found["normal"].to_pylist()
    assert len(found_spans) == len(spans)


def test_other_metrics_are_not_even_opened(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = metrics._read
    monkeypatch.setattr(metrics, "_read", lambda file, reading: opened.append(file.name) or real(file, reading))
    read(raw, tmp_path, metric_names=("node_load1", "go_info"))
    assert {name for name in opened if name.endswith(".json")} == {"metric_node_load1.json", "metric_go_info.json"}
    assert set(tables(tmp_path)[0]["metric_name"].to_pylist()) == {"node_load1", "go_info"}


def test_only_the_chosen_cases_and_runs(raw: Path, tmp_path: Path) -> None:
    read(raw, tmp_path, errors_per_run=0, runs=1)
    samples, spans = tables(tmp_path)
    for table in (samples, spans):
        assert set(table["test_case"].to_pylist()) == {"correct"}
        assert len(set(table["run"].to_pylist())) == 1


def test_a_rerun_reads_nothing_and_a_change_is_seen(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(raw, tmp_path, partition_size="300KB")
    before = tables(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "_read", None)
        again = read(raw, tmp_path, partition_size="300KB")
    assert (again.skipped, again.samples, again.bytes) == (first.batches, first.samples, 0)
    sorted((tmp_path / "lo2_metrics.parquet").iterdir())[0].unlink()
    assert read(raw, tmp_path, partition_size="300KB").skipped == first.batches - 1
    assert tables(tmp_path)[0].to_pandas().equals(before[0].to_pandas())
    fewer = read(raw, tmp_path, partition_size="300KB", metric_names=("node_load1",))
    assert 0 < fewer.samples < first.samples


def test_metrics_can_be_added_to_loaded_logs(raw: Path, tmp_path: Path) -> None:
    assert run(raw, tmp_path, load_metrics=False).metrics is None
    later = run(raw, tmp_path)
    assert later.skipped == later.batches
    assert later.metrics is not None
    assert later.metrics.samples
    assert not [reason for reason in later.ignored if "metric" in reason]


def test_bad_files_are_rejects_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "run_0001" / "correct" / "metrics"
    folder.mkdir(parents=True)
    good = '[{"metric": {"__name__": "m"}, "values": [[1, "2"], [2, "NaN"]]}]'
    bad = {
        "metric_good.json": good, "metric_cut.json": good[:30], "metric_word.json": good.replace('"2"', '"1.2.3"'),
        "metric_empty.json": "", "traces_a.csv": "x,y\n1,2\n", "metric_other.json": '{"a": 1}',
    }  # fmt: skip
    for name, text in bad.items():
        (folder / name).write_text(text)
    (folder.parent / "oauth2-oauth2-token.log").write_text("10:00:00.000 up\n")
    (folder / "metric_folder.json").mkdir()
    (folder / "metric_gone.json").symlink_to("nowhere")
    summary = run(tmp_path / "raw", tmp_path / "out")
    assert summary.metrics is not None
    assert (summary.metrics.samples, summary.metrics.rejects, summary.rejects) == (2, 7, 7)
    found = {Path(row["path"]).name: row for row in table_of(tmp_path / "out" / "lo2_rejects.parquet").to_pylist()}
    assert {name: row["reason"] for name, row in found.items()} == {
        "metric_cut.json": "invalid metric", "metric_word.json": "invalid metric",
        "metric_other.json": "invalid metric",
        "metric_empty.json": "empty", "traces_a.csv": "invalid trace", "metric_folder.json": "unreadable",
        "metric_gone.json": "unreadable",
    }  # fmt: skip
    assert all(row["stage"] == "metrics" for row in found.values())
    assert run(tmp_path / "raw", tmp_path / "out").rejects == 7
    assert run(tmp_path / "raw", tmp_path / "out", load_metrics=False, resume=True).rejects == 7


def test_a_tree_without_logs_can_be_enhanced_too(sample_root: Path, tmp_path: Path) -> None:
    assert read(sample_root / "v2", tmp_path, enhance=True).samples
    assert (tmp_path / "lo2_sequences_enhanced.parquet").is_dir()


def test_a_tree_without_logs_needs_the_option(sample_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log is chosen"):
        run(sample_root / "v2", tmp_path, load_metrics=False)
