"""How fast logs of other line formats load: MB of raw logs per second of processor time, without enhancement.

python benchmarks/formats.py                       # 100 MB of each format
python benchmarks/formats.py --size 20MB json      # a first look
"""

import argparse
import time
from pathlib import Path

from common import report, speed, working_folder

from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.memory import parse_bytes
from lo2dask.options import LoadOptions, SynthOptions
from lo2dask.options.commands import SYNTH_FORMATS
from lo2dask.synthesis import write_tree

_RUN_BYTES = 10_000_000


def processor_seconds(root: Path, out: Path, line_format: str) -> tuple[float, int]:
    """Load a tree in this process: (processor seconds, raw bytes)."""
    started = time.process_time()
    summary = load(LoadOptions(root=root, output_dir=out, enhance=False, format=line_format), Session.serial())
    return time.process_time() - started, summary.bytes


def main() -> None:
    """Make a tree of each format and load it twice: the first time compiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", default=SYNTH_FORMATS)
    parser.add_argument("--size", default="100MB", help="raw bytes of each tree, about")
    parser.add_argument("--keep", type=Path, help="folder for the trees, kept for the next time")
    options = parser.parse_args()
    with working_folder(options.keep) as folder:
        for name in options.formats:
            root = folder / name
            scale = parse_bytes(options.size) / _RUN_BYTES
            write_tree(SynthOptions(out=root, runs=1, errors_per_run=0, scale=scale, format=name))
            asked = name if name == "plain" else "auto"
            figures = [processor_seconds(root, folder / f"{name}-{n}", asked) for n in range(3)]
            seconds, size = min(figures[1:])
            report(f"load of {name}, one core", speed(size, seconds))


if __name__ == "__main__":
    main()
