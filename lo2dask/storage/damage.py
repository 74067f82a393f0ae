"""One line for a damaged Parquet file: which file, and which command writes it again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lo2dask.errors import IntegrityError

# The command that writes a table again, by the folder that it lies in.
_MADE_BY = (
    (("predictions", "lo2_if_predictions.parquet"), "lo2dask train"),
    (("explainability", "explain"), "lo2dask explain"),
    (("score",), "lo2dask score"),
    (("lo2_sequences_enhanced.parquet", "lo2_templates.parquet", "lo2_vocabulary.parquet"), "lo2dask load or train"),
    (("lo2_statements.parquet", "text", "spill"), "lo2dask load or train"),
    (("lo2_events.parquet", "lo2_sequences.parquet", "lo2_rejects.parquet", "manifest"), "lo2dask load"),
    (("lo2_metrics.parquet", "lo2_traces.parquet"), "lo2dask load --load-metrics"),
)


@contextlib.contextmanager
def name_damage(path: Path) -> Iterator[None]:
    """Translate what Arrow raises over a damaged file.

    Raises
    ------
    IntegrityError : names the file and the command that writes it again.
    """
    import pyarrow as pa

    try:
        yield
    except (MemoryError, pa.ArrowCancelled):
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file system, not of the content
        maker = _maker(path)
        again = f"run {maker} again with the same options" if maker else "run the command again that wrote it"
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise IntegrityError(f"{path} is damaged ({reason}): delete it and {again}") from error


def _maker(path: Path) -> str:
    """Return the command that writes a file; "" if unknown. Folders above the output folder may have any name."""
    parts = path.parts
    inward = parts[parts.index("_lo2dask") :] if "_lo2dask" in parts else parts[::-1]
    return next((made for part in inward for names, made in _MADE_BY if part in names), "")
