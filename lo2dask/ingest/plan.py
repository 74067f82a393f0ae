"""The plan of a load: the manifest of the tree, the batches, and whether an output folder can be resumed."""

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.errors import InputError, IntegrityError
from lo2dask.execute.session import Session
from lo2dask.memory import parse_bytes
from lo2dask.options import LoadingOptions
from lo2dask.sources.content import ARCHIVE, data_kind
from lo2dask.sources.folders import has_shape_of_run
from lo2dask.sources.labels import Labels
from lo2dask.sources.layouts import LO2, OUTSIDE, UNPACK, Tree, choose_runs, find_tree
from lo2dask.sources.listing import listed, scan_files
from lo2dask.sources.manifest import READ_AS_METRIC, REJECTED, Batch, cut_batches, manifest_table
from lo2dask.sources.names import WANTED_NAME, is_run_name, split_problem
from lo2dask.sources.patterns import UNLABELLED, is_like
from lo2dask.sources.select import Selection, draw_without_duplicates
from lo2dask.sources.tree import RunSource
from lo2dask.storage import entries, is_local, read_json, remove_leftovers
from lo2dask.tables.layout import Layout, part_name
from lo2dask.tables.loads import LOAD, read_load
from lo2dask.tables.parts import prune_parts, read_part, write_part
from lo2dask.tables.records import Key, Stage
from lo2dask.tables.state import short_name

logger = logging.getLogger(__name__)

# Names that a message lists.
_NAMED = 10
_PLACE = ("run", "test_case", "service")
_OTHER_KINDS = ["other log", "other file", "image", "binary file", OUTSIDE]
# Runs that one task scans; a run of LO2 has some 370 logs.
RUNS_PER_SCAN = 16
# Trees up to this many runs are scanned by the client, which saves the start of a cluster when nothing is to do.
RUNS_SCANNED_HERE = 256


@dataclass(frozen=True)
class LoadPlan:
    """What a load will read; ``others`` names what lies next to the runs, ``cases`` the test cases read.

    ``is_lo2``: the tree has LO2's layout; ``labels`` say what is normal; ``has_error``: not of every log (where events'
    times decide, this is not known before they are read).
    """

    runs: tuple[RunSource, ...]
    batches: tuple[Batch, ...]
    others: tuple[str, ...]
    cases: tuple[str, ...]
    ignored: dict[str, int]
    is_lo2: bool
    labels: Labels
    has_error: bool
    has_normal: bool

    @property
    def files(self) -> int:
        """Logs to read."""
        return sum(batch.files for batch in self.batches)

    @property
    def bytes(self) -> int:
        """Raw bytes to read."""
        return sum(batch.bytes for batch in self.batches)


def make_plan(
    root: Path, options: LoadingOptions, layout: Layout, session: Session, tree: Tree | None = None
) -> LoadPlan:
    """Scan the tree, which is looked for unless given, into the manifest and cut the batches.

    Raises
    ------
    InputError : the root or the selection cannot be used; the message lists what there is.
    """
    target = parse_bytes(options.partition_size, "--partition-size")
    tree = tree or find_tree(root, options)
    logger.info("layout: %s", tree.layout)
    for warning in tree.warnings:
        logger.warning("%s", warning)
    selection = Selection.from_options(options, tree.services, tree.labels, str(root))
    every_run, others = choose_runs(tree, options), tree.others
    usable = [run for run in every_run if not run.problem]
    runs = usable[: options.runs] if options.runs > 0 else usable
    scanned = _scan_groups([*runs, *(run for run in every_run if run.problem)])
    where = session.here() if len(runs) <= RUNS_SCANNED_HERE else session
    with listed(scanned, layout.internal / "listing") as groups:
        if selection.needs_all_runs(options):
            selection = _draw_together((run for group in groups for run in group if not run.problem), selection)
        records = [(layout.manifest / part_name(index), group) for index, group in enumerate(groups)]
        summaries = where.map(scan_runs, records, "scan", selection=selection, with_metrics=options.load_metrics)
    prune_parts(layout.manifest, [path.name for path, _ in records])
    cases = sorted({case for summary in summaries for case in summary["cases"]})
    _check_cases(options, cases, sorted({case for summary in summaries for case in summary["errors"]}), root)
    ignored: dict[str, int] = {}
    for summary in summaries:
        for reason, count in summary["ignored"].items():
            ignored[reason] = ignored.get(reason, 0) + count
    batches = tuple(cut_batches([path for path, _ in records], target))
    has_metrics = ignored.pop(READ_AS_METRIC, 0)
    examples = {reason: row for summary in reversed(summaries) for reason, row in summary["examples"].items()}
    if not batches and not has_metrics:
        raise InputError(_no_log(tree, root, cases, examples))
    _warn_left_out(summaries, examples)
    if unmet := [key for summary in summaries for key in summary["unmet"]]:
        names = "/".join(filter(None, unmet[0]))
        logger.warning("--labels %s: %d labels are for no log, such as that of %s", options.labels, len(unmet), names)
    _warn_other_runs(root, others)
    if others:
        ignored["next to the runs"] = len(others)
    chosen = {case for summary in summaries for case in summary["chosen"]}
    has_error = bool(tree.labels.timed) or any(summary["has_error"] for summary in summaries)
    return LoadPlan(
        tuple(runs), batches, tuple(others), tuple(sorted(chosen)), ignored, tree.layout == LO2, tree.labels, has_error,
        any(summary["has_normal"] for summary in summaries),
    )  # fmt: skip


def _scan_groups(runs: list[RunSource]) -> list[list[RunSource]]:
    """Group sorted runs for scanning; runs whose sequences may have the same ids (``a/b__c``, ``a__b/c``) together."""
    groups: list[list[RunSource]] = []
    first = ""
    for run in runs:
        is_nested = bool(first) and run.name.startswith(first + "__")
        first = first if is_nested else run.name
        if not groups or (len(groups[-1]) >= RUNS_PER_SCAN and not is_nested):
            groups.append([])
        groups[-1].append(run)
    return groups


def scan_runs(record: tuple[Path, list[RunSource]], selection: Selection, with_metrics: bool) -> dict[str, Any]:
    """Scan some runs into one manifest part; return the test cases found, those chosen, and what was left out."""
    path, runs = record
    taken: dict[str, str] = {}
    tables = [manifest_table(scan_files(run, with_metrics), selection, taken) for run in runs]
    table = pa.concat_tables(tables)
    if not _same_part(path, table):
        write_part(path, table, schema.MANIFEST)
    logs = table.filter(pc.equal(table["kind"], "log"))
    unused = table.filter(pc.and_(pc.invert(table["selected"]), pc.not_equal(table["why"], REJECTED)))
    left_out = unused["why"].value_counts().to_pylist()
    rejected = table.filter(pc.equal(table["why"], REJECTED)).select(["path", "problem"]).to_pylist()
    others = table.filter(pc.is_in(table["kind"], pa.array(_OTHER_KINDS))).select(["path", "problem"]).to_pylist()
    return {
        "examples": {split_problem(row["problem"])[0]: row for row in reversed(rejected + others[:1])},
        "rejected": Counter(split_problem(row["problem"])[0] for row in rejected),
        "cases": [case for case in logs["test_case"].unique().to_pylist() if case],
        "errors": logs.filter(pc.invert(pc.fill_null(logs["normal"], False)))["test_case"].unique().to_pylist(),
        "has_normal": pc.any(logs["normal"], min_count=0).as_py(),
        "has_error": pc.any(pc.invert(logs.filter(logs["selected"])["normal"]), min_count=0).as_py(),
        "chosen": logs.filter(logs["selected"])["test_case"].unique().to_pylist(),
        "unmet": selection.labels.unmet(zip(*(logs[one].to_pylist() for one in _PLACE), strict=True)),
        "ignored": {row["values"]: row["counts"] for row in left_out},
    }


def check_normal(plan: LoadPlan, options: LoadingOptions) -> None:
    """Check that something is like the globs that were given for what is normal.

    Raises
    ------
    InputError : nothing is; the message names what there is.
    """
    if plan.has_normal or plan.labels.is_from_file or options.normal == LoadingOptions.normal:
        return
    is_named = plan.cases != (UNLABELLED,)
    names = plan.cases if is_named else [run.name for run in plan.runs]
    what = "test case" if is_named else "run"
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    given = " ".join(options.normal)
    raise InputError(f"--normal {given}: no {what} is like it; there are {', '.join(names[:_NAMED])}{more}")


def open_output(layout: Layout, options: LoadingOptions, root: Path) -> bool:
    """Make sure that a folder's tables come from the same input and options; return whether there is work to resume.

    Raises
    ------
    InputError : the folder holds a load with other options, of another tree or of another version; names the ways out.
    """
    tables = (layout.sequences, layout.events, layout.enhanced, layout.rejects, layout.metrics, layout.traces)
    for table in (*tables, layout.templates, layout.statements, layout.vocabulary, layout.internal):
        if is_local(table) and (table.is_file() or table.is_symlink() and not table.exists()):
            raise InputError(f"{table} is a file, where lo2dask has a folder of parts: move it away and load again")
    wanted = {"root": str(root.resolve()), "options": options.affecting("load")}
    if not options.resume and layout.marker("load").is_file():
        clear_output(layout)
    earlier = read_load(layout)
    if earlier is not None:
        differing = _differences(earlier, wanted)
        if differing and not earlier["done"] and not layout.record("load", 0).parent.is_dir():
            # It ended before its first batch, perhaps on a mistyped root: there is nothing to mix with.
            begin_load(layout, options, root)
        elif differing:
            raise InputError(
                f"{layout.root} holds a load with other options ({'; '.join(differing)}): choose another --output-dir, "
                "or start over there with --no-resume"
            )
        clear_leftovers(layout)
        return True
    reports = (layout.report_text, layout.report)
    foreign = next((path for path in reports if is_local(path) and path.exists()), None)
    if foreign and not layout.manifest.exists():
        raise InputError(f"{foreign} is not of lo2dask, which writes such a file: choose another --output-dir")
    clear_leftovers(layout)
    begin_load(layout, options, root)
    return False


def begin_load(layout: Layout, options: LoadingOptions, root: Path) -> None:
    """Record that a load is under way, and with which options."""
    summary = {"root": str(root.resolve()), "options": options.affecting("load"), "done": False, "format": ""}
    summary |= {"formats": {}, "is_lo2": False}
    Stage(layout, LOAD).commit(Key("", options.fingerprint("load")), [], summary)


def clear_leftovers(layout: Layout) -> None:
    """Remove the half-written files that a killed process left in tables, records and markers."""
    if not is_local(layout.root):
        return  # an object that was not put to its end does not exist
    for top in (*layout.root.glob("*.parquet"), layout.internal):
        for folder in (top, *(path for path in top.rglob("*") if path.is_dir())):
            remove_leftovers(folder)


def clear_output(layout: Layout) -> None:
    """Remove the files that records name and the records themselves, and nothing else; then folders left empty."""
    for record in sorted(layout.internal.rglob("*.json")):
        content = read_json(record)
        if not isinstance(content, dict) or not {"layout", "type"} <= content.keys():
            continue
        named = content.get("outputs")
        for name in named if isinstance(named, dict) else ():
            if is_below(name):
                (layout.root / name).unlink(missing_ok=True)
        record.unlink()
    for top in (*layout.root.glob("lo2_*.parquet"), layout.internal, layout.explainability, layout.measures):
        remove_empty_folders(top)


def is_below(name: str) -> bool:
    """Return whether the name of a record's output stays below the folder of the record."""
    path = PurePosixPath(name)
    return "://" not in name and not path.is_absolute() and ".." not in path.parts


def remove_empty_folders(top: Path) -> None:
    """Remove a folder and those in it, as far as no file is in them; an object store has no empty folders."""
    if is_local(top) and top.is_dir() and not top.is_symlink():
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _differences(earlier: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    old = {"root": earlier.get("root"), **earlier.get("options", {})}
    new = {"root": wanted["root"], **wanted["options"]}
    return [f"{name} was {old.get(name)!r}, now {value!r}" for name, value in new.items() if old.get(name) != value]


def _same_part(path: Path, table: pa.Table) -> bool:
    """Return whether a manifest part is already what it would be now; then it keeps its modification time."""
    if not path.is_file():
        return False
    try:
        there = read_part(path)
    except (OSError, IntegrityError):
        logger.warning("%s is damaged: its runs are scanned again", short_name(path))
        return False
    return there.num_rows == table.num_rows and all(
        there[name].cast(table[name].type).equals(table[name])
        for name in table.column_names
        if name in there.column_names
    )


def _no_log(tree: Tree, root: Path, cases: list[str], examples: dict[str, dict[str, str]]) -> str:
    """Write why nothing can be loaded: what there is, and the names that are looked for."""
    no_log = "no log of a service" if tree.layout == LO2 else "no text"
    shown = [f"{row['path']} ({row['problem'] or no_log})" for row in examples.values()]
    there = f"; there is {'; '.join(shown)}" if shown else ""
    wanted = f"a log is RUN/TEST CASE/{WANTED_NAME}" if tree.layout == LO2 else f"layout {tree.layout}"
    if not cases and any(data_kind(row["path"]) == ARCHIVE for row in examples.values()):
        wanted += f"; {UNPACK}"
    return f"--root {root}: no log is chosen; test cases there: {', '.join(cases) or 'none'}; {wanted}{there}"


def _warn_left_out(summaries: list[dict[str, Any]], examples: dict[str, dict[str, str]]) -> None:
    """Name what looks like data and is not read: for each reason the number of files, one of them, and the way out."""
    for reason, number in sum((summary["rejected"] for summary in summaries), Counter()).items():
        path, problem = examples[reason]["path"], examples[reason]["problem"]
        logger.warning("%d left out (%s), such as %s: %s", number, reason, path, split_problem(problem)[1])


def _warn_other_runs(root: Path, others: Sequence[str]) -> None:
    """Name what looks like a run next to the runs and is not read: folders, and archives of runs that are folders."""
    packed = [name for name in others if is_run_name(name.partition(".")[0])]
    if packed:
        logger.warning("%d archives are left out, such as %s: the folder of that run is read", len(packed), packed[0])
    for folder in (root, root / "logs") if is_local(root) else ():
        for entry in entries(folder) if others and folder.is_dir() else ():
            if entry.name in others and has_shape_of_run(entry):
                logger.warning("%s looks like a run but is not named as one (such as run_0001): left out", entry.path)


def _draw_together(runs: Iterable[RunSource], selection: Selection) -> Selection:
    cases = {
        run.name: sorted({file.test_case for file in scan_files(run, False) if file.kind == "log"}) for run in runs
    }
    drawn = draw_without_duplicates(selection, cases)
    return replace(selection, drawn=drawn)


def _check_cases(options: LoadingOptions, cases: list[str], errors: list[str], root: Path) -> None:
    """Check that the test cases that are named are there."""
    wanted = options.single_error_type
    if wanted and wanted != "random" and wanted not in errors:
        raise InputError(f"unknown error type {wanted!r}; {root} has {', '.join(errors) or 'none'}")
    for glob in options.test_cases:
        if not any(is_like(case, [glob]) for case in cases):
            raise InputError(f"--test-cases: no test case is like {glob!r}; {root} has {', '.join(cases) or 'none'}")
