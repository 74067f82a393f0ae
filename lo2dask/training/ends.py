"""When the log of each service ends in each case; those that end long before the others are told, not flagged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import codes
from lo2dask.findings.read import STOPPED
from lo2dask.schema import TIME
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part

# A log has stopped early where its case goes on without it for longer than so many times the longest such rest of the
# normal cases plus ten seconds, and than so many of its own mean pauses between lines. Fewer normal cases tell nothing.
_RESTS, _LEAST_MS, _PAUSES, _LEAST_CASES = 5, 10_000, 10, 3
_COLUMNS = ["run", "test_case", "service", "start_time", "end_time", "seq_len"]


@dataclass(frozen=True)
class LogEnds:
    """Of each service of each case that has times, in the order of their names: when its log ends.

    ``end`` and ``case_end`` are ms since 1970, ``pause`` is the mean pause between its lines in ms; ``is_chosen`` is
    the mask that it was read with.
    """

    cases: list[tuple[str, str]]
    services: list[str]
    case: Ints
    service: Ints
    end: Ints
    case_end: Ints
    pause: np.ndarray
    is_chosen: Bools

    @classmethod
    def read(cls, layout: Layout, chosen: Bools | None = None) -> "LogEnds":
        """Read the times of the enhanced table; ``chosen`` is a bool mask over its sequences, None = all."""
        tables = [read_part(path, _COLUMNS) for path in part_paths(layout.enhanced)]
        logs = pa.concat_tables(tables).unify_dictionaries()
        mask = np.ones(logs.num_rows, dtype=bool) if chosen is None else chosen
        logs = logs.append_column("chosen", pa.array(mask)).filter(pc.is_valid(logs["end_time"]))
        (run, runs), (name, names), (service, services) = (codes(logs[one]) for one in _COLUMNS[:3])
        start, end = (pc.divide(logs[one].cast(pa.int64()), 1000).to_numpy() for one in ("start_time", "end_time"))
        pairs, case = np.unique(run * len(names) + name, return_inverse=True)
        keys, log = np.unique(case * len(services) + service, return_inverse=True)
        first, last = np.full(len(keys), np.iinfo(np.int64).max), np.full(len(keys), np.iinfo(np.int64).min)
        np.minimum.at(first, log, start)
        np.maximum.at(last, log, end)
        lines, taken = np.bincount(log, logs["seq_len"].to_numpy(), len(keys)), np.zeros(len(keys), dtype=bool)
        taken[log[logs["chosen"].to_numpy()]] = True
        case, service = np.divmod(keys, max(len(services), 1))
        case_end = np.full(len(pairs), np.iinfo(np.int64).min)
        np.maximum.at(case_end, case, last)
        return cls(
            [(runs[pair // len(names)], names[pair % len(names)]) for pair in pairs.tolist()],
            services, case, service, last, case_end[case], (last - first) / np.maximum(lines - 1, 1), taken,
        )  # fmt: skip

    @property
    def rest(self) -> Ints:
        """For how long the case goes on after the log: ms."""
        return self.case_end - self.end

    def longest_rests(self, passed_over: int) -> dict[str, int]:
        """Return the longest rest of each service in chosen cases in ms, so many longest ones of each passed over."""
        found = {}
        for place, name in enumerate(self.services):
            rests = np.sort(self.rest[self.is_chosen & (self.service == place)])
            if len(rests) - passed_over >= _LEAST_CASES:
                found[name] = int(rests[-1 - passed_over])
        return found

    def stopped(self, longest: Mapping[str, int]) -> Iterator[dict[str, object]]:
        """Yield a notice for each log that ends early, given the longest normal rest of each service in ms."""
        limit = np.array([longest.get(name, np.inf) for name in self.services] or [np.inf])[self.service]
        is_early = (self.rest > _RESTS * limit + _LEAST_MS) & (self.rest > _PAUSES * self.pause)
        for at in np.flatnonzero(is_early).tolist():
            run, test_case = self.cases[self.case[at]]
            times = pa.array([self.end[at] * 1000, self.case_end[at] * 1000]).cast(TIME)
            yield {
                "run": run, "test_case": test_case, "service": self.services[self.service[at]], "kind": STOPPED,
                "start": times[0].as_py(), "end": times[1].as_py(),
            }  # fmt: skip
