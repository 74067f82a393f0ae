"""Turns times into timestamps: where a line has no date, it comes from the run's name, midnight from its clock."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.formats.fields import Fields, TextLines
from lo2dask.formats.times import to_utc
from lo2dask.sources.names import DAY_MS, HOUR_MS

NO_TIME = int(np.iinfo(np.int64).min)
# A jump back by more is a midnight; one forward by more is a line from before it.
_MIDNIGHT, _BEFORE_MIDNIGHT = DAY_MS // 2, DAY_MS - HOUR_MS


def to_timestamps(time_ms: Ints, begin_ms: Ints, first_rows: Ints) -> Ints:
    """Put times of day into their run's day-long window.

    Parameters
    ----------
    time_ms : time of day of each line in ms, -1 = none.
    begin_ms : begin of each line's window, ms since 1970; NO_TIME where the run's name tells no epoch. Such a file
        counts from 1970-01-01, and a jump back by over half a day is a midnight.
    first_rows : row of the first line of each line's file.

    Returns
    -------
    ms since 1970 (UTC), NO_TIME where a line has no time.
    """
    timed = time_ms >= 0
    stamps = np.where(timed, begin_ms + (time_ms - begin_ms) % DAY_MS, NO_TIME)
    unknown = timed & (begin_ms == NO_TIME)
    if unknown.any():
        stamps[unknown] = time_ms[unknown] + DAY_MS * _midnights(time_ms[unknown], first_rows[unknown])
    return stamps


def continue_day(stamps: Ints, last: int) -> Ints:
    """Move a later block of a file without an epoch to the day on which the block before it ended (``last``, ms)."""
    timed = stamps != NO_TIME
    if last == NO_TIME or not timed.any():
        return stamps
    first = int(stamps[timed][0])
    step = first % DAY_MS - last % DAY_MS
    days = last // DAY_MS - first // DAY_MS + int(step < -_MIDNIGHT) - int(step > _BEFORE_MIDNIGHT)
    return np.where(timed, stamps + days * DAY_MS, stamps)


@dataclass
class Days:
    """Puts times of day of lines to translate on their days, block after block of a batch's files.

    Where the run's name has no epoch, a file's first time is on the day that its name or its run's tells, else the
    latest one that is not an hour after the file's time of change; a jump back by over half a day is a midnight.
    """

    last: dict[int, int] = field(default_factory=dict)

    def date(self, lines: TextLines, fields: Fields) -> Fields:
        """Return headers with times since 1970 (ms)."""
        if fields.has_date or not len(fields.rows):
            return fields
        columns = (lines.file, lines.begin_ms, lines.day_ms, lines.latest_ms)
        file, begin, day, latest = (column[fields.rows] for column in columns)
        starts = np.flatnonzero(np.diff(file, prepend=-1))
        counts = np.diff(starts, append=len(file))
        times = to_timestamps(fields.time_ms, begin, np.repeat(starts, counts))
        timezone = fields.timezone or lines.timezone
        for low, high in pairwise([*starts.tolist(), len(file)]):
            if begin[low] == NO_TIME:
                local, number = times[low:high], int(file[low])
                if number in self.last:
                    local = continue_day(local, self.last[number])
                else:
                    named = int(day[low])
                    first = _first_day(int(local[0]), int(latest[low]), timezone)
                    local = local + (first if named == NO_TIME else named)
                self.last = {number: int(local[-1])}
                times[low:high] = to_utc(local, timezone)
        return replace(fields, time_ms=times, has_date=True).with_time()


def _first_day(first: int, latest: int, timezone: str) -> int:
    """Return the day (ms) on which a time of day is last, but not an hour after ``latest``."""
    today = latest - latest % DAY_MS
    days = today + DAY_MS * np.arange(1, -2, -1)
    fit = to_utc(first + days, timezone) <= latest + HOUR_MS
    return max(int(days[fit.argmax()] if fit.any() else days[-1]), 0)


def fill_times(stamps: Ints, first_rows: Ints, ends: Ints, before: int) -> Ints:
    """Return a line without a time that of the line above in its file, at a file's start that of the first one below.

    ``first_rows`` and ``ends`` are the rows of the first line and after the last line of each line's file; ``before``
    is the last time of an earlier block of the first file, NO_TIME if there was none.
    """
    missing = np.flatnonzero(stamps == NO_TIME)
    if not len(missing):
        return stamps
    # Only the few lines without a time are looked at: so many with one stand above each of them.
    timed = np.concatenate([[-1], np.flatnonzero(stamps != NO_TIME), [len(stamps)]])
    rank = missing - np.arange(len(missing))
    above, below = timed[rank], timed[rank + 1]
    first = first_rows[missing]
    # Where no line above has a time, the earlier block has one, or else a line below.
    at_start = np.where(first == 0, before, NO_TIME)
    at_start = np.where((at_start == NO_TIME) & (below < ends[missing]), stamps.take(below, mode="clip"), at_start)
    filled = stamps.copy()
    filled[missing] = np.where(above >= first, stamps.take(above, mode="clip"), at_start)
    return filled


def _midnights(times: Ints, first_rows: Ints) -> Ints:
    """Count each line's midnights since its file's first time: a jump back is one more, one forward one less."""
    same_file: Bools = np.diff(first_rows, prepend=-1) == 0
    steps = np.where(same_file, np.diff(times, prepend=0), 0)
    count = np.cumsum((steps < -_MIDNIGHT).astype(np.int64) - (steps > _BEFORE_MIDNIGHT))
    first = np.maximum.accumulate(np.where(same_file, 0, np.arange(len(times))))
    return count - count[first]
