"""Two algorithms that the package does not have, each one specification: one fits rows, one merges statistics."""

import numpy as np

from lo2dask.models.rows import Rows
from lo2dask.models.spec import Behaviour, Cost, Merging, ModelSpec, VectorizerSpec


def train_toy(spec, matrix, y, setup):
    """Find the mean of the normal rows, each feature with a weight drawn by the seed."""
    weights = np.random.default_rng(setup.seed).uniform(0.5, 1.5, matrix.shape[1])
    model = {"mean": np.asarray(matrix.mean(axis=0)).ravel(), "weights": weights}
    distances = score_toy(model, {}, Rows(matrix))
    return model | {"widest": float(distances.max())}, (f"{matrix.shape[0]} rows",)


def score_toy(model, scoring, rows):
    # Each row by itself: a product of matrices adds up otherwise in a batch of another size.
    return (np.abs(rows.matrix.toarray() - model["mean"]) * model["weights"]).sum(axis=1)


def widest(model):
    return model["widest"]


TOY = ModelSpec(
    key="toy",
    algorithm="toy",
    representation="words",
    estimator="toy",
    behaviour=Behaviour(
        cost=Cost(cell=8, row=64, dense=1, fixed=0),
        seed_parameter=None,
        threads_parameter=None,
        train=train_toy,
        score=score_toy,
        threshold=widest,
    ),
    normal_only=True,
)


def most_tokens(rows, state):
    """Find the largest number of tokens (first pass), then the smallest share of it that a row has (second)."""
    totals = np.asarray(rows.matrix.sum(axis=1)).ravel() + rows.unknown_occurrences
    if state is None:
        return {"rows": len(rows), "most": float(totals.max(initial=0))}
    return {"rows": len(rows), "least": float((totals / state["most"]).min(initial=1))}


def merge_toys(left, right):
    joined = {"rows": left["rows"] + right["rows"]}
    if "most" in left:
        return joined | {"most": max(left["most"], right["most"])}
    return joined | {"least": min(left["least"], right["least"])}


def finish_toy(statistics, state):
    return statistics if state is None else state | statistics


def score_share_of_unknown(state, scoring, rows):
    return rows.unknown_occurrences / state["most"] / state["least"]


MERGED_TOY = ModelSpec(
    key="merged_toy",
    algorithm="merged_toy",
    representation="words",
    estimator="toy",
    behaviour=Behaviour(
        cost=Cost(cell=8, row=64, dense=1, fixed=0),
        seed_parameter=None,
        threads_parameter=None,
        merging=Merging(most_tokens, merge_toys, finish_toy, passes=2),
        score=score_share_of_unknown,
    ),
    normal_only=True,
    vectorizer=VectorizerSpec(binary=False, min_df=1, max_df=1.0, max_features=None),
    threshold=0.0,
)
