"""Any line with a time near its start: what is before it is left out but a level, the first level word after it counts.

What stands between time and level becomes the thread. One regular expression for all would be three times slower: each
part of a header is looked for by one of its own, where the part before ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.slices import slices
from lo2dask.formats.fields import Fields, TextLines, join_fields
from lo2dask.formats.levels import UPPER_WORD, WORD, normalise_levels
from lo2dask.formats.times import SHAPES, Shape, read_times

# A time begins at most so many bytes into a line.
_LAST_START = 64
_BEFORE, _AFTER = r"""[\s\[(|<"'=,;>]""", r"""[\s\]),;:|>"'-]"""
_LEVEL = rf"(?P<level>[\[(<|]?(?:{UPPER_WORD})[\])>|]?|\[(?:{WORD})\])(?:[\s:,-]+|$)"
_DIRECT, _LATER = f"^{_LEVEL}", rf"^(?P<thread>(?:\S+ +){{1,4}}?){_LEVEL}"
_LOGGER = r"^(?P<logger>[A-Za-z_][\w$]*(?:\.[\w$]+)+)(?:: | - )"


@dataclass(frozen=True)
class TimedFormat:
    """Lines with a time near their start; the shapes of times are looked for in their order."""

    name: str = "timed"
    shapes: Sequence[Shape] = SHAPES
    example: str = "2026-01-02-03.04.05.678901 node-3 INFO cache parity error corrected"

    def read(self, lines: TextLines) -> Fields:
        """Return the headers of lines."""
        waiting, pieces = np.flatnonzero(~lines.indented), []
        for shape in self.shapes:
            if not len(waiting):
                break
            found = _read_shape(shape, lines if len(waiting) == len(lines.starts) else lines.take(waiting))
            pieces.append(replace(found, rows=waiting[found.rows]))
            left = np.ones(len(waiting), dtype=bool)
            left[found.rows] = False
            waiting = waiting[left]
        return join_fields([piece for piece in pieces if len(piece.rows)])


def _read_shape(shape: Shape, lines: TextLines) -> Fields:
    pattern = f"(?:^|{_BEFORE}){shape.bare}(?:{_AFTER}|$)"
    at = pc.find_substring_regex(lines.texts, pattern).to_numpy().astype(np.int64)
    rows = np.flatnonzero((at >= 0) & (at <= _LAST_START))
    if not len(rows):
        return Fields.none()
    starts, ends = lines.starts[rows] + at[rows], lines.ends[rows]
    found = pc.extract_regex(
        slices(lines.buffer, starts, ends), f"^(?P<head>{_BEFORE}?(?P<time>{shape.bare})(?:{_AFTER}+|$))"
    )
    times = read_times(pc.struct_field(found, "time"), shape, lines.timezone, lines.latest_ms[rows])
    begins, starts = starts, starts + pc.binary_length(pc.struct_field(found, "head")).to_numpy()
    (level,), starts = _cut(lines, (starts, ends), np.arange(len(rows)), _DIRECT, ("level",))
    unknown = np.flatnonzero(pc.equal(level, "").to_numpy(zero_copy_only=False) & (at[rows] > 0))
    (before,), _ = _cut(lines, (lines.starts[rows], begins), unknown, _DIRECT, ("level",))
    level = pc.binary_join_element_wise(level, before, "")
    unknown = np.flatnonzero(pc.equal(level, "").to_numpy(zero_copy_only=False))
    (later, thread), starts = _cut(lines, (starts, ends), unknown, _LATER, ("level", "thread"))
    level = normalise_levels(pc.binary_join_element_wise(level, later, ""))
    levelled = np.flatnonzero(pc.not_equal(level, "").to_numpy(zero_copy_only=False))
    (logger,), starts = _cut(lines, (starts, ends), levelled, _LOGGER, ("logger",))
    return Fields(rows, times, slices(lines.buffer, starts, ends), level, logger, thread).with_time()


def _cut(
    lines: TextLines, bounds: tuple[Ints, Ints], chosen: Ints, pattern: str, names: Sequence[str]
) -> tuple[list[pa.Array], Ints]:
    """Cut what a pattern matches off the begin of chosen slices; return its groups ("" of others) and new starts."""
    starts, ends = bounds
    n, empty = len(starts), pa.array([""], pa.string())
    columns = [empty.take(pa.array(np.zeros(n, np.int64)))] * len(names)
    if not len(chosen):
        return columns, starts
    found = pc.extract_regex(slices(lines.buffer, starts[chosen], ends[chosen]), f"^(?P<head>{pattern[1:]})")
    mask, starts = np.zeros(n, dtype=bool), starts.copy()
    mask[chosen] = True
    group = [pc.fill_null(pc.struct_field(found, name), "") for name in ("head", *names)]
    starts[chosen] += pc.binary_length(group[0]).to_numpy()
    if len(chosen) == n:
        return group[1:], starts
    return [
        pc.replace_with_mask(column, pa.array(mask), own) for column, own in zip(columns, group[1:], strict=True)
    ], starts
