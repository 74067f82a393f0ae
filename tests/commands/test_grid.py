"""grid: one table over services, representations and algorithms, means over seeds, nothing fitted twice."""

import csv

import pytest

from lo2dask.cli.summary import grid_text
from lo2dask.commands import grid as stage
from lo2dask.commands.grid import grid, grid_keys, summarise
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.options import GridOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.training.trust import BASELINES
from tests.trees import SERVICES, load_tree, make_tree, table_of


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    return load_tree(make_tree(folder / "raw", scale=0.03), folder / "out")


def _grid(root, **changes):
    options = {"algorithms": ("dt", "oov"), "representations": ("words",), "seeds": 2}
    return grid(GridOptions(root=root, **(options | changes)), Session.serial())


def test_the_grid_has_a_row_for_every_cell_and_takes_up_what_is_there(root, monkeypatch):
    first = _grid(root)
    services = {"all", *SERVICES}
    assert {row["service"] for row in first.rows} == services
    # Two kinds of models, two algorithms; and the model on the length alone of each kind.
    baselines = [row for row in first.rows if row["models"] == "simple baseline"]
    assert {row["algorithm"] for row in baselines} == set(BASELINES)
    assert len(first.rows) == 2 * (2 * len(services) + 1) + len(baselines)
    assert (first.fitted, first.kept) == (8, 0)
    table = table_of(root / "lo2_grid.parquet")
    assert table.to_pylist() == [dict(row) for row in first.rows]
    with open(root / "lo2_grid.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(first.rows)
    assert (root / "lo2_grid.md").read_text(encoding="utf-8").count("\n") == len(first.rows) + 2
    more = _grid(root, representations=("words", "templates"), seeds=1)
    assert (more.fitted, more.kept) == (4, 4)
    monkeypatch.setattr(stage, "train_models", lambda *_: pytest.fail("all is there"))
    again = _grid(root)
    assert again.rows == first.rows
    assert not part_paths(Layout(root).models)


def test_models_and_baselines_are_compared_with_the_best_on_the_same_cases(root):
    rows = [row for row in _grid(root).rows if row["case_ap"] is not None]
    # Two kinds of two models, and the baselines.
    assert len(rows) == 4 + len(BASELINES)
    best = [row for row in rows if row["difference"] == "best"]
    assert [row["p"] for row in best] == [None]
    assert {row["comparisons"] for row in rows} == {len(rows) - 1}
    # Four runs tell nothing.
    assert {row["difference"] for row in rows} == {"best", "too few runs to tell"}
    for row in rows:
        assert row["case_ap_low"] <= row["case_ap"] <= row["case_ap_high"]
        assert row["case_ap"] <= best[0]["case_ap"]
        assert 0 < row["chance"] < 1
    flag_all = next(row for row in rows if row["algorithm"] == "baseline_flag_all")
    assert flag_all["case_ap"] == pytest.approx(flag_all["chance"])
    assert any(line.endswith(f"p after Holm over {len(rows) - 1} comparisons") for line in grid_text(_grid(root)))


@pytest.mark.thorough
def test_every_error_type_is_held_out_in_turn(root, tmp_path):
    found = _grid(root, algorithms=("dt",), representations=("words",), leave_error_types_out=True)
    types = {name for name in table_of(Layout(root).enhanced)["test_case"].to_pylist() if name != "correct"}
    whole = [row for row in found.rows if row["service"] == "all" and row["algorithm"] == "dt"]
    assert [row["seeds"] for row in whole] == [len(types)] * 2
    one = load_tree(make_tree(tmp_path / "raw", errors_per_run=0), tmp_path / "out")
    with pytest.raises(InputError, match="--leave-error-types-out: .* has 0 error types, two are needed"):
        _grid(one, leave_error_types_out=True)


def test_seeds_draw_other_hold_outs(root):
    rows = {(row["models"], row["algorithm"], row["representation"]): row for row in _grid(root).rows
            if row["service"] == "all" and row["measured"]}  # fmt: skip
    assert all(row["measured"] == 2 for row in rows.values())
    assert any(row["auc_roc_sd"] for row in rows.values())


def test_mean_and_spread_are_over_the_cells_that_have_a_figure():
    name = {"models": "m", "service": "all", "algorithm": "a", "representation": "r"}
    figures = [(1.0, None), (0.5, None), (None, "one class")]
    row = summarise(name | {"f1": f, "auc_roc": f, "average_precision": f, "reason": why} for f, why in figures)[0]
    assert (row["f1_mean"], row["measured"], row["seeds"], row["reason"]) == (0.75, 2, 3, "one class")
    assert row["f1_sd"] == pytest.approx(0.125**0.5)


def test_pairs_without_sense_are_left_out_and_said():
    keys, notes = grid_keys(("lr", "oov"), ("numeric",))
    assert keys == ["lr_numeric"]
    assert notes == ["oov_numeric: no such model, left out"]
    with pytest.raises(InputError, match="sensible"):
        grid_keys(("oov",), ("numeric",))
    with pytest.raises(InputError, match="known are lr"):
        grid_keys(("nonsense",), ("words",))
