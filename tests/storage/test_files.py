"""The same tests on a local folder and on an object store that lives in memory."""

import contextlib
import errno
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lo2dask import storage
from lo2dask.errors import InputError


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "local":
        yield tmp_path / "folder"
        return
    pytest.importorskip("upath")
    path = storage.to_path(f"memory://{uuid.uuid4().hex}/folder")
    yield path
    storage.remove_tree(path)


def test_what_is_written_is_read(folder: Path) -> None:
    storage.write_bytes(folder / "a" / "x", b"123")
    storage.write_text(folder / "a" / "y", "ü")
    storage.write_json(folder / "a" / "z.json", {"b": 1, "a": [2]})
    assert (folder / "a" / "x").read_bytes() == b"123"
    assert (folder / "a" / "y").read_text(encoding="utf-8") == "ü"
    assert storage.read_json(folder / "a" / "z.json") == {"a": [2], "b": 1}
    assert storage.status(folder / "a" / "x").st_size == 3


def test_json_that_is_missing_or_damaged_is_none(folder: Path) -> None:
    storage.write_text(folder / "damaged", "{")
    assert storage.read_json(folder / "damaged") is None
    assert storage.read_json(folder / "missing") is None


def test_a_failure_leaves_what_was_there_and_no_temporary_file(folder: Path) -> None:
    storage.write_text(folder / "x", "old")
    seen = []

    def fail(temporary: Path) -> None:
        seen.append(temporary)
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError), storage.replacing(folder / "x") as temporary:
        fail(temporary)
    assert (folder / "x").read_text() == "old"
    assert not seen[0].exists()
    assert [path.name for path in storage.list_paths(folder, "")] == ["x"]


def test_the_temporary_file_is_always_local(folder: Path) -> None:
    with storage.replacing(folder / "x") as temporary:
        assert isinstance(temporary, Path)
        temporary.write_text("new")
    assert (folder / "x").read_text() == "new"


def test_reading_with_seeks_and_from_a_byte_on(folder: Path) -> None:
    storage.write_bytes(folder / "x", b"0123456789")
    with storage.open_read(folder / "x") as file:
        file.seek(-3, os.SEEK_END)
        assert file.read() == b"789"
        file.seek(2)
        assert file.read(2) == b"23"
    with storage.open_at(str(folder / "x"), 4) as reader:
        assert [reader.read(4), reader.read(4), reader.read(4)] == [b"4567", b"89", b""]
    with storage.open_at(str(folder / "x"), 4) as reader:
        assert reader.read(0) == b""
    source = storage.source_of(folder / "x")
    assert (source.read_bytes() if isinstance(source, Path) else source.read()) == b"0123456789"


def test_listing_tells_files_from_folders(folder: Path) -> None:
    storage.write_bytes(folder / "b" / "c", b"1")
    storage.write_bytes(folder / "a.log", b"12")
    found = {entry.name: entry for entry in storage.entries(folder)}
    assert sorted(found) == ["a.log", "b"]
    assert (found["b"].is_dir(), found["b"].is_file(), found["b"].is_symlink()) == (True, False, False)
    assert (found["a.log"].is_dir(), found["a.log"].is_file()) == (False, True)
    assert found["a.log"].stat().st_size == 2
    assert found["a.log"].stat().st_mtime_ns == storage.status(folder / "a.log").st_mtime_ns
    assert found["a.log"].path == str(folder / "a.log")
    assert [entry.name for entry in storage.entries(found["b"].path)] == ["c"]


def test_paths_are_sorted_and_hidden_ones_left_out(folder: Path) -> None:
    for name in ("b.x", "a.x", ".c.x", "d.y"):
        storage.write_bytes(folder / name, b"")
    assert storage.list_paths(folder, ".x") == [folder / "a.x", folder / "b.x"]
    assert storage.list_paths(folder / "missing", ".x") == []


def test_what_is_missing_is_said(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.status(folder / "missing")
    with pytest.raises(FileNotFoundError):
        list(storage.entries(folder / "missing"))
    with pytest.raises(FileNotFoundError), storage.open_at(str(folder / "missing"), 0) as reader:
        reader.read(1)


def test_copying_comparing_and_removing(folder: Path, tmp_path: Path) -> None:
    storage.write_bytes(folder / "x", b"one")
    storage.copy_file(folder / "x", tmp_path / "copy")
    storage.copy_file(tmp_path / "copy", folder / "deep" / "y")
    assert storage.same_content(folder / "x", folder / "deep" / "y")
    assert storage.same_content(folder / "x", tmp_path / "copy")
    storage.write_bytes(folder / "z", b"two")
    storage.write_bytes(folder / "w", b"longer")
    assert not storage.same_content(folder / "x", folder / "z")
    assert not storage.same_content(folder / "x", folder / "w")
    storage.remove_tree(folder)
    storage.remove_tree(folder)
    assert storage.list_paths(folder, "") == []


def test_a_name_that_is_no_object_is_not_found(folder: Path) -> None:
    storage.write_bytes(folder / "b" / "c", b"1")
    if not storage.is_local(folder):
        with pytest.raises(FileNotFoundError):
            storage.status(folder / "b")


def test_leftovers_are_removed_where_there_can_be_any(folder: Path) -> None:
    storage.write_bytes(folder / "x", b"1")
    if storage.is_local(folder):
        (folder / ".x.1234.tmp").write_bytes(b"half")
    assert storage.remove_leftovers(folder) == int(storage.is_local(folder))
    assert [path.name for path in storage.list_paths(folder, "")] == ["x"]


def test_files_that_are_flushed_together_take_their_places_at_the_end(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    one.write_text("before")
    with storage.flushing_together():
        storage.write_text(one, "after")
        storage.write_text(two, "after")
        with storage.replacing(other, durable=False) as temporary:
            temporary.write_text("at once")
        assert (one.read_text(), two.exists(), other.read_text()) == ("before", False, "at once")
    assert (one.read_text(), two.read_text()) == ("after", "after")
    storage.write_text(one, "later")
    assert one.read_text() == "later"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other", "two"]


def test_files_that_are_flushed_together_are_gone_if_the_block_fails(tmp_path: Path) -> None:
    def write() -> None:
        with storage.flushing_together():
            storage.write_text(tmp_path / "one", "half")
            raise RuntimeError

    pytest.raises(RuntimeError, write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("together", [False, True])
def test_a_folder_in_the_place_of_a_file_is_to_be_removed(tmp_path: Path, together: bool) -> None:
    path = tmp_path / "part-000000.parquet"
    path.mkdir()
    with (
        pytest.raises(InputError, match=f"^{path} is a folder, where lo2dask writes a file: remove it and run"),
        storage.flushing_together() if together else contextlib.nullcontext(),
    ):
        storage.write_bytes(path, b"x")
    assert list(tmp_path.iterdir()) == [path]


def test_a_circle_of_links_is_no_file_and_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "part-000000.parquet"
    path.symlink_to(path.name)
    with pytest.raises(FileNotFoundError):
        storage.status(path)
    storage.write_bytes(path, b"x")
    assert path.read_bytes() == b"x"
    assert not path.is_symlink()


def test_a_second_name_in_the_same_folder_and_across_stores(folder: Path, tmp_path: Path) -> None:
    storage.write_bytes(folder / "x", b"123")
    for target in (folder / "deep" / "y", tmp_path / "elsewhere" / "y"):
        storage.link_file(folder / "x", target)
        assert target.read_bytes() == b"123"
    storage.link_file(tmp_path / "elsewhere" / "y", folder / "z")
    assert (folder / "z").read_bytes() == b"123"


def test_files_that_were_not_durable_are_flushed_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    paths = [folder / "one.json", folder / "two.json"]
    for path in paths:
        storage.write_json(path, {"a": 1}, durable=False)
    assert flushed == []
    storage.flush_all(paths)
    assert len(flushed) == (2 if storage.is_local(folder) else 0)
    assert [storage.read_json(path) for path in paths] == [{"a": 1}] * 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_file_without_room_is_named_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    def write_half() -> None:
        with storage.replacing(tmp_path / "table") as temporary:
            temporary.write_bytes(b"half")
            raise OSError(number, "Error writing bytes to file")

    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        write_half()
    assert (raised.value.errno, raised.value.filename) == (number, str(tmp_path / "table"))
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, signal, sys
from pathlib import Path
import pyarrow as pa
from lo2dask.tables.parts import write_part
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
table = pa.table({"a": list(range(5000))})
try:
    write_part(Path(sys.argv[1]), table, table.schema)
except OSError as error:
    print(error.filename)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
@pytest.mark.parametrize("limit", [1, 1000, 4096])
def test_a_part_without_room_is_named_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    words = [sys.executable, "-c", LIMITED, str(tmp_path / "part.parquet"), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(tmp_path / "part.parquet")
    assert list(tmp_path.iterdir()) == []
