"""The windows of a part as flat arrays, by statement and by template."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lo2dask.findings.part import PartWindows
from lo2dask.findings.statements import read_statements
from lo2dask.findings.telling import MOST_EVIDENCE, Carrier, Said, carriers_of, evidence_lines
from lo2dask.tables.groups import Group, group_parts
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, make_tree, table_of


def test_of_messages_with_one_template_the_lines_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.03, runs=2)
    by_statement = load_tree(raw, tmp_path / "statements")
    monkeypatch.setattr("lo2dask.ingest.mining.are_too_many", lambda statements, lines: True)
    by_template = load_tree(raw, tmp_path / "templates")
    rows = table_of(by_statement / "lo2_statements.parquet").to_pylist()
    name_of = {row["statement_id"]: f"{row['statement_id'][0]}t{row['e_event_drain_id']}" for row in rows}
    assert len(set(name_of.values())) < len(name_of), "no template has two messages"
    fine, coarse = (PartWindows.read(Layout(root), *groups_of(root)) for root in (by_statement, by_template))
    names = {key: name_of.get(key, key) for key in [*fine.ids.to_pylist(), *coarse.ids.to_pylist()]}
    cells, pairs = counted(coarse, names)
    assert max(Counter(zip(coarse.cells["window"], coarse.cells["statement"], strict=True)).values()) == 1
    assert max(Counter(zip(*(coarse.pairs[k] for k in ("sequence", "before", "statement")), strict=True)).values()) == 1
    assert (cells, pairs) == counted(fine, names)
    texts = Counter(name_of.values())
    mined = {
        row["e_event_drain_id"]: row["template"] for row in table_of(by_template / "lo2_templates.parquet").to_pylist()
    }
    for row in table_of(by_template / "lo2_statements.parquet").to_pylist():
        shown = read_statements(Layout(by_template))[row["statement_id"]]
        text = row["text"] if texts[row["statement_id"]] == 1 else mined[row["e_event_drain_id"]]
        assert shown == (text, row["e_event_drain_id"]), (
            "a template stands for all its messages, one message for itself"
        )


def counted(part: PartWindows, names: dict[str, str]) -> tuple[Counter, Counter]:
    """Count lines by window and name, and pairs of neighbours by their names."""
    ids = [names[one] for one in part.ids.to_pylist()]
    cells, pairs = Counter(), Counter()
    for window, statement, count in zip(*(part.cells[key] for key in ("window", "statement", "count")), strict=True):
        cells[int(window), ids[statement]] += int(count)
    for before, statement, count in zip(*(part.pairs[key] for key in ("before", "statement", "count")), strict=True):
        pairs[ids[before], ids[statement]] += int(count)
    return cells, pairs


def test_ids_and_their_order_are_those_of_the_whole_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal scores go to the first statement, whatever the part has before it."""
    root = load_tree(make_tree(tmp_path / "raw", scale=0.03, runs=2), tmp_path / "out", partition_size="100KB")
    monkeypatch.setattr("lo2dask.tables.groups.MOST_ROWS", 0)
    groups = groups_of(root)
    assert len(groups) > 1
    for group in groups:
        ids = PartWindows.read(Layout(root), group).ids.to_pylist()
        assert ids == sorted(ids, key=lambda one: (one[0], int(one[1:])))


def groups_of(root: Path) -> list[Group]:
    """List the groups of the parts of windows."""
    return group_parts(Layout(root).window_counts)


def test_parts_that_are_read_at_once_say_what_one_part_of_all_says(tmp_path: Path) -> None:
    raw = make_tree(tmp_path / "raw", scale=0.03, runs=2)
    roots = [load_tree(raw, tmp_path / size, partition_size=size) for size in ("100KB", "64MB")]
    groups = [groups_of(root) for root in roots]
    assert [len(of) for of in groups] == [1, 1]
    assert len(groups[0][0].names) > len(groups[1][0].names) == 1
    many, one = (PartWindows.read(Layout(root), *of) for root, of in zip(roots, groups, strict=True))
    assert many.keys.to_pylist() == one.keys.to_pylist()
    assert many.ids.to_pylist() == one.ids.to_pylist()
    names = {key: key for key in one.ids.to_pylist()}
    assert counted(many, names) == counted(one, names)
    assert all(np.array_equal(many.windows[name], one.windows[name]) for name in one.windows)


def test_evidence_is_of_unusual_windows_first(tmp_path: Path) -> None:
    """Of a line that is in many windows, those where it is an alarm say more than the log's first ones."""
    root = load_tree(make_tree(tmp_path / "raw", scale=0.03, runs=2), tmp_path / "out")
    (group,) = groups_of(root)
    part = PartWindows.read(Layout(root), group)
    owner = part.windows["sequence"][part.cells["window"]]
    pairs = Counter(zip(owner.tolist(), part.cells["statement"].tolist(), strict=True))
    (sequence, statement), count = pairs.most_common(1)[0]
    assert count > MOST_EVIDENCE
    windows = part.cells["window"][(owner == sequence) & (part.cells["statement"] == statement)]
    said = Said({part.names("seq_id")[sequence]: Carrier(part.ids[statement].as_py())})
    carriers = carriers_of(part, said)
    lines = {}
    for alarms in (windows[:0], windows[-1:], windows[-MOST_EVIDENCE:], windows):
        is_alarm = np.isin(np.arange(len(part.windows["window"])), alarms)
        found = evidence_lines(part, is_alarm, carriers).to_pylist()
        assert [row for row, one in enumerate(found) if one] == [sequence]
        lines[len(alarms)] = found[sequence]
    assert all(one == sorted(one) for one in lines.values())
    assert lines[0] == lines[count]
    assert len(lines[0]) == len(lines[MOST_EVIDENCE]) == MOST_EVIDENCE
    assert lines[1] == lines[MOST_EVIDENCE][-1:]
    assert lines[MOST_EVIDENCE][0] > lines[0][0]
