"""``excess``: which service logs more errors than any normal log does, or a statement that no normal log has.

Of the training part's normal logs of a service are kept, for each statement s, the largest share m_s of the lines of
one log, and the largest count. A log of n lines that has s x times exceeds it by::

    z_s = (x - m_s * n) / sqrt(m_s * n + 1)

E is the largest of z_s over statements of an error level, and of the counts of statements that no normal log of the
service has, from 3 on. Continuation lines count in n, and are never such statements. A service without a training log
has no E. A log with every line doubled (its statements have many different counts, with a common divisor) is weighed as
if it were not: z_s would grow with the root of the repeats.

A run left out does not count among the normals: what it alone has is then new.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.columns import codes, strings
from lo2dask.features.statements import CONTINUATION, ERROR, kinds_of
from lo2dask.models.largest import Largest, keep_largest, name_cells, rows_of
from lo2dask.models.rows import Rows, count_statements
from lo2dask.models.spec import Cost, State, Statistics

if TYPE_CHECKING:
    from scipy import sparse

THRESHOLD = 3.0
# A statement that no normal log has counts if it occurs so often.
LEAST_UNSEEN = 3
# Fewer different counts than this may have a common divisor by chance: steps of a request, or lines of a stack trace,
# are all there equally often.
_FEWEST_DIFFERENT = 10
_KEY = ("what", "service", "statement")


@dataclass(frozen=True)
class Excess:
    """E of some rows and what carries it.

    ``score`` is float64 (rows,), NaN for a service without normals. ``statement`` is the id of the statement that
    carries it, or of the strongest error that is over THRESHOLD itself, "" where none does; ``is_unseen`` is whether no
    normal log has it, ``count`` how often the log has it, ``normal_max`` the most that a normal log has. ``rate`` and
    ``normal_rate`` are float64, occurrences a minute here and in normal logs, NaN but where a log lacks the statement
    (see lack.py).
    """

    score: np.ndarray
    statement: list[str]
    is_unseen: np.ndarray
    count: np.ndarray
    normal_max: np.ndarray
    rate: np.ndarray
    normal_rate: np.ndarray

    @classmethod
    def nothing(cls, size: int) -> "Excess":
        """Return that of rows that nothing is known of."""
        numbers = (np.zeros(size, dtype=np.int64) for _ in range(2))
        nans = (np.full(size, np.nan) for _ in range(3))
        return cls(next(nans), [""] * size, np.zeros(size, dtype=bool), *numbers, *nans)


def collect(rows: Rows, _: State | None) -> Statistics:
    """Collect the largest shares and counts of one part's training normals, by service and statement."""
    cells, tokens, repeats = counts_of(rows)
    lines = np.asarray(cells.sum(axis=1)).ravel()
    names = name_cells(rows, cells, tokens)
    row = np.repeat(np.arange(len(rows)), np.diff(cells.indptr))
    values = {"share": cells.data / np.maximum(lines[row], 1), "count": (cells.data * repeats[row]).astype(np.float64)}
    tables = [
        pa.table(
            {
                "what": pa.array([what]).dictionary_encode().take(pa.array(np.zeros(cells.nnz, np.int64))),
                **names,
                "value": value,
            }
        )
        for what, value in values.items()
    ]
    own = pa.table({"service": strings(rows.service), "run": strings(rows.run)}).group_by(["service", "run"])
    return {"rows": len(rows), "largest": keep_largest(tables, _KEY), "logs": own.aggregate([])}


def merge(left: Statistics, right: Statistics) -> Statistics:
    """Join the statistics of two parts; associative and commutative."""
    logs = pa.concat_tables([left["logs"], right["logs"]]).group_by(["service", "run"]).aggregate([])
    return {
        "rows": left["rows"] + right["rows"],
        "largest": keep_largest([left["largest"], right["largest"]], _KEY),
        "logs": logs.sort_by([("service", "ascending"), ("run", "ascending")]),
    }


def finish(statistics: Statistics, _: State | None) -> State:
    """Keep the largest values, and how many runs have a log of each service."""
    counted = statistics["logs"].group_by("service").aggregate([("run", "count")]).sort_by("service")
    runs = dict(zip(counted["service"].to_pylist(), counted["run_count"].to_pylist(), strict=True))
    return {"rows": statistics["rows"], "largest": statistics["largest"], "runs": runs}


def weigh(state: State, rows: Rows, left_out: bool = False) -> Excess:
    """Compute E of rows; with ``left_out`` the rows are training normals, and each row's run is left out."""
    cells, tokens, repeats = counts_of(rows)
    kinds = kinds_of(tokens)
    found = Excess.nothing(len(rows))
    (service, names), (run, run_names) = codes(rows.service), codes(rows.run)
    row = np.repeat(np.arange(len(rows)), np.diff(cells.indptr))
    shares, counts = np.zeros((2, cells.nnz))
    is_known = np.array([state["runs"].get(name, 0) > int(left_out) for name in names], dtype=bool)[service]
    for index in np.unique(service[is_known]).tolist():
        own = np.flatnonzero(service[row] == index)
        without = (run[row[own]], run_names) if left_out else None
        for what, values in (("share", shares), ("count", counts)):
            values[own] = _largest(state, what, names[index], tokens).of_cells(cells.indices[own], without)
    score, at = find_strongest(cells, kinds, (shares, shares == 0))
    found.score[is_known] = score[is_known]
    chosen = np.flatnonzero(is_known & (at >= 0))
    at = at[chosen]
    statements = tokens.take(pa.array(cells.indices[at])).to_pylist()
    for place, statement in zip(chosen.tolist(), statements, strict=True):
        found.statement[place] = statement
    found.count[chosen], found.is_unseen[chosen] = cells.data[at] * repeats[chosen], shares[at] == 0
    found.normal_max[chosen] = counts[at].astype(np.int64)
    return found


def find_strongest(
    cells: "sparse.csr_matrix", kinds: np.ndarray, normal: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, Ints]:
    """Return the largest excess of each log (logs x statements), and the cell that carries it, -1 where none exceeds.

    ``kinds`` are those of the statements, ``normal`` the normal share of each cell and whether no normal log has it.
    """
    (shares, unseen), count, kind = normal, cells.data.astype(np.float64), kinds[cells.indices]
    log = np.repeat(np.arange(cells.shape[0]), np.diff(cells.indptr))
    expected = shares * np.asarray(cells.sum(axis=1)).ravel()[log]
    z = (count - expected) / np.sqrt(expected + 1)
    values = np.where(kind == ERROR, z, -np.inf)
    is_new = unseen & (kind != CONTINUATION) & (count >= LEAST_UNSEEN)
    values = np.maximum(values, np.where(is_new, count, -np.inf))
    # An error tells a reader more than what was logged on the way to it.
    errors = np.where((kind == ERROR) & (values > THRESHOLD), values, -np.inf)
    largest, largest_error = np.full((2, cells.shape[0]), -np.inf)
    np.maximum.at(largest, log, values)
    np.maximum.at(largest_error, log, errors)
    shown = np.where(largest_error[log] > 0, errors == largest_error[log], (values == largest[log]) & (values > 0))
    at = np.full(cells.shape[0], -1, dtype=np.int64)
    cell = np.flatnonzero(shown)[::-1]
    at[log[cell]] = cell  # the first one is written last
    return np.maximum(largest, 0.0), at


def _largest(state: State, what: str, service: str, tokens: pa.Array) -> Largest:
    own = rows_of(state["largest"], what=what, service=service)
    return Largest.of(own, own["statement"], tokens)


def counts_of(rows: Rows) -> "tuple[sparse.csr_matrix, pa.Array, Ints]":
    """Return the counts of all statements of rows (rows x statements), of a log written twice once, and their ids.

    The third are int64 (rows,): how often each log was written.
    """
    cells, tokens = count_statements(rows)
    repeats = np.ones(len(rows), dtype=np.int64)
    for row, (start, end) in enumerate(zip(cells.indptr[:-1], cells.indptr[1:], strict=True)):
        different = np.unique(cells.data[start:end])
        if len(different) >= _FEWEST_DIFFERENT:
            repeats[row] = np.gcd.reduce(different)
            cells.data[start:end] //= repeats[row]
    return cells, tokens, repeats


COST = Cost(cell=40, row=256, dense=2, fixed=0)
