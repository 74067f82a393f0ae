"""What each command does with its finished options: calls the one function of the API and prints the summary."""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lo2dask.cli_progress import watching
from lo2dask.cli_text import count, megabytes, say, say_json, table
from lo2dask.errors import RejectsError
from lo2dask.options import CommonOptions, LoadOptions, SynthOptions

if TYPE_CHECKING:
    from lo2dask.execute.session import Session
    from lo2dask.stages.load import LoadSummary

# Columns of the sequence table that the closing summary shows; the rest is in the file.
_HEAD_COLUMNS = ("seq_id", "start_time", "duration_sec", "seq_len")

_LINE_NAMES = {"lines_in": "all"}


def synth(options: SynthOptions) -> None:
    """Write a made-up tree."""
    from lo2dask.synth import write_tree

    with watching(quiet=options.quiet, log_format=options.log_format) as watch:
        written = 0

        def progress(size: int) -> None:
            nonlocal written
            written += 1
            watch("synth", written, 0, {"bytes": size})

        summary = write_tree(options, progress)
    text = (
        f"{summary.root}: {count(summary.runs, 'run')}, {count(summary.test_cases, 'test case')}, "
        f"{count(summary.files, 'file')}, {_speed(summary.bytes, summary.seconds)}\n"
        f"next: lo2dask run --root {shlex.quote(str(summary.root))} --output-dir result/lo2"
    )
    _close(options, summary, text)


def load(options: LoadOptions) -> None:
    """Load a raw tree."""
    from lo2dask.stages.load import load as load_tree

    _note_ignored_options(options)
    with opened(options) as session:
        summary = load_tree(options, session)
    following = f"lo2dask train --root {shlex.quote(str(summary.output))}"
    _close(options, summary, "\n".join([*load_text(summary, options.head), f"next: {following}"]))
    _check_strict(options, summary.rejects, summary.output)


def list_models() -> None:
    """Print the registry."""
    from lo2dask.models.registry import ALGORITHMS, describe

    say(table(describe()))
    say("and <algorithm>_<words|trigrams|templates|numeric|all> of " + ", ".join(ALGORITHMS))


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
    """Give a session whose progress is shown."""
    from lo2dask.execute.session import Session

    with watching(quiet=options.quiet, log_format=options.log_format) as watch, Session(options) as session:
        session.listeners.append(watch)
        yield session


def load_text(summary: "LoadSummary", head: int) -> list[str]:
    """Write the summary of a load: what was read, where the tables are, the first sequences."""
    lines = [
        f"{count(summary.runs, 'run')}, {count(summary.test_cases, 'test case')}, "
        f"{count(summary.services, 'service')}: {count(summary.sequences, 'sequence')} of "
        f"{count(summary.events, 'event')}; {_speed(summary.bytes, summary.seconds)}",
    ]
    if summary.skipped:
        lines.append(f"{summary.skipped:,} of {count(summary.batches, 'batch')} were done before and stand")
    if summary.lines:
        lines.append("lines: " + _counts({_LINE_NAMES.get(key, key): n for key, n in summary.lines.items()}))
    if summary.ignored:
        lines.append("files left out: " + _counts(summary.ignored))
    lines.append(_rejects_text(summary.rejects, summary.output))
    lines.append("tables: " + ", ".join(str(path) for path in sorted(summary.output.glob("lo2_*.parquet"))))
    return lines + _first_sequences(summary.output, head)


def _first_sequences(root: Path, head: int) -> list[str]:
    from lo2dask.tables.layout import Layout
    from lo2dask.tables.parts import part_paths, read_part

    rows: list[dict[str, Any]] = []
    for path in part_paths(Layout(root).sequences):
        if len(rows) >= head:
            break
        rows += read_part(path, list(_HEAD_COLUMNS)).slice(0, head - len(rows)).to_pylist()
    return [table(rows, _HEAD_COLUMNS)] if rows else []


def _rejects_text(rejects: int, root: Path) -> str:
    from lo2dask.tables.layout import Layout

    return f"rejects: {rejects:,}, listed in {Layout(root).rejects}" if rejects else "rejects: none"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()) if number) or "none"


def _speed(size: int, seconds: float) -> str:
    if not size:
        return f"{seconds:,.1f} s"
    return f"{megabytes(size)} in {seconds:,.1f} s ({size / 1e6 / max(seconds, 1e-3):,.0f} MB/s)"


def _close(options: Any, summary: Any, text: str) -> None:
    """Print the closing summary, as text or as one JSON line."""
    if options.log_format == "json":
        from lo2dask.cli_text import json_values

        say_json("done", json_values(summary))
    elif not options.quiet:
        say(text)


def _note_ignored_options(options: LoadOptions) -> None:
    if options.enhancer_run_batch and not options.quiet:
        say("--enhancer-run-batch is accepted but without effect: lo2dask enhances part by part", err=True)


def _check_strict(options: CommonOptions, rejects: int, root: Path) -> None:
    from lo2dask.tables.layout import Layout

    if options.strict and rejects:
        raise RejectsError(f"--strict: {rejects:,} inputs were rejected, listed in {Layout(root).rejects}")
