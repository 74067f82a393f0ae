"""A whole tree from and to an object store (one in memory): the tables are those of local folders."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lo2dask import storage
from lo2dask.commands.load import load
from lo2dask.commands.verify import verify
from lo2dask.execute.session import Session
from lo2dask.options import LoadOptions, VerifyOptions
from lo2dask.tables.layout import Layout
from lo2dask.tables.parts import part_paths
from tests.trees import load_tree, table_of, train_root

OPTIONS = {"save_events": True, "keep_normalized": True, "partition_size": "300KB"}


@pytest.fixture(scope="module")
def bucket() -> Iterator[Path]:
    pytest.importorskip("upath")
    path = storage.to_path(f"memory://{uuid.uuid4().hex}")
    yield path
    storage.remove_tree(path)


@pytest.fixture(scope="module")
def loaded(tiny_tree: Path, bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Layout]:
    """The same tree and options, locally and in the store."""
    for path in tiny_tree.rglob("*"):
        if path.is_file():
            storage.copy_file(path, bucket / "tree" / path.relative_to(tiny_tree).as_posix())
    near = load_tree(tiny_tree, tmp_path_factory.mktemp("near") / "out", **OPTIONS)
    load(LoadOptions(root=bucket / "tree", output_dir=bucket / "out", **OPTIONS), Session.serial())
    return Layout(near), Layout(bucket / "out")


@pytest.mark.parametrize("table", ["events", "sequences", "enhanced", "templates", "statements", "vocabulary"])
def test_every_part_has_the_same_bytes(loaded: tuple[Layout, Layout], table: str) -> None:
    near, far = (part_paths(getattr(layout, table)) for layout in loaded)
    assert [path.name for path in far] == [path.name for path in near]
    for one, other in zip(near, far, strict=True):
        assert other.read_bytes() == one.read_bytes()


def test_it_adds_up_and_a_second_load_has_nothing_to_do(loaded: tuple[Layout, Layout], bucket: Path) -> None:
    far = loaded[1]
    assert verify(VerifyOptions(output_dir=far.root), Session.serial()).problems == ()
    summary = load(LoadOptions(root=bucket / "tree", output_dir=far.root, **OPTIONS), Session.serial())
    assert summary.skipped == summary.batches > 1


def test_models_train_there_as_they_do_here(loaded: tuple[Layout, Layout]) -> None:
    for layout in loaded:
        train_root(layout.root, models=("lr_words",))
    for key in ("if", "lr_words"):
        near, far = (table_of(layout.predictions / key) for layout in loaded)
        assert far.equals(near)
    assert verify(VerifyOptions(output_dir=loaded[1].root), Session.serial()).problems == ()
