"""Which models of a grid differ: held-out cases with their scores, intervals over all hold-outs, and paired tests.

Each hold-out has the same cases for every model. A draw takes runs with replacement, and a drawn run counts in each
hold-out that it is in; a model's figure is the mean over the hold-outs of its average precision. Differences from the
best model are taken on the same draws, and their p-values corrected for the number of comparisons (Holm).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask.buffers.columns import codes
from lo2dask.execute.session import Session
from lo2dask.models.runs import calibrate_scores
from lo2dask.models.uncertainty import Draws, Units, average_precision, bootstrap_mean, holm
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import write_part
from lo2dask.training.cases import Cases
from lo2dask.training.measures import SequenceKeys
from lo2dask.training.scoring import has_scores, held_key, read_calibrating, read_scores
from lo2dask.training.trust import BASELINES, LEAST_RUNS, TrustJob, fill
from lo2dask.training.units import STARTUP, read_splits

OWN = "score"
HELD = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("run", "test_case")),
        pa.field("anomaly", pa.bool_()),
        *(pa.field(name, pa.float64()) for name in (OWN, *BASELINES)),
    ]
)
# One entry a hold-out: its cases with the scores of one model or baseline.
Scores = Sequence[tuple[Units, np.ndarray]]
ALPHA = 0.05
BEST, REAL, UNSURE, FEW = "best", "real", "not told from the best", "too few runs to tell"


@dataclass(frozen=True)
class Difference:
    """A model's average precision over cases, chance, and how far it is behind the best, with intervals of 95 %.

    ``p`` is two-sided and corrected for ``comparisons``; it is None for the best one, as is ``behind``.
    """

    case_ap: float
    case_ap_low: float
    case_ap_high: float
    chance: float
    comparisons: int
    difference: str
    p: float | None = None
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None


def held_path(layout: Layout, key: str) -> Path:
    """Return the file of the held-out cases of a model."""
    return layout.internal / "held_cases" / f"{key}.parquet"


def keep_cases(layout: Layout, jobs: Sequence[TrustJob], session: Session) -> dict[str, Any]:
    """Keep the held-out cases with the calibrated scores of each model and of the baselines (:data:`HELD`).

    No model is judged: there is no block of trust.
    """
    session.map(keep_model, jobs, "held-out cases", root=layout.root)
    return {}


def keep_model(job: TrustJob, root: Path) -> int:
    """Keep the held-out cases of one model; where every run is left out in turn, all labelled ones."""
    layout = Layout(root)
    rows, split = SequenceKeys.read(layout), read_splits(layout)[job.side]
    crossed = split.is_crossed and has_scores(layout, held_key(job.key))
    held = rows.is_labelled & (split.is_crossed | split.mask(rows.run, rows.test_case, rows.service))
    own = read_scores(layout, held_key(job.key) if crossed else job.key)
    scores = {OWN: calibrate_scores(own, rows.service, job.calibration)}
    compared = dict(job.baselines)
    if job.startup and not split.is_crossed:
        compared[STARTUP] = job.startup
    scores |= {name: read_calibrating(layout, key) for name, key in compared.items()}
    cases, names = Cases.of(rows), codes(rows.run)[1]
    chosen = np.unique(cases.group[held])
    columns: dict[str, Any] = {"run": [names[run] for run in cases.run[chosen]], "test_case": list(cases.names[chosen])}
    columns["anomaly"] = cases.anomaly[chosen]
    for name in HELD.names[3:]:
        values = scores.get(name, np.full(len(held), np.nan))
        columns[name] = cases.largest(np.where(held, values, np.nan))[chosen]
    table = pa.table({name: pa.array(columns[name], HELD.field(name).type) for name in HELD.names})
    return write_part(held_path(layout, job.key), table, HELD)


def collect_scores(tables: Mapping[Any, Sequence[pa.Table]]) -> dict[Any, Scores]:
    """Turn held-out cases into scores: of each model's tables, one a hold-out, and of baselines by their name.

    Baselines without any score are left out, as are hold-outs that lack a class.
    """
    names = sorted({run for own in tables.values() for table in own for run in table["run"].to_pylist()})
    number = {name: place for place, name in enumerate(names)}
    found: dict[Any, Scores] = {key: _scores(own, OWN, number) for key, own in tables.items()}
    for name in BASELINES:
        first = next(iter(tables.values()), ())
        if any(not np.isnan(table[name].to_numpy()).all() for table in first):
            found[name] = _scores(first, name, number)
    return {key: scores for key, scores in found.items() if scores}


def _scores(tables: Sequence[pa.Table], column: str, number: Mapping[str, int]) -> Scores:
    pairs = [
        (
            Units(table["anomaly"].to_numpy(), np.array([number[run] for run in table["run"].to_pylist()], dtype=int)),
            fill(table[column].to_numpy()),
        )
        for table in tables
    ]
    return [(units, score) for units, score in pairs if units.has_both]


def compare_all(scores: Mapping[Any, Scores], seed: int) -> dict[Any, Difference]:
    """Compare every model and baseline with the best of all; nothing where no hold-out has both classes."""
    if not scores:
        return {}
    precisions = {key: [average_precision(units.y, score) for units, score in own] for key, own in scores.items()}
    values = {key: float(np.mean(found)) for key, found in precisions.items()}
    best = max(values, key=values.__getitem__)
    drawn = {key: bootstrap_mean(own, "average_precision", Draws(seed)) for key, own in scores.items()}
    others = [key for key in scores if key != best]
    tested = {key: _two_sided(drawn[best] - drawn[key]) for key in others}
    p = dict(zip(others, holm([tested[key] for key in others]), strict=True))
    few = min(_class_runs(scores[best])) < LEAST_RUNS
    chance = float(np.mean([units.y.mean() for units, _ in scores[best]]))
    found = {}
    for key, value in values.items():
        word = BEST if key == best else FEW if few else REAL if p[key] <= ALPHA else UNSURE
        one = Difference(value, *_limits(drawn[key]), chance, len(others), word)
        if key != best:
            low, high = _limits(drawn[best] - drawn[key])
            one = replace(one, p=p[key], behind=values[best] - value, behind_low=low, behind_high=high)
        found[key] = one
    return found


def _class_runs(scores: Scores) -> tuple[int, int]:
    """Count the runs with a normal case, and those with an anomalous one, of all hold-outs together."""
    y, run = (np.concatenate([getattr(units, name) for units, _ in scores]) for name in ("y", "run"))
    return Units(y, run).class_runs


def _limits(drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _two_sided(drawn: np.ndarray) -> float:
    """Return the p-value of no difference: twice the smaller share of draws on one side of 0, 0 counting on both."""
    known = drawn[~np.isnan(drawn)]
    return min(1.0, 2 * (1 + min(int((known <= 0).sum()), int((known >= 0).sum()))) / (1 + len(known)))
