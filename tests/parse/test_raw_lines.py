"""Raw lines are put together again from the columns of events, byte for byte but for white space at their ends."""

from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.parse.events import LinePolicy
from lo2dask.parse.raw_lines import COLUMNS, raw_line
from lo2dask.sources.tree import SourceFile, find_runs, scan_run
from tests.formats.toys import TOY

from .conftest import LOG, NO_EPOCH, V1, V2, parse_files, source
from .test_reference import lines

BLANKS = " \t\r\v\f"
# Start-up lines left out of each log: lines of the real slice that are left, blank ones not counted.
SLICE_LINES = {0: 130_206, 100: 125_324}


def log_files(root: Path) -> list[SourceFile]:
    """List the service logs below a root."""
    files = [file for run in find_runs(root)[0] for file in scan_run(run, with_metrics=False)]
    return [file for file in files if file.kind == "log" and file.size]


def wanted_lines(data: bytes) -> list[str]:
    """Return a log's lines as a plain reader sees them: stripped, blank ones left out."""
    stripped = [line.strip(BLANKS) for line in data.decode(errors="replace").split("\n")]
    return [line for line in stripped if line]


@pytest.mark.parametrize(("skip", "kept"), SLICE_LINES.items())
def test_every_line_of_the_real_slice(sample_root: Path, skip: int, kept: int) -> None:
    files = log_files(sample_root / "v1")
    tables, reading = parse_files(files, LinePolicy(skip, "keep", False))
    for file, table in zip(files, tables, strict=True):
        numbered = enumerate(Path(file.path).read_bytes().decode().split("\n"), 1)
        wanted = {number: line.strip(BLANKS) for number, line in numbered if line.strip(BLANKS)}
        found = dict(zip(table["line_no"].to_pylist(), table["line"].to_pylist(), strict=True))
        assert found == {number: line for number, line in wanted.items() if number in found}, file.path
    assert sum(map(len, tables)) == reading.counts.kept == kept


@given(st.lists(lines, max_size=12), st.sampled_from([V1, V2, NO_EPOCH]), st.sampled_from(["keep", "drop", "fill"]))
def test_any_line_comes_back(
    tmp_path_factory: pytest.TempPathFactory, many: list[str], run: str, continuation: str
) -> None:
    path = tmp_path_factory.mktemp("logs") / LOG
    path.write_text("\n".join(many), encoding="utf-8", newline="")
    tables, _ = parse_files([source(path, run)], LinePolicy(0, continuation, False))
    wanted = wanted_lines(path.read_bytes())
    found = tables[0]["line"].to_pylist() if tables else []
    if continuation == "drop":
        assert found == [line for line in wanted if line in set(found)]
    else:
        assert found == wanted
    for row in tables[0].to_pylist() if tables else []:
        assert raw_line(row) == row["line"]
        assert raw_line({name: row[name] for name in COLUMNS}) == row["line"]


@given(st.lists(lines, min_size=1, max_size=12))
def test_merged_lines_come_back_in_one(tmp_path_factory: pytest.TempPathFactory, many: list[str]) -> None:
    path = tmp_path_factory.mktemp("logs") / LOG
    path.write_text("\n".join(many), encoding="utf-8", newline="")
    tables, _ = parse_files([source(path)], LinePolicy(0, "merge", False))
    found = tables[0]["line"].to_pylist() if tables else []
    assert [line for event in found for line in event.split("\n")] == wanted_lines(path.read_bytes())


@pytest.mark.parametrize(
    ("thread", "correlation", "line"),
    [
        ("main", "", "10:00:00.001 [main]  INFO  a.B c - text"),
        ("main", "x_-Y", "10:00:00.001 [main]  x_-Y INFO  a.B c - text"),
        ("", "", "10:00:00.001 []  INFO  a.B c - text"),
        (None, None, "INFO  a.B c - text"),
    ],
)
def test_a_line_without_a_thread_is_its_message(thread: str | None, correlation: str | None, line: str) -> None:
    time = pa.scalar(36_000_001_000, pa.timestamp("us", "UTC")).as_py()
    event = {"m_timestamp": time, "thread": thread, "correlation_id": correlation, "m_message": "INFO  a.B c - text"}
    found = raw_line(event)
    assert found.split() == line.split()
    assert raw_line(event | {"more": 1}) == found


@pytest.mark.parametrize("line_format", [LO2, TOY], ids=["lo2", "toy"])
def test_tables_of_no_rows_and_of_chunks(line_format: LineFormat) -> None:
    columns = pa.schema(
        [pa.field("m_timestamp", pa.timestamp("us", "UTC")), *(pa.field(name, pa.string()) for name in COLUMNS[1:])]
    )
    assert raw_line(columns.empty_table(), line_format).to_pylist() == []
    rows = [{"m_timestamp": None, "thread": None, "correlation_id": None, "m_message": text} for text in ("a", "ü")]
    one = pa.Table.from_pylist(rows, schema=columns)
    assert raw_line(pa.concat_tables([one, one]), line_format).to_pylist() == ["a", "ü"] * 2
