"""The map of runs by services: the highest score of each, as a multiple of the threshold above which it stands out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.models.registry import EXCESS
from lo2dask.reporting.data import Cell, Finding, HeatMap, HeatRow
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts
from lo2dask.training.units import measures_path

THRESHOLD = 3.0
# Rows of the map; runs beyond that are shown several in one.
MOST_ROWS = 60
_COLUMNS = ("run", "test_case", "service", "normal", "score_held_out", "split")


@dataclass(frozen=True)
class RunScores:
    """The highest score of each run and service, the cases learned from, and the threshold of the detector."""

    highest: Mapping[tuple[str, str], float]
    learned: int
    threshold: float
    is_labelled: bool = True


def read_run_scores(layout: Layout) -> RunScores | None:
    """Read the detector's scores part by part, of training normals those without their run; None if not trained."""
    folder = layout.predictions / EXCESS
    if not part_paths(folder):
        return None
    highest: dict[tuple[str, str], float] = {}
    learned: set[tuple[str, str]] = set()
    is_labelled = any(pc.any(part["normal"]).as_py() for part in read_parts(folder, ["normal"]))
    for part in read_parts(folder, _COLUMNS):
        run, service = strings(part["run"]), strings(part["service"])
        # Where nothing is labelled, what is not known to be anomalous was learned from.
        is_normal = pc.fill_null(part["normal"], not is_labelled).combine_chunks()
        is_learned = pc.and_(pc.equal(strings(part["split"]), "train"), is_normal)
        cases = pa.table({"run": run, "test_case": strings(part["test_case"])}).filter(is_learned)
        pairs = cases.group_by(["run", "test_case"]).aggregate([])
        learned |= set(zip(*(pairs[name].to_pylist() for name in ("run", "test_case")), strict=True))
        plain = pa.table({"run": run, "service": service, "score": part["score_held_out"].combine_chunks()})
        for row in plain.group_by(["run", "service"]).aggregate([("score", "max")]).to_pylist():
            key, score = (row["run"], row["service"]), row["score_max"]
            highest[key] = max(highest.get(key, -np.inf), -np.inf if score is None else score)
    return RunScores(
        highest, len(learned), threshold_of(read_json(measures_path(layout.measures, EXCESS)) or {}), is_labelled
    )


def threshold_of(measures: Mapping[str, Any]) -> float:
    """Return the threshold that a model's measures name, or the detector's default."""
    named = (measures.get("runs_calibration") or {}).get("threshold")
    return THRESHOLD if named is None else float(named)


def draw_map(scores: RunScores, findings: Iterable[Finding]) -> HeatMap:
    """Arrange the scores, neighbouring runs in one row where there are many; a cell links to its strongest finding."""
    runs, services = (sorted({key[i] for key in scores.highest}) for i in range(2))
    groups = [[runs[i] for i in group] for group in np.array_split(np.arange(len(runs)), min(len(runs), MOST_ROWS))]
    anchors: dict[tuple[str, str], str] = {}
    for item in findings:
        anchors.setdefault((item.run, item.service), item.anchor)
    labels = short_names(runs)
    rows = []
    for group in groups:
        ends = dict.fromkeys((group[0], group[-1]))
        cells = tuple(_cell(scores, group, service, anchors) for service in services)
        rows.append(HeatRow(" to ".join(ends), " – ".join(labels[run] for run in ends), cells))
    return HeatMap(tuple(services), tuple(rows), len(runs), scores.threshold)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Leave out what all names begin with, up to the last separator."""
    shared = commonprefix(list(names)) if len(names) > 1 else ""
    start = max(shared.rfind(mark) for mark in "-_. ") + 1
    return {name: name[start:] or name for name in names}


def _cell(scores: RunScores, group: Sequence[str], service: str, anchors: Mapping[tuple[str, str], str]) -> Cell:
    known = {run: scores.highest[run, service] for run in group if (run, service) in scores.highest}
    if not known:
        return Cell(None, "no log")
    run = max(known, key=lambda name: known[name])
    if not np.isfinite(known[run]):
        return Cell(None, "no score: nothing normal to compare with")
    # The strongest run may be beyond the findings shown, another one of its row within.
    shown = [name for name in sorted(known, key=lambda name: -known[name]) if (name, service) in anchors]
    text = f"{run}: score {known[run]:.3g}, stands out above {scores.threshold:g}"
    return Cell(known[run] / scores.threshold, text, anchors[shown[0], service] if shown else "")
