"""Load, train, explain and report in one go, on one cluster."""

import time
from dataclasses import dataclass

from lo2dask.commands.explain import ExplainSummary, explain
from lo2dask.commands.load import LoadSummary, load
from lo2dask.commands.report import ReportSummary, write_report
from lo2dask.execute.session import Session, using
from lo2dask.options import ExplainOptions, LoadOptions, RunOptions, TrainOptions
from lo2dask.schema import TokenKinds
from lo2dask.training.specs import check_specs, choose_specs
from lo2dask.training.train import TrainSummary, train_models


@dataclass(frozen=True)
class RunSummary:
    """What the stages did; ``explain`` is None under ``--phase enhancers``, which leaves nothing to explain."""

    load: LoadSummary
    train: TrainSummary
    explain: ExplainSummary | None
    report: ReportSummary
    seconds: float


def run(options: RunOptions, session: Session | None = None) -> RunSummary:
    """Take a raw tree to explanations and the report; each stage resumes where an earlier run stopped.

    Raises
    ------
    InputError : the root or an option cannot be used.
    IntegrityError : rows went missing between two stages.
    """
    started = time.perf_counter()
    training = train_options(options)
    check_specs(training, choose_specs(training), TokenKinds.of(options.tokens).both)
    with using(session, options) as own:
        own.stage = "1/4 load"
        loaded = load(options.derive(LoadOptions), own)
        own.stage = "2/4 train"
        trained = train_models(training, own)
        own.stage = "3/4 explain"
        explained = None if options.phase == "enhancers" else explain(explain_options(options), own)
        own.stage = "4/4 report"
        reported = write_report(options.output_dir)
    return RunSummary(loaded, trained, explained, reported, time.perf_counter() - started)


def train_options(options: RunOptions) -> TrainOptions:
    """Return the options of train; the forest's bundle goes to ROOT/models, and is run's own to replace there."""
    changes: dict[str, object] = {"root": options.output_dir, "dump_metadata": True}
    if options.save_model is None and not options.skip_if:
        changes |= {"save_model": options.output_dir / "models" / "lo2_if.joblib", "overwrite_model": True}
    return options.derive(TrainOptions, **changes)


def explain_options(options: RunOptions) -> ExplainOptions:
    """Return the options of explain: all of run's that it has, over the tables that load wrote."""
    return options.derive(ExplainOptions, root=options.output_dir)
