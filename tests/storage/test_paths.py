from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lo2dask import LoadOptions, SynthOptions
from lo2dask.errors import InputError
from lo2dask.options import plain
from lo2dask.options.paths import is_local, to_path

SECRET = "hunter2"


@pytest.mark.parametrize("name", ["tree", "/data/tree", "a:b/c", "C:/tree", "s3", ".", "x:/y", "-"])
def test_a_name_is_a_local_path(name: str) -> None:
    assert to_path(name) == Path(name)
    assert is_local(to_path(name))


def test_a_local_path_object_is_left_as_it_is() -> None:
    path = Path("tree/x")
    assert to_path(path) is path


@pytest.mark.parametrize("url", ["file:///data/lo2", "FILE:///data/lo2", Path("file:///data/lo2")])
def test_a_file_url_is_a_local_path(url: str | Path) -> None:
    assert to_path(url) == Path("/data/lo2")
    assert is_local(to_path(url))


def test_a_file_url_needs_the_whole_path() -> None:
    with pytest.raises(InputError, match="three slashes"):
        to_path("file://data/lo2")


@pytest.mark.parametrize("url", ["memory://tree/x", "memory://tree//x/", "memory://tree/./x", Path("memory://tree/x")])
def test_a_url_is_no_local_path_and_keeps_its_slashes(url: str | Path) -> None:
    path = to_path(url)
    assert not is_local(path)
    assert str(path) == "memory://tree/x"
    assert str(path / "y" / "z") == "memory://tree/x/y/z"
    assert plain({"root": path}) == {"root": "memory://tree/x"}


@pytest.mark.parametrize(
    "url",
    [
        f"s3://me:{SECRET}@bucket/x",
        f"s3://me:{SECRET}@bucket",
        f"s3://bucket/x?secret={SECRET}",
        f"s3:/me:{SECRET}@b/x",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as caught:
        LoadOptions(root=to_path("x"), output_dir=url)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    assert "--output-dir" in str(caught.value)
    assert "environment" in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://host/x", "http://host/x", "s3n://bucket/x"])
def test_an_unknown_protocol_names_the_known_ones(url: str) -> None:
    with pytest.raises(InputError, match="s3://, gs:// and file://"):
        to_path(url)


@pytest.mark.parametrize(("url", "said"), [("memory://", "bucket is missing"), ("memory://b/../c", "means nothing")])
def test_a_url_that_leads_nowhere_is_refused(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        to_path(url)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'lo2dask\[gs\]'"):
        to_path("gs://bucket/x")


def test_options_make_paths_of_urls() -> None:
    options = LoadOptions(root="memory://raw/tree", output_dir="file:///out")  # type: ignore[arg-type]
    assert str(options.root) == "memory://raw/tree"
    assert options.output_dir == Path("/out")
    assert options.paths() == [options.output_dir, options.root]


@pytest.mark.parametrize("name", ["config", "mask_file"])
def test_what_must_be_local_is_said(name: str) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} memory://b/x: must be on this machine"):
        LoadOptions(root=Path("x"), **{name: "memory://b/x"})
    with pytest.raises(InputError, match="--out memory://b/x: must be on this machine"):
        SynthOptions(out="memory://b/x")  # type: ignore[arg-type]


def test_the_command_line_refuses_a_secret_without_repeating_it(command: Callable[..., Any]) -> None:
    answer = command("load", "--root", f"s3://me:{SECRET}@bucket/x")
    assert answer.code == 2
    assert SECRET not in answer.out + answer.err
    assert "--root" in answer.err
    assert len(answer.err.strip().splitlines()) == 1
