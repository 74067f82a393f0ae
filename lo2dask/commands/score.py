"""Apply a saved bundle to new runs: their text is read as at training, and nothing is learned from them."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lo2dask import schema
from lo2dask.commands.load import read_tree
from lo2dask.domain import CORRECT, ERROR_CASES
from lo2dask.errors import InputError
from lo2dask.execute.session import Session, using
from lo2dask.features.masks import Mask
from lo2dask.features.statements import Statements
from lo2dask.features.templates import Templates
from lo2dask.findings.make import judge_windows, write_findings
from lo2dask.findings.tasks import WindowJob
from lo2dask.formats.kinds import Translation
from lo2dask.ingest.enhance import enhance_with
from lo2dask.ingest.text import EnhanceKey, load_fingerprint
from lo2dask.models import bundle
from lo2dask.models.runs import RUNS, name_services, run_scores
from lo2dask.models.split import Split
from lo2dask.options import LoadOptions, ScoreOptions, fingerprint
from lo2dask.sources.layouts import find_tree
from lo2dask.storage import copy_file, is_local, remove_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import count_rows, part_paths, prune_parts, read_part, write_part
from lo2dask.tables.records import Key, Stage, StageType
from lo2dask.training.answers import find_answers
from lo2dask.training.bundles import unfitted_reasons
from lo2dask.training.measures import SequenceKeys, run_rows
from lo2dask.training.scoring import Target, read_calibrating, read_scores, score_all, write_predictions
from lo2dask.training.units import working_folder, write_splits

logger = logging.getLogger(__name__)

SIDE = "sup"
# One named part for each bundle.
SCORE = StageType("score", "the runs are scored again")
_NEEDED = (
    *("key", "spec", "load", "masks", "templates", "raw_tokens", "test_cases", "calibration"),
    *("fingerprint", "per_service", "columns", "scoring", "record"),
)


@dataclass(frozen=True)
class ScoreSummary:
    """What was scored: ``unscored`` sequences have no model for their service; ``current``: it was there already."""

    output: Path
    model: str
    runs: int
    sequences: int
    flagged: int
    unscored: int
    rejects: int
    predictions: Path
    run_scores: Path
    current: bool
    seconds: float


def score(options: ScoreOptions, session: Session | None = None) -> ScoreSummary:
    """Score the runs of a raw tree with a bundle; the working tables lie below the output folder's ``_lo2dask``.

    Raises
    ------
    InputError : the bundle or the tree cannot be used, or the output folder belongs to load and train.
    """
    started = time.perf_counter()
    bundle.check_owner(options.output_dir, options.trust)
    content = _read_bundle(options)
    output, key = options.output_dir, content["key"]
    if options.fail_on_findings and not content["calibration"].get("own_limit"):
        raise InputError(f"--fail-on-findings: only the model excess looks for findings, {options.bundle} is of {key}")
    if Layout(output).marker("load").exists():
        raise InputError(f"--output-dir {output}: a load is in it; choose another folder for the scores")
    digest = fingerprint([content["fingerprint"], options.bundle.stem])
    work = Layout(Layout(output).internal / "score" / digest)
    predictions, runs = output / f"{options.bundle.stem}_predictions.parquet", output / f"{key}_runs.parquet"
    with using(session, options) as own:
        loading = _load_options(options, content, work.root)
        tree = find_tree(options.root, loading)
        names = frozenset(run.name for run in tree.runs)
        fitting = _fitting_session(options, own, len(names))
        text = _text_key(content)
        templates = Templates.from_plain(content["templates"])
        known = Translation.from_plain(content.get("formats", {}))
        try:
            read_tree(loading, lambda _: text, fitting, templates.line_format, known, tree)
        except InputError:
            _remove_unbegun(work)
            raise
        statements = Statements.from_plain(content["statements"]) if "statements" in content else Statements()
        enhance_with(work, text, templates, statements, fitting)
        mark = Key(load_fingerprint(work), content["fingerprint"])
        stage = Stage(Layout(output), SCORE).part(digest)
        inner = Key(content["fingerprint"], "")
        current = stage.is_current(mark) and Stage(work, SCORE).is_current(inner)
        if not current:
            stage.invalidate()
            write_splits(work, {SIDE: Split("run", runs=names)})
            _score(options, content, work, (predictions, runs), fitting)
            tables = (predictions, runs, Layout(output).rejects, *Layout(output).answers())
            stage.commit(mark, [path for folder in tables for path in part_paths(folder)], {})
    summary = _summary(options, work, key, (predictions, runs), current, time.perf_counter() - started)
    return replace(summary, runs=len(names))


def _remove_unbegun(work: Layout) -> None:
    """Remove the working folder of a tree of which no batch was read: there is nothing to resume."""
    if not work.record("load", 0).parent.is_dir():
        remove_tree(work.root)
        for folder in (work.root.parent, work.root.parent.parent) if is_local(work.root) else ():
            with contextlib.suppress(OSError):  # other bundles have scored into it
                folder.rmdir()


def _read_bundle(options: ScoreOptions) -> dict[str, Any]:
    content = bundle.load(options.bundle, options.trust)
    missing = [name for name in _NEEDED if name not in content]
    if missing:
        raise InputError(f"--bundle {options.bundle}: it has no {', '.join(missing)}; fit it again with lo2dask train")
    reasons = unfitted_reasons(content)
    if len(reasons) == (len(content["model"]) if content["per_service"] else 1):
        raise InputError(f"--bundle {options.bundle}: it has no model: {'; '.join(sorted(set(reasons.values())))}")
    return content


def _fitting_session(options: ScoreOptions, session: Session, runs: int) -> Session:
    """Score a single run in this process: a cluster would take longer to start than the work does."""
    if session.is_serial or runs > 1 or options.cluster != "local":
        return session
    return session.here()


def _load_options(options: ScoreOptions, content: Mapping[str, Any], work: Path) -> LoadOptions:
    """Return the options of load that the model was trained with; all runs and test cases are read."""
    trained = {name: tuple(v) if isinstance(v, list) else v for name, v in content["load"].items()}
    everything = {"runs": 0, "errors_per_run": -1, "single_error_type": "", "allow_duplicates": True}
    everything |= {"labels": None, "runs_matching": (), "test_cases": (), "exclude_test_cases": ()}
    own = {"root": options.root, "output_dir": work, "save_events": False, "partition_size": options.partition_size}
    own |= {"enhance": False}  # done here, with the model's own templates
    known = {name: value for name, value in trained.items() if name in LoadOptions.__dataclass_fields__}
    return options.derive(LoadOptions, **(known | everything | own))


def _text_key(content: Mapping[str, Any]) -> EnhanceKey:
    masks = tuple(Mask(name, pattern, to, "") for name, pattern, to in content["masks"])
    reads_raw = content["spec"]["representation"] in schema.RAW
    kinds = schema.TokenKinds(masked=not content["raw_tokens"], raw=content["raw_tokens"] or reads_raw)
    window_ms = content.get("window_ms", 0)
    return EnhanceKey(masks, kinds, token_lists=False, keep_normalized=False, max_features=1, window_ms=window_ms)


def _score(
    options: ScoreOptions, content: Mapping[str, Any], work: Layout, targets: tuple[Path, Path], session: Session
) -> None:
    """Score all parts and write predictions and run scores."""
    predictions, runs = targets
    key = content["key"]
    # What a stopped scoring left may be of other groups of parts: runs may have come or gone since.
    remove_tree(working_folder(work))
    # Nothing is learned from any of the runs; the copy of the bundle has a hash of its own.
    target = Target(key, work.models / f"{key}.joblib", SIDE, options.predict_batch_size)
    bundle.save(target.path, content, overwrite=True)
    score_all(work, [target], session)
    write_predictions(work, [target], session)
    known = frozenset({*content["test_cases"], CORRECT, *ERROR_CASES})
    names = [path.name for path in part_paths(work.enhanced)]
    session.map(export_part, names, "predictions", root=work.root, key=key, target=predictions, known=known)
    prune_parts(predictions, names)
    _write_runs(work, content, runs, known)
    if content["calibration"].get("own_limit"):
        _find(options, content, work, target, session)
    _copy_rejects(work, Layout(options.output_dir).rejects)
    remove_tree(working_folder(work))
    files = [work.split, target.path, bundle.hash_path(target.path), *part_paths(work.predictions / key)]
    Stage(work, SCORE).commit(Key(content["fingerprint"], ""), files, {})


def _find(options: ScoreOptions, content: Mapping[str, Any], work: Layout, target: Target, session: Session) -> None:
    """Write what stands out among the new runs, judged by the normals that the bundle remembers."""
    job = WindowJob(work.root, working_folder(work) / "windows", content.get("window_ms", 0), None, options.output_dir)
    answers = find_answers(work, target, content["calibration"], session)
    judge_windows(job, answers, session, content.get("windows"))
    write_findings(job, answers, _text_key(content).masks, session)


def export_part(name: str, root: Path, key: str, target: Path, known: frozenset[str]) -> int:
    """Write one part of the predictions; a sequence that no model is for has no score, label or rank."""
    part = read_part(Layout(root).predictions / key / name, [*schema.KEYS, "pred_ano", "score", "rank"])
    fields = [*schema.KEY_FIELDS, pa.field("pred_ano", pa.int8())]
    fields += [pa.field(f"score_{key}", pa.float64()), pa.field(f"rank_{key}", pa.int64())]
    table = part.rename_columns([field.name for field in fields])
    return write_part(target / name, _without_labels(table, known), pa.schema(fields))


def _without_labels(table: pa.Table, known: frozenset[str]) -> pa.Table:
    """Take the labels from rows whose folder is no test case that anyone knows: their labels are unknown."""
    labelled = pc.is_in(table["test_case"].cast(pa.string()), pa.array(sorted(known), pa.string()))
    for column in ("normal", "anomaly"):
        index = table.schema.get_field_index(column)
        table = table.set_column(index, column, pc.if_else(labelled, table[column], pa.scalar(None, pa.bool_())))
    return table


def _write_runs(work: Layout, content: Mapping[str, Any], target: Path, known: frozenset[str]) -> None:
    calibration = content["calibration"]
    read = read_calibrating if calibration.get("own_limit") else read_scores
    table = run_rows(SequenceKeys.read(work), read(work, content["key"]))
    answers = name_services(table, calibration["threshold"]) if calibration.get("own_limit") else {}
    runs = _without_labels(run_scores(table, calibration, answers), known)
    write_part(target / "part-000000.parquet", runs, RUNS)


def _copy_rejects(work: Layout, target: Path) -> None:
    paths = part_paths(work.rejects)
    for path in paths:
        copy_file(path, target / path.name)
    prune_parts(target, [path.name for path in paths])


def _summary(
    options: ScoreOptions, work: Layout, key: str, targets: Sequence[Path], current: bool, seconds: float
) -> ScoreSummary:
    flagged = unscored = 0
    for path in part_paths(targets[0]):
        labels = read_part(path, ["pred_ano"])["pred_ano"]
        flagged += pc.sum(labels).as_py() or 0
        unscored += labels.null_count
    if unscored:
        logger.warning("%d sequences are of services that %s has no model for", unscored, options.bundle)
    return ScoreSummary(
        options.output_dir, key, 0, count_rows(targets[0]), flagged, unscored,
        count_rows(work.rejects), targets[0], targets[1], current, seconds,
    )  # fmt: skip
