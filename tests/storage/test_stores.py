"""What object stores answer: times of change, ranges, missing buckets and refusals, none of which shows a secret."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask import storage
from lo2dask.errors import InputError
from lo2dask.storage import buckets, remote

MOMENT = datetime(2024, 6, 28, 16, 43, 6, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.mark.parametrize(
    ("info", "ns"),
    [
        ({"LastModified": MOMENT}, SECONDS * 10**9),
        ({"mtime": float(SECONDS)}, SECONDS * 10**9),
        ({"updated": "2024-06-28T16:43:06+00:00"}, SECONDS * 10**9),
        ({"created": SECONDS, "mtime": None}, SECONDS * 10**9),
        ({}, 0),
    ],
)
def test_stores_name_the_time_of_change_in_many_ways(info: dict[str, Any], ns: int) -> None:
    path = SimpleNamespace(protocol="s3")
    entry = remote._entry(path, {"name": "/bucket/a/x.log", "type": "file", "size": 7, **info})
    assert (entry.name, entry.path, entry.stat().st_size, entry.stat().st_mtime_ns) == (
        "x.log",
        "s3://bucket/a/x.log",
        7,
        ns,
    )
    assert (entry.is_file(), entry.is_dir(), entry.is_symlink(), entry.stat().st_ino) == (True, False, False, 0)


def test_other_content_in_the_same_second_has_another_time() -> None:
    times = [
        remote._entry(
            SimpleNamespace(protocol="s3"), {"name": "b/x", "type": "file", "LastModified": MOMENT, "ETag": t}
        )
        for t in ('"one"', '"two"', '"one"')
    ]
    assert times[0].mtime_ns == times[2].mtime_ns != times[1].mtime_ns
    assert {time.mtime_ns // 10**9 for time in times} == {SECONDS}


@pytest.fixture
def folder() -> Iterator[Path]:
    pytest.importorskip("upath")
    path = storage.to_path(f"memory://{uuid.uuid4().hex}/folder")
    yield path
    storage.remove_tree(path)


@given(st.binary(max_size=40), st.integers(0, 45), st.lists(st.integers(0, 12), max_size=6))
def test_ranges_are_those_of_a_local_file(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, offset: int, sizes: list[int]
) -> None:
    pytest.importorskip("upath")
    local = tmp_path_factory.getbasetemp() / "ranges"
    far = storage.to_path("memory://ranges/x")
    for path in (local, far):
        storage.write_bytes(path, data)
    with storage.open_at(str(local), offset) as near, storage.open_at(str(far), offset) as ranged:
        for size in sizes:
            assert near.read(size) == ranged.read(size)
    rooms = [bytearray(30), bytearray(30)]
    filled = []
    for path, room in zip((local, far), rooms, strict=True):
        with storage.open_at(str(path), offset) as reader:
            filled.append(storage.read_into(reader, memoryview(room)))
    assert filled[0] == filled[1] == min(30, max(len(data) - offset, 0))
    assert rooms[0] == rooms[1]


def test_the_empty_object_of_a_folder_is_not_listed(folder: Any) -> None:
    storage.write_bytes(folder / "a", b"1")
    names = [folder.path + "/", *(info["name"] for info in folder.fs.ls(folder.path, detail=True))]
    fs = SimpleNamespace(ls=lambda *_, **__: [{"name": name, "type": "file", "size": 1} for name in names])
    found = remote.scan(SimpleNamespace(path=folder.path, protocol="memory", fs=fs))
    assert [entry.name for entry in found] == ["a"]


def test_what_is_uploaded_leaves_no_local_file(folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with remote.uploading(folder / "x") as temporary:
        assert temporary.parent.parent == tmp_path
        temporary.write_bytes(b"whole")
    assert (folder / "x").read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == []


def refuse(error: Exception) -> SimpleNamespace:
    """Return a store whose every answer is one error."""

    def answer(*_: object, **__: object) -> None:
        raise error

    return SimpleNamespace(ls=answer, info=answer)


class NoCredentialsError(OSError):
    """Stands for botocore's error of this name."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError("bucket"), "s3://lo2: no such bucket; make it, or correct the name"),
        (PermissionError("key hunter2 refused"), "s3://lo2: refused (key *** refused); set AWS_ACCESS_KEY_ID"),
        (NoCredentialsError("none"), "s3://lo2: no credentials found; set AWS_ACCESS_KEY_ID"),
        (ConnectionError("hunter2@host"), "s3://lo2: cannot be reached (ConnectionError: ***@host)"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_one_line(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setattr(buckets, "to_path", lambda name: SimpleNamespace(fs=refuse(error)))
    monkeypatch.setattr(buckets, "_failures", lambda protocol: (OSError,))
    buckets._check_bucket.cache_clear()
    with pytest.raises(InputError) as caught:
        storage.check_buckets([None, Path("local"), SimpleNamespace(protocol="s3", path="lo2/tree")])
    assert str(caught.value).startswith(said)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_of_a_bucket_that_is_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def nothing_there(key: str, detail: bool) -> None:
        raise FileNotFoundError(key)

    fs = SimpleNamespace(ls=nothing_there, info=asked.append)
    monkeypatch.setattr(buckets, "to_path", lambda name: SimpleNamespace(fs=fs))
    buckets._check_bucket.cache_clear()
    storage.check_buckets([SimpleNamespace(protocol="gs", path="lo2/deep/folder")] * 2)
    assert asked == ["lo2"], "a bucket is asked for once"
