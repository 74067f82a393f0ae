"""Which words the logs of bystanders have: of their first lines, and of their statements below the error levels.

The error itself is no leak. So a log is looked at only where it is a *bystander*: it has no rare error statement, one
that less than a quarter of its service's logs have, and which of the service's common error statements a log has does
not tell the classes apart (permutation p over .05). Of bystanders, words count that are in statements without an error
level (continuation lines left out); of start-up lines, words that no statement of an error level has.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from lo2dask.audit.cases import Cases
from lo2dask.audit.permute import p_value, presence_gaps
from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.features.words import count_words
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts

# An error statement is rare where less than this share of its service's logs have it.
_RARE = 0.25
# A service whose error statements tell the classes apart at this p is left out.
_AFFECTED = 0.05
# A service is looked at where this share of the cases has a bystander's log of it.
_COMMON = 0.5
_ERROR, _OTHER = "e", "s"


@dataclass(frozen=True)
class WordTable:
    """Which cases have which words in a service's log: ``presence`` (cases x words), of the ``cases`` by number.

    ``left_out`` counts the words that a bound left out.
    """

    service: str
    cases: Ints
    presence: sparse.csr_matrix
    words: tuple[str, ...]
    left_out: int = 0


@dataclass(frozen=True)
class StatementWords:
    """The distinct words of the statements: (statements x words), 1 where a statement has a word."""

    of_statement: sparse.csr_matrix
    words: tuple[str, ...]


def read_statement_words(layout: Layout, ids: tuple[str, ...]) -> StatementWords:
    """Read the words of the statements with these ids, in their order; of unknown ones none."""
    texts: dict[str, str] = {}
    for part in read_parts(layout.statements, ["statement_id", "text"]):
        for one, text in zip(part["statement_id"].to_pylist(), part["text"].to_pylist(), strict=True):
            texts[one] = f"{texts[one]} {text}" if one in texts else text
    counts = count_words(pa.array([texts.get(one, "") for one in ids], pa.string()))
    return StatementWords((counts.counts > 0).astype(np.int8), tuple(counts.tokens.to_pylist()))


@dataclass(frozen=True)
class WordTables:
    """The words of the start-up lines and of the statements, by service."""

    startup: tuple[WordTable, ...]
    statements: tuple[WordTable, ...]

    @property
    def left_out(self) -> int:
        """How many words a bound left out."""
        return sum(one.left_out for one in (*self.startup, *self.statements))


@dataclass(frozen=True)
class Bound:
    """At most so many words of a service are compared (0: all), drawn by a hash of seed and word."""

    limit: int
    seed: int

    def choose(self, words: tuple[str, ...]) -> Ints:
        """Return the places of the words that are compared, ascending."""
        if not self.limit or len(words) <= self.limit:
            return np.arange(len(words))
        keys = [hashlib.blake2b(f"{self.seed} {word}".encode(), digest_size=8).digest() for word in words]
        return np.sort(np.array(sorted(range(len(words)), key=keys.__getitem__)[: self.limit], dtype=np.int64))


def find_words(layout: Layout, cases: Cases, labels: Bools, bound: Bound) -> WordTables:
    """Find which words bystanders' logs have; ``labels`` are those of draw_labels."""
    keep = bystanders(cases, labels)
    known = read_statement_words(layout, cases.ids)
    return WordTables(
        tuple(startup_words(cases, keep, known, bound)), tuple(statement_words(cases, keep, known, bound))
    )


def statement_words(cases: Cases, keep: Bools, known: StatementWords, bound: Bound) -> list[WordTable]:
    """Return the words of bystanders' statements below the error levels, by service."""
    other = np.array([one.startswith(_OTHER) for one in cases.ids], dtype=bool)
    presence = cases.statements[:, np.flatnonzero(other)].astype(np.int32) @ known.of_statement[other].astype(np.int32)
    return _tables(cases, keep, presence, known.words, bound)


def startup_words(cases: Cases, keep: Bools, known: StatementWords, bound: Bound) -> list[WordTable]:
    """Return the words of bystanders' first lines, by service; nothing where load kept none."""
    if cases.startup is None:
        return []
    errors = np.array([one.startswith(_ERROR) for one in cases.ids], dtype=bool)
    of_errors = set(np.array(known.words, dtype=object)[known.of_statement[errors].indices].tolist())
    kept = np.array([number for number, word in enumerate(cases.words) if word not in of_errors], dtype=np.int64)
    words = tuple(cases.words[number] for number in kept.tolist())
    return _tables(cases, keep, cases.startup[:, kept], words, bound)


def bystanders(cases: Cases, labels: Bools) -> Bools:
    """Tell which sequences are logs of bystanders: bool (sequences,)."""
    errors = np.flatnonzero([one.startswith(_ERROR) for one in cases.ids])
    found = np.ones(len(cases.service), dtype=bool)
    for service in range(len(cases.services)):
        mine = np.flatnonzero(cases.service == service)
        own = cases.statements[mine][:, errors]
        rare = np.asarray((own > 0).sum(axis=0))[0] < _RARE * len(mine)
        found[mine] = np.asarray(own[:, np.flatnonzero(rare)].sum(axis=1))[:, 0] == 0
        presence = (own[:, np.flatnonzero(~rare)] > 0).astype(np.int8)
        if presence.shape[1] and p_value(presence_gaps(presence, labels[:, cases.of_sequence[mine]])[0]) <= _AFFECTED:
            found[mine] = False
    return found


def _tables(
    cases: Cases, keep: Bools, presence: sparse.csr_matrix, words: tuple[str, ...], bound: Bound
) -> list[WordTable]:
    """Cut (sequences x words) into services; words of one case, and those that all cases have, tell nothing."""
    tables = []
    for number, service in enumerate(cases.services):
        mine = np.flatnonzero(keep & (cases.service == number))
        # Of two logs of a service in a case, the first stands for both.
        own, first = np.unique(cases.of_sequence[mine], return_index=True)
        if len(own) < _COMMON * len(cases.names):
            continue
        table = (presence[mine[first]] > 0).astype(np.int8)
        frequency = np.asarray(table.sum(axis=0, dtype=np.int64))[0]
        telling = np.flatnonzero((frequency > 1) & (frequency < len(own)))
        names = tuple(words[one] for one in telling.tolist())
        chosen = bound.choose(names)
        kept = tuple(names[one] for one in chosen.tolist())
        tables.append(WordTable(service, own, table[:, telling[chosen]], kept, len(names) - len(kept)))
    return tables
