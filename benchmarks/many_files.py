"""Trees of very many small files, and of metrics, for benchmarks: real contents of `synth`, many times over."""

import itertools
import time
from pathlib import Path

from common import drop, report

from lo2dask.options import SynthOptions
from lo2dask.synthesis import write_tree

_FIRST_RUN = 1_719_592_986


def metrics_tree(folder: Path, runs: int = 60) -> Path:
    """Make runs with metric files of the data set's sizes (7 KB to 1.7 MB) and hardly any log; give their root."""
    root = folder / f"metrics-{runs}"
    if not root.exists():
        half = _half(root)
        options = {"layout": "v2", "services": ("client",), "errors_per_run": 4, "with_metrics": True}
        write_tree(SynthOptions(out=half, runs=runs, scale=0.05, **options))  # type: ignore[arg-type]
        half.rename(root)
    return root


def small_metrics_tree(folder: Path, files: int = 40_000) -> Path:
    """Make ``files`` metric files of about 5 KB, 485 a test case as in the data set; give their root."""
    source = metrics_tree(folder, 2)
    contents = [path.read_bytes() for path in sorted(source.rglob("metric_*.json")) if path.stat().st_size < 8000]
    names = [f"metric_{number:03d}.json" for number in range(485)]
    return _copies(folder / f"small-metrics-{files}", files, [f"metrics/{name}" for name in names], contents)


def small_logs_tree(folder: Path, files: int = 200_000) -> Path:
    """Make ``files`` logs of at most 1 KB, whole lines, 7 services x 54 test cases a run; give their root."""
    source = folder / "one-run"
    if not source.exists():
        half = _half(source)
        write_tree(SynthOptions(out=half, runs=1, errors_per_run=-1, scale=0.002))
        half.rename(source)
    logs = sorted(source.rglob("light-oauth2-oauth2-*.log"))
    contents = [path.read_bytes()[:1024] for path in logs]
    contents = [content[: content.rfind(b"\n") + 1] for content in contents if b"\n" in content]
    names = sorted({path.name for path in logs})
    return _copies(folder / f"small-logs-{files}", files, names, contents)


def _copies(root: Path, files: int, names: list[str], contents: list[bytes]) -> Path:
    """Write ``files`` files, ``names`` in each test case of as many runs as that takes; contents come in turn."""
    if root.exists():
        return root
    started, half, written = time.perf_counter(), _half(root), 0
    content = itertools.cycle(contents)
    cases = ["correct", *(f"error_case_{number:02d}_400" for number in range(1, 54))]
    places = ((run, case) for run in itertools.count() for case in cases)
    for run, case in places:
        place = half / f"light-oauth2-data-{_FIRST_RUN + 5000 * run}" / case
        (place / names[0]).parent.mkdir(parents=True)
        for name in names[: files - written]:
            (place / name).write_bytes(next(content))
        written += len(names[: files - written])
        if written == files:
            break
    half.rename(root)
    report(f"made {root.name}", f"{files} files in {time.perf_counter() - started:.0f} s")
    return root


def _half(root: Path) -> Path:
    """Return an empty place next to a tree: a tree that was not finished is never taken for one."""
    half = root.with_name(f"{root.name}.half")
    drop(half)
    return half
