"""Builds the event columns of kept lines without touching one line in Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.buffers.arrays import Bools, Bytes, Codes, Ints
from lo2dask.buffers.slices import encode_slices
from lo2dask.formats.header import Header
from lo2dask.formats.line_format import LineFormat
from lo2dask.parse.clock import NO_TIME
from lo2dask.parse.lines import KeptLines
from lo2dask.sources.names import run_clock
from lo2dask.sources.tree import SourceFile

# Rows belong to the file of this number within its batch, never to a text: names need not be distinct.
FILE = pa.field("file", pa.int32())
EVENTS = schema.in_memory(schema.EVENTS).append(FILE)
# What text is counted of: the file and the fields of an event row that its normalised line is made of.
_TEXTS, _SOURCE = ("thread", "correlation_id", "m_message"), ("level", "logger", "method")
# What stands for a correlation id where it is not read.
SOME_ID = "-"
TEXT = pa.schema([EVENTS.field(name) for name in ("file", *_TEXTS, "is_continuation")])


@dataclass(frozen=True)
class FileKeys:
    """The key columns of a batch's files, as dictionaries that all of the batch's chunks share."""

    files: Sequence[SourceFile]
    begin_ms: Ints
    normal: pa.BooleanArray
    dictionaries: dict[str, tuple[pa.Array, Codes]]

    @classmethod
    def of(cls, files: Sequence[SourceFile]) -> "FileKeys":
        """Build the keys of a batch's files."""
        clocks = [run_clock(file.run).begin_ms for file in files]
        ids = [schema.seq_id(file.run, file.test_case, file.name) for file in files]
        columns = {
            "seq_id": ids,
            "run": [file.run for file in files],
            "test_case": [file.test_case for file in files],
            "service": [file.service for file in files],
        }
        return cls(
            files,
            np.array([NO_TIME if clock is None else clock for clock in clocks], dtype=np.int64),
            pa.array([file.normal for file in files], pa.bool_()),
            {name: _encode(values) for name, values in columns.items()},
        )

    @cached_property
    def is_normal(self) -> Bools:
        """Which files are labelled as normal: bool (files,)."""
        return self.normal.fill_null(False).to_numpy(zero_copy_only=False)

    def columns(self, file: Ints) -> dict[str, pa.Array]:
        """Return the key columns of rows that belong to the files with these numbers."""
        keys = {
            name: pa.DictionaryArray.from_arrays(pa.array(codes.take(file)), values)
            for name, (values, codes) in self.dictionaries.items()
        }
        normal = self.normal.take(pa.array(file))
        own = {"normal": normal, "anomaly": pc.invert(normal), FILE.name: pa.array(file.astype(np.int32))}
        return keys | own


def event_columns(
    buffer: Bytes, lines: KeptLines, keys: FileKeys, line_format: LineFormat, with_text: bool, with_ids: bool = True
) -> pa.Table:
    """Build event rows (:data:`EVENTS`); the columns of text stay null unless asked for.

    Correlation ids are distinct and many: without them, that a line has one is told alone, by :data:`SOME_ID`.
    """
    columns = keys.columns(lines.file)
    if with_text:
        columns |= _text_columns(buffer, lines.ends, lines.header, with_ids)
        columns |= split_source(_spread(encode_slices(buffer, *lines.header.source), lines.header), line_format)
    else:
        columns |= {name: pa.nulls(len(lines.starts), EVENTS.field(name).type) for name in (*_TEXTS, *_SOURCE)}
    columns |= {
        "line_no": pa.array(lines.number + 1),
        # NO_TIME is numpy's NaT, which is null.
        "m_timestamp": pa.array(lines.stamps.view("datetime64[ms]")).cast(pa.timestamp("us")).cast(schema.TIME),
    }
    columns |= {"is_continuation": pa.array(lines.header.continues)} | _lengths(buffer, lines)
    return pa.table([columns[name] for name in EVENTS.names], schema=EVENTS)


def text_columns(buffer: Bytes, ends: Ints, file: Ints, header: Header, keys: FileKeys) -> pa.Table:
    """Build the columns of event rows that their text is counted of (:data:`TEXT`), of lines that end at ``ends``."""
    columns = keys.columns(file) | _text_columns(buffer, ends, header)
    columns["is_continuation"] = pa.array(header.continues)
    return pa.table([columns[name] for name in TEXT.names], schema=TEXT)


def split_source(source: pa.DictionaryArray, line_format: LineFormat) -> dict[str, pa.DictionaryArray]:
    """Split ``LEVEL logger method`` into its three columns; only the few distinct values are split."""
    parts = [line_format.split_source(value) for value in source.dictionary.to_pylist()]
    columns = {}
    for index, name in enumerate(_SOURCE):
        values, codes = _encode([part[index] for part in parts])
        mapped = pa.array(codes).take(source.indices)
        columns[name] = pa.DictionaryArray.from_arrays(mapped, values)
    return columns


def event_starts(table: pa.Table) -> Ints:
    """Find the rows that begin an event: those with a time, and the first of each file."""
    file = table[FILE.name].to_numpy()
    return np.flatnonzero(~table["is_continuation"].to_numpy() | (np.diff(file, prepend=-1) != 0))


def merge_continuations(table: pa.Table) -> pa.Table:
    """Join each continuation line to the event above it in its file; such lines at a file's start make one event.

    Lengths are sums over the joined lines, so that words and trigrams stay what they are line by line.
    """
    if table.num_rows == 0:
        return table
    starts = np.append(event_starts(table), table.num_rows)
    merged = table.take(pa.array(starts[:-1]))
    messages = table["m_message"].cast(pa.string()).combine_chunks()
    merged = _set(merged, "m_message", _joined(messages, starts).dictionary_encode())
    for name in ("e_words_len", "e_trigrams_len", "e_chars_len", "e_lines_len"):
        sums = np.add.reduceat(table[name].to_numpy().astype(np.int64), starts[:-1])
        merged = _set(merged, name, pa.array(sums.astype(np.int32)))
    return merged


def _joined(lines: pa.StringArray, starts: Ints) -> pa.StringArray:
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), lines), "\n")


def _set(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)


def _text_columns(buffer: Bytes, ends: Ints, header: Header, with_ids: bool = True) -> dict[str, pa.Array]:
    """Build thread and correlation id, null on a line without a whole header, and m_message."""
    thread = encode_slices(buffer, *header.thread)
    correlation = encode_slices(buffer, *header.correlation) if with_ids else _marked(*header.correlation)
    fields = (_spread(field, header) for field in (thread, correlation))
    return dict(zip(_TEXTS, (*fields, encode_slices(buffer, header.statement, ends)), strict=True))


def _marked(starts: Ints, ends: Ints) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array((ends > starts).astype(np.int32)), pa.array(["", SOME_ID]))


def _encode(values: Sequence[str]) -> tuple[pa.Array, Codes]:
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()


def _spread(values: pa.DictionaryArray, header: Header) -> pa.DictionaryArray:
    """Put the values of lines with a whole header among all lines; the others are null."""
    size = len(header.time_ms)
    if len(header.rows) == size:
        return values
    codes, headed = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=bool)
    codes[header.rows], headed[header.rows] = values.indices.to_numpy(), True
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=~headed), values.dictionary)


def _lengths(buffer: Bytes, lines: KeptLines) -> dict[str, pa.Array]:
    chars = lines.ends - lines.starts
    if not lines.is_ascii:
        inner = np.concatenate([[0], np.cumsum((buffer & 0xC0) == 0x80)])
        chars = chars - (inner[lines.ends] - inner[lines.starts])
    return {
        "e_words_len": pa.array(lines.words.astype(np.int32)),
        "e_trigrams_len": pa.array(np.maximum(chars - 2, 0).astype(np.int32)),
        "e_chars_len": pa.array(chars.astype(np.int32)),
        "e_lines_len": pa.array(np.ones(len(chars), dtype=np.int32)),
    }
