"""The published layouts: where a run and its files lie, and what each part of a run consists of."""

from collections.abc import Iterator
from typing import Final

from lo2dask.domain import CORRECT
from lo2dask.options import SynthOptions
from lo2dask.synthesis import metrics, sidecars
from lo2dask.synthesis.forms import in_form
from lo2dask.synthesis.service_log import LogSpec, service_log
from lo2dask.synthesis.timeline import CasePlan, RunPlan, services_of

RUN_METRICS: Final = "metrics"
"""The part of a run that is no test case: metrics of the whole run, in the layouts that keep them so."""

_CORRECT_BYTES = 20_000_000
"""Bytes of all logs of the test case correct at scale 1 in v1."""


def run_folder(options: SynthOptions) -> str:
    """Return the folder that holds the runs, relative to the root."""
    return "logs" if options.layout == "sample" else "."


def run_entry(options: SynthOptions, run: RunPlan) -> str:
    """Return where a run lies, relative to the root: a folder, or a tar."""
    name = run.name + (".tar" if options.tar else "")
    return f"logs/{name}" if options.layout == "sample" else name


def parts(options: SynthOptions, run: RunPlan) -> tuple[str, ...]:
    """Return the parts of a run that can be written apart: its test cases, and metrics of the whole run."""
    whole = (RUN_METRICS,) if options.with_metrics and options.layout == "guide" else ()
    return (*(case.name for case in run.cases), *whole)


def expected_bytes(options: SynthOptions, runs: list[RunPlan]) -> float:
    """Estimate the bytes of the largest test case of the runs."""
    largest = max((case.seconds / 60 for run in runs for case in run.cases), default=0.0)
    count = sum(len(run.cases) for run in runs) if options.tar else 1
    return count * options.scale * largest * (_CORRECT_BYTES if options.layout == "v2" else _CORRECT_BYTES / 2)


def files_of(options: SynthOptions, run: RunPlan, part: str) -> Iterator[tuple[str, bytes]]:
    """Yield path inside the run and content of each file of a part."""
    if part == RUN_METRICS:
        yield from _run_metrics(options, run)
        return
    case = next(case for case in run.cases if case.name == part)
    for service in services_of(options):
        content = service_log(_spec(options, run, case, service))
        yield f"{part}/{_log_name(options, service)}", in_form(content, options.format, int(case.start + case.seconds))
    yield f"{part}/locust.log", sidecars.locust_log(case)
    yield f"{part}/light-oauth2-mysqldb-1.log", sidecars.database_log(options.seed, run, case)
    yield f"{part}/jaeger-container.log", sidecars.tracing_log(case)
    if options.with_metrics and options.layout in {"v1", "v2"}:
        for name, content in metrics.metric_files(options, run, case):
            yield f"{part}/metrics/{name}", content


def _run_metrics(options: SynthOptions, run: RunPlan) -> Iterator[tuple[str, bytes]]:
    whole = CasePlan(CORRECT, run.start, run.end - run.start, False)
    for name, content in metrics.metric_files(options, run, whole):
        yield f"metrics/{name}", content


def _log_name(options: SynthOptions, service: str) -> str:
    return f"oauth2-oauth2-{service}.log" if options.layout == "guide" else f"light-oauth2-oauth2-{service}-1.log"


def _spec(options: SynthOptions, run: RunPlan, case: CasePlan, service: str) -> LogSpec:
    return LogSpec(
        options.seed, run.name, case.name, service, options.scale,
        case.start, case.seconds, case.is_first, is_steady=options.layout == "v2",
    )  # fmt: skip
