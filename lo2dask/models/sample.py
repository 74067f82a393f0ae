"""Seeded samples that any partitioning draws alike: a row is drawn by a hash of seed and seq_id, never by position.

1. ``Counter(strata)`` of each part, added up; ``quotas(total, n)`` shares n rows among the strata.
2. ``candidates(seq_ids, strata, quotas, seed)`` of each part; ``merge_candidates(parts, quotas)``.
3. ``chosen = choose(candidates)``; ``chosen.mask(seq_ids)`` picks the rows out of each part; ``chosen.describe(...)``
   is what the fit record keeps.

``keep(seq_ids, rate, seed)`` draws by rate in a single pass, where an exact number does not matter.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.buffers.columns import codes, strings

# Columns stratum, hash and seq_id, sorted.
Candidates: TypeAlias = pa.Table


def hashes(seq_ids: Iterable[str], seed: int) -> np.ndarray:
    """Hash each seq_id with the seed: uint64 (rows,), spread evenly."""
    key = str(seed).encode()[:64]
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest() for text in seq_ids)
    return np.frombuffer(digests, dtype="<u8")


def strata(*columns: Any) -> list[str]:
    """Name each row's stratum: the values of its columns (service, test case), joined by ``|``."""
    return pc.binary_join_element_wise(*(strings(column) for column in columns), "|").to_pylist()


def keep(seq_ids: Sequence[str], rate: float, seed: int) -> np.ndarray:
    """Draw a share of the rows, each by itself: bool (rows,)."""
    return hashes(seq_ids, seed).astype(float) / 2.0**64 < rate


def quotas(total: Mapping[str, int], n: int) -> dict[str, int]:
    """Share n rows among the strata in proportion, by largest remainder, ties by name; one each where n allows."""
    size = sum(total.values())
    if n >= size:
        return dict(total)
    least = 1 if n >= len(total) else 0
    spare, free = n - least * len(total), size - least * len(total)
    shares = {name: divmod((count - least) * spare, free) for name, count in total.items()}
    given = {name: whole for name, (whole, _) in shares.items()}
    by_remainder = sorted(total, key=lambda name: (-shares[name][1], name))
    for name in by_remainder[: spare - sum(given.values())]:
        given[name] += 1
    return {name: least + count for name, count in given.items()}


def candidates(seq_ids: Sequence[str], strata: Sequence[str], quotas: Mapping[str, int], seed: int) -> Candidates:
    """Return one part's smallest hashes of each stratum, at most its quota."""
    columns = {"stratum": strings(strata), "hash": hashes(seq_ids, seed), "seq_id": strings(seq_ids)}
    return merge_candidates([pa.table(columns)], quotas)


def merge_candidates(parts: Iterable[Candidates], quotas: Mapping[str, int]) -> Candidates:
    """Join the candidates of several parts and keep each stratum's quota of smallest hashes, ties by seq_id."""
    joined = pa.concat_tables(parts).sort_by([(name, "ascending") for name in ("stratum", "hash", "seq_id")])
    stratum, names = codes(joined["stratum"])
    rank = np.arange(len(stratum)) - np.searchsorted(stratum, stratum)
    limit = np.array([quotas.get(name, 0) for name in names], dtype=np.int64)
    return joined.filter(pa.array(rank < limit[stratum]))


@dataclass(frozen=True)
class Chosen:
    """The seq_ids of a sample, sorted."""

    seq_ids: pa.Array

    def mask(self, seq_ids: Any) -> np.ndarray:
        """Return which rows of a part are in the sample: bool (rows,)."""
        return pc.is_in(strings(seq_ids), self.seq_ids).to_numpy(zero_copy_only=False)

    def describe(self, total: int, seed: int) -> dict[str, Any]:
        """Record the sample: its rows, of how many, the seed, and the SHA-256 of its sorted seq_ids."""
        digest = hashlib.sha256("\n".join(self.seq_ids.to_pylist()).encode()).hexdigest()
        return {"rows": len(self.seq_ids), "of": total, "seed": seed, "sha256": digest}

    def to_table(self) -> pa.Table:
        """Return the sample as a table with the column seq_id."""
        return pa.table({"seq_id": self.seq_ids})


def choose(candidates: Candidates) -> Chosen:
    """Close the draw: the merged candidates are the sample."""
    return Chosen(strings(candidates["seq_id"]).sort())
