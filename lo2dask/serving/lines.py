"""Search in the lines of a folder, row group by row group: small columns first, texts where they may fit.

One row group of texts takes about 100 MB while it is read, so no two are read at once.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from lo2dask.findings.read import Case
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.registry import find_format
from lo2dask.parse.raw_lines import COLUMNS, raw_line
from lo2dask.schema import DICTIONARY, DRAIN_ID, LINES, seq_id
from lo2dask.storage import source_of
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import read_load
from lo2dask.tables.parts import part_paths, read_rows

_KEYS = ("run", "test_case", "service")
_EVENTS = tuple(dict.fromkeys((*_KEYS, "seq_id", "line_no", "level", DRAIN_ID.name, *COLUMNS)))
# A row group is read in one piece, else its dictionary comes in several.
_WHOLE = 1 << 30
_SPARING = ds.ParquetFragmentScanOptions(pre_buffer=False)
Row = dict[str, Any]
# What is asked of each column: a mask of an array.
Tests = dict[str, Callable[[Any], Any]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a line must have; an empty text, or None, is anything. ``text`` is a part of the line, in its case."""

    runs: Sequence[str] = ()
    test_cases: Sequence[str] = ()
    service: str = ""
    template: str = ""
    text: str = ""
    start: datetime | None = None
    end: datetime | None = None


def search_events(layout: Layout, wanted: Wanted, most: int) -> list[Row]:
    """Find the first lines in lo2_events.parquet: log, number, time, level, template and the whole line.

    The text is looked for in the message, which is the line from its level on.
    """
    tests = _tests(wanted, "m_timestamp")
    if wanted.template:
        tests[DRAIN_ID.name] = lambda column: pc.equal(column, wanted.template)
    if wanted.text:
        tests["m_message"] = lambda column: _contains(column, wanted.text)
    found = _search(layout.events, tests, _EVENTS, _range(wanted), most)
    return [] if not found.num_rows else _event_rows(layout, found)


def search_kept(layout: Layout, wanted: Wanted, most: int) -> list[Row]:
    """Find the first lines in lo2_lines.parquet, which holds the most unusual ones alone."""
    tests = _tests(wanted, "time")
    if wanted.template:
        texts = read_rows(layout.statements, ["text"], [(DRAIN_ID.name, "==", wanted.template)])["text"]
        tests["statement"] = lambda column: pc.is_in(column, texts.combine_chunks())
    if wanted.text:
        tests["text"] = lambda column: _contains(column, wanted.text)
    columns = [name for name in LINES.names if name not in ("score", "statement")]
    rows: list[Row] = _search(layout.lines, tests, columns, None, most).to_pylist()
    return rows


def _tests(wanted: Wanted, time: str) -> Tests:
    """Make a test of each column that matters, the cheapest first."""
    tests: Tests = {}
    if wanted.runs:
        tests["run"] = lambda column: pc.is_in(column, pa.array(wanted.runs))
    if wanted.test_cases:
        tests["test_case"] = lambda column: pc.is_in(column, pa.array(wanted.test_cases))
    if wanted.service:
        tests["service"] = lambda column: pc.equal(column, wanted.service)
    if wanted.start or wanted.end:
        low, high = wanted.start or datetime.min, wanted.end or datetime.max
        tests[time] = lambda column: pc.and_(
            pc.greater_equal(column, _scalar(low, column.type)), pc.less(column, _scalar(high, column.type))
        )
    return tests


def _scalar(time: datetime, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(time.replace(tzinfo=None), pa.timestamp("us")).cast(kind)


def _range(wanted: Wanted) -> pc.Expression | None:
    """Return what row groups are left out by: the columns that have statistics are the key and the time."""
    parts = []
    if wanted.runs:
        # All keys of a run begin with its name.
        low, high = min(wanted.runs) + "__", max(wanted.runs) + "__\U0010ffff"
        parts += [pc.field("seq_id") >= low, pc.field("seq_id") <= high]
    if wanted.start:
        parts.append(pc.field("m_timestamp") >= _scalar(wanted.start, pa.timestamp("us", "UTC")))
    if wanted.end:
        parts.append(pc.field("m_timestamp") < _scalar(wanted.end, pa.timestamp("us", "UTC")))
    found = None
    for part in parts:
        found = part if found is None else found & part
    return found


def _search(
    folder: Path,
    tests: dict[str, Callable[[Any], Any]],
    columns: Sequence[str],
    within: pc.Expression | None,
    most: int,
) -> pa.Table:
    """Return some columns of the first rows that pass all tests, in the table's order."""
    found: list[pa.Table] = []
    missing = most
    for group in _row_groups(folder, within):
        chosen = _chosen(group, tests)[:missing]
        if len(chosen):
            # One column after the other: together they are a hundred times what is shown.
            rows = {name: _read(group, [name]).column(0).take(chosen) for name in columns}
            found.append(_plain(pa.table(rows)))
            missing -= len(chosen)
        if not missing:
            break
    return pa.concat_tables(found) if found else pa.table({name: pa.array([], pa.string()) for name in columns})


def _row_groups(folder: Path, within: pc.Expression | None) -> Iterator[ds.ParquetFileFragment]:
    """List the row groups that may have a row, one at a time: no more than one is held."""
    for path in part_paths(folder):
        part = ds.dataset(source_of(path), format=ds.ParquetFileFormat(dictionary_columns=[*DICTIONARY]))
        for fragment in part.get_fragments():
            yield from fragment.split_by_row_group(within, schema=part.schema)


def _read(group: ds.ParquetFileFragment, columns: Sequence[str]) -> pa.Table:
    return group.to_table(columns=list(columns), batch_size=_WHOLE, use_threads=False, fragment_scan_options=_SPARING)


def _chosen(group: ds.ParquetFileFragment, tests: Tests) -> pa.Array:
    """Return the numbers of the rows that pass all tests; a column is read only where a row is left."""
    mask = None
    for name, test in tests.items():
        own = _on_distinct(_read(group, [name]).column(0), test)
        mask = own if mask is None else pc.and_(mask, own)
        if not pc.any(mask).as_py():
            return pa.array([], pa.uint64())
    if mask is None:
        return pa.array(range(group.count_rows()))
    return pc.indices_nonzero(pc.fill_null(mask, False))


def _on_distinct(column: pa.ChunkedArray, test: Callable[[Any], Any]) -> pa.Array:
    """Test each distinct value of a column once."""
    array = column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(array.type):
        return test(array)
    found = test(array.dictionary)
    return found.take(array.indices) if pc.any(found).as_py() else pa.repeat(False, len(array))


def _contains(texts: pa.Array, part: str) -> pa.Array:
    """Return which texts have a part; all bytes at once are searched first, which mostly tells that none has."""
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    data = texts.buffers()[2]
    if data is None or not re.search(re.escape(part.encode(errors="replace")), memoryview(data)):
        return pa.repeat(False, len(texts))
    return pc.match_substring(texts, part)


def _plain(table: pa.Table) -> pa.Table:
    """Turn dictionary-encoded columns into texts: parts have dictionaries of their own."""
    fields = [pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in table.schema]
    return table.cast(pa.schema(fields))


def _event_rows(layout: Layout, events: pa.Table) -> list[Row]:
    paths = log_paths(layout, {(row["run"], row["test_case"]) for row in events.select(_KEYS[:2]).to_pylist()})
    lines = raw_line(events, _format(layout)).to_pylist()
    return [
        {
            **{name: row[name] for name in _KEYS},
            **{"path": paths.get(row["seq_id"]), "line_no": row["line_no"], "time": row["m_timestamp"]},
            **{"level": row["level"], "template": row[DRAIN_ID.name], "text": line},
        }
        for row, line in zip(events.to_pylist(), lines, strict=True)
    ]


def _shown_path(row: Row) -> str:
    path = ":".join(filter(None, (row["path"], row["member"])))
    files = len(row["parts"])
    return f"{path} (lines counted over {files} files, the oldest first)" if files > 1 else path


def log_paths(layout: Layout, cases: set[Case]) -> dict[str, str]:
    """Find the logs of some cases in the manifest: the path of each sequence, ``path:member`` in a tar.

    Of a rotated log, whose lines are counted over all of its files, that is said.
    """
    columns = [*_KEYS, "name", "path", "member", "parts"]
    runs = pa.array(sorted({run for run, _ in cases}), pa.string())
    rows = read_rows(layout.manifest, columns, pc.field("selected") & pc.field("run").isin(runs)).to_pylist()
    return {
        seq_id(row["run"], row["test_case"], row["name"]): _shown_path(row)
        for row in rows
        if (row["run"], row["test_case"]) in cases
    }


def _format(layout: Layout) -> LineFormat:
    return find_format((read_load(layout) or {}).get("format") or "lo2")
