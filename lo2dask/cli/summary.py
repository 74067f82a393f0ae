"""The closing summaries of the commands: what was read and made, how well it does, and where it lies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from lo2dask.cli.findings import findings_text
from lo2dask.cli.terminal import terminal_width
from lo2dask.cli.text import count, megabytes, table, wrapped
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, read_parts

if TYPE_CHECKING:
    from lo2dask.commands.dry_run import DryRun
    from lo2dask.commands.explain import ExplainSummary
    from lo2dask.commands.extract import ExtractSummary
    from lo2dask.commands.grid import GridSummary
    from lo2dask.commands.load import LoadSummary
    from lo2dask.commands.report import ReportSummary
    from lo2dask.commands.run import RunSummary
    from lo2dask.commands.score import ScoreSummary
    from lo2dask.commands.verify import VerifySummary
    from lo2dask.sizing.forecast import Forecast
    from lo2dask.training.train import TrainSummary

# Columns of the sequence table that the closing summary shows; the rest is in the file.
_HEAD_COLUMNS = ("seq_id", "start_time", "duration_sec", "seq_len")
# Findings that a command shows at its end.
FINDINGS = 10
_LINE_NAMES = {"lines_in": "all"}
_NOT_MEASURED = "not measured: no labelled log is held out"


def load_text(summary: "LoadSummary", head: int, lists_tables: bool = True) -> list[str]:
    """Write the summary of a load, with the paths of its tables and the first ``head`` sequences."""
    made = f"{count(summary.sequences, 'sequence')} of {count(summary.events, 'event')}"
    lines = [
        f"{count(summary.runs, 'run')}, {count(summary.test_cases, 'test case')}, "
        f"{count(summary.services, 'service')}: {made if summary.sequences else 'no sequence, as no line was kept'}; "
        f"{speed(summary.bytes, summary.seconds)}",
    ]
    if summary.skipped:
        lines.append(f"done before and left as they are: {summary.skipped:,} of {count(summary.batches, 'part')}")
    if summary.lines:
        lines.append("lines: " + _counts({_LINE_NAMES.get(key, key): n for key, n in summary.lines.items()}))
    if summary.ignored:
        lines.append("files left out: " + _counts(summary.ignored))
    lines += _reject_lines(summary)
    if summary.metrics:
        lines.append(
            f"metrics: {count(summary.metrics.samples, 'sample')} and {count(summary.metrics.spans, 'span')} "
            f"of {count(summary.metrics.files, 'file')}; {speed(summary.metrics.bytes, summary.metrics.seconds)}"
        )
    if lists_tables:
        lines.append("tables: " + ", ".join(str(path) for path in sorted(summary.output.glob("lo2_*.parquet"))))
    return wrapped(lines) + _first_sequences(summary.output, head)


def _reject_lines(summary: "LoadSummary | ScoreSummary") -> list[str]:
    """Write for each reason how many inputs were rejected, with one of them and its detail."""
    if not summary.rejects:
        return ["rejects: none"]
    folder = Layout(summary.output).rejects
    numbers: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for part in read_parts(folder, ("path", "member", "reason", "detail")):
        for row in part.to_pylist():
            numbers[row["reason"]] += 1
            examples.setdefault(
                row["reason"], f"{row['path']}{' ' * bool(row['member'])}{row['member']}: {row['detail']}"
            )
    more = (f"  {reason}: {number:,}, such as {examples[reason]}" for reason, number in numbers.most_common())
    return [f"rejects: {summary.rejects:,}, listed in {folder}", *more]


def extract_text(summary: "ExtractSummary") -> list[str]:
    """Write what was unpacked, or would be, and what could not be used."""
    sizes = (("packed", summary.packed), ("unpacked", summary.unpacked), ("free there", summary.free))
    packed = ", ".join(f"{megabytes(size)} {name}" for name, size in sizes)
    if summary.dry_run:
        lines = [f"would unpack {count(len(summary.todo), 'run')} into {summary.out}: {packed}", *summary.todo]
    else:
        lines = [
            f"{summary.out}: {count(len(summary.todo), 'run')}, {count(summary.files, 'file')}, "
            f"{speed(summary.bytes, summary.seconds)}"
        ]
    if summary.skipped:
        lines.append(f"there already: {count(summary.skipped, 'run')}")
    lines += [f"not used: {archive} {member}: {reason}" for archive, member, reason in summary.rejects]
    return [*lines, "nothing was written" if summary.dry_run else f"next: lo2dask run --root {quote(str(summary.out))}"]


def plan_text(planned: "DryRun") -> list[str]:
    """Write what a load would read and need."""
    lines = [
        f"would read: {count(planned.runs, 'run')}, {count(planned.test_cases, 'test case')}, "
        f"{count(planned.files, 'file')}, {megabytes(planned.bytes)} in {count(planned.batches, 'part')}",
        f"memory: {megabytes(planned.memory)} in all, {megabytes(planned.worker_memory)} for each of "
        f"{count(planned.workers, 'worker')}",
        f"disk: {megabytes(planned.disk)} below the output folder, {megabytes(planned.spill)} of scratch",
    ]
    return [*lines, "files left out: " + _counts(planned.ignored), "nothing was written"]


def train_text(summary: "TrainSummary") -> list[str]:
    """Write the summary of a training: one line per model with its figures, then what stands out."""
    return [*_models(summary), *_files(summary), *_trained_answers(summary)]


def _models(summary: "TrainSummary") -> list[str]:
    """Write a table of the models; a warning only where no verdict on trust says the same."""
    if not summary.models:
        return [f"enhanced: {Layout(summary.root).enhanced}"]
    shown = [line for line in summary.models if not line.same_as]
    rows = [
        {
            "model": line.key,
            "rows": f"{line.rows:,}",
            "features": f"{line.features:,}",
            "seconds": f"{line.seconds:.1f}",
            "F1": figure(line.f1),
            "AUC": figure(line.auc_roc),
            "AP": figure(line.average_precision),
            "remark": _NOT_MEASURED if line.reason == "no sequence" else line.reason or "",
        }
        for line in shown
    ]
    before = " (all done before)" if summary.current else ""
    lines = [*wrapped([f"models, log by log, measured {summary.measured}{before}:"]), table(rows)]
    trusted = _trust_blocks(summary)
    texts = [f"{line.key}: {line.warning}" for line in shown if line.warning and line.key not in trusted]
    return lines + wrapped([*texts, *(f"note: {note}" for note in summary.notes)])


def _files(summary: "TrainSummary") -> list[str]:
    lines = wrapped([f"measures: {summary.metrics}"]) if summary.models else []
    return [*lines, f"bundle: {summary.saved}"] if summary.models and summary.saved else lines


def _trained_answers(summary: "TrainSummary") -> list[str]:
    """Write what stands out, and how far each model can be trusted."""
    from lo2dask.reporting.trust import trust_lines

    return _answers(summary.root, wrapped(trust_lines(_trust_blocks(summary)))) if summary.models else []


def _answers(root: Path, trust: Sequence[str] = ()) -> list[str]:
    """Write an empty line, what stands out in a folder and lines on trust; nothing where there is neither."""
    lines = findings_text(Layout(root), FINDINGS, terminal_width(), trust)
    return ["", *lines] if lines else []


def _trust_blocks(summary: "TrainSummary") -> dict[str, Any]:
    """Read how far each model can be trusted, of those of which it was measured."""
    from lo2dask.training.units import measures_path

    if not summary.metrics:
        return {}
    keys = [line.key for line in summary.models if line.fitted and not line.same_as]
    measured = {key: (read_json(measures_path(summary.metrics, key)) or {}).get("trust") for key in keys}
    return {key: block for key, block in measured.items() if block}


def explain_text(summary: "ExplainSummary") -> list[str]:
    """Write the summary of phase F: one line per model, or the sequence that was asked for."""
    if summary.story:
        return summary.story.rstrip().split("\n")
    rows = [
        {
            "model": model.model,
            "SHAP": model.shap,
            "rows": f"{model.rows:,}",
            "flagged": f"{model.flagged:,}",
            "false pos.": f"{model.false_positives:,}",
            "false neg.": f"{model.false_negatives:,}",
            "neighbours": "" if model.neighbours is None else f"{model.neighbours:,} ({model.normals})",
        }
        for model in summary.models
    ]
    return ["explained:", table(rows), f"files: {summary.folder}"]


def grid_text(summary: "GridSummary") -> list[str]:
    """Write the grid's rows of all services together, and which differ; those of each service are in the files."""
    from lo2dask.commands.grid import difference_words

    rows, compared, comparisons = [], [], 0
    for row in summary.rows:
        if row["service"] != "all":
            continue
        named = {name: row[name] for name in ("models", "algorithm", "representation")}
        if row["seeds"]:
            figures = {
                "F1": _spread(row, "f1"),
                "AUC": _spread(row, "auc_roc"),
                "AP": _spread(row, "average_precision"),
            }
            rows.append(named | figures | {"remark": row["reason"] or ""})
        if row["difference"]:
            words = zip(("AP of cases", "chance", "behind", "p", "difference"), difference_words(row), strict=True)
            compared.append(named | dict(words))
            comparisons = row["comparisons"]
    lines = ["mean over the seeds, and standard deviation, on the hold-out, all services:", table(rows)] if rows else []
    if compared:
        lines += [
            "average precision of cases (run and test case), how far behind the best (paired bootstrap over runs), "
            f"p after Holm over {comparisons} comparisons",
            table(compared),
        ]
    lines += wrapped(f"note: {note}" for note in summary.notes)
    lines.append(f"fitted: {summary.fitted:,}, done before: {summary.kept:,}; {speed(0, summary.seconds)}")
    return [*lines, "files: " + ", ".join(map(str, summary.files))]


def report_text(summary: "ReportSummary") -> list[str]:
    """Write where the report lies and how much is missing."""
    lines = [f"report: {summary.html} ({megabytes(summary.html_bytes)}), {summary.markdown}"]
    if summary.missing:
        lines.append(f"not there: {count(len(summary.missing), 'artefact')}, listed in it")
    return wrapped(lines)


def run_text(summary: "RunSummary", head: int, is_whole: bool = False) -> list[str]:
    """Write what was read, what stands out, the models and where the files are; with ``is_whole`` all of each stage."""
    report = summary.report
    ends = [f"report: {report.html}; tables and models: {summary.load.output}; all in {summary.seconds:,.1f} s"]
    if is_whole:
        explained = ["", *explain_text(summary.explain)] if summary.explain else []
        ends = [*_files(summary.train), *explained, "", *report_text(report), *ends]
    answers = _trained_answers(summary.train)
    return [*load_text(summary.load, head, is_whole), *answers, "", *_models(summary.train), *wrapped(ends)]


def score_text(summary: "ScoreSummary") -> list[str]:
    """Write what was scored, and where."""
    lines = [
        f"{summary.model}: {count(summary.runs, 'run')}, {count(summary.sequences, 'sequence')}, "
        f"{summary.flagged:,} flagged; " + ("all done before" if summary.current else speed(0, summary.seconds)),
    ]
    if summary.unscored:
        lines.append(f"without a score, because the bundle has no model of their service: {summary.unscored:,}")
    lines += _reject_lines(summary)
    files = [f"sequences: {summary.predictions}", f"runs and test cases: {summary.run_scores}"]
    return [*lines, *files, *_answers(summary.output)]


def forecast_text(needs: "Forecast") -> list[str]:
    """Write what a size would need, stage by stage."""
    rows = [{"stage": name, "time": duration(seconds)} for name, seconds in needs.seconds.items()]
    rows.append({"stage": "all", "time": duration(needs.total_seconds)})
    return [
        f"{megabytes(needs.bytes)} in {count(needs.batches, 'part')}, about {count(needs.sequences, 'sequence')}, "
        f"{count(needs.workers, 'worker')} with a core each",
        table(rows),
        f"memory in all: {megabytes(needs.load_memory)} to load, up to {megabytes(needs.train_memory)} to train; "
        f"up to {megabytes(needs.worker_memory)} for one worker",
        f"disk: {megabytes(needs.output)} below the output folder, {megabytes(needs.scratch)} of scratch there, "
        f"{megabytes(needs.spill)} in the scratch folder",
        f"rates: {needs.source}",
    ]


def duration(seconds: float) -> str:
    """Write a time: ``42 s``, ``3 min 20 s``, ``5 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def verify_text(summary: "VerifySummary") -> list[str]:
    """Write what does not add up, one line each, or that all does."""
    if summary.problems:
        return list(summary.problems)
    looked = [
        count(summary.recorded, "file"),
        count(summary.files, "log"), count(summary.events, "event"), count(summary.sequences, "sequence"),
        count(summary.rejects, "reject"), count(summary.batches, "part"),
        count(summary.models, "table") + " of predictions", count(summary.bundles, "bundle"),
    ]  # fmt: skip
    if summary.scored is not None:
        looked.append(count(summary.scored, "row") + " scored")
    if summary.findings is not None:
        looked.append(count(summary.findings, "finding"))
    return [f"ok: {', '.join(looked)}; {speed(summary.bytes, summary.seconds)}"]


def figure(value: float | None) -> str:
    """Write a measure; "-" where it could not be had."""
    return "-" if value is None else f"{value:.3f}"


def _spread(row: Mapping[str, Any], measure: str) -> str:
    mean, deviation = row[f"{measure}_mean"], row[f"{measure}_sd"]
    return figure(mean) if deviation is None else f"{figure(mean)} ± {figure(deviation)}"


def speed(size: int, seconds: float) -> str:
    """Write the time that work took, and how fast it read or wrote ``size`` bytes."""
    if not size:
        return f"{seconds:,.1f} s"
    return f"{megabytes(size)} in {seconds:,.1f} s ({size / 1e6 / max(seconds, 1e-3):,.0f} MB/s)"


def _first_sequences(root: Path, head: int) -> list[str]:
    rows: list[dict[str, Any]] = []
    for path in part_paths(Layout(root).sequences):
        if len(rows) >= head:
            break
        rows += read_part(path, list(_HEAD_COLUMNS)).slice(0, head - len(rows)).to_pylist()
    for row in rows:
        row["start_time"] = row["start_time"].isoformat(" ", "milliseconds") if row["start_time"] else ""
    return [table(rows, _HEAD_COLUMNS)] if rows else []


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()) if number) or "none"
