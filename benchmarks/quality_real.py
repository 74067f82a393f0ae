"""Unsupervised models on the real slice, each run left out in turn: do they find the errors, or the length of logs?"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import report
from quality_levels import figure

from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.options import LoadOptions, TrainOptions
from lo2dask.schema import is_normal
from lo2dask.sources.names import log_service
from lo2dask.storage import read_json
from lo2dask.tables.layout import Layout

TRIM = 100
# From this AUC of the services that do not fail on, a model is said to read the length.
_READS_OTHERS = 0.8


def real(sample: Path, folder: Path, models: Sequence[str]) -> None:
    """Leave each run of the slice out in turn; print each model's figures, and what the default run says in words."""
    root = folder / "real"
    load(LoadOptions(root=sample, output_dir=root, init_lines_to_skip=TRIM), Session.serial())
    keys = ("excess", *(key for key in models if key != "excess"))
    train(TrainOptions(root=root, models=keys, skip_if=True, holdout_by="loro"), Session.serial())
    measures = Layout(root).measures
    blocks = {key: (read_json(measures / f"{key}.json") or {})["trust"] for key in keys}
    print("\nreal slice, one run left out in turn")
    report(f"{'model':<22}", "AUC [interval] or p", "bystanders", "length alone", "service named", "reads", "verdict")
    for key, block in blocks.items():
        report(f"{key:<22}", *_row(block))
    print("\nreal slice, the default run")
    train(TrainOptions(root=root, models=("excess",)), Session.serial())
    for key, name in (("if", "if_metrics"), ("excess", "excess")):
        report(f"{key:<22}", *_row((read_json(measures / f"{name}.json") or {})["trust"]))
    _print_traces(sample)


def _row(block: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of one model."""
    if block["reason"]:
        return ("-", "-", "-", "-", "-", block["verdict"])
    area, others, named = block["auc"], block["bystander_auc"], block["service_named"]
    sure = f"p={area['p']:.3f}" if "p" in area else f"[{figure(area['low'])}, {figure(area['high'])}]"
    bystanders = others["value"] if others else None
    reads = "length" if bystanders is not None and bystanders >= _READS_OTHERS else ""
    length = block["baselines"]["baseline_length"]["auc"]
    cells = (f"{figure(area['value'])} {sure}", figure(bystanders), figure(length))
    return (*cells, f"{named['right']} of {named['of']}", reads, block["verdict"])


def _print_traces(sample: Path) -> None:
    """Print which services' logs of an error case hold an error code that no ``correct`` log of theirs holds."""
    codes: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for path in sorted(sample.rglob("*.log")):
        found = log_service(path.name)
        if found:
            codes[path.parent.name, found] |= set(re.findall(rb"ERR\d{5}", path.read_bytes()))
    for case in sorted({case for case, _ in codes if not is_normal(case)}):
        new = {name: found - codes["correct", name] for (of, name), found in codes.items() if of == case}
        told = [f"{name} ({b', '.join(sorted(found)).decode()})" for name, found in sorted(new.items()) if found]
        report(f"new error codes: {case} ", f"in {len(told)} of {len(new)} services: {', '.join(told)}")
