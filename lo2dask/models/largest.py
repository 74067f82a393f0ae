"""The largest value of each key over many runs, and the largest of any other run: what leaving one run out needs.

Tables have the key's columns (text), ``run`` (text) and ``value`` (float64). Joining is associative and commutative.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Codes, Ints
from lo2dask.buffers.columns import among, codes, strings
from lo2dask.models.rows import Rows

if TYPE_CHECKING:
    from scipy import sparse


def keep_largest(tables: Iterable[pa.Table], key: Sequence[str]) -> pa.Table:
    """Join tables: at most two rows of each key (text), the largest values of two different runs, sorted by key."""
    joined = pa.concat_tables(tables).unify_dictionaries().select([*key, "run", "value"])
    columns = [_ranks(joined[name]) for name in (*key, "run")]
    order = np.lexsort((columns[-1], -joined["value"].to_numpy(), *columns[-2::-1]))
    rows, run = np.arange(len(order)), columns[-1][order]
    changed = np.zeros(len(order), dtype=bool)
    for column in columns[:-1]:
        changed |= np.diff(column[order], prepend=-1) != 0
    first = np.maximum.accumulate(np.where(changed, rows, 0))
    # The next one is the first of another run.
    others = np.flatnonzero(run != run[first])
    next_ones = others[np.diff(first[others], prepend=-1) != 0]
    kept = joined.take(pa.array(order[np.union1d(np.flatnonzero(changed), next_ones)]))
    return pa.table({name: kept[name] if name == "value" else strings(kept[name]) for name in kept.column_names})


def _ranks(texts: pa.ChunkedArray) -> Ints:
    """Number texts, dictionary-encoded or not, in their order."""
    column = texts.combine_chunks()
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    ranks: Ints = pc.rank(encoded.dictionary, tiebreaker="dense").to_numpy().astype(np.int64)
    return ranks[encoded.indices.to_numpy()]


def name_cells(rows: Rows, cells: "sparse.csr_matrix", statements: pa.Array) -> dict[str, pa.Array]:
    """Return service, statement and run of each cell of counts (rows x statements), in the order of the cells."""
    row = pa.array(np.repeat(np.arange(len(rows)), np.diff(cells.indptr)))
    return {
        "service": strings(rows.service).dictionary_encode().take(row),
        "statement": pa.DictionaryArray.from_arrays(cells.indices, statements),
        "run": strings(rows.run).dictionary_encode().take(row),
    }


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

    def of_cells(self, token: Ints, run: tuple[Ints, Sequence[str]] | None) -> np.ndarray:
        """Return the largest values of cells (tokens by place), each with its ``run`` (codes, names) left out."""
        if run is None:
            return self.first[token]
        place = {name: at for at, name in enumerate(self.runs)}
        own = np.array([place.get(name, -2) for name in run[1]], dtype=np.int64)[run[0]]
        return np.where(self.run[token] == own, self.second[token], self.first[token])


def rows_of(table: pa.Table, **values: str) -> pa.Table:
    """Return the rows of a table whose columns have these values."""
    for name, value in values.items():
        table = table.filter(pa.array(among(table[name], [value])))
    return table
