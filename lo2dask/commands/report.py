"""The report: what stands out and why, how the models do, what was read; report.md and one report.html."""

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.refit import trained_models
from lo2dask.models import bundle, registry
from lo2dask.models.registry import FOREST, same_models
from lo2dask.options import ReportOptions
from lo2dask.reporting.data import Coverage, FileLine, Findings, ReportData
from lo2dask.reporting.findings import read_findings
from lo2dask.reporting.heatmap import EXCESS, draw_map, read_run_scores
from lo2dask.reporting.inventory import list_files
from lo2dask.reporting.markdown import render_markdown
from lo2dask.reporting.models import read_model
from lo2dask.reporting.page import MOST_COLUMNS, render_page
from lo2dask.reporting.templates import read_differences
from lo2dask.storage import locked_outputs, write_text
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import batch_summaries, read_load
from lo2dask.tables.parts import count_rows, part_paths, read_parts
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.training.units import TRAIN

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
    if not marker or not (marker["done"] or part_paths(layout.sequences)):
        raise InputError(
            f"--root {root}: nothing was loaded into it; first: lo2dask load --root LOGS --output-dir {root}"
        )
    data = collect(layout, marker)
    markdown, html = layout.report_text, layout.report
    page = render_page(data)
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
    # All bundles tell the options of the training; that of ``excess`` is read without scikit-learn.
    content = bundle.load(layout.models / f"{EXCESS if EXCESS in keys else keys[0]}.joblib") if keys else {}
    counted, coverage = _records(layout), _coverage(layout)
    scores = read_run_scores(layout)
    findings = read_findings(layout, scores, [key for key in keys if key != EXCESS])
    return ReportData(
        root=str(layout.root),
        findings=findings,
        heat=draw_map(scores, findings.items) if scores else None,
        templates=read_differences(layout),
        flow=_flow(layout, counted, keys, findings),
        read=_read(layout, marker, counted),
        rejects=_rejects(layout),
        ignored=_ignored(layout),
        coverage=coverage,
        models=tuple(read_model(layout, key) for key in keys),
        files=tuple(list_files(layout, keys, explained)),
        parameters=_parameters(marker["options"] | content.get("options", {})),
        versions=(("python", platform.python_version()), *((n, v or "none") for n, v in bundle.versions().items())),
        remarks=(
            *(
                ()
                if marker["done"]
                else ("The load did not finish: repeat it; these figures are of a part of the logs.",)
            ),
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
    layout: Layout, counted: dict[str, int], keys: Sequence[str], findings: Findings
) -> tuple[tuple[str, str], ...]:
    return (
        ("Raw tree", f"{counted.get('files', 0):,} logs, {counted.get('bytes', 0) / 1e6:,.1f} MB"),
        ("Events", f"{counted.get('kept', 0):,} lines"),
        ("Sequences", f"{count_rows(layout.sequences):,}"),
        ("Templates", f"{count_rows(layout.templates):,}"),
        ("Models", f"{len(keys)} trained"),
        ("Findings", f"{findings.total:,}"),
    )


def _count(folder: Path, columns: Sequence[str]) -> Counter[tuple[Any, ...]]:
    """Count the rows of a table by the values of some columns, part by part."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for part in read_parts(folder, columns):
        for row in part.unify_dictionaries().group_by(list(columns)).aggregate([([], "count_all")]).to_pylist():
            counts[tuple(row[name] for name in columns)] += row["count_all"]
    return counts


def _read(layout: Layout, marker: dict[str, Any], counted: dict[str, int]) -> tuple[tuple[str, str], ...]:
    figures = [("raw tree", str(marker["root"]))]
    for title, column in (("runs", "run"), ("test cases", "test_case"), ("services", "service")):
        figures.append((title, f"{len(_names(layout, column)):,}"))
    figures += [(title, f"{counted[name]:,}") for name, title in _LINES.items() if counted.get(name)]
    return (*figures, ("sequences", f"{count_rows(layout.sequences):,}"))


def _names(layout: Layout, column: str) -> list[str]:
    """List the distinct names of a column of the sequences, sorted."""
    found: set[str] = set()
    for part in read_parts(layout.sequences, [column]):
        found |= set(pc.unique(strings(part[column])).to_pylist())
    return sorted(found)


def _rejects(layout: Layout) -> tuple[tuple[str, str, str], ...]:
    counts = _count(layout.rejects, ["stage", "reason"])
    return tuple((stage, reason, f"{count}") for (stage, reason), count in sorted(counts.items()))


def _ignored(layout: Layout) -> tuple[tuple[str, str], ...]:
    counts = _count(layout.manifest, ["selected", "why"])
    return tuple((why, f"{count}") for (selected, why), count in sorted(counts.items()) if why and not selected)


def _coverage(layout: Layout) -> Coverage | None:
    """Arrange counts by run, test case and service; neighbouring runs share a column when there are many."""
    runs, cases, services = (_names(layout, column) for column in ("run", "test_case", "service"))
    if not runs:
        return None
    groups = np.array_split(np.arange(len(runs)), min(len(runs), MOST_COLUMNS))
    column = {runs[i]: index for index, group in enumerate(groups) for i in group}
    line = {case: index for index, case in enumerate(cases)}
    there = np.zeros((len(groups), len(cases)), dtype=np.int64)
    for part in read_parts(layout.sequences, ["run", "test_case"]):
        for row in part.unify_dictionaries().group_by(["run", "test_case"]).aggregate([([], "count_all")]).to_pylist():
            there[column[row["run"]], line[row["test_case"]]] += row["count_all"]
    sizes = np.array([len(group) for group in groups])
    names = tuple(runs[g[0]] if len(g) == 1 else f"{runs[g[0]]} to {runs[g[-1]]}" for g in groups)
    return Coverage(names, tuple(cases), there, np.repeat(sizes[:, None] * len(services), len(cases), axis=1))


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
    if options.get("trim_init_lines") is False:
        remarks.append("Start-up lines are in the tables; in LO2 they reveal the label (--trim-init-lines drops them).")
    if not options.get("balance_correct", False):
        remarks.append(
            "Logs of correct traffic are as long as they are; where they are longer than those of errors, length alone "
            "tells them apart (--balance-correct cuts them as the LO2 paper does)."
        )
    return tuple(remarks)
