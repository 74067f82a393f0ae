"""What the normal logs of the training part are like, second by second: sums and maxima that merge in any order.

Of each service are kept, with the run that has them and the next value of another run: the largest count of a statement
of an error level in one window, the longest run of each statement, its largest count in a log, the most lines of a log,
the longest silence; and how often a statement follows another one. From these each normal log is judged as if its run
were not there (leave one run out), and the distribution of those figures tells what is unusual.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.buffers.columns import strings
from lo2dask.features.statements import ERROR
from lo2dask.findings.part import PartWindows
from lo2dask.models.largest import Largest, keep_largest, rows_of

Statistics = dict[str, pa.Table]
_LARGEST = ("what", "service", "statement")
_PAIR = ("service", "before", "statement")
_LOGS = ("service", "run")
# What the largest values are of; some are of a log as a whole, in place of a statement.
WHATS, _OF_LOGS = ("count", "run", "silence", "total", "lines"), ("silence", "lines")


def collect(part: PartWindows, normal: Bools) -> Statistics:
    """Collect the figures of one part's training normals, a bool mask (sequences,)."""
    chosen = part.of_sequences(normal)
    own = _Names(chosen)
    cells, windows, pairs = chosen.cells, chosen.windows, chosen.pairs
    of_cell = windows["sequence"][cells["window"]]
    is_error = chosen.kinds[cells["statement"]] == ERROR
    keys, at = np.unique(of_cell * len(own.ids) + cells["statement"], return_inverse=True)
    total = np.bincount(at, cells["count"], len(keys))
    lines = np.bincount(windows["sequence"], windows["events"], len(normal))[normal]
    heard = windows["silence"] >= 0
    none = np.full(int(heard.sum()), -1, dtype=np.int64)
    tables = [
        own.values("run", of_cell, cells["statement"], cells["run"]),
        own.values("count", of_cell[is_error], cells["statement"][is_error], cells["count"][is_error]),
        own.values("silence", windows["sequence"][heard], none, windows["silence"][heard]),
        own.values("total", keys // len(own.ids), keys % len(own.ids), total),
        own.values("lines", np.flatnonzero(normal), np.full(len(lines), -1), lines),
    ]
    service = own.service.take(pa.array(pairs["sequence"]))
    before, statement = (chosen.ids.take(pa.array(pairs[name])) for name in ("before", "statement"))
    followed = pa.table({"service": service, "before": before, "statement": statement, "count": pairs["count"]})
    logs = pa.table({"service": own.service, "run": own.run}).filter(pa.array(normal))
    return {
        "largest": keep_largest(tables, _LARGEST),
        "pairs": _sum(followed, _PAIR),
        "logs": logs.group_by(_LOGS).aggregate([]),
    }


def nothing() -> Statistics:
    """Return the figures of no log at all."""
    text = {name: pa.string() for name in ("what", "service", "statement", "run", "before")}
    columns = {"largest": (*_LARGEST, "run"), "pairs": _PAIR, "logs": _LOGS}
    numbers = {"largest": [("value", pa.float64())], "pairs": [("count", pa.int64())], "logs": []}
    return {
        name: pa.schema([*((column, text[column]) for column in columns[name]), *numbers[name]]).empty_table()
        for name in columns
    }


def merge(left: Statistics, right: Statistics) -> Statistics:
    """Join the figures of two parts; associative and commutative."""
    joined = {name: pa.concat_tables([left[name], right[name]]) for name in ("pairs", "logs")}
    return {
        "largest": keep_largest([left["largest"], right["largest"]], _LARGEST),
        "pairs": _sum(joined["pairs"], _PAIR),
        "logs": joined["logs"].group_by(_LOGS).aggregate([]).sort_by([(name, "ascending") for name in _LOGS]),
    }


@dataclass(frozen=True)
class ServiceNormals:
    """The normals of one service, over the statements ``ids`` of a part: ``runs`` have a log of it.

    ``count`` is that of an error in a window, ``run`` of equal lines, ``total`` of a statement in a log; ``silence`` in
    ms and ``lines`` are of whole logs: one value each.
    """

    runs: int
    count: Largest
    run: Largest
    silence: Largest
    total: Largest
    lines: Largest
    followed: pa.Table
    ids: pa.Array

    @cached_property
    def pairs(self) -> "PairCounts":
        """How often each statement follows another one; counted when it is asked for."""
        return PairCounts.of(self.followed, self.ids)


@dataclass(frozen=True)
class PairCounts:
    """How often each statement of a part follows another one in a service's normals.

    ``keys`` are the pairs, before * statements + statement by their places among the part's statements, ascending,
    ``counts`` their counts; the sums are of all pairs, of other statements too: ``before`` and ``statement`` float64
    (statements,), ``total``, and ``known`` statements.
    """

    keys: Ints
    counts: Ints
    before: np.ndarray
    statement: np.ndarray
    total: int
    known: int

    @classmethod
    def of(cls, table: pa.Table, ids: pa.Array) -> "PairCounts":
        """Take the counts of one service (columns before, statement, count)."""
        size, count = len(ids), table["count"].to_numpy()
        first, second = (
            pc.fill_null(pc.index_in(strings(table[name]), ids), -1).to_numpy(zero_copy_only=False).astype(np.int64)
            for name in ("before", "statement")
        )
        before, statement = (
            np.bincount(at[at >= 0], count[at >= 0], size).astype(np.float64) for at in (first, second)
        )
        here = (first >= 0) & (second >= 0)
        keys = first[here] * size + second[here]
        order = np.argsort(keys)
        known = pc.count_distinct(table["statement"]).as_py()
        return cls(keys[order], count[here][order], before, statement, int(count.sum()), known)

    def surprise(self, before: Ints, statement: Ints, own: tuple[Ints, Ints] | None = None) -> np.ndarray:
        """Return -log2 P(statement | before) of pairs: float64 (pairs,).

        ``own`` are the log of each pair (numbered from 0) and its count there, where the pairs are all those of some
        logs: each log is judged without itself.
        P(s|p) = (n(p, s) + 5 P(s)) / (n(p) + 5), P(s) = (n(s) + 1/2) / (N + (K + 1) / 2) for K known statements.
        """
        size = len(self.statement)
        wanted = before * size + statement
        at = np.minimum(np.searchsorted(self.keys, wanted), max(len(self.keys) - 1, 0))
        found = self.keys[at] == wanted if len(self.keys) else np.zeros(len(wanted), dtype=bool)
        n_pair = np.where(found, self.counts[at], 0) if len(self.keys) else np.zeros(len(wanted))
        n_before, n_statement = self.before[before], self.statement[statement]
        total: np.ndarray | int = self.total
        if own is not None:
            log, count = own
            n_pair, total = n_pair - count, total - _sum_of_key(log, count)
            n_before = n_before - _sum_of_key(log * size + before, count)
            n_statement = n_statement - _sum_of_key(log * size + statement, count)
        share = (n_statement + 0.5) / (total + (self.known + 1) / 2)
        return -np.log2((n_pair + 5 * share) / (n_before + 5))


def _sum_of_key(key: Ints, count: Ints) -> np.ndarray:
    """Return for each row the sum of the counts of all rows with its key."""
    _, place = np.unique(key, return_inverse=True)
    return np.bincount(place, count)[place]


@dataclass(frozen=True)
class ServiceStatistics:
    """The statistics of one service: how many runs have a log of it; its ``largest`` by what they are of; its pairs."""

    runs: int
    largest: dict[str, pa.Table]
    pairs: pa.Table


def by_service(statistics: Statistics) -> dict[str, ServiceStatistics]:
    """Cut statistics by service."""
    found = {}
    for name in pc.unique(statistics["logs"]["service"]).to_pylist():
        logs, largest, pairs = (rows_of(statistics[table], service=name) for table in ("logs", "largest", "pairs"))
        whats = {what: rows_of(largest, what=what) for what in WHATS}
        found[name] = ServiceStatistics(logs.num_rows, whats, pairs)
    return found


@dataclass(frozen=True)
class Normals:
    """The normals of all services, over the statements of one part; ``statistics`` are those of :func:`by_service`."""

    statistics: Mapping[str, ServiceStatistics]
    ids: pa.Array

    def of(self, service: str) -> ServiceNormals | None:
        """Return the normals of one service; None where there is no training log of it."""
        if service not in self._services:
            own = self.statistics.get(service)
            self._services[service] = self._service(own) if own else None
        return self._services[service]

    def pairs(self, service: str) -> PairCounts:
        """Return how often statements follow one another in the normals of a service that has some."""
        own = self.of(service)
        assert own is not None, service
        return own.pairs

    @cached_property
    def _services(self) -> dict[str, ServiceNormals | None]:
        return {}

    def _service(self, own: ServiceStatistics) -> ServiceNormals:
        tokens = {what: pa.array([""]) if what in _OF_LOGS else self.ids for what in WHATS}
        largest = {what: Largest.of(own.largest[what], own.largest[what]["statement"], tokens[what]) for what in tokens}
        return ServiceNormals(own.runs, **largest, followed=own.pairs, ids=self.ids)


class _Names:
    """The services and runs of a part's sequences, as columns of statistics."""

    def __init__(self, part: PartWindows) -> None:
        self.service, self.run = (pa.array(part.names(name), pa.string()) for name in ("service", "run"))
        self.ids = pa.concat_arrays([part.ids, pa.array([""], pa.string())])

    def values(self, what: str, sequence: Ints, statement: Ints, value: Ints) -> pa.Table:
        """Return rows of values; a statement of -1 is none."""
        where = pa.array(sequence)
        columns: dict[str, Any] = {
            "what": pa.array([what]).dictionary_encode().take(pa.array(np.zeros(len(sequence), np.int64))),
            "service": self.service.dictionary_encode().take(where),
            "statement": pa.DictionaryArray.from_arrays(statement % len(self.ids), self.ids),
            "run": self.run.dictionary_encode().take(where),
            "value": value.astype(np.float64),
        }
        return pa.table(columns)


def _sum(table: pa.Table, key: Iterable[str]) -> pa.Table:
    names = list(key)
    summed = table.group_by(names).aggregate([("count", "sum")]).rename_columns([*names, "count"])
    return summed.sort_by([(name, "ascending") for name in names])
