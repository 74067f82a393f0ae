"""What a worker keeps of files is read again when they are written again."""

import os
from pathlib import Path

from lo2dask.storage import cached_files, write_text


def test_a_file_is_read_once_until_it_is_written_again(tmp_path: Path) -> None:
    reads = []

    @cached_files(maxsize=2)
    def read(path: Path, suffix: str) -> str:
        reads.append(path.name)
        return path.read_text(encoding="utf-8") + suffix

    first, second = tmp_path / "first", tmp_path / "second"
    write_text(first, "a")
    write_text(second, "b")
    assert [read(first, "!"), read(first, "!"), read(second, "!"), read(first, "?")] == ["a!", "a!", "b!", "a?"]
    assert reads == ["first", "second", "first"]
    before = first.stat()
    write_text(first, "c")
    # Neither the size nor the time tells them apart: another file has the name.
    os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read(first, "!") == "c!"


def test_files_in_a_tuple_count_and_a_path_that_is_left_out_does_not(tmp_path: Path) -> None:
    reads = []

    @cached_files(maxsize=1)
    def read(paths: tuple[Path, ...], more: Path | None) -> int:
        reads.append(len(paths))
        return sum(len(path.read_text(encoding="utf-8")) for path in paths)

    paths = (tmp_path / "one", tmp_path / "two")
    for path in paths:
        write_text(path, "x")
    assert read(paths, None) == read(paths, None) == 2
    write_text(paths[1], "xx")
    assert read(paths, None) == 3
    assert reads == [2, 2]
