"""Evidence: the log lines that carry a flagged sequence's strongest features, or that normal sequences do not have.

A line weighs ``share + novelty``. ``share`` is the part that its tokens have in all of the sequence's SHAP values that
speak for an anomaly and that its lines carry; it only orders lines, for several have the same token and their shares
add up to over 1. ``novelty`` is ``ln((N + 1) / (n + 1)) / ln(N + 1)``, where n of the N normal sequences of the
service have the line's template: 1 for one that none has, 0 for one that all have. A model that has learned from
normals alone knows no feature for what is new, so the second part finds what the first cannot. At equal weight errors
come first, then the earlier line; each template is shown once.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lo2dask.explanation.summary import Flags, Floats, Integers
from lo2dask.features.trigrams import count_trigrams
from lo2dask.features.words import count_words
from lo2dask.schema import NUMERIC
from lo2dask.vocabulary.counts import TokenCounts

LINES = 8  # of each sequence
Carried = dict[str, dict[str, float]]  # representation -> token -> SHAP value that speaks for an anomaly


class Holders:
    """Which of some texts hold a token."""

    def __init__(self, counts: TokenCounts) -> None:
        """Turn the counts (texts x tokens), so that the texts of a token lie together."""
        by_token = counts.counts.tocsc()
        self._texts, self._starts, self._size = by_token.indices, by_token.indptr, by_token.shape[0]
        self._place = {token: place for place, token in enumerate(counts.tokens.to_pylist())}

    def weigh(self, tokens: Mapping[str, float]) -> Floats:
        """Return the sum of the values of each text's tokens: (texts,)."""
        weight = np.zeros(self._size)
        # In one order, whatever other texts there are, so that sums of the same values are equal.
        for token in sorted(tokens.keys() & self._place.keys()):
            place = self._place[token]
            weight[self._texts[self._starts[place] : self._starts[place + 1]]] += tokens[token]
        return weight


@dataclass(frozen=True, eq=False)
class Texts:
    """Distinct texts of one or several sequences; their tokens are counted once for all sequences and models."""

    values: pa.Array

    @functools.cached_property
    def words(self) -> Holders:
        """Which texts hold a word."""
        return Holders(count_words(self.values))

    @functools.cached_property
    def trigrams(self) -> Holders:
        """Which texts hold a trigram."""
        return Holders(count_trigrams(self.values))


@dataclass(frozen=True, eq=False)
class Patterns:
    """The distinct lines of one sequence.

    Attributes
    ----------
    texts : what tokens are taken from: normalised lines or raw ones, as the model's representation says
    rows : (n,) which of the texts the sequence has
    templates : (n,) template ids
    counts, first : (n,) lines of that text; the index of the first of them among all lines of the sequence, or another
        number that is in the order of the lines
    errors : (n,) whether it logs an error
    """

    texts: Texts
    rows: Integers
    templates: list[str]
    counts: Integers
    first: Integers
    errors: Flags


@dataclass(frozen=True)
class Normals:
    """The normal sequences of a service: how many there are.

    ``templates`` counts those that have each template, ``most`` is the most lines of it in one of them.
    """

    total: int
    templates: Mapping[str, int]
    most: Mapping[str, int]

    @classmethod
    def of(cls, bags: TokenCounts, chosen: Flags) -> "Normals":
        """Count the templates of the chosen rows: bool (rows,)."""
        rows = bags.counts[chosen]
        having, most = rows.astype(bool).sum(axis=0).A1, rows.max(axis=0).toarray().ravel()
        names = bags.tokens.to_pylist()
        present = np.flatnonzero(having).tolist()
        return cls(
            rows.shape[0], {names[i]: int(having[i]) for i in present}, {names[i]: int(most[i]) for i in present}
        )

    def merge(self, other: "Normals") -> "Normals":
        """Join other normals of the same service."""
        templates, most = dict(self.templates), dict(self.most)
        for name, count in other.templates.items():
            templates[name] = templates.get(name, 0) + count
            most[name] = max(most.get(name, 0), other.most[name])
        return Normals(self.total + other.total, templates, most)

    def find_missing(self, templates: Iterable[str]) -> list[str]:
        """List templates that every normal has and a sequence with these ones has not, ties by name."""
        everywhere = {name for name, count in self.templates.items() if count == self.total}
        return sorted(everywhere.difference(templates), key=lambda name: (-self.most[name], name))[:LINES]

    def novelty(self, template: str) -> float:
        """Return how new a template is, from 0 (every normal sequence has it) to 1 (none has)."""
        if self.total == 0:
            return 0.0
        return math.log((self.total + 1) / (self.templates.get(template, 0) + 1)) / math.log(self.total + 1)


@dataclass(frozen=True)
class Pick:
    """One line of evidence: the index of its first occurrence, how many lines are alike, and what it weighs."""

    index: int
    template: str
    alike: int
    share: float
    novelty: float


def select_carried(features: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Carried:
    """Select the features that a sequence has and that speak for an anomaly, by representation.

    Parameters
    ----------
    features : dicts of feature, value and shap
    names : the token representations of the model; with several, a feature's name begins with its representation
    """
    carried: Carried = {name: {} for name in names}
    for entry in features:
        feature = entry["feature"]
        # A column of numbers is on no line; a word of the same name is missed, which does no harm.
        if entry["shap"] <= 0 or entry["value"] == 0 or feature in NUMERIC:
            continue
        name, token = feature.split(":", 1) if len(names) > 1 else (names[0] if names else "", feature)
        if name in carried:
            carried[name][token] = entry["shap"]
    return carried


def pick_lines(patterns: Patterns, strong: Carried, normals: Normals, limit: int = LINES) -> list[Pick]:
    """Choose the lines that weigh most."""
    shares = _shares(patterns, strong)
    novelty = np.array([normals.novelty(template) for template in patterns.templates])
    # Rounded, so that ties are ties whatever the order of summation.
    weight = np.round(shares + novelty, 9)
    order = np.lexsort((patterns.first, ~patterns.errors, -weight))
    alike: dict[str, int] = {}
    for template, count in zip(patterns.templates, patterns.counts.tolist(), strict=True):
        alike[template] = alike.get(template, 0) + count
    picked: dict[str, Pick] = {}
    for row in order.tolist():
        template = patterns.templates[row]
        if len(picked) < limit and weight[row] > 0 and template not in picked:
            picked[template] = Pick(
                int(patterns.first[row]), template, alike[template], float(shares[row]), float(novelty[row])
            )
    return list(picked.values())


def _shares(patterns: Patterns, strong: Carried) -> Floats:
    weight = np.zeros(len(patterns.templates))
    for name, tokens in strong.items():
        kind = name.removesuffix("_raw")
        if tokens and kind in ("words", "trigrams"):
            weight += getattr(patterns.texts, kind).weigh(tokens)[patterns.rows]
    # The token of a template is its id.
    weight += np.array([strong.get("templates", {}).get(template, 0.0) for template in patterns.templates])
    total = sum(value for tokens in strong.values() for value in tokens.values())
    return weight / total if total > 0 else weight
