"""Where tasks spill what other tasks read, and whether there is room for it.

Local to the machine where all workers are its processes: in the scratch folder, which goes with the cluster. Workers on
several machines share the output folder alone, so there the spill goes below ``_lo2dask``; it does so too
where the scratch folder lies in memory (tmpfs), which a spill is there to save.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lo2dask.compat import local_directory
from lo2dask.errors import InputError
from lo2dask.execute.clusterfile import is_loopback
from lo2dask.execute.probe import file_system
from lo2dask.execute.session import Session
from lo2dask.memory import format_bytes
from lo2dask.storage import free_bytes, remove_tree
from lo2dask.storage.scratch import scratch_folder

_IN_MEMORY = ("tmpfs", "ramfs")


@contextlib.contextmanager
def spill_folder(session: Session, shared: Path, need: int) -> Iterator[Path]:
    """Return an empty folder that all workers reach, with room for ``need`` bytes; it is gone when the block ends.

    ``shared`` is a folder below the output folder. What an earlier run left there is removed in any case.

    Raises
    ------
    InputError : the room is not there.
    """
    remove_tree(shared)
    check_room(session, shared, need)
    with contextlib.ExitStack() as stack:
        scratch = _scratch(session)
        if scratch and session.is_serial:
            scratch = stack.enter_context(scratch_folder(scratch))
        folder = scratch / shared.name if scratch else shared
        stack.callback(remove_tree, folder)
        yield folder


def check_room(session: Session, shared: Path, need: int) -> None:
    """Check that a spill of ``need`` bytes has room where it will go.

    Raises
    ------
    InputError : it has not; names the folder and the way out.
    """
    scratch = _scratch(session)
    free = free_bytes(scratch or shared)
    if free is None or free >= need:
        return
    remedy = "name a larger folder with TMPDIR, or as scratch in a cluster file" if scratch else "make room there"
    raise InputError(
        f"{scratch or shared}: {format_bytes(free)} free, but counting the tokens takes about {format_bytes(need)} "
        f"of scratch there; {remedy}, or give load a larger --partition-size"
    )


def _scratch(session: Session) -> Path | None:
    """Return the scratch folder that all workers reach; None where there is none."""
    if session.is_serial:
        scratch: Path | None = Path(tempfile.gettempdir())
    else:
        from distributed import LocalCluster

        cluster = session.client.cluster
        host = session.client.scheduler.address.partition("://")[2].rpartition(":")[0]
        # One that listens to other machines may have workers there.
        if not isinstance(cluster, LocalCluster) or not is_loopback(host):
            return None
        scratch = local_directory(cluster)
    return None if scratch is None or file_system(scratch) in _IN_MEMORY else scratch
