"""How well do the models find errors, measured honestly?

python benchmarks/quality.py                    # the real slice, and made-up runs of v1 and of v2
python benchmarks/quality.py --parts real       # the real slice alone
python benchmarks/quality.py --quick            # 6 made-up runs, few models: a first look

The real slice (next to the repository, LO2DASK_SAMPLE, or --sample) has errors in one run alone, so unsupervised models
are measured there by leaving one run out, and supervised ones on made-up runs only, cut as the paper cuts them
(--balance-correct): parts run and test-case, named for what is held out. The paper's cut makes the lines of a test case
as many as those of ``correct``, all services together; of a single service they stay more or fewer, in the slice and in
synth alike, so there a log's length tells the label. Part v2 holds out whole runs of a tree whose lengths say nothing.
"""

import argparse
import os
from pathlib import Path

from common import working_folder
from quality_made_up import THINNING, Tree, made_up
from quality_real import real

from lo2dask.models.registry import pairs, spec
from lo2dask.schema import RAW

# The tables are loaded with masked tokens: representations of the raw bags next to them are not there.
KEYS = tuple(key for key in pairs() if spec(key).representation not in RAW)
UNSUPERVISED = tuple(key for key in KEYS if not spec(key).supervised)
SUPERVISED = tuple(key for key in KEYS if spec(key).supervised and spec(key).representation != "all")
QUICK = ("if_words", "drift_words", "oov_templates", "lr_words", "dt_templates", "xgb_words")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="real,run,test-case,v2", help="what to measure, separated by comma")
    beside = Path(__file__).resolve().parents[2] / "shared" / "lo2-sample"
    parser.add_argument("--sample", type=Path, default=Path(os.environ.get("LO2DASK_SAMPLE", beside)))
    parser.add_argument("--runs", type=int, default=40, help="made-up runs")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the made-up files, 1 = as published")
    parser.add_argument("--folder", type=Path, help="work here and leave it; default: a temporary folder")
    parser.add_argument("--models", help="keys, separated by comma; default: every sensible pair")
    parser.add_argument("--quick", action="store_true", help="6 runs and few models")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    models = QUICK if arguments.quick else (*UNSUPERVISED, *SUPERVISED)
    models = tuple(arguments.models.split(",")) if arguments.models else models
    with working_folder(arguments.folder) as folder:
        if "real" in parts:
            real(arguments.sample / "v1", folder, [key for key in models if not spec(key).supervised])
        runs, scale = (6, 0.1) if arguments.quick else (arguments.runs, arguments.scale)
        for by in ("run", "test-case"):
            if by in parts:
                made_up(folder, Tree(runs, scale), by, models)
        if "v2" in parts:
            made_up(folder, Tree(runs, scale * THINNING, "v2"), "run", models)


if __name__ == "__main__":
    main()
