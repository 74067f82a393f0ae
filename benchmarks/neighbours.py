"""Memory of the client while neighbours of all flagged sequences are searched for, at full size with made-up rows.

python benchmarks/neighbours.py            # 657,000 sequences x 5,000 words, 7 % flagged, 2 workers
python benchmarks/neighbours.py --quick    # a first look: 20,000 sequences
"""

import argparse
import multiprocessing
import time
from pathlib import Path

from common import report, watch_memory, working_folder
from explain import SOURCE, make_models
from train import make_table

from lo2dask.commands.explain import explain
from lo2dask.execute.session import Session
from lo2dask.memory import format_bytes
from lo2dask.options import ExplainOptions
from lo2dask.tables.layout import Layout

WIDTH, WORDS, PART_ROWS = 5_000, 40, 20_000


def main() -> None:
    """Measure and print, each figure next to its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--quick", action="store_true", help="20,000 sequences")
    arguments = parser.parse_args()
    rows = 20_000 if arguments.quick else 657_000
    with working_folder(arguments.folder) as folder:
        root = folder / f"neighbours-{rows}"
        if not root.exists():
            make_table(root, rows, WIDTH, bags=("e_words",), words=WORDS, part_rows=PART_ROWS)
            make_models(Layout(root), WIDTH)
        # In a process of its own, whose memory holds nothing of the rows made above.
        process = multiprocessing.get_context("spawn").Process(target=search, args=(root, arguments.workers))
        process.start()
        process.join()


def search(root: Path, workers: int) -> None:
    """Explain the model that neighbours are searched for; print time and memory."""
    options = ExplainOptions(
        root=root, workers=workers, skip_if=True, sup_models=(SOURCE,), nn_source=SOURCE, resume=False
    )
    with Session(options) as session, watch_memory() as peak:
        session.client.wait_for_workers(workers)
        started = time.perf_counter()
        summary = explain(options, session)
        seconds = time.perf_counter() - started
    model = summary.models[0]
    report("neighbours", f"{model.neighbours or 0:,} of {model.flagged:,} flagged", f"{model.normals_compared} normals")
    report("explain, all of it", f"{seconds:.0f} s", f"all processes {format_bytes(peak.total)}")
    report("client (aim 300 MB)", format_bytes(peak.client))


if __name__ == "__main__":
    main()
