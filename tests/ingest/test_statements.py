"""lo2_statements and e_statements: what plain Python makes of the events, over any partitions and workers."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from lo2dask import schema
from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.options import LoadOptions
from lo2dask.parse.raw_lines import raw_line
from lo2dask.tables.layout import Layout
from tests.features.plain import plain_mask
from tests.parse.reference import HEADER
from tests.trees import make_tree, table_of

ERROR = "java.lang.NullPointerException: nothing there\n\tat a.B.c(B.java:1)\n"


@dataclass
class PlainStatement:
    """What is known of one statement: level, logger and method, and in which events it occurs."""

    source: tuple[str | None, str | None, str | None]
    continues: bool
    events: int


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tree, to one of whose logs a stack trace and lines of an unknown shape are added."""
    root = make_tree(tmp_path_factory.mktemp("raw") / "tree", scale=0.02, runs=2)
    log = next(root.glob("light-oauth2-data-*/correct/*token*.log"))
    log.write_text(log.read_text() + ERROR + "10:00:00.001 no header at all\n" + ERROR)
    return root


def load_events(root: Path, out: Path, session: Session, **changes: object) -> Layout:
    load(LoadOptions(root=root, output_dir=out, save_events=True, **changes), session)
    return Layout(out)


@pytest.fixture(scope="module")
def loaded(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return load_events(raw, tmp_path_factory.mktemp("loaded"), Session.serial())


def messages_of(events: pa.Table) -> Iterator[tuple[dict, str]]:
    """Yield each event with its masked line after the header, read from the raw line by a plain regex."""
    for row, line in zip(events.to_pylist(), raw_line(events).to_pylist(), strict=True):
        header = HEADER.match(line)
        yield row, plain_mask(line[header.start(3) :] if header else line)


def plain_statements(events: pa.Table) -> dict[str, PlainStatement]:
    found: dict[str, PlainStatement] = {}
    for row, message in messages_of(events):
        source = (row["level"], row["logger"], row["method"])
        own = found.setdefault(message, PlainStatement(source, True, 0))
        own.events += 1
        own.continues &= row["is_continuation"]
    return found


def statements(layout: Layout) -> pa.Table:
    return table_of(layout.statements)


def bags(layout: Layout, column: str = schema.STATEMENTS_BAG) -> dict[str, Counter]:
    table = table_of(layout.enhanced)
    return {
        row["seq_id"]: Counter({item["token"]: item["count"] for item in row[column]})
        for row in table.select(["seq_id", column]).to_pylist()
    }


def test_statements_are_those_of_a_plain_regex(loaded: Layout) -> None:
    wanted = plain_statements(table_of(loaded.events))
    table = statements(loaded)
    assert table.schema.equals(schema.STATEMENTS)
    rows = {row["text"]: row for row in table.to_pylist()}
    assert set(rows) == set(wanted)
    for text, plain in wanted.items():
        row = rows[text]
        assert (row["level"], row["logger"], row["method"]) == plain.source, text
        assert (row["is_continuation"], row["n_events"]) == (plain.continues, plain.events), text


def test_statements_are_numbered_in_the_order_of_their_texts(loaded: Layout) -> None:
    table = statements(loaded)
    assert table["text"].to_pylist() == sorted(table["text"].to_pylist(), key=str.encode)
    rows = table.to_pylist()
    letters = ["e" if row["level"] == "ERROR" else "c" if row["is_continuation"] else "s" for row in rows]
    assert {"e", "c", "s"} == set(letters)
    assert table["statement_id"].to_pylist() == [f"{letter}{number}" for number, letter in enumerate(letters, 1)]


def test_a_stack_trace_and_a_line_without_a_header_have_no_source(loaded: Layout) -> None:
    rows = {row["text"]: row for row in statements(loaded).to_pylist()}
    found = [
        rows[text] for text in rows if "NullPointerException: nothing there" in text or text.startswith("at a.B.c")
    ]
    assert [(row["level"], row["logger"], row["method"]) for row in found] == [(None, None, None)] * 2
    assert [(row["is_continuation"], row["n_events"]) for row in found] == [(True, 2)] * 2
    (plain,) = [row for text, row in rows.items() if "no header at all" in text]
    assert (plain["level"], plain["is_continuation"], plain["n_events"]) == (None, False, 1)


def test_each_sequence_counts_its_statements(loaded: Layout) -> None:
    ids = {row["text"]: row["statement_id"] for row in statements(loaded).to_pylist()}
    wanted: dict[str, Counter] = {}
    for row, message in messages_of(table_of(loaded.events)):
        wanted.setdefault(row["seq_id"], Counter())[ids[message]] += 1
    assert bags(loaded) == wanted


def test_counts_add_up(loaded: Layout) -> None:
    table, events, found = statements(loaded), table_of(loaded.events), bags(loaded)
    total = sum(found.values(), Counter())
    assert dict(zip(table["statement_id"].to_pylist(), table["n_events"].to_pylist(), strict=True)) == total
    assert total.total() == events.num_rows
    lengths = table_of(loaded.enhanced).select(["seq_id", "seq_len"]).to_pylist()
    assert {row["seq_id"]: row["seq_len"] for row in lengths} == {name: bag.total() for name, bag in found.items()}


def test_statements_are_finer_than_templates(loaded: Layout) -> None:
    """All events of a statement have its template, and a template's count is that of its statements."""
    table = statements(loaded)
    template_of = dict(zip(table["statement_id"].to_pylist(), table["e_event_drain_id"].to_pylist(), strict=True))
    templates = bags(loaded, "e_templates")
    for name, bag in bags(loaded).items():
        summed: Counter = Counter()
        for statement, count in bag.items():
            summed[template_of[statement]] += count
        assert summed == templates[name]
    mined = table_of(loaded.templates)
    sums = table.group_by("e_event_drain_id").aggregate([("n_events", "sum")])
    by_template = dict(zip(sums["e_event_drain_id"].to_pylist(), sums["n_events_sum"].to_pylist(), strict=True))
    assert dict(zip(mined["e_event_drain_id"].to_pylist(), mined["n_events"].to_pylist(), strict=True)) == by_template
    events = table_of(loaded.events)
    assert Counter(events["e_event_drain_id"].to_pylist()) == by_template


@pytest.mark.parametrize(("workers", "size"), [(0, "100KB"), pytest.param(2, "150KB", marks=pytest.mark.thorough)])
def test_partitions_and_workers_change_nothing(
    raw: Path, loaded: Layout, tmp_path: Path, workers: int, size: str, request: pytest.FixtureRequest
) -> None:
    session = request.getfixturevalue("two_workers") if workers else Session.serial()
    other = load_events(raw, tmp_path, session, partition_size=size)
    assert len(list(other.sequences.glob("*.parquet"))) > 2
    assert statements(other).equals(statements(loaded))
    assert bags(other) == bags(loaded)


def test_without_events_and_with_merged_lines(raw: Path, loaded: Layout, tmp_path: Path) -> None:
    load(LoadOptions(root=raw, output_dir=tmp_path / "bags"), Session.serial())
    assert statements(Layout(tmp_path / "bags")).equals(statements(loaded))
    assert bags(Layout(tmp_path / "bags")) == bags(loaded)
    merged = load_events(raw, tmp_path / "merged", Session.serial(), continuation_lines="merge")
    assert sum(statements(merged)["n_events"].to_pylist()) == table_of(merged.events).num_rows
    assert sum(bags(merged).values(), Counter()).total() == table_of(merged.events).num_rows
