"""Formats of text: regular expressions (RE2) that are tried on whole columns of lines, one after another."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.slices import slices
from lo2dask.formats.fields import Fields, TextLines, join_fields
from lo2dask.formats.levels import normalise_levels, status_levels
from lo2dask.formats.times import Shape, read_times

GROUPS = ("level", "logger", "thread", "correlation_id", "method")


@dataclass(frozen=True)
class Pattern:
    """One form of a header: ``regex`` has the group ``time`` and any of GROUPS, ``shapes`` are those of its time.

    All of these have a date, or none has one. The message is what follows, or the group ``message``; ``before`` and
    ``pri`` are groups of their own (syslog). ``status`` is a regular expression whose group ``status``, the first digit
    of a status of HTTP in the message, tells the level.
    """

    regex: str
    shapes: tuple[Shape, ...]
    status: str = ""


@dataclass(frozen=True)
class TextFormat:
    """A format whose headers match one of some patterns; the earlier one counts.

    ``levels`` maps further names of levels; ``timezone``, where given, is that of times without one.
    ``indents``: whether indented lines continue the event above, whatever is in them.
    """

    name: str
    patterns: tuple[Pattern, ...]
    example: str
    levels: Mapping[str, str] = field(default_factory=dict)
    timezone: str = ""
    indents: bool = True

    def read(self, lines: TextLines) -> Fields:
        """Return the headers of lines."""
        waiting = np.flatnonzero(~lines.indented) if self.indents else np.arange(len(lines.starts))
        pieces = []
        for pattern in self.patterns:
            if not len(waiting):
                break
            some = lines if len(waiting) == len(lines.starts) else lines.take(waiting)
            found = self._match(pattern, some)
            if len(found.rows):
                pieces.append(Fields(**{**vars(found), "rows": waiting[found.rows]}))
                left = np.ones(len(waiting), dtype=bool)
                left[found.rows] = False
                waiting = waiting[left]
        return join_fields(pieces)

    def _match(self, pattern: Pattern, lines: TextLines) -> Fields:
        groups = pc.extract_regex(lines.texts, f"^(?P<head>{pattern.regex})")
        rows = np.flatnonzero(pc.is_valid(groups).to_numpy(zero_copy_only=False))
        if not len(rows):
            return Fields.none()
        if len(rows) < len(groups):
            groups = groups.take(pa.array(rows))
        column = {kind.name: pc.struct_field(groups, kind.name) for kind in groups.type}
        times = self._times(column["time"], pattern.shapes, lines, rows)
        if "message" in column:
            message = column["message"]
        else:
            head = pc.binary_length(column["head"]).to_numpy().astype(np.int64)
            message = slices(lines.buffer, lines.starts[rows] + head, lines.ends[rows])
        if pattern.status:
            column["level"] = status_levels(pc.struct_field(pc.extract_regex(message, pattern.status), "status"))
        if "before" in column:
            message = pc.binary_join_element_wise(column["before"], message, "")
        texts = {name: column[name] for name in GROUPS if name in column}
        if "pri" in column:
            texts["level"] = _severities(column["pri"])
        if "method" in texts and "logger" in texts:
            is_unnamed = pc.is_in(texts["logger"], pa.array(["", "-"]))
            texts["method"] = pc.if_else(is_unnamed, "", texts["method"])
        if "level" in texts:
            texts["level"] = normalise_levels(texts["level"], self.levels)
        return Fields(
            rows, times, message, **texts, has_date=pattern.shapes[0].has_date, timezone=self.timezone
        ).with_time()

    def _times(self, texts: pa.Array, shapes: tuple[Shape, ...], lines: TextLines, rows: Ints) -> Ints:
        timezone, latest = self.timezone or lines.timezone, lines.latest_ms[rows]
        times = read_times(texts, shapes[0], timezone, latest)
        for shape in shapes[1:]:
            missing = np.flatnonzero(times < 0)
            if len(missing):
                times[missing] = read_times(texts.take(pa.array(missing)), shape, timezone, latest[missing])
        return times


def _severities(priorities: pa.Array) -> pa.Array:
    """Return syslog's severities, as digits, of its priorities; "" of none."""
    coded = priorities.dictionary_encode()
    names = [str(int(text) % 8) if text else "" for text in coded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(coded.indices)
