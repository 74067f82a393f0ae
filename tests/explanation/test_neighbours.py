import functools

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from lo2dask.explanation.neighbours import Matches, nearest, unit_rows


def ids_of(count: int) -> np.ndarray:
    return np.array([f"run{i:04d}" for i in range(count)], dtype=object)


def in_parts(flagged, normals, ids, parts, k, **options) -> Matches:
    cuts = np.array_split(np.arange(len(ids)), parts)
    found = [nearest(unit_rows(flagged), unit_rows(normals[c]), ids[c], k, **options) for c in reversed(cuts)]
    return functools.reduce(Matches.merge, found)


def brute_force(flagged, normals, ids, k) -> list[list[tuple[float, str]]]:
    similarity = np.round(cosine_similarity(flagged.astype(float), normals.astype(float)), 12)
    ranked = [sorted(zip(-row, ids, strict=True))[:k] for row in similarity]
    return [[(-s, i) for s, i in row] for row in ranked]


@pytest.mark.parametrize(("parts", "options"), [(1, {}), (5, {}), (3, {"block_bytes": 1})])
def test_matches_are_the_most_similar_normals(rows, parts, options):
    flagged, normals = rows[:30], rows[30:]
    ids = ids_of(normals.shape[0])
    found = in_parts(flagged, normals, ids, parts, 3, **options)
    expected = brute_force(flagged, normals, ids, 3)
    assert found.ids.tolist() == [[i for _, i in row] for row in expected]
    np.testing.assert_allclose(found.similarity, [[s for s, _ in row] for row in expected], atol=1e-11)


def test_similarities_are_the_same_bits_for_any_cut(rows):
    flagged, normals = rows[:30], rows[30:]
    ids = ids_of(normals.shape[0])
    one, many = (in_parts(flagged, normals, ids, parts, 2) for parts in (1, 7))
    assert one.similarity.tobytes() == many.similarity.tobytes()
    assert one.ids.tolist() == many.ids.tolist()


def test_ties_go_to_the_first_seq_id_whatever_the_order():
    normals = sparse.csr_matrix(np.tile([[1.0, 1.0, 0.0]], (6, 1)))
    ids = np.array(["f", "b", "d", "a", "c", "e"], dtype=object)
    found = in_parts(sparse.csr_matrix([[2.0, 2.0, 0.0]]), normals, ids, 3, 2)
    assert found.ids.tolist() == [["a", "b"]]
    assert found.similarity.tolist() == [[1.0, 1.0]]


def test_no_common_token_and_no_normals_give_an_empty_match():
    normals = sparse.csr_matrix([[0.0, 0.0, 1.0]])
    flagged = sparse.csr_matrix([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    found = in_parts(flagged, normals, ids_of(1), 1, 1)
    assert found.ids.tolist() == [[""], [""]]
    nothing = nearest(unit_rows(flagged), unit_rows(normals[:0]), ids_of(0), 2)
    assert nothing.ids.tolist() == [["", ""], ["", ""]]
    assert nothing.merge(in_parts(normals, normals, ids_of(1), 1, 2).__class__.none(2, 2)).ids.shape == (2, 2)
