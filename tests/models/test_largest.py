"""The largest values of two different runs, whatever the order in which tables are joined."""

import itertools

import numpy as np
import pyarrow as pa

from lo2dask.models.largest import Largest, keep_largest


def table_of(rows: list[tuple[str, str, float]]) -> pa.Table:
    name, run, value = zip(*rows, strict=True)
    return pa.table({"name": name, "run": run, "value": value})


def test_two_runs_are_kept_in_any_order() -> None:
    generator = np.random.default_rng(5)
    rows = [(f"k{generator.integers(4)}", f"r{generator.integers(5)}", float(generator.integers(9))) for _ in range(60)]
    pieces = [table_of(rows[start : start + 20]) for start in (0, 20, 40)]
    wanted = []
    for name in sorted({row[0] for row in rows}):
        of_run = {}
        for _, run, value in (row for row in rows if row[0] == name):
            of_run[run] = max(value, of_run.get(run, value))
        best = sorted(of_run.items(), key=lambda item: (-item[1], item[0]))[:2]
        wanted += [(name, run, value) for run, value in best]
    for order in itertools.permutations(pieces):
        first, second, third = order
        kept = keep_largest([keep_largest([first, second], ["name"]), third], ["name"])
        assert list(zip(*kept.to_pydict().values(), strict=True)) == wanted


def test_values_without_a_run() -> None:
    kept = keep_largest([table_of([("a", "r1", 5.0), ("a", "r2", 3.0), ("b", "r1", 2.0)])], ["name"])
    largest = Largest.of(kept, kept["name"], pa.array(["a", "b", "c"]))
    assert largest.without(None).tolist() == [5.0, 2.0, 0.0]
    assert largest.without("r1").tolist() == [3.0, 0.0, 0.0]
    assert largest.without("r2").tolist() == [5.0, 2.0, 0.0]
    assert largest.without("r9").tolist() == [5.0, 2.0, 0.0]
