"""Dask's settings for this kind of work; what the user has configured for Dask takes precedence."""

import contextlib
import copy
import logging
import operator
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import dask
from dask.utils import parse_timedelta

logger = logging.getLogger(__name__)

SETTINGS: dict[str, Any] = {
    # Dask's own MALLOC_TRIM_THRESHOLD_ makes glibc map every large array again: 15 to 30 % of the time in page faults.
    # Tasks run in a thread, whose own arena glibc grows and gives back in pieces: with the main one alone they run as
    # fast as in a process of their own, a sixth faster.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
        "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
        "MALLOC_ARENA_MAX": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    },
    "distributed.worker.memory.target": 0.7,
    "distributed.worker.memory.spill": 0.8,
    "distributed.worker.memory.pause": 0.9,
    "distributed.worker.memory.terminate": 0.97,
    # Looking after themselves at Dask's usual pace, scheduler and workers take a twentieth of two cores.
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.profile.cycle": "5s",
    "distributed.admin.system-monitor.interval": "1s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.comm.timeouts.connect": "60s",
    # A cut of half a minute goes unnoticed; a peer that is gone for good is given up after two.
    "distributed.comm.timeouts.tcp": "120s",
    # A frozen worker's work goes to others after three to six minutes; a task that holds the GIL so long has not been
    # seen, and would be taken for one.
    "distributed.scheduler.worker-ttl": "180s",
    # Tasks leave their results on disk and a small summary: a batch may be tried again on another worker.
    "distributed.scheduler.allowed-failures": 5,
    # Arrow tables go through tasks as they are.
    "dataframe.convert-string": False,
}


# Without a dashboard the http servers report their health alone: the other pages show tasks, call stacks and logs to
# whoever reaches the port, on the loopback every user of the machine.
QUIET_PAGES: dict[str, Any] = {
    "distributed.scheduler.http.routes": ["distributed.http.health"],
    "distributed.worker.http.routes": ["distributed.http.health"],
}
# Settings of the user's that are kept, but known to hurt: the test of the value, and what it does.
_HARMFUL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dataframe.convert-string": (bool, "text columns are converted, which takes time and memory"),
    "distributed.worker.memory.pause": (operator.not_, "workers go on reading when their memory is full"),
    "distributed.worker.memory.terminate": (operator.not_, "a worker may use up the machine's memory"),
    "distributed.worker.multiprocessing-method": (
        lambda method: method != "spawn", "a forked worker may wait for a lock for ever"
    ),
    "distributed.scheduler.allowed-failures": (
        lambda number: int(number) < 1, "the first worker that is lost ends the command"
    ),
    "distributed.scheduler.worker-ttl": (
        lambda time: bool(time) and parse_timedelta(time) < 60, "a busy worker may be taken for dead"
    ),
}  # fmt: skip


@contextlib.contextmanager
def applied_settings(dashboard: bool) -> Iterator[None]:
    """Set them for this process and the workers that it starts; all is as before when the block ends."""
    settings = wanted_settings({} if dashboard else QUIET_PAGES)
    for name, (is_harmful, effect) in _HARMFUL.items():
        if name not in settings and is_harmful(value := dask.config.get(name, None)):
            logger.warning("your Dask configuration sets %s to %s: %s", name, value, effect)
    with dask.config.set(settings):
        yield


def wanted_settings(more: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return those settings that the user has not decided: in a file, in the environment or by ``dask.config.set``."""
    own, defaults = dask.config.collect(), dask.config.merge(*dask.config.defaults)
    # A scheduler without bokeh adds a page to the list of routes that it was given.
    return {
        name: copy.deepcopy(value)
        for name, value in (SETTINGS | dict(more)).items()
        if dask.config.get(name, None, config=own) is None
        and dask.config.get(name, None) in (dask.config.get(name, None, config=defaults), value)
    }


def has_pages() -> bool:
    """Return whether the http servers of this process show more than their health."""
    name = "distributed.scheduler.http.routes"
    return bool(dask.config.get(name, None) != QUIET_PAGES[name])


def settings_environ() -> dict[str, str]:
    """Return the environment that hands the settings to processes started elsewhere.

    It holds these settings alone: a user's whole configuration may name things that no command line should show.
    """
    nested: dict[str, Any] = {}
    dask.config.set(wanted_settings(QUIET_PAGES), config=nested)
    return {"DASK_INTERNAL_INHERIT_CONFIG": dask.config.serialize(nested)}
