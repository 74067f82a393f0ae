"""What a line looks like, as one value: how its header is found, read, masked and put together again."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bytes, Ints
from lo2dask.buffers.columns import strings
from lo2dask.formats.header import Header


@dataclass(frozen=True)
class LineFormat:
    """One line format: ``time thread correlation-id`` in a frame of constant text, then a statement.

    A format is a plain value that goes to workers with their job: its functions are those of modules, which import
    compiled code when they are called.

    Parameters
    ----------
    name : what the records of a load call it.
    find_headers : (padded buffer, starts, ends of its lines) -> Header.
    write_times : turn an Arrow array of timestamps into text as it stands in a header.
    frame : the constant text before time, thread, correlation id and statement.
    levels : the levels that a statement may begin with.
    after_level : regular expression (Python) of what follows the level, up to the message.
    source_separator : what separates level, logger and method; None = white space.
    has_date : whether times have a date; without one it comes from the run.
    has_whole_source : whether level, logger and method always stand together, else each may be missing before a dash.
    error_levels : the levels that count as errors.
    error_code : regular expression (Python) of codes that distinguish errors of one statement.
    own_start : regular expression (RE2) of lines without a header that say something of their own: an exception.
    example : a line, shown where none of a log has a time.
    time_mask, correlation_mask : the placeholders of time and correlation id in a masked header.
    """

    name: str
    find_headers: Callable[[Bytes, Ints, Ints], Header]
    write_times: Callable[[pa.Array], pa.Array]
    frame: tuple[str, str, str, str]
    levels: tuple[str, ...]
    after_level: str
    source_separator: str | None = None
    has_date: bool = False
    has_whole_source: bool = True
    error_levels: tuple[str, ...] = ("ERROR",)
    error_code: str | None = None
    own_start: str | None = None
    example: str = ""
    time_mask: str = "<TIME>"
    correlation_mask: str = "<CID>"

    @property
    def has_separable_header(self) -> bool:
        """Return whether words and trigrams of a header can be counted field by field.

        So it is where a space ends each field, and no three bytes reach from one field over its neighbour's frame.
        """
        before, thread, correlation, statement = self.frame
        spaces = thread[:1] == correlation[-1:] == statement == " "
        return not before and spaces and len(thread) > 1 and len(correlation) > 1

    def join_lines(self, times: Any, threads: Any, correlations: Any, statements: Any) -> pa.Array:
        """Put whole lines together from columns of lines with a full header: null where one of them is null.

        ``times`` are timestamps of any unit, the others text, dictionary-encoded or not, chunked or not.
        """
        times = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
        before, *frame = self.frame
        fields = zip(frame, map(strings, (threads, correlations, statements)), strict=True)
        parts = [part for pair in fields for part in pair]
        return pc.binary_join_element_wise(before, self.write_times(times), *parts, "")

    def frame_threads(self, threads: pa.Array) -> pa.Array:
        """Return thread names (string) as masks see them: between what of the frame is no space, as ``[main]``."""
        _, before, after, _ = self.frame
        return pc.binary_join_element_wise(before.lstrip(" "), threads, after.rstrip(" "), "")

    def mask_headers(self, threads: Sequence[str]) -> list[str]:
        """Return two masked headers for each masked framed thread: without a correlation id, and with one."""
        before, thread, correlation, statement = self.frame
        left, right = (" " * (len(text) - len(text.strip(" "))) for text in (thread, correlation))
        start, ends = f"{before}{self.time_mask}{left}", (statement, f"{self.correlation_mask}{statement}")
        return [f"{start}{text}{right}{end}" for text in threads for end in ends]

    def split_source(self, source: str) -> tuple[str, str, str]:
        """Split the text between correlation id and message into level, logger and method, "" where there is none."""
        parts = source.split(self.source_separator)
        if not self.has_whole_source:
            parts = parts[: parts.index("-")] if "-" in parts else parts
            parts = parts if parts and parts[0] in self.levels else ["", *parts]
        parts += ["", "", ""]
        return parts[0], parts[1], parts[2]

    @cached_property
    def source_pattern(self) -> re.Pattern[str]:
        """The pattern of a statement up to its message."""
        optional = "" if self.has_whole_source else "?"
        return re.compile(f"(?:{'|'.join(map(re.escape, self.levels))}){optional}{self.after_level}")

    def find_source_end(self, statement: str) -> int:
        """Return where the message of a statement begins; 0 where it does not begin with a level and its source."""
        match = self.source_pattern.match(statement)
        return match.end() if match else 0

    def find_error_code(self, statement: str) -> str:
        """Return the first error code in a statement, "" without one."""
        match = re.search(self.error_code, statement) if self.error_code else None
        return match[0] if match else ""
