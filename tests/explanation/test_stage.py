import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from explanation.made_root import FIRST_RUN, TELLTALE, make_root
from lo2dask.commands.explain import explain
from lo2dask.errors import InputError, IntegrityError
from lo2dask.execute.session import Session
from lo2dask.options import ExplainOptions
from lo2dask.tables.records import Key, Stage
from lo2dask.training.lines import ModelLine
from lo2dask.training.units import TRAIN

TELLTALES = {TELLTALE, "ERROR", "fail", "answered", "com.networknt.made.Handler"}  # all words of that line alone
KEYS = ("if", "event_lr_words", "event_lof_words", "sequence_shap_lr_words")


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A folder of three parts, explained with neighbours of one model."""
    root = tmp_path_factory.mktemp("explained")
    layout = make_root(root, (*KEYS, "event_xgb_words", "event_rf_words"), parts=3)
    options = ExplainOptions(root=layout.root, nn_source="sequence_shap_lr_words")
    return layout, explain(options, Session.serial())


def read(path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def by_id(path) -> list[dict]:
    """A table in the order of seq_id, the place of the raw tree left out."""
    rows = sorted(read(path), key=lambda row: row["seq_id"])
    for line in (line for row in rows for line in row.get("lines", [])):
        line["path"] = line["path"].split("/tree/")[1]
    return rows


def test_every_artefact_of_the_guide_is_there_with_rows(explained):
    layout, summary = explained
    names = {path.name for path in layout.explainability.iterdir()}
    for key in ("if", "event_lr_words", "sequence_shap_lr_words", "event_xgb_words", "event_rf_words"):
        for name in ("shap_summary.png", "shap_bar.png", "top_features.txt", "predictions.parquet"):
            assert f"{key}_{name}" in names
        assert f"metrics_{key}.json" in names
        assert {f"{key}_false_positives.txt", f"{key}_false_negatives.txt"} <= names
    assert "event_lof_words_shap_skipped.txt" in names
    assert "sequence_shap_lr_words_nn_mapping.csv" in names
    assert summary.models[0].model == "sequence_shap_lr_words"
    assert len(read(layout.explainability / "if_predictions.parquet")) == 72
    assert {"score_if", "rank_if", "split"} <= set(read(layout.explainability / "if_predictions.parquet")[0])
    assert not [name for name in names if name.endswith(".tmp")]


def test_the_telltale_word_leads_the_list_and_the_explanations(explained):
    layout, _ = explained
    for key in ("event_lr_words", "event_xgb_words", "event_rf_words"):
        text = (layout.explainability / f"{key}_top_features.txt").read_text()
        assert next(line.split()[-1] for line in text.splitlines() if line.startswith("   1")) in TELLTALES, text
    rows = read(layout.explainability / "event_lr_words_explanations.parquet")
    assert rows
    for row in rows:
        assert row["explained"]
        has_it = row["anomaly"] and row["run"] != FIRST_RUN
        telling = [entry for entry in row["features"] if entry["feature"] in TELLTALES]
        assert all(entry["value"] == float(has_it) and (entry["shap"] > 0) == has_it for entry in telling)
        assert telling or not has_it
        sizes = [abs(entry["shap"]) for entry in row["features"]]
        assert sizes == sorted(sizes, reverse=True)


def test_neighbours_are_ordered_by_rank(explained):
    layout, summary = explained
    predictions = {
        row["seq_id"]: row for row in read(layout.explainability / "sequence_shap_lr_words_predictions.parquet")
    }
    rows = list(csv.DictReader((layout.explainability / "sequence_shap_lr_words_nn_mapping.csv").open()))
    assert len(rows) == summary.models[0].neighbours == summary.models[0].flagged
    for row in rows:
        assert predictions[row["anomalous_id"]]["pred_ano"] == 1
        assert predictions[row["normal_id"]]["normal"]
        assert 0 < float(row["similarity"]) <= 1
    ranks = [predictions[row["anomalous_id"]]["rank_sequence_shap_lr_words"] for row in rows]
    assert ranks == sorted(ranks)


def test_metrics_hold_the_measures_and_what_was_explained(explained):
    layout, _ = explained
    found = json.loads((layout.explainability / "metrics_event_lr_words.json").read_text())
    assert found["holdout"] == {"f1": 0.5}
    assert found["explanation"]["shap"] == "done"
    assert found["explanation"]["rows"] == 72
    assert found["explanation"]["not_explained"] == 0


def test_measures_that_lie_elsewhere_are_made_from_the_predictions(tmp_path):
    layout = make_root(tmp_path, ("event_kmeans_words",), parts=2)
    shutil.rmtree(layout.measures)
    explain(ExplainOptions(root=layout.root, nn_source="event_kmeans_words", skip_if=True), Session.serial())
    found = json.loads((layout.explainability / "metrics_event_kmeans_words.json").read_text())
    assert found["holdout"]["support"] == {"rows": 6, "normal": 2, "anomaly": 4}


@pytest.mark.slow
def test_a_cluster_gives_the_same_files(explained, tmp_path):
    layout, _ = explained
    keys = (*KEYS, "event_xgb_words", "event_rf_words")
    other = make_root(tmp_path, keys, parts=5)
    explain(ExplainOptions(root=other.root, nn_source="sequence_shap_lr_words", workers=2))
    for path in other.explainability.iterdir():
        twin = layout.explainability / path.name
        assert by_id(path) == by_id(twin) if path.is_dir() else path.read_bytes() == twin.read_bytes(), path.name


@pytest.mark.thorough
def test_files_do_not_depend_on_the_parts(explained, tmp_path, monkeypatch):
    layout, _ = explained
    # A task for every part, where the other folder's tiny parts make one.
    monkeypatch.setattr("lo2dask.explanation.merged_parts.TASK_BYTES", 1)
    other = make_root(tmp_path, KEYS, parts=7)
    explain(ExplainOptions(root=other.root, nn_source="sequence_shap_lr_words"), Session.serial())
    compared = 0
    for path in other.explainability.iterdir():
        twin = layout.explainability / path.name
        if path.is_dir():
            assert by_id(path) == by_id(twin), path.name
        else:
            assert path.read_bytes() == twin.read_bytes(), path.name
        compared += 1
    assert compared > 15


def test_a_second_run_has_nothing_to_do_and_a_changed_option_has(tmp_path, monkeypatch):
    layout = make_root(tmp_path, ("event_kmeans_words",), parts=2)
    options = ExplainOptions(root=layout.root, nn_source="event_kmeans_words", skip_if=True)
    first, session = explain(options, Session.serial()), Session.serial()
    monkeypatch.setattr(session, "map", None)
    again = explain(options, session)
    assert [model.current for model in (*first.models, *again.models)] == [False, True]
    monkeypatch.undo()
    changed = explain(options.replace(nn_top_k=3), Session.serial()).models[0]
    assert (changed.current, changed.neighbours) == (False, 3)
    (layout.explainability / "event_kmeans_words_false_negatives.txt").unlink()
    assert not explain(options.replace(nn_top_k=3), Session.serial()).models[0].current


@pytest.mark.usefixtures("no_plots")
def test_guards_leave_a_note_that_says_what_to_raise(tmp_path):
    layout = make_root(tmp_path, ("event_lr_words",), parts=2)
    options = ExplainOptions(root=layout.root, nn_source="event_lr_words", skip_if=True, shap_feature_threshold=5)
    assert explain(options, Session.serial()).models[0].shap == "guarded"
    note = (layout.explainability / "event_lr_words_shap_guard.txt").read_text()
    assert "--shap-feature-threshold 5" in note
    assert not (layout.explainability / "event_lr_words_shap_bar.png").exists()
    assert not read(layout.explainability / "event_lr_words_explanations.parquet")[0]["explained"]
    explain(options.replace(shap_feature_threshold=0), Session.serial())
    assert not (layout.explainability / "event_lr_words_shap_guard.txt").exists()
    assert (layout.explainability / "event_lr_words_shap_bar.png").exists()


@pytest.mark.usefixtures("no_plots")
def test_samples_bound_the_rows_that_count(tmp_path):
    layout = make_root(tmp_path, ("event_lr_words",), parts=4)
    options = ExplainOptions(
        root=layout.root,
        nn_source="event_lr_words",
        skip_if=True,
        shap_sample=10,
        shap_background=8,
        nn_normal_sample=2,
    )
    summary = explain(options, Session.serial()).models[0]
    assert summary.rows == 10
    mapping = (layout.explainability / "event_lr_words_nn_mapping.csv").read_text().splitlines()
    assert len({line.split(",")[1] for line in mapping[1:]}) <= 2
    assert len(read(layout.explainability / "event_lr_words_explanations.parquet")) == summary.flagged


def test_bad_input_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(InputError, match="lo2dask train"):
        explain(ExplainOptions(root=tmp_path), Session.serial())
    layout = make_root(tmp_path, ("event_lr_words",), parts=2)
    with pytest.raises(InputError, match="'nonsense' is not known"):
        explain(ExplainOptions(root=layout.root, sup_models=("nonsense",)), Session.serial())
    with pytest.raises(InputError, match="no such folder"):
        explain(ExplainOptions(root=layout.root, skip_if=True, load_sup_models=tmp_path / "nowhere"), Session.serial())
    part = next(iter(sorted((layout.predictions / "event_lr_words").iterdir())))
    shutil.copy(sorted((layout.predictions / "event_lr_words").iterdir())[1], part)
    with pytest.raises(IntegrityError, match="other sequences"):
        explain(ExplainOptions(root=layout.root, nn_source="event_lr_words", skip_if=True), Session.serial())


@pytest.mark.usefixtures("no_plots")
def test_the_files_of_a_model_that_is_trained_no_more_go(tmp_path, caplog):
    layout = make_root(tmp_path, ("event_lr_words", "event_kmeans_words"), parts=2)
    options = ExplainOptions(root=layout.root, nn_source="event_lr_words", skip_if=True)
    explain(options, Session.serial())
    foreign = layout.explainability / "event_kmeans_words_remarks.txt"
    foreign.write_text("mine")
    (layout.explainability / "event_kmeans_words_predictions.parquet" / "note.txt").write_text("mine")
    line = ModelLine("event_lr_words", True, 1, 1, 0.0, None, None, None, None, None)
    Stage(layout, TRAIN).commit(Key("", ""), [], {"models": [asdict(line)]})
    explain(options, Session.serial())
    left = {path.name for path in layout.explainability.glob("*event_kmeans_words*")}
    assert left == {foreign.name, "event_kmeans_words_predictions.parquet"}
    left = list((layout.explainability / "event_kmeans_words_predictions.parquet").iterdir())
    assert [path.name for path in left] == ["note.txt"]
    assert "event_kmeans_words" in caplog.text
    assert not (layout.internal / "explain" / "event_kmeans_words.json").exists()
    assert (layout.explainability / "event_lr_words_shap_bar.png").exists()


@pytest.mark.usefixtures("no_plots")
def test_skip_if_leaves_the_forest_out(tmp_path, caplog):
    layout = make_root(tmp_path, ("if", "event_lr_words"), parts=1)
    explain(ExplainOptions(root=layout.root, skip_if=True), Session.serial())
    assert "--nn-source" in caplog.text
    assert (layout.explainability / "event_lr_words_nn_mapping.csv").exists()
    assert not list(layout.explainability.glob("if_*"))


def test_bag_counts_do_not_matter_to_a_binary_model(explained):
    layout, _ = explained
    rows = read(layout.explainability / "event_lr_words_explanations.parquet")
    assert {entry["value"] for row in rows for entry in row["features"]} <= {0.0, 1.0}
    assert all(np.isfinite(entry["shap"]) for row in rows for entry in row["features"])


def test_evidence_begins_with_the_line_that_carries_the_telltale(explained):
    layout, _ = explained
    for key in ("event_lr_words", "sequence_shap_lr_words", "event_xgb_words"):
        for row in read(layout.explainability / f"{key}_explanations.parquet"):
            if row["run"] == FIRST_RUN or not row["anomaly"]:
                continue
            line = row["lines"][0]
            assert TELLTALE in line["m_message"]
            assert line["alike"] == 3
            raw = Path(line["path"]).read_text().splitlines()
            assert raw[line["line_no"] - 1] == line["m_message"]
            assert line["share"] > 0
            assert line["novelty"] == 1
            assert f"{line['m_timestamp']:%H:%M:%S}" == line["m_message"][:8]


@pytest.mark.usefixtures("no_plots")
def test_evidence_is_the_same_from_the_events_table(explained, tmp_path):
    layout, _ = explained
    other = make_root(tmp_path, ("event_lr_words",), parts=2, save_events=True)
    shutil.rmtree(tmp_path / "tree")
    explain(ExplainOptions(root=other.root, nn_source="event_lr_words", skip_if=True), Session.serial())
    name = "event_lr_words_explanations.parquet"
    rows, twins = by_id(other.explainability / name), by_id(layout.explainability / name)
    assert [row["lines"] for row in rows] == [row["lines"] for row in twins]


@pytest.mark.usefixtures("no_plots")
def test_sequences_whose_logs_are_gone_keep_their_features(tmp_path, caplog):
    layout = make_root(tmp_path, ("event_lr_words",), parts=2)
    shutil.rmtree(tmp_path / "tree")
    explain(ExplainOptions(root=layout.root, nn_source="event_lr_words", skip_if=True), Session.serial())
    rows = read(layout.explainability / "event_lr_words_explanations.parquet")
    assert rows
    assert not any(row["lines"] for row in rows)
    assert "have no lines" in caplog.text


def test_nearest_normals_come_with_what_differs(explained):
    layout, _ = explained
    rows = read(layout.explainability / "sequence_shap_lr_words_explanations.parquet")
    mapping = csv.DictReader((layout.explainability / "sequence_shap_lr_words_nn_mapping.csv").open())
    nearest = {row["anomalous_id"]: row["normal_id"] for row in mapping}
    for row in rows:
        assert row["nearest_normal"] == nearest[row["seq_id"]]
        assert (TELLTALE in row["words_gained"]) == (row["run"] != FIRST_RUN)
        assert len(row["templates_gained"]) == (row["run"] != FIRST_RUN)
        assert not set(row["words_gained"]) & set(row["words_lost"])
    assert read(layout.explainability / "event_lr_words_explanations.parquet")[0]["nearest_normal"] is None


def test_one_sequence_is_told_and_nothing_else_is_done(explained, command):
    layout, _ = explained
    files = {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")}
    row = read(layout.explainability / "event_lr_words_explanations.parquet")[0]
    answer = command("explain", "--root", layout.root, "--seq-id", row["seq_id"])
    assert answer.code == 0, answer.err
    assert answer.out.startswith(row["seq_id"] + "\n")
    assert "event_lr_words flags it" in answer.out
    assert row["lines"][0]["m_message"] in answer.out
    for key in ("if", "event_lof_words", "event_xgb_words"):
        assert f"\n{key} " in answer.out
    assert {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")} == files
    told = json.loads(command("explain", "--root", layout.root, "--seq-id", row["seq_id"], "--log-format=json").out)
    assert told["story"].rstrip("\n") == answer.out.rstrip("\n")


def test_an_unknown_sequence_is_answered_with_those_nearest_to_it(explained, command):
    layout, _ = explained
    known = read(layout.explainability / "event_lr_words_predictions.parquet")[40]["seq_id"]
    answer = command("explain", "--root", layout.root, "--seq-id", known[:-1] + "\x1b")
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert known in answer.err
    assert "\x1b" not in answer.err
    nothing = command("explain", "--root", layout.root / "elsewhere", "--seq-id", known)
    assert (nothing.code, len(nothing.lines)) == (2, 1)
    assert "no such folder" in nothing.err
