"""Cases (run and test case) as what a model is judged by: the score of one is the largest of its services."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lo2dask.buffers.columns import codes
from lo2dask.domain import FAILING_SERVICES
from lo2dask.models.uncertainty import Units
from lo2dask.training.measures import SequenceKeys


@dataclass(frozen=True)
class Cases:
    """The cases of all sequences, in the order of their names.

    ``run`` numbers the run, ``names`` are the test cases, ``anomaly`` is bool, (cases,) each. ``group`` is each
    sequence's case and ``service`` the number of its service, (rows,) each; ``failing`` is the number of the service
    that a case fails in, -1 where it is not known.
    """

    run: np.ndarray
    names: np.ndarray
    anomaly: np.ndarray
    group: np.ndarray
    service: np.ndarray
    failing: np.ndarray
    services: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, rows: SequenceKeys) -> "Cases":
        """Group the sequences by run and test case."""
        (run, _), (case, cases), (service, services) = (codes(c) for c in (rows.run, rows.test_case, rows.service))
        distinct, group = np.unique(run * max(len(cases), 1) + case, return_inverse=True)
        names = np.array(cases, dtype=object)[distinct % max(len(cases), 1)]
        anomaly = np.zeros(len(distinct), dtype=bool)
        np.logical_or.at(anomaly, group, rows.anomaly)
        number = {name: index for index, name in enumerate(services)}
        failing = [number.get(FAILING_SERVICES.get(name, ""), -1) for name in names]
        runs = distinct // max(len(cases), 1)
        return cls(runs, names, anomaly, group, service, np.array(failing, dtype=np.int64), services)

    def largest(self, scores: np.ndarray) -> np.ndarray:
        """Return the largest score of each case, NaN where no sequence of it has one: float64 (cases,)."""
        result = np.full(len(self.run), -np.inf)
        known = ~np.isnan(scores)
        np.maximum.at(result, self.group[known], scores[known])
        return np.where(np.isneginf(result), np.nan, result)

    def top_services(self, scores: np.ndarray) -> np.ndarray:
        """Return the number of the service that scores highest in each case, the first by name; -1 for none."""
        result = np.full(len(self.run), -1)
        known = np.flatnonzero(~np.isnan(scores))
        order = known[np.lexsort((self.service[known], -scores[known], self.group[known]))]
        cases, first = np.unique(self.group[order], return_index=True)
        result[cases] = self.service[order][first]
        return result

    def without_failing(self, scores: np.ndarray) -> np.ndarray:
        """Take out the failing services' scores, and all scores of anomalous cases whose service is not known."""
        failing, anomaly = self.failing[self.group], self.anomaly[self.group]
        return np.where(anomaly & ((failing < 0) | (failing == self.service)), np.nan, scores)

    def units(self, chosen: Any) -> Units:
        """Return some cases as units."""
        return Units.of(self.anomaly[chosen], self.run[chosen])
