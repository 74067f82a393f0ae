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

from lo2dask.buffers.columns import strings
from lo2dask.execute.session import Session
from lo2dask.features.bags import LEAST_LINES, bag_numbers
from lo2dask.features.matrix import Columns
from lo2dask.ingest.mining import read_mapping
from lo2dask.models.merged_rows import read_merged_rows
from lo2dask.models.registry import simple_baselines
from lo2dask.models.rows import Rows
from lo2dask.models.simple import TRANSFORMS
from lo2dask.models.spec import Merging, ModelSpec
from lo2dask.schema import STATEMENTS_BAG
from lo2dask.storage import list_paths, read_scratch, write_scratch
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_part
from lo2dask.training.scoring import keep_scores
from lo2dask.training.units import KEY_COLUMNS, TrainingRows, read_splits, working_folder
from lo2dask.vocabulary.counts import TokenCounts

# Not scores: numbers that logs with equal statements share, NaN for short logs.
EQUAL = "equal_logs"
# A baseline names statements itself: all of them are outside this vocabulary.
_NONE_KNOWN = Columns({"statements": pa.array([], pa.string())})


def score_simple(layout: Layout, sides: Sequence[str], session: Session) -> dict[str, dict[str, str]]:
    """Train and score the baselines on each split; return, by side, under which key each one's scores are kept."""
    names = [path.name for path in part_paths(layout.enhanced)]
    session.map(collect_part, names, "baselines", root=layout.root, sides=list(sides))
    session.map(merge_parts, list(sides), "baselines", root=layout.root)
    session.map(score_part, names, "baseline scores", root=layout.root, sides=list(sides))
    return {side: {spec.key: _key(spec, side) for spec in simple_baselines()} for side in sides}


def collect_part(name: str, root: Path, sides: Sequence[str]) -> int:
    """Keep the statistics of one part's training normals, for each split."""
    layout = Layout(root)
    part, splits = _read(layout, name), read_splits(layout)
    read = _rows(layout, name, part)
    for side in sides:
        normal = TrainingRows(side, normal_only=True).mask(part, splits)
        collected = [_merging(spec).partial(read[spec.key].take(normal), None) for spec in simple_baselines()]
        write_scratch(_folder(layout, side) / f"{name}.pickle", collected)
    return part.num_rows


def merge_parts(side: str, root: Path) -> int:
    """Merge the statistics of all parts of one split, and keep the models."""
    folder = _folder(Layout(root), side)
    parts = (read_scratch(path) for path in list_paths(folder, ".pickle"))
    mergings = [_merging(spec) for spec in simple_baselines()]

    def merge(left: list[Any], right: list[Any]) -> list[Any]:
        """Join the statistics of all baselines of two parts."""
        return [own.merge(*pair) for own, pair in zip(mergings, zip(left, right, strict=True), strict=True)]

    merged = functools.reduce(merge, parts)
    write_scratch(folder / "models", [own.finish(found, None) for own, found in zip(mergings, merged, strict=True)])
    return len(merged)


def score_part(name: str, root: Path, sides: Sequence[str]) -> int:
    """Score one part with the baselines of each split, training normals also with their run left out."""
    layout = Layout(root)
    part, splits = _read(layout, name), read_splits(layout)
    # 53 bits are what a float64 holds.
    numbers = (bag_numbers(part[STATEMENTS_BAG]) >> np.uint64(11)).astype(np.float64)
    numbers[part["seq_len"].to_numpy() < LEAST_LINES] = np.nan
    keep_scores(layout, EQUAL, name, (numbers, numbers, numbers))
    read = _rows(layout, name, part)
    for side in sides:
        models = read_scratch(_folder(layout, side) / "models")
        normal = TrainingRows(side, normal_only=True).mask(part, splits)
        for spec, model in zip(simple_baselines(), models, strict=True):
            rows, left_out_scores = read[spec.key], spec.behaviour.score_normals
            assert left_out_scores
            scores = spec.behaviour.score(model, {}, rows)
            left_out = scores.copy()
            left_out[normal] = left_out_scores(model, rows.take(normal))
            keep_scores(layout, _key(spec, side), name, (scores, np.zeros(len(rows)), left_out))
    return part.num_rows


def _read(layout: Layout, name: str) -> pa.Table:
    return read_part(layout.enhanced / name, [*KEY_COLUMNS, *TRANSFORMS, STATEMENTS_BAG])


def _rows(layout: Layout, name: str, part: pa.Table) -> dict[str, Rows]:
    """Take what each baseline reads: logarithms as a matrix of one column, all statements, or all pairs of them."""
    statements = read_merged_rows(part, _NONE_KNOWN)
    kinds = {"statements": statements, "pairs": replace(statements, outside=read_pairs(layout, name, part.num_rows))}
    for column, transform in TRANSFORMS.items():
        values = transform(part[column].to_numpy().astype(np.float64))
        kinds[column] = replace(statements, matrix=sparse.csr_matrix(values[:, None]))
    return {spec.key: kinds["".join(spec.numeric) or spec.representation] for spec in simple_baselines()}


def read_pairs(layout: Layout, name: str, rows: int) -> TokenCounts:
    """Count the pairs of neighbouring statements of a part's logs, a start and an end among them.

    A pair is named by both statements, or one, with a space between. Logs whose lines have no times have none, and none
    has any where load counted no windows.
    """
    if not (layout.window_counts / name).is_file():
        return TokenCounts(sparse.csr_matrix((rows, 0), dtype=np.int32), pa.array([], pa.string()))
    counted = read_part(layout.window_counts / name, ["pairs", "first", "last"])
    lines = read_part(layout.text / "lines" / name, ["message"])["message"]
    ids = read_mapping(layout, strings(lines), ["statement_id"])[0].dictionary_encode()
    lists = counted["pairs"].combine_chunks()
    row = np.repeat(np.arange(rows), np.diff(lists.offsets.to_numpy()))
    begins = np.flatnonzero(counted["first"].is_valid().to_numpy())
    ends = [counted[column].drop_null().to_numpy() for column in ("first", "last")]
    # Place 0 is no statement: before the first one, and after the last.
    statement = np.append(ids.indices.to_numpy().astype(np.int64) + 1, 0)
    own = [lists.flatten().field(column).to_numpy() for column in ("before", "statement", "count")]
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
