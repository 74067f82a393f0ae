"""Cases (run and test case) as what a model is judged by: the score of one is the largest of its services."""

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lo2dask.buffers.columns import codes
from lo2dask.domain import FAILING_SERVICES
from lo2dask.errors import InputError
from lo2dask.models.uncertainty import Units
from lo2dask.tables.layout import Layout
from lo2dask.training.measures import SequenceKeys

# The service that fails by run ("" = in every run) and test case.
Truth = Mapping[tuple[str, str], str]
_FIELDS = {"test_case", "service"}
# Of names in a warning.
_MOST_SHOWN = 3

logger = logging.getLogger(__name__)


def read_truth(path: Path | None) -> dict[tuple[str, str], str]:
    """Read which service fails in a case: a CSV file with the columns test_case, service and, if it differs, run.

    Raises
    ------
    InputError : the file cannot be read, lacks a column, or a line lacks a name.
    """
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file)
            if not set(lines.fieldnames or ()) >= _FIELDS:
                raise InputError(
                    f"--services-truth {path}: its first line must name test_case, service and perhaps run"
                )
            truth = {}
            for line in lines:
                if not line["test_case"] or not line["service"]:
                    raise InputError(f"--services-truth {path}: line {lines.line_num} lacks a test case or a service")
                truth[line.get("run") or "", line["test_case"]] = line["service"]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--services-truth {path}: cannot be read as CSV: {error}") from error
    return truth


def warn_of_unknown(path: Path | None, layout: Layout) -> None:
    """Warn once of lines of a file of failing services that name no case or no service that was loaded."""
    if path is None:
        return
    truth, rows = read_truth(path), SequenceKeys.read(layout)
    runs, cases, services = ({*codes(column)[1]} for column in (rows.run, rows.test_case, rows.service))
    kinds = {
        "runs": {run for run, _ in truth if run} - runs,
        "test cases": {case for _, case in truth} - cases,
        "services": {*truth.values()} - services,
    }
    told = [
        f"{len(unknown)} of its {kind} not in the tables: {', '.join(sorted(unknown)[:_MOST_SHOWN])}"
        for kind, unknown in kinds.items()
        if unknown
    ]
    if told:
        logger.warning("--services-truth %s: %s", path, "; ".join(told))


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
    def of(cls, rows: SequenceKeys, truth: Truth | None = None) -> "Cases":
        """Group the sequences by run and test case; ``truth`` goes before what is known of LO2's error cases."""
        (run, run_names), (case, cases), (service, services) = (
            codes(c) for c in (rows.run, rows.test_case, rows.service)
        )
        distinct, group = np.unique(run * max(len(cases), 1) + case, return_inverse=True)
        names = np.array(cases, dtype=object)[distinct % max(len(cases), 1)]
        anomaly = np.zeros(len(distinct), dtype=bool)
        np.logical_or.at(anomaly, group, rows.anomaly)
        number = {name: index for index, name in enumerate(services)}
        runs, truth = distinct // max(len(cases), 1), truth or {}
        of_run = zip((run_names[one] for one in runs.tolist()), names, strict=True)
        known = (
            truth.get((one, name)) or truth.get(("", name)) or FAILING_SERVICES.get(name, "") for one, name in of_run
        )
        failing = [number.get(name, -1) for name in known]
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
