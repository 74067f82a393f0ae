"""When the logs of a case end: those that end long before the others are told, not flagged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import codes, strings
from lo2dask.findings.read import PAUSED, STOPPED
from lo2dask.schema import TIME, seq_id
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

# A silence is told where it is longer than so many times the longest one of normal cases plus ten seconds; fewer normal
# cases tell nothing. The silence at a log's end must be longer than its mean pause between lines too, and than twice
# its longest one.
TIMES, LEAST_MS, LEAST_CASES = 5, 10_000, 3
_MEAN_PAUSES, _OWN_SILENCES = 10, 2
_KEYS = ["run", "test_case", "service"]
_COLUMNS = ["seq_id", *_KEYS, "start_time", "end_time", "seq_len"]
# For how long at most normal cases go on after each log, by its name, and after the last log of each service, and for
# how long the longest one lasts: ms.
Rests = Mapping[str, Mapping[str, int]]
LOGS, SERVICES, CASES = "logs", "services", "cases"
_LONGEST = "longest"
Row = dict[str, Any]


@dataclass(frozen=True)
class LogEnds:
    """The logs of cases that have times (columns run, test_case, service), and where each ends.

    ``case``, ``service`` and ``name`` are codes, ``names`` what logs are called. ``end`` is in ms since 1970, the rest
    in ms: ``rest`` for how long the case goes on after the log, ``length`` for how long the case lasts, ``pause`` the
    mean one between lines.
    """

    logs: pa.Table
    services: list[str]
    names: list[str]
    case: Ints
    service: Ints
    name: Ints
    end: Ints
    rest: Ints
    length: Ints
    pause: np.ndarray

    @classmethod
    def read(cls, layout: Layout, chosen: Bools | None = None) -> "LogEnds":
        """Read the logs of the enhanced table, or of a bool mask over its sequences."""
        logs = pa.concat_tables([_read_logs(path) for path in part_paths(layout.enhanced)]).unify_dictionaries()
        logs = logs if chosen is None else logs.filter(pa.array(chosen))
        logs = logs.filter(pc.is_valid(logs["end_time"]))
        coded = (codes(logs[one]) for one in (*_KEYS, "name"))
        (run, _), (test_case, test_cases), (service, services), (name, names) = coded
        _, case = np.unique(run * len(test_cases) + test_case, return_inverse=True)
        start, end = (pc.divide(logs[one].cast(pa.int64()), 1000).to_numpy() for one in ("start_time", "end_time"))
        first, last = np.full(len(end), np.iinfo(np.int64).max), np.full(len(end), np.iinfo(np.int64).min)
        np.minimum.at(first, case, start)
        np.maximum.at(last, case, end)
        pause = (end - start) / np.maximum(logs["seq_len"].to_numpy() - 1, 1)
        length = last[case] - first[case]
        return cls(logs.select(_KEYS), services, names, case, service, name, end, last[case] - end, length, pause)

    def longest_rests(self, passed_over: int) -> dict[str, dict[str, int]]:
        """Return the longest rests (:data:`Rests`), so many of each log and service passed over."""
        last = self._last_of_services(np.ones(len(self.case), dtype=bool))
        return {
            LOGS: _longest(self.rest, self.name, self.names, passed_over),
            SERVICES: _longest(self.rest[last], self.service[last], self.services, passed_over),
            CASES: {_LONGEST: int(self.length.max(initial=0))},
        }

    def stopped(self, longest: Rests) -> Iterator[Row]:
        """Yield a notice (with ``seq_id``) for each log that ends early, given the longest rests of normal cases.

        A log whose name normal cases do not have, as that of a pod, is judged by its service, all logs of it together.
        Where more than half of a case's services would be told, it is the others that go on, perhaps by a wrong clock.
        """
        of_log, of_service = longest.get(LOGS, {}), longest.get(SERVICES, {})
        limit = np.array([of_log.get(name, np.nan) for name in self.names])[self.name]
        last = self._last_of_services(np.isnan(limit))
        limit[last] = np.array([of_service.get(name, np.nan) for name in self.services])[self.service[last]]
        is_early = self.rest > TIMES * limit * self._stretched(longest, self.length) + LEAST_MS
        is_early &= self.rest > _MEAN_PAUSES * self.pause
        is_early &= (2 * self._count_services(is_early) <= self._count_services(self.rest >= 0))[self.case]
        for at in np.flatnonzero(is_early).tolist():
            keys = {name: self.logs[name][at].as_py() for name in _KEYS}
            own = seq_id(keys["run"], keys["test_case"], self.names[self.name[at]])
            times = pa.array([self.end[at] * 1000, (self.end[at] + self.rest[at]) * 1000]).cast(TIME).to_pylist()
            yield {**keys, "seq_id": own, "kind": STOPPED, "start": times[0], "end": times[1]}

    def is_pause(self, row: Row, longest: Rests) -> bool:
        """Return whether a silence within a log (a row of tasks.JUDGED) is so long that it is told.

        Logs that are silent for as long at their end, as others go on, may be so before it.
        """
        rest = longest.get(SERVICES, {}).get(row["service"], 0)
        length = self._lengths.get((row["run"], row["test_case"]), 0)
        normal = max(rest, TIMES * row["normal_silence"]) * float(self._stretched(longest, np.array([length]))[0])
        return bool(row["pause"] > normal + LEAST_MS)

    @cached_property
    def _lengths(self) -> dict[tuple[str, str], int]:
        rows = zip(*(strings(self.logs[name]).to_pylist() for name in _KEYS[:2]), self.length.tolist(), strict=True)
        return {(run, test_case): length for run, test_case, length in rows}

    def _stretched(self, longest: Rests, length: Ints) -> np.ndarray:
        """Return by how much cases are longer than all normal ones, as their silences are then: at least 1."""
        normal = longest.get(CASES, {}).get(_LONGEST, 0)
        return np.maximum(length / max(normal, 1), 1.0) if normal else np.ones(len(length))

    def _count_services(self, mask: Bools) -> Ints:
        """Count the services of each case that have a log in a mask."""
        pairs = np.unique(np.stack([self.case[mask], self.service[mask]]), axis=1)
        return np.bincount(pairs[0], minlength=int(self.case.max(initial=-1)) + 1)

    def _last_of_services(self, mask: Bools) -> Ints:
        """Return the log that ends last of each service of a case whose logs are all in a mask: rows."""
        group = self.case * max(len(self.services), 1) + self.service
        order = np.lexsort((self.end, group))
        ends = np.flatnonzero(np.diff(group[order], append=-1))
        rest = ~np.isin(group[order][ends], group[~mask])
        rows: Ints = order[ends][rest]
        return rows


def is_end(notice: Row, judged: Row | None) -> bool:
    """Return whether a log that ends early is silent for longer than before; ``judged`` is its row of tasks.JUDGED."""
    if judged is None or judged["silence"] is None:
        return True
    rest = (notice["end"] - notice["start"]).total_seconds() * 1000
    normal = judged["normal_silence"] or 0
    return bool(rest > _OWN_SILENCES * judged["silence"] and rest > TIMES * normal + LEAST_MS)


def paused(row: Row) -> Row:
    """Make the notice of a pause of a row of tasks.JUDGED."""
    keys = {name: row[name] for name in ("seq_id", *_KEYS)}
    return {**keys, "kind": PAUSED, "start": row["pause_start"], "end": row["pause_end"]}


def _read_logs(path: Path) -> pa.Table:
    """Read the logs of a part, their names in place of seq_id, which is long and of each one alone."""
    table = read_part(path, _COLUMNS)
    prefixes = zip(*(strings(table[one]).to_pylist() for one in ("seq_id", "run", "test_case")), strict=True)
    names = [own.removeprefix(seq_id(run, test_case, "")) for own, run, test_case in prefixes]
    return table.set_column(0, "name", pa.array(names, pa.string()).dictionary_encode())


def _longest(rest: Ints, code: Ints, names: list[str], passed_over: int) -> dict[str, int]:
    """Return the longest rest of each name that has enough of them, so many passed over."""
    order = np.lexsort((rest, code))
    counts = np.bincount(code, minlength=len(names))
    ends = np.cumsum(counts) - 1 - passed_over
    return {
        name: int(rest[order[end]])
        for name, count, end in zip(names, counts.tolist(), ends.tolist(), strict=True)
        if count - passed_over >= LEAST_CASES
    }
