"""The cases of a folder with a few numbers for each service: no text is kept but the words of few statements."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from lo2dask.audit.permute import Floats
from lo2dask.buffers.arrays import Bools, Ints, U64s
from lo2dask.buffers.columns import milliseconds, strings
from lo2dask.errors import InputError
from lo2dask.features.bags import bag_numbers, from_bags
from lo2dask.parse.clock import NO_TIME
from lo2dask.sources.names import run_order
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part, read_parts

KEYS = ["run", "test_case", "service", "normal"]
_FIGURES = ["seq_len", "duration_ms", "start_time", "e_templates", "e_statements"]


@dataclass(frozen=True)
class Cases:
    """Cases (run and test case), sorted by run, and their sequences.

    ``of_sequence`` and ``service`` are each sequence's case and service by number; ``figures`` holds a number of each
    sequence by name, NaN where there is none; ``bags`` a number that equal bags of templates share; ``statements``
    (sequences x statements) which statements it has, by the columns' ids in ``ids``; ``startup`` (sequences x words)
    the words of its first lines, None where load kept none. ``total`` counts the folder's cases, of which whole runs
    are drawn where there are too many.
    """

    names: tuple[tuple[str, str], ...]
    run: Ints
    normal: Bools
    services: tuple[str, ...]
    of_sequence: Ints
    service: Ints
    figures: dict[str, Floats]
    bags: U64s
    statements: sparse.csr_matrix
    ids: tuple[str, ...]
    startup: sparse.csr_matrix | None
    words: tuple[str, ...]
    total: int

    def by_service(self, name: str) -> Floats:
        """Return a figure as (cases, services); NaN where a case has no log of the service."""
        table = np.full((len(self.names), len(self.services)), np.nan)
        values = self.figures[name]
        known = ~np.isnan(values)
        table[self.of_sequence[known], self.service[known]] = values[known]
        return table


def read_cases(layout: Layout, most: int, seed: int) -> Cases:
    """Read the cases of a folder part by part; of more than ``most``, whole runs in an order drawn by the seed.

    Raises
    ------
    InputError : there is no enhanced table, or it is empty, or nothing in it is labelled.
    """
    paths = part_paths(layout.enhanced)
    labels = _labels(layout)
    if not labels:
        raise InputError(
            f"{layout.root}: no sequence in it; first: lo2dask load --root LOGS --output-dir {layout.root}"
        )
    labels = {case: label for case, label in labels.items() if label is not None}
    if not labels:
        raise InputError(f"{layout.root}: audit needs labels; load with --normal or --labels")
    runs = _draw_runs(labels, most, seed)
    names = sorted((case for case in labels if case[0] in runs), key=lambda case: (run_order(case[0]), case[1]))
    place = {case: number for number, case in enumerate(names)}
    startup = layout.startup if [one.name for one in part_paths(layout.startup)] == [p.name for p in paths] else None
    sizes = _sizes(layout, runs)
    rows = _Rows(place)
    for path in paths:
        part = read_part(path, [*KEYS, *_FIGURES])
        keys = zip(strings(part["run"]).to_pylist(), strings(part["test_case"]).to_pylist(), strict=True)
        mine = np.array([key in place for key in keys], dtype=bool)
        words = read_part(startup / path.name, ["e_words"]).filter(pa.array(mine)) if startup else None
        rows.add(part.filter(pa.array(mine)), words, sizes)
    numbers = {run: number for number, run in enumerate(dict.fromkeys(run for run, _ in names))}
    run = np.array([numbers[run] for run, _ in names], dtype=np.int64)
    return rows.cases(tuple(names), run, np.array([labels[name] for name in names], dtype=bool), len(labels))


class _Rows:
    """Collects the sequences of the parts."""

    def __init__(self, place: dict[tuple[str, str], int]) -> None:
        self._place = place
        self._services: list[str] = []
        self._case: list[int] = []
        self._figures: dict[str, list[Floats]] = {"length": [], "duration": [], "start": [], "size": []}
        self._bags: list[U64s] = []
        self._statements, self._startup = _Presence(), _Presence()

    def add(self, part: pa.Table, startup: pa.Table | None, sizes: dict[tuple[str, str, str], int]) -> None:
        """Add a part's sequences, with the words of their first lines where those were kept."""
        if not part.num_rows:
            return
        keys = list(zip(*(strings(part[name]).to_pylist() for name in KEYS[:3]), strict=True))
        self._case += [self._place[run, case] for run, case, _ in keys]
        self._services += [service for _, _, service in keys]
        start = milliseconds(part["start_time"], NO_TIME).astype(np.float64)
        start[start == NO_TIME] = np.nan
        self._figures["start"].append(start)
        self._figures["length"].append(part["seq_len"].to_numpy().astype(np.float64))
        self._figures["duration"].append(part["duration_ms"].to_numpy().astype(np.float64))
        self._figures["size"].append(np.array([sizes.get(key, np.nan) for key in keys], dtype=np.float64))
        self._bags.append(bag_numbers(part["e_templates"]))
        self._statements.add(part["e_statements"])
        if startup is not None:
            self._startup.add(startup["e_words"])

    def cases(self, names: tuple[tuple[str, str], ...], run: Ints, normal: Bools, total: int) -> Cases:
        """Return all that was added."""
        services, service = np.unique(np.array(self._services, dtype=object), return_inverse=True)
        has_startup = bool(self._startup.tokens)
        return Cases(
            names, run, normal,
            services=tuple(services.tolist()),
            of_sequence=np.array(self._case, dtype=np.int64),
            service=service.astype(np.int64),
            figures={name: np.concatenate(parts) for name, parts in self._figures.items()},
            bags=np.concatenate(self._bags),
            statements=self._statements.matrix(),
            ids=tuple(self._statements.tokens),
            startup=self._startup.matrix() if has_startup else None,
            words=tuple(self._startup.tokens),
            total=total,
        )  # fmt: skip


class _Presence:
    """Collects which tokens each sequence has, with one numbering of the tokens of all parts."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}
        self._parts: list[sparse.csr_matrix] = []

    def add(self, bags: pa.ChunkedArray) -> None:
        """Add a part's bag column."""
        counts = from_bags(bags)
        own = [self.tokens.setdefault(token, len(self.tokens)) for token in counts.tokens.to_pylist()]
        columns = np.array(own, dtype=np.int64)[counts.counts.indices] if own else np.empty(0, np.int64)
        shape = (counts.counts.shape[0], len(self.tokens))
        self._parts.append(sparse.csr_matrix((np.ones(len(columns), np.int8), columns, counts.counts.indptr), shape))

    def matrix(self) -> sparse.csr_matrix:
        """Return (sequences x tokens)."""
        for part in self._parts:
            part.resize(part.shape[0], len(self.tokens))
        return sparse.vstack(self._parts, format="csr")


def _labels(layout: Layout) -> dict[tuple[str, str], bool | None]:
    """List the cases of the enhanced table with whether they are normal; None without a label."""
    labels: dict[tuple[str, str], bool | None] = {}
    for part in read_parts(layout.enhanced, ["run", "test_case", "normal"]):
        for row in part.unify_dictionaries().group_by(part.column_names).aggregate([]).to_pylist():
            labels[row["run"], row["test_case"]] = row["normal"]
    return labels


def _draw_runs(cases: Iterable[tuple[str, str]], most: int, seed: int) -> set[str]:
    """Choose runs: all of them, or as many as have at most so many cases together, one at the least."""
    sizes: dict[str, int] = {}
    for run, _ in cases:
        sizes[run] = sizes.get(run, 0) + 1
    if sum(sizes.values()) <= most:
        return set(sizes)
    drawn: set[str] = set()
    for run in sorted(sizes, key=lambda name: hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()):
        if not drawn or sum(sizes[one] for one in drawn) + sizes[run] <= most:
            drawn.add(run)
    return drawn


def _sizes(layout: Layout, runs: set[str]) -> dict[tuple[str, str, str], int]:
    """Add up the bytes of each service's logs from the manifest."""
    sizes: dict[tuple[str, str, str], int] = {}
    for key, size in _logs(layout):
        if key[0] in runs:
            sizes[key] = sizes.get(key, 0) + size
    return sizes


def _logs(layout: Layout) -> Iterator[tuple[tuple[str, str, str], int]]:
    for part in read_parts(layout.manifest, ["run", "test_case", "service", "size", "selected"]):
        for row in part.to_pylist():
            if row["selected"] and row["service"]:
                yield (row["run"], row["test_case"], row["service"]), row["size"]
