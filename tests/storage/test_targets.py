"""Folders to write that would harm what is read, or have no room."""

import os
import sys
from pathlib import Path

import pytest

from lo2dask.errors import InputError
from lo2dask.execute.session import Session, using
from lo2dask.options import LoadOptions, RunOptions, ScoreOptions
from lo2dask.storage import check_disk, targets


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw" / "run").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    return tmp_path / "raw"


@pytest.mark.parametrize(
    ("output", "relation"),
    [
        ("raw", "is the raw tree"),
        ("raw/../raw", "is the raw tree"),
        ("link", "is the raw tree"),
        ("raw/run", "lies inside the raw tree"),
        ("link/new/out", "lies inside the raw tree"),
        (".", "holds the raw tree"),
        ("..", "holds the raw tree"),
    ],
)
def test_an_output_in_the_raw_tree_is_refused(raw: Path, output: str, relation: str) -> None:
    before = sorted(raw.parent.rglob("*"))
    options = LoadOptions(root=raw, output_dir=raw.parent / output)
    with pytest.raises(InputError, match=f"--output-dir .* {relation} .*raw: choose a folder apart"):
        with using(Session.serial(options), options):
            pass
    assert sorted(raw.parent.rglob("*")) == before


def test_the_other_folders_of_a_run_and_of_score_are_checked_too(raw: Path) -> None:
    out = raw.parent / "out"
    for options in (
        RunOptions(root=raw, output_dir=out, metrics_dir=raw / "metrics"),
        RunOptions(root=raw, output_dir=out, save_sup_models=raw),
        ScoreOptions(root=raw, bundle=raw.parent / "b", output_dir=raw / "scores"),
    ):
        with pytest.raises(InputError, match="the raw tree"), using(None, options):
            pass


def test_neighbours_with_like_names_are_fine(raw: Path) -> None:
    for name in ("raw2", "ra", "out/raw"):
        with using(None, LoadOptions(root=raw, output_dir=raw.parent / name)):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="names are no bytes there")
def test_a_folder_whose_name_is_not_utf8_is_refused(raw: Path) -> None:
    """As is every name beyond ASCII where Python reads names in ASCII."""
    output = raw.parent / os.fsdecode(b"l\xf6schen")
    options = LoadOptions(root=raw, output_dir=output)
    with pytest.raises(InputError, match=r"^--output-dir .*/l\\xf6schen: not UTF-8 here"):
        with using(Session.serial(options), options):
            pass
    assert not output.exists()


def test_a_disk_without_room_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(targets, "free_bytes", lambda folder: 1_000_000)
    check_disk(tmp_path, 1_000_000)
    with pytest.raises(InputError, match=r"1\.0 MB free on its disk, but the load writes about 2\.0 MB"):
        check_disk(tmp_path, 2_000_000)


@pytest.mark.parametrize(("output", "named"), [("service=key/run=7", "service=key"), ("out", ""), ("=/a=", "")])
def test_a_folder_that_reads_as_a_column_is_named(tmp_path: Path, output: str, named: str, caplog) -> None:
    options = LoadOptions(root=tmp_path / "raw", output_dir=Path("base") / output, dry_run=True)
    with using(Session.serial(options), options):
        pass
    assert [f"take the folder {named} for a column" in message for message in caplog.messages] == [True] * bool(named)
