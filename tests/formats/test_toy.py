"""A line format that is one value made in a test loads a tree, from events to templates."""

import pickle
from collections import Counter
from datetime import datetime

import pyarrow as pa
import pytest

from lo2dask.commands.load import load
from lo2dask.commands.verify import verify
from lo2dask.execute.session import Session
from lo2dask.features.templates import Templates
from lo2dask.formats.line_format import LineFormat
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.registry import FORMATS
from lo2dask.ingest.text import read_format
from lo2dask.options import LoadOptions, VerifyOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import read_parts
from tests.trees import table_of

from .toys import ANGLED, TOY

CORRECT = [
    "no header at the start",
    "2026-01-02 03:04:05.678|INFO|a.Main|user anna logged in",
    "2026-01-02 03:04:06.000|INFO|a.Main|user bert logged in",
    "2026-01-02 23:59:59.999|FAIL|b.Db|no row 17 für ihn",
    "java.lang.IllegalStateException: no",
    "at b.Db.read(Db.java:1)",
    "2026-01-03 00:00:00.001|INFO|a.Main|user carl logged in",
]
FAILED = ["2026-01-05 10:00:00.000|FAIL|b.Db|no row 4 für ihn"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Load two logs in the format, raw and masked bags, events kept."""
    folder = tmp_path_factory.mktemp("toy")
    for case, lines in (("correct", CORRECT), ("get_user_404_no_user", FAILED)):
        path = folder / "tree" / "LO2_run_1719592986" / case / "light-oauth2-oauth2-token-1.log"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = LoadOptions(
        root=folder / "tree", output_dir=folder / "out", trim_init_lines=False, save_events=True, tokens="both"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, TOY.name, TOY)
        load(options, Session.serial(), TOY)
        yield Layout(folder / "out")


def bag(row: dict, name: str) -> Counter:
    return Counter({pair["token"]: pair["count"] for pair in row[name]})


def test_events_have_the_fields_of_the_format(loaded: Layout) -> None:
    events = pa.concat_tables(read_parts(loaded.events))
    events = events.filter(pa.compute.equal(events["normal"].cast(pa.bool_()), True)).sort_by("line_no")
    rows = events.to_pylist()
    last = datetime(2026, 1, 2, 23, 59, 59, 999_000)
    assert [row["m_timestamp"].replace(tzinfo=None) for row in rows] == [
        datetime(2026, 1, 2, 3, 4, 5, 678_000), datetime(2026, 1, 2, 3, 4, 5, 678_000), datetime(2026, 1, 2, 3, 4, 6),
        last, last, last, datetime(2026, 1, 3, 0, 0, 0, 1_000),
    ]  # fmt: skip
    assert [row["level"] for row in rows] == [None, "INFO", "INFO", "FAIL", None, None, "INFO"]
    assert [row["logger"] for row in rows] == [None, "a.Main", "a.Main", "b.Db", None, None, "a.Main"]
    assert {row["method"] for row in rows} == {None, ""}
    assert [row["is_continuation"] for row in rows] == [True, False, False, False, True, True, False]
    assert [row["e_chars_len"] for row in rows] == [len(line) for line in CORRECT]


def test_sequences_take_their_time_from_the_lines(loaded: Layout) -> None:
    rows = table_of(loaded.sequences).to_pylist()
    assert [row["seq_len"] for row in rows] == [7, 1]
    assert [row["start_time"].replace(tzinfo=None) for row in rows] == [
        datetime(2026, 1, 2, 3, 4, 5, 678_000), datetime(2026, 1, 5, 10),
    ]  # fmt: skip
    assert rows[0]["end_time"].replace(tzinfo=None) == datetime(2026, 1, 3, 0, 0, 0, 1_000)


def test_bags_are_of_masked_and_of_raw_lines(loaded: Layout) -> None:
    row = table_of(loaded.enhanced).to_pylist()[0]
    masked = [
        *("no header at the start", "java.lang.IllegalStateException: no", "at b.Db.read(Db.java:1)"),
        *(f"<TIME>|INFO|a.Main|user {name} logged in" for name in ("anna", "bert", "carl")),
        "<TIME>|FAIL|b.Db|no row <NUM> für ihn",
    ]
    for lines, suffix in ((masked, ""), (CORRECT, "_raw")):
        assert bag(row, f"e_words{suffix}") == Counter(word for line in lines for word in line.split(" "))
        windows = Counter(line[i : i + 3] for line in lines for i in range(len(line) - 2))
        assert bag(row, f"e_trigrams{suffix}") == windows
    assert (row["n_error"], row["n_exception"]) == (1, 1)
    assert row["errors_by_logger"] == [{"token": "b.Db", "count": 1}]


def test_templates_keep_the_statement_apart_and_read_like_the_log(loaded: Layout) -> None:
    rows = pa.concat_tables(read_parts(loaded.templates)).to_pylist()
    assert {row["template"]: row["n_events"] for row in rows} == {
        "INFO|a.Main|user <*> logged in": 3, "FAIL|b.Db|no row <NUM> für ihn": 2, "no header at the start": 1,
        "java.lang.IllegalStateException: no": 1, "at b.Db.read(Db.java:1)": 1,
    }  # fmt: skip
    assert Templates.load(loaded.template_state).line_format == TOY


def test_the_folder_remembers_its_format(loaded: Layout) -> None:
    assert read_format(loaded) == TOY
    assert verify(VerifyOptions(output_dir=loaded.root), Session.serial()).problems == ()


@pytest.mark.parametrize("line_format", [LO2, TOY, ANGLED])
def test_a_format_travels_by_value(line_format: LineFormat) -> None:
    assert line_format.source_pattern.pattern
    assert pickle.loads(pickle.dumps(line_format)) == line_format
