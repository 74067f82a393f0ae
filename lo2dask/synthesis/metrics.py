"""Prometheus exports of a test case: one JSON file a metric, or one wide table a run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lo2dask.domain import SERVICES
from lo2dask.options import SynthOptions
from lo2dask.synthesis.spans import trace_files
from lo2dask.synthesis.streams import stream
from lo2dask.synthesis.timeline import CasePlan, RunPlan

TABLE_ROWS, TABLE_COLUMNS = 172, 1127
"""Shape of the published sample's table of a run."""

STEP_S: Final = {"v1": 5, "v2": 1, "guide": 5, "sample": 5}
"""Seconds between samples, by layout."""

SPECIAL_SHARE: Final = 0.02
"""Share of the samples of a metric with special values that are not finite."""


@dataclass(frozen=True)
class Metric:
    """One metric: where its series come from, how they move, and their size."""

    name: str
    family: str
    size: float
    is_counter: bool = False
    has_special: bool = False
    """Whether NaN and infinities occur in it."""


METRICS: Final = (
    Metric("container_cpu_usage_seconds_total", "cadvisor", 63.0, is_counter=True),
    Metric("container_memory_usage_bytes", "cadvisor", 1.2e9),
    Metric("container_network_receive_bytes_total", "cadvisor", 1.9e7, is_counter=True),
    Metric("container_fs_writes_total", "cadvisor", 2.1e4, is_counter=True),
    Metric("go_goroutines", "exporters", 9),
    Metric("go_info", "exporters", 1),
    Metric("go_memstats_heap_alloc_bytes", "exporters", 2.7e6),
    Metric("process_resident_memory_bytes", "exporters", 2.1e7),
    Metric("prometheus_rule_evaluation_duration_seconds", "exporters", 0.004, has_special=True),
    Metric("prometheus_target_interval_length_seconds", "exporters", 5.0, has_special=True),
    Metric("node_context_switches_total", "node", 2.0e10, is_counter=True),
    Metric("node_cpu_seconds_total", "cpu", 1.3e6, is_counter=True),
    Metric("node_disk_io_now", "disk", 1),
    Metric("node_disk_written_bytes_total", "disk", 1.9e12, is_counter=True),
    Metric("node_load1", "node", 11.13),
    Metric("node_load5", "node", 6.38),
    Metric("node_memory_Active_bytes", "node", 2.9e10),
    Metric("node_memory_Dirty_bytes", "node", 5.2e7),
    Metric("node_memory_MemAvailable_bytes", "node", 3.6e10),
    Metric("node_network_receive_bytes_total", "network", 1.4e5, is_counter=True),
    Metric("node_procs_running", "node", 3),
    Metric("node_sockstat_TCP_inuse", "node", 12),
)
"""A choice of the 485 metrics of the data set, of every shape and size among them."""

_PAIR = '            [\n                {},\n                "{}"\n            ]'
_NODE = {"group": "production", "instance": "node_exporter:9100", "job": "node"}
_MODES = ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")


def _containers() -> list[dict[str, str]]:
    names = [f"light-oauth2-oauth2-{service}-1" for service in SERVICES]
    project = "container_label_com_docker_compose_project"
    return [
        {
            project: "light-oauth2",
            f"{project}_working_dir": "light-oauth2",
            "container_label_com_docker_compose_depends_on": "mysqldb:service_started:false",
            "id": f"/system.slice/docker-{number:064x}.scope",
            "instance": "cadvisor:8080",
            "job": "cadvisor",
            "name": name,
        }
        for number, name in enumerate([*names, "light-oauth2-mysqldb-1", "jaeger-container"], 1)
    ]


def _families() -> dict[str, list[dict[str, str]]]:
    return {
        "cadvisor": _containers(),
        "exporters": [_NODE, {"group": "monitoring", "instance": "localhost:9090", "job": "prometheus"}],
        "node": [_NODE],
        "cpu": [{**_NODE, "cpu": str(cpu), "mode": mode} for cpu in range(16) for mode in _MODES],
        "disk": [{**_NODE, "device": device} for device in ("sda", "sr0")],
        "network": [{**_NODE, "device": device} for device in ("eth0", "lo")],
    }


def metric_files(options: SynthOptions, run: RunPlan, case: CasePlan) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file in a metrics folder."""
    times = list(range(case.start, case.start + case.seconds + 1, STEP_S[options.layout]))
    families = _families()
    for metric in METRICS:
        rng = stream(options.seed, run.name, case.name, metric.name)
        yield f"metric_{metric.name}.json", _range_query(metric, families[metric.family], times, rng)
    yield from trace_files(options.seed, run, case)
    fetched = datetime.fromtimestamp(case.start + case.seconds, UTC)
    yield "last_fetch_time.txt", fetched.isoformat().encode()


def _range_query(metric: Metric, labels: list[dict[str, str]], times: list[int], rng: np.random.Generator) -> bytes:
    """Return a range query's answer, indented as the collection script writes it."""
    series: list[str] = []
    for values in _values(metric, len(labels), len(times), rng):
        head = json.dumps({"__name__": metric.name, **labels[len(series)]}, indent=4).replace("\n", "\n        ")
        pairs = ",\n".join(map(_PAIR.format, times, values))
        series.append(f'    {{\n        "metric": {head},\n        "values": [\n{pairs}\n        ]\n    }}')
    return ("[\n" + ",\n".join(series) + "\n]").encode()


def _values(metric: Metric, n_series: int, n_times: int, rng: np.random.Generator) -> Iterator[list[str]]:
    steps = rng.standard_exponential((n_series, n_times)) * 1e-5 if metric.is_counter else None
    moves = np.cumsum(rng.normal(0.0, 0.01, (n_series, n_times)) if steps is None else steps, axis=1)
    for row in metric.size * rng.lognormal(0.0, 0.5, (n_series, 1)) * (1.0 + moves):
        texts = _texts(row, metric.size)
        if metric.has_special:
            for position in np.flatnonzero(rng.random(n_times) < SPECIAL_SHARE).tolist() or [0]:
                texts[position] = ("NaN", "+Inf", "-Inf")[int(rng.integers(0, 3))]
        yield texts


def _texts(values: NDArray[np.float64], size: float) -> list[str]:
    if size >= 1000:
        return [str(value) for value in values.astype(np.int64).tolist()]
    return [f"{value:.6g}" for value in values.tolist()]


def wide_table(options: SynthOptions, run: RunPlan) -> bytes:
    """Return the metrics of a run as the published sample keeps them: a row per moment, a column per series."""
    rng = stream(options.seed, run.name, "table")
    families = _families()
    wanted = TABLE_COLUMNS - 2
    series = [(metric, number) for metric in METRICS for number in range(len(families[metric.family]))]
    # The published table has more metrics than synth knows: the same ones come again, under further numbers.
    columns = [
        (metric, number + 1000 * turn) for turn in range(wanted // len(series) + 1) for metric, number in series
    ][:wanted]
    names = [f"{metric.name}_{number}" for metric, number in columns]
    sizes = np.array([metric.size for metric, _ in columns])
    moments = np.linspace(run.start, run.end - 1, TABLE_ROWS).astype(np.int64).tolist()
    table = sizes * (1.0 + np.cumsum(rng.normal(0.0, 0.01, (TABLE_ROWS, wanted)), axis=0))
    lines = [",".join(["timestamp", "test_name", *names])]
    for moment, row in zip(moments, table.tolist(), strict=True):
        lines.append(",".join([str(moment), _case_at(run, moment), *(f"{value:.6g}" for value in row)]))
    return ("\n".join(lines) + "\n").encode()


def _case_at(run: RunPlan, moment: int) -> str:
    """Return the test case that runs at a moment, or ran last before it."""
    return [case.name for case in run.cases if case.start <= moment][-1]
