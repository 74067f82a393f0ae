"""Which windows tell when a log is unusual, which of its lines are evidence, and where it paused."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.features.statements import ERROR
from lo2dask.findings.ends import LEAST_MS, TIMES
from lo2dask.findings.judge import Judged
from lo2dask.findings.part import PartWindows
from lo2dask.schema import TIME

MOST_EVIDENCE = 5
# A burst has so many times the mean rate of its statement in the log.
_DENSE = 2


@dataclass(frozen=True)
class Carrier:
    """The statement that tells a finding, and how many more of it there are than is normal.

    ``is_new``: no normal log has it; ``is_lacking``: this one lacks it.
    """

    statement_id: str
    excess: int = 0
    is_new: bool = False
    is_lacking: bool = False


@dataclass(frozen=True)
class Said:
    """What is said of logs already, by ``seq_id``: their findings; that they stop early."""

    findings: Mapping[str, Carrier]
    stopped: Set[str] = frozenset()


@dataclass(frozen=True)
class Telling:
    """What tells of the sequences of a part.

    ``carrier`` is the place among ``part.ids`` of the statement that a sequence's finding is told by, -1 = none;
    ``best`` the largest score of its windows, -inf without one; ``windows`` is a bool mask (windows,).
    """

    carrier: Ints
    best: np.ndarray
    windows: Bools

    @classmethod
    def of(cls, part: PartWindows, judged: Judged, said: Said) -> "Telling":
        """Choose the windows that tell when a sequence is unusual.

        What no normal log has tells wherever it is, what a log lacks all over it, and what it has too often where that
        is densest (:func:`densest_span`). Without any of these, it is its alarms, or else its best windows.
        """
        carriers, best = carriers_of(part, said), best_scores(part, judged)
        found = [said.findings.get(seq_id, Carrier("")) for seq_id in part.names("seq_id")]
        sequence, cells = part.windows["sequence"], part.cells
        owner = sequence[cells["window"]]
        having = np.flatnonzero(cells["statement"] == carriers[owner])
        borders = np.searchsorted(owner[having], np.arange(len(found) + 1))
        is_lacking = np.array([one.is_lacking for one in found], dtype=bool)
        has_alarm = np.zeros(len(found), dtype=bool)
        has_alarm[sequence[judged.is_alarm]] = True
        chosen = np.where(has_alarm[sequence], judged.is_alarm, judged.score == best[sequence])
        is_told = np.diff(borders) > 0
        chosen = (chosen & ~is_told[sequence]) | is_lacking[sequence]
        for row in np.flatnonzero(is_told).tolist():
            own = having[borders[row] : borders[row + 1]]
            if not found[row].is_new:
                own = own[densest_span(part, own, found[row].excess)]
            chosen[cells["window"][own]] = True
        return cls(carriers, best, chosen)


def densest_span(part: PartWindows, own: Ints, excess: int) -> slice:
    """Return where a statement is more than twice as frequent as in its log on the whole: a slice of its cells.

    That is the span with the largest surplus of lines over twice the mean rate by windows that have a line, as a log
    may be silent for hours; all cells, where no span has half of the ``excess``. ``own`` are the cells of a statement
    of one sequence, in the order of their windows.
    """
    at, count = part.cells["window"][own], part.cells["count"][own]
    sequence = part.windows["sequence"]
    first, last = np.searchsorted(sequence, [sequence[at[0]], sequence[at[0]] + 1])
    heard = np.cumsum(part.windows["events"][first:last] > 0)
    rate, before, place = _DENSE * count.sum() / heard[-1], np.cumsum(count) - count, heard[at - first]
    begin, end = before - rate * place, before + count - rate * (place + 1)
    stop = int((end - np.minimum.accumulate(begin)).argmax()) + 1
    span = slice(int(begin[:stop].argmin()), stop)
    return span if 2 * count[span].sum() >= excess else slice(None)


def carriers_of(part: PartWindows, said: Said) -> Ints:
    """Return the place among ``part.ids`` of the statement that each sequence's finding is told by, -1 = none."""
    found = (said.findings.get(seq_id) for seq_id in part.names("seq_id"))
    named = [None if one is None or one.is_lacking else one.statement_id for one in found]
    places: Ints = pc.fill_null(pc.index_in(pa.array(named, pa.string()), part.ids, skip_nulls=True), -1).to_numpy()
    return places


def best_scores(part: PartWindows, judged: Judged) -> np.ndarray:
    """Return the largest score of each sequence's windows, -inf without one: float64 (sequences,)."""
    best = np.full(part.keys.num_rows, -np.inf)
    known = ~np.isnan(judged.score)
    np.maximum.at(best, part.windows["sequence"][known], judged.score[known])
    return best


def evidence_lines(part: PartWindows, telling: Bools, carriers: Ints) -> pa.Array:
    """Return lines of each sequence (rows of ``part.keys``) that have its carrier (:func:`carriers_of`), ascending.

    At most MOST_EVIDENCE each, one of a window, those of windows that are ``telling`` first; none before the first of
    these, where there is one. Empty lists for sequences without a carrier.
    """
    cells, windows = part.cells, part.windows
    owner = windows["sequence"][cells["window"]]
    found = np.flatnonzero(cells["statement"] == carriers[owner])
    lines, owner = windows["first_line"][cells["window"][found]] + cells["line"][found], owner[found]
    tells = telling[cells["window"][found]]
    since = np.full(len(carriers), np.iinfo(np.int64).max)
    np.minimum.at(since, owner[tells], lines[tells])
    since[since == np.iinfo(np.int64).max] = 0
    kept = np.flatnonzero(lines >= since[owner])
    order = kept[np.lexsort((lines[kept], ~tells[kept], owner[kept]))]
    lines, owner = lines[order], owner[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    lines, owner = lines[rank < MOST_EVIDENCE], owner[rank < MOST_EVIDENCE]
    return _as_lists(lines, owner, len(carriers))


def last_lines(part: PartWindows, said: Said) -> pa.Array:
    """Return the number of the last line of logs that end early, of their last window an error, if it has one."""
    wanted = np.array([seq_id in said.stopped for seq_id in part.names("seq_id")], dtype=bool)
    sequence, cells = part.windows["sequence"], part.cells
    last, lines = np.full(len(wanted), -1), np.full(len(wanted), -1)
    last[sequence] = np.arange(len(sequence))  # of a sequence's windows the last one stays
    lines[sequence] = part.windows["last_line"]
    owner = sequence[cells["window"]]
    is_error = part.kinds[cells["statement"]] == ERROR
    rows = np.flatnonzero(wanted[owner] & is_error & (cells["window"] == last[owner]))
    errors = np.full(len(wanted), -1)
    np.maximum.at(errors, owner[rows], part.windows["first_line"][cells["window"][rows]] + cells["line"][rows])
    lines = np.where(errors >= 0, errors, lines)
    return pa.array(lines, mask=~wanted | (lines < 0))


def longest_silences(part: PartWindows, judged: Judged, window_ms: int) -> dict[str, pa.Array]:
    """Return columns of tasks.JUDGED: each sequence's longest silence, the longest normal one, and the pause it is."""
    sequence, silence = part.windows["sequence"], part.windows["silence"]
    # Of a silence, the last one of its windows has the line that ends it.
    rows = np.lexsort((np.arange(len(silence)), silence, sequence))
    size = part.keys.num_rows
    longest, normal, end, line = (np.full(size, -1) for _ in range(4))
    longest[sequence[rows]], normal[sequence[rows]] = silence[rows], judged.normal_silence[rows]
    end[sequence[rows]] = part.windows["window"][rows] * window_ms
    line[sequence[rows]] = part.windows["first_line"][rows] - 1
    is_pause = (normal >= 0) & (longest > TIMES * normal + LEAST_MS)
    times = {"pause_start": end - longest, "pause_end": end}
    return {
        "silence": pa.array(longest, mask=longest < 0),
        "normal_silence": pa.array(normal, mask=normal < 0),
        "pause": pa.array(longest, mask=~is_pause),
        **{name: pa.array(value * 1000, mask=~is_pause).cast(TIME) for name, value in times.items()},
        "pause_line": pa.array(line, mask=~is_pause | (line < 1)),
    }


def _as_lists(lines: Ints, owner: Ints, size: int) -> pa.Array:
    """Return the lines of each owner, ascending, as lists."""
    order = np.lexsort((lines, owner))
    borders = np.searchsorted(owner[order], np.arange(size + 1))
    return pa.ListArray.from_arrays(pa.array(borders, pa.int32()), pa.array(lines[order], pa.int64()))
