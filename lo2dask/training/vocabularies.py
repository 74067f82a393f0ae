"""The vocabularies and columns of all units: one map counts, one reduces, and what is chosen becomes a file."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa

from lo2dask import schema
from lo2dask.execute.session import Session
from lo2dask.features.bags import read_counts
from lo2dask.features.matrix import Columns, Moments, add_moments, numeric_moments, scales
from lo2dask.models.sample import strata
from lo2dask.storage import replacing
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.training.units import KEY_COLUMNS, ColumnsKey, Tokens, TrainingRows, read_splits, working_folder
from lo2dask.vocabulary.counts import COUNTED, count_tokens
from lo2dask.vocabulary.reduce import VocabularyPlan, merge_spilled
from lo2dask.vocabulary.spill import Spill

# Key of what a counted part has spilled, among the names of rows.
SPILLED = "spilled rows"


@dataclass(frozen=True)
class RowCounts:
    """Training rows in numbers: how many, by stratum (service, test case), and their numeric columns' moments."""

    total: int
    strata: dict[str, int]
    moments: Moments


@dataclass(frozen=True)
class ChosenColumns:
    """The columns of a matrix on disk; ``cells_per_row`` is the mean number of stored cells of a training row."""

    path: Path
    width: int
    cells_per_row: float


def count_parts(
    layout: Layout, tokens: Sequence[Tokens], rows: Sequence[TrainingRows], spilled: Spill, session: Session
) -> tuple[dict[str, RowCounts], list[list[int]]]:
    """Count tokens and rows of every part; the tokens are spilled.

    Returns
    -------
    the rows' counts by name, and the rows of each table that a part has spilled.
    """
    counted = {token.counted: token for token in tokens}
    ordered = tuple(counted[name] for name in spilled.names)
    plan = CountPlan(layout.root, ordered, tuple({row.name: row for row in rows}.values()), spilled)
    results = session.map(count_part, [path.name for path in part_paths(layout.enhanced)], "count", plan=plan)
    totals = {}
    for row in plan.rows:
        parts = [result[row.name] for result in results]
        moments = add_moments(part["moments"] for part in parts)
        totals[row.name] = RowCounts(
            sum(p["total"] for p in parts), dict(sorted(sum((p["strata"] for p in parts), Counter()).items())), moments
        )
    return totals, [result[SPILLED] for result in results]


@dataclass(frozen=True)
class CountPlan:
    """What the counting map counts in each part."""

    root: Path
    tokens: tuple[Tokens, ...]
    rows: tuple[TrainingRows, ...]
    spilled: Spill


def count_part(name: str, plan: CountPlan) -> dict[str, Any]:
    """Count one part: tokens go to the spill, rows come back."""
    layout = Layout(plan.root)
    splits = read_splits(layout)
    bags = [schema.BAGS[token.representation] for token in plan.tokens]
    part = read_part(layout.enhanced / name, dict.fromkeys([*KEY_COLUMNS, *schema.NUMERIC, *bags]))
    counts = {bag: read_counts(part[bag]) for bag in dict.fromkeys(bags)}
    tables = (
        count_tokens(counts[bag], token.rows.mask(part, splits)) for token, bag in zip(plan.tokens, bags, strict=True)
    )
    result: dict[str, Any] = {SPILLED: plan.spilled.add(name, tables)}
    for rows in plan.rows:
        chosen = part.filter(pa.array(rows.mask(part, splits)))
        result[rows.name] = {
            "total": chosen.num_rows,
            "strata": Counter(strata(chosen["service"], chosen["test_case"])),
            "moments": numeric_moments(chosen, schema.NUMERIC),
        }
    return result


def choose_columns(
    layout: Layout,
    keys: Iterable[ColumnsKey],
    counts: dict[str, RowCounts],
    spilled: tuple[Spill, list[list[int]]],
    session: Session,
) -> dict[str, ChosenColumns]:
    """Reduce the spilled counts to vocabularies and write each matrix' columns; return them by name."""
    wanted = {key.name: key for key in keys}
    tokens = list(dict.fromkeys(token for key in wanted.values() for token in key.tokens))
    vocabularies = [VocabularyPlan(token.counted, token.limits, counts[token.rows.name].total) for token in tokens]
    merged = merge_spilled(*spilled, vocabularies, session)
    chosen = {
        token: pa.concat_tables([COUNTED.empty_table(), *tables]) for token, tables in zip(tokens, merged, strict=True)
    }
    return {name: _write_columns(layout, key, chosen, counts) for name, key in wanted.items()}


def _write_columns(
    layout: Layout, key: ColumnsKey, vocabularies: dict[Tokens, pa.Table], counts: dict[str, RowCounts]
) -> ChosenColumns:
    tokens = {token.representation: vocabularies[token]["token"].combine_chunks() for token in key.tokens}
    moments = counts[key.rows.name].moments
    scale = scales([moments[schema.NUMERIC.index(name)] for name in key.numeric])
    columns = Columns(tokens, key.numeric, scale)
    path = working_folder(layout) / "columns" / f"{key.name}.joblib"
    with replacing(path) as temporary:
        joblib.dump(columns.to_plain(), temporary)
    cells = sum(
        sum(vocabularies[token]["document_frequency"].to_pylist()) / max(counts[token.rows.name].total, 1)
        for token in key.tokens
    )
    return ChosenColumns(path, columns.width, cells + len(key.numeric))
