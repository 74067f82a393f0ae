"""The report: what was read, how the models score it, and why; report.md and one self-contained report.html."""

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.refit import trained_models
from lo2dask.models import bundle, registry
from lo2dask.models.registry import FOREST, same_models
from lo2dask.options import ReportOptions
from lo2dask.reporting.curves import confusion, curves, histogram
from lo2dask.reporting.data import HOLDOUT, Coverage, FileLine, ModelReport, ReportData
from lo2dask.reporting.flagged import Shown, show_flagged
from lo2dask.reporting.html import MOST_COLUMNS, render_html
from lo2dask.reporting.inventory import list_files
from lo2dask.reporting.markdown import render_markdown
from lo2dask.storage import locked_outputs, read_json, write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import batch_summaries, read_load
from lo2dask.tables.parts import count_rows, part_paths, read_part, read_parts
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.training.units import TRAIN, measures_path

LISTED_FEATURES = 20
REPORT = StageType("report", "the report is written again")
_LINES = {
    "lines_in": "lines in the logs",
    "kept": "lines kept",
    "trimmed": "start-up lines dropped",
    "balanced": "lines cut from correct",
    "continuation": "continuation lines dropped",
    "blank": "blank lines",
    "rejected": "lines rejected",
}


@dataclass(frozen=True)
class ReportSummary:
    """The files written, how many artefacts are missing, and which."""

    markdown: Path
    html: Path
    html_bytes: int
    missing: tuple[FileLine, ...]


def report(options: ReportOptions, session: Session | None = None) -> ReportSummary:
    """Write the report of ``options.root``; needs no cluster, so a session given stays as it is.

    Raises
    ------
    InputError : nothing was loaded into the folder.
    """
    bundle.check_owner(options.root, options.trust)
    with locked_outputs(options):
        return write_report(options.root)


def write_report(root: Path) -> ReportSummary:
    """Write report.md and report.html of an output folder.

    Raises
    ------
    InputError : nothing was loaded into the folder.
    """
    layout = Layout(root)
    marker = read_load(layout)
    if not marker:
        raise InputError(f"--root {root}: nothing was loaded into it; first: lo2dask load --output-dir {root}")
    data = collect(layout, marker)
    markdown, html = root / "report.md", root / "report.html"
    page = render_html(data)
    stage = Stage(layout, REPORT)
    stage.invalidate()
    write_text(markdown, render_markdown(data))
    write_text(html, page)
    stage.commit(Key(marker["inputs"], ""), [markdown, html], {})
    missing = tuple(line for line in data.files if not line.exists)
    return ReportSummary(markdown, html, len(page.encode()), missing)


def collect(layout: Layout, marker: dict[str, Any]) -> ReportData:
    """Collect all that a report shows, from the tables and files of a folder."""
    keys = trained_models(layout)
    same = same_models(registry.spec(key) for key in keys if key != FOREST)
    keys = [key for key in keys if key not in same]
    explained = [key for key in keys if Artefacts(layout.explainability, key).metrics.is_file()]
    shown = show_flagged(layout, explained)
    content = bundle.load(layout.models / f"{keys[0]}.joblib") if keys else {}
    counted, groups = _records(layout), _count(layout.sequences, ["run", "test_case", "service"])
    return ReportData(
        root=str(layout.root),
        flow=_flow(layout, counted, keys, explained, shown),
        read=_read(layout, marker, counted, groups),
        rejects=_rejects(layout),
        ignored=_ignored(layout),
        coverage=_coverage(groups),
        models=tuple(_model(layout, key) for key in keys),
        flagged=shown.flagged,
        flagged_total=shown.total,
        files=tuple(list_files(layout, keys, explained)),
        parameters=_parameters(marker["options"] | content.get("options", {})),
        versions=(("python", platform.python_version()), *((n, v or "none") for n, v in bundle.versions().items())),
        remarks=(
            *_remarks(marker["options"], bool(keys) and Stage(layout, TRAIN).read() is None),
            *(f"{key} is the same model as {one}." for key, one in same.items()),
        ),
    )


def _records(layout: Layout) -> Counter[str]:
    """Add up the records of the load's batches."""
    total: Counter[str] = Counter()
    for batch in batch_summaries(layout):
        total.update(batch["lines"] | {name: batch[name] for name in ("bytes", "files")})
    return total


def _flow(
    layout: Layout, counted: dict[str, int], keys: list[str], explained: list[str], shown: Shown
) -> tuple[tuple[str, str], ...]:
    return (
        ("Raw tree", f"{counted.get('files', 0):,} logs, {counted.get('bytes', 0) / 1e6:,.1f} MB"),
        ("Events", f"{counted.get('kept', 0):,} lines"),
        ("Sequences", f"{count_rows(layout.sequences):,}"),
        ("Templates", f"{count_rows(layout.templates):,}"),
        ("Models", f"{len(keys)} trained"),
        ("Explanations", f"{len(explained)} models, {shown.total:,} flagged sequences"),
    )


def _count(folder: Path, columns: Sequence[str]) -> Counter[tuple[Any, ...]]:
    """Count the rows of a table by the values of some columns, part by part."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for part in read_parts(folder, columns):
        for row in part.group_by(list(columns)).aggregate([([], "count_all")]).to_pylist():
            counts[tuple(row[name] for name in columns)] += row["count_all"]
    return counts


def _read(
    layout: Layout, marker: dict[str, Any], counted: dict[str, int], groups: Counter[tuple[Any, ...]]
) -> tuple[tuple[str, str], ...]:
    titles = ("runs", "test cases", "services")
    figures = [("raw tree", str(marker["root"]))]
    figures += [(title, f"{len({key[i] for key in groups}):,}") for i, title in enumerate(titles)]
    figures += [(title, f"{counted[name]:,}") for name, title in _LINES.items() if counted.get(name)]
    return (*figures, ("sequences", f"{groups.total():,}"))


def _rejects(layout: Layout) -> tuple[tuple[str, str, str], ...]:
    counts = _count(layout.rejects, ["stage", "reason"])
    return tuple((stage, reason, f"{count}") for (stage, reason), count in sorted(counts.items()))


def _ignored(layout: Layout) -> tuple[tuple[str, str], ...]:
    counts = _count(layout.manifest, ["selected", "why"])
    return tuple((why, f"{count}") for (selected, why), count in sorted(counts.items()) if why and not selected)


def _coverage(counts: Counter[tuple[Any, ...]]) -> Coverage | None:
    """Arrange counts by run, test case and service; neighbouring runs share a column when there are many."""
    if not counts:
        return None
    runs, cases, services = (sorted({key[i] for key in counts}) for i in range(3))
    groups = np.array_split(np.arange(len(runs)), min(len(runs), MOST_COLUMNS))
    column = {runs[i]: index for index, group in enumerate(groups) for i in group}
    there = np.zeros((len(groups), len(cases)), dtype=np.int64)
    for (run, case, _), count in counts.items():
        there[column[run], cases.index(case)] += count
    sizes = np.array([len(group) for group in groups])
    names = tuple(runs[g[0]] if len(g) == 1 else f"{runs[g[0]]} to {runs[g[-1]]}" for g in groups)
    return Coverage(names, tuple(cases), there, np.repeat(sizes[:, None] * len(services), len(cases), axis=1))


def _model(layout: Layout, key: str) -> ModelReport:
    files = Artefacts(layout.explainability, key)
    measures = read_json(measures_path(layout.measures, key)) or read_json(files.metrics) or {}
    columns = ["test_case", "service", "anomaly", "pred_ano", "score", "split"]
    table = pa.concat_tables([read_part(path, columns) for path in part_paths(layout.predictions / key)])
    side, over = _side(table)
    flagged = table["pred_ano"].to_numpy() == 1
    note = next((path.read_text(encoding="utf-8") for path in files.notes if path.is_file()), "")
    if not note and not files.metrics.is_file():
        note = f"Not explained yet: lo2dask explain --root {layout.root}"
    plots = [path.read_bytes() for path in files.plots if path.is_file()]
    score, anomaly = table["score"].to_numpy(), table["anomaly"].to_numpy()
    confused = table.filter(pa.array(side))
    cases, services = strings(confused["test_case"]).to_pylist(), strings(confused["service"]).to_pylist()
    return ModelReport(
        key=key,
        measures=measures,
        fit=_fit(measures),
        rows=table.num_rows,
        flagged=int(flagged.sum()),
        histogram=histogram(score, anomaly),
        curves=curves(score[side], anomaly[side], over),
        confusion=confusion(flagged[side], cases, services, over),
        plots=(plots[0], plots[1]) if len(plots) == 2 else None,
        note=note.strip(),
        features=_features(files.path("top_features.txt")),
    )


def _side(table: pa.Table) -> tuple[np.ndarray, str]:
    """Choose the rows that a model's curves are drawn over: the hold-out, if it has both classes, else all rows."""
    held = pc.equal(strings(table["split"]), "holdout").to_numpy(zero_copy_only=False).astype(bool)
    anomaly = table["anomaly"].to_numpy()
    if held.any() and len(set(anomaly[held].tolist())) == 2:
        return held, HOLDOUT
    return np.ones(len(held), dtype=bool), "whole table, training part and all, as the hold-out lacks a class"


def _fit(measures: dict[str, Any]) -> dict[str, Any]:
    """Join the fit records of a model's services."""
    fits = measures.get("fit") or []
    if not fits:
        return {}
    reasons = "; ".join(sorted({fit["reason"] for fit in fits if fit["reason"]}))
    return {"rows": sum(f["rows"] for f in fits), "features": max(f["features"] for f in fits), "reason": reasons}


def _features(path: Path) -> tuple[tuple[str, str, str], ...]:
    """Read the first lines of a model's feature list back: mean abs(SHAP), mean SHAP, feature."""
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8").split("\n")
    start = next((i for i, line in enumerate(lines) if line.lstrip().startswith("rank ")), len(lines)) + 1
    rows = [line.split(maxsplit=3)[1:] for line in lines[start : start + LISTED_FEATURES] if line[:4].strip().isdigit()]
    return tuple((row[0], row[1], row[2] if len(row) > 2 else "") for row in rows)


def _parameters(options: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", "-"), _plain(value)) for name, value in sorted(options.items()))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def _remarks(options: dict[str, Any], is_interrupted: bool) -> tuple[str, ...]:
    """Return what a reader should know about how the figures were made."""
    remarks = [
        "Templates are mined from the whole tree, without labels; the rest is learned from the training part alone."
    ]
    if is_interrupted:
        remarks.append("The last training did not finish: run lo2dask train again; the models are those kept so far.")
    if not options.get("trim_init_lines", True):
        remarks.append("Start-up lines are in the tables; in LO2 they reveal the label (--trim-init-lines drops them).")
    if not options.get("balance_correct", False):
        remarks.append(
            "Logs of correct traffic are as long as they are; where they are longer than those of errors, length alone "
            "tells them apart (--balance-correct cuts them as the LO2 paper does)."
        )
    return tuple(remarks)
