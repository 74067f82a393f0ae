"""How far a model's figures can be trusted, in words: one short line, or a line for each thing to know."""

from collections.abc import Mapping
from typing import Any

from lo2dask.training.trust import BASELINES, short

Block = Mapping[str, Any]
# Error types that are named in a report.
SHOWN = 3


def trust_lines(blocks: Mapping[str, Block]) -> list[str]:
    """Write for a terminal each verdict once, with its models: average precision, chance, bystander AUC."""
    named: dict[str, list[str]] = {}
    for key, block in blocks.items():
        figures = []
        if not block["reason"]:
            figures += [f"AP {short(block['average_precision']['value'])}", f"chance {short(block['prevalence'])}"]
            if block["bystander_auc"]:
                figures.append(f"bystander AUC {short(block['bystander_auc']['value'])}")
        named.setdefault(block["verdict"], []).append(f"{key} ({', '.join(figures)})" if figures else key)
    return [f"trust: {verdict}: {', '.join(models)}" for verdict, models in named.items()]


def trust_rows(block: Block) -> list[tuple[str, str]]:
    """Return what there is to know of a model's figures, the verdict first: pairs of a title and a text."""
    rows = [("Verdict", block["verdict"]), ("Measured on", block["units"])]
    if block["reason"]:
        return rows
    by_chance = f"of {_models(block['models_compared'])}, by chance: {short(block['chance_of_best'])}"
    return [
        *rows,
        *(("Mind", text) for text in block["remarks"]),
        ("Average precision", f"{interval(block['average_precision'])}, chance {short(block['prevalence'])}"),
        ("AUC", _area(block["auc"])),
        ("AUC of the innocent services", _bystanders(block)),
        ("Gain in average precision", _gain(block["gain"])),
        ("Simple baselines", _baselines(block)),
        ("Recall at 1 false alarm in 100", _recall(block["recall_at_false_alarms"])),
        ("Failing service scores highest", _named(block["service_named"])),
        ("Normal cases flagged", _flagged(block["false_culprits"])),
        *(("Hardest error types", text) for text in _hardest(block.get("per_error_type", {}))),
        *(("Equal bags on both sides of the split", text) for text in _equal(block.get("equal_logs"))),
        ("As good an AUC from the best", by_chance),
    ]


def interval(figure: Mapping[str, Any]) -> str:
    """Write a figure with its interval, if there is one."""
    value = short(figure["value"])
    return f"{value} [{short(figure['low'])}, {short(figure['high'])}]" if "low" in figure else value


def _area(figure: Mapping[str, Any]) -> str:
    if "p" not in figure:
        return interval(figure)
    how = "exact" if figure["is_exact"] else "drawn"
    assignments = f"{figure['assignments']:,} {how} permutations of {figure['scheme']}"
    return f"{short(figure['value'])}, p = {figure['p']:.3g} ({assignments})"


def _bystanders(block: Block) -> str:
    figure = block["bystander_auc"]
    return f"{_area(figure)}; .5 is honest" if figure else "not measured: the failing service is not known"


def _gain(figure: Mapping[str, Any] | None) -> str:
    return f"{interval(figure)} over {figure['over_words']}" if figure else "not measured"


def _baselines(block: Block) -> str:
    figures = {name: short(one["average_precision"]) for name, one in block["baselines"].items()}
    figures |= {name: f"not fitted: {reason}" for name, reason in block.get("unfitted", {}).items()}
    return ", ".join(f"{BASELINES[name]} {figures[name]}" for name in BASELINES if name in figures)


def _recall(figure: Mapping[str, Any]) -> str:
    return figure["reason"] if figure["value"] is None else short(figure["value"])


def _named(figure: Mapping[str, int]) -> str:
    if not figure["of"]:
        return "not measured: the failing service is not known"
    guess = short(1 / max(figure["services"], 1))
    return f"{figure['right']:,} of {figure['of']:,} (chance {guess})"


def _flagged(figure: Mapping[str, Any]) -> str:
    flagged = "not measured" if figure["flagged"] is None else f"{figure['flagged']:,}"
    return f"{flagged} of {figure['of']:,}"


def _hardest(types: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name the error types that rank lowest; all of them are in the measures."""
    lowest = sorted(types.items(), key=lambda item: (-item[1]["rank"], item[0]))[:SHOWN]
    texts = []
    for name, figure in lowest:
        parts = [f"rank {figure['rank']:g} of {figure['of']:,}"]
        if figure["recall"] is not None:
            parts.append(f"flagged {short(figure['recall'])}")
        if figure["service_named"] is not None:
            parts.append(f"service named {short(figure['service_named'])} ({figure['lift']:.1f} × chance)")
        texts.append(f"{name}: {', '.join(parts)}")
    return ["; ".join(texts)] if texts else []


def _equal(figure: Mapping[str, int] | None) -> list[str]:
    if not figure or not figure["held"]:
        return []
    return [
        f"{figure['copied']:,} of {figure['held']:,} held-out logs of {figure['least_lines']} lines and more equal one "
        "of the training part"
    ]


def _models(number: int) -> str:
    return f"{number:,} random {'scorer' if number == 1 else 'scorers'}"
