"""Trains and scores the simple baselines that every model is held against, on each split, part by part.

Beside them a number of each log is kept, which logs with equal statements share.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from lo2dask.execute.session import Session
from lo2dask.features.bags import LEAST_LINES, bag_numbers
from lo2dask.features.matrix import Columns
from lo2dask.ingest.mining import read_line_statements
from lo2dask.models.merged_rows import read_merged_rows
from lo2dask.models.registry import simple_baselines
from lo2dask.models.rows import Rows
from lo2dask.models.simple import TRANSFORMS
from lo2dask.models.spec import Merging, ModelSpec
from lo2dask.schema import STATEMENTS_BAG
from lo2dask.storage import list_paths, read_scratch, write_scratch
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.layout import Layout
from lo2dask.training.scoring import keep_scores
from lo2dask.training.units import KEY_COLUMNS, TrainingRows, read_splits, working_folder
from lo2dask.vocabulary.counts import TokenCounts

# Not scores: numbers that logs with equal statements share, NaN for short logs.
EQUAL = "equal_logs"
# A baseline names statements itself: all of them are outside this vocabulary.
_NONE_KNOWN = Columns({"statements": pa.array([], pa.string())})


def score_simple(layout: Layout, sides: Sequence[str], session: Session) -> dict[str, dict[str, str]]:
    """Train and score the baselines on each split; return, by side, under which key each one's scores are kept."""
    groups = group_parts(layout.enhanced)
    session.map(collect_group, groups, "baselines", root=layout.root, sides=list(sides))
    session.map(merge_groups, list(sides), "baselines", root=layout.root)
    session.map(score_group, groups, "baseline scores", root=layout.root, sides=list(sides))
    return {side: {spec.key: _key(spec, side) for spec in simple_baselines()} for side in sides}


def collect_group(group: Group, root: Path, sides: Sequence[str]) -> int:
    """Keep the statistics of a group's training normals, for each split."""
    layout = Layout(root)
    part, splits = _read(layout, group), read_splits(layout)
    read = _rows(layout, group, part)
    for side in sides:
        normal = TrainingRows(side, normal_only=True).mask(part, splits)
        collected = [_merging(spec).partial(read[spec.key].take(normal), None) for spec in simple_baselines()]
        write_scratch(_folder(layout, side) / f"{group.name}.pickle", collected)
    return part.num_rows


def merge_groups(side: str, root: Path) -> int:
    """Merge the statistics of all groups of one split, and keep the models."""
    folder = _folder(Layout(root), side)
    parts = (read_scratch(path) for path in list_paths(folder, ".pickle"))
    mergings = [_merging(spec) for spec in simple_baselines()]

    def merge(left: list[Any], right: list[Any]) -> list[Any]:
        """Join the statistics of all baselines of two groups."""
        return [own.merge(*pair) for own, pair in zip(mergings, zip(left, right, strict=True), strict=True)]

    merged = functools.reduce(merge, parts)
    write_scratch(folder / "models", [own.finish(found, None) for own, found in zip(mergings, merged, strict=True)])
    return len(merged)


def score_group(group: Group, root: Path, sides: Sequence[str]) -> int:
    """Score a group of parts with the baselines of each split, training normals also with their run left out."""
    layout = Layout(root)
    part, splits = _read(layout, group), read_splits(layout)
    # 53 bits are what a float64 holds.
    numbers = (bag_numbers(part[STATEMENTS_BAG]) >> np.uint64(11)).astype(np.float64)
    numbers[part["seq_len"].to_numpy() < LEAST_LINES] = np.nan
    keep_scores(layout, EQUAL, group, (numbers, numbers, numbers))
    read = _rows(layout, group, part)
    for side in sides:
        models = read_scratch(_folder(layout, side) / "models")
        normal = TrainingRows(side, normal_only=True).mask(part, splits)
        for spec, model in zip(simple_baselines(), models, strict=True):
            rows, left_out_scores = read[spec.key], spec.behaviour.score_normals
            assert left_out_scores
            scores = spec.behaviour.score(model, {}, rows)
            left_out = scores.copy()
            left_out[normal] = left_out_scores(model, rows.take(normal))
            keep_scores(layout, _key(spec, side), group, (scores, np.zeros(len(rows)), left_out))
    return part.num_rows


def _read(layout: Layout, group: Group) -> pa.Table:
    return group.read(layout.enhanced, [*KEY_COLUMNS, *TRANSFORMS, STATEMENTS_BAG])


def _rows(layout: Layout, group: Group, part: pa.Table) -> dict[str, Rows]:
    """Take what each baseline reads: logarithms as a matrix of one column, all statements, or all pairs of them."""
    statements = read_merged_rows(part, _NONE_KNOWN)
    kinds = {"statements": statements, "pairs": replace(statements, outside=read_pairs(layout, group))}
    for column, transform in TRANSFORMS.items():
        values = transform(part[column].to_numpy().astype(np.float64))
        kinds[column] = replace(statements, matrix=sparse.csr_matrix(values[:, None]))
    return {spec.key: kinds["".join(spec.numeric) or spec.representation] for spec in simple_baselines()}


def read_pairs(layout: Layout, group: Group) -> TokenCounts:
    """Count the pairs of neighbouring statements of a group's logs, a start and an end among them.

    A pair is named by both statements, or one, with a space between. Logs whose lines have no times have none, and none
    has any where load counted no windows.
    """
    rows = sum(group.rows)
    if not (layout.window_counts / group.name).is_file():
        return TokenCounts(sparse.csr_matrix((rows, 0), dtype=np.int32), pa.array([], pa.string()))
    counted = group.read(layout.window_counts, ["pairs", "first", "last"])
    ids, begin = read_line_statements(layout, group)
    lists = counted["pairs"].combine_chunks()
    row = np.repeat(np.arange(rows), np.diff(lists.offsets.to_numpy()))
    begins = np.flatnonzero(counted["first"].is_valid().to_numpy())
    ends = [begin[begins] + counted[column].drop_null().to_numpy() for column in ("first", "last")]
    # Place 0 is no statement: before the first one, and after the last.
    statement = np.append(ids.indices.to_numpy().astype(np.int64) + 1, 0)
    own = [lists.flatten().field(column).to_numpy() for column in ("before", "statement", "count")]
    own[:2] = [begin[row] + places for places in own[:2]]
    row = np.concatenate([row, begins, begins])
    nothing = np.full(len(begins), -1)
    before, after = np.concatenate([own[0], nothing, ends[1]]), np.concatenate([own[1], ends[0], nothing])
    width = len(ids.dictionary) + 1
    pairs, column = np.unique(statement[before] * width + statement[after], return_inverse=True)
    names = pa.concat_arrays([pa.array([""]), ids.dictionary.cast(pa.string())])
    both = [names.take(pa.array(place)) for place in np.divmod(pairs, width)]
    cells = np.concatenate([own[2], np.ones(2 * len(begins), dtype=np.int32)])
    return TokenCounts(
        sparse.csr_matrix((cells, (row, column)), (rows, len(pairs))), pc.binary_join_element_wise(*both, " ")
    )


def _merging(spec: ModelSpec) -> Merging:
    assert spec.behaviour.merging
    return spec.behaviour.merging


def _key(spec: ModelSpec, side: str) -> str:
    return f"{spec.key}_{side}"


def _folder(layout: Layout, side: str) -> Path:
    return working_folder(layout) / "simple" / side
