"""``excess`` against a reference that may hold faults: .9 quantiles in place of maxima, and what a log lacks.

Nobody has said that the runs compared with are normal, so one of them must not raise what is taken as normal. Of each
log of a service are kept its lines, its minutes (at least 1/6) and its counts of statements, of the newest
:data:`MOST_LOGS` logs. A log is judged by those of other runs:

- excess: as in excess.py, with m_s the .9 quantile of the shares of statement s (absent = 0) instead of the largest;
  unseen is what no other log has
- lack: y = log(1 + occurrences a minute), z = (y - median) / (1.4826 MAD + 0.1) over the other logs; the largest of -z
  over the statements that occur in at least half of them; no error is missed, nor a line of a stack trace: where most
  runs have a fault, those without it are well

Each of the two is divided by its own .99 quantile over the reference (the next lower log; .9 of fewer than 100 logs),
each log judged without its run; by 1 at the least, so that a reference in which nothing stands out makes nothing of
little. E is the larger one. Where more of the logs are of a fault, E is small for all: it ranks, and
--excess-threshold has to be lower.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import codes, strings
from lo2dask.features.statements import ERROR, OTHER, in_order, kinds_of
from lo2dask.models import excess
from lo2dask.models.excess import Excess, counts_of, find_strongest
from lo2dask.models.rows import Rows
from lo2dask.models.spec import Behaviour, Merging, Scoring, State, Statistics
from lo2dask.sources.names import run_order

MOST_LOGS = 500
QUANTILE, SCALE = 0.9, 0.99
# Of fewer logs the .99 quantile is the score of a fault as soon as two of them have one: the .9 quantile scales these.
_MANY_LOGS = 100
_LEAST_MINUTES = 1 / 6
_LOG = ("service", "run", "log")


@dataclass(frozen=True)
class Reference:
    """The logs of one service: ``counts`` (logs x statements), names of runs, lines and minutes (logs,) each."""

    tokens: pa.Array
    counts: Any
    run: np.ndarray
    minutes: np.ndarray

    @classmethod
    def of(cls, logs: pa.Table, cells: pa.Table) -> "Reference":
        """Build it from the rows of one service, sorted."""
        from scipy import sparse

        names = pc.unique(cells["statement"]).to_pylist()
        tokens = pa.array([names[place] for place in in_order(names)], pa.string())
        row = pc.index_in(cells["log"], logs["log"].combine_chunks()).to_numpy()
        column = pc.index_in(cells["statement"], tokens).to_numpy()
        shape = (logs.num_rows, len(tokens))
        counts = sparse.csr_matrix((cells["count"].to_numpy(), (row, column)), shape=shape)
        return cls(tokens, counts, np.array(logs["run"].to_pylist(), dtype=object), logs["minutes"].to_numpy())

    def without(self, run: str | None) -> "Baseline":
        """Return what the logs are like, those of one run left out (None: of all runs)."""
        keep = np.flatnonzero(self.run != run) if run is not None else np.arange(len(self.run))
        counts, size = self.counts[keep], self.counts.shape[1]
        logs = np.bincount(counts.indices, minlength=size)
        share, most = np.zeros(size), np.zeros(size)
        kinds = kinds_of(self.tokens)
        errors = np.flatnonzero(kinds == ERROR)
        if len(errors) and len(keep):
            lines = np.maximum(np.asarray(counts.sum(axis=1)), 1)
            found = counts[:, errors].toarray()
            share[errors] = np.quantile(found / lines, QUANTILE, axis=0)
            most[errors] = np.quantile(found, QUANTILE, axis=0, method="lower")
        usual = np.flatnonzero((2 * logs >= len(keep)) & (logs > 0) & (kinds == OTHER))
        y = np.log1p(counts[:, usual].toarray() / self.minutes[keep, None])
        median = np.median(y, axis=0) if len(usual) else np.zeros(0)
        spread = 1.4826 * np.median(np.abs(y - median), axis=0) + 0.1 if len(usual) else np.ones(0)
        return Baseline(logs, share, most, usual, median, spread)


@dataclass(frozen=True)
class Baseline:
    """What logs are like: how many have a statement, .9 quantiles of its shares and its counts (errors alone).

    ``usual`` are the places of statements that half of the logs have, with median and spread of log(1 + a minute).
    """

    logs: np.ndarray
    share: np.ndarray
    most: np.ndarray
    usual: np.ndarray
    median: np.ndarray
    spread: np.ndarray

    def excess(self, cells: Any, kinds: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the excess of logs (logs x tokens) and its columns; tokens are at ``place`` here, -1 = nowhere."""
        share, logs = (np.append(values, 0)[place[cells.indices]] for values in (self.share, self.logs))
        score, at = find_strongest(cells, kinds, (share, logs == 0))
        return score, np.where(at < 0, -1, np.append(cells.indices, -1)[at])

    def lack(self, cells: Any, place: np.ndarray, minutes: float) -> tuple[float, int, float]:
        """Return the lack of a log, the place here of the statement that carries it (-1 = none), and its rate."""
        if not len(self.usual):
            return 0.0, -1, 0.0
        count = np.zeros(len(self.logs))
        there = place[cells.indices]
        count[there[there >= 0]] = cells.data[there >= 0]
        rate = count[self.usual] / minutes
        z = (self.median - np.log1p(rate)) / self.spread
        at = int(z.argmax())
        return max(float(z[at]), 0.0), int(self.usual[at]), float(rate[at])

    def normal_rate(self, place: int) -> float:
        """Return the median rate of a usual statement, a minute."""
        return float(np.expm1(self.median[np.searchsorted(self.usual, place)]))


def collect(rows: Rows, before: State | None) -> Statistics:
    """Collect the logs of one part: their runs, minutes and counts of statements."""
    cells, tokens, _ = counts_of(rows)
    coo = cells.tocoo()
    names = {"service": strings(rows.service), "run": strings(rows.run), "log": strings(rows.log)}
    logs = pa.table({**names, "minutes": _minutes(rows)})
    statement, count = tokens.take(pa.array(coo.col)), coo.data.astype(np.int64)
    named = {name: values.take(pa.array(coo.row)) for name, values in names.items()}
    return _newest(len(rows), logs, pa.table({**named, "statement": statement, "count": count}))


def merge(left: Statistics, right: Statistics) -> Statistics:
    """Join the logs of two parts; associative and commutative."""
    logs, cells = (pa.concat_tables([left[name], right[name]]) for name in ("logs", "cells"))
    return _newest(left["rows"] + right["rows"], logs, cells)


def finish(statistics: Statistics, before: State | None) -> State:
    """Arrange the logs by service, each with its two signals as judged without its run."""
    services: dict[str, Reference] = {}
    signals: list[dict[str, Any]] = []
    for name in pc.unique(statistics["logs"]["service"]).to_pylist():
        logs, cells = (statistics[table].filter(pc.field("service") == name) for table in ("logs", "cells"))
        reference = Reference.of(logs, cells)
        services[name] = reference
        kinds, place = kinds_of(reference.tokens), np.arange(len(reference.tokens))
        for run in sorted(set(reference.run)) if len(set(reference.run)) > 1 else ():
            base = reference.without(run)
            chosen = np.flatnonzero(reference.run == run)
            excess, _ = base.excess(reference.counts[chosen], kinds, place)
            for row, more in zip(chosen.tolist(), excess.tolist(), strict=True):
                lack, _, _ = base.lack(reference.counts[row], place, reference.minutes[row])
                signals.append({"run": run, "more": more, "less": lack})
    runs = {name: len(set(reference.run)) for name, reference in services.items()}
    return {"rows": statistics["rows"], "services": services, "runs": runs, "signals": pa.Table.from_pylist(signals)}


def weigh(state: State, rows: Rows, left_out: bool = False) -> Excess:
    """Compute E of rows by a state of this module or of excess.py; with ``left_out`` each row's run is left out."""
    if "services" not in state:
        return excess.weigh(state, rows, left_out)
    cells, tokens, _ = counts_of(rows)
    kinds, minutes = kinds_of(tokens), _minutes(rows)
    found = Excess.nothing(len(rows))
    (service, names), (run, run_names) = codes(rows.service), codes(rows.run)
    for own, run_name in enumerate(run_names):
        scales = _scales(state["signals"], run_name if left_out else None)
        for index, name in enumerate(names):
            chosen = np.flatnonzero((service == index) & (run == own))
            if not len(chosen) or state["runs"].get(name, 0) <= int(left_out):
                continue
            reference = state["services"][name]
            base = reference.without(run_name if left_out else None)
            place = pc.fill_null(pc.index_in(tokens, reference.tokens), -1).to_numpy(zero_copy_only=False)
            exceeding = zip(*(values.tolist() for values in base.excess(cells[chosen], kinds, place)), strict=True)
            for row, (more, column) in zip(chosen.tolist(), exceeding, strict=True):
                less, missing, rate = base.lack(cells[row], place, minutes[row])
                found.score[row] = max(more / scales[0], less / scales[1])
                if less / scales[1] > more / scales[0]:
                    found.statement[row] = reference.tokens[missing].as_py()
                    found.rate[row], found.normal_rate[row] = rate, base.normal_rate(missing)
                    found.count[row] = round(rate * minutes[row])
                elif column >= 0:
                    found.statement[row], found.count[row] = tokens[column].as_py(), cells[row, column]
                    at = place[column]
                    found.is_unseen[row] = at < 0 or base.logs[at] == 0
                    found.normal_max[row] = 0 if at < 0 else base.most[at]
    return found


def score_excess(state: State, _: Scoring, rows: Rows) -> np.ndarray:
    """Score rows by E: float64 (rows,)."""
    return weigh(state, rows).score


def score_left_out(state: State, rows: Rows) -> np.ndarray:
    """Score rows that were learned from by E, each with its run left out: float64 (rows,)."""
    return weigh(state, rows, left_out=True).score


def _minutes(rows: Rows) -> np.ndarray:
    assert rows.minutes is not None
    return np.maximum(rows.minutes, _LEAST_MINUTES)


def _scales(signals: pa.Table, run: str | None) -> tuple[float, float]:
    """Return the quantiles of excess and lack over the reference, at least 1; one run left out (None: none)."""
    if not signals.num_rows:
        return 1.0, 1.0
    kept = signals if run is None else signals.filter(pc.field("run") != run)
    if not kept.num_rows:
        return 1.0, 1.0
    share = SCALE if kept.num_rows >= _MANY_LOGS else QUANTILE
    # An observed one, so that the highest, perhaps a fault itself, is never the scale.
    more, less = (float(np.quantile(kept[name].to_numpy(), share, method="lower")) for name in ("more", "less"))
    return max(more, 1.0), max(less, 1.0)


def _newest(rows: int, logs: pa.Table, cells: pa.Table) -> Statistics:
    """Keep the newest logs of each service, sorted."""
    keys = list(zip(*(logs[name].to_pylist() for name in _LOG), strict=True))
    order = sorted(range(len(keys)), key=lambda at: (keys[at][0], run_order(keys[at][1]), keys[at][2]))
    taken: dict[str, int] = {}
    kept = []
    for at in reversed(order):
        taken[keys[at][0]] = taken.get(keys[at][0], 0) + 1
        if taken[keys[at][0]] <= MOST_LOGS:
            kept.append(at)
    chosen = logs.take(pa.array(kept[::-1], pa.int64()))
    if len(kept) < len(keys):
        cells = cells.filter(pc.is_in(cells["log"], chosen["log"].combine_chunks()))
    order_of = [(name, "ascending") for name in ("service", "log", "statement")]
    return {"rows": rows, "logs": chosen, "cells": cells.sort_by(order_of)}


EXCESS = Behaviour(
    cost=excess.COST,
    seed_parameter=None,
    threads_parameter=None,
    score=score_excess,
    merging=Merging(excess.collect, excess.merge, excess.finish),
    open_merging=Merging(collect, merge, finish),
    score_normals=score_left_out,
    has_own_limit=True,
    unexplained="Its findings name the statement that carries each score, with its count and the normal maximum.",
)
