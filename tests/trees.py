"""Loads tiny made-up trees for the tests of the later stages."""

from pathlib import Path

import pyarrow as pa

from lo2dask.commands.load import load
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.options import LoadOptions, SynthOptions, TrainOptions
from lo2dask.synthesis import write_tree
from lo2dask.tables.parts import read_parts
from lo2dask.training.train import TrainSummary

SERVICES = ("key", "token", "user")


def make_tree(out: Path, **changes) -> Path:
    """Write a raw tree of 4 runs with 2 error cases each."""
    options = {"scale": 0.1, "runs": 4, "errors_per_run": 2, "services": SERVICES, "jobs": 1}
    write_tree(SynthOptions(out=out, **(options | changes)))
    return out


def plant_errors(raw: Path, service: str = "token", lines: int = 6) -> list[tuple[str, str]]:
    """Let a service fail in every error case of a tree, in one second; return the cases."""
    cases = []
    for path in sorted(raw.glob(f"*/*/*-oauth2-oauth2-{service}-1.log")):
        run, case = path.parts[-3:-1]
        if case != "correct":
            cases.append((run, case))
            text = path.read_text().rstrip("\n").split("\n")
            at = next(at for at in range(len(text) * 2 // 3, len(text)) if text[at][:2].isdigit())
            planted = [f"{text[at][:12]} [XNIO-1 task-1]  abc ERROR q.r.Planted fail - it broke down"] * lines
            path.write_text("\n".join([*text[:at], *planted, *text[at:]]) + "\n")
    return cases


def load_tree(raw: Path, out: Path, **changes) -> Path:
    """Load a raw tree serially."""
    load(LoadOptions(root=raw, output_dir=out, **changes), Session.serial())
    return out


def train_root(root: Path, **changes) -> TrainSummary:
    """Train serially with a small forest."""
    return train(TrainOptions(root=root, **({"if_n_estimators": 10} | changes)), Session.serial())


def table_of(folder: Path) -> pa.Table:
    """Read a whole table, its rows sorted by seq_id where it has one."""
    table = pa.concat_tables([part.cast(plain(part.schema)) for part in read_parts(folder)])
    return table.sort_by("seq_id") if "seq_id" in table.column_names else table


def plain(schema: pa.Schema) -> pa.Schema:
    """Return the schema that a table has on disk: dictionary-encoded columns are strings there."""
    return pa.schema([pa.field(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in schema])
