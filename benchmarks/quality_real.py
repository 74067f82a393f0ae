"""Unsupervised models on the real slice, each run left out in turn, and what its logs say of the two errors at all."""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import report
from quality_levels import figure, unusual_length
from quality_made_up import KINDS
from sklearn.metrics import roc_auc_score

from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.models.registry import from_plain
from lo2dask.models.runs import RunRows, calibrate, calibrate_scores, run_scores
from lo2dask.models.split import Split
from lo2dask.options import LoadOptions, TrainOptions
from lo2dask.schema import KEYS, is_normal
from lo2dask.sources.names import log_service
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.training.scoring import list_fitted, score_part_rows
from lo2dask.training.sides import link_tables

TRIM = 100


@dataclass
class Held:
    """What the folds say of one model: calibrated scores of left-out sequences and runs, and whether order changes."""

    services: dict[str, list[tuple[bool, float]]]
    runs: list[tuple[bool, float]]
    grows: bool = False


def real(sample: Path, folder: Path, models: Sequence[str]) -> None:
    """Leave each run of the slice out in turn; print a table of AUC per service and over services combined."""
    plain = _load(sample, folder / "real", init_lines_to_skip=TRIM)
    doubled = _load(_doubled(sample, folder / "doubled-tree"), folder / "doubled", init_lines_to_skip=2 * TRIM)
    tables = [_whole(Layout(root)) for root in (plain, doubled)]
    runs = sorted(set(tables[0]["run"].to_pylist()))
    found: dict[tuple[str, str], Held] = {}
    for per_service, kind in KINDS.items():
        for run in runs:
            side = link_tables(Layout(plain), folder / "fold")
            options = TrainOptions(root=side.root, models=tuple(models), skip_if=True, per_service=per_service)
            train(options, Session.serial(), {"sup": Split("run", runs=frozenset({run}))})
            for key in models:
                held = found.setdefault((kind, key), Held(defaultdict(list), []))
                _measure_fold(side.models / f"{key}.joblib", run, tables, held)
            shutil.rmtree(side.root)
    lengths = found.setdefault(("", "length alone, unusual"), Held(defaultdict(list), []))
    for run in runs:
        _measure_length(run, tables, lengths)
    _print_real(found)
    _print_traces(sample)


def _measure_fold(path: Path, run: str, tables: Sequence[pa.Table], held: Held) -> None:
    """Score the left-out run with the fold's bundle, as it is and with every line twice."""
    content = bundle.load(path)
    models = list_fitted(content)
    scored = []
    for table in tables:
        part = table.filter(pa.compute.equal(table["run"], run))
        scores, _ = score_part_rows(part, from_plain(content["spec"]), models, 50_000)
        scored.append((part, scores))
    _keep(held, scored, content["calibration"])


def _measure_length(run: str, tables: Sequence[pa.Table], held: Held) -> None:
    """Score the left-out run by how unusual its lengths are, as they are and doubled."""
    others = pa.compute.not_equal(tables[0]["run"], run)
    training = tables[0].filter(pa.compute.and_(others, tables[0]["normal"]))
    scored: list[tuple[pa.Table, np.ndarray]] = []
    for table in tables:
        part = table.filter(pa.compute.equal(table["run"], run))
        lengths = np.concatenate([rows["seq_len"].to_numpy() for rows in (training, part)])
        services = np.array([*training["service"].to_pylist(), *part["service"].to_pylist()], dtype=object)
        scores = unusual_length(lengths, services, np.arange(len(lengths)) < training.num_rows)
        if not scored:
            known = RunRows(training["run"], training["test_case"], training["service"], scores[: training.num_rows])
            calibration = calibrate(known, np.ones(training.num_rows, dtype=bool))
        scored.append((part, scores[training.num_rows :]))
    _keep(held, scored, calibration)


def _keep(held: Held, scored: Sequence[tuple[pa.Table, np.ndarray]], calibration: Mapping[str, Any]) -> None:
    """Keep the scores of a left-out run, the first as it is, and return whether the second has another order."""
    orders = []
    for number, (part, scores) in enumerate(scored):
        known = ~np.isnan(scores)
        part, scores = part.filter(pa.array(known)), scores[known]
        combined = run_scores(RunRows(part["run"], part["test_case"], part["service"], scores), calibration)
        orders.append(combined.sort_by("test_case")["score_run"].to_pylist())
        if number == 0:
            own = calibrate_scores(scores, part["service"], calibration)
            truth = zip(part["service"].to_pylist(), part["anomaly"].to_pylist(), own.tolist(), strict=True)
            for service, is_error, value in truth:
                held.services[service].append((is_error, value))
            held.runs += zip(combined["anomaly"].to_pylist(), combined["score_run"].to_pylist(), strict=True)
    held.grows |= list(np.argsort(orders[0], kind="stable")) != list(np.argsort(orders[1], kind="stable"))


def _print_traces(sample: Path) -> None:
    """Print which services' logs of an error case hold an error code that no ``correct`` log of theirs holds."""
    codes: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for path in sorted(sample.rglob("*.log")):
        found = log_service(path.name)
        if found:
            codes[path.parent.name, found] |= set(re.findall(rb"ERR\d{5}", path.read_bytes()))
    for case in sorted({case for case, _ in codes if not is_normal(case)}):
        new = {name: found - codes["correct", name] for (of, name), found in codes.items() if of == case}
        told = [f"{name} ({b', '.join(sorted(found)).decode()})" for name, found in sorted(new.items()) if found]
        report(f"new error codes: {case} ", f"in {len(told)} of {len(new)} services: {', '.join(told)}")


def _print_real(found: dict[tuple[str, str], Held]) -> None:
    services = sorted({service for held in found.values() for service in held.services})
    print("\nreal slice, one run left out in turn: AUC of each service, of services combined; are all errors on top?")
    report("models", *services, "combined", "errors above every correct", "order kept when lines are doubled")
    for (kind, key), held in found.items():
        errors = [score for is_error, score in held.runs if is_error]
        normals = [score for is_error, score in held.runs if not is_error]
        above = min(errors, default=-1.0) > max(normals, default=0.0)
        aucs = [figure(_auc(held.services[service])) for service in services]
        report(
            f"{kind:<12} {key}", *(f"{v:>{len(s)}}" for v, s in zip(aucs, services, strict=True)),
            f"{figure(_auc(held.runs)):>8}", "yes" if above else "no", "no" if held.grows else "yes",
        )  # fmt: skip


def _auc(pairs: Iterable[tuple[bool, float]]) -> float | None:
    rows = list(pairs)
    truth = np.array([is_error for is_error, _ in rows])
    return roc_auc_score(truth, np.array([score for _, score in rows])) if truth.any() and not truth.all() else None


def _load(raw: Path, out: Path, **options: object) -> Path:
    load(LoadOptions(root=raw, output_dir=out, **options), Session.serial())  # type: ignore[arg-type]
    return out


def _whole(layout: Layout) -> pa.Table:
    tables = [read_part(path) for path in part_paths(layout.enhanced)]
    whole = pa.concat_tables(tables).unify_dictionaries()
    for name in KEYS[:4]:
        whole = whole.set_column(whole.schema.get_field_index(name), name, whole[name].cast(pa.string()))
    return whole


def _doubled(sample: Path, target: Path) -> Path:
    """Copy the service logs of a tree with every line written twice."""
    for path in sorted(sample.rglob("*.log")):
        copy = target / path.relative_to(sample)
        copy.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().splitlines(keepends=True)
        copy.write_bytes(b"".join(line + (b"" if line.endswith(b"\n") else b"\n") for line in lines for _ in (0, 1)))
    return target
