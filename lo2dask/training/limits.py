"""The alert limit of --if-threshold-percentile: the same in labels, bundle, model.yml, measures and explanations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lo2dask.buffers.columns import among
from lo2dask.execute.session import Session
from lo2dask.models import bundle
from lo2dask.models.evaluate import Measures, percentile_threshold
from lo2dask.models.registry import FOREST
from lo2dask.models.score import label
from lo2dask.models.split import CROSSED
from lo2dask.options import ForestOptions, TrainOptions, flag_name
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.layout import Layout
from lo2dask.training.measures import SequenceKeys
from lo2dask.training.scoring import Target, by_service, keep_scores, read_group_scores, read_scores
from lo2dask.training.units import of_service, read_splits

_FOREST_OPTIONS = (
    *("save_if", "overwrite_if", "save_model", "load_model", "if_threshold_percentile"),
    *("report_precision_at", "report_fp_alpha", "report_psi"),
)
_SHARE_OPTIONS = ("sup_holdout_fraction", "sup_holdout_min_groups", "sup_holdout_shuffle")
PER_SERVICE = "each service has a model and a limit of its own: see per_service"


def alert_percentile(options: ForestOptions) -> float | None:
    """Return --if-threshold-percentile in percent; a value of at most 1 is a fraction, as in the predecessor."""
    value = options.if_threshold_percentile
    return value if value is None or value > 1 else round(value * 100, 10)


def describe_options(options: TrainOptions) -> list[str]:
    """Return a note for each option without effect, and where the forest's percentile is given as a fraction."""
    notes = []
    if options.holdout_by in CROSSED:
        given = [name for name in _SHARE_OPTIONS if getattr(options, name) != getattr(TrainOptions, name)]
        why = f"--holdout-by {options.holdout_by} holds nothing out"
        notes += [f"{flag_name(name)} is without effect: {why}" for name in given]
    if options.skip_if:
        given = [name for name in _FOREST_OPTIONS if getattr(options, name) not in (None, False)]
        return [*notes, *(f"{flag_name(name)} is without effect: --skip-if leaves the forest out" for name in given)]
    if options.report_psi and not options.if_holdout_fraction:
        notes.append("--report-psi has nothing to compare: --if-holdout-fraction 0 holds nothing out, so psi is null")
    value = options.if_threshold_percentile
    if value is None or value > 1:
        return notes
    limit = f"the alert limit is the {alert_percentile(options):g} % quantile"
    return [*notes, f"--if-threshold-percentile {value:g} is a fraction: {limit}"]


def set_alert_limit(
    options: ForestOptions, layout: Layout, targets: Sequence[Target], session: Session
) -> dict[str, Measures]:
    """Set the forest's alert limit, if a percentile is given, in its bundle and in the labels of all rows.

    It is the percentile of the scores of the hold-out's normal sequences, else of the training part's; without any of
    them the limit of the fit stays.

    Returns
    -------
    the measure ``threshold``, which describes the limit; nothing without a percentile or a forest
    """
    percentile, forest = alert_percentile(options), [target for target in targets if target.key == FOREST]
    if percentile is None or not forest:
        return {}
    limits = session.call(limit_bundle, forest[0], percentile, layout.root, label=f"{FOREST}: alert limit")
    values = {name: limit["threshold"] for name, limit in limits.items() if limit["threshold"] is not None}
    session.map(label_group, group_parts(layout.enhanced), "alert limit", root=layout.root, limits=values)
    none = {"percentile": percentile, "threshold": None, "source": None, "reason": PER_SERVICE}
    return {"threshold": limits.get("") or none | {"per_service": limits}}


def limit_bundle(target: Target, percentile: float, root: Path) -> dict[str, Measures]:
    """Set the alert limit of each model of a bundle; return it by service ("" = all services)."""
    layout, content = Layout(root), bundle.load(target.path)
    rows, scores = SequenceKeys.read(layout), read_scores(layout, target.key)
    side = rows.sides(read_splits(layout)[target.side], scores)
    limits, scoring = {}, by_service(content, "scoring")
    for service in scoring:
        own = ~rows.anomaly & (among(rows.service, [service]) if service else True)
        train, held = (scores[own & (side == name)] for name in ("train", "holdout"))
        limits[service] = percentile_threshold(train, held, percentile)
        if limits[service]["threshold"] is not None:
            scoring[service] = scoring[service] | {"threshold": limits[service]["threshold"]}
    whole = scoring if content["per_service"] else scoring[""]
    bundle.save(target.path, content | {"scoring": whole}, overwrite=True)
    return limits


def label_group(group: Group, root: Path, limits: Mapping[str, float]) -> int:
    """Label a group's rows of the forest by the limits of their services ("" = all services)."""
    layout = Layout(root)
    part = group.read(layout.enhanced, ["service"])
    scores, labels, calibrating = read_group_scores(layout, FOREST, group)
    for service, limit in limits.items():
        own = of_service(part, service)
        labels[own] = label(scores[own], {"threshold": limit})
    keep_scores(layout, FOREST, group, (scores, labels, calibrating))
    return part.num_rows
