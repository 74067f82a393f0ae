"""``load --dry-run``: what a load would read, and what it will need, without writing anything to the output folder."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lo2dask.execute.session import Session, using
from lo2dask.ingest.plan import make_plan
from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions
from lo2dask.parse.chunks import BLOCK_BYTES
from lo2dask.sizing.spill import load_spill_bytes
from lo2dask.tables.layout import Layout

# Measured by benchmarks/load.py on trees of the published file sizes, rounded up: memory of the client with its
# scheduler, of a worker before any work, and per byte of the block a worker holds; bytes written per raw byte.
CLIENT_BYTES = 300_000_000
WORKER_BYTES = 170_000_000
PER_BLOCK_BYTE = 4.0
EVENTS_SHARE = 0.13
SEQUENCES_SHARE = 0.012
KEPT_SHARE = 0.01


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
    workers = min(local_size(options)[0], len(plan.batches))
    block = min(parse_bytes(options.partition_size, "--partition-size"), BLOCK_BYTES, plan.bytes)
    worker = int(WORKER_BYTES + PER_BLOCK_BYTE * block)
    share = KEPT_SHARE + EVENTS_SHARE * options.save_events + SEQUENCES_SHARE * options.enhance
    largest = max(batch.bytes for batch in plan.batches)
    spill = load_spill_bytes(options, plan.bytes)
    # What the text pass has counted lies next to the tables until it is spilled.
    return DryRun(
        len(plan.runs), len(plan.cases), plan.files, plan.bytes, len(plan.batches), largest,
        workers, worker, CLIENT_BYTES + workers * worker, int(plan.bytes * share) + spill, spill, plan.ignored,
    )  # fmt: skip
