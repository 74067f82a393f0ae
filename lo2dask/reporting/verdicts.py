"""What a model's figures amount to, in words: better than a simple baseline, no better, or not measured and why."""

from collections.abc import Mapping
from typing import Any

from lo2dask.models.split import CROSSED
from lo2dask.training.measures import HEADLINE
from lo2dask.training.trust import short

# What a baseline reads, as a reader would say it.
_BASELINES = {"sequence length alone": "the length of the logs", "the start-up lines alone": "the start-up lines"}
_COMPARED = (("auc_roc", "AUC"), ("average_precision", "average precision"), ("f1", "F1"))
_SIDES = {"holdout": "on the hold-out", "train": "on the training part, which it has seen"}


def measured_side(measures: Mapping[str, Any]) -> str:
    """Name the side that a model's figures are taken from: the hold-out, or the training part where that has none."""
    held = measures.get("holdout") or {}
    train = measures.get("train") or {}
    return "train" if held.get("auc_roc") is None and train.get("auc_roc") is not None else "holdout"


def side_in_words(measures: Mapping[str, Any]) -> str:
    """Say where a model's figures come from."""
    side = measured_side(measures)
    return CROSSED.get((measures.get(side) or {}).get("by", ""), _SIDES[side])


def figures(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline figures of the side that was measured."""
    side = measures.get(measured_side(measures)) or {}
    return {name: side.get(name) for name in HEADLINE}


def baselines(measures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the baselines that were measured beside a model, with their figures, by what they read."""
    side, leakage = measured_side(measures), measures.get("leakage") or {}
    lines = [leakage.get(side), (leakage.get("startup_lines") or {}).get(side)]
    known = [line for line in lines if line and any(line.get(key) is not None for key, _ in _COMPARED)]
    return [(_BASELINES.get(line["baseline"], line["baseline"]), line) for line in known]


def verdict(measures: Mapping[str, Any], brief: bool = False) -> str:
    """Compare a model with each baseline, one sentence that names the side; ``brief`` leaves the figures out."""
    side = measured_side(measures)
    own, leakage = measures.get(side) or {}, measures.get("leakage") or {}
    lines = [leakage.get(side), (leakage.get("startup_lines") or {}).get(side)]
    parts = [_compare(own, line, brief) for line in lines if line]
    if not parts:
        return f"not measured, because {own.get('reason') or 'no baseline was fitted beside it'}"
    # Both baselines lack figures for the same reason where the model itself could not be measured.
    return f"{'; '.join(dict.fromkeys(parts))} ({side_in_words(measures)})"


def _compare(own: Mapping[str, Any], line: Mapping[str, Any], brief: bool) -> str:
    name = _BASELINES.get(line["baseline"], line["baseline"])
    known = [(key, title) for key, title in _COMPARED if own.get(key) is not None and line.get(key) is not None]
    if not known:
        reason = line.get("reason") or own.get("reason") or "no measure in common"
        return f"not measured, because {reason}" if own.get("reason") else f"not compared with {name}: {reason}"
    ahead = sum(own[key] - line[key] for key, _ in known) / len(known)
    pairs = ", ".join(f"{title} {short(own[key])} against {short(line[key])}" for key, title in known)
    is_better = ahead > 0 and not line.get("warning")
    text = f"better than {name} by {short(ahead)}" if is_better else f"no better than {name}"
    return text if brief else f"{text}: {pairs}"
