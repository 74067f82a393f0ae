"""Answers within bounds: so many rows and characters, what is left out is counted, and log text cannot act."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lo2dask.buffers.visible import visible

# Characters of one text; the line is in its file, which the answer names.
LONGEST = 1_000
CUT_MARK = " … (cut)"
Answer = dict[str, Any]
# Quotes, brackets and a number.
_PER_LIST = 40


@dataclass(frozen=True)
class Found:
    """The first rows of a list, and how many it has; None where more were not looked for."""

    rows: Iterable[Mapping[str, Any]]
    total: int | None


@dataclass(frozen=True)
class Bounds:
    """The most rows of each list of an answer, and the most characters of the answer as JSON."""

    rows: int
    chars: int

    def limit(self, wanted: int) -> int:
        """Return how many rows a caller gets who wants so many: at least one."""
        return max(1, min(wanted, self.rows))

    def answer(self, facts: Mapping[str, Any], **lists: Found) -> Answer:
        """Put facts and lists together; a list gives way when the characters are used up.

        Returns
        -------
        The facts, each list, and ``left_out`` with the number of rows that are not in each list; a text where that is
        not known.
        """
        given = {name: safe(value) for name, value in facts.items()}
        left_out: dict[str, int | str] = {}
        # Names of lists stand twice: a list that is cut is named in left_out too.
        spare = self.chars - _size(given) - sum(2 * len(name) + _PER_LIST for name in lists) - _PER_LIST
        for name, found in lists.items():
            rows = [safe(row) for row in found.rows]
            kept = []
            for row in rows[: self.rows]:
                spare -= _size(row)
                if spare < 0:
                    break
                kept.append(row)
            given[name] = kept
            if found.total is not None and found.total > len(kept):
                left_out[name] = found.total - len(kept)
            elif len(kept) < len(rows):
                left_out[name] = f"at least {len(rows) - len(kept)}"
        return given | {"left_out": left_out}


def safe(value: Any) -> Any:
    """Turn a value into what JSON knows: times as text, long texts cut, characters that act as escapes."""
    if isinstance(value, str):
        return visible(value if len(value) <= LONGEST else value[:LONGEST] + CUT_MARK)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {safe(str(key)): safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [safe(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False)) + 2
