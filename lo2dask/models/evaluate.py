"""Measures of one model from small arrays: score, label, truth and the names that they are broken down by.

``evaluate(scored)`` returns ``{"train": ..., "holdout": ...}``; each has the measures over its rows, ``per_service``
and ``per_error_type``. A measure that is not defined for its rows is None, with the ``reason``. An error type is
measured together with all normal rows of the same side, because alone it has one class.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask.buffers.columns import among, codes, strings
from lo2dask.models.uncertainty import auc, average_precision

Measures = dict[str, Any]
PSI_BINS = 10
PSI_EPSILON = 1e-8


@dataclass(frozen=True)
class Scored:
    """Scored rows of a table, in any order; every array is (rows,).

    ``y`` bool, True = anomaly; ``score`` float; ``label`` 0 or 1; ``service``, ``test_case`` and ``split`` are names,
    the last one of train, holdout and unused.
    """

    y: np.ndarray
    score: np.ndarray
    label: np.ndarray
    service: Any
    test_case: Any
    split: Any

    def side(self, name: str) -> "Scored":
        """Return the rows of one side of the split."""
        return self.take(among(self.split, [name]))

    def take(self, keep: np.ndarray) -> "Scored":
        """Return the rows of a bool mask."""
        names = (strings(column).filter(pa.array(keep)) for column in (self.service, self.test_case, self.split))
        return Scored(self.y[keep], self.score[keep], self.label[keep], *names)


def evaluate(scored: Scored) -> dict[str, Measures]:
    """Measure both sides of the split, whole, per service and per error type."""
    return {name: measure_groups(scored.side(name)) for name in ("train", "holdout")}


def measure_groups(scored: Scored) -> Measures:
    """Measure rows as a whole, per service, and each error type against all normal rows."""
    y = np.asarray(scored.y, dtype=bool)
    (service, services), (case, cases) = codes(scored.service), codes(scored.test_case)
    return measures(y, scored.score, scored.label) | {
        "per_service": {name: _measure(scored, service == at) for at, name in enumerate(services)},
        "per_error_type": {cases[at]: _measure(scored, ~y | (case == at)) for at in np.unique(case[y]).tolist()},
    }


def measures(y: np.ndarray, score: np.ndarray, label: np.ndarray) -> Measures:
    """Measure rows: accuracy, precision, recall, f1, auc_roc, average_precision, confusion matrix, support.

    Without an anomaly, or without a normal row, all but accuracy and the counts is None (recall needs anomalies only).
    """
    y, label = np.asarray(y, dtype=bool), np.asarray(label).astype(bool)
    sides = {"tn": ~y & ~label, "fp": ~y & label, "fn": y & ~label, "tp": y & label}
    counts = {name: int(rows.sum()) for name, rows in sides.items()}
    support = {"rows": len(y), "normal": int((~y).sum()), "anomaly": int(y.sum())}
    both = bool(support["normal"] and support["anomaly"])
    hits = counts["tp"]
    return {
        "accuracy": _ratio(hits + counts["tn"], len(y)) if len(y) else None,
        "precision": _ratio(hits, hits + counts["fp"]) if both else None,
        "recall": _ratio(hits, support["anomaly"]) if support["anomaly"] else None,
        "f1": _ratio(2 * hits, 2 * hits + counts["fp"] + counts["fn"]) if both else None,
        "auc_roc": auc(y, score) if both else None,
        "average_precision": average_precision(y, score) if both else None,
        "confusion": counts,
        "support": support,
        "reason": None if both else _reason(len(y), support["anomaly"]),
    }


def precision_at_k(y: np.ndarray, score: np.ndarray, k: int) -> Measures:
    """Return the share of anomalies among the k highest scores, ties in row order; k is cut to the number of rows.

    Without an anomaly among all rows no ranking could find one: the precision is None, with the reason.
    """
    y, top = np.asarray(y, dtype=bool), _top(score, k)
    hits, reason = int(y[top].sum()), None if y.any() else _reason(len(y), 0)
    return {
        "k": len(top), "anomalies": hits, "precision": None if reason else _ratio(hits, len(top)), "reason": reason
    }  # fmt: skip


def false_positives_at(y: np.ndarray, score: np.ndarray, alpha: float) -> Measures:
    """Return the normal rows among the highest ceil(alpha * n) scores, over all normal rows."""
    y = np.asarray(y, dtype=bool)
    top = _top(score, math.ceil(alpha * len(y) - 1e-9))
    wrong, normal = int((~y[top]).sum()), int((~y).sum())
    rate, reason = (_ratio(wrong, normal), None) if normal else (None, "no normal sequence")
    return {"alpha": alpha, "rows": len(top), "false_positives": wrong, "fp_rate": rate, "reason": reason}


def stability_index(train: np.ndarray, other: np.ndarray) -> Measures:
    """Return the population stability index of scores: 10 quantile bins of the training scores, empty ones as 1e-8.

    The sum over bins of (share in training - share in the other) * ln(share in training / share in the other). Where
    the quantiles are one or two numbers, which leave a single bin, each of them ends a bin.
    """
    if not len(train) or not len(other):
        side = "hold-out" if len(train) else "training part"
        return {"psi": None, "bins": 0, "reason": f"no scored normal sequence in the {side}"}
    edges = np.unique(np.quantile(train, np.linspace(0, 1, PSI_BINS + 1)))
    edges = edges[1:-1] if len(edges) > 2 else np.append(np.nextafter(edges[0], -np.inf), edges)
    shares = []
    for scores in (train, other):
        counted = np.bincount(np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1)
        shares.append(np.maximum(counted / len(scores), PSI_EPSILON))
    index = float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())
    return {"psi": index, "bins": len(edges) + 1, "reason": None}


def percentile_threshold(train: np.ndarray, holdout: np.ndarray, percentile: float) -> Measures:
    """Return the percentile of the hold-out's scores, or of the training's where the hold-out has none."""
    scores, source = (holdout, "holdout") if len(holdout) else (train, "train")
    if not len(scores):
        return {"percentile": percentile, "threshold": None, "source": None, "reason": "no scored normal sequence"}
    threshold = float(np.percentile(scores, percentile))
    return {"percentile": percentile, "threshold": threshold, "source": source, "reason": None}


def leakage_line(model: Measures, baseline: Measures, name: str = "sequence length alone") -> Measures:
    """Compare a model's measures with a baseline's, with a warning where the model is no better.

    Compared is the mean of auc_roc, average_precision and f1, of those that both have.
    """
    keys = ("auc_roc", "average_precision", "f1")
    known = [key for key in keys if model.get(key) is not None and baseline.get(key) is not None]
    ahead = sum(model[key] for key in known) - sum(baseline[key] for key in known)
    line = {"baseline": name, **{key: baseline.get(key) for key in keys}, "warning": None, "reason": None}
    if not known:
        return line | {"reason": baseline.get("reason") or model.get("reason") or "no measure in common"}
    if ahead <= 0:
        figures = ", ".join(f"{key} {model[key]:.3f} against {baseline[key]:.3f}" for key in known)
        line["warning"] = f"no better than a model on {name}: {figures}"
    return line


def _measure(scored: Scored, keep: np.ndarray) -> Measures:
    return measures(scored.y[keep], scored.score[keep], scored.label[keep])


def _reason(rows: int, anomalies: int) -> str:
    if not rows:
        return "no sequence"
    return "no normal sequence among the sequences" if anomalies else "no anomaly among the sequences"


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _top(score: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-np.asarray(score, dtype=np.float64), kind="stable")[: max(k, 0)]
