"""The largest value of each key over many runs, and the largest of any other run: what leaving one run out needs.

Tables have the key's columns (text), ``run`` (text) and ``value`` (float64). Joining is associative and commutative.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Codes
from lo2dask.buffers.columns import among, codes, strings


def keep_largest(tables: Iterable[pa.Table], key: Sequence[str]) -> pa.Table:
    """Join tables: at most two rows of each key, the largest values of two different runs, sorted by key."""
    joined = pa.concat_tables(tables).unify_dictionaries()
    largest = joined.group_by([*key, "run"]).aggregate([("value", "max")]).rename_columns([*key, "run", "value"])
    order = [*((name, "ascending") for name in key), ("value", "descending"), ("run", "ascending")]
    largest = largest.sort_by(order)
    rows = np.arange(largest.num_rows)
    changed = np.zeros(len(rows), dtype=bool)
    changed[:1] = True
    for name in key:
        indices = largest[name].combine_chunks().dictionary_encode().indices.to_numpy()
        changed |= np.diff(indices, prepend=-1) != 0
    first = np.maximum.accumulate(np.where(changed, rows, 0))
    return largest.filter(pa.array(rows - first < 2))


@dataclass(frozen=True)
class Largest:
    """The largest values of some columns' tokens: float64 (tokens,) each; 0 where there is none.

    ``run`` is the run that has the largest, as its place in ``runs`` (-1 = none), ``second`` the largest of another.
    """

    first: np.ndarray
    second: np.ndarray
    run: Codes
    runs: tuple[str, ...]

    @classmethod
    def of(cls, table: pa.Table, names: pa.Array, tokens: pa.Array) -> "Largest":
        """Take the values of ``tokens`` from rows of :func:`keep_largest`, each named by ``names``, in their order."""
        first, second, run = np.zeros(len(tokens)), np.zeros(len(tokens)), np.full(len(tokens), -1, dtype=np.int32)
        code, runs = codes(table["run"])
        at = pc.fill_null(pc.index_in(strings(names), tokens), -1).to_numpy(zero_copy_only=False)
        known = np.flatnonzero(at >= 0)
        # The second row of a name follows its first.
        is_second = np.diff(at[known], prepend=-1) == 0
        (top, rest), value = (known[~is_second], known[is_second]), table["value"].to_numpy()
        first[at[top]], run[at[top]], second[at[rest]] = value[top], code[top], value[rest]
        return cls(first, second, run, tuple(runs))

    def without(self, run: str | None) -> np.ndarray:
        """Return the largest values, those of one run left out (None: of all runs): float64 (tokens,)."""
        if run is None or run not in self.runs:
            return self.first
        return np.where(self.run == self.runs.index(run), self.second, self.first)


def rows_of(table: pa.Table, **values: str) -> pa.Table:
    """Return the rows of a table whose columns have these values."""
    for name, value in values.items():
        table = table.filter(pa.array(among(table[name], [value])))
    return table
