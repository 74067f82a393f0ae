"""Dask's settings for this kind of work; what the user has configured for Dask goes before them."""

from typing import Any

import dask

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


def apply_settings() -> None:
    """Set them for this process and the workers that it starts."""
    dask.config.set(wanted_settings())


def wanted_settings() -> dict[str, Any]:
    """Return those settings that neither a file nor the environment of the user's Dask decides."""
    own = dask.config.collect()
    return {name: value for name, value in SETTINGS.items() if dask.config.get(name, None, config=own) is None}


def settings_environ() -> dict[str, str]:
    """Return the environment that hands the settings to processes started elsewhere.

    It holds these settings alone: a user's whole configuration may name things that no command line should show.
    """
    nested: dict[str, Any] = {}
    dask.config.set(wanted_settings(), config=nested)
    return {"DASK_INTERNAL_INHERIT_CONFIG": dask.config.serialize(nested)}
