"""Shared by the tests of parsing: logs written to disk, parsed in one batch."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask.ingest.batch import read_blocks
from lo2dask.parse.chunks import Reading
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.parse.raw_lines import raw_line
from lo2dask.sources.tree import SourceFile

V1, V2, NO_EPOCH = "light-oauth2-data-1719592986", "LO2_run_1719592986", "run_0001"
LOG = "light-oauth2-oauth2-token-1.log"

Parsed = tuple[list[pa.Table], Reading]


def source(path: Path, run: str = V1, case: str = "correct") -> SourceFile:
    normal = case == "correct"
    return SourceFile(str(path), "", 0, path.stat().st_size, 0, run, case, path.name, "log", "token", normal=normal)


def parse_files(files: list[SourceFile], policy: LinePolicy) -> Parsed:
    """Parse files as one batch; return the event rows of each file, with the raw ``line``, and the reading."""
    reading, keys = Reading(), FileKeys.of(files)
    blocks = list(read_blocks(EventParser(keys, policy, reading, with_text=True), files))
    if not blocks:
        return [], reading
    table = pa.concat_tables(blocks).unify_dictionaries().combine_chunks()
    table = table.append_column("line", raw_line(table))
    codes = table["seq_id"].combine_chunks().indices
    return [table.filter(pa.compute.equal(codes, index)) for index in range(len(files))], reading


@pytest.fixture
def parse_log(tmp_path: Path) -> Callable[..., Parsed]:
    """Write one log and parse it: ``parse_log(data, run=…, continuation=…, skip=…)`` gives its rows and the reading."""

    def parse(
        data: bytes, run: str = V1, continuation: str = "fill", skip: int = 0, balance: bool = False
    ) -> tuple[pa.Table, Reading]:
        path = tmp_path / LOG
        path.write_bytes(data)
        tables, reading = parse_files([source(path, run)], LinePolicy(skip, continuation, balance))
        return (tables[0] if tables else None), reading

    return parse
