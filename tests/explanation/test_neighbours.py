import csv

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from explanation.made_root import make_root
from lo2dask.commands.explain import explain
from lo2dask.execute.session import Session
from lo2dask.explanation.matching import normal_mask
from lo2dask.explanation.neighbours import LABELLED, UNFLAGGED, NormalRows, draw, may_be_drawn, nearest, unit_rows
from lo2dask.models.sample import hashes, quotas
from lo2dask.options import ExplainOptions
from lo2dask.tables.parts import part_paths, read_part, read_rows, write_part


def ids_of(count: int) -> np.ndarray:
    return np.array([f"run{i:04d}" for i in range(count)], dtype=object)


def match(flagged, normals, ids, **options):
    names = np.array([f"flagged{i}" for i in range(flagged.shape[0])], dtype=object)
    return nearest(unit_rows(flagged), names, unit_rows(normals).T.tocsr(), ids, **options)


@pytest.mark.parametrize("options", [{}, {"block_bytes": 1}])
def test_the_match_is_the_most_similar_normal(rows, options):
    flagged, normals = rows[:30], rows[30:]
    ids = ids_of(normals.shape[0])
    best, found = match(flagged, normals, ids, **options)
    similarity = np.round(cosine_similarity(flagged.astype(float), normals.astype(float)), 12)
    expected = [min(zip(-row, ids, strict=True)) for row in similarity]
    assert best.tolist() == [seq_id for _, seq_id in expected]
    np.testing.assert_allclose(found, [-value for value, _ in expected], atol=1e-11)


def test_ties_go_to_the_smaller_seq_id_and_no_row_matches_itself():
    normals = sparse.csr_matrix(np.tile([[1.0, 1.0, 0.0]], (3, 1)))
    ids = np.array(["a", "b", "c"], dtype=object)
    flagged = unit_rows(sparse.csr_matrix([[2.0, 2.0, 0.0]] * 2))
    own = np.array(["x", "a"], dtype=object)
    best, similarity = nearest(flagged, own, unit_rows(normals).T.tocsr(), ids)
    assert best.tolist() == ["a", "b"]
    assert similarity.tolist() == [1.0, 1.0]


def test_no_common_token_and_no_normals_give_an_empty_match():
    normals = sparse.csr_matrix([[0.0, 0.0, 1.0]])
    flagged = sparse.csr_matrix([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    for known in (normals, normals[:0]):
        best, similarity = match(flagged, known, ids_of(known.shape[0]))
        assert best.tolist() == ["", ""]
        assert similarity.tolist() == [0.0, 0.0]


@given(
    strata=st.lists(st.sampled_from("abc"), min_size=1, max_size=200), limit=st.integers(1, 60), parts=st.integers(1, 5)
)
def test_normals_are_drawn_alike_for_any_parts_within_the_limit(strata, limit, parts):
    ids = ids_of(len(strata))
    names = np.array(strata, dtype=object)
    everything = NormalRows(sparse.eye(len(strata), format="csr"), ids, hashes(ids.tolist(), 7), names)
    counts = {name: strata.count(name) for name in set(strata)}
    drawn = quotas(counts, limit)
    pieces = [everything.take(cut) for cut in np.array_split(np.arange(len(strata)), parts)]
    offered = NormalRows.join([one.take(may_be_drawn(one, counts, drawn)) for one in reversed(pieces)])
    found = draw(offered, drawn)
    assert found.ids.tolist() == draw(everything, drawn).ids.tolist()
    assert len(found.ids) == min(limit, len(strata))
    assert {name: found.strata.tolist().count(name) for name in counts} == {n: drawn.get(n, 0) for n in counts}
    assert [int(ids.tolist().index(i)) for i in found.ids] == found.rows.indices.tolist()


def test_normals_survive_their_file(tmp_path, rows):
    ids = ids_of(rows.shape[0])
    NormalRows(rows, ids, hashes(ids.tolist(), 1), ids).save(tmp_path / "normals.npz")
    read = NormalRows.load(tmp_path / "normals.npz")
    assert read.ids.tolist() == ids.tolist()
    assert (read.rows != rows).nnz == 0


KEY = "event_kmeans_words"


def mapping(layout) -> list[dict[str, str]]:
    return list(csv.DictReader((layout.explainability / f"{KEY}_nn_mapping.csv").open()))


def labels(layout) -> dict[str, dict]:
    table = pa.concat_tables([read_part(path) for path in part_paths(layout.predictions / KEY)])
    return {row["seq_id"]: row for row in table.to_pylist()}


@pytest.mark.usefixtures("no_plots")
def test_neighbours_are_labelled_normals_of_the_training_part_or_what_is_asked_for(tmp_path):
    layout = make_root(tmp_path, (KEY,), parts=3)
    options = ExplainOptions(root=layout.root, nn_source=KEY, skip_if=True)
    summary = explain(options, Session.serial()).models[0]
    known = labels(layout)
    assert (summary.normals, summary.normals_compared) == ("labelled", 22)
    assert {row["normal_type"] for row in mapping(layout)} == {"labelled"}
    for row in mapping(layout):
        normal = known[row["normal_id"]]
        assert normal["normal"]
        assert normal["split"] == "train"
        assert row["normal_id"] != row["anomalous_id"]
    rows = read_rows(layout.explainability / f"{KEY}_explanations.parquet").to_pylist()
    assert {row["nearest_type"] for row in rows} == {"labelled"}

    predicted = explain(options.replace(nn_normals="predicted"), Session.serial()).models[0]
    assert predicted.normals == "unflagged"
    assert predicted.normals_compared == 72 - predicted.flagged
    assert {row["normal_type"] for row in mapping(layout)} == {"unflagged"}
    assert all(known[row["normal_id"]]["pred_ano"] == 0 for row in mapping(layout))
    assert any(known[row["normal_id"]]["anomaly"] for row in mapping(layout)), "the two types differ here"


@pytest.mark.usefixtures("no_plots")
def test_without_labelled_normals_unflagged_ones_are_compared_and_called_so(tmp_path, caplog):
    layout = make_root(tmp_path, (KEY,), parts=2)
    for path in part_paths(layout.predictions / KEY):
        table = read_part(path)
        held = pa.array(["holdout" if normal else "train" for normal in table["normal"].to_pylist()])
        table = table.set_column(table.column_names.index("split"), "split", held)
        write_part(path, table, pa.schema([pa.field(f.name, f.type) for f in table.schema]))
    summary = explain(ExplainOptions(root=layout.root, nn_source=KEY, skip_if=True), Session.serial()).models[0]
    assert summary.normals == "unflagged"
    assert "compared with unflagged ones" in caplog.text
    assert {row["normal_type"] for row in mapping(layout)} == {"unflagged"}


@pytest.mark.parametrize("type_", [LABELLED, UNFLAGGED])
def test_rows_that_were_not_scored_or_not_labelled_are_no_normals(type_):
    table = pa.table(
        {
            "normal": pa.array([True, None, True, False]),
            "split": ["train", "train", "holdout", "train"],
            "pred_ano": pa.array([None, None, 0, 1], pa.int8()),
        }
    )
    expected = [True, False, False, False] if type_ == LABELLED else [False, False, True, False]
    assert normal_mask(table, type_).tolist() == expected
