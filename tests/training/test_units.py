"""What units learn from: rows, shared names, splits on disk, counts of parts, and measures as files."""

import csv
import json
import math
from collections import Counter
from pathlib import Path

import hypothesis.strategies as st
import joblib
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask import schema
from lo2dask.domain import CORRECT
from lo2dask.errors import InputError
from lo2dask.features.matrix import Columns
from lo2dask.models.registry import FOREST, spec
from lo2dask.models.split import Split
from lo2dask.options import TrainOptions
from lo2dask.storage import write_scratch
from lo2dask.tables.groups import group_parts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.training import measures, units
from lo2dask.training.measures import SequenceKeys, add_leakage, forest_measures, leakage_warning, write_csv
from lo2dask.training.scoring import Target, keep_scores, predict_group
from lo2dask.training.units import (
    SUPERVISED,
    TrainingRows,
    Unit,
    measures_path,
    read_columns,
    read_splits,
    split_of,
    working_folder,
    write_splits,
)
from lo2dask.training.vocabularies import SPILLED, CountPlan, count_part
from lo2dask.vocabulary.spill import Spill
from tests.trees import load_tree, table_of

RUNS, CASES, SERVICES = ("run_1", "run_2"), (CORRECT, "get_user_404_no_user"), ("token", "key")
keys = st.lists(st.tuples(*map(st.sampled_from, (RUNS, CASES, SERVICES))), max_size=12)
splits = st.builds(
    Split,
    st.just("run"),
    st.frozensets(st.sampled_from(RUNS)),
    st.frozensets(st.sampled_from(CASES)),
    st.frozensets(st.tuples(*map(st.sampled_from, (RUNS, CASES, SERVICES)))),
)


def part_of(rows: list[tuple[str, str, str]]) -> pa.Table:
    columns = {name: pa.array([row[at] for row in rows], pa.string()).dictionary_encode()
               for at, name in enumerate(("run", "test_case", "service"))}  # fmt: skip
    anomaly = pa.array([row[1] != CORRECT for row in rows], pa.bool_())
    return pa.table({**columns, "anomaly": anomaly})


def is_held(split: Split, row: tuple[str, str, str]) -> bool:
    return row[0] in split.runs or row[1] in split.cases or row in split.buckets


@given(keys, splits, st.booleans(), st.sampled_from(["", *SERVICES, "user"]))
def test_training_rows_are_those_that_the_rules_leave(
    rows: list[tuple[str, str, str]], split: Split, normal_only: bool, service: str
) -> None:
    mask = TrainingRows("sup", normal_only, service).mask(part_of(rows), {"sup": split})
    wanted = [
        not is_held(split, row) and not (normal_only and row[1] != CORRECT) and service in ("", row[2]) for row in rows
    ]
    assert mask.tolist() == wanted


@given(st.dictionaries(st.sampled_from(["sup", "if"]), splits))
def test_splits_come_back_from_disk(tmp_path_factory: pytest.TempPathFactory, made: dict[str, Split]) -> None:
    layout = Layout(tmp_path_factory.mktemp("splits"))
    with pytest.raises(InputError, match="no model has been trained in it; first: lo2dask train --root "):
        read_splits(layout)
    write_splits(layout, made)
    assert read_splits(layout) == made


def test_splits_are_read_once_until_they_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, times = units.read_state, []
    monkeypatch.setattr(units, "read_state", lambda *given: times.append(given) or read(*given))
    layout, first, second = Layout(tmp_path), {"sup": Split("run")}, {"sup": Split("run", runs=frozenset({"a"}))}
    for made in (first, second):
        write_splits(layout, made)
        assert [read_splits(layout) for _ in range(3)] == [made] * 3
    assert len(times) == 2


def test_units_that_read_the_same_share_their_columns_and_others_do_not() -> None:
    words, again, trigrams = (Unit(spec(key), SUPERVISED) for key in ("lr_words", "event_lr_words", "lr_trigrams"))
    assert words.columns.name == again.columns.name != trigrams.columns.name
    assert words.rows.name == again.rows.name
    names = {Unit(spec("lr_words"), side, service).columns.name for side in ("sup", "if") for service in ("", "key")}
    assert len(names) == 4
    assert words.name == again.name != trigrams.name
    assert Unit(spec("lr_words"), SUPERVISED, "key").name == f"{words.name}@key"


def test_the_forest_has_a_split_and_a_file_of_its_own(tmp_path: Path) -> None:
    assert (split_of(FOREST), split_of("lr_words")) == (FOREST, SUPERVISED)
    assert measures_path(tmp_path, FOREST).name == "if_metrics.json"
    assert measures_path(tmp_path, "lr_words").name == "lr_words.json"


def test_columns_that_are_written_again_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "columns.joblib"
    for tokens in (["a"], ["b", "c"]):
        joblib.dump(Columns({"words": pa.array(tokens)}).to_plain(), tmp_path / "new")
        (tmp_path / "new").replace(path)
        assert read_columns(path).tokens["words"].to_pylist() == tokens
        assert read_columns(path) is read_columns(path)


@pytest.fixture(scope="module")
def loaded(tiny_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout(load_tree(tiny_tree, tmp_path_factory.mktemp("units") / "out", partition_size="300KB"))


@pytest.mark.parametrize("normal_only", [True, False])
def test_a_part_counts_its_training_rows_as_plain_python_does(
    loaded: Layout, tmp_path: Path, normal_only: bool
) -> None:
    held = min(table_of(loaded.sequences)["run"].to_pylist())
    write_splits(loaded, {"sup": Split("run", runs=frozenset({held}))})
    rows = TrainingRows("sup", normal_only)
    tokens = [t for key in ("lr_words", "lr_templates") for t in Unit(spec(key), "sup").columns.tokens]
    tokens = [type(token)(token.representation, rows, token.limits) for token in tokens]
    spilled = Spill(tmp_path, tuple(token.counted for token in tokens))
    for path in part_paths(loaded.enhanced):
        result = count_part(path.name, CountPlan(loaded.root, tuple(tokens), (rows,), spilled))
        part = read_part(path)
        learned = [r for r in part.to_pylist() if r["run"] != held and not (normal_only and r["anomaly"])]
        assert result[rows.name]["total"] == len(learned)
        assert Counter(result[rows.name]["strata"].values()).total() <= max(len(learned), 1)
        assert sum(result[rows.name]["strata"].values()) == len(learned)
        for token, count in zip(tokens, result[SPILLED], strict=True):
            bags = [row[schema.REPRESENTATIONS[token.representation]] for row in learned]
            assert count == len({item["token"] for bag in bags for item in bag})


def test_a_row_without_a_score_by_a_model_that_has_not_seen_its_run_has_a_null_there(loaded: Layout) -> None:
    write_splits(loaded, {"sup": Split("run")})
    group = group_parts(loaded.enhanced)[0]
    scores = np.arange(sum(group.rows), dtype=float)
    held_out = np.where(scores == 0, np.nan, scores)
    keep_scores(loaded, "excess", group, (scores, scores, held_out))
    write_scratch(working_folder(loaded) / "scores" / "excess" / "distinct.pickle", scores)
    predict_group(group, loaded.root, [Target("excess", Path(), "sup", 10)])
    found = group.read(loaded.predictions / "excess")
    assert found["score"].null_count == 0
    assert found["score_held_out"].to_pylist() == [None, *scores[1:].tolist()]


class TestMeasures:
    """Measures of eight rows of two runs, one of which is held out."""

    rows = SequenceKeys(
        pa.chunked_array([[run for run in RUNS for _ in range(4)]]),
        pa.chunked_array([[*CASES, *CASES] * 2]),
        pa.chunked_array([["token", "token", "key", "key"] * 2]),
        np.array([False, True] * 4),
    )
    split = Split("run", runs=frozenset({"run_2"}))
    scores = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.4, 0.6, 0.5])
    labels = (scores > 0.45).astype(np.int8)

    def measured(self, **changes: object) -> dict:
        options = TrainOptions(**changes)
        whole = measures.measure(self.rows, self.split, (self.scores, self.labels))
        return whole | forest_measures(options, self.rows, self.split, self.scores)

    def test_sides_are_named_and_rows_without_a_score_are_unused(self) -> None:
        scores = np.where(np.arange(8) == 5, np.nan, self.scores)
        assert self.rows.sides(self.split, scores).tolist() == ["train"] * 4 + ["holdout", "unused"] + ["holdout"] * 2

    def test_what_the_report_options_ask_for_and_nothing_else(self) -> None:
        assert not {"precision_at_k", "fp_rate_at_alpha", "psi"} & set(self.measured())
        found = self.measured(report_precision_at=2, report_fp_alpha=0.5)
        assert found["rows_reported"] == "holdout"
        assert found["precision_at_k"] == {"k": 2, "anomalies": 1, "precision": 0.5, "reason": None}
        assert (found["fp_rate_at_alpha"]["false_positives"], found["fp_rate_at_alpha"]["fp_rate"]) == (1, 0.5)
        assert "psi" in found
        assert found["train"]["auc_roc"] == 1.0
        assert found["holdout"]["per_service"]["key"]["confusion"] == {"tn": 0, "fp": 1, "fn": 0, "tp": 1}

    def test_without_a_hold_out_all_rows_are_reported(self) -> None:
        options = TrainOptions(report_precision_at=3)
        found = forest_measures(options, self.rows, Split("run"), self.scores)
        assert (found["rows_reported"], found["precision_at_k"]["anomalies"]) == ("all", 2)
        assert (
            measures.measure(self.rows, Split("run"), (self.scores, self.labels))["holdout"]["reason"] == "no sequence"
        )

    def test_leakage_is_warned_of_where_a_baseline_is_as_good(self) -> None:
        mine = self.measured()
        better = add_leakage(mine, {side: {"auc_roc": 0.1, "f1": 0.0} for side in ("train", "holdout")}, None)
        assert leakage_warning(better) is None
        assert "start-up lines could be fitted" in better["leakage"]["startup_lines"]["holdout"]["reason"]
        both = add_leakage(mine, mine, mine)
        assert "sequence length alone" in str(leakage_warning(both))
        assert "the start-up lines alone" in str(leakage_warning(both))

    def test_files_say_what_was_measured(self, tmp_path: Path) -> None:
        found = self.measured(report_precision_at=2)
        write_csv(tmp_path / "m.csv", found)
        measures.write_measures(
            tmp_path / "m.json", found | {"nan": math.nan, "n": np.int64(3), "x": (np.float32(0.5),)}
        )
        with open(tmp_path / "m.csv", newline="") as file:
            lines = {(row["side"], row["group"], row["measure"]): row["value"] for row in csv.DictReader(file)}
        assert float(lines["holdout", "all", "f1"]) == found["holdout"]["f1"]
        assert float(lines["train", "service key", "auc_roc"]) == 1.0
        assert lines["holdout", "precision_at_k", "k"] == "2"
        plain = json.loads((tmp_path / "m.json").read_text())
        assert (plain["nan"], plain["n"], plain["x"]) == (None, 3, [0.5])
        assert measures.headline(plain) == {
            k: plain["holdout"][k] for k in ("f1", "auc_roc", "average_precision", "reason")
        }
