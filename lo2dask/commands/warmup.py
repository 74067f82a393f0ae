"""Compiles every kernel ahead of the first work, as for the image of a container."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lo2dask.buffers.compiled import kernel_folder
from lo2dask.commands.run import run
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.models.registry import EXCESS
from lo2dask.options import RunOptions, SynthOptions, WarmupOptions
from lo2dask.options.common import TOKEN_KINDS


@dataclass(frozen=True)
class WarmupSummary:
    """Where the compiled kernels are, and how long it took."""

    folder: Path
    seconds: float


def warmup(options: WarmupOptions) -> WarmupSummary:
    """Run the whole chain over a few made-up logs in this process, in every way of counting.

    Raises
    ------
    InputError : compiled kernels cannot be kept anywhere.
    """
    from lo2dask.synthesis import write_tree

    folder = kernel_folder()
    if folder is None:
        raise InputError("compiled kernels cannot be kept: set NUMBA_CACHE_DIR to a folder that can be written")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        write_tree(SynthOptions(out=tree, runs=3, errors_per_run=1, scale=0.002, with_metrics=True, jobs=1))
        for tokens in TOKEN_KINDS:
            output = Path(scratch) / tokens
            chain = RunOptions(
                root=tree, output_dir=output, tokens=tokens, load_metrics=True, models=(EXCESS,), save_events=True
            )
            run(chain, Session.serial(chain))
    return WarmupSummary(folder, time.perf_counter() - started)
