"""How logs of other systems are read: the samples of loghub, each with --format auto, beside their labels.

python benchmarks/loghub.py SAMPLE             # SAMPLE holds SYSTEM_2k.log and SYSTEM_2k.log_structured.csv
python benchmarks/loghub.py SAMPLE HDFS Spark

For each system: lines with a header; times that are those of the line's text; levels that are the labelled ones;
distinct statements and templates beside the labelled number; grouping accuracy (the share of lines whose template
groups exactly the lines that theirs groups in the labels). Without the sample nothing is done, and said.
"""

import argparse
import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from common import report, working_folder

from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.features.masks import normalise
from lo2dask.ingest.mining import read_mapping
from lo2dask.ingest.text import read_masks
from lo2dask.options import LoadOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import count_rows, read_parts

# Where each system's lines have their time, and how it is written; years of Linux are not in its lines.
TIMES = {
    "Apache": (r"^\[(.*?)\]", "%a %b %d %H:%M:%S %Y"),
    "BGL": (r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.\d{6}", "%Y-%m-%d-%H.%M.%S.%f"),
    "HDFS": (r"^\d{6} \d{6}", "%y%m%d %H%M%S"),
    "Hadoop": (r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "%Y-%m-%d %H:%M:%S,%f"),
    "Linux": (r"^\w{3} +\d+ \d\d:\d\d:\d\d", "%Y %b %d %H:%M:%S"),
    "OpenStack": (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "%Y-%m-%d %H:%M:%S.%f"),
    "Spark": (r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d", "%y/%m/%d %H:%M:%S"),
    "Zookeeper": (r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "%Y-%m-%d %H:%M:%S,%f"),
}


def main() -> None:
    """Load each system's sample and report what was read of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path)
    parser.add_argument("systems", nargs="*", default=list(TIMES))
    arguments = parser.parse_args()
    with working_folder(None) as folder:
        for system in arguments.systems:
            log = arguments.sample / f"{system}_2k.log"
            if not log.is_file():
                report(system, f"skipped: there is no {log}")
                continue
            report(system, check(log, system, folder))


def check(log: Path, system: str, folder: Path) -> str:
    """Load one log and compare it with its labels; return what was found, in words."""
    layout = Layout(folder / system)
    options = LoadOptions(
        root=log.parent, output_dir=layout.root, layout="{service}_2k.log", include=(log.name,),
        trim_init_lines=False, save_events=True,
    )  # fmt: skip
    load(options, Session.serial(options))
    events = pa.concat_tables(read_parts(layout.events))
    rows = events.to_pylist()
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    with log.with_name(f"{log.name}_structured.csv").open(newline="", encoding="utf-8") as file:
        labels = {int(label["LineId"]): label for label in csv.DictReader(file)}
    times = [same_time(row["m_timestamp"], system, lines[row["line_no"] - 1]) for row in rows]
    pairs = [(row["level"] or "", labels[row["line_no"]]) for row in rows if row["line_no"] in labels]
    levels = [level == label.get("Level", "").upper().replace("WARNING", "WARN") for level, label in pairs]
    labelled = [labels.get(row["line_no"], {"EventTemplate": ""})["EventTemplate"] for row in rows]
    accuracy = grouping_accuracy(templates_of(events, layout), labelled)
    levels = levels if system != "Linux" else []  # its column Level is the name of the host
    return (
        f"{share([not row['is_continuation'] for row in rows])} headed, times {share(times)}, levels {share(levels)}, "
        f"statements {count_rows(layout.statements)}, templates {count_rows(layout.templates)}, "
        f"labelled {len(set(labelled))}, grouping accuracy {accuracy:.2f}"
    )


def same_time(found: datetime, system: str, line: str) -> bool | None:
    """Return whether a time is that of a line, to the millisecond; None where the line shows none."""
    pattern, form = TIMES[system]
    match = re.search(pattern, line)
    if not match:
        return None
    text, found = match[1] if match.re.groups else match[0], found.replace(tzinfo=None)
    if system == "Linux":
        text = f"{found.year} {text}"
    wanted = datetime.strptime(text, form)
    return found == wanted.replace(microsecond=wanted.microsecond // 1000 * 1000)


def templates_of(events: pa.Table, layout: Layout) -> list[str]:
    """Return the template of each event."""
    messages = events["m_message"].cast(pa.string()).combine_chunks()
    masked = normalise(messages, read_masks(layout, None))
    (ids,) = read_mapping(layout, masked.dictionary, ["e_event_drain_id"])
    return ids.take(masked.indices).to_pylist()


def grouping_accuracy(found: Sequence[str], labelled: Sequence[str]) -> float:
    """Return the share of lines whose group is, line for line, a group of the labels."""
    groups: list[dict[str, list[int]]] = [defaultdict(list), defaultdict(list)]
    for place, names in enumerate(zip(found, labelled, strict=True)):
        for group, name in zip(groups, names, strict=True):
            group[name].append(place)
    wanted = {tuple(places) for places in groups[1].values()}
    right = sum(len(places) for places in groups[0].values() if tuple(places) in wanted)
    return right / max(len(found), 1)


def share(marks: Sequence[bool | None]) -> str:
    """Write how many of those that are known are so."""
    known = [mark for mark in marks if mark is not None]
    return f"{sum(known):,}/{len(known):,}"


if __name__ == "__main__":
    main()
