"""grid: one table over services, representations and algorithms, means over seeds, nothing fitted twice."""

import csv

import pytest

from lo2dask.commands import grid as stage
from lo2dask.commands.grid import grid, grid_keys, summarise
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.options import GridOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from tests.trees import SERVICES, load_tree, make_tree, table_of


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    return load_tree(make_tree(folder / "raw"), folder / "out")


def _grid(root, **changes):
    options = {"algorithms": ("dt", "oov"), "representations": ("words", "templates"), "seeds": 2}
    return grid(GridOptions(root=root, **(options | changes)), Session.serial())


def test_the_grid_has_a_row_for_every_cell_and_takes_up_what_is_there(root, monkeypatch):
    first = _grid(root)
    services = {"all", *SERVICES}
    assert {row["service"] for row in first.rows} == services
    # Two kinds of models, two algorithms, two representations; and the model on the length alone of each kind.
    assert len(first.rows) == 2 * (4 * len(services) + 1)
    assert (first.fitted, first.kept) == (16, 0)
    table = table_of(root / "lo2_grid.parquet")
    assert table.to_pylist() == [dict(row) for row in first.rows]
    with open(root / "lo2_grid.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(first.rows)
    assert (root / "lo2_grid.md").read_text(encoding="utf-8").count("\n") == len(first.rows) + 2
    more = _grid(root, algorithms=("dt", "oov", "kmeans"))
    assert (more.fitted, more.kept) == (8, 16)
    monkeypatch.setattr(stage, "train_models", lambda *_: pytest.fail("all is there"))
    again = _grid(root)
    assert again.rows == first.rows
    assert not part_paths(Layout(root).models)


def test_seeds_draw_other_hold_outs(root):
    rows = {(row["models"], row["algorithm"], row["representation"]): row for row in _grid(root).rows
            if row["service"] == "all"}  # fmt: skip
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
