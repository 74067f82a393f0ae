"""Turns the loss of the cluster into one line: work resumes from the records on disk."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from distributed.client import ClosedClientError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from lo2dask.errors import ClusterError


@contextlib.contextmanager
def translate_cluster_errors(client: Callable[[], Any]) -> Iterator[None]:
    """Turn the loss of the scheduler, or of one worker after another, into a ClusterError.

    Raises
    ------
    ClusterError : the cluster is lost, or no worker survived a task.
    """
    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died in turn at the same piece of work ({error.task}), the last was "
            f"{error.last_worker.address}; most often it is too little memory: give fewer --workers, more "
            "--memory-limit, or a smaller --partition-size for a load"
        ) from error
    except (CancelledError, ClosedClientError, CommClosedError) as error:
        raise ClusterError(f"the scheduler is lost ({_one_line(error)}); what is done is kept") from error
    except OSError as error:
        # A task's own error comes over a connection that stands.
        if client().status == "running":
            raise
        raise ClusterError(f"the scheduler is lost ({_one_line(error)}); what is done is kept") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
