"""What no reader of single logs can pass on made-up trees: computed from what synth plants, no model involved.

A label belongs to a test case, so the logs of all its services bear it; the injected error stands in one of them. The
first reader here knows which (test case, service) pairs hold the injected error, and nothing else. The second one also
knows how the load differs: under v1 an error case bears another mix of requests than ``correct``, service after
service. It weighs the proportions of requests and cluster events by their log-ratios, learned from as many drawn logs
as it likes. Neither counts lines: a log's length is what a detector should not live off.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lo2dask.domain import CORRECT, ERROR_CASES, SERVICES
from lo2dask.parse.events import CORRECT_CUT
from lo2dask.synthesis.cases import error_case
from lo2dask.synthesis.kinds import CLUSTER_EVENTS, MAP_STORE_FAILURE, MIXES
from lo2dask.synthesis.service_log import CORRECT_S, ERROR_S, LogSpec, drawn_kinds
from lo2dask.synthesis.streams import stream
from lo2dask.synthesis.timeline import STEADY_SECONDS

LOGS = 300
"""Logs of each class and service that the second reader learns from, and as many others that it is measured on."""

CERTAIN = 1e6
"""The score of a log that holds the injected error."""


@dataclass(frozen=True)
class Ceiling:
    """What one reader reaches; F1 at its best threshold."""

    name: str
    f1: float
    auc: float
    services: dict[str, float]


def ceilings(layout: str, scale: float, errors_per_run: int) -> list[Ceiling]:
    """Measure both readers on logs of all error cases, ``errors_per_run`` for one of ``correct``."""
    drawn = {service: _scores(service, layout, scale) for service in SERVICES}
    named = {"the injected error": False, "the injected error and the mix of load": True}
    found = []
    for name, knows_mix in named.items():
        scored = {service: _rows(*drawn[service], knows_mix, errors_per_run) for service in SERVICES}
        y, score = (np.concatenate([rows[i] for rows in scored.values()]) for i in (0, 1))
        services = {service: roc_auc_score(*rows) for service, rows in scored.items()}
        found.append(Ceiling(name, _best_f1(y, score), roc_auc_score(y, score), services))
    return found


def _rows(
    normal: np.ndarray, untouched: np.ndarray, touched_share: float, knows_mix: bool, errors_per_run: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and score of one service's logs."""
    error = untouched if knows_mix else np.zeros(len(untouched))
    error = np.where(np.arange(len(error)) < round(touched_share * len(error)), CERTAIN, error)
    scores = [normal if knows_mix else np.zeros(len(normal)), np.tile(error, errors_per_run)]
    return np.repeat([False, True], [len(scores[0]), len(scores[1])]), np.concatenate(scores)


def _scores(service: str, layout: str, scale: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Score logs of ``correct`` and of error cases that do not call the service; return the share of those that do."""
    others = [name for name in ERROR_CASES if error_case(name).service != service]
    normal = _proportions(service, [CORRECT] * 2 * LOGS, layout, scale)
    error = _proportions(service, islice(cycle(others), 2 * LOGS), layout, scale)
    model = LogisticRegression(max_iter=4000)
    model.fit(np.concatenate([normal[:LOGS], error[:LOGS]]), np.repeat([0, 1], LOGS))
    scored = (model.decision_function(rows[LOGS:]) for rows in (normal, error))
    return *scored, 1 - len(others) / len(ERROR_CASES)


def _proportions(service: str, cases: Iterable[str], layout: str, scale: float) -> np.ndarray:
    """Return centred log-ratios of the kinds in logs, each log drawn from its own seed: (logs, kinds)."""
    kinds = [kind.name for kind in (*MIXES[service].kinds, *CLUSTER_EVENTS, MAP_STORE_FAILURE)]
    counts = [_counts(kinds, _drawn(seed, case, service, layout, scale)) for seed, case in enumerate(cases)]
    logs = np.log(np.array(counts) + 0.5)
    return logs - logs.mean(axis=1, keepdims=True)


def _counts(kinds: Sequence[str], drawn: Sequence[str]) -> list[int]:
    found = Counter(drawn)
    return [found[kind] for kind in kinds]


def _drawn(seed: int, case: str, service: str, layout: str, scale: float) -> Sequence[str]:
    """Draw a log's kinds; ``correct`` is cut under v1, as --balance-correct cuts it."""
    if layout == "v2":
        seconds = int(stream("ideal", seed, case).integers(*STEADY_SECONDS))
        return drawn_kinds(LogSpec(seed, "ideal", case, service, scale, 0, seconds, False, is_steady=True))
    seconds = int(CORRECT_S if case == CORRECT else ERROR_S)
    drawn = drawn_kinds(LogSpec(seed, "ideal", case, service, scale, 0, seconds, False))
    return drawn[: round(len(drawn) / CORRECT_CUT)] if case == CORRECT else drawn


def _best_f1(y: np.ndarray, score: np.ndarray) -> float:
    """Return the highest F1 of any threshold."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    hits, flagged = np.cumsum(y[order])[last], np.flatnonzero(last) + 1
    return float((2 * hits / (flagged + y.sum())).max())
