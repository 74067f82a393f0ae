"""Training part and hold-out: rules made from names alone, applied to any part of the table.

``hold_out(groups, options, seed)`` makes a :class:`Split` from the distinct (run, test case, service) of the table;
``split.mask(run, test_case, service)`` returns for each row of a part whether it is held out. Arrays may be numpy
arrays of str, lists, or Arrow arrays (dictionary-encoded or not). "Newest" is by the epoch in the run's name, then by
name. A fraction of 0 holds nothing out.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import among, is_true, strings
from lo2dask.errors import IntegrityError
from lo2dask.options import HoldoutOptions
from lo2dask.sources.names import run_order

_UNIT = "\x1f"
LORO, FOLDS = "loro", "folds"
# Learned from are runs that a user names, labelled or not.
REFERENCE = "reference"
CROSSED = {LORO: "leaving out one run at a time", FOLDS: "leaving out a fifth of the runs at a time"}
# With more runs, fitting every model once without each takes too long.
MOST_ALONE, N_FOLDS = 20, 5
Order = Callable[[str], Any]
_NAME = pa.dictionary(pa.int32(), pa.string())
_GROUPS = pa.schema(
    [*((name, _NAME) for name in ("run", "test_case", "service")), ("normal", pa.bool_()), ("unlabelled", pa.bool_())]
)


@dataclass(frozen=True)
class Groups:
    """The distinct (run, test case, service) of a table, dictionary-encoded: a few bytes a group.

    ``table`` has the columns run, test_case, service, normal and unlabelled (bool): what a row of it is labelled as.
    """

    table: pa.Table

    @staticmethod
    def of(run: Any, test_case: Any, service: Any, normal: Any = None) -> "Groups":
        """Collect the groups of one part's rows; ``normal`` is their label (bool, or None where there is none)."""
        names = [strings(column).dictionary_encode() for column in (run, test_case, service)]
        label = pa.nulls(len(names[0]), pa.bool_()) if normal is None else normal
        return Groups.merge([Groups(pa.table([*names, pc.fill_null(label, False), pc.is_null(label)], schema=_GROUPS))])

    @staticmethod
    def merge(parts: Iterable["Groups"]) -> "Groups":
        """Join the groups of several parts."""
        joined = pa.concat_tables([_GROUPS.empty_table(), *(part.table for part in parts)]).unify_dictionaries()
        labels = [("normal", "any"), ("unlabelled", "any")]
        return Groups(joined.group_by(_GROUPS.names[:3]).aggregate(labels).rename_columns(_GROUPS.names))

    @property
    def normal(self) -> np.ndarray:
        """Which groups have a row that is labelled normal: bool (groups,)."""
        return self.table["normal"].to_numpy()

    @property
    def unlabelled(self) -> np.ndarray:
        """Which groups have a row without a label: bool (groups,)."""
        return self.table["unlabelled"].to_numpy()

    @property
    def anomalous(self) -> np.ndarray:
        """Which groups have anomalies alone: bool (groups,)."""
        return ~(self.normal | self.unlabelled)

    @property
    def classes(self) -> int:
        """How many of the two classes, normal and anomalous, there are."""
        return int(self.normal.any()) + int(self.anomalous.any())

    def names(self, column: str, where: np.ndarray | None = None) -> set[str]:
        """Return the distinct values of a column, of all groups or those of a bool mask (groups,)."""
        values = self.table[column] if where is None else self.table[column].filter(pa.array(where))
        return set(values.unique().to_pylist())

    def rows(self, where: np.ndarray | None = None) -> Iterator[tuple[str, str, str]]:
        """Yield the (run, test case, service) of all groups or those of a bool mask (groups,)."""
        chosen = self.table if where is None else self.table.filter(pa.array(where))
        for some in chosen.to_batches():
            yield from zip(*(some[name].to_pylist() for name in _GROUPS.names[:3]), strict=True)

    def held_by(self, split: "Split") -> np.ndarray:
        """Return which groups a split holds out: bool (groups,)."""
        return split.mask(*(self.table[name] for name in _GROUPS.names[:3]))


@dataclass(frozen=True)
class Split:
    """Rules for what is held out: a row is, if any of them names it.

    ``runs`` holds out whole runs, ``cases`` whole test cases, ``buckets`` runs of one (service, test case). Where
    ``by`` is one of :data:`CROSSED`, nothing is: each run is scored by models that are fitted without it. ``reason``
    says why another way was taken than was asked for. By :data:`REFERENCE` all runs but the reference are, and what
    nobody has labelled in it is learned from as if it were normal.
    """

    by: str
    runs: frozenset[str] = frozenset()
    cases: frozenset[str] = frozenset()
    buckets: frozenset[tuple[str, str, str]] = frozenset()
    reason: str = ""

    @property
    def is_crossed(self) -> bool:
        """Whether every run is left out in turn."""
        return self.by in CROSSED

    @cached_property
    def _bucket_keys(self) -> pa.Array:
        return pa.array(sorted(map(_UNIT.join, self.buckets)), pa.string())

    def mask(self, run: Any, test_case: Any, service: Any) -> np.ndarray:
        """Return which rows are held out: bool (rows,)."""
        runs, cases, services = (strings(column) for column in (run, test_case, service))
        held = among(runs, self.runs) | among(cases, self.cases)
        if self.buckets:
            keys = pc.binary_join_element_wise(runs, cases, services, _UNIT)
            held |= pc.is_in(keys, self._bucket_keys).to_numpy(zero_copy_only=False)
        return held

    def training(self, keys: Any, normal_only: bool = True) -> np.ndarray:
        """Return which rows are learned from, all or only normal ones: bool (rows,).

        ``keys`` has the columns run, test_case, service and anomaly; rows without a label are learned from only where
        they are in a reference.
        """
        chosen = ~self.mask(keys["run"], keys["test_case"], keys["service"])
        if self.by != REFERENCE:
            chosen &= ~is_true(pc.is_null(keys["anomaly"]))
        return chosen & ~is_true(keys["anomaly"]) if normal_only else chosen

    def to_json(self) -> dict[str, Any]:
        """Return the rules as plain JSON types."""
        return {
            "by": self.by,
            "runs": sorted(self.runs),
            "cases": sorted(self.cases),
            "buckets": [list(bucket) for bucket in sorted(self.buckets)],
            **({"reason": self.reason} if self.reason else {}),
        }

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> "Split":
        """Rebuild the rules from :meth:`to_json`."""
        buckets = frozenset((run, case, service) for run, case, service in plain["buckets"])
        return Split(plain["by"], frozenset(plain["runs"]), frozenset(plain["cases"]), buckets, plain.get("reason", ""))


def hold_out(groups: Groups, options: HoldoutOptions, seed: int, case: str = "") -> Split:
    """Choose what is held out: of n, the newest ``max(min_groups, floor(n * fraction))``, never all.

    ``run`` takes whole runs. ``group`` takes runs of each (service, test case) by themselves. ``test-case`` takes
    whole error types, drawn by a hash of seed and name because a type has no age, and the newest runs of ``correct``,
    without which the hold-out would have no normal sequence. ``case`` is to be the only error type held out.

    Raises
    ------
    IntegrityError : a run is on both sides although whole runs are held out.
    """
    fraction, least = options.sup_holdout_fraction, options.sup_holdout_min_groups
    order = _order_by_hash(seed) if options.sup_holdout_shuffle else run_order

    def take(values: Iterable[str], by: Order = order) -> frozenset[str]:
        """Hold out the newest of some values."""
        return frozenset(_newest(values, fraction, least, by))

    if case:
        split = Split("test-case", cases=frozenset([case]), buckets=_of_normal(groups, take))
    elif options.holdout_by == "run":
        split = Split("run", runs=take(groups.names("run")))
    elif options.holdout_by == "group":
        split = Split("group", buckets=_of_buckets(groups, take))
    else:
        cases = take(groups.names("test_case", groups.anomalous), _order_by_hash(seed))
        split = Split("test-case", cases=cases, buckets=_of_normal(groups, take))
    check_runs(split, groups)
    return split


def hold_out_both_classes(groups: Groups, options: HoldoutOptions, seed: int) -> Split:
    """Choose what is held out as asked; where a side of whole runs lacks a class, by bucket, else every run in turn.

    ``reason`` says so. With nothing to hold out, a single run or one class alone, it is left as it is.
    """
    runs = groups.names("run")
    if options.holdout_by in CROSSED:
        return Split(options.holdout_by)
    split = hold_out(groups, options, seed)
    if split.by != "run" or groups.classes < 2 or len(runs) < 2 or not options.sup_holdout_fraction:
        return split
    lacking = _lacking(split, groups)
    if not lacking:
        return split
    by_bucket = hold_out(groups, replace(options, holdout_by="group"), seed)
    if not _lacking(by_bucket, groups):
        return replace(by_bucket, reason=f"{lacking}, so runs of each service and test case are held out")
    by = LORO if len(runs) <= MOST_ALONE else FOLDS
    return Split(by, reason=f"{lacking}, so models are measured by {CROSSED[by]}")


def deal(runs: Iterable[str], folds: int) -> list[frozenset[str]]:
    """Cut runs in the order of time into at most so many folds of neighbours."""
    ordered = sorted(set(runs), key=run_order)
    return [
        frozenset(ordered[at] for at in part) for part in np.array_split(np.arange(len(ordered)), folds) if len(part)
    ]


def hold_out_newest_normal(groups: Groups, fraction: float) -> Split:
    """Hold out the newest share of the runs that have normal sequences: the Isolation Forest's temporal hold-out.

    A fraction above 0 takes one run at the least, and never all.
    """
    runs = groups.names("run", groups.normal)
    return Split("run", runs=frozenset(_newest(runs, fraction, 1, run_order)))


def stopping_runs(runs: Iterable[str], fraction: float = 0.2) -> frozenset[str]:
    """Choose the newest training runs, on which early stopping is decided; empty where there is one run alone."""
    return frozenset(_newest(runs, fraction, 1, run_order))


def check_runs(split: Split, groups: Groups) -> None:
    """Assert that no run is on both sides of a split by run.

    Raises
    ------
    IntegrityError : names the first run that is.
    """
    if split.by != "run":
        return
    held = groups.held_by(split)
    both = sorted(groups.names("run", held) & groups.names("run", ~held))
    if both:
        raise IntegrityError(f"run {both[0]} is in the training part and in the hold-out")


def _lacking(split: Split, groups: Groups) -> str:
    """Say which class a side of a split lacks; "" for none."""
    held = groups.held_by(split)
    for side, name in ((True, "the hold-out"), (False, "the training part")):
        classes = set(groups.normal[(held == side) & ~groups.unlabelled].tolist())
        if len(classes) < 2:
            missing = "nothing" if not classes else "no error" if True in classes else "no normal run"
            return f"{name} has {missing}"
    return ""


def _newest(values: Iterable[str], fraction: float, least: int, order: Order) -> list[str]:
    ordered = sorted(set(values), key=order)
    # The small addition keeps 0.29 * 100 = 28.999999999999996 from losing a run.
    wanted = max(least, math.floor(len(ordered) * fraction + 1e-9)) if fraction > 0 else 0
    return ordered[len(ordered) - min(wanted, len(ordered) - 1) :] if ordered else []


def _order_by_hash(seed: int) -> Order:
    return lambda name: (hashlib.blake2b(f"{seed}{_UNIT}{name}".encode(), digest_size=8).digest(), name)


def _of_buckets(groups: Groups, take: Callable[[Iterable[str]], frozenset[str]]) -> frozenset[tuple[str, str, str]]:
    runs = defaultdict(set)
    for run, case, service in groups.rows():
        runs[case, service].add(run)
    return frozenset((run, *bucket) for bucket, members in runs.items() for run in take(members))


def _of_normal(groups: Groups, take: Callable[[Iterable[str]], frozenset[str]]) -> frozenset[tuple[str, str, str]]:
    newest = take(groups.names("run", groups.normal))
    return frozenset(key for key in groups.rows(groups.normal) if key[0] in newest)
