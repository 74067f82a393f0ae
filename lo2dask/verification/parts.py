"""What workers do for ``lo2dask verify``: compare files with their records, and the tables of a batch."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.columns import strings
from lo2dask.errors import Lo2Error
from lo2dask.features.bags import read_counts
from lo2dask.ingest.batch import inputs_fingerprint
from lo2dask.models.sample import hashes
from lo2dask.sources.manifest import Batch, batch_files
from lo2dask.storage import status
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.loads import LOAD
from lo2dask.tables.parts import checksum, part_paths, read_metadata, read_part
from lo2dask.tables.records import Output, Record, Stage, output_path

_DROPPED = ("trimmed", "blank", "continuation", "balanced", "rejected")


@dataclass(frozen=True)
class Problem:
    """What does not add up, and where: a path below the output folder, or a stage."""

    where: str
    what: str

    def __str__(self) -> str:
        """Write it in one line."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Checks:
    """What the batches of a folder are checked for.

    ``has_raw_bags``: the enhanced table has raw bags next to the masked ones; ``models`` are the folders of
    predictions, one part per batch; ``damaged`` are files that are not what their records name: they are not read;
    ``mined`` is whether the templates are in the folder.
    """

    root: Path
    checksums: bool
    events: bool
    merged: bool
    enhanced: bool
    has_raw_bags: bool
    models: tuple[str, ...]
    damaged: frozenset[str] = frozenset()
    mined: bool = True

    @property
    def layout(self) -> Layout:
        """Paths below the output folder."""
        return Layout(self.root)


@dataclass(frozen=True)
class BatchResult:
    """What one batch holds: its problems, counts, and a hash of each seq_id."""

    problems: tuple[Problem, ...]
    files: int = 0
    events: int = 0
    sequences: int = 0
    rejects: int = 0
    bytes: int = 0
    ids: npt.NDArray[np.uint64] | None = None


class Unreadable(Exception):
    """A file that is missing or cannot be read; the rest of its batch is still checked."""

    def __init__(self, path: Path, why: str) -> None:
        """Keep what is wrong with which file."""
        super().__init__(path, why)
        self.path, self.why = path, why


def check_batch(batch: Batch, checks: Checks) -> BatchResult:
    """Check everything of one batch."""
    name, layout = part_name(batch.index), checks.layout
    part = Stage(layout, LOAD).part(batch.index)
    loaded, problem = part.inspect()
    if loaded is None:
        return BatchResult((_at(layout, part.path, f"no record ({problem or 'missing'}): the batch is not loaded"),))
    record = loaded.summary
    problems: list[Problem] = []
    tables: dict[str, pa.Table] = {}
    steps: list[Callable[[], Iterable[Problem]]] = [
        lambda: check_record(batch, loaded, layout),
        lambda: _sequences(name, record, checks, tables),
        lambda: _events(name, record, checks, tables) if checks.events else (),
        lambda: _enhanced(name, checks, tables) if checks.enhanced else (),
        lambda: _rejects(name, record, checks),
        *(functools.partial(_predictions, name, model, checks, tables) for model in checks.models),
    ]
    for step in steps:
        try:
            problems += step()
        except Unreadable as error:
            problems.append(_at(layout, error.path, error.why))
        except (Lo2Error, pa.ArrowException, ValueError, KeyError) as error:
            problems.append(Problem(name, f"its tables cannot be compared: {error}"))
    ids = strings(tables["sequences"]["seq_id"]).to_pylist() if "sequences" in tables else []
    size = sum(output.size for output in loaded.outputs.values())
    counts = {key: record[key] for key in ("files", "events", "sequences", "rejects")}
    return BatchResult(tuple(problems), **counts, bytes=size, ids=hashes(ids, 0))


def check_record(batch: Batch, loaded: Record, layout: Layout) -> Iterator[Problem]:
    """Check that a record is of this batch, and that every line read is kept, dropped or rejected."""
    path, record = layout.record("load", batch.index), loaded.summary
    lines = record["lines"]
    out = lines["kept"] + sum(lines[name] for name in _DROPPED)
    if record["files"] != batch.files:
        yield _at(layout, path, f"{record['files']:,} logs, the manifest has {batch.files:,} in this batch")
    elif loaded.key.inputs != inputs_fingerprint(batch_files(batch)):
        yield _at(layout, path, "made from other logs than the manifest lists; load again")
    if out != lines["lines_in"]:
        yield _at(layout, path, f"{lines['lines_in']:,} lines were read, {out:,} are kept, dropped or rejected")


def check_files(files: Sequence[tuple[str, Output]], root: Path, checksums: bool) -> list[Problem]:
    """Check that files are there with the size and checksum that their records name."""
    return [Problem(name, what) for name, output in files if (what := _file_problem(root, name, output, checksums))]


def _file_problem(root: Path, name: str, output: Output, checksums: bool) -> str:
    path = output_path(root, name)
    try:
        size = status(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return "missing, though its record is there"
    if size != output.size:
        return f"{size:,} bytes, its record says {output.size:,}"
    return "its content is not what was written: the checksum differs" if checksums and _differs(path, output) else ""


def _differs(path: Path, output: Output) -> bool:
    try:
        return checksum(path) != output.checksum
    except OSError:
        return True


def named_ids(name: str, root: Path, wanted: npt.NDArray[np.uint64]) -> list[tuple[str, str]]:
    """Name the sequences of a part whose hashes are wanted: (seq_id, part)."""
    ids = strings(read_part(Layout(root).sequences / name, ["seq_id"])["seq_id"]).to_pylist()
    # By sorting: NumPy 2.0 fails where it looks whether a table would do, on hashes that fill 64 bits.
    return [(ids[row], name) for row in np.flatnonzero(np.isin(hashes(ids, 0), wanted, kind="sort"))]


def _sequences(name: str, record: Mapping[str, Any], checks: Checks, tables: dict[str, pa.Table]) -> Iterator[Problem]:
    path = checks.layout.sequences / name
    table = tables["sequences"] = _read(path, checks, schema.SEQUENCES, ["seq_id", "seq_len"])
    length = int(pc.sum(table["seq_len"]).as_py() or 0)
    if table.num_rows != record["sequences"]:
        yield _at(checks.layout, path, f"{table.num_rows:,} rows, its record says {record['sequences']:,}")
    if length != record["events"]:
        yield _at(checks.layout, path, f"seq_len adds up to {length:,}, the batch has {record['events']:,} events")
    kept = record["lines"]["kept"]
    if record["events"] > kept or (record["events"] < kept and not checks.merged):
        yield _at(checks.layout, path, f"{record['events']:,} events of {kept:,} lines kept")
    if table.num_rows > record["files"] or record["files"] - table.num_rows > record["rejects"]:
        yield _at(
            checks.layout, path,
            f"{table.num_rows:,} sequences and {record['rejects']:,} rejects of {record['files']:,} logs",
        )  # fmt: skip


def _events(name: str, record: Mapping[str, Any], checks: Checks, tables: dict[str, pa.Table]) -> Iterator[Problem]:
    path = checks.layout.events / name
    template = [schema.DRAIN_ID.name] if checks.enhanced else []
    table = _read(path, checks, schema.EVENTS, ["seq_id", *template], more=True)
    if table.num_rows != record["events"]:
        yield _at(checks.layout, path, f"{table.num_rows:,} rows, its record says {record['events']:,}")
    elif "sequences" in tables and _counted(table["seq_id"]) != _lengths(tables["sequences"]):
        yield _at(checks.layout, path, "its events are not those that seq_len counts")
    if template:
        yield from _resolve(pc.unique(strings(table[template[0]])), checks, path)


def _enhanced(name: str, checks: Checks, tables: dict[str, pa.Table]) -> Iterator[Problem]:
    path = checks.layout.enhanced / name
    kinds = schema.TokenKinds(masked=True, raw=checks.has_raw_bags)
    wanted = (kinds.enhanced(), kinds.enhanced(lists=True))
    table = _read(path, checks, wanted, ["seq_id", "e_event_id_len", "e_templates"])
    if "sequences" in tables:
        yield from _same_rows(table, path, checks, tables)
        lengths = tables["sequences"]["seq_len"].to_pylist()
        if table.num_rows == len(lengths) and table["e_event_id_len"].to_pylist() != lengths:
            yield _at(checks.layout, path, "e_event_id_len is not seq_len")
    yield from _resolve(strings(read_counts(table["e_templates"]).tokens), checks, path)


def _rejects(name: str, record: Mapping[str, Any], checks: Checks) -> Iterator[Problem]:
    path = checks.layout.rejects / name
    if record["rejects"]:
        rows = _read(path, checks, schema.REJECTS, ["path"]).num_rows
        if rows != record["rejects"]:
            yield _at(checks.layout, path, f"{rows:,} rows, the batch rejected {record['rejects']:,}")


def _predictions(name: str, model: str, checks: Checks, tables: dict[str, pa.Table]) -> Iterator[Problem]:
    path = checks.root / model / name
    table = _read(path, checks, (schema.PREDICTIONS, schema.IF_PREDICTIONS), ["seq_id"])
    if "sequences" in tables:
        yield from _same_rows(table, path, checks, tables)


def _same_rows(table: pa.Table, path: Path, checks: Checks, tables: dict[str, pa.Table]) -> Iterator[Problem]:
    wanted = tables["sequences"]
    if table.num_rows != wanted.num_rows:
        yield _at(checks.layout, path, f"{table.num_rows:,} rows for {wanted.num_rows:,} sequences")
    elif not strings(table["seq_id"]).equals(strings(wanted["seq_id"])):
        yield _at(checks.layout, path, "its rows are not the sequences of the same part, in their order")


def _resolve(ids: pa.Array | pa.ChunkedArray, checks: Checks, path: Path) -> Iterator[Problem]:
    """Check that every template id is one of the table; an event that no template fits has the id of none."""
    if not checks.mined or any(name.startswith(f"{checks.layout.templates.name}/") for name in checks.damaged):
        return
    known = _templates(checks.root)
    unknown = [name for name in ids.to_pylist() if name is not None and name not in known]
    if unknown:
        yield _at(checks.layout, path, f"template {unknown[0]} is not in {checks.layout.templates.name}")


@functools.lru_cache(maxsize=1)
def _templates(root: Path) -> frozenset[str]:
    parts = [read_part(path, ["e_event_drain_id"]) for path in part_paths(Layout(root).templates)]
    return frozenset(name for part in parts for name in strings(part["e_event_drain_id"]).to_pylist())


def _read(
    path: Path, checks: Checks, wanted: pa.Schema | tuple[pa.Schema, ...], columns: list[str], more: bool = False
) -> pa.Table:
    """Read some columns of a part whose schema must be the wanted one; with ``more``, columns may follow.

    Raises
    ------
    Unreadable : it is missing or damaged, or has other columns.
    """
    if path.relative_to(checks.root).as_posix() in checks.damaged:
        raise Unreadable(path, "it is damaged")
    try:
        fields = {field.name: field.type for field in read_metadata(path).schema.to_arrow_schema()}
        for one in wanted if isinstance(wanted, tuple) else (wanted,):
            same = all(_alike(fields.get(field.name), field.type) for field in one)
            if same and (more or len(fields) == len(one)):
                return read_part(path, columns)
    except FileNotFoundError as error:
        raise Unreadable(path, "missing") from error
    except (Lo2Error, pa.ArrowException, OSError) as error:
        raise Unreadable(path, f"cannot be read: {str(error).splitlines()[0]}") from error
    raise Unreadable(path, "its columns are not those of this table")


def _alike(found: pa.DataType | None, wanted: pa.DataType) -> bool:
    if found is None:
        return False
    plain = found.value_type if pa.types.is_dictionary(found) else found
    return plain == wanted or str(plain).replace("element", "item") == str(wanted).replace("element", "item")


def _counted(ids: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in strings(ids).value_counts().to_pylist()}


def _lengths(sequences: pa.Table) -> dict[str, int]:
    return dict(zip(strings(sequences["seq_id"]).to_pylist(), sequences["seq_len"].to_pylist(), strict=True))


def _at(layout: Layout, path: Path, what: str) -> Problem:
    return Problem(path.relative_to(layout.root).as_posix(), what)
