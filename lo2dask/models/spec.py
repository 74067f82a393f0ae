"""What one entry of the registry says of a model, frozen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from lo2dask.schema import MAIN, REPRESENTATIONS

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
        """The token representations that the model reads: one of them, or "all" three that every table has."""
        if self.representation == "all":
            return tuple(MAIN)
        return (self.representation,) if self.representation in REPRESENTATIONS else ()

    def to_plain(self) -> dict[str, Any]:
        """Return the entry as plain JSON types, for bundles and records."""
        nested = {"vectorizer": asdict(self.vectorizer), "params": dict(self.params), "numeric": list(self.numeric)}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | nested


def from_plain(plain: Mapping[str, Any]) -> ModelSpec:
    """Rebuild an entry from :meth:`ModelSpec.to_plain`."""
    changed = {"vectorizer": VectorizerSpec(**plain["vectorizer"]), "numeric": tuple(plain["numeric"])}
    return ModelSpec(**{**plain, **changed})
