"""``lo2dask train``: enhancement, Isolation Forest, registry models, measures."""

from lo2dask.execute.session import Session
from lo2dask.options import TrainOptions
from lo2dask.training.train import TrainSummary, train_models


def train(options: TrainOptions, session: Session | None = None) -> TrainSummary:
    """Enhance ``options.root`` if need be, fit the models, score every sequence, measure.

    Raises
    ------
    InputError : no loaded tables, an unknown model or column, a bundle in the way.
    Lo2Error : the masks are too weak to mine templates.
    """
    return train_models(options, session)
