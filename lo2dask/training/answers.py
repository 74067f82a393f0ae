"""What ``excess`` says of each run and test case: which service stands out, by which statement, and how surely."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import codes
from lo2dask.execute.session import Session
from lo2dask.findings.ends import LEAST_CASES, LogEnds, Rests
from lo2dask.findings.make import ANSWERS, Answers
from lo2dask.findings.read import FEWER, SILENT
from lo2dask.models.conformal import p_values
from lo2dask.models.lack import weigh
from lo2dask.models.merged_rows import read_merged_rows
from lo2dask.models.registry import EXCESS
from lo2dask.models.runs import best_services
from lo2dask.models.split import Split
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.layout import Layout
from lo2dask.training.measures import SequenceKeys, run_rows
from lo2dask.training.scoring import Target, read_bundle, read_calibrating, read_group_scores
from lo2dask.training.units import KEY_COLUMNS, TrainingRows, read_splits

# Services that a note names.
MOST_NAMED = 3
# Of fewer cases that are not labelled, none can be told to lack what the others have.
_FEW_CASES = 4
Row = dict[str, Any]


def describe_normals(rows: SequenceKeys, split: Split, scores: np.ndarray) -> dict[str, Any]:
    """Describe the normal cases of the training part, each scored without its run.

    ``normal_maxima`` are their largest scores, ascending; ``expected_services`` have a log in each of them, or in
    nearly all where nothing is labelled; ``expected_logs`` are as many, at least, of services with several (replicas).
    ``not_judged`` counts the logs of all cases that have none to be compared with, and names some of their services.
    """
    training = rows.normals(split)
    _, services, logs = _logs_of_cases(rows, training)
    maxima = [best.score for best in best_services(run_rows(rows, np.where(training, scores, np.nan))).values()]
    passed_over = _passed_over(rows, training, len(logs))
    least = np.sort(logs, axis=0)[passed_over] if len(logs) else np.zeros(len(services), dtype=np.int64)
    fewest = dict(zip(services, least.tolist(), strict=True))
    expected = [name for name, count in fewest.items() if count]
    replicas = {name: count for name, count in fewest.items() if count > 1 and len(logs) >= LEAST_CASES}
    service, names = codes(rows.service)
    alone = np.isnan(scores)
    services = sorted(names[place] for place in np.unique(service[alone]).tolist())
    not_judged = {"logs": int(alone.sum()), "services": len(services), "first": services[:MOST_NAMED]}
    return {
        "normal_maxima": sorted(maxima),
        "expected_services": expected,
        "expected_logs": replicas,
        "not_judged": not_judged,
    }


def describe_rests(layout: Layout, rows: SequenceKeys, split: Split) -> Rests:
    """Return for how long at most normal cases of the training part go on after each log and service ends."""
    training = rows.normals(split)
    ends = LogEnds.read(layout, training)
    return ends.longest_rests(_passed_over(rows, training, len(np.unique(ends.case))))


def _passed_over(rows: SequenceKeys, training: Bools, cases: int) -> int:
    """Return how many of the normal cases may lack what the others have: some, where nothing is labelled."""
    is_trusted = rows.is_labelled.any() or not training.all()
    return 0 if is_trusted or cases < _FEW_CASES else max(1, cases // 10)


def find_answers(layout: Layout, target: Target, calibration: Mapping[str, Any], session: Session) -> Answers:
    """Find the cases in which a service is over the limit, and the services that are silent or stop early."""
    rows, scores = SequenceKeys.read(layout), read_calibrating(layout, EXCESS)
    best = best_services(run_rows(rows, scores))
    weighed = session.map(weigh_group, group_parts(layout.enhanced), "findings", root=layout.root, target=target)
    flagged = []
    for row in (row for rows_of_group in weighed for row in rows_of_group):
        answer = best[row["run"], row["test_case"]]
        if answer.score == row["score"] and answer.service == row["service"]:
            p = p_values(np.array([answer.score]), calibration["normal_maxima"], row.pop("is_training"))[0]
            flagged.append(row | {"margin": answer.margin, "p": float(p)})
    distinct = {(row["run"], row["test_case"]): row for row in reversed(flagged)}
    ordered = sorted(distinct.values(), key=lambda row: (-row["score"], row["run"], row["test_case"]))
    expected = dict.fromkeys(calibration["expected_services"], 1) | calibration.get("expected_logs", {})
    silent = list(_silent(rows, expected))
    cases = pa.Table.from_pylist(ordered, schema=ANSWERS)
    return Answers(cases, silent, LogEnds.read(layout), calibration.get("longest_rests", {}))


def weigh_group(group: Group, root: Path, target: Target) -> list[Row]:
    """Say what carries the score of each sequence of a group of parts that is over the limit."""
    layout = Layout(root)
    _, models = read_bundle(target.path)
    if not models:  # nothing normal to learn from
        return []
    model = models[0]
    scores = read_group_scores(layout, target.key, group)[2]
    if not (scores > model.scoring["threshold"]).any():
        return []
    part = group.read(layout.enhanced, [*KEY_COLUMNS, *model.columns.needed])
    training = TrainingRows(target.side, normal_only=True).mask(part, read_splits(layout))
    rows: list[Row] = []
    for left_out in (False, True):
        chosen = np.flatnonzero((scores > model.scoring["threshold"]) & (training == left_out))
        table = part.take(pa.array(chosen))
        found = weigh(model.model, read_merged_rows(table, model.columns), left_out)
        keys = table.select(["seq_id", "run", "test_case", "service"]).to_pylist()
        for index, key in enumerate(keys):
            rows.append({
                **key, "is_training": left_out, "score": float(found.score[index]),
                "statement_id": found.statement[index],
                "is_unseen": bool(found.is_unseen[index]), "count": int(found.count[index]),
                "normal_max": int(found.normal_max[index]),
                **{name: None if np.isnan(value) else float(value) for name, value in (
                    ("rate", found.rate[index]), ("normal_rate", found.normal_rate[index]),
                )},
            })  # fmt: skip
    return rows


def _logs_of_cases(rows: SequenceKeys, keep: Bools) -> tuple[list[tuple[str, str]], list[str], Ints]:
    """List cases (run, test case) and services by name, and how many logs of which each case has: (cases, services)."""
    (run, runs), (case, cases), (service, services) = (codes(one) for one in (rows.run, rows.test_case, rows.service))
    pairs, place = np.unique(run[keep] * len(cases) + case[keep], return_inverse=True)
    logs = np.zeros((len(pairs), len(services)), dtype=np.int64)
    np.add.at(logs, (place, service[keep]), 1)
    return [(runs[pair // len(cases)], cases[pair % len(cases)]) for pair in pairs.tolist()], services, logs


def _silent(rows: SequenceKeys, expected: Mapping[str, int]) -> Iterable[Row]:
    """Yield a notice for each case that has no log of a service, or fewer than normal ones have."""
    cases, services, logs = _logs_of_cases(rows, np.ones(len(rows.anomaly), dtype=bool))
    wanted = [(name, least, services.index(name) if name in services else -1) for name, least in expected.items()]
    for (run, case), there in zip(cases, logs.tolist(), strict=True):
        for name, least, column in wanted:
            count = there[column] if column >= 0 else 0
            if count < least:
                told = {"kind": FEWER, "count": count, "normal_max": least} if count else {"kind": SILENT}
                yield {"run": run, "test_case": case, "service": name, **told}
