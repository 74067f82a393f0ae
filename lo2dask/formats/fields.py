"""Lines to read and the fields of their headers, column by column, and the canonical lines that are written of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Bytes, Ints
from lo2dask.buffers.slices import slices
from lo2dask.formats.canonical import NO_TIME_TEXT, UNTIMED_MARK, write_times

# Canonical lines write years in four digits, and -1 stands for a line without a time.
_NO_TEXTS = ("rows", "time_ms", "has_date", "timezone")
_LATEST = 253_402_300_800_000


@dataclass(frozen=True)
class TextLines:
    """Lines of one format: slices of a padded buffer without white space at their ends.

    ``indented``: whether white space was before a line. ``file``: a number of each line's file, equal ones side by
    side; ``latest_ms``: that file's time of change; ``begin_ms``: where the day-long window of its run begins, NO_TIME
    where the run's name tells none; ``day_ms``: the day, from 1970 on, of the file's first line as names tell it, or
    NO_TIME; ``timezone``: the zone of times without one.
    """

    buffer: Bytes
    starts: Ints
    ends: Ints
    indented: Bools
    file: Ints
    latest_ms: Ints
    begin_ms: Ints
    day_ms: Ints
    timezone: str

    @cached_property
    def texts(self) -> pa.StringArray:
        """The lines as strings."""
        return slices(self.buffer, self.starts, self.ends)

    def take(self, rows: Ints) -> "TextLines":
        """Return some of the lines."""
        columns = ("starts", "ends", "indented", "file", "latest_ms", "begin_ms", "day_ms")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


@dataclass(frozen=True)
class Fields:
    """The headers of lines, ascending by ``rows``: time (ms since 1970), text columns, None where a format has none.

    A time below 0 is that of an event without one. Of a format without dates (``has_date``), times are ms since
    midnight, in the zone ``timezone`` ("" = that of the lines).
    """

    rows: Ints
    time_ms: Ints
    message: pa.Array
    level: pa.Array | None = None
    logger: pa.Array | None = None
    thread: pa.Array | None = None
    correlation_id: pa.Array | None = None
    method: pa.Array | None = None
    has_date: bool = True
    timezone: str = ""

    @classmethod
    def none(cls) -> "Fields":
        """Return the headers of no line."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), pa.array([], pa.string()))

    def with_time(self) -> "Fields":
        """Return those whose time is one that can be written."""
        fit = (self.time_ms >= 0) & (self.time_ms < _LATEST)
        return self if fit.all() else self.take(np.flatnonzero(fit))

    def with_or_without_time(self) -> "Fields":
        """Return all, those without a time that can be written as events without one."""
        return replace(self, time_ms=np.where(self.time_ms < _LATEST, np.maximum(self.time_ms, -1), -1))

    def take(self, chosen: Ints) -> "Fields":
        """Return some of them."""
        indices = pa.array(chosen)
        texts = {name: None if column is None else column.take(indices) for name, column in self._texts().items()}
        times = self.time_ms[chosen]
        return Fields(self.rows[chosen], times, **texts, has_date=self.has_date, timezone=self.timezone)

    def _texts(self) -> dict[str, pa.Array | None]:
        return {name: value for name, value in vars(self).items() if name not in _NO_TEXTS}


def join_fields(pieces: Sequence[Fields]) -> Fields:
    """Put the headers of different lines together, in the order of the lines."""
    if len(pieces) == 1:
        return pieces[0]
    texts: dict[str, pa.Array | None] = {}
    for name in pieces[0]._texts() if pieces else ():
        columns = [piece._texts()[name] for piece in pieces]
        if all(column is None for column in columns):
            continue
        filled = (
            pa.array([""] * len(piece.rows), pa.string()) if column is None else column
            for piece, column in zip(pieces, columns, strict=True)
        )
        texts[name] = pa.concat_arrays([column.cast(pa.string()) for column in filled])
    if not pieces:
        return Fields.none()
    rows = np.concatenate([piece.rows for piece in pieces])
    times = np.concatenate([piece.time_ms for piece in pieces])
    joined = Fields(rows, times, **texts, has_date=pieces[0].has_date, timezone=pieces[0].timezone)
    return joined.take(np.argsort(rows, kind="stable"))


def write_canonical(texts: pa.StringArray, fields: Fields) -> pa.StringArray:
    """Write canonical lines (formats.canonical) of lines with a header; the others stay as they are."""
    if not len(fields.rows):
        return _continued(texts)
    columns = [_spaced(column) for column in (fields.level, fields.logger, fields.method if fields.logger else None)]
    stamps = pa.array(fields.time_ms, mask=fields.time_ms < 0).dictionary_encode()
    times = write_times(stamps.dictionary.cast(pa.timestamp("ms"))).take(stamps.indices).fill_null(NO_TIME_TEXT)
    thread, correlation = _clean(fields.thread, " "), _clean(fields.correlation_id, "_")
    source = [column for column in columns if column is not None]
    lines = pc.binary_join_element_wise(
        times, " [", thread, "]  ", correlation, " ", *source, "- ", _one_line(fields.message), ""
    )
    if len(fields.rows) == len(texts):
        return lines
    mask = np.zeros(len(texts), dtype=bool)
    mask[fields.rows] = True
    return pc.replace_with_mask(_continued(texts), pa.array(mask), lines)


def _continued(texts: pa.StringArray) -> pa.StringArray:
    """Return lines without a header: a blank before them tells items of a list from events without a time."""
    is_item = pc.starts_with(texts, UNTIMED_MARK)
    if not pc.any(is_item).as_py():
        return texts
    return pc.if_else(is_item, pc.binary_join_element_wise(" ", texts, ""), texts)


def write_untimed(texts: pa.StringArray) -> pa.StringArray:
    """Write lines that are each an event without a time; blank ones stay blank."""
    return pc.if_else(pc.equal(texts, ""), texts, pc.binary_join_element_wise(UNTIMED_MARK, texts, ""))


def _one_line(texts: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(texts, r"[\r\n]")).as_py():
        return texts
    return pc.replace_substring_regex(texts, r"\r?\n", r"\\n")


def _clean(column: pa.Array | None, blank: str) -> pa.Array | str:
    """Return a column with single blanks in place of white space, "" for null; "" where there is none."""
    if column is None:
        return ""
    coded = column.dictionary_encode()
    texts = pc.replace_substring_regex(pc.utf8_trim_whitespace(coded.dictionary), r"\s+", blank)
    return pc.fill_null(texts.take(coded.indices), "")


def _spaced(column: pa.Array | None) -> pa.Array | None:
    """Return words with a space after each that is not empty; a dash alone is none."""
    if column is None:
        return None
    coded = column.dictionary_encode()
    texts = pc.replace_substring_regex(pc.utf8_trim_whitespace(coded.dictionary), r"\s+", "_")
    is_empty = pc.or_(pc.equal(texts, ""), pc.equal(texts, "-"))
    texts = pc.if_else(is_empty, "", pc.binary_join_element_wise(texts, " ", ""))
    return pc.fill_null(texts.take(coded.indices), "")
