"""Cells of text tables, and times in seconds: what is not what it should be is left out and named, the rest is kept."""

import contextlib
import io
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from lo2dask import schema
from lo2dask.buffers.arrays import Bools
from lo2dask.buffers.columns import microseconds

Floats = npt.NDArray[np.float64]
# Times in ms are beyond it since 1973, times in seconds until the year 5138.
_LATEST_SECONDS = 1e11
# A cell of more lines has a quote that was left open.
_MOST_LINES = 1000
_QUOTED = re.compile(rb'(?:^|(?<=,))"(?:[^"]|"")*"(?!")')


class MetricError(ValueError):
    """A metric file is not what it should be; the message is the reason."""


def time_problem(seconds: Floats) -> str:
    """Return what is wrong with times in seconds since 1970; "" if nothing."""
    wrong = ~((seconds >= 0) & (seconds < _LATEST_SECONDS))
    if not wrong.any():
        return ""
    first = float(seconds[wrong][0])
    return f"{first:.15g} is no time in seconds since 1970" + (
        ", but perhaps in ms" if first >= _LATEST_SECONDS else ""
    )


def read_text_table(data: bytes, newlines: bool = False) -> tuple[pa.Table, list[str]]:
    """Read CSV with every cell as text; return the table, and what is wrong with the rows that are left out.

    ``newlines`` allows them within quoted cells. A row whose quote is not closed is left out, not those after it.

    Raises
    ------
    MetricError : it is no CSV.
    """
    table, skipped = _read_rows(data)
    in_cells = (pc.any(pc.match_substring(column, "\n")).as_py() for column in table.columns)
    last = data.rstrip(b"\r\n").rpartition(b"\n")[2]
    problems: list[str] = []
    if any("\n" in row.text for row in skipped) or last.count(b'"') % 2 or any(in_cells):
        data, problems = _drop_unclosed(data.splitlines(keepends=True), _MOST_LINES if newlines else 1)
        table, skipped = _read_rows(data)
    cells = (f"a row has {row.actual_columns} cells, not {row.expected_columns}: {row.text[:60]!r}" for row in skipped)
    return table, [*problems, *cells]


def _read_rows(data: bytes) -> tuple[pa.Table, list[pc_csv.InvalidRow]]:
    """Read the rows of CSV; return them, and those that have not as many cells as the first."""
    skipped: list[pc_csv.InvalidRow] = []

    def skip(row: pc_csv.InvalidRow) -> str:
        """Leave a row out, and keep it."""
        skipped.append(row)
        return "skip"

    try:
        header = pc_csv.read_csv(io.BytesIO(data.split(b"\n", 1)[0] + b"\n")).column_names
        convert = pc_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
        read = pc_csv.ReadOptions(use_threads=False, block_size=max(len(data), 1))
        parse = pc_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)
        table = pc_csv.read_csv(io.BytesIO(data), read_options=read, parse_options=parse, convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise MetricError(f"invalid CSV: {str(error).splitlines()[0]}") from error
    return table, skipped


def _drop_unclosed(lines: list[bytes], most: int) -> tuple[bytes, list[str]]:
    """Leave out rows whose quote is open after ``most`` lines or where the next row begins, and name them."""
    width, kept, problems, at = len(_split(lines[0])), [], [], 0
    while at < len(lines):
        end = at + 1
        while is_open := _is_open(lines[at:end]):
            if end == len(lines) or end - at >= most or _is_row(lines[end], width):
                break
            end += 1
        if is_open:
            text = lines[at][:60].decode(errors="replace").rstrip()
            problems.append(f"line {at + 1}: a quote is not closed: {text!r}")
            end = at + 1
        else:
            kept += lines[at:end]
        at = end
    return b"".join(kept), problems


def _is_open(lines: Sequence[bytes]) -> bool:
    """Return whether lines end within a quoted cell: another line would belong to the same row."""
    plain = _QUOTED.sub(b"x", b"".join(lines)) if b'"' in lines[0] else b""
    return plain.startswith(b'"') or b',"' in plain


def _is_row(line: bytes, width: int) -> bool:
    """Return whether a line is a row by itself: so many cells, of which the first is one word."""
    cells = _split(line)
    return len(cells) == width and len(cells[0].split()) == 1


def _split(line: bytes) -> list[bytes]:
    """Split a line into cells, without what is quoted."""
    closed, quote, _ = _QUOTED.sub(b"x", line).partition(b',"')
    return closed.split(b",") + [b"x"] * bool(quote)


def read_numbers(cells: pa.Array) -> tuple[pa.Array, list[str]]:
    """Cast text to float64; an empty cell is null, and one that is no number too, which is a problem."""
    plain = or_null(without_plus(cells))
    with contextlib.suppress(pa.ArrowInvalid):
        return plain.cast(pa.float64()), []
    values, problems = [], []
    for text in plain.to_pylist():
        try:
            values.append(None if text is None else float(text))
        except ValueError:
            values.append(None)
            problems.append(f"a cell is no number: {text[:60]!r}")
    return pa.array(values, pa.float64()), problems


def read_times(cells: pa.Array) -> tuple[pa.Array, Bools, list[str]]:
    """Read moments, seconds since 1970 or ISO 8601; return them, which cells are one, and what the others are."""
    # A cell that is no number may be the header of a table that was appended: what the others are is asked of them.
    is_number = pc.match_substring_regex(cells, r"^\s*[-+.\d]+(?:[eE][-+]?\d+)?\s*$").fill_null(False)
    if not pc.any(is_number).as_py():
        return parse_times(cells)
    seconds, _ = read_numbers(pc.if_else(is_number, cells, pa.scalar(None, pa.string())))
    times = seconds.fill_null(-1).to_numpy()
    is_time = (times >= 0) & (times < _LATEST_SECONDS)
    bad = zip(cells.filter(pa.array(~is_time)).to_pylist(), times[~is_time].tolist(), strict=True)
    problems = [f"no time: {text[:60]!r}" if value == -1 else time_problem(np.array([value])) for text, value in bad]
    return from_seconds(np.where(is_time, times, 0)), is_time, problems


def parse_times(cells: pa.Array) -> tuple[pa.Array, Bools, list[str]]:
    """Cast ISO 8601 text to UTC; return the times, which cells are one (or empty), and what the others are."""
    with contextlib.suppress(MetricError):
        return parse_iso(cells), np.ones(len(cells), dtype=bool), []
    times, problems = [], []
    for text in cells.to_pylist():
        try:
            times.append((parse_iso(pa.array([text], pa.string()))[0], True))
        except MetricError:
            times.append((None, False))
            problems.append(f"no time: {text[:60]!r}")
    return pa.array([time for time, _ in times], schema.TIME), np.array([is_time for _, is_time in times]), problems


def parse_iso(cells: pa.Array) -> pa.Array:
    """Cast ISO 8601 text, with or without an offset, to UTC; an empty cell is null.

    Raises
    ------
    MetricError : a cell is no time.
    """
    plain = or_null(cells)
    # The form that Jaeger writes is recognised without a regular expression on each cell.
    aware = plain
    if not pc.all(pc.ends_with(plain, "+00:00")).as_py():
        offset = pc.match_substring_regex(plain, r"(?:Z|[+-]\d{2}:?\d{2})$").fill_null(True)
        aware = pc.if_else(offset, plain, pc.binary_join_element_wise(plain, "Z", ""))
    try:
        return aware.cast(schema.TIME)
    except pa.ArrowInvalid as error:
        raise MetricError(f"no time: {error}") from error


def without_plus(texts: pa.Array) -> pa.Array:
    """Remove the signs of positive numbers and exponents, which Arrow does not read."""
    return pc.replace_substring_regex(texts, r"(^\s*|[eE])\+", r"\1")


def or_null(cells: pa.Array) -> pa.Array:
    """Turn empty cells into nulls."""
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def from_seconds(seconds: Floats) -> pa.Array:
    """Turn seconds since 1970 into times (schema.TIME), to the millisecond."""
    return microseconds(np.round(seconds * 1000).astype(np.int64))
