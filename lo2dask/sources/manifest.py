"""The manifest: one row per file of the tree, selected or why not; and batches, cut from it by bytes.

The manifest lies in Parquet parts, one per scan task, so that 700,000 logs fit in no one's memory; a batch names rows
of parts and travels to a worker as a few numbers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lo2dask import schema
from lo2dask.sources.names import REASONS
from lo2dask.sources.select import Selection
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import is_local, name_damage, open_read, to_path

# Below this a task's fixed cost would count; above it a batch of tiny files would take minutes.
MOST_FILES_PER_BATCH = 5_000
METRIC_KINDS = ("metric", "metric table", "trace")
READ_AS_METRIC = "read as metric"
REJECTED = "rejected"

# Returns which rows of a manifest part are to be read.
Pick = Callable[[pa.Table], pa.ChunkedArray]


def selected_logs(rows: pa.Table) -> pa.ChunkedArray:
    """Pick the logs that a load reads."""
    return rows["selected"]


@dataclass(frozen=True)
class Span:
    """Rows ``start`` to ``stop`` (exclusive) of one manifest part."""

    part: str
    start: int
    stop: int


@dataclass(frozen=True)
class Batch:
    """The unit of work: whole files, in sorted order; ``bytes`` and ``files`` count the selected logs in its spans."""

    index: int
    spans: tuple[Span, ...]
    files: int
    bytes: int


def manifest_table(files: Iterable[SourceFile], selection: Selection, taken: dict[str, str] | None = None) -> pa.Table:
    """Build manifest rows of one run, each selected or with the reason why not (columns: schema.MANIFEST).

    ``taken`` maps the ids of sequences so far to the paths of their logs: a log with the id of another is a problem.
    """
    listed, taken = list(files), {} if taken is None else taken
    wanted = set(_chosen_cases(listed, selection))
    rows = []
    for file in map(selection.labelled, listed):
        selected, why = _judge(file, wanted, selection)
        kept = _distinct(file, taken) if selected else file
        rows.append(vars(kept) | {"parts": list(map(vars, kept.parts)), "selected": selected, "why": why})
    return pa.Table.from_pylist(rows, schema=schema.MANIFEST)


def cut_batches(parts: Iterable[Path], target_bytes: int, pick: Pick = selected_logs) -> Iterator[Batch]:
    """Cut the picked files of all parts, in order, into batches of about ``target_bytes``, never inside a file."""
    index, files, total = 0, 0, 0
    spans: list[Span] = []
    for part in parts:
        table = _read(part, ["size", "selected", "why", "kind", "name", "problem"])
        rows = pc.indices_nonzero(pick(table)).to_pylist()
        # What a reject says of its size counts for nothing: it may be any number.
        read = pc.if_else(pc.equal(table["problem"], ""), table["size"], 0)
        sizes = read.take(rows).to_pylist() if rows else []
        start = 0
        for row, size in zip(rows, sizes, strict=True):
            if files and (total + size > target_bytes or files >= MOST_FILES_PER_BATCH):
                yield Batch(index, (*spans, *_span(part, start, row)), files, total)
                index, spans, files, total, start = index + 1, [], 0, 0, row
            files, total = files + 1, total + size
        spans = [*spans, *_span(part, start, table.num_rows)]
    if files:
        yield Batch(index, tuple(spans), files, total)


def batch_files(batch: Batch, pick: Pick = selected_logs) -> list[SourceFile]:
    """Read a batch's files from the manifest, in order; ``pick`` is what the batch was cut with."""
    names = [name for name in schema.MANIFEST.names if name not in ("selected", "why")]
    tables = []
    for span in batch.spans:
        rows = _read(to_path(span.part)).slice(span.start, span.stop - span.start)
        tables.append(rows.filter(pick(rows)).select(names))
    return [SourceFile.of_row(row) for row in pa.concat_tables(tables).to_pylist()]


def _read(part: Path, columns: list[str] | None = None) -> pa.Table:
    with name_damage(part), open_read(part) as file:
        return pq.read_table(
            part if is_local(part) else file, columns=columns, partitioning=None, page_checksum_verification=True
        )


def _span(part: Path, start: int, stop: int) -> tuple[Span, ...]:
    return (Span(str(part), start, stop),) if stop > start else ()


def _distinct(file: SourceFile, taken: dict[str, str]) -> SourceFile:
    """Return a log, with a problem if another one has the same id."""
    if file.problem:
        return file
    name = schema.seq_id(file.run, file.test_case, file.name)
    own = f"{file.path} {file.member}".rstrip()
    first = taken.setdefault(name, own)
    if first == own:
        return file
    return replace(file, problem=f"same id: {own} and {first} are both {name}: rename a folder")


def _chosen_cases(files: list[SourceFile], selection: Selection) -> tuple[str, ...]:
    logs = {file.test_case for file in files if (file.kind == "log" or file.problem) and file.test_case}
    cases = logs or {file.test_case for file in files if file.kind in METRIC_KINDS and file.test_case}
    run = files[0].run if files else ""
    normal = [case for case in cases if selection.labels.normal(run, case)]
    return tuple(filter(selection.takes_case, (*normal, *selection.cases(run, cases))))


def _judge(file: SourceFile, wanted: set[str], selection: Selection) -> tuple[bool, str]:
    if not selection.takes_path(file.path):
        return False, "excluded"
    if file.kind in METRIC_KINDS and selection.metrics:
        return False, READ_AS_METRIC if file.test_case in {"", *wanted} else "test case not chosen"
    is_rejected = file.rejection[0] in REASONS and (selection.metrics or not file.kind.endswith("metric"))
    if file.kind != "log" and not is_rejected:
        return False, f"ignored: {file.kind}"
    if not file.test_case and not is_rejected:
        return False, "ignored: log outside a test case"
    if file.test_case and file.test_case not in wanted and file.kind != "folder":
        return False, "test case not chosen"
    if file.service and file.service not in selection.services:
        return False, "service not chosen"
    return (False, REJECTED) if file.kind != "log" or not file.test_case else (True, "")
