"""What workers do for the findings: learn the normals of some parts, judge their windows, read their unusual lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import strings
from lo2dask.features.masks import Mask
from lo2dask.features.statements import ERROR
from lo2dask.findings import judge, normals
from lo2dask.findings.lines import FOUND, LineReader, Wanted, find_lines
from lo2dask.findings.part import PartWindows, read_keys
from lo2dask.findings.repeats import find_repeats
from lo2dask.findings.statements import read_statements
from lo2dask.findings.telling import Said, Telling, evidence_lines, last_lines, longest_silences
from lo2dask.ingest.text import moved_file, read_translation
from lo2dask.models.split import Split
from lo2dask.sources.manifest import Batch, batch_files
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import cached_files, flushing_together, list_paths, read_scratch, write_scratch
from lo2dask.tables.groups import Group
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.parts import write_part

# Windows that score less are left out of lo2_windows.parquet.
SHOWN = 0.5
TIMELINE_MS = 10_000
# One row per sequence: how unusual its windows are, and when; the lines that carry its finding; the last line of a log
# that ends early; its longest silence and the longest normal one (where enough is known), in ms; where that is much
# longer, the pause and the line before it; and the statement that it repeats far more often than normal logs.
JUDGED = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("seq_id", "run", "test_case", "service")),
        pa.field("is_training", pa.bool_()),
        pa.field("score", pa.float64()),
        pa.field("alarms", pa.int64()),
        *(pa.field(name, schema.TIME) for name in ("start", "end")),
        pa.field("evidence", pa.list_(pa.int64())),
        *(pa.field(name, pa.int64()) for name in ("last_line", "silence", "normal_silence", "pause")),
        *(pa.field(name, schema.TIME) for name in ("pause_start", "pause_end")),
        pa.field("pause_line", pa.int64()),
        pa.field("repeated", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("repeats", "normal_repeats")),
        *(pa.field(name, schema.TIME) for name in ("repeat_start", "repeat_end")),
        pa.field("repeat_lines", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True)
class WindowJob:
    """What the tasks share. ``split`` tells the training part, None: nothing was learned here; ``folder`` is scratch;
    the tables go to the folder ``output``. ``moved`` is the raw tree's path when it was loaded and the one now.
    """

    root: Path
    folder: Path
    window_ms: int
    split: Split | None
    output: Path
    moved: tuple[str, str] | None = None

    @property
    def tables(self) -> Layout:
        """Where the tables go."""
        return Layout(self.output)

    @property
    def layout(self) -> Layout:
        """Paths below the output folder."""
        return Layout(self.root)

    @property
    def state(self) -> Path:
        """The file of what was learned: ``statistics`` and ``scales``."""
        return self.folder / "state.pickle"

    @property
    def answers(self) -> Path:
        """The file of what is said of sequences already (telling.Said)."""
        return self.folder / "answers.pickle"

    def training(self, keys: pa.Table) -> Bools:
        """Return which sequences (columns run, test_case, service, anomaly) are normals of the training part."""
        if self.split is None:
            return np.zeros(keys.num_rows, dtype=bool)
        return self.split.training(keys)


def collect_group(group: Group, job: WindowJob) -> None:
    """Keep the statistics of the training normals of a group of parts, if it has any."""
    training = job.training(read_keys(job.layout, group))
    if training.any():
        part = PartWindows.read(job.layout, group, training)
        statistics = normals.collect(part, training[training])
        _keep(job.folder / "statistics" / f"{group.name}.pickle", statistics)


def scale_group(group: Group, job: WindowJob) -> None:
    """Keep the counted figures of the training normals of a group of parts, if it has any."""
    training = job.training(read_keys(job.layout, group))
    if training.any():
        part = PartWindows.read(job.layout, group, training)
        learned = normals.Normals(read_learned(job.state).normals, part.ids)
        _keep(job.folder / "counts" / f"{group.name}.pickle", judge.learn_scales(part, training[training], learned))


def merge_statistics(job: WindowJob) -> None:
    """Join the statistics of all parts, one after the other."""
    statistics = reduce(normals.merge, _read_all(job.folder / "statistics"), normals.nothing())
    _keep(job.state, {"statistics": statistics, "scales": {}})


def merge_counts(job: WindowJob) -> None:
    """Turn the counted figures of all parts into scales."""
    counted = _read_all(job.folder / "counts")
    scales = judge.to_scales(reduce(lambda left, right: judge.add_counts([left, right]), counted, judge.add_counts([])))
    _keep(job.state, {**read_scratch(job.state), "scales": scales.whole, "without": scales.without})


def keep_state(job: WindowJob, state: Mapping[str, Any]) -> None:
    """Take over what was learned elsewhere."""
    _keep(job.state, dict(state))


def keep_answers(job: WindowJob, said: Said) -> None:
    """Keep what is said of sequences already: their lines are evidence."""
    write_scratch(job.answers, said)


@dataclass(frozen=True)
class Learned:
    """What was learned from the training normals: of each service, and its ``scales``."""

    normals: dict[str, normals.ServiceStatistics]
    scales: judge.Scales


def read_state(path: Path) -> dict[str, Any]:
    """Read what was learned, as a bundle keeps it."""
    state: dict[str, Any] = read_scratch(path)
    return state


@cached_files(maxsize=1)
def read_learned(path: Path) -> Learned:
    """Read what was learned, by service; a worker keeps the last one."""
    state = read_state(path)
    return Learned(normals.by_service(state["statistics"]), judge.Scales(state["scales"], state.get("without", {})))


@cached_files(maxsize=1)
def _read_answers(path: Path) -> Said:
    said: Said = read_scratch(path)
    return said


def judge_group(group: Group, job: WindowJob) -> None:
    """Write the unusual windows of a group of parts, their timeline, and a row per sequence."""
    layout, part = job.layout, PartWindows.read(job.layout, group)
    learned = read_learned(job.state)
    training = job.training(part.keys)
    own = judge.Baselines.of(part, training, normals.Normals(learned.normals, part.ids))
    judged = judge.judge(part, own, learned.scales)
    statements = read_statements(layout)
    windows, owner = _windows(part, judged, job.window_ms, statements)
    timeline, owner_of_step = _timeline(part, judged, job.window_ms)
    said = _read_answers(job.answers)
    telling = Telling.of(part, judged, said)
    sequences = _sequences(part, judged, training, telling, job.window_ms)
    columns = {
        "evidence": evidence_lines(part, telling.windows, telling.carrier),
        "last_line": last_lines(part, said),
        **longest_silences(part, judged, job.window_ms),
        **find_repeats(part, own, job.window_ms),
    }
    for name, column in columns.items():
        sequences = sequences.append_column(name, column)
    with flushing_together():
        group.write(job.tables.windows, windows, schema.WINDOWS, owner)
        group.write(job.tables.timeline, timeline, schema.TIMELINE, owner_of_step)
        group.write(job.folder / "judged", sequences, JUDGED)


def read_unusual_lines(
    record: Sequence[tuple[Batch, Mapping[str, Wanted]]], job: WindowJob, masks: tuple[Mask, ...], limit: int
) -> int:
    """Read the wanted lines of the logs of some batches again; return how many of the logs are gone."""
    learned = read_learned(job.state)
    reader = LineReader(job.layout, masks, read_translation(job.layout), learned.normals, learned.scales)
    logs = [
        (moved_file(file, job.moved), wanted[_seq_id(file)])
        for batch, wanted in record
        for file in batch_files(batch)
        if not file.problem and _seq_id(file) in wanted
    ]
    found, missing = find_lines(logs, reader, limit)
    write_part(job.folder / "lines" / part_name(record[0][0].index), found, FOUND)
    return missing


def _seq_id(file: SourceFile) -> str:
    return schema.seq_id(file.run, file.test_case, file.name)


def _keys_of(part: PartWindows, sequence: Ints) -> dict[str, pa.Array]:
    names = ("run", "test_case", "service")
    return {name: pa.array(part.names(name), pa.string()).take(pa.array(sequence)) for name in names}


def _windows(
    part: PartWindows, judged: judge.Judged, window_ms: int, statements: Mapping[str, tuple[str, str]]
) -> tuple[pa.Table, Ints]:
    """Return the unusual windows (schema.WINDOWS), and the sequence of each."""
    rows = np.flatnonzero(judged.score > SHOWN)
    windows = {name: values[rows] for name, values in part.windows.items()}
    statement = judged.statement[rows]
    where = pa.array(statement, mask=statement < 0)
    named = [statements.get(one, (None, None)) for one in part.ids.take(where).to_pylist()]
    begin = windows["window"] * window_ms
    columns = {
        **_keys_of(part, windows["sequence"]),
        "window_start": _time(begin),
        "window_end": _time(begin + window_ms),
        "n_events": windows["events"],
        "score": judged.score[rows],
        "component": pa.array(judge.COMPONENTS).take(pa.array(judged.component[rows])),
        "statement": pa.array([text for text, _ in named], pa.string()),
        "e_event_drain_id": pa.array([template for _, template in named], pa.string()),
        "first_line": windows["first_line"],
        "last_line": windows["last_line"],
        "seq_id": strings(part.keys["seq_id"]).take(pa.array(windows["sequence"])),
    }
    return pa.table({name: columns[name] for name in schema.WINDOWS.names}, schema=schema.WINDOWS), windows["sequence"]


def _timeline(part: PartWindows, judged: judge.Judged, window_ms: int) -> tuple[pa.Table, Ints]:
    """Sum up windows over ten seconds: lines, lines of an error level, the largest score; and the sequence of each."""
    windows, cells = part.windows, part.cells
    is_error = part.kinds[cells["statement"]] == ERROR
    errors = np.bincount(cells["window"][is_error], cells["count"][is_error], len(windows["window"])).astype(np.int64)
    step = windows["window"] * window_ms // TIMELINE_MS
    table = pa.table({
        "sequence": windows["sequence"], "step": step, "n_events": windows["events"], "n_error": errors,
        "score": pa.array(judged.score, from_pandas=True),
    })  # fmt: skip
    summed = table.group_by(["sequence", "step"]).aggregate([("n_events", "sum"), ("n_error", "sum"), ("score", "max")])
    summed = summed.sort_by([("sequence", "ascending"), ("step", "ascending")])
    sequence = summed["sequence"].to_numpy()
    columns = {
        **_keys_of(part, sequence),
        "start": _time(summed["step"].to_numpy() * TIMELINE_MS),
        "n_events": summed["n_events_sum"],
        "n_error": summed["n_error_sum"],
        "score": summed["score_max"],
    }
    return pa.table({name: columns[name] for name in schema.TIMELINE.names}, schema=schema.TIMELINE), sequence


def _sequences(part: PartWindows, judged: judge.Judged, training: Bools, telling: Telling, window_ms: int) -> pa.Table:
    """Return a row per sequence (:data:`JUDGED` up to its end): from its first to its last telling window."""
    sequence, begin = part.windows["sequence"], part.windows["window"] * window_ms
    size = part.keys.num_rows
    alarms = np.bincount(sequence[judged.is_alarm], minlength=size)
    start, end = np.full(size, np.iinfo(np.int64).max), np.full(size, -1)
    tells = telling.windows
    np.minimum.at(start, sequence[tells], begin[tells])
    np.maximum.at(end, sequence[tells], begin[tells] + window_ms)
    none = end < 0
    start[none] = end[none] = 0
    columns = {
        **{name: strings(part.keys[name]) for name in ("seq_id", "run", "test_case", "service")},
        "is_training": training,
        "score": pa.array(telling.best, mask=none),
        "alarms": alarms,
        "start": pc.if_else(pa.array(~none), _time(start), None),
        "end": pc.if_else(pa.array(~none), _time(end), None),
    }
    return pa.table(columns)


def _time(milliseconds: Ints) -> pa.Array:
    return pa.array(milliseconds * 1000).cast(schema.TIME)


def _read_all(folder: Path) -> Iterator[Any]:
    return map(read_scratch, list_paths(folder, ".pickle"))


def _keep(path: Path, content: dict[str, Any]) -> None:
    # Chunks that were taken together would each keep what they were cut from.
    whole = {name: one.combine_chunks() if isinstance(one, pa.Table) else one for name, one in content.items()}
    write_scratch(path, whole)
