"""The model on start-up lines alone: what it reads, that partitions do not matter, and what it is held against."""

import json
import shutil

import pytest

from lo2dask.features.masks import MASKS
from lo2dask.features.startup import StartupWords
from lo2dask.parse import chunks
from lo2dask.parse.chunks import Reading
from lo2dask.parse.columns import FileKeys
from lo2dask.parse.events import EventParser, LinePolicy
from lo2dask.sources.tree import find_runs, scan_run
from lo2dask.tables.layout import Layout
from tests.trees import load_tree, make_tree, table_of, train_root


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree") / "raw", scale=0.04)


@pytest.fixture(scope="module")
def root(raw, tmp_path_factory):
    return load_tree(raw, tmp_path_factory.mktemp("one") / "out")


def _bags(folder, lines):
    files = [f for run in find_runs(folder)[0] for f in scan_run(run, False) if f.kind == "log"]
    parser = EventParser(FileKeys.of(files), LinePolicy(100, "drop", False), Reading(), start_lines=lines)
    startup = StartupWords(len(files), MASKS)
    for chunk in chunks.read_chunks(files, parser.reading):
        parser.parse(chunk)
        startup.add(parser.take_start_rows())
    return [{entry["token"]: entry["count"] for entry in bag} for bag in startup.bags().to_pylist()]


def _logs(folder, *texts):
    case = folder / "light-oauth2-data-1719592986" / "correct"
    case.mkdir(parents=True)
    for service, text in zip(("client", "code", "key", "token"), texts, strict=False):
        (case / f"light-oauth2-oauth2-{service}-1.log").write_bytes(text)
    return folder


def test_only_the_first_lines_count(tmp_path):
    head = b"12:00:00.000 [main]  INFO a.B main - Starting one\n\tat two\n"
    rest = b"12:00:01.000 [main]  INFO a.B main - three\n"
    assert _bags(_logs(tmp_path / "a", head + rest), 2) == _bags(_logs(tmp_path / "b", head), 2)
    words = _bags(_logs(tmp_path / "c", head + rest, b"", head), 2)
    assert words[1] == {}
    assert words[0] == words[2]
    assert words[0]["two"] == 1
    assert "three" not in words[0]


def test_first_lines_of_several_blocks_are_counted_as_those_of_one(tmp_path, monkeypatch):
    line = b"12:00:00.000 [main]  INFO a.B main - " + b"x" * 1000 + b"\n\n"
    folder = _logs(tmp_path, line * 100)
    whole = _bags(folder, 100)
    assert whole[0]["x" * 1000] == 50
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 3_000)
    assert _bags(folder, 100) == whole


def test_start_up_words_do_not_depend_on_partitions(root, raw, tmp_path):
    other = load_tree(raw, tmp_path / "out", partition_size="300KB")
    ours, theirs = (table_of(Layout(folder).startup) for folder in (root, other))
    assert ours.equals(theirs)
    assert ours["seq_id"].equals(table_of(Layout(root).sequences)["seq_id"])
    lines = []
    for folder in (root, other):
        train_root(folder, models=("drift_words",), skip_if=True)
        lines.append(json.loads((folder / "metrics" / "drift_words.json").read_text())["leakage"])
    assert lines[0] == lines[1]
    assert lines[0]["startup_lines"]["holdout"]["auc_roc"] == 1.0


def test_a_model_no_better_than_start_up_lines_is_warned_of(root):
    line = train_root(root, models=("lof_words",), skip_if=True).models[0]
    assert "no better than a model on the start-up lines alone" in line.warning


def test_tables_without_start_up_words_say_so(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "out")
    shutil.rmtree(Layout(copy).startup)
    train_root(copy, models=("kmeans_words",), skip_if=True)
    leakage = json.loads((copy / "metrics" / "kmeans_words.json").read_text())["leakage"]
    assert "--init-lines-to-skip 0" in leakage["startup_lines"]["holdout"]["reason"]
    assert leakage["holdout"]["auc_roc"] is not None
