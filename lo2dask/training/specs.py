"""The models that the options of train ask for, checked before any work."""

from collections.abc import Sequence
from dataclasses import replace

from lo2dask.errors import InputError
from lo2dask.ingest.text import need_bags
from lo2dask.models import registry
from lo2dask.models.registry import FOREST
from lo2dask.options import TrainOptions


def choose_specs(options: TrainOptions) -> list[registry.ModelSpec]:
    """Return what is to be trained, before any work.

    Raises
    ------
    InputError : an unknown model, or nothing to train.
    """
    specs = [] if options.skip_if else [registry.forest_spec(options)]
    if options.phase == "full":
        specs += [_with_limit(registry.spec(key), options) for key in dict.fromkeys(options.models)]
    if options.phase == FOREST and options.skip_if:
        raise InputError("--phase if with --skip-if leaves nothing to train; leave one of them out")
    return specs


def _with_limit(spec: registry.ModelSpec, options: TrainOptions) -> registry.ModelSpec:
    return replace(spec, threshold=options.excess_threshold) if spec.key == registry.EXCESS else spec


def check_specs(options: TrainOptions, specs: Sequence[registry.ModelSpec], has_raw: bool) -> None:
    """Check, before any work, that the tables have the bags that models read; ``has_raw``: raw ones too.

    Raises
    ------
    InputError : they have not.
    """
    for spec in specs if options.phase != "enhancers" else ():
        need_bags(f"--if-item {options.if_item}" if spec.key == FOREST else f"--models {spec.key}", spec.bags, has_raw)
