"""Which flagged sequences get evidence: those of findings, and a seeded draw among the others.

The draw is over the sequences that any model flags, so that the lines of one are read once for all models. It is
spread over services and test cases, and by a hash of seq_id, so that it is the same for any parts and any workers.
"""

import functools
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import among, codes, strings
from lo2dask.execute.session import Session
from lo2dask.explanation.draw import RowCut
from lo2dask.explanation.merged_parts import Names, Subject, deal_parts
from lo2dask.explanation.summary import Flags
from lo2dask.models.sample import Candidates, candidates, hashes, merge_candidates, quotas, strata
from lo2dask.storage import cached_files
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_rows

logger = logging.getLogger(__name__)

_NAMES = ["seq_id", "run", "test_case", "service"]
_FINDINGS = ""  # in place of the stratum, for what is drawn anyway


@dataclass(frozen=True)
class EvidenceDraw:
    """The draw: of each stratum (service and test case) the hashes up to a cut; ``cuts`` None draws all."""

    seed: int
    cuts: Mapping[str, RowCut] | None = None

    def mask(self, table: pa.Table, layout: Layout) -> Flags:
        """Return which rows get evidence if they are flagged: bool (rows,); columns seq_id and its three keys."""
        if self.cuts is None:
            return np.ones(table.num_rows, dtype=bool)
        chosen = _mask_findings(table, layout)
        ids = np.asarray(strings(table["seq_id"]).to_pylist(), dtype=object)
        rows_of: dict[str, list[int]] = {}
        for row, name in enumerate(strata(table["service"], table["test_case"])):
            rows_of.setdefault(name, []).append(row)
        drawn = hashes(ids.tolist(), self.seed)
        for name in rows_of.keys() & self.cuts.keys():
            rows = np.array(rows_of[name])
            chosen[rows] |= self.cuts[name].mask(drawn[rows], ids[rows])
        return chosen


def draw_evidence(subjects: Sequence[Subject], limit: int, session: Session) -> EvidenceDraw:
    """Draw at most ``limit`` (0 = all) of the sequences that some model flags and that belong to no finding."""
    seed = subjects[0].seed
    if not limit:
        return EvidenceDraw(seed)
    groups = deal_parts(subjects[0])
    counts: Counter[str] = sum(session.map(count_flagged, groups, "flagged", subjects=list(subjects)), Counter())
    total, found = counts.total(), counts.pop(_FINDINGS, 0)
    if total - found <= limit:
        return EvidenceDraw(seed)
    wanted = quotas(counts, limit)
    parts = session.map(find_candidates, groups, "flagged", subjects=list(subjects), wanted=wanted)
    # One after the other as they come: no more than the draw and one part is held.
    drawn = functools.reduce(lambda left, right: merge_candidates([left, right], wanted), parts)
    logger.info("evidence lines for %d of %d flagged sequences (--evidence-limit)", found + limit, total)
    # The last row of each stratum is its cut.
    last = np.flatnonzero(np.diff(codes(drawn["stratum"])[0], append=-1))
    cuts = drawn.take(pa.array(last)).select(["stratum", "hash", "seq_id"]).to_pylist()
    return EvidenceDraw(seed, {row["stratum"]: RowCut(row["hash"], row["seq_id"]) for row in cuts})


def count_flagged(names: Names, subjects: Sequence[Subject]) -> Counter[str]:
    """Count the sequences of some parts that any model flags, by stratum; those of findings under an empty name."""
    return sum((Counter(_strata(_read_flagged(name, subjects), subjects[0])) for name in names), Counter())


def find_candidates(names: Names, subjects: Sequence[Subject], wanted: Mapping[str, int]) -> Candidates:
    """Return the sequences of some parts that may be drawn."""
    parts = []
    for table in (_read_flagged(name, subjects) for name in names):
        ids = strings(table["seq_id"]).to_pylist()
        parts.append(candidates(ids, _strata(table, subjects[0]), wanted, subjects[0].seed))
    return merge_candidates(parts, wanted)


def _read_flagged(name: str, subjects: Sequence[Subject]) -> pa.Table:
    """Read the sequences of one part that any model flags, each once."""
    tables = []
    for subject in subjects:
        table = subject.read_predictions(name, [*_NAMES, "pred_ano"])
        flagged = table.filter(pc.equal(table["pred_ano"], 1))
        tables.append(pa.table({name: strings(flagged[name]) for name in _NAMES}))
    return pa.concat_tables(tables).group_by(_NAMES, use_threads=False).aggregate([])


def _strata(flagged: pa.Table, subject: Subject) -> list[str]:
    found = _mask_findings(flagged, subject.layout)
    names = strata(flagged["service"], flagged["test_case"])
    return [_FINDINGS if of_finding else name for name, of_finding in zip(names, found.tolist(), strict=True)]


def _mask_findings(table: pa.Table, layout: Layout) -> Flags:
    known = _read_findings(tuple(part_paths(layout.findings)))
    return among(_join_keys(table), known)


@cached_files(maxsize=2)
def _read_findings(paths: tuple[Path, ...]) -> frozenset[str]:
    if not paths:
        return frozenset()
    table = read_rows(paths, [*_NAMES[1:], "score"])
    return frozenset(_join_keys(table.filter(pc.is_valid(table["score"]))).to_pylist())


def _join_keys(table: pa.Table) -> pa.Array:
    return pc.binary_join_element_wise(*(strings(table[name]) for name in _NAMES[1:]), "\x00")
