"""The real slice: each run left out in turn, every line of it twice, and error runs without the failing service."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import drop, report
from planter import START, copy_case, service_logs

from lo2dask.commands.load import load
from lo2dask.commands.score import score
from lo2dask.domain import CORRECT
from lo2dask.execute.session import Session
from lo2dask.models.split import Split
from lo2dask.options import LoadOptions, ScoreOptions, TrainOptions
from lo2dask.schema import is_normal
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts
from lo2dask.training.train import train_models
from lo2dask.training.units import SUPERVISED

WHOLE = "all doubled, the start-up too"
_Fold = tuple[str, list[Path], list[Path], Path]
_Answer = tuple[str | None, bool]


def slice_folds(sample: Path, folder: Path) -> Iterator[_Fold]:
    """Yield for each run its name, its correct case, the other runs' correct cases, and the bundle of those."""
    runs = sorted(path.name for path in sample.iterdir() if (path / CORRECT).is_dir())
    for run in runs:
        normals = [sample / name / CORRECT for name in runs if name != run]
        yield run, [sample / run / CORRECT], normals, learn(normals, folder / f"without-{run}")


def learn(normals: Sequence[Path], folder: Path) -> Path:
    """Learn from correct cases, unless it is done; return the bundle."""
    bundle = Layout(folder / "out").models / "excess.joblib"
    if not bundle.exists():
        drop(folder)
        for case in normals:
            copy_case(case, folder / "raw" / case.parent.name / CORRECT, {})
        load(LoadOptions(root=folder / "raw", output_dir=folder / "out"), Session.serial())
        options = TrainOptions(root=folder / "out", models=("excess",), skip_if=True)
        train_models(options, Session.serial(), {SUPERVISED: Split("none")})
    return bundle


def print_doubled(sample: Path, folder: Path) -> None:
    """Print what changes if lines are doubled, and what is found without the failing service."""
    with open(sample / "errors.csv", encoding="utf-8") as file:
        failing = {row["test_case"]: row["service"] for row in csv.DictReader(file)}
    changed: dict[bool, list[str]] = {False: [], True: []}
    findings, named, doubled = [], [], 0
    for run, (correct,), _, bundle in slice_folds(sample / "v1", folder):
        for case in sorted(correct.parent.iterdir()):
            kinds = _variants(case, folder / "variants", failing.get(case.name))
            found = _answers(folder / "variants", bundle)
            for name, kind in kinds.items():
                if kind.startswith("without"):
                    findings += [f"{case.name} {kind}: {found[name][0]}"] if found[name][1] else []
                else:
                    doubled += name != min(kinds)
                    if found[name] != found[min(kinds)]:
                        told = f"{run}/{case.name} {kind}: {found[min(kinds)]} -> {found[name]}"
                        changed[kind == WHOLE].append(told)
            if not is_normal(case.name):
                named.append(f"{case.name}: {found[min(kinds)][0]} (truth {failing.get(case.name)})")
    report("error cases of the slice", *named)
    for whole, rows in changed.items():
        kind = WHOLE if whole else "lines doubled, of one log or of all"
        report(kind, f"{len(rows)} names or flags change ({doubled} variants in all)", *rows)
    report("without the failing service", f"{len(findings)} findings", *findings)


def _variants(case: Path, folder: Path, failing: str | None) -> dict[str, str]:
    """Write a case as it is, with each log doubled, with all doubled, and without a service; by name of its run."""
    drop(folder)
    logs = service_logs(case)
    twice = {name: _doubled(path, START) for name, path in logs.items()}
    versions: list[tuple[str, dict[str, list[str] | None]]] = [("as it is", {})]
    versions += [(f"{name} doubled", {name: lines}) for name, lines in twice.items()]
    versions.append(("all doubled", {**twice}))
    # Half of the start-up is then behind what load trims, and is judged.
    versions.append((WHOLE, {name: _doubled(path, 0) for name, path in logs.items()}))
    if failing:
        versions.append((f"without {failing}", {failing: None}))
    prefix, end = case.parent.name.rsplit("-", 1)
    kinds = {}
    for number, (kind, changed) in enumerate(versions):
        name = f"{prefix}-{int(end) + number}"
        copy_case(case, folder / "raw" / name / case.name, changed)
        kinds[name] = kind
    return kinds


def _doubled(path: Path, start: int) -> list[str]:
    lines: Sequence[str] = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [*lines[:start], *(line for line in lines[start:] for _ in (0, 1)), ""]


def _answers(folder: Path, bundle: Path) -> dict[str, _Answer]:
    """Score a tree: the service that stands out, and whether the case is flagged, by run."""
    drop(folder / "out")
    score(ScoreOptions(root=folder / "raw", bundle=bundle, output_dir=folder / "out"), Session.serial())
    found = {}
    for part in read_parts(folder / "out" / "excess_runs.parquet", ["run", "top_service", "pred_ano"]):
        for row in part.to_pylist():
            found[row["run"]] = (row["top_service"], bool(row["pred_ano"]))
    return found
