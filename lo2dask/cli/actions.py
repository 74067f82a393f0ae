"""What each command does with its finished options: calls the one function of the API and prints the summary."""

import contextlib
import logging
import shlex
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lo2dask.buffers.visible import visible
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
    run_text,
    score_text,
    speed,
    train_text,
    verify_text,
)
from lo2dask.cli.terminal import terminal_width
from lo2dask.cli.text import count, json_values, say, say_json, table
from lo2dask.errors import FindingsError, InputError, IntegrityError, Lo2Error, RejectsError
from lo2dask.options import (
    AuditOptions,
    CheckOptions,
    CommonOptions,
    ExplainOptions,
    ExtractOptions,
    FindingsOptions,
    GridOptions,
    LoadingOptions,
    LoadOptions,
    PlanOptions,
    ReportOptions,
    RunOptions,
    ScoreOptions,
    ServeMcpOptions,
    ShowOptions,
    SynthOptions,
    TrainOptions,
    VerifyOptions,
    WarmupOptions,
)
from lo2dask.options.paths import is_local

if TYPE_CHECKING:
    from lo2dask.execute.session import Session


def synth(options: SynthOptions) -> None:
    """Write a made-up tree."""
    from lo2dask.synthesis import write_tree

    with watching(quiet=options.quiet, log_format=options.log_format) as watch:

        def progress(done: int, total: int, size: int) -> None:
            """Report one finished piece of work."""
            watch("synth", done, total, {"bytes": size})

        summary = write_tree(options, progress)
    lines = [
        f"{summary.root}: {count(summary.runs, 'run')}, {count(summary.test_cases, 'test case')}, "
        f"{count(summary.files, 'file')}, {speed(summary.bytes, summary.seconds)}",
        _next("run", summary.root) + " --output-dir result/lo2",
    ]
    _close(options, summary, lines)


def extract(options: ExtractOptions) -> None:
    """Unpack archived runs."""
    from lo2dask.commands.extract import ExtractedRun
    from lo2dask.commands.extract import extract as unpack

    with watching(quiet=options.quiet, log_format=options.log_format) as watch:

        def progress(run: ExtractedRun, done: int, total: int) -> None:
            """Report one run."""
            watch("extract", done, total, {"bytes": run.bytes})

        summary = unpack(options, progress)
    _close(options, summary, extract_text(summary))
    if summary.failed:
        raise Lo2Error(
            f"nothing of {count(len(summary.failed), 'archive')} can be unpacked, such as {summary.failed[0]}"
        )
    if options.strict and summary.rejects:
        raise RejectsError(f"--strict: {count(len(summary.rejects), 'archive or file')} could not be used")


def load(options: LoadOptions) -> None:
    """Load a raw tree."""
    from lo2dask.commands.dry_run import dry_run
    from lo2dask.commands.load import load as load_tree

    _note_ignored_options(options)
    if options.dry_run:
        _run(options, dry_run, plan_text)
        return
    summary = _run(
        options,
        load_tree,
        lambda done: [*load_text(done, options.head), *([_next("train", done.output)] if done.sequences else [])],
    )
    _check_strict(options, summary.rejects, summary.output)


def train(options: TrainOptions) -> None:
    """Fit, score and measure."""
    from lo2dask.commands.train import train as train_models

    _run(options, train_models, lambda done: [*train_text(done), _next("explain", done.root)])


def explain(options: ExplainOptions) -> None:
    """Explain what was flagged."""
    from lo2dask.commands.explain import explain as explain_models

    _run(options, explain_models, explain_text)


def report(options: ReportOptions) -> None:
    """Write the report."""
    from lo2dask.commands.report import report as write

    with watching(quiet=options.quiet, log_format=options.log_format):
        summary = write(options)
    _close(options, summary, report_text(summary))
    if options.open:
        _open_page(summary.html)


def score(options: ScoreOptions) -> None:
    """Score new runs with a bundle."""
    from lo2dask.commands.score import score as score_runs

    summary = _run(options, score_runs, score_text)
    _check_strict(options, summary.rejects, summary.output)
    _check_findings(options, summary.output)


def findings(options: FindingsOptions) -> None:
    """List what stands out."""
    from lo2dask.cli.findings import csv_lines, json_lines, summary_text
    from lo2dask.commands.findings import findings as read

    summary = read(options)
    if options.format == "text":
        _close(options, summary, summary_text(summary, terminal_width()))
        return
    lines = (json_lines if options.format == "json" else csv_lines)([*summary.findings, *summary.notices])
    if lines:
        say("\n".join(lines))


def show(options: ShowOptions) -> None:
    """Show one case."""
    from lo2dask.cli.show import show_text
    from lo2dask.commands.show import show as collect

    summary = collect(options)
    _close(options, summary, show_text(summary, terminal_width()))


def serve_mcp(options: ServeMcpOptions) -> None:
    """Answer questions until the client ends."""
    from lo2dask.serving.server import serve

    serve(options)


def audit(options: AuditOptions) -> None:
    """Look for what gives the classes away."""
    from lo2dask.cli.audit import audit_text
    from lo2dask.commands.audit import audit as look

    summary = look(options)
    _close(options, summary, audit_text(summary, terminal_width()))


def plan(options: PlanOptions) -> None:
    """Forecast what a size needs."""
    from lo2dask.commands.plan import plan as plan_size

    with watching(quiet=options.quiet, log_format=options.log_format):
        needs = plan_size(options)
    _close(options, needs, forecast_text(needs))


def verify(options: VerifyOptions) -> None:
    """Check an output folder."""
    from lo2dask.commands.verify import verify as check_output

    summary = _run(options, check_output, verify_text)
    if summary.problems:
        raise IntegrityError(f"{summary.output}: {count(len(summary.problems), 'problem')}")


def grid(options: GridOptions) -> None:
    """Measure the whole grid."""
    from lo2dask.commands.grid import grid as measure_grid

    _run(options, measure_grid, grid_text)


def run(options: RunOptions) -> None:
    """Load, train, explain and report."""
    from lo2dask.commands.run import run as run_all

    _note_ignored_options(options)
    summary = _run(options, run_all, lambda done: run_text(done, options.head, options.debug))
    _check_strict(options, summary.load.rejects, summary.load.output)
    _check_findings(options, summary.load.output)


def check(options: CheckOptions) -> None:
    """Check a cluster."""
    from lo2dask.execute.check import check_cluster

    with watching(quiet=options.quiet, log_format=options.log_format):
        summary = check_cluster(options)
    _close(options, summary, check_text(summary))


def warmup(options: WarmupOptions) -> None:
    """Compile ahead."""
    from lo2dask.commands.warmup import warmup as compile_all

    with watching(quiet=options.quiet, log_format=options.log_format):
        # What happens to the made-up logs is of no interest.
        logging.getLogger("lo2dask").setLevel(logging.WARNING)
        summary = compile_all(options)
    _close(options, summary, [f"compiled in {summary.seconds:.1f} s, kept in {summary.folder}"])


def list_models() -> None:
    """Print the registry."""
    from lo2dask.models.registry import ALGORITHMS, describe
    from lo2dask.schema import MAIN, NUMERIC, RAW, REPRESENTATIONS

    say(table(describe(), whole=True))
    say(f"and <algorithm>_<{'|'.join(MAIN)}|numeric|all> of " + ", ".join(ALGORITHMS))
    say(f"and <algorithm>_<{'|'.join(RAW)}>, of tables loaded with --tokens both")
    say(f"or of columns joined by +, at most one of {', '.join(REPRESENTATIONS.values())}: lr_e_words+seq_len+n_error")
    say("numeric columns: " + ", ".join(NUMERIC))


def list_masks(mask_file: str | None) -> None:
    """Print the masks, each with its example and what becomes of it."""
    import pyarrow as pa

    from lo2dask.features.masks import ALL_MASKS, OTHERS, load_masks, normalise

    masks = load_masks(Path(mask_file) if mask_file else None, OTHERS)
    shown = {mask.name for mask in masks}
    rows = [
        {
            "mask": mask.name,
            "example": mask.example,
            "becomes": normalise(pa.array([mask.example]), (mask,))[0].as_py(),
            "for": mask.scope or "every format",
            "pattern (RE2)": mask.pattern,
        }
        for mask in (*masks, *(mask for mask in ALL_MASKS if mask.name not in shown))
    ]
    say(table(rows, whole=True))


def list_formats(file: Path | None, name: str = "auto", timezone: str = "UTC") -> None:
    """Print the line formats with an example each, or how many lines of a log each of them reads."""
    from lo2dask.commands.formats import try_formats
    from lo2dask.formats.presets import PRESETS
    from lo2dask.formats.user_format import KEYS

    if file is None:
        say(table([{"format": name, "example": preset.example} for name, preset in PRESETS.items()], whole=True))
        say("a format of your own is a YAML file with the keys " + ", ".join(KEYS))
        return
    choices = try_formats(file, name, timezone)
    idle = [choice for choice in choices if not choice.headed]
    for choice in choices:
        if choice.headed:
            say(f"{choice.kind.label}: {choice.headed:,} of {count(choice.lines, 'line')}")
            for text in choice.notes:
                say(f"  {text}")
            for text in choice.others:
                say(f"  not: {visible(text)}")
    if idle:
        say(f"no line: {', '.join(choice.kind.label for choice in idle)}")
        for text in idle[0].others:
            say(f"  not: {visible(text)}")


@contextlib.contextmanager
def opened(options: CommonOptions) -> Iterator["Session"]:
    """Return a session whose progress is shown."""
    import psutil

    from lo2dask.execute.session import Session

    with watching(quiet=options.quiet, log_format=options.log_format) as watch, Session(options) as session:
        session.listeners.append(watch)
        watch.session = session
        imported = time.time() - psutil.Process().create_time()
        yield session
    if options.debug:
        rows = [{"step": step, "seconds": f"{seconds:.2f}"} for step, seconds in session.seconds.items()]
        say(table([{"step": "start of the program", "seconds": f"{imported:.2f}"}, *rows], whole=True), err=True)


def _run(options: Any, function: Callable[..., Any], text: Callable[[Any], list[str]]) -> Any:
    """Run a command's function in a session, print its summary and return it."""
    with opened(options) as session:
        summary = function(options, session)
    _close(options, summary, text(summary))
    return summary


def _next(command: str, root: Path) -> str:
    """Write the command that usually follows."""
    return f"next: lo2dask {command} --root {shlex.quote(str(root))}"


def _close(options: Any, summary: Any, lines: list[str]) -> None:
    """Print the closing summary, as text or as one JSON line."""
    if options.log_format == "json":
        say_json("done", json_values(summary))
    elif not options.quiet:
        say("\n".join(lines))


def _note_ignored_options(options: LoadingOptions) -> None:
    if not options.save_base_sequences and not options.quiet:
        say("--no-save-base-sequences is without effect: lo2_sequences.parquet is always written", err=True)
    if options.enhancer_run_batch and not options.quiet:
        say("--enhancer-run-batch is accepted but without effect: lo2dask enhances part by part", err=True)


def _check_findings(options: RunOptions | ScoreOptions, root: Path) -> None:
    """End with an error where something stands out and the user asked for one; notices are none."""
    from lo2dask.findings.read import count_findings, has_findings, read_cases, was_sought
    from lo2dask.tables.layout import Layout

    layout = Layout(root)
    if not options.fail_on_findings:
        return
    if not (has_findings(layout) and was_sought(layout)):
        raise InputError("--fail-on-findings: only the model excess looks for findings")
    if found := count_findings(layout):
        raise FindingsError(f"--fail-on-findings: {count(found, 'finding')}, listed by `lo2dask findings {root}`")
    if not read_cases(layout):
        raise InputError("--fail-on-findings: nothing was judged, so it means nothing that nothing stands out")


def _open_page(page: Path) -> None:
    """Show a page in the browser, or say that there is none."""
    if not is_local(page):
        raise InputError(f"--open: {page} is not on this machine; copy it here and open it")
    if not webbrowser.open(page.absolute().as_uri()):
        raise Lo2Error(f"--open: there is no browser here; the page is {page}")


def _check_strict(options: CommonOptions, rejects: int, root: Path) -> None:
    from lo2dask.tables.layout import Layout

    if options.strict and rejects:
        raise RejectsError(f"--strict: {rejects:,} inputs were rejected, listed in {Layout(root).rejects}")
