"""What `lo2dask cluster` prints."""

from pathlib import Path
from typing import TYPE_CHECKING

from lo2dask.cli.text import count, megabytes, say, table

if TYPE_CHECKING:
    from lo2dask.execute.check import CheckSummary


def make_certificates(folder: Path) -> None:
    """Make certificates and say what to do with them."""
    from lo2dask.execute.tls import make_certificates as make

    made = make(folder)
    say(f"{made}: ca.pem, cert.pem and key.pem, for you alone to read; a copy goes to every machine of the cluster")


def check_text(summary: "CheckSummary") -> list[str]:
    """Write what the workers have; versions are those of all, or the check would have failed."""
    protection = "TLS" if summary.encrypted else "not encrypted"
    rows = [
        {
            "worker": line.finding.name,
            "host": line.finding.host,
            "cores": str(line.finding.cores),
            "threads": str(line.finding.threads),
            "memory": megabytes(line.finding.memory),
            "scratch": f"{line.finding.scratch} ({line.finding.scratch_type or '?'}, "
            f"{megabytes(line.finding.scratch_free)} free)",
            "clock": f"{line.skew:+.1f} s",
            "reads": _speed(line.reading),
            "writes": _speed(line.writing),
        }
        for line in summary.workers
    ]
    first = summary.workers[0].finding
    versions = ", ".join(f"{name} {version}" for name, version in first.packages.items() if version)
    return [
        f"{summary.cluster}: {count(len(summary.workers), 'worker')} after {summary.seconds:.1f} s, scheduler "
        f"{summary.scheduler} ({protection})",
        table(rows),
        f"versions, the same everywhere: Python {first.python}, {versions}",
        f"input seen by all: {summary.root}" if summary.root else "input: not looked at (give --root)",
        f"output shared by all: {summary.output}" if summary.output else "output: not looked at (give --output-dir)",
    ]


def _speed(rate: float | None) -> str:
    return "-" if rate is None else f"{rate / 1e6:,.0f} MB/s"
