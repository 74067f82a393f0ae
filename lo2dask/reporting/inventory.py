"""Which artefacts a folder should have, which it has, and the command that makes each one that is missing."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lo2dask.explanation.artefacts import Artefacts
from lo2dask.models.registry import FOREST
from lo2dask.reporting.data import FileLine
from lo2dask.reporting.heatmap import EXCESS
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from lo2dask.training.units import measures_path


def list_files(layout: Layout, models: Sequence[str], explained: Sequence[str]) -> list[FileLine]:
    """List every artefact of the guide, present or missing, and those of each model."""
    root = layout.root
    bundle = root / "models" / "lo2_if.joblib"
    load, train = f"lo2dask load --root RAW --output-dir {root}", f"lo2dask train --root {root}"
    lines = [
        _line(root, layout.sequences, "one row per sequence", load),
        _line(root, layout.events, "one row per line kept", f"{load} --save-events --no-resume"),
        _line(root, layout.enhanced, "sequences with figures, tokens, templates", f"{train} --phase enhancers"),
        _line(root, layout.templates, "Drain templates", f"{train} --phase enhancers"),
        _line(root, layout.vocabulary, "tokens of the whole tree", f"{train} --phase enhancers"),
        _line(root, layout.rejects, "input that was not used", load),
        _line(root, layout.metrics, "metric samples", f"{load} --load-metrics"),
        _line(root, layout.traces, "spans", f"{load} --load-metrics"),
        _line(root, layout.findings, "what stands out, with its evidence", f"{train} --models {EXCESS}"),
        _line(root, layout.windows, "unusual seconds of each service", f"{train} --models {EXCESS}"),
        _line(root, layout.timeline, "lines and scores by ten seconds", f"{train} --models {EXCESS}"),
        _line(root, layout.lines, "unusual lines of the cases that stand out", f"{train} --models {EXCESS}"),
        _line(root, layout.if_predictions, "the Isolation Forest's scores", train),
        _line(root, measures_path(layout.measures, FOREST), "the Isolation Forest's measures", train),
        _line(root, layout.measures / "if_metrics.csv", "the same as rows", train),
        _line(root, bundle, "the forest's bundle", f"{train} --save-model {bundle}"),
        _line(root, root / "models" / "model.yml", "what the forest was fitted with", f"{train} --dump-metadata"),
    ]
    for key in models:
        if key != FOREST:
            lines.append(_line(root, layout.measures / f"{key}.json", f"measures of {key}", f"{train} --models {key}"))
        lines.append(_line(root, root / f"{key}_runs.parquet", f"scores of {key} by run and test case", train))
    for key in models:
        lines += _explained(layout, key, key in explained)
    return lines


def _explained(layout: Layout, key: str, is_explained: bool) -> Iterable[FileLine]:
    """List the files of one explained model; a note instead of its plots is what should be there."""
    files, root = Artefacts(layout.explainability, key), layout.root
    command = f"lo2dask explain --root {root}" + ("" if key == FOREST else f" --sup-models {key}")
    wanted = [
        (files.metrics, "measures, and what was explained"),
        (files.predictions, "score, label and rank of each sequence"),
        (files.explanations, "strongest features and lines of each flagged sequence"),
        (files.path("false_positives.txt"), "normal sequences that it flags"),
        (files.path("false_negatives.txt"), "anomalous sequences that it misses"),
    ]
    note = next((path for path in files.notes if path.is_file()), None)
    if note:
        wanted.append((note, "why there are no SHAP values, and what to do"))
    else:
        summary, bar = files.plots
        wanted += [(summary, "SHAP values, a dot a sequence"), (bar, "mean SHAP values")]
        wanted.append((files.path("top_features.txt"), "features by mean SHAP value"))
    mapping = files.path("nn_mapping.csv")
    if mapping.is_file():
        wanted.append((mapping, "nearest normal sequence of each flagged one"))
    return [_line(root, path, f"{key}: {purpose}", command) for path, purpose in wanted]


def _line(root: Path, path: Path, purpose: str, command: str) -> FileLine:
    exists = bool(part_paths(path)) if path.suffix == ".parquet" else path.is_file()
    return FileLine(str(path.relative_to(root)), purpose, exists, command)
