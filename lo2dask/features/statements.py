"""Ids of statements: a letter for what a statement is, and a number in the order of the texts.

A statement is a normalised line after its header. ``e12`` has an error level, ``c12`` is a continuation line (of a
stack trace, say), ``s12`` any other one, an exception above its trace among them. Detectors read the letter, so that an
id is all that they need.

Masks that leave too many statements apart would make each line a statement of its own. Then the statements are the
templates (``et12``).
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lo2dask.formats.line_format import LineFormat

ERROR, CONTINUATION, OTHER = ord("e"), ord("c"), ord("s")
# More statements than this, or than this share of the lines (from so many on): the masks do too little.
MOST_STATEMENTS, MOST_SHARE, FEW_STATEMENTS = 20_000, 0.05, 1_000


@dataclass(frozen=True)
class Statements:
    """How statements are named in another tree: the known texts' ids, or by template."""

    known: Mapping[str, str] = field(default_factory=dict)
    by_template: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Return plain types, for a bundle."""
        return {"known": dict(self.known), "by_template": self.by_template}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Statements":
        """Read back what ``to_plain`` gave."""
        return cls(plain["known"], plain["by_template"])

    def number(self, texts: Sequence[str], letters: Sequence[str], templates: Sequence[str]) -> list[str]:
        """Name statements, given sorted: a known one by its id, others in their order."""
        if self.by_template:
            return [f"{letter}t{template}" for letter, template in zip(letters, templates, strict=True)]
        new = "n" if self.known else ""
        pairs = enumerate(zip(texts, letters, strict=True), 1)
        return [self.known.get(text) or f"{letter}{new}{number}" for number, (text, letter) in pairs]


def are_too_many(statements: int, lines: int) -> bool:
    """Return whether so many statements of so many lines are more than masks should leave apart."""
    return statements > MOST_STATEMENTS or (statements > FEW_STATEMENTS and statements > MOST_SHARE * lines)


def letters_of(texts: pa.Array, levels: pa.Array, is_continuation: pa.Array, line_format: LineFormat) -> list[str]:
    """Return the letter of each statement from its level and whether it continues an event."""
    if line_format.own_start:
        is_own = pc.match_substring_regex(texts, line_format.own_start)
        is_continuation = pc.and_not(is_continuation, is_own)
    pairs = zip(levels.to_pylist(), is_continuation.to_pylist(), strict=True)
    return ["e" if level in line_format.error_levels else "c" if continues else "s" for level, continues in pairs]


def kinds_of(ids: pa.Array) -> np.ndarray:
    """Return what statements are (ERROR, CONTINUATION or OTHER) by their ids: uint8 (ids,)."""
    return np.array([ord(one[0]) for one in ids.to_pylist()], dtype=np.uint8)


def are_templates(ids: Iterable[str]) -> bool:
    """Return whether statements are named by template."""
    return any(one[1:2] == "t" for one in ids)


def in_order(ids: Sequence[str]) -> list[int]:
    """Return the places of ids in their order: by kind, then by number, so that no part of a tree has its own order."""
    return sorted(range(len(ids)), key=lambda place: _number(ids[place]))


@functools.lru_cache(maxsize=2 * MOST_STATEMENTS)
def _number(one: str) -> tuple[str, int]:
    letters = one.rstrip("0123456789")
    return letters, int(one[len(letters) :] or 0)
