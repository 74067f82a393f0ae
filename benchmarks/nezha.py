"""Faults of a train-booking system (Nezha, one day): does ``excess`` name the service that a fault was injected into?

    python benchmarks/nezha.py FOLDER

``FOLDER`` is what the sample's archive unpacks to. Each fault is a run of three minutes from its time of injection; the
fault-free minutes are runs too. Nothing is labelled: each run is compared with all others, which hold other faults.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from common import report, working_folder

from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.options import LoadOptions, TrainOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts

WINDOW = timedelta(minutes=3)
_HEAD = r"(?P<time>\S+Z) [0-9:.]+ +(?P<level>[A-Z]+) +"
_IDS = r"TraceID: (?P<correlation_id>\S*) SpanID: \S* "
_EXAMPLE = "2023-01-29T08:42:22.383150Z 16:42:22.382 INFO  t.s.TravelServiceImpl#532 TraceID: ff SpanID: 43 [get][x][y]"
# What a statement is: the masked message behind logger and line of code, or the place in the code alone.
FORMATS = {
    "masked message": rf"{_HEAD}(?P<logger>\S+) {_IDS}(?P<message>.*)",
    "logger#line": rf"{_HEAD}(?P<message>\S+) {_IDS}.*",
}


def read_faults(folder: Path) -> list[dict[str, Any]]:
    """Read what was injected: ``run`` (its name), ``start`` (UTC), ``service`` and ``type`` of each fault."""
    (path,) = folder.glob("rca_data/*/*-fault_list.json")
    faults = []
    for one in (one for hour in json.loads(path.read_bytes()).values() for one in hour):
        start = datetime.fromisoformat(one["inject_time"]).replace(tzinfo=UTC)
        service = name_service(one["inject_pod"])
        faults.append({"run": f"{start:%H-%M}", "start": start, "service": service, "type": one["inject_type"]})
    return faults


def name_service(pod: str) -> str:
    """Name the service of a pod: its name without the two hashes."""
    return pod.rsplit("-", 2)[0]


def cut_tree(folder: Path, faults: Sequence[dict[str, Any]], tree: Path) -> int:
    """Write ``{run}/{service}.log`` with a line of ISO time and log text for each row; return the lines written."""
    lines: dict[tuple[str, str], list[str]] = defaultdict(list)
    for time, pod, text in _rows(folder / "rca_data"):
        for fault in faults:
            if fault["start"] <= time < fault["start"] + WINDOW:
                lines[fault["run"], name_service(pod)].append(f"{time:%Y-%m-%dT%H:%M:%S.%fZ} {text}")
    for time, pod, text in _rows(folder / "construct_data"):
        lines[f"reference-{time:%H-%M}", name_service(pod)].append(f"{time:%Y-%m-%dT%H:%M:%S.%fZ} {text}")
    for (run, service), own in lines.items():
        path = tree / run / f"{service}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*sorted(own), ""]), encoding="utf-8")
    return sum(map(len, lines.values()))


def _rows(folder: Path) -> Iterator[tuple[datetime, str, str]]:
    """Yield time (UTC), pod and text of each row of the CSV files."""
    csv.field_size_limit(1 << 24)
    for path in sorted(folder.glob("*/log/*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                time = datetime.fromtimestamp(int(row["TimeUnixNano"]) / 1e9, UTC)
                # Of several objects in a cell the first is the row's own.
                text = json.JSONDecoder().raw_decode(row["Log"])[0]["log"]
                yield time, row["PodName"], text.rstrip("\n").replace("\n", " ")


def score_tree(tree: Path, root: Path, pattern: str) -> tuple[float, dict[str, dict[str, float]]]:
    """Load and train; return the share of lines with a time, and E by run and service, each run left out in turn."""
    own = root.with_suffix(".yaml")
    # The time has fractions of a second; %f takes them.
    plain = {"name": "trainticket", "pattern": pattern, "time": "%Y-%m-%dT%H:%M:%S.%fZ", "example": _EXAMPLE}
    own.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in plain.items()), encoding="utf-8")
    options = LoadOptions(
        root=tree, output_dir=root, layout="{run}/{service}.log", format=str(own), trim_init_lines=False,
        save_events=True,
    )  # fmt: skip
    load(options, Session.serial())
    train(TrainOptions(root=root, models=("excess",), skip_if=True), Session.serial())
    layout = Layout(root)
    timed = total = 0
    for part in read_parts(layout.events, ["m_timestamp"]):
        timed, total = timed + part.num_rows - part["m_timestamp"].null_count, total + part.num_rows
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for part in read_parts(layout.predictions / "excess", ["run", "service", "score_held_out"]):
        for row in part.to_pylist():
            if row["score_held_out"] is not None:
                scores[row["run"]][row["service"]] = row["score_held_out"]
    return timed / max(total, 1), scores


def place_of(service: str, scores: dict[str, float]) -> float:
    """Return the place of a service by its score from 1, equal scores by name; infinite without a score."""
    ordered = sorted(scores, key=lambda name: (-scores[name], name))
    return ordered.index(service) + 1 if service in scores else np.inf


def main() -> None:
    """Cut the day, judge it by each kind of statement, and print how often the right service is first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what the archive unpacks to")
    parser.add_argument("--keep", type=Path, help="folder for the tree and the tables; none given = removed at the end")
    options = parser.parse_args()
    faults = read_faults(options.folder)
    with working_folder(options.keep) as folder:
        lines = cut_tree(options.folder, faults, folder / "tree")
        print(f"{len(faults)} faults, {lines:,} lines")
        report(f"{'statement':<16}", "timed", "type", "faults", "first", "among 3", "chance", "chance of 3", "flagged")
        for number, (name, pattern) in enumerate(FORMATS.items()):
            timed, scores = score_tree(folder / "tree", folder / f"tables-{number}", pattern)
            for kind in ("", *sorted({fault["type"] for fault in faults})):
                chosen = [fault for fault in faults if kind in ("", fault["type"])]
                report(f"{name:<16}", f"{timed:.2%}", kind or "all", str(len(chosen)), *_figures(chosen, scores))


def _figures(faults: Sequence[dict[str, Any]], scores: dict[str, dict[str, float]]) -> tuple[str, ...]:
    places = np.array([place_of(fault["service"], scores[fault["run"]]) for fault in faults])
    sizes = np.array([len(scores[fault["run"]]) for fault in faults])
    flagged = np.mean([max(scores[fault["run"]].values()) > 3 for fault in faults])
    shares = ((places == 1).mean(), (places <= 3).mean(), (1 / sizes).mean(), (3 / sizes).mean(), flagged)
    return tuple(f"{share:.2f}" for share in shares)


if __name__ == "__main__":
    main()
