"""What was explained of one sequence, as text for ``lo2dask explain --seq-id``."""

import difflib
import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from lo2dask.buffers.columns import strings
from lo2dask.buffers.visible import token_label, visible
from lo2dask.errors import InputError
from lo2dask.explanation.artefacts import Artefacts
from lo2dask.explanation.explanations import BEYOND_LIMIT, GONE
from lo2dask.explanation.neighbours import NAMES
from lo2dask.explanation.refit import trained_models
from lo2dask.explanation.tasks import template_texts
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths, read_parts, read_rows

FEATURES = 8
TOKENS = 10
NO_LINE = "  no line to show: none of its lines is new, and none carries what the model goes by"
# Names that are compared letter by letter with one that is not known; more would take seconds.
COMPARED = 5_000


def describe_sequence(root: Path, seq_id: str) -> str:
    """Write what each explained model says about one sequence.

    Raises
    ------
    InputError : there is no such sequence (names similar ones), or nothing has been explained.
    """
    layout = Layout(root)
    explained = {key: Artefacts(layout.explainability, key) for key in trained_models(layout)}
    explained = {key: files for key, files in explained.items() if part_paths(files.predictions)}
    if not explained:
        raise InputError(f"--root {root}: nothing is explained in it; first: lo2dask explain --root {root}")
    if not _rows(layout.sequences, seq_id, ["seq_id"]):
        raise InputError(_unknown(layout, seq_id))
    texts = template_texts(layout)
    answers = (_of_model(key, files, root, seq_id, texts) for key, files in explained.items())
    return "\n\n".join([visible(seq_id), *answers]) + "\n"


def describe_row(row: Mapping[str, Any], model: str, root: Path, templates: Mapping[str, str]) -> str:
    """Write one row of a model's explanations; control characters of a log are written out as escapes.

    ``root`` is the output folder, ``templates`` maps a template id to its text.
    """
    label = {True: "it is an anomaly", False: "it is a false positive: normal by its label", None: "it has no label"}
    lines = [
        f"{model} flags it: score {row['score']:.6g}, rank {row['rank']}, {row['split']}; {label[row['anomaly']]}",
        f"  run {visible(row['run'])}, test case {visible(row['test_case'])}, service {visible(row['service'])}",
    ]
    lines += _features(row, templates) if row["explained"] else ["  it has no SHAP values"]
    lines += _evidence(row, root, templates)
    if row["nearest_normal"]:
        lines += _nearest(row, templates)
    return "\n".join(lines)


def _of_model(key: str, files: Artefacts, root: Path, seq_id: str, texts: Mapping[str, str]) -> str:
    """Write one model's view; a model per service may know nothing of this one's service."""
    flagged = _rows(files.explanations, seq_id)
    if flagged:
        return describe_row(flagged[0], key, root, texts)
    predicted = _rows(files.predictions, seq_id)
    if not predicted:
        return f"{key} has no model of its service"
    row = predicted[0]
    if row[f"score_{key}"] is None:
        return f"{key} does not score it: it was not fitted"
    return f"{key} does not flag it: score {row[f'score_{key}']:.6g}, rank {row[f'rank_{key}']}, {row['split']}"


def _rows(folder: Path, seq_id: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
    paths = part_paths(folder)
    return read_rows(paths, columns, filters=pc.field("seq_id") == seq_id).to_pylist() if paths else []


def _unknown(layout: Layout, seq_id: str) -> str:
    similar = _similar(layout, seq_id)
    known = f"some are {', '.join(map(visible, similar))}" if similar else "it has none"
    return f"--seq-id {visible(seq_id)}: no such sequence in {layout.sequences}; {known}"


def _similar(layout: Layout, seq_id: str) -> list[str]:
    """Name the sequences most like a mistyped one: among those with the most of its words, the closest."""
    words = [word for word in seq_id.split("__") if word]
    names = (name for part in read_parts(layout.sequences, ["seq_id"]) for name in strings(part["seq_id"]).to_pylist())
    shared = ((sum(word in name for word in words), name) for name in names)
    ranked = heapq.nlargest(COMPARED, shared, key=lambda pair: pair[0])
    best = [name for count, name in ranked if count == ranked[0][0]]
    return difflib.get_close_matches(seq_id, best, n=3, cutoff=0.3) or best[:3]


def _features(row: Mapping[str, Any], templates: Mapping[str, str]) -> list[str]:
    """List the strongest features that the sequence has, or whose absence speaks for normal."""
    shown = [entry for entry in row["features"] if not _is_missing(entry)]
    lines = ["  strongest features (SHAP value, + = more anomalous; the sequence's value)"] if shown else []
    for entry in shown[:FEATURES]:
        value = f"{entry['value']:>8.4g}" if entry["value"] else "  absent"
        lines.append(f"    {entry['shap']:>+10.4g}  {value}  {_label(entry['feature'], templates)}")
    return lines


def _evidence(row: Mapping[str, Any], root: Path, templates: Mapping[str, str]) -> list[str]:
    """Tell new lines, missing ones and changed counts, or why there is none."""
    missing = _missing(row, templates)
    if row["evidence"] == GONE:
        return [*missing, "  none of its log lines could be read again"]
    if row["evidence"] == BEYOND_LIMIT:
        where = visible(f"{root} {row['run']}/{row['test_case']}")
        return [*missing, f"  its log lines were not read (--evidence-limit); lo2dask show {where} reads them"]
    new = [line for line in row["lines"] if line["normal_max"] == 0]
    more = [line for line in row["lines"] if line["normal_max"] and line["alike"] > line["normal_max"]]
    other = [line for line in row["lines"] if line not in new and line not in more]
    lines = [
        *_lines("new lines: no normal sequence of the service has such a line", new),
        *missing,
        *_lines("changed counts: more such lines than in any normal sequence of the service", more),
        *_lines("other lines that carry what speaks for an anomaly", other),
    ]
    here = [f"  lines are of {visible(row['lines'][0]['path'])}"] if row["lines"] else [NO_LINE]
    return [*here, *lines]


def _missing(row: Mapping[str, Any], templates: Mapping[str, str]) -> list[str]:
    """Tell what speaks by its absence."""
    absent = [entry for entry in row["features"] if _is_missing(entry)][:FEATURES]
    lines = ["  missing: it lacks what others have, and that speaks for an anomaly (SHAP value)"] if absent else []
    lines += [f"    {entry['shap']:>+10.4g}  {_label(entry['feature'], templates)}" for entry in absent]
    everywhere = row["missing"] or []
    lines += ["  missing lines: every normal sequence of the service has such a line"] if everywhere else []
    return lines + [f"    {_label(name, templates)}" for name in everywhere]


def _is_missing(entry: Mapping[str, Any]) -> bool:
    return bool(entry["value"] == 0 and entry["shap"] > 0)


def _label(name: str, templates: Mapping[str, str]) -> str:
    return token_label(f"{name}: {templates[name]}" if name in templates else name)


def _lines(title: str, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    texts = [f"  {title}"] if lines else []
    for line in lines:
        normal = f", at most {line['normal_max']} in a normal sequence" if line["normal_max"] else ""
        texts += [f"    line {line['line_no']} ({line['alike']} alike{normal})", f"      {visible(line['m_message'])}"]
    return texts


def _nearest(row: Mapping[str, Any], templates: Mapping[str, str]) -> list[str]:
    name = NAMES[row["nearest_type"]]
    lines = [f"  {name} ({row['similarity']:.3f} alike): {visible(row['nearest_normal'])}"]
    for way, title in (("gained", "only here"), ("lost", "only there")):
        words = [token_label(word) for word in row[f"words_{way}"][:TOKENS]]
        names = [visible(f"{name}: {templates.get(name, '')}") for name in row[f"templates_{way}"][:TOKENS]]
        lines.append(f"    {title}, words: {'  '.join(words) or 'none'}")
        lines += [f"    {title}, template {name}" for name in names]
    return lines
