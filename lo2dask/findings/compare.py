"""What a case has that the nearest normal one has not: templates that are new, missing, more or less frequent."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse
from scipy.special import rel_entr

from lo2dask.buffers.arrays import Ints
from lo2dask.buffers.columns import strings
from lo2dask.features.bags import read_counts
from lo2dask.findings.read import Case
from lo2dask.schema import DRAIN_ID, MAIN
from lo2dask.sources.names import run_order
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, read_parts

Floats = np.ndarray

# The newest ones: what is held at once does not grow with the number of runs.
MOST_NORMALS = 500
# Of each case, by kind: a failure has many new lines, which must not hide what else is different.
MOST_DIFFERENCES = {"new": 8, "missing": 5, "more": 5, "less": 5}
# Counts differ if one is so many times the other, and by so many at least.
_FACTOR, _LEAST = 2.0, 3.0
_KEYS = ("run", "test_case", "service")


@dataclass(frozen=True)
class Difference:
    """A template of a service that two cases have in different numbers.

    ``kind`` is ``new`` (the normal case has none), ``missing`` (this one has none), ``more`` or ``less``; ``here`` and
    ``there`` count its lines in the case and in the normal one.
    """

    service: str
    kind: str
    e_event_drain_id: str
    template: str
    here: int
    there: int


@dataclass(frozen=True)
class Comparison:
    """The nearest normal case, its distance (0 the same shares of templates, 1 none in common), and what differs.

    ``left_out`` counts the differences beyond MOST_DIFFERENCES.
    """

    run: str
    test_case: str
    distance: float
    differences: tuple[Difference, ...]
    left_out: int = 0


def compare_cases(
    layout: Layout, cases: Sequence[Case], normals: Sequence[Case], services: Collection[str] = ()
) -> dict[Case, Comparison]:
    """Find the nearest normal case of each case (run, test_case), and say what differs, in some services alone if any.

    The distance is the mean over the services of the Jensen-Shannon distance (base 2) of their shares of templates; a
    service that one side alone has counts 1. Normal cases of other runs go before those of the same one. Of more than
    MOST_NORMALS normal cases the newest are compared.

    Returns
    -------
    The comparisons of those cases that are in the enhanced table and have a normal case beside them.
    """
    newest = sorted(set(normals), key=lambda case: (run_order(case[0]), case[1]))[-MOST_NORMALS:]
    tokens: dict[str, int] = {}
    known = _Normals.of(_read_bags(layout, {*newest}, tokens), len(tokens))
    bags = _read_bags(layout, {*cases}, tokens)
    found = {case: known.nearest(case, bags[case]) for case in cases if case in bags}
    names = list(tokens)
    pairs = {
        case: (near, _differences(bags[case], known.bags[near[0]], names, services))
        for case, near in found.items()
        if near
    }
    texts = _templates(layout, {row.e_event_drain_id for _, (rows, _) in pairs.values() for row in rows})
    return {
        case: Comparison(*near, distance, tuple(_named(row, texts) for row in rows), left_out)
        for case, ((near, distance), (rows, left_out)) in pairs.items()
    }


@dataclass(frozen=True)
class _Bag:
    """The templates of a service in a case: numbers, ascending, and counts, each (templates,)."""

    codes: Ints
    counts: Ints

    @property
    def shares(self) -> Floats:
        """Return the counts as shares of their sum."""
        return self.counts / self.counts.sum()

    def plus(self, other: "_Bag") -> "_Bag":
        """Add another log of the same service."""
        codes, place = np.unique(np.concatenate([self.codes, other.codes]), return_inverse=True)
        return _Bag(codes, np.bincount(place, np.concatenate([self.counts, other.counts])).astype(np.int64))


_Bags = dict[Case, dict[str, _Bag]]


@dataclass(frozen=True)
class _Normals:
    """The normal cases in order; of each service its rows among them, and the shares (rows x templates)."""

    bags: _Bags
    cases: list[Case]
    services: dict[str, tuple[Ints, sparse.csc_matrix]]

    @classmethod
    def of(cls, bags: _Bags, n_tokens: int) -> "_Normals":
        """Lay out the bags of normal cases."""
        cases, services = sorted(bags), {}
        for service in {service for own in bags.values() for service in own}:
            rows = np.array([row for row, case in enumerate(cases) if service in bags[case]])
            own = [bags[cases[row]][service] for row in rows]
            borders = np.cumsum([0, *(len(bag.codes) for bag in own)])
            cells = (np.concatenate([b.shares for b in own]), np.concatenate([b.codes for b in own]), borders)
            services[service] = (rows, sparse.csr_matrix(cells, (len(own), n_tokens)).tocsc())
        return cls(bags, cases, services)

    def nearest(self, case: Case, own: dict[str, _Bag]) -> tuple[Case, float] | None:
        """Return the nearest case and its distance; None where there is no other case."""
        other_run = [row for row, (run, _) in enumerate(self.cases) if run != case[0]]
        rows = other_run or [row for row, normal in enumerate(self.cases) if normal != case]
        if not rows:
            return None
        # Sums of the same figures may differ in their last digits.
        distances = np.round(self._distances(own)[rows], 9)
        best = int(np.argmin(distances))
        return self.cases[rows[best]], float(distances[best])

    def _distances(self, own: dict[str, _Bag]) -> Floats:
        total, services = np.zeros((2, len(self.cases)))
        for service in sorted({*own, *self.services}):
            has = np.full(len(self.cases), service in own)
            apart = has.astype(float)
            if service in self.services:
                rows, shares = self.services[service]
                has[rows] = True
                apart[rows] = _distance(own[service], shares) if service in own else 1.0
            total, services = total + apart, services + has
        return total / np.maximum(services, 1)


def _distance(bag: _Bag, shares: sparse.csc_matrix) -> Floats:
    """Return the Jensen-Shannon distances (base 2) of a bag to each row of shares: float (rows,)."""
    known = bag.codes < shares.shape[1]
    here, there = bag.shares[known], shares[:, bag.codes[known]].toarray()
    middle = (here + there) / 2
    both = (rel_entr(there, middle) + rel_entr(here, middle)).sum(axis=1) / np.log(2)
    # What one side alone has adds its share.
    alone = (1 - there.sum(axis=1)) + (1 - here.sum())
    return np.sqrt(np.clip((both + alone) / 2, 0, 1))


def _read_bags(layout: Layout, wanted: set[Case], tokens: dict[str, int]) -> _Bags:
    """Read the template counts of cases, part by part; ``tokens`` numbers the templates, and grows."""
    found: _Bags = {}
    for path in part_paths(layout.enhanced) if wanted else ():
        keys = read_part(path, _KEYS)
        names = list(zip(*(strings(keys[name]).to_pylist() for name in _KEYS), strict=True))
        rows = [row for row, (run, test_case, _) in enumerate(names) if (run, test_case) in wanted]
        if not rows:
            continue
        counted = read_counts(read_part(path, [MAIN["templates"]]).column(0).take(pa.array(rows)))
        codes = np.array([tokens.setdefault(t, len(tokens)) for t in counted.tokens.to_pylist()], dtype=np.int64)
        for place, row in enumerate(rows):
            run, test_case, service = names[row]
            bag = _bag_of(counted.counts[place], codes)
            if len(bag.codes):
                case = found.setdefault((run, test_case), {})
                case[service] = case[service].plus(bag) if service in case else bag
    return found


def _bag_of(row: sparse.csr_matrix, codes: Ints) -> _Bag:
    order = np.argsort(codes[row.indices])
    return _Bag(codes[row.indices][order], row.data[order].astype(np.int64))


def _differences(
    here: dict[str, _Bag], there: dict[str, _Bag], names: list[str], services: Collection[str]
) -> tuple[list[Difference], int]:
    """List what differs, by kind and then by how much, and count what is left out."""
    empty = _Bag(np.empty(0, np.int64), np.empty(0, np.int64))
    found = [
        entry
        for service in sorted({*here, *there})
        if not services or service in services
        for entry in _of_service(service, here.get(service, empty), there.get(service, empty), names)
    ]
    found.sort(key=lambda entry: (-entry[0], entry[1].service, entry[1].e_event_drain_id))
    kept = [
        row for kind, most in MOST_DIFFERENCES.items() for row in [row for _, row in found if row.kind == kind][:most]
    ]
    return kept, len(found) - len(kept)


def _of_service(service: str, here: _Bag, there: _Bag, names: list[str]) -> list[tuple[float, Difference]]:
    """List what differs in a service, each with its size: logs differ in length, so the counts there are scaled."""
    scale = here.counts.sum() / there.counts.sum() if len(here.counts) and len(there.counts) else 1.0
    codes = np.union1d(here.codes, there.codes)
    own, other = (_at(bag, codes) for bag in (here, there))
    found = []
    for code, count, normal in zip(codes.tolist(), own.tolist(), other.tolist(), strict=True):
        kind = _kind(count, normal, normal * scale)
        if kind:
            size = abs(count - normal * scale)
            found.append((float(size), Difference(service, kind, names[code], "", count, normal)))
    return found


def _kind(here: int, there: int, scaled: float) -> str:
    if not there or not here:
        return "missing" if there else "new"
    if abs(here - scaled) < _LEAST or max(here, scaled) < _FACTOR * min(here, scaled):
        return ""
    return "more" if here > scaled else "less"


def _at(bag: _Bag, codes: Ints) -> Ints:
    counts = np.zeros(len(codes), dtype=np.int64)
    counts[np.searchsorted(codes, bag.codes)] = bag.counts
    return counts


def _templates(layout: Layout, wanted: set[str]) -> dict[str, str]:
    """Read the texts of some templates."""
    found: dict[str, str] = {}
    for part in read_parts(layout.templates, [DRAIN_ID.name, "template"]) if wanted else ():
        ids = strings(part[DRAIN_ID.name])
        chosen = pc.is_in(ids, pa.array(sorted(wanted), pa.string()))
        texts = strings(part["template"]).filter(chosen)
        found.update(zip(ids.filter(chosen).to_pylist(), texts.to_pylist(), strict=True))
    return found


def _named(row: Difference, texts: dict[str, str]) -> Difference:
    template = texts.get(row.e_event_drain_id, "")
    return Difference(row.service, row.kind, row.e_event_drain_id, template, row.here, row.there)
