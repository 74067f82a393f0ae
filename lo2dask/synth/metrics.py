"""Prometheus and Jaeger exports of a test case."""

from collections.abc import Iterator
from lo2dask.options import SynthOptions
from lo2dask.synth.timeline import CasePlan, RunPlan

def metric_files(options: SynthOptions, run: RunPlan, case: CasePlan) -> Iterator[tuple[str, bytes]]:
    yield from ()

def wide_table(options: SynthOptions, run: RunPlan) -> bytes:
    return b""
