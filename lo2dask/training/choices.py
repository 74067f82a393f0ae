"""Chooses what a training holds out and what it fits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lo2dask.errors import InputError
from lo2dask.models import registry
from lo2dask.models.registry import FOREST
from lo2dask.models.split import Groups, Split, hold_out_both_classes, hold_out_newest_normal
from lo2dask.options import TrainOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts
from lo2dask.training.reference import choose_reference, describe, may_hold_faults, open_specs, trainable
from lo2dask.training.units import BASELINE, SUPERVISED, Unit, split_of

# The groups of a tree, the models, and what is held out of each side.
Chosen = tuple[Groups, list[registry.ModelSpec], dict[str, Split]]


def read_groups(layout: Layout) -> Groups:
    """Read the groups of the enhanced table, with their labels.

    Raises
    ------
    InputError : it has no row.
    """
    columns = ["run", "test_case", "service", "normal"]
    groups = Groups.merge(Groups.of(*(part[name] for name in columns)) for part in read_parts(layout.enhanced, columns))
    if not groups.table.num_rows:
        raise InputError(f"{layout.root}: no sequence in it{_most_rejected(layout)}")
    return groups


def _most_rejected(layout: Layout) -> str:
    """Write the most frequent reason why files were rejected, of one of them; "" where none was."""
    counts: Counter[str] = Counter()
    first: dict[str, dict[str, str]] = {}
    for part in read_parts(layout.rejects, ["path", "member", "reason", "detail"]):
        for row in part.to_pylist():
            counts[row["reason"]] += 1
            first.setdefault(row["reason"], row)
    if not counts:
        return ""
    row = first[counts.most_common(1)[0][0]]
    path = f"{row['path']}:{row['member']}" if row["member"] else row["path"]
    return f"; {row['reason']}: {row['detail']}, such as {path}; {layout.rejects.name} says why of each file"


def make_splits(groups: Groups, options: TrainOptions, specs: Sequence[registry.ModelSpec]) -> dict[str, Split]:
    """Choose the hold-out of the registry models ("sup") and of the forest ("if")."""
    if reference := choose_reference(options.reference, groups):
        kept = {spec.key for spec in trainable(specs, groups)}
        left_out = [spec.key for spec in specs if spec.key not in kept]
        reference = replace(reference, reason=describe(reference, groups, left_out))
        return {SUPERVISED: reference, FOREST: reference}
    return {
        SUPERVISED: hold_out_both_classes(groups, options, options.sample_seed),
        FOREST: hold_out_newest_normal(groups, options.if_holdout_fraction),
    }


def choose(
    options: TrainOptions, layout: Layout, specs: Sequence[registry.ModelSpec], given: Mapping[str, Split]
) -> Chosen:
    """Choose what is learned from, and the models that can learn from it; ``given`` splits count before others.

    Raises
    ------
    InputError : there is no sequence, no such run, or no model that can learn without labels.
    """
    groups = read_groups(layout)
    splits = make_splits(groups, options, specs) | dict(given)
    kept = trainable(specs, groups)
    return groups, open_specs(kept) if may_hold_faults(splits[SUPERVISED], groups) else kept, splits


def list_units(options: TrainOptions, layout: Layout, specs: Sequence[registry.ModelSpec]) -> list[Unit]:
    """List what is to be fitted: each model, or each model of each service, and the baselines on length alone."""
    services = [""]
    if options.per_service:
        parts = read_parts(layout.enhanced, ["service"])
        services = sorted({name for part in parts for name in part["service"].unique().to_pylist()})
    wanted = [(spec, split_of(spec.key)) for spec in specs]
    baselines = [
        (replace(registry.length_baseline(), key=f"{BASELINE}_{side}"), side)
        for side in sorted({side for _, side in wanted})
    ]
    # A model that compares by service is one for all of them.
    alone = [""]
    return [
        Unit(spec, side, service)
        for spec, side in (*wanted, *baselines)
        for service in (alone if spec.behaviour.has_own_limit else services)
    ]
