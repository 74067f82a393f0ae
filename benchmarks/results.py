"""Results kept: rows as Parquet, tables as Markdown with the machine they come from, one picture."""

import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from lo2dask.memory import format_bytes, measure

VERSIONS = (
    "dask",
    "distributed",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "shap",
    "xgboost",
    "xgboost-cpu",
)


def machine() -> str:
    """Describe date, commit, machine and versions, in one Markdown paragraph; busy machines are said to be."""
    load = "/".join(f"{value:.1f}" for value in psutil.getloadavg())
    words = [
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
        f"{psutil.cpu_count()} cores of {_processor()}, {format_bytes(psutil.virtual_memory().total)} of memory",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        ", ".join(f"{name} {own}" for name in VERSIONS if (own := _version(name))),
        f"load average at the end {load} (a busy machine: read processor time)",
        f"memory is {measure()} of all processes together",
    ]
    return "; ".join(words) + "."


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows of the same names as a Markdown table."""
    names = list(rows[0]) if rows else []
    lines = ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |"]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def keep(folder: Path | None, name: str, rows: Sequence[Mapping[str, Any]], parts: Sequence[str],
         draw: Callable[[Any], None]) -> None:  # fmt: skip
    """Print ``parts`` (Markdown) and write name.md, name.parquet and name.png into ``folder``; None = print alone."""
    text = "\n\n".join([*parts, machine()])
    print("\n" + text, flush=True)
    if folder is None:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), folder / f"{name}.parquet")
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    draw(axes)
    figure.savefig(folder / f"{name}.png", dpi=120)
    pyplot.close(figure)


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Name the processor: Linux says it in a file, a Mac by a command."""
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        named = [
            line.split(":")[1].strip() for line in listed.read_text().splitlines() if line.startswith("model name")
        ]
        return named[0] if named else platform.machine()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()
