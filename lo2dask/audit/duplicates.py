"""Logs that equal one another: the same service, and the same templates as often; short logs are left out."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lo2dask.audit.cases import Cases
from lo2dask.audit.permute import Floats
from lo2dask.buffers.arrays import Bools, Ints
from lo2dask.features.bags import LEAST_LINES
from lo2dask.models.split import Groups, hold_out
from lo2dask.options import HoldoutOptions

# Groups that are worked on at once.
_CHUNK = 2_000


@dataclass(frozen=True)
class Duplicates:
    """Pairs of equal logs of different runs, and how many held-out logs equal one of the training part.

    ``alike`` (cases x groups) counts each case's logs in each group of equal logs, ``same_run`` (cases x groups of one
    run) those in each run's share of a group. ``held`` counts the held-out logs, ``copied`` those of them that have an
    equal in the training part. The split is the one that train makes unless it is told otherwise.
    """

    alike: sparse.csr_matrix
    same_run: sparse.csr_matrix
    pairs: int
    held: int
    copied: int

    def agreement(self, labels: Bools) -> Floats:
        """Return the share of the pairs whose two logs are of one class, for each row of labels: (draws + 1,)."""
        signs = np.where(labels, 1.0, -1.0)
        # The sum over pairs of the product of their signs: all pairs of a group without those of one run.
        total = _squares(signs, self.alike) - _squares(signs, self.same_run)
        return (1 + total / (2 * self.pairs)) / 2


def find_duplicates(cases: Cases, seed: int) -> Duplicates:
    """Find the logs of different runs that equal one another, and those on both sides of the default split."""
    long = np.flatnonzero(cases.figures["length"] >= LEAST_LINES)
    of_case, service = cases.of_sequence[long], cases.service[long]
    group = _numbers(service, cases.bags[long])
    of_run = _numbers(group, cases.run[of_case])
    alike, same_run = (_counts(len(cases.names), of_case, one) for one in (group, of_run))
    sizes, own = (np.bincount(one).astype(np.int64) for one in (group, of_run))
    pairs = int((sizes**2).sum() - (own**2).sum()) // 2
    runs, test_cases = (np.array([name[side] for name in cases.names], dtype=object)[of_case] for side in (0, 1))
    services = np.array(cases.services, dtype=object)[service]
    split = hold_out(Groups.of(runs, test_cases, services), HoldoutOptions(), seed)
    held = split.mask(runs, test_cases, services)
    in_training = np.zeros(len(sizes), dtype=bool)
    in_training[group[~held]] = True
    return Duplicates(alike, same_run, pairs, int(held.sum()), int((held & in_training[group]).sum()))


def _squares(signs: Floats, counts: sparse.csr_matrix) -> Floats:
    """Sum the squares of each row's signed counts."""
    found = np.zeros(len(signs))
    # Groups of one log have the square 1 whatever its label is.
    shared = counts[:, np.flatnonzero(np.asarray(counts.sum(axis=0))[0] > 1)].tocsc()
    for start in range(0, shared.shape[1], _CHUNK):
        found += ((shared[:, start : start + _CHUNK].T @ signs.T) ** 2).sum(axis=0)
    return found + (counts.shape[1] - shared.shape[1])


def _numbers(first: Ints, second: np.ndarray) -> Ints:
    """Number the distinct pairs of two columns."""
    _, one = np.unique(first, return_inverse=True)
    _, other = np.unique(second, return_inverse=True)
    pairs = one.astype(np.int64) * (int(other.max(initial=0)) + 1) + other
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


def _counts(n_cases: int, of_case: Ints, group: Ints) -> sparse.csr_matrix:
    shape = (n_cases, int(group.max(initial=-1)) + 1)
    return sparse.coo_matrix((np.ones(len(group)), (of_case, group)), shape).tocsr()
