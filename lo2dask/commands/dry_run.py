"""``load --dry-run``: what a load would read, and what it will need, without writing anything to the output folder."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lo2dask.execute.session import Session, using
from lo2dask.ingest.plan import make_plan
from lo2dask.options import LoadOptions
from lo2dask.sizing.needs import load_needs
from lo2dask.tables.layout import Layout


@dataclass(frozen=True)
class DryRun:
    """A load's plan in numbers: what is read, what the fullest worker and all processes will hold, what is written."""

    runs: int
    test_cases: int
    files: int
    bytes: int
    batches: int
    largest_batch: int
    workers: int
    worker_memory: int
    memory: int
    disk: int
    spill: int
    ignored: dict[str, int]


def dry_run(options: LoadOptions, session: Session | None = None) -> DryRun:
    """Plan a load and project its needs.

    Raises
    ------
    InputError : the root or the selection cannot be used.
    """
    from lo2dask.execute.cluster import local_size

    with using(session, options) as own, tempfile.TemporaryDirectory(prefix="lo2dask-plan-") as folder:
        plan = make_plan(options.root, options, Layout(Path(folder)), own)
    needs = load_needs(options, plan.bytes, plan.files, local_size(options)[0])
    return DryRun(
        len(plan.runs), len(plan.cases), plan.files, plan.bytes, len(plan.batches),
        max(batch.bytes for batch in plan.batches), needs.workers, needs.load_worker_memory, needs.load_memory,
        needs.load_output, needs.spill, plan.ignored,
    )  # fmt: skip
