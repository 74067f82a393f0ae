"""What tools put before each line, or around it; they come off first, from the outside in."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from lo2dask.buffers.arrays import Bools, Bytes, Ints
from lo2dask.buffers.padded import padded_text, text_bytes
from lo2dask.buffers.slices import slices
from lo2dask.formats.fields import TextLines
from lo2dask.formats.json_lines import read_objects

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}(?:Z|[+-]\d\d:\d\d)"
PREFIXES = {
    "compose": r"[A-Za-z0-9][\w.-]* +\|(?: |$)",
    "kubectl": r"\[pod/[^\]\s]+\](?: |$)",
    "cri": rf"{_TIME} (?:stdout|stderr) [FP](?: |$)",
    "docker": rf"{_TIME}(?: |$)",
    # Of docker's json-file the whole line is the wrapper.
    "json-file": r'\{"log":".*"stream":"std(?:out|err)".*"time":"[^"]*"',
}
CSV = "csv:"
_JSON_FILE = pj.ParseOptions(
    explicit_schema=pa.schema([("log", pa.string()), ("time", pa.string())]), unexpected_field_behavior="ignore"
)
# A wrapper whose time stays where the text within it has none: the line becomes that time and the text.
_WITH_TIME = {"cri": "cri-time", "json-file": "json-file-time"}
# Names of a CSV column that holds the line.
_COLUMNS = ("log", "line", "message", "msg", "body", "content", "raw", "text")
_FIELD = r'(?:"(?:[^"]|"")*"|[^,"]*)'
_MOST_COLUMNS = 100


def unwrap(lines: TextLines, wrappers: Sequence[str]) -> TextLines:
    """Take wrappers off lines; a line without one stays as it is."""
    for name in wrappers:
        if name.startswith(CSV):
            lines = _csv_column(lines, int(name.removeprefix(CSV)))
        elif name == "cri-time":
            lines = _cri_time(lines)
        elif name.startswith("json-file"):
            lines = _json_file(lines, name.endswith("-time"))
        else:
            lines = _without_prefix(lines, name)
    return lines


def with_own_time(wrappers: Sequence[str]) -> tuple[str, ...]:
    """Return wrappers of which the innermost leaves its time to the line; one that is a time alone stays on."""
    return (*wrappers[:-1], *(_WITH_TIME[name] for name in wrappers[-1:] if name in _WITH_TIME))


def find_wrappers(lines: TextLines) -> tuple[str, ...]:
    """Return the wrappers that most of some lines have, from the outside in."""
    names: list[str] = []
    header = lines.texts[0].as_py().lower().split(",") if len(lines.texts) else []
    columns = [column.strip(' "') for column in header]
    column = next((columns.index(name) for name in _COLUMNS if name in columns), None)
    if column is not None and 1 < len(columns) <= _MOST_COLUMNS and all(re.fullmatch(r"[\w. -]+", c) for c in columns):
        names.append(f"{CSV}{column}")
        lines = unwrap(lines, names)
    while len(names) < len(PREFIXES):
        for name, pattern in PREFIXES.items():
            share = pc.sum(pc.match_substring_regex(lines.texts, f"^{pattern}")).as_py() or 0
            if 2 * share > len(lines.texts):
                names.append(name)
                lines = unwrap(lines, (name,))
                break
        else:
            break
    return tuple(names)


def _without_prefix(lines: TextLines, name: str) -> TextLines:
    found = pc.extract_regex(lines.texts, rf"^(?P<wrapper>{PREFIXES[name]})(?P<indent>\s*)")
    wrapper, indent = (
        pc.fill_null(pc.binary_length(pc.struct_field(found, group)), 0).to_numpy().astype(np.int64)
        for group in ("wrapper", "indent")
    )
    has_one = wrapper > 0
    if name == "cri":
        parts, stream = _cri_parts(lines, wrapper)
        if parts.any():
            return _join_parts(replace(lines, starts=lines.starts + wrapper), parts, stream, has_one)
    return replace(
        lines, starts=lines.starts + wrapper + indent, indented=np.where(has_one, indent > 0, lines.indented)
    )


def _cri_parts(lines: TextLines, wrapper: Ints) -> tuple[Bools, Bytes]:
    """Return which lines are parts (P) that the next one of their stream goes on with, and each line's stream."""
    end = np.maximum(lines.starts + wrapper - 1, lines.starts)
    # The blank behind the P or F is not there where nothing follows.
    tag = end - (lines.buffer[end] == ord(" "))
    has_one = wrapper > 0
    stream = np.where(has_one, lines.buffer[np.maximum(tag - 2, 0)], 0)
    return has_one & (lines.buffer[tag] == ord("P")), stream


def _join_parts(lines: TextLines, parts: Bools, stream: Bytes, has_one: Bools) -> TextLines:
    """Join the parts of each line into the first one's row; the rows of the others are blank."""
    order = np.lexsort((stream, lines.file))  # which keeps the order of lines within a stream
    is_first = np.ones(len(order), dtype=bool)
    same = (np.diff(lines.file[order]) == 0) & (stream[order][1:] == stream[order][:-1])
    is_first[1:] = ~(parts[order][:-1] & same)
    firsts = np.flatnonzero(is_first)
    offsets = pa.array(np.append(firsts, len(order)), pa.int32())
    whole = pc.binary_join(pa.ListArray.from_arrays(offsets, lines.texts.take(pa.array(order))), "")
    place = np.full(len(order), len(firsts))
    place[order[firsts]] = np.arange(len(firsts))
    joined = _rewritten(lines, pa.concat_arrays([whole, pa.array([""])]).take(pa.array(place)))
    return replace(joined, indented=np.where(has_one, joined.indented, lines.indented))


def _cri_time(lines: TextLines) -> TextLines:
    pattern = rf"^(?P<time>{_TIME}) (?P<stream>stdout|stderr) (?P<end>[FP])(?: (?P<inner>.*))?$"
    time, stream, end, inner = pc.extract_regex(lines.texts, pattern).flatten()
    # What follows a part (P) of a line goes on with it, and is no event.
    is_part = pc.fill_null(pc.equal(end, "P"), False).to_numpy(zero_copy_only=False)
    is_out = pc.fill_null(pc.equal(stream, "stdout"), False).to_numpy(zero_copy_only=False)
    continues = np.zeros(len(time), dtype=bool)
    continues[1:] = is_part[:-1] & (is_out[1:] == is_out[:-1])
    whole = _rewritten(lines, pc.coalesce(inner, lines.texts), pc.if_else(pa.array(continues), None, time))
    return replace(whole, indented=whole.indented | continues)


def _json_file(lines: TextLines, with_time: bool) -> TextLines:
    rows = np.flatnonzero(lines.ends > lines.starts)
    log, time, rows = _json_columns(lines, rows)
    log = pc.utf8_rtrim(log, "\r\n")
    # A line stays one line, and colours that were escaped until here go as others do.
    log = pc.replace_substring_regex(log, r"\x1b\[[0-9;]*[A-Za-z]", "")
    log = pc.coalesce(pc.replace_substring(log, "\n", "\\n"), lines.texts.take(pa.array(rows)))
    if len(rows) == len(lines.starts):
        return _rewritten(lines, log, time if with_time else None)
    is_one = np.zeros(len(lines.starts), dtype=bool)
    is_one[rows] = True
    times = pc.replace_with_mask(pa.nulls(len(is_one), pa.string()), pa.array(is_one), time)
    inner = pc.replace_with_mask(lines.texts, pa.array(is_one), log)
    return _rewritten(lines, inner, times if with_time else None)


def _json_columns(lines: TextLines, rows: Ints) -> tuple[pa.Array, pa.Array, Ints]:
    """Return log and time of rows that are objects, null where they are no text; and the rows that are."""
    starts, ends = lines.starts[rows], lines.ends[rows]
    if len(rows) and (lines.buffer[starts] == ord("{")).all() and (lines.buffer[ends - 1] == ord("}")).all():
        text, offsets = text_bytes(slices(lines.buffer, starts, ends + 1))
        text = text[offsets[0] : offsets[-1]].copy()
        text[offsets[1:] - offsets[0] - 1] = ord("\n")
        try:
            table = pj.read_json(pa.py_buffer(text), pj.ReadOptions(False, len(text)), _JSON_FILE)
        except pa.ArrowInvalid:
            pass  # one by one, then
        else:
            if table.num_rows == len(rows):
                return *(table[name].combine_chunks() for name in ("log", "time")), rows
    objects, rows = read_objects(lines, rows)
    values = ([one.get(name) for one in objects] for name in ("log", "time"))
    log, time = (pa.array([one if isinstance(one, str) else None for one in some], pa.string()) for some in values)
    return log, time, rows


def _csv_column(lines: TextLines, column: int) -> TextLines:
    texts = lines.texts
    pattern = rf'^(?:{_FIELD},){{{column}}}(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<bare>[^,"]*))(?:,|$)'
    found = pc.extract_regex(texts, pattern)
    quoted = pc.replace_substring(pc.struct_field(found, "quoted"), '""', '"')
    inner = pc.binary_join_element_wise(quoted, pc.struct_field(found, "bare"), "")
    return _rewritten(lines, pc.if_else(pc.is_valid(found), inner, texts))


def _rewritten(lines: TextLines, inner: pa.Array, times: pa.Array | None = None) -> TextLines:
    """Put texts in place of lines; a time, where there is one, before a text that is not indented or blank."""
    trimmed = pc.utf8_trim_whitespace(inner)
    is_indented = pc.not_equal(pc.utf8_ltrim_whitespace(inner), inner)
    if times is not None:
        is_bare = pc.or_(is_indented, pc.equal(trimmed, ""))
        timed = pc.binary_join_element_wise(times, trimmed, " ")
        trimmed = pc.if_else(is_bare, trimmed, pc.coalesce(timed, trimmed))
    buffer, offsets = padded_text(trimmed.cast(pa.string()))
    indented = is_indented.to_numpy(zero_copy_only=False).astype(bool)
    return replace(lines, buffer=buffer, starts=offsets[:-1], ends=offsets[1:], indented=indented)
