"""What each command does with its finished options: calls the one function of the API and prints the summary."""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lo2dask.cli.cluster import check_text
from lo2dask.cli.progress import watching
from lo2dask.cli.summary import (
    explain_text,
    extract_text,
    forecast_text,
    grid_text,
    load_text,
    plan_text,
    report_text,
    score_text,
    speed,
    train_text,
    verify_text,
)
from lo2dask.cli.text import count, json_values, say, say_json, table
from lo2dask.errors import IntegrityError, RejectsError
from lo2dask.options import (
    CheckOptions,
    CommonOptions,
    ExplainOptions,
    ExtractOptions,
    GridOptions,
    LoadingOptions,
    LoadOptions,
    PlanOptions,
    ReportOptions,
    RunOptions,
    ScoreOptions,
    SynthOptions,
    TrainOptions,
    VerifyOptions,
)

if TYPE_CHECKING:
    from lo2dask.execute.session import Session


def synth(options: SynthOptions) -> None:
    """Write a made-up tree."""
    from lo2dask.synthesis import write_tree

    with watching(quiet=options.quiet, log_format=options.log_format) as watch:
        written = 0

        def progress(size: int) -> None:
            nonlocal written
            written += 1
            watch("synth", written, 0, {"bytes": size})

        summary = write_tree(options, progress)
    text = (
        f"{summary.root}: {count(summary.runs, 'run')}, {count(summary.test_cases, 'test case')}, "
        f"{count(summary.files, 'file')}, {speed(summary.bytes, summary.seconds)}\n"
        f"next: lo2dask run --root {shlex.quote(str(summary.root))} --output-dir result/lo2"
    )
    _close(options, summary, text)


def extract(options: ExtractOptions) -> None:
    """Unpack archived runs."""
    from lo2dask.commands.extract import ExtractedRun
    from lo2dask.commands.extract import extract as unpack

    with watching(quiet=options.quiet, log_format=options.log_format) as watch:

        def progress(run: ExtractedRun, done: int, total: int) -> None:
            watch("extract", done, total, {"bytes": run.bytes})

        summary = unpack(options, progress)
    _close(options, summary, "\n".join(extract_text(summary)))
    if options.strict and summary.rejects:
        raise RejectsError(f"--strict: {count(len(summary.rejects), 'archive or file')} could not be used")


def load(options: LoadOptions) -> None:
    """Load a raw tree."""
    from lo2dask.commands.load import load as load_tree

    _note_ignored_options(options)
    if options.dry_run:
        _plan_load(options)
        return
    with opened(options) as session:
        summary = load_tree(options, session)
    following = f"lo2dask train --root {shlex.quote(str(summary.output))}"
    _close(options, summary, "\n".join([*load_text(summary, options.head), f"next: {following}"]))
    _check_strict(options, summary.rejects, summary.output)


def _plan_load(options: LoadOptions) -> None:
    from lo2dask.commands.dry_run import dry_run

    with opened(options) as session:
        planned = dry_run(options, session)
    _close(options, planned, "\n".join(plan_text(planned)))


def train(options: TrainOptions) -> None:
    """Fit, score and measure."""
    from lo2dask.commands.train import train as train_models

    with opened(options) as session:
        summary = train_models(options, session)
    following = f"lo2dask explain --root {shlex.quote(str(summary.root))}"
    _close(options, summary, "\n".join([*train_text(summary), f"next: {following}"]))


def explain(options: ExplainOptions) -> None:
    """Explain what was flagged."""
    from lo2dask.commands.explain import explain as explain_models

    with opened(options) as session:
        summary = explain_models(options, session)
    _close(options, summary, "\n".join(explain_text(summary)))


def report(options: ReportOptions) -> None:
    """Write the report."""
    from lo2dask.commands.report import report as write

    with watching(quiet=options.quiet, log_format=options.log_format):
        summary = write(options)
    _close(options, summary, "\n".join(report_text(summary)))


def score(options: ScoreOptions) -> None:
    """Score new runs with a bundle."""
    from lo2dask.commands.score import score as score_runs

    with opened(options) as session:
        summary = score_runs(options, session)
    _close(options, summary, "\n".join(score_text(summary)))
    _check_strict(options, summary.rejects, summary.output)


def plan(options: PlanOptions) -> None:
    """Say what a size would need."""
    from lo2dask.commands.plan import plan as plan_size

    with watching(quiet=options.quiet, log_format=options.log_format):
        needs = plan_size(options)
    _close(options, needs, "\n".join(forecast_text(needs)))


def verify(options: VerifyOptions) -> None:
    """Check an output folder."""
    from lo2dask.commands.verify import verify as check

    with opened(options) as session:
        summary = check(options, session)
    _close(options, summary, "\n".join(verify_text(summary)))
    if summary.problems:
        raise IntegrityError(f"{summary.output}: {count(len(summary.problems), 'problem')}")


def grid(options: GridOptions) -> None:
    """Measure the whole grid."""
    from lo2dask.commands.grid import grid as measure_grid

    with opened(options) as session:
        summary = measure_grid(options, session)
    _close(options, summary, "\n".join(grid_text(summary)))


def run(options: RunOptions) -> None:
    """Load, train, explain and report."""
    from lo2dask.commands.run import run as run_all

    _note_ignored_options(options)
    with opened(options) as session:
        summary = run_all(options, session)
    explained = explain_text(summary.explain) if summary.explain else []
    text = [*load_text(summary.load, options.head), "", *train_text(summary.train), "", *explained, ""]
    text += report_text(summary.report)
    _close(options, summary, "\n".join([*text, f"all in {summary.seconds:,.1f} s"]))
    _check_strict(options, summary.load.rejects, summary.load.output)


def check_cluster(options: CheckOptions) -> None:
    """Check a cluster."""
    from lo2dask.execute.check import check_cluster as check

    with watching(quiet=options.quiet, log_format=options.log_format):
        summary = check(options)
    _close(options, summary, "\n".join(check_text(summary)))


def list_models() -> None:
    """Print the registry."""
    from lo2dask.models.registry import ALGORITHMS, describe
    from lo2dask.schema import MAIN, NUMERIC, RAW, REPRESENTATIONS

    say(table(describe()))
    say(f"and <algorithm>_<{'|'.join(MAIN)}|numeric|all> of " + ", ".join(ALGORITHMS))
    say(f"and <algorithm>_<{'|'.join(RAW)}>, of tables loaded with --tokens both")
    say(f"or of columns joined by +, at most one of {', '.join(REPRESENTATIONS.values())}: lr_e_words+seq_len+n_error")
    say("numeric columns: " + ", ".join(NUMERIC))


def list_masks(mask_file: str | None) -> None:
    """Print the masks, each with its example and what becomes of it."""
    import pyarrow as pa

    from lo2dask.features.masks import load_masks, normalise

    rows = [
        {
            "mask": mask.name,
            "example": mask.example,
            "becomes": normalise(pa.array([mask.example]), (mask,))[0].as_py(),
            "pattern (RE2)": mask.pattern,
        }
        for mask in load_masks(Path(mask_file) if mask_file else None)
    ]
    say(table(rows))


@contextlib.contextmanager
def opened(options: CommonOptions) -> Iterator["Session"]:
    """Return a session whose progress is shown."""
    from lo2dask.execute.session import Session

    with watching(quiet=options.quiet, log_format=options.log_format) as watch, Session(options) as session:
        session.listeners.append(watch)
        yield session


def _close(options: Any, summary: Any, text: str) -> None:
    """Print the closing summary, as text or as one JSON line."""
    if options.log_format == "json":
        say_json("done", json_values(summary))
    elif not options.quiet:
        say(text)


def _note_ignored_options(options: LoadingOptions) -> None:
    if not options.save_base_sequences and not options.quiet:
        say("--no-save-base-sequences is without effect: lo2_sequences.parquet is always written", err=True)
    if options.enhancer_run_batch and not options.quiet:
        say("--enhancer-run-batch is accepted but without effect: lo2dask enhances part by part", err=True)


def _check_strict(options: CommonOptions, rejects: int, root: Path) -> None:
    from lo2dask.tables.layout import Layout

    if options.strict and rejects:
        raise RejectsError(f"--strict: {rejects:,} inputs were rejected, listed in {Layout(root).rejects}")
