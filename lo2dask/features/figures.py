"""The figures of each sequence of a batch, added up block by block."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import among, microseconds, milliseconds
from lo2dask.features.lines import TextBlock
from lo2dask.parse.clock import NO_TIME
from lo2dask.parse.columns import FILE, FileKeys
from lo2dask.vocabulary.counts import count_pairs

# "java.lang.RuntimeException: null" or "Caused by: java.sql.SQLException: ...", the first line of a stack trace; an
# event that continuation lines were merged into has it on a later line of its own.
_EXCEPTION = r"(?m)^(?:Caused by: )?(?P<name>(?:[A-Za-z_$][\w$]*\.)+[\w$]*(?:Exception|Error))\b"
_LATEST = int(np.iinfo(np.int64).max)


class BaseFigures:
    """Adds up the figures of lo2_sequences.parquet for each file of a batch: length, first and last time."""

    def __init__(self, n_files: int) -> None:
        """Begin with no line in any of the batch's files."""
        self.lengths = np.zeros(n_files, dtype=np.int64)
        self.starts = np.full(n_files, _LATEST, dtype=np.int64)
        self.ends = np.full(n_files, NO_TIME, dtype=np.int64)

    def add(self, events: pa.Table) -> None:
        """Add event rows (parse.columns.EVENTS)."""
        for numbers, stamps in zip(events[FILE.name].chunks, events["m_timestamp"].chunks, strict=True):
            file = numbers.to_numpy()
            self.lengths += np.bincount(file, minlength=len(self.lengths))
            times = milliseconds(stamps, NO_TIME)
            # A file's lines follow one another, so each run of them is reduced at once.
            runs = np.flatnonzero(np.diff(file, prepend=-1))
            if len(runs):
                least = np.minimum.reduceat(np.where(times == NO_TIME, _LATEST, times), runs)
                np.minimum.at(self.starts, file[runs], least)
                np.maximum.at(self.ends, file[runs], np.maximum.reduceat(times, runs))

    def rows(self) -> Ints:
        """Number the files of which a line was kept."""
        return np.flatnonzero(self.lengths)

    def table(self, keys: FileKeys) -> pa.Table:
        """Return lo2_sequences rows (schema.SEQUENCES) of the files of which a line was kept, in their order."""
        kept = self.rows()
        timed = self.ends[kept] != NO_TIME
        starts, ends = np.where(timed, self.starts[kept], 0), np.where(timed, self.ends[kept], 0)
        columns = keys.columns(kept) | {
            "start_time": microseconds(starts, ~timed),
            "end_time": microseconds(ends, ~timed),
            "duration_ms": pa.array(ends - starts),
            "duration": pa.array(ends - starts),
            "duration_sec": pa.array((ends - starts) // 1000),
            "seq_len": pa.array(self.lengths[kept]),
        }
        return pa.table([columns[name] for name in schema.SEQUENCES.names], names=schema.SEQUENCES.names)


class TextFigures:
    """Adds up the figures that enhancement gives each sequence beyond its bags: sums, errors, exceptions, threads."""

    def __init__(self, n_sequences: int) -> None:
        """Begin with no line in any sequence."""
        self.sums = {name: np.zeros(n_sequences, dtype=np.int64) for name in _SUMS}
        self.first_exception: list[str | None] = [None] * n_sequences
        self.threads: list[set[str]] = [set() for _ in range(n_sequences)]
        self.errors: list[dict[str, int]] = [{} for _ in range(n_sequences)]

    def add(self, events: pa.Table, block: TextBlock, rows: Ints) -> None:
        """Add a block's event rows; ``rows`` is the batch's row of each of the block's sequences."""
        of_line = rows[block.sequence]
        # A sequence's lines follow one another, so each run of them is summed at once.
        runs = np.flatnonzero(np.diff(of_line, prepend=-1))
        for name in _LENGTHS:
            np.add.at(self.sums[name], of_line[runs], np.add.reduceat(events[name].to_numpy().astype(np.int64), runs))
        self._add_exceptions(block, of_line)
        for row, thread, _ in _pairs(events["thread"], of_line, None):
            self.threads[row].add(thread)
        is_error = _is_among(events["level"], block.line_format.error_levels)
        for row, logger, count in _pairs(events["logger"], of_line, is_error):
            self.errors[row][logger] = self.errors[row].get(logger, 0) + count
            self.sums["n_error"][row] += count

    def columns(self, rows: Ints, sequences: pa.Table) -> dict[str, pa.Array]:
        """Return the columns of schema.FEATURES (but n_templates), first_exception and errors_by_logger.

        ``rows`` are the batch's rows of the sequences in ``sequences`` (schema.SEQUENCES).
        """
        length = sequences["seq_len"].to_numpy()
        duration = sequences["duration_ms"].to_numpy()
        chosen = rows.tolist()
        errors = [sorted(self.errors[row].items()) for row in chosen]
        errors_type = schema.ENHANCED.field("errors_by_logger").type
        return {
            "e_event_id_len": pa.array(length),
            **{name: pa.array(values[rows]) for name, values in self.sums.items()},
            "n_threads": pa.array([len(self.threads[row]) for row in chosen], pa.int64()),
            "rate": pa.array(length * 1000 / np.maximum(duration, 1)),
            "first_exception": pa.array([self.first_exception[row] for row in chosen], pa.string()),
            "errors_by_logger": pa.array(
                [[{"token": logger, "count": count} for logger, count in pairs] for pairs in errors], errors_type
            ),
        }

    def _add_exceptions(self, block: TextBlock, of_line: Ints) -> None:
        names = pc.extract_regex(block.bodies, _EXCEPTION).field("name")
        thrown = pc.count_substring_regex(block.bodies, _EXCEPTION).to_numpy()[block.line]
        at = np.flatnonzero(thrown)
        np.add.at(self.sums["n_exception"], of_line[at], thrown[at])
        rows, first = np.unique(of_line[at], return_index=True)
        for row, line in zip(rows.tolist(), at[first].tolist(), strict=True):
            if self.first_exception[row] is None:
                self.first_exception[row] = names[int(block.line[line])].as_py()


_LENGTHS = ("e_words_len", "e_trigrams_len", "e_chars_len")
_SUMS = (*_LENGTHS, "n_error", "n_exception")


def _is_among(column: pa.ChunkedArray, values: Sequence[str]) -> Bools:
    """Return which rows of a dictionary column have one of the values; only the few distinct ones are compared."""
    whole = column.combine_chunks()
    is_value = np.append(among(whole.dictionary, values), False)  # the last one is that of a null
    return is_value[whole.indices.fill_null(len(is_value) - 1).to_numpy()]


def _pairs(column: pa.ChunkedArray, rows: Ints, keep: np.ndarray | None) -> list[tuple[int, str, int]]:
    """Count the (row, value) pairs of a dictionary column, nulls left out; there are few distinct ones."""
    whole = column.combine_chunks()
    codes = whole.indices.fill_null(-1).to_numpy()
    chosen = codes >= 0 if keep is None else (codes >= 0) & keep
    values = whole.dictionary.to_pylist()
    counts = count_pairs(rows[chosen], codes[chosen], (int(rows.max(initial=-1)) + 1, len(values))).tocoo()
    triples = zip(counts.row.tolist(), counts.col.tolist(), counts.data.tolist(), strict=True)
    return [(row, values[column], count) for row, column, count in triples]
