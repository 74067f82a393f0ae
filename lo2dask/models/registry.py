"""The models by name: one frozen entry each, every sensible ``<algorithm>_<representation>``, and columns by name.

Adding a model is one entry here, plus its behaviour (see spec.py), made of functions that are there or of new ones.
Nothing heavy is imported: an estimator is a dotted path that is resolved on first use.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from lo2dask.errors import InputError
from lo2dask.models import estimators, excess, lack, merged, simple
from lo2dask.models.columns import JOIN, read_columns, read_max_samples
from lo2dask.models.spec import LINEAR, TREE, Behaviour, ModelSpec, VectorizerSpec
from lo2dask.options import ForestOptions, fingerprint
from lo2dask.schema import FORMER_NAMES, NUMERIC, REPRESENTATIONS

SEQUENCE_NUMERIC = ("seq_len", "duration_sec")
# Key of phase D's Isolation Forest, which is no entry: it is made from its options.
FOREST = "if"
# Key of the detector whose answer are the findings; it reads statements alone.
EXCESS = "excess"
# The words of a log, for the merged models whose detectors stand alone (lo2dask.detectors).
RARITY, OOV, DRIFT = (f"{name}_words" for name in ("rarity", "oov", "drift"))

_LEAVES = {"min_samples_leaf": 10, "min_samples_split": 20, "max_features": 0.3}
_RARE = VectorizerSpec(min_df=5, max_features=40_000)
# A word that all normals share is not unknown: the full vocabulary of the normal sequences, and counts.
_FULL = VectorizerSpec(binary=False, min_df=1, max_df=1.0, max_features=None)


def _algorithm(name: str, estimator: str, behaviour: Behaviour, **rest: Any) -> ModelSpec:
    return ModelSpec(name, name, "words", estimator, behaviour, **rest)


def _merged(name: str, behaviour: Behaviour, threshold: float) -> ModelSpec:
    estimator = f"lo2dask.models.merged.score_{name}"
    return _algorithm(name, estimator, behaviour, normal_only=True, vectorizer=_FULL, threshold=threshold)


_SUPERVISED = {"supervised": True, "threshold": 0.5}
_BOOSTED = {
    **{"tree_method": "hist", "max_depth": 8, "min_child_weight": 5, "subsample": 0.7, "colsample_bytree": 0.6},
    **{"n_estimators": 120, "max_leaves": 256, "grow_policy": "lossguide", "learning_rate": 0.1},
    "early_stopping_rounds": 30,
}
_TREE = {**_LEAVES, "max_depth": 8, "max_leaf_nodes": 256}
_FOREST = {**_LEAVES, "n_estimators": 150, "max_depth": 12, "max_samples": 0.8}
_ALGORITHMS = {
    spec.algorithm: spec
    for spec in (
        _algorithm(
            "lr", "sklearn.linear_model.LogisticRegression", estimators.LOGISTIC, **_SUPERVISED,
            params={"max_iter": 4000, "tol": 3e-4}, explainer=LINEAR,
        ),
        _algorithm(
            "dt", "sklearn.tree.DecisionTreeClassifier", estimators.DECISION_TREE, **_SUPERVISED,
            vectorizer=_RARE, params=_TREE, explainer=TREE,
        ),
        _algorithm(
            "lsvm", "sklearn.svm.LinearSVC", estimators.LINEAR_SVM, supervised=True, threshold=0.0,
            params={"penalty": "l1", "tol": 0.1, "dual": False}, explainer=LINEAR,
        ),
        _algorithm(
            "rf", "sklearn.ensemble.RandomForestClassifier", estimators.RANDOM_FOREST, **_SUPERVISED,
            vectorizer=_RARE, params=_FOREST, explainer=TREE,
        ),
        _algorithm("xgb", "xgboost.train", estimators.BOOSTING, **_SUPERVISED, params=_BOOSTED, explainer=TREE),
        _algorithm(
            "lof", "sklearn.neighbors.LocalOutlierFactor", estimators.NEIGHBOURS, normal_only=True,
            params={"novelty": True},
        ),
        _algorithm(
            "kmeans", "sklearn.cluster.KMeans", estimators.CLUSTERS, threshold=0.0,
            params={"n_clusters": 2, "n_init": 10},
        ),
        _algorithm(
            "oneclass_svm", "sklearn.svm.OneClassSVM", estimators.ONE_CLASS_SVM, normal_only=True, params={"nu": 0.1}
        ),
        _merged("rarity", merged.RARITY, 250.0),
        _merged("oov", merged.OOV, 1.0),
        _merged("drift", merged.DRIFT, 1.0),
        replace(
            _merged(EXCESS, lack.EXCESS, excess.THRESHOLD),
            representation="statements",
            estimator="lo2dask.models.excess.weigh",
        ),
        _algorithm(
            FOREST, "sklearn.ensemble.IsolationForest", estimators.ISOLATION_FOREST, normal_only=True,
            params={"n_estimators": 200, "max_samples": "auto"}, contamination=0.1, explainer=TREE,
        ),
    )
}  # fmt: skip
ALGORITHMS = tuple(name for name in _ALGORITHMS if name != EXCESS)
_READ = (*REPRESENTATIONS, "numeric", "all")


def _pair(algorithm: str, representation: str, key: str = "") -> ModelSpec:
    numeric = SEQUENCE_NUMERIC if representation in ("numeric", "all") else ()
    name = key or f"{algorithm}_{representation}"
    return replace(_ALGORITHMS[algorithm], key=name, representation=representation, numeric=numeric)


_NAMED = {
    EXCESS: (EXCESS, "statements"),
    "event_lr_words": ("lr", "words"),
    "event_dt_trigrams": ("dt", "trigrams"),
    "event_lsvm_words": ("lsvm", "words"),
    "event_rf_words": ("rf", "words"),
    "event_xgb_words": ("xgb", "words"),
    "event_lof_words": ("lof", "words"),
    "event_kmeans_words": ("kmeans", "words"),
    "event_oneclass_svm_words": ("oneclass_svm", "words"),
    "event_rarity_words": ("rarity", "words"),
    "event_oov_words": ("oov", "words"),
    "sequence_lr_numeric": ("lr", "numeric"),
    "sequence_lr_words": ("lr", "words"),
    "sequence_shap_lr_words": ("lr", "words"),
}
_ENTRIES = {
    key: replace(_pair(*pair, key), always_explained=key == "sequence_shap_lr_words") for key, pair in _NAMED.items()
}
# Merged statistics count tokens, so they read one representation of tokens and no numbers.
_PAIRS = {
    spec.key: spec
    for spec in (_pair(a, name) for a in ALGORITHMS for name in _READ)
    if not spec.is_merged or spec.representation in REPRESENTATIONS
}
REGISTRY: Mapping[str, ModelSpec] = MappingProxyType({**_ENTRIES, **_PAIRS})


def names() -> tuple[str, ...]:
    """Return the named entries in their published order."""
    return tuple(_ENTRIES)


def pairs() -> tuple[str, ...]:
    """Return every sensible ``<algorithm>_<representation>``."""
    return tuple(_PAIRS)


def spec(key: str, flag: str = "--models") -> ModelSpec:
    """Look a model up by its key; ``<algorithm>_<columns>`` names columns, as ``lr_e_words+seq_len``.

    Raises
    ------
    InputError : the key, given by an option ``flag``, is not known; the message names the nearest known one.
    """
    known = REGISTRY.get(key) or _of_columns(key)
    if known:
        return known
    if key == FOREST:
        raise InputError(f"{flag}: {key!r} is the Isolation Forest, which is always there unless --skip-if is given")
    listed = "`lo2dask models` lists the models and how to name columns"
    raise InputError(f"{flag}: {key!r} is not known{_suggest(key)}; {listed}")


def _suggest(key: str) -> str:
    """Return the question for the known key that is nearest to an unknown one, "" if none is near."""
    algorithm, _, columns = key.partition("_")
    names = [f"{one}_{name}" for one in _ALGORITHMS for name in (*REPRESENTATIONS.values(), *NUMERIC)]
    if JOIN in columns and algorithm in _ALGORITHMS:
        known = [*REPRESENTATIONS, *REPRESENTATIONS.values(), *NUMERIC]
        wrong = [name for name in columns.split(JOIN) if name not in known]
        near = [match for name in wrong for match in difflib.get_close_matches(name, known, 1)]
    else:
        near = difflib.get_close_matches(key, [*REGISTRY, *names], 1, 0.7)
    return f"; did you mean {' and '.join(near)}?" if near else ""


def same_models(specs: Iterable[ModelSpec]) -> dict[str, str]:
    """Map the key of each model that is the same as an earlier one to that one's key."""
    first: dict[str, str] = {}
    same = {}
    for entry in specs:
        name = fingerprint(entry.identity.to_plain())
        if first.setdefault(name, entry.key) != entry.key:
            same[entry.key] = first[name]
    return same


def from_plain(plain: Mapping[str, Any]) -> ModelSpec:
    """Rebuild an entry from :meth:`ModelSpec.to_plain`, with the behaviour that its algorithm has here.

    Raises
    ------
    InputError : the algorithm is not known.
    """
    entry = _ALGORITHMS.get(plain["algorithm"])
    if entry is None:
        raise InputError(
            f"{plain['key']}: its algorithm {plain['algorithm']!r} is not known to this version; fit it again"
        )
    values, limits = _known(plain, ModelSpec), _known(plain["vectorizer"], VectorizerSpec)
    return replace(entry, **(values | {"vectorizer": VectorizerSpec(**limits), "numeric": tuple(plain["numeric"])}))


def _known(plain: Mapping[str, Any], of: type) -> dict[str, Any]:
    return {field.name: plain[field.name] for field in fields(of) if field.name in plain}


@contextmanager
def register(entry: ModelSpec) -> Iterator[ModelSpec]:
    """Register one more algorithm for the length of a block; its models are ``<algorithm>_<columns>``.

    Raises
    ------
    ValueError : an algorithm of that name is there.
    """
    if entry.algorithm in _ALGORITHMS:
        raise ValueError(f"the algorithm {entry.algorithm!r} is registered already")
    _ALGORITHMS[entry.algorithm] = entry
    try:
        yield entry
    finally:
        del _ALGORITHMS[entry.algorithm]


def is_known(key: str) -> bool:
    """Return whether :func:`spec` knows a key; the forest of phase D is no entry."""
    return key in REGISTRY or _of_columns(key) is not None


def _of_columns(key: str) -> ModelSpec | None:
    for algorithm, entry in _ALGORITHMS.items():
        columns = read_columns(key.removeprefix(f"{algorithm}_")) if key.startswith(f"{algorithm}_") else None
        if columns and not (entry.is_merged and columns[1]):
            return replace(entry, key=key, representation=columns[0], numeric=columns[1])
    return None


def forest_spec(options: ForestOptions) -> ModelSpec:
    """Make phase D's Isolation Forest from its options.

    Raises
    ------
    InputError : an unknown token column or numeric column, neither of them, or a bad ``--if-max-samples``.
    """
    items = (*REPRESENTATIONS.values(), *NUMERIC)
    if options.if_item not in (*items, *FORMER_NAMES, "none"):
        raise InputError(f"--if-item: {options.if_item!r} is not known; known are {', '.join(items)} and none")
    for name in options.if_numeric:
        if name not in NUMERIC:
            raise InputError(f"--if-numeric: {name!r} is not known; known are {', '.join(NUMERIC)}")
    if options.if_item == "none" and not options.if_numeric:
        raise InputError("--if-item none leaves nothing to read; name columns with --if-numeric")
    representation, first = read_columns(options.if_item) or ("numeric", ())
    return replace(
        _ALGORITHMS[FOREST],
        key=FOREST,
        representation=representation,
        numeric=tuple(dict.fromkeys([*first, *options.if_numeric])),
        params={"n_estimators": options.if_n_estimators, "max_samples": read_max_samples(options.if_max_samples)},
        contamination=options.if_contamination,
    )


def length_baseline() -> ModelSpec:
    """Make the model that the leakage line compares with: logistic regression on the sequence length alone."""
    return replace(_pair("lr", "numeric", "baseline_seq_len"), numeric=("seq_len",))


def startup_baseline() -> ModelSpec:
    """Make the second model of the leakage line: logistic regression on the words of the start-up lines alone."""
    return replace(_pair("lr", "words", "baseline_startup"), vectorizer=VectorizerSpec(max_df=1.0, max_features=5_000))


def simple_baselines() -> tuple[ModelSpec, ...]:
    """Make the baselines that every model is held against; none is among the models that can be named."""

    def numeric(key: str, column: str) -> ModelSpec:
        """Make a baseline that reads one numeric column."""
        of = _algorithm(key, "lo2dask.models.simple.score_logs", simple.LENGTH, normal_only=True)
        return replace(of, representation="numeric", numeric=(column,))

    def statements(key: str, behaviour: Behaviour, function: str) -> ModelSpec:
        """Make a baseline that reads statements."""
        of = _algorithm(key, f"lo2dask.models.simple.{function}", behaviour, normal_only=True, vectorizer=_FULL)
        return replace(of, representation="statements")

    return (
        numeric("baseline_length", "seq_len"),
        numeric("baseline_duration", "duration_sec"),
        statements("baseline_unseen", simple.UNSEEN, "score_unseen"),
        replace(statements("baseline_2gram", simple.PAIRS, "score_pairs"), representation="pairs"),
        statements("baseline_ecvc", simple.ECVC, "score_vectors"),
        statements("baseline_flag_all", simple.FLAG_ALL, "score_all_alike"),
    )


def describe() -> list[dict[str, Any]]:
    """List the 13 entries for ``lo2dask models``: key, representation, algorithm and what they need."""
    return [
        {
            "key": entry.key,
            "representation": entry.representation,
            "algorithm": entry.algorithm,
            "supervised": entry.supervised,
            "learns_from": "normal sequences" if entry.normal_only else "all training sequences",
            "fit": entry.fit,
            "explainer": entry.explainer or "none",
            "same model as": ", ".join(
                other.key for other in _ENTRIES.values() if other is not entry and other.identity == entry.identity
            ),
        }
        for entry in _ENTRIES.values()
    ]
