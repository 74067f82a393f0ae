"""What this machine, or the container that this process runs in, has to give: cores and free memory."""

import sys
from pathlib import Path

import psutil
from dask.system import cpu_count
from distributed.system import memory_limit

# Where a container sees its own use of memory: cgroup v2, then v1.
USAGE_FILES = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")


def cores() -> int:
    """Count the cores that this process may use: affinity and a container's CPU quota are respected."""
    return max(1, cpu_count())


def free_memory() -> int:
    """Return the memory that can still be taken, in bytes: of the machine, or of the container where that is less."""
    machine = psutil.virtual_memory()
    limit = memory_limit()
    if limit >= machine.total:
        return int(machine.available)
    return max(0, min(int(machine.available), limit - _used_by_container()))


def _used_by_container() -> int:
    """Read what the container's processes hold already; 0 where nothing says it (macOS has no such files)."""
    if sys.platform != "linux":
        return 0
    for name in USAGE_FILES:
        try:
            return int(Path(name).read_text())
        except (OSError, ValueError):
            continue
    return 0
