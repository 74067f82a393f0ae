"""How far a model's figures can be trusted: the block that stands beside them, down to one verdict in words.

It is measured on cases (run and test case), each by the largest score of its services. Cases that the model has not
seen are the hold-out and, of a model that learns from normals alone, the errors of the training part; training normals
join where they can be scored with their run left out. Intervals are by bootstrap over runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.buffers.columns import codes
from lo2dask.execute.session import Session
from lo2dask.features.bags import LEAST_LINES
from lo2dask.models import uncertainty
from lo2dask.models.runs import calibrate_scores, flag
from lo2dask.models.spec import ModelSpec
from lo2dask.models.uncertainty import FEW_RUNS, Draws, Units
from lo2dask.options import TrainOptions
from lo2dask.tables.layout import Layout
from lo2dask.training.cases import Cases, Truth, read_truth
from lo2dask.training.left_out import SEEN
from lo2dask.training.measures import SequenceKeys
from lo2dask.training.scoring import Target, has_scores, held_key, read_calibrating, read_scores
from lo2dask.training.simple import EQUAL
from lo2dask.training.units import STARTUP, read_splits

Block = dict[str, Any]
FALSE_ALARMS = 0.01
# With fewer runs of a class no interval of a bootstrap means anything.
LEAST_RUNS = 5
# From this AUC of the innocent services on a score is said to read something else.
LEAKING = 0.8
_ALPHA = 0.05
BASELINES = {
    "baseline_length": "the length of the logs",
    "baseline_duration": "the duration of the logs",
    "baseline_unseen": "unseen statements",
    "baseline_2gram": "pairs of neighbouring statements",
    "baseline_ecvc": "the counts of statements",
    STARTUP: "the start-up lines",
    "baseline_flag_all": "flagging everything",
}
# Why a baseline has no score.
_UNFITTED = "no normal log to learn from"
_NO_PAIRS = "no pairs of lines with times are kept of a normal log (--no-windows keeps none)"


@dataclass(frozen=True)
class TrustJob:
    """One model to judge.

    ``baselines`` maps the baselines of its split to the keys that their scores are kept under; ``startup`` is that of
    the model on start-up lines, which has seen the training part. ``learns_normal`` is whether the model learns from
    normals alone, ``leaves_out`` whether its training normals have scores with their run left out.
    """

    key: str
    side: str
    learns_normal: bool
    leaves_out: bool
    calibration: Mapping[str, Any]
    baselines: Mapping[str, str]
    startup: str | None
    models: int
    seed: int
    truth: Truth = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """What the figures are taken from: cases, the chosen ones, each sequence's calibrated score, NaN if unused."""

    cases: Cases
    chosen: np.ndarray
    scores: np.ndarray
    case_scores: np.ndarray
    units: Units
    draws: Draws


def measure_trust(layout: Layout, jobs: Sequence[TrustJob], session: Session) -> dict[str, Block]:
    """Judge models by their scores below the working folder: a block of plain JSON types for each key."""
    blocks = session.map(judge, jobs, "trust", root=layout.root)
    return {job.key: block for job, block in zip(jobs, blocks, strict=True)}


def plan_trust(
    specs: Mapping[str, ModelSpec],
    targets: Sequence[Target],
    calibrations: Mapping[str, Any],
    baselines: tuple[Mapping[str, Mapping[str, str]], Mapping[str, str]],
    options: TrainOptions,
) -> list[TrustJob]:
    """List the models to judge, each with the simple baselines and the start-up model (by side) of its split."""
    (simple, startup), sides = baselines, {target.key: target.side for target in targets}
    truth = read_truth(options.services_truth)
    return [
        TrustJob(
            key,
            sides[key],
            spec.normal_only,
            spec.normal_only and calibrations[key]["scored"] != SEEN,
            calibrations[key],
            simple[sides[key]],
            startup.get(sides[key]),
            len(calibrations),
            options.sample_seed,
            truth,
        )
        for key, spec in specs.items()
        if key in calibrations
    ]


def judge(job: TrustJob, root: Path) -> Block:
    """Judge one model."""
    layout = Layout(root)
    rows, split = SequenceKeys.read(layout), read_splits(layout)[job.side]
    crossed = split.is_crossed and has_scores(layout, held_key(job.key))
    scores = read_scores(layout, held_key(job.key)) if crossed else read_calibrating(layout, job.key)
    held = split.mask(rows.run, rows.test_case, rows.service)
    normal = rows.normals(split)
    is_used = held | (job.learns_normal & rows.anomaly) | (job.leaves_out & normal)
    if crossed:
        is_used = ~np.isnan(scores)
    is_used &= rows.is_labelled
    compared = dict(job.baselines)
    if job.startup and not (is_used & ~held).any():
        compared[STARTUP] = job.startup
    values = {name: np.where(is_used, read_calibrating(layout, key), np.nan) for name, key in compared.items()}
    calibrated = np.where(is_used, calibrate_scores(scores, rows.service, job.calibration, normal), np.nan)
    block = judge_scores(Cases.of(rows, job.truth), calibrated, normal, values, job)
    if not rows.is_labelled.any():
        return block | {"reason": "no case is labelled", "verdict": "not measured, as no case is labelled"}
    numbers = read_scores(layout, EQUAL)
    return block | {"equal_logs": count_equal(numbers, rows.service, held, rows.is_labelled & ~held)}


def judge_scores(
    cases: Cases, scores: np.ndarray, trained: np.ndarray, baselines: Mapping[str, np.ndarray], job: TrustJob
) -> Block:
    """Judge sequences' calibrated scores, NaN where a model has seen them, beside those of baselines.

    ``trained`` is the bool mask of the training normals.
    """
    largest = cases.largest(scores)
    chosen = np.flatnonzero(~np.isnan(largest))
    units = cases.units(chosen)
    runs = len(set(cases.run[cases.group[trained]].tolist()))
    learned = np.zeros(len(cases.run), dtype=bool)
    learned[cases.group[trained]] = True
    block: Block = describe_units(units, len(set(cases.names[chosen][units.y])), runs)
    block |= {"models_compared": job.models, "chance_of_best": None}
    if not units.has_both:
        lacking = "an anomalous" if len(units.y) and not units.y.any() else "a normal"
        reason = f"no case that the model has not seen is {lacking} one" if len(units.y) else "no case has a score"
        return block | {"reason": reason, "verdict": f"not measured, as {reason}"}
    judged = Judged(cases, chosen, scores, largest[chosen], units, Draws(job.seed))
    block |= _figures(judged, job) | _service_figures(judged, job.calibration, learned)
    block |= compare(judged, baselines)
    return block | {"reason": None, "verdict": judge_in_words(block), "remarks": remark(block)}


def describe_units(units: Units, error_types: int, trained: int) -> Block:
    """Say how many runs and cases the figures are of, in numbers and words."""
    runs, cases = len(set(units.run.tolist())), len(units.y)
    normal, anomalous = int((~units.y).sum()), int(units.y.sum())
    normal_runs, anomalous_runs = units.class_runs
    text = (
        f"{counted(cases, 'case')} of {counted(runs, 'run')}: {normal:,} normal, {counted(anomalous, 'error')} of "
        f"{counted(error_types, 'type')}; {counted(trained, 'normal run')} to learn from"
    )
    if trained:
        text += f", so no false-alarm rate below 1 in {trained + 1:,} can be claimed"
    numbers = {"runs": runs, "cases": cases, "normal": normal, "anomalous": anomalous, "error_types": error_types}
    of_runs = {"normal_runs": normal_runs, "anomalous_runs": anomalous_runs, "training_normal_runs": trained}
    return {"units": text, **numbers, **of_runs}


def _figures(judged: Judged, job: TrustJob) -> Block:
    """Measure average precision with prevalence, AUC with p or interval, and the chance of the best random scorer."""
    units, score = judged.units, judged.case_scores
    area = uncertainty.auc(units.y, score)
    best = uncertainty.chance_of_best(uncertainty.random_areas(units, job.seed), area, job.models)
    return {
        "average_precision": _interval(units, score, "average_precision", judged.draws),
        "prevalence": float(units.y.mean()),
        "auc": _area(units, score, judged.draws),
        "recall_at_false_alarms": recall_at(units.y, score),
        "chance_of_best": best,
    }


def _area(units: Units, score: np.ndarray, draws: Draws) -> Block:
    """Measure AUC: with a permutation p where a class has few runs, else with an interval."""
    if min(units.class_runs) > FEW_RUNS:
        return _interval(units, score, "auc", draws)
    return {"value": uncertainty.auc(units.y, score)} | asdict(uncertainty.permutation_p(units, score, draws.seed))


def recall_at(y: np.ndarray, score: np.ndarray, rate: float = FALSE_ALARMS) -> Block:
    """Return the share of errors above all but the allowed share of normals; not measurable with fewer normals."""
    normal = np.sort(score[~y])[::-1]
    allowed = int(rate * len(normal) + 1e-9)
    if not allowed:
        return {"rate": rate, "value": None, "reason": f"not measurable with {counted(len(normal), 'normal')}"}
    # The first normal that may not be flagged is the limit.
    return {"rate": rate, "value": float((score[y] > normal[allowed]).mean()), "reason": None}


def _service_figures(judged: Judged, calibration: Mapping[str, Any], learned: np.ndarray) -> Block:
    """Measure the innocent services, how often the failing one scores highest, and how many normals are flagged."""
    cases, chosen, y = judged.cases, judged.chosen, judged.units.y
    bystanders = cases.largest(cases.without_failing(judged.scores))
    known = np.flatnonzero(~np.isnan(bystanders))
    units = cases.units(known)
    is_known = bool((cases.failing[chosen][y] >= 0).any())
    area = _area(units, bystanders[known], judged.draws) if units.has_both and is_known else None
    with_truth = chosen[y & (cases.failing[chosen] >= 0)]
    right = int((cases.top_services(judged.scores)[with_truth] == cases.failing[with_truth]).sum())
    flagged = None
    if calibration["threshold"] is not None:
        flagged = int(flag(judged.case_scores, calibration, learned[chosen])[~y].sum())
    return {
        "bystander_auc": area,
        "service_named": {"right": right, "of": len(with_truth), "services": len(cases.services)},
        "false_culprits": {"flagged": flagged, "of": int((~y).sum())},
        "per_error_type": _per_error_type(judged, calibration, learned),
    }


def _per_error_type(judged: Judged, calibration: Mapping[str, Any], learned: np.ndarray) -> Block:
    """Tell of each error type the middle rank of its cases, how many are flagged and how often its service is named.

    ``lift`` is the share of named services, over 1 / services. None: there is no threshold, or no service is known.
    """
    # It takes 40 MB, which those who read the figures alone do not need.
    from scipy.stats import rankdata

    cases, chosen, found = judged.cases, judged.chosen, {}
    ranks = rankdata(-judged.case_scores, "min")
    has_limit = calibration["threshold"] is not None
    flagged = flag(judged.case_scores, calibration, learned[chosen]) if has_limit else None
    right = cases.top_services(judged.scores)[chosen] == cases.failing[chosen]
    for name in sorted(set(cases.names[chosen][judged.units.y])):
        own = judged.units.y & (cases.names[chosen] == name)
        known = own & (cases.failing[chosen] >= 0)
        named = float(right[known].mean()) if known.any() else None
        found[name] = {
            "cases": int(own.sum()),
            "rank": float(np.median(ranks[own])),
            "of": len(chosen),
            "recall": None if flagged is None else float(flagged[own].mean()),
            "service_named": named,
            "lift": None if named is None else named * len(cases.services),
        }
    return found


def count_equal(numbers: np.ndarray, service: Any, held: np.ndarray, training: np.ndarray) -> Block:
    """Count the held-out logs with a number, and those of them whose number a training log of their service has.

    ``numbers`` are float64 (rows,), NaN for short logs; ``held`` and ``training`` are bool (rows,).
    """
    known = ~np.isnan(numbers)
    # A complex number is a pair that sorts.
    pairs = codes(service)[0] + 1j * np.where(known, numbers, 0.0)
    copied = np.isin(pairs[held & known], pairs[training & known])
    return {"copied": int(copied.sum()), "held": len(copied), "least_lines": LEAST_LINES}


def compare(judged: Judged, baselines: Mapping[str, np.ndarray]) -> Block:
    """Compare average precision with that of each baseline on the same cases, and with the best in an interval."""
    y, own, found = judged.units.y, judged.case_scores, {}
    largest = {name: judged.cases.largest(values)[judged.chosen] for name, values in baselines.items()}
    scores = {name: fill(values) for name, values in largest.items() if not np.isnan(values).all()}
    for name, score in scores.items():
        precision = uncertainty.average_precision(y, score)
        found[name] = {"average_precision": precision, "auc": uncertainty.auc(y, score)}
    unfitted = {name: _NO_PAIRS if name == "baseline_2gram" else _UNFITTED for name in largest if name not in scores}
    # The first of equal ones, in the order of BASELINES.
    best = max((name for name in BASELINES if name in found), key=lambda name: found[name]["average_precision"])
    gain = uncertainty.bootstrap_difference(judged.units, (own, scores[best]), "average_precision", judged.draws)
    words = {"over": best, "over_words": BASELINES[best]}
    return {"baselines": found, "unfitted": unfitted, "gain": {**words, **asdict(gain)} if gain else None}


def judge_in_words(block: Mapping[str, Any]) -> str:
    """Say in words whether a model is better than every simple baseline.

    It is where the interval of its gain over the best one is above 0, and the best of as many random scorers as there
    are models would hardly (5 %) be as good; with few runs neither can be told.
    """
    gain, runs = block["gain"], min(block["normal_runs"], block["anomalous_runs"])
    if gain is None:
        return "too few runs to tell"
    if gain["value"] <= 0:
        return f"no better than {gain['over_words']}"
    is_sure = gain["low"] > 0 and block["chance_of_best"] <= _ALPHA
    if runs < LEAST_RUNS or (runs <= FEW_RUNS and not is_sure):
        return "too few runs to tell"
    if not is_sure:
        return f"no better than {gain['over_words']}"
    low, high = short(gain["low"]), short(gain["high"])
    return f"better than every simple baseline by {short(gain['value'])} [{low}, {high}]"


def remark(block: Mapping[str, Any]) -> list[str]:
    """Say what a figure alone would hide: a baseline that nothing can be better than, and a score that reads others."""
    gain, bystanders, remarks = block["gain"], block["bystander_auc"], []
    if gain and block["baselines"][gain["over"]]["average_precision"] >= 1:
        remarks.append(f"{gain['over_words']} alone tells the classes apart here, so no model can be better")
    if bystanders and bystanders["value"] >= LEAKING:
        remarks.append("services that do not fail tell the classes apart too: it reads more than the error")
    return remarks


def short(value: float) -> str:
    """Write a figure between -1 and 1 with two decimals and no zero before the point."""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def _interval(units: Units, score: np.ndarray, measure: str, draws: Draws) -> Block:
    found = uncertainty.bootstrap(units, score, measure, draws)
    return asdict(found) if found else {"value": getattr(uncertainty, measure)(units.y, score)}


def fill(score: np.ndarray) -> np.ndarray:
    """Put cases that a baseline has no score for below all others."""
    known = score[~np.isnan(score)]
    return np.where(np.isnan(score), known.min() - 1 if len(known) else 0.0, score)


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is not one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
