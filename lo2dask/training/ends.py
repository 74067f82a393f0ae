"""When the logs of a case end; those that end long before the others are told, not flagged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import codes, strings
from lo2dask.findings.read import STOPPED
from lo2dask.schema import TIME, seq_id
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

# A log has stopped early where its case goes on without it for longer than so many times the longest such rest of the
# normal cases plus ten seconds, and than so many of its own mean pauses between lines. Fewer normal cases tell nothing.
_RESTS, _LEAST_MS, _PAUSES, _LEAST_CASES = 5, 10_000, 10, 3
_KEYS = ["run", "test_case", "service"]
_COLUMNS = ["seq_id", *_KEYS, "start_time", "end_time", "seq_len"]
# For how long at most normal cases go on after each log, by its name, and after the last log of each service: ms.
Rests = Mapping[str, Mapping[str, int]]
LOGS, SERVICES = "logs", "services"


@dataclass(frozen=True)
class LogEnds:
    """The logs of cases that have times (columns run, test_case, service), and where each ends.

    ``case``, ``service`` and ``name`` are codes, ``names`` what logs are called; ``end`` is in ms since 1970, ``rest``
    for how long the case goes on after it and ``pause`` the mean pause between its lines, in ms.
    """

    logs: pa.Table
    services: list[str]
    names: list[str]
    case: Ints
    service: Ints
    name: Ints
    end: Ints
    rest: Ints
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
        case_end = np.full(len(end), np.iinfo(np.int64).min)
        np.maximum.at(case_end, case, end)
        pause = (end - start) / np.maximum(logs["seq_len"].to_numpy() - 1, 1)
        return cls(logs, services, names, case, service, name, end, case_end[case] - end, pause)

    def longest_rests(self, passed_over: int) -> dict[str, dict[str, int]]:
        """Return the longest rests (:data:`Rests`), so many of each log and service passed over."""
        last = self._last_of_services(np.ones(len(self.case), dtype=bool))
        return {
            LOGS: _longest(self.rest, self.name, self.names, passed_over),
            SERVICES: _longest(self.rest[last], self.service[last], self.services, passed_over),
        }

    def stopped(self, longest: Rests) -> Iterator[dict[str, Any]]:
        """Yield a notice (with ``seq_id``) for each log that ends early, given the longest rests of normal cases.

        A log whose name normal cases do not have, as that of a pod, is judged by its service, all logs of it together.
        """
        of_log, of_service = longest.get(LOGS, {}), longest.get(SERVICES, {})
        limit = np.array([of_log.get(name, np.nan) for name in self.names])[self.name]
        last = self._last_of_services(np.isnan(limit))
        limit[last] = np.array([of_service.get(name, np.nan) for name in self.services])[self.service[last]]
        is_early = (self.rest > _RESTS * limit + _LEAST_MS) & (self.rest > _PAUSES * self.pause)
        for at in np.flatnonzero(is_early).tolist():
            times = pa.array([self.end[at] * 1000, (self.end[at] + self.rest[at]) * 1000]).cast(TIME).to_pylist()
            keys = {name: self.logs[name][at].as_py() for name in _KEYS}
            own = seq_id(keys["run"], keys["test_case"], self.names[self.name[at]])
            yield {**keys, "seq_id": own, "kind": STOPPED, "start": times[0], "end": times[1]}

    def _last_of_services(self, mask: Bools) -> Ints:
        """Return the log that ends last of each service of a case whose logs are all in a mask: rows."""
        group = self.case * max(len(self.services), 1) + self.service
        order = np.lexsort((self.end, group))
        ends = np.flatnonzero(np.diff(group[order], append=-1))
        rest = ~np.isin(group[order][ends], group[~mask])
        rows: Ints = order[ends][rest]
        return rows


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
        if count - passed_over >= _LEAST_CASES
    }
