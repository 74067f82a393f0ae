"""The models by name: one frozen entry each, and every sensible ``<algorithm>_<representation>``.

Adding a model is one entry here, plus functions in estimators.py where scikit-learn and XGBoost have none.
Nothing heavy is imported: an estimator is a dotted path that :mod:`lo2dask.models.fit` resolves on first use.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lo2dask.errors import InputError
from lo2dask.options import ForestOptions
from lo2dask.schema import NUMERIC, REPRESENTATIONS

SEQUENCE_NUMERIC = ("seq_len", "duration_sec")
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class VectorizerSpec:
    """How tokens become columns.

    ``min_df`` counts sequences, ``max_df`` is a share of them, ``max_features`` None means no cap. With ``normal_only``
    the vocabulary is that of the training part's normal sequences.
    """

    binary: bool = True
    min_df: int = 2
    max_df: float = 0.9
    max_features: int | None = 100_000
    normal_only: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """One model: what it reads, what it learns from, how it is fitted and where its label begins.

    ``fit`` is "sample" (a bounded, stratified, seeded sample of rows), "distributed" (all rows by xgboost.dask, or one
    process below a size limit) or "merge" (statistics of all parts, merged). A row is labelled an anomaly when its
    score is above ``threshold``; where that is None the fit finds it: for a model with ``contamination`` as that
    quantile of the training scores, else by the algorithm's own rule (see score.py).
    """

    key: str
    algorithm: str
    representation: str
    estimator: str
    supervised: bool = False
    normal_only: bool = False
    fit: str = "sample"
    vectorizer: VectorizerSpec = VectorizerSpec()
    params: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    numeric: tuple[str, ...] = ()
    threshold: float | None = None
    contamination: float | None = None
    explainer: str | None = None
    always_explained: bool = False

    def __post_init__(self) -> None:
        """Make the parameters read-only."""
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by plain values: a read-only mapping does not pickle."""
        return from_plain, (self.to_plain(),)

    @property
    def bags(self) -> tuple[str, ...]:
        """The token representations that the model reads: words, trigrams, templates or several."""
        if self.representation == "all":
            return tuple(REPRESENTATIONS)
        return (self.representation,) if self.representation in REPRESENTATIONS else ()

    def to_plain(self) -> dict[str, Any]:
        """Give the entry as plain JSON types, for bundles and records."""
        nested = {"vectorizer": asdict(self.vectorizer), "params": dict(self.params), "numeric": list(self.numeric)}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | nested


def from_plain(plain: Mapping[str, Any]) -> ModelSpec:
    """Rebuild an entry from :meth:`ModelSpec.to_plain`."""
    changed = {"vectorizer": VectorizerSpec(**plain["vectorizer"]), "numeric": tuple(plain["numeric"])}
    return ModelSpec(**{**plain, **changed})


_LEAVES = {"min_samples_leaf": 10, "min_samples_split": 20, "max_features": 0.3}
_RARE = VectorizerSpec(min_df=5, max_features=40_000)
# A word that all normals share is not unknown: the full vocabulary of the normal sequences, and counts.
_FULL = VectorizerSpec(binary=False, min_df=1, max_df=1.0, max_features=None, normal_only=True)
_HERE = "lo2dask.models.estimators."


def _algorithm(name: str, estimator: str, **rest: Any) -> ModelSpec:
    return ModelSpec(key=name, algorithm=name, representation="words", estimator=estimator, **rest)


_ALGORITHMS = {
    spec.algorithm: spec
    for spec in (
        _algorithm(
            "lr",
            "sklearn.linear_model.LogisticRegression",
            supervised=True,
            params={"max_iter": 4000, "tol": 3e-4},
            threshold=0.5,
            explainer="linear",
        ),
        _algorithm(
            "dt",
            "sklearn.tree.DecisionTreeClassifier",
            supervised=True,
            vectorizer=_RARE,
            params={**_LEAVES, "max_depth": 8, "max_leaf_nodes": 256},
            threshold=0.5,
            explainer="tree",
        ),
        _algorithm(
            "lsvm",
            "sklearn.svm.LinearSVC",
            supervised=True,
            params={"penalty": "l1", "tol": 0.1, "dual": False},
            threshold=0.0,
            explainer="linear",
        ),
        _algorithm(
            "rf",
            "sklearn.ensemble.RandomForestClassifier",
            supervised=True,
            vectorizer=_RARE,
            params={**_LEAVES, "n_estimators": 150, "max_depth": 12, "max_samples": 0.8},
            threshold=0.5,
            explainer="tree",
        ),
        _algorithm(
            "xgb",
            "xgboost.train",
            supervised=True,
            fit="distributed",
            params={
                "tree_method": "hist",
                "max_depth": 8,
                "min_child_weight": 5,
                "subsample": 0.7,
                "colsample_bytree": 0.6,
                "n_estimators": 120,
                "max_leaves": 256,
                "grow_policy": "lossguide",
                "learning_rate": 0.1,
                "early_stopping_rounds": 30,
            },
            threshold=0.5,
            explainer="tree",
        ),
        _algorithm("lof", "sklearn.neighbors.LocalOutlierFactor", normal_only=True, params={"novelty": True}),
        _algorithm("kmeans", "sklearn.cluster.KMeans", params={"n_clusters": 2, "n_init": 10}, threshold=0.0),
        _algorithm("oneclass_svm", "sklearn.svm.OneClassSVM", normal_only=True, params={"nu": 0.1}),
        _algorithm("rarity", _HERE + "rarity", normal_only=True, fit="merge", vectorizer=_FULL, threshold=250.0),
        _algorithm("oov", _HERE + "oov", normal_only=True, fit="merge", vectorizer=_FULL, threshold=1.0),
        _algorithm("drift", _HERE + "drift", normal_only=True, fit="merge", vectorizer=_FULL, threshold=1.0),
        _algorithm(
            "if",
            "sklearn.ensemble.IsolationForest",
            normal_only=True,
            params={"n_estimators": 200, "max_samples": "auto"},
            contamination=0.1,
            explainer="tree",
        ),
    )
}
ALGORITHMS = tuple(_ALGORITHMS)
_KINDS = (*REPRESENTATIONS, "numeric", "all")


def _pair(algorithm: str, representation: str, key: str = "") -> ModelSpec:
    numeric = SEQUENCE_NUMERIC if representation in ("numeric", "all") else ()
    name = key or f"{algorithm}_{representation}"
    return replace(_ALGORITHMS[algorithm], key=name, representation=representation, numeric=numeric)


_ENTRIES = {
    spec.key: spec
    for spec in (
        _pair("lr", "words", "event_lr_words"),
        _pair("dt", "trigrams", "event_dt_trigrams"),
        _pair("lsvm", "words", "event_lsvm_words"),
        _pair("rf", "words", "event_rf_words"),
        _pair("xgb", "words", "event_xgb_words"),
        _pair("lof", "words", "event_lof_words"),
        _pair("kmeans", "words", "event_kmeans_words"),
        _pair("oneclass_svm", "words", "event_oneclass_svm_words"),
        _pair("rarity", "words", "event_rarity_words"),
        _pair("oov", "words", "event_oov_words"),
        _pair("lr", "numeric", "sequence_lr_numeric"),
        _pair("lr", "words", "sequence_lr_words"),
        replace(_pair("lr", "words", "sequence_shap_lr_words"), always_explained=True),
    )
}
# Counting tokens says nothing about numbers, so the merged statistics read one kind of token each.
_PAIRS = {
    spec.key: spec
    for spec in (_pair(a, kind) for a in ALGORITHMS for kind in _KINDS)
    if spec.fit != "merge" or spec.representation in REPRESENTATIONS
}
REGISTRY: Mapping[str, ModelSpec] = MappingProxyType({**_ENTRIES, **_PAIRS})


def names() -> tuple[str, ...]:
    """Give the 13 named entries in their published order."""
    return tuple(_ENTRIES)


def pairs() -> tuple[str, ...]:
    """Give every sensible ``<algorithm>_<representation>``."""
    return tuple(_PAIRS)


def spec(key: str) -> ModelSpec:
    """Look a model up by its key.

    Raises
    ------
    InputError : the key is not known; the message lists the known ones.
    """
    if key in REGISTRY:
        return REGISTRY[key]
    raise InputError(
        f"--models: {key!r} is not known; known are {', '.join(names())}, and <algorithm>_<representation> of "
        f"{', '.join(ALGORITHMS)} and {', '.join(_KINDS)} (rarity, oov and drift: {', '.join(REPRESENTATIONS)} only)"
    )


def forest_spec(options: ForestOptions) -> ModelSpec:
    """Make phase D's Isolation Forest (key "if") from its options.

    Raises
    ------
    InputError : an unknown token column or numeric column, neither of them, or a bad ``--if-max-samples``.
    """
    columns = {column: name for name, column in REPRESENTATIONS.items()}
    if options.if_item not in (*columns, "none"):
        raise InputError(f"--if-item: {options.if_item!r} is not known; known are {', '.join(columns)} and none")
    for name in options.if_numeric:
        if name not in NUMERIC:
            raise InputError(f"--if-numeric: {name!r} is not known; known are {', '.join(NUMERIC)}")
    if options.if_item == "none" and not options.if_numeric:
        raise InputError("--if-item none leaves nothing to read; name columns with --if-numeric")
    params = {"n_estimators": options.if_n_estimators, "max_samples": _max_samples(options.if_max_samples)}
    return replace(
        _ALGORITHMS["if"],
        key="if",
        representation=columns.get(options.if_item, "numeric"),
        numeric=tuple(options.if_numeric),
        params=params,
        contamination=options.if_contamination,
    )


def _max_samples(text: str) -> str | int | float:
    if text == "auto":
        return text
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if 0 < value <= 1 and ("." in text or "e" in text.lower()):
        return value
    if value >= 1 and value == int(value):
        return int(value)
    raise InputError(f"--if-max-samples: {text!r} is no number of rows; give auto, a count (256) or a share (0.5)")


def length_baseline() -> ModelSpec:
    """Make the model that the leakage line compares with: logistic regression on the sequence length alone."""
    return replace(_pair("lr", "numeric", "baseline_seq_len"), numeric=("seq_len",))


def startup_baseline() -> ModelSpec:
    """Make the other model of the leakage line: logistic regression on the words of the start-up lines alone."""
    return replace(_pair("lr", "words", "baseline_startup"), vectorizer=VectorizerSpec(max_df=1.0, max_features=5_000))


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
        }
        for entry in _ENTRIES.values()
    ]
