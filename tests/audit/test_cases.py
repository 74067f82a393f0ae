"""The cases that are read from an output folder, beside its tables read whole."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lo2dask import schema
from lo2dask.audit.cases import read_cases
from lo2dask.audit.permute import draw_labels
from lo2dask.audit.words import Bound, find_words
from lo2dask.commands.load import load
from lo2dask.errors import InputError
from lo2dask.execute.session import Session
from lo2dask.features.bags import bag_numbers
from lo2dask.options import LoadOptions, SynthOptions
from lo2dask.synthesis import write_tree
from lo2dask.tables.layout import Layout


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Five runs of one correct and three error cases, in several parts."""
    folder = tmp_path_factory.mktemp("audit")
    write_tree(SynthOptions(out=folder / "raw", scale=0.01, runs=5, errors_per_run=3, jobs=1))
    load(LoadOptions(root=folder / "raw", output_dir=folder / "out", partition_size="400KB"), Session.serial())
    return Layout(folder / "out")


def test_figures_are_those_of_the_table_and_the_manifest(layout: Layout) -> None:
    cases = read_cases(layout, 5_000, 1)
    rows = pq.read_table(layout.enhanced).to_pylist()
    sizes = {
        (row["run"], row["test_case"], row["service"]): row["size"]
        for row in pq.read_table(layout.manifest).to_pylist()
        if row["selected"]
    }
    assert len(rows) == len(cases.service)
    assert len(cases.names) == cases.total == 20
    lengths, durations, bytes_of = (cases.by_service(name) for name in ("length", "duration", "size"))
    for row in rows:
        at = cases.names.index((row["run"], row["test_case"])), cases.services.index(row["service"])
        assert lengths[at] == row["seq_len"]
        assert durations[at] == row["duration_ms"]
        assert bytes_of[at] == sizes[row["run"], row["test_case"], row["service"]]
        assert cases.normal[at[0]] == row["normal"]
    assert np.isnan(lengths).sum() == 20 * len(cases.services) - len(rows)
    assert (np.diff(cases.run) >= 0).all()


def test_words_are_those_of_statements_without_an_error_level(layout: Layout) -> None:
    cases = read_cases(layout, 5_000, 1)
    labels = draw_labels(cases.run, cases.normal, 10, 1)
    texts = {row["statement_id"]: row["text"] for row in pq.read_table(layout.statements).to_pylist()}
    rows = {(row["run"], row["test_case"], row["service"]): row for row in pq.read_table(layout.enhanced).to_pylist()}
    tables = find_words(layout, cases, labels, Bound(0, 1))
    assert tables.statements
    assert tables.startup
    for table in tables.statements:
        for place, case in enumerate(table.cases.tolist()):
            bag = rows[(*cases.names[case], table.service)]["e_statements"]
            plain = {word for one in bag if one["token"][0] == "s" for word in texts[one["token"]].split(" ")}
            found = {table.words[column] for column in table.presence[[place]].indices}
            assert found == plain & set(table.words)


def test_of_many_cases_whole_runs_are_drawn(layout: Layout) -> None:
    cases = read_cases(layout, 9, 1)
    assert len(cases.names) == 8
    assert cases.total == 20
    assert len({run for run, _ in cases.names}) == 2
    assert cases.names == read_cases(layout, 9, 1).names
    assert len(read_cases(layout, 1, 1).names) == 4, "one run at the least"


def test_equal_bags_have_equal_numbers() -> None:
    bags = [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 1}, {"a": 1}, {}, {"a": 1, "b": 2, "c": 1}, {}]
    lists = [[{"token": token, "count": count} for token, count in sorted(bag.items())] for bag in bags]
    numbers = bag_numbers(pa.chunked_array([pa.array(lists, schema.BAG)])).tolist()
    assert [numbers.index(number) for number in numbers] == [0, 0, 2, 3, 4, 5, 4]


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sequence in it; first: lo2dask load"):
        read_cases(Layout(tmp_path), 10, 1)
