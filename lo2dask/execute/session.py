"""A session maps functions over small records and parts, on a Dask cluster that starts when it is first needed."""

import contextlib
import functools
import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Self

import pyarrow as pa

from lo2dask.buffers.compiled import are_compiled, kernel_folder
from lo2dask.execute.clusterfile import read_cluster
from lo2dask.execute.frames import FrameStep, run_frames, run_here
from lo2dask.options import CommonOptions, flag_name
from lo2dask.storage import check_apart, check_buckets, check_name, locked_outputs

logger = logging.getLogger(__name__)

# Records in flight at once, per worker: enough to keep all busy, few enough that the graph stays small at 650 GB.
WINDOW_PER_WORKER = 32
# A nanny restarts its worker in seconds; a batch job may take longer to begin, but then others are waiting.
SETTLING_SECONDS = 120.0
# So many logs, of so many bytes, are through before workers have started.
FEW_FILES, FEW_BYTES = 500, 64 << 20
Listener = Callable[[str, int, int, Any], None]


class Session:
    """Runs functions over records; the cluster starts when it is first needed and ends with the session.

    ``listeners`` are called as ``listener(label, done, total, result)`` when work is submitted (``done`` = 0) and when
    a record is done. ``stage`` says which part of a longer command is under way.
    """

    def __init__(self, options: CommonOptions, *, serial: bool | None = None, client: Any = None) -> None:
        """Keep the options; nothing starts yet. A ``client`` of the user's is used, and left as it was.

        Without a cluster if ``serial``, with one if not; None leaves it to :meth:`work_here`.
        """
        self.options = options
        self.listeners: list[Listener] = []
        self.stage = ""
        # Seconds that starting, the first result and ending took.
        self.seconds: dict[str, float] = {}
        self._serial = bool(serial)
        # Whether work_here found too little for workers.
        self.in_client = False
        asked = options.workers or options.threads_per_worker > 1 or options.memory_limit != "auto"
        self._may_work_here = serial is None and client is None and options.cluster == "local" and not asked
        self._stack = contextlib.ExitStack()
        self._client: Any = None
        self._given = client
        self._most = 0
        # Kept, as Dask forgets what nobody holds.
        self._preparing: list[Any] = []

    @classmethod
    def serial(cls, options: CommonOptions | None = None) -> "Session":
        """Make a session without a cluster, the reference that every other way of running must equal."""
        return cls(options or CommonOptions(), serial=True)

    def here(self) -> "Session":
        """Return a session without a cluster that has the same options and listeners."""
        session = Session.serial(self.options)
        session.listeners = self.listeners
        return session

    def work_here(self, files: float, size: float) -> None:
        """Do what is left in this process if there are few logs of few bytes: workers would take longer to start.

        Not where workers are there already, or an option asks for them.
        """
        few = files <= FEW_FILES and size <= FEW_BYTES
        if few and self._may_work_here and self._client is None and not self._serial:
            self._serial = self.in_client = True
            _tell_of_compilation()

    def __enter__(self) -> Self:
        """Enter the block in which work may be run; a cluster file that cannot be used is told before any work."""
        if not self._serial and self._given is None:
            read_cluster(self.options.cluster)
        return self

    def __exit__(self, *error: object) -> None:
        """End the cluster, if one was started."""
        began = time.perf_counter()
        self._preparing = []
        self._stack.close()
        if self._client is not None:
            self.seconds["ending workers"] = time.perf_counter() - began
        self._client = None

    @property
    def client(self) -> Any:
        """The Dask client; starts the cluster."""
        if self._client is None:
            from lo2dask.execute.cluster import open_client, use_client
            from lo2dask.execute.settings import has_pages

            began = time.perf_counter()
            self._tell("starting workers", 0, 1)
            _tell_of_compilation()
            opened = open_client(self.options) if self._given is None else use_client(self._given, self.options)
            self._client = self._stack.enter_context(opened)
            self._most = len(self._client.nthreads())
            self._tell("starting workers", 1, 1)
            self.seconds["starting workers"] = time.perf_counter() - began
            if self._given is None and has_pages():
                logger.info("dashboard: %s", self._client.dashboard_link)
            elif self.options.cluster != "local" or self.options.debug:
                logger.info("cluster: %s", self._client.scheduler.address)
        return self._client

    def prepare(self, module: str) -> None:
        """Let every worker import a module, for which nobody waits; starts the cluster."""
        if not self._serial:
            workers = self.client.nthreads()
            self._preparing = [self.client.submit(_import, module, workers=[worker], pure=False) for worker in workers]

    def prepare_frames(self) -> None:
        """Import what :meth:`frames` needs while the workers are busy."""
        if not self._serial:
            # An import takes over a second, most of it in one core.
            threading.Thread(target=_import, args=["dask.dataframe"], name="lo2dask-import").start()

    @property
    def is_serial(self) -> bool:
        """Whether work runs in this process."""
        return self._serial

    def fullest_worker(self) -> int:
        """Return the memory of the fullest worker in bytes, as the scheduler last heard; 0 without a cluster."""
        if self._client is None:
            return 0
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max((worker["metrics"].get("memory", 0) for worker in workers), default=0)

    def workers(self) -> int:
        """Count the worker processes; 1 for a serial session."""
        return 1 if self._serial else max(1, len(self.client.nthreads()))

    def map(self, function: Callable[..., Any], records: Iterable[Any], label: str, **shared: Any) -> list[Any]:
        """Apply ``function(record, **shared)`` to all records; return the results in the records' order.

        Each window of records is one Dask bag, one partition a record. Records and results are small: what is large
        lies in files. A failed task raises here; the files of finished ones stay, so that the work can be resumed.
        """
        todo, began = list(records), time.perf_counter()
        if todo:
            self._tell(label, 0, len(todo))
        results: list[Any] = [None] * len(todo)
        finished = (
            self._run_serially(function, todo, shared) if self._serial else self._run_bags(function, todo, shared)
        )
        with self.translate_cluster_errors():
            for done, (index, result) in enumerate(finished, 1):
                results[index] = result
                self.seconds.setdefault(f"first result ({label})", time.perf_counter() - began)
                self._tell(label, done, len(todo), result)
        return results

    def call(self, function: Callable[..., Any], *arguments: Any, label: str = "") -> Any:
        """Run one function on a worker and return its result."""
        # Dask takes a tuple that begins with a function for a task of its own; a partial is plain data to it.
        return self.map(_apply, [functools.partial(function, *arguments)], label or function.__name__)[0]

    def frames(self, read: FrameStep, steps: Sequence[FrameStep], parts: Sequence[str], label: str) -> list[pa.Table]:
        """Read each part into a partition of a Dask dataframe, and take it through steps.

        The graph is bounded: some parts are read at once.

        Parameters
        ----------
        read : makes the partition of a part, given its name.
        steps : take a partition each; the last one also takes the part's name, and leaves a small frame.
        parts : the names.

        Returns
        -------
        one table per part, in their order.
        """
        results: list[Any] = [None] * len(parts)
        if parts:
            self._tell(label, 0, len(parts))
        window = max(1, len(parts) if self._serial else WINDOW_PER_WORKER * self.workers())
        done = 0
        for start in range(0, len(parts), window):
            some = parts[start : start + window]
            frames = run_here(read, steps, some) if self._serial else run_frames(self.client, read, steps, some)
            with self.translate_cluster_errors():
                for index, result in frames:
                    results[start + index] = result
                    done += 1
                    self._tell(label, done, len(parts), result)
        return results

    @contextlib.contextmanager
    def translate_cluster_errors(self) -> Iterator[None]:
        """Turn the loss of the cluster in the block into a ClusterError."""
        if self._serial:
            yield
            return
        from lo2dask.execute.loss import translate_cluster_errors

        with translate_cluster_errors(lambda: self.client):
            yield

    def settle(self, timeout: float = SETTLING_SECONDS) -> int:
        """Wait until there are as many workers as there ever were, or until time is up; return their number.

        Work that fixes its set of workers begins with this: one that was lost may be on its way back.
        """
        self._most = max(self._most, len(self.client.nthreads()))
        with contextlib.suppress(TimeoutError):
            self.client.wait_for_workers(self._most, timeout=timeout)
        there = len(self.client.nthreads())
        if there < self._most:
            logger.warning("%d of %d workers are there; going on with them", there, self._most)
        return there

    def _tell(self, label: str, done: int, total: int, result: Any = None) -> None:
        for listener in self.listeners:
            listener(label, done, total, result)

    def _run_serially(
        self, function: Callable[..., Any], todo: list[Any], shared: dict[str, Any]
    ) -> Iterator[tuple[int, Any]]:
        return ((index, function(record, **shared)) for index, record in enumerate(todo))

    def _run_bags(
        self, function: Callable[..., Any], todo: list[Any], shared: dict[str, Any]
    ) -> Iterator[tuple[int, Any]]:
        from distributed import as_completed

        if not todo:
            return
        window = WINDOW_PER_WORKER * (len(self.client.nthreads()) or 1)
        waiting = iter(enumerate(todo))
        running = as_completed(self._submit(function, list(islice(waiting, window)), shared))
        for future in running:
            # A partition is a list of its one record's result.
            yield from future.result()
            future.release()
            if running.count() <= window // 2:
                running.update(self._submit(function, list(islice(waiting, window // 2)), shared))

    def _submit(
        self, function: Callable[..., Any], records: list[tuple[int, Any]], shared: dict[str, Any]
    ) -> list[Any]:
        import dask.bag as db
        from distributed import futures_of

        if not records:
            return []
        bag = db.from_sequence(records, partition_size=1).map(_numbered, function=function, shared=shared)
        return list(futures_of(self.client.persist(bag)))


@contextlib.contextmanager
def using(session: Session | None, options: CommonOptions) -> Iterator[Session]:
    """Return the caller's session, which stays open, or one of this command's own, which ends with the block.

    The folders that the command writes are locked until then.

    Raises
    ------
    InputError : a bucket or folder that the options name cannot be used, or another command writes one of the folders;
        that is checked before a cluster starts.
    """
    check_buckets(options.paths())
    for raw in options.raw_trees():
        for name, output in options.outputs().items():
            check_apart(output, raw, flag_name(name))
    for name, output in options.outputs().items():
        check_name(output, flag_name(name))
    with contextlib.ExitStack() as stack:
        if not getattr(options, "dry_run", False):
            stack.enter_context(locked_outputs(options))
        yield session if session is not None else stack.enter_context(Session(options))


def find_client() -> Any:
    """Return the Dask client that is open in this context; None if there is none."""
    # Without the package there is no client; importing it takes half a second.
    if "distributed" not in sys.modules:
        return None
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None


def _tell_of_compilation() -> None:
    """Say that the first load of an installation takes longer."""
    folder = kernel_folder()
    if folder is None:
        logger.warning("compiled code cannot be kept: every start compiles it again; set NUMBA_CACHE_DIR to a folder")
    elif not are_compiled(folder):
        logger.info("compiling once per installation (about 10 s); `lo2dask warmup` does it ahead")


def _import(module: str) -> None:
    importlib.import_module(module)


def _numbered(record: tuple[int, Any], function: Callable[..., Any], shared: dict[str, Any]) -> tuple[int, Any]:
    index, value = record
    return index, function(value, **shared)


def _apply(work: Callable[[], Any]) -> Any:
    return work()
