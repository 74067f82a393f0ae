import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from explanation.made_root import RUN, TELLTALE, write_tree
from lo2dask.commands.load import load
from lo2dask.execute.session import Session
from lo2dask.explanation.line_search import SequenceLines, line_source, part_records, read_lines
from lo2dask.features.masks import load_masks
from lo2dask.options import LoadOptions
from lo2dask.schema import seq_id
from lo2dask.tables.layout import Layout

WANTED = seq_id(RUN.format(1000), "register_user_400", "light-oauth2-oauth2-user-1")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return write_tree(tmp_path_factory.mktemp("lines") / "tree")


def loaded(tree: Path, out: Path, **options: object) -> Layout:
    load(LoadOptions(root=tree, output_dir=out, partition_size="100KB", **options), Session.serial())
    return Layout(out)


def lines_of(layout: Layout, wanted: set[str], raw_tokens: bool = False) -> list[SequenceLines]:
    source = line_source(layout, load_masks(None), raw_tokens)
    return [lines for record in part_records(layout) for lines in read_lines(record, wanted, source)]


def whole(lines: SequenceLines) -> list[str]:
    return [row["m_message"] for row in lines.rows(list(range(lines.events.num_rows)))]


def texts_of(lines: SequenceLines) -> list[str]:
    return lines.patterns.texts.values.take(pa.array(lines.patterns.rows)).to_pylist()


def test_only_the_wanted_sequences_are_read_whole_and_in_order(tree, tmp_path):
    (found,) = lines_of(loaded(tree, tmp_path), {WANTED, "unknown"})
    raw = Path(found.file.place).read_text().splitlines()
    assert found.seq_id == WANTED
    assert whole(found) == raw
    assert found.events["line_no"].to_pylist() == list(range(1, len(raw) + 1))


def test_patterns_count_every_line_once_and_mark_errors(tree, tmp_path):
    (found,) = lines_of(loaded(tree, tmp_path), {WANTED})
    patterns = found.patterns
    assert patterns.counts.sum() == found.events.num_rows
    texts = texts_of(found)
    messages = whole(found)
    errors = {text for text, error in zip(texts, patterns.errors, strict=True) if error}
    assert len(errors) == 1
    assert TELLTALE in errors.pop()
    for text, first in zip(texts, patterns.first.tolist(), strict=True):
        assert text.split()[-1] == messages[first].split()[-1]
    assert len(set(patterns.templates)) < len(texts)
    assert "unseen" not in patterns.templates


def test_raw_tokens_keep_the_line_as_it_stands(tree, tmp_path):
    (found,) = lines_of(loaded(tree, tmp_path), {WANTED}, raw_tokens=True)
    assert set(texts_of(found)) == set(whole(found))
    assert len(found.patterns.templates) == len(texts_of(found))


@pytest.mark.parametrize("continuation", ["fill", "drop"])
def test_the_events_table_gives_the_same_as_the_raw_tree(tree, tmp_path, continuation):
    copy = Path(shutil.copytree(tree, tmp_path / "tree"))
    raw = lines_of(loaded(copy, tmp_path / "raw", continuation_lines=continuation), {WANTED})[0]
    kept = loaded(copy, tmp_path / "kept", continuation_lines=continuation, save_events=True)
    shutil.rmtree(copy)
    events = lines_of(kept, {WANTED})[0]
    assert events.file == raw.file
    assert texts_of(events) == texts_of(raw)
    assert events.patterns.templates == raw.patterns.templates
    assert events.rows(list(range(events.events.num_rows))) == raw.rows(list(range(raw.events.num_rows)))
    assert lines_of(Layout(tmp_path / "raw"), {WANTED}) == []


def test_a_line_of_an_archive_names_archive_and_member(tree, tmp_path):
    runs = tmp_path / "tars"
    runs.mkdir()
    for run in sorted(tree.iterdir())[:2]:
        with tarfile.open(runs / f"{run.name}.tar", "w") as archive:
            archive.add(run, run.name)
    (found,) = lines_of(loaded(runs, tmp_path / "out"), {WANTED})
    assert found.file.place.startswith(str(runs))
    assert found.file.place.endswith(".log")
    assert ".tar:" in found.file.place
    assert TELLTALE in whole(found)[-1]
