"""``lo2dask plan``: what a size would need, from stored rates, an earlier run, or a quick run on made-up logs."""

import contextlib
import logging
import tempfile
from pathlib import Path

from lo2dask.commands.explain import explain
from lo2dask.commands.load import load
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.memory import format_bytes, parse_bytes
from lo2dask.options import ExplainOptions, LoadOptions, PlanOptions, SynthOptions, TrainOptions
from lo2dask.sizing.forecast import STORED, Forecast, Rates, Wanted, forecast, measured
from lo2dask.sizing.timings import batch_seconds, read_timings, tree_bytes
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import read_load
from lo2dask.tables.parts import count_rows
from lo2dask.tables.state import check_exists
from lo2dask.training.train import train_models

logger = logging.getLogger(__name__)

# Raw logs that a calibration makes and runs through all stages: large enough for several batches on each worker.
CALIBRATION_RUNS, CALIBRATION_BATCH = 6, "8MB"
# What takes so many times what was measured is forecast roughly.
_FAR = 1_000


def plan(options: PlanOptions, session: Session | None = None) -> Forecast:
    """Forecast what a size needs.

    Raises
    ------
    InputError : a size cannot be read, or the earlier run has no load in it.
    """
    workers = options.workers or STORED.workers
    wanted = Wanted(
        bytes=parse_bytes(options.bytes, "--bytes"),
        workers=workers,
        batch=parse_bytes(options.partition_size, "--partition-size"),
        budget=parse_bytes(options.memory_budget, "--memory-budget"),
        save_events=options.save_events,
    )
    return forecast(rates_for(options, session), wanted)


def rates_for(options: PlanOptions, session: Session | None = None) -> Rates:
    """Choose the rates that a plan rests on.

    Raises
    ------
    InputError : the earlier run has no load in it, or both an earlier run and a calibration are asked for.
    """
    if options.from_ and options.calibrate:
        raise InputError("--calibrate measures this machine, --from an earlier run: give one of them")
    if options.from_:
        rates, measured = rates_of(options.from_), batch_seconds(Layout(options.from_))[1]
        if parse_bytes(options.bytes, "--bytes") > _FAR * measured:
            logger.warning("--from %s: measured on %s, too little for a forecast of %s: it is rough", options.from_,
                           format_bytes(measured), options.bytes)  # fmt: skip
        return rates
    return calibrated(session) if options.calibrate else STORED


def rates_of(root: Path) -> Rates:
    """Take the rates of an earlier run from what it left in its output folder.

    Raises
    ------
    InputError : no load came to its end there.
    """
    layout = Layout(root)
    check_exists(layout)
    marker = read_load(layout)
    batches = batch_seconds(layout)
    if not marker or not marker["done"] or not batches[1]:
        raise InputError(f"--from {root}: no finished load in it; give the output folder of an earlier run")
    timings, sequences = read_timings(layout), count_rows(layout.sequences)
    done = [stage for stage in ("load", "enhance", "train", "explain") if stage in timings]
    source = f"{root}: {format_bytes(batches[1])}, {sequences:,} sequences ({', '.join(done) or 'load alone'})"
    return measured(source, timings, batches, _disk(layout), sequences)


def calibrated(session: Session | None = None) -> Rates:
    """Measure this machine: some 190 MB of made-up logs go through all stages in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="lo2dask-plan-") as folder:
        tree, out = Path(folder) / "tree", Path(folder) / "out"
        write_tree(SynthOptions(out=tree, runs=CALIBRATION_RUNS, errors_per_run=4, scale=1.0))
        # It is measured from nothing, as a command begins: every stage with workers that have just started.
        with (
            Session(LoadOptions(root=tree), serial=False) if session is None else contextlib.nullcontext(session) as own
        ):
            load(LoadOptions(root=tree, output_dir=out, save_events=True, partition_size=CALIBRATION_BATCH), own)
            train_models(TrainOptions(root=out), own)
            explain(ExplainOptions(root=out), own)
        rates = rates_of(out)
    return Rates(**{**vars(rates), "source": f"this machine, measured on {rates.source.partition(': ')[2]}"})


def _disk(layout: Layout) -> dict[str, int]:
    """Add up what lies on disk: events, what else grows with the raw bytes, and what grows with the sequences."""
    events = tree_bytes(layout.events)
    by_bytes = [layout.text, layout.enhanced, layout.templates, layout.statements, layout.vocabulary]
    tables = sum(tree_bytes(folder) for folder in by_bytes)
    every = tree_bytes(layout.root)
    return {"events": events, "tables": tables, "sequence": every - events - tables}
