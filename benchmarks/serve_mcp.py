"""Twelve questions to `lo2dask serve-mcp` about a made-up folder: seconds of each, warm, and the server's memory.

python benchmarks/serve_mcp.py               # a folder made of 500 MB of logs
python benchmarks/serve_mcp.py --size 2GB

Ends with 1 if a question takes a second or more, or the server 500 MB or more.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from common import report, tree_of, watch_memory, working_folder
from mcp import Client, StdioServerParameters, stdio_client

from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.memory import format_bytes
from lo2dask.options import LoadOptions, TrainOptions

SLOWEST, LARGEST = 1.0, 500_000_000
WARM = 3


def main() -> int:
    """Make the folder, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--size", default="500MB", help="raw logs to make")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with working_folder(arguments.folder) as folder:
        root = make_root(folder, arguments.size, arguments.workers)
        with watch_memory(0.02) as peak:
            slowest = asyncio.run(ask_all(root))
    report("slowest question, largest server", f"{slowest:.2f} s", format_bytes(peak.largest_child))
    return int(slowest >= SLOWEST or peak.largest_child >= LARGEST)


def make_root(folder: Path, size: str, workers: int) -> Path:
    """Load and train a made-up tree, with all lines, unless that is done."""
    raw, root = tree_of(folder, size), folder / f"out-{size}"
    if not (root / "excess_runs.parquet").exists():
        started = time.perf_counter()
        options = LoadOptions(root=raw, output_dir=root, save_events=True, workers=workers)
        with Session(options) as session:
            load(options, session)
            models = ("excess", "event_lr_words")
            train(TrainOptions(root=root, models=models, skip_if=True, workers=workers), session)
        report("loaded and trained", f"{time.perf_counter() - started:.0f} s")
    return root


async def ask_all(root: Path) -> float:
    """Ask each question some times, the first one to warm up; return the median seconds of the slowest."""
    server = StdioServerParameters(command=sys.executable, args=["-m", "lo2dask", "serve-mcp", str(root)])
    started = time.perf_counter()
    async with Client(stdio_client(server)) as client:
        first = (await client.call_tool("findings", {"limit": 1})).structured_content["findings"][0]
        report("started, and the first answer", f"{time.perf_counter() - started:.2f} s")
        slowest = 0.0
        for name, values in questions(first):
            seconds = []
            for _ in range(1 + WARM):
                started = time.perf_counter()
                answer = await client.call_tool(name, values)
                seconds.append(time.perf_counter() - started)
                assert not answer.is_error, answer.content
            warm = median(seconds[1:])
            slowest = max(slowest, warm)
            told = ", ".join(f"{key}={value}"[:24] for key, value in values.items())
            size = len(answer.content[0].text)
            report(f"{name} {told}"[:60].ljust(62), f"{warm:6.3f} s (first {seconds[0]:.2f})", f"{size:,} characters")
        return slowest


def questions(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the questions, about the case that stands out most."""
    case, template = f"{found['run']}/{found['test_case']}", found["e_event_drain_id"]
    minute = f"{found['start']}/{found['end']}"
    return [
        ("findings", {"limit": 20}),
        ("findings", {"run": found["run"], "service": found["service"]}),
        ("show", {"case": case}),
        ("search_lines", {"template": template}),
        ("search_lines", {"text": "ERROR", "case": case}),
        ("search_lines", {"text": "no line has this text"}),
        ("search_lines", {"service": found["service"], "time": minute}),
        ("compare", {"case": case}),
        ("find_templates", {"text": "Exception"}),
        ("template_history", {"template": template}),
        ("describe", {"table": "lo2_sequences_enhanced"}),
        ("models", {}),
    ]


if __name__ == "__main__":
    sys.exit(main())
