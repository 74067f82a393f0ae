"""One flagged sequence told in the terminal: why it is flagged, its lines, and what its nearest normal lacks."""

from collections.abc import Mapping, Sequence
from typing import Any

from lo2dask.buffers.visible import token_label, visible

FEATURES = 8
TOKENS = 10


def tell(row: Mapping[str, Any], model: str, templates: Mapping[str, str]) -> str:
    """Write one row of a model's explanations; every character of a log that would act on a terminal is written out.

    ``templates`` gives the text of a template id.
    """
    kind = "an anomaly" if row["anomaly"] else "a false positive: normal by its label"
    lines = [
        f"{model} flags it: score {row['score']:.6g}, rank {row['rank']}, {row['split']}; it is {kind}",
        f"  run {visible(row['run'])}, test case {visible(row['test_case'])}, service {visible(row['service'])}",
    ]
    lines += _features(row, templates) if row["explained"] else ["  it has no SHAP values"]
    lines += _lines(row["lines"])
    if row["nearest_normal"]:
        lines += _nearest(row, templates)
    return "\n".join(lines)


def _features(row: Mapping[str, Any], templates: Mapping[str, str]) -> list[str]:
    lines = ["  strongest features (SHAP value, + = more anomalous; the sequence's value)"]
    for entry in row["features"][:FEATURES]:
        name = entry["feature"]
        label = token_label(f"{name}: {templates[name]}" if name in templates else name)
        lines.append(f"    {entry['shap']:>+10.4g}  {entry['value']:>8.4g}  {label}")
    return lines


def _lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return ["  no line of it was found again"]
    lines = [f"  lines that speak for it, from {visible(found[0]['path'])}"]
    for line in found:
        alike = f", {line['alike']} alike" if line["alike"] > 1 else ""
        weight = f"share {line['share']:.0%}, novelty {line['novelty']:.2f}"
        lines.append(f"    line {line['line_no']} ({weight}{alike})")
        lines.append(f"      {visible(line['m_message'])}")
    return lines


def _nearest(row: Mapping[str, Any], templates: Mapping[str, str]) -> list[str]:
    lines = [f"  nearest normal ({row['similarity']:.3f} alike): {visible(row['nearest_normal'])}"]
    for way, title in (("gained", "only here"), ("lost", "only there")):
        words = [token_label(word) for word in row[f"words_{way}"][:TOKENS]]
        names = [visible(f"{name}: {templates.get(name, '')}") for name in row[f"templates_{way}"][:TOKENS]]
        lines.append(f"    {title}, words: {'  '.join(words) or 'none'}")
        lines += [f"    {title}, template {name}" for name in names]
    return lines
