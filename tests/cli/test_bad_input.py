"""Input that cannot be used: exit code 2 and one line with the path or option and the way out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def refused(command: Callable[..., Any]) -> Callable[..., str]:
    """Run a command line that must be refused; return the one line that says why."""

    def call(*arguments: object) -> str:
        answer = command(*arguments)
        assert answer.code == 2, answer
        # How the tree is read may stand before it.
        lines = [line for line in answer.lines if not line.startswith("layout: ")]
        assert (answer.out, len(lines)) == ("", 1), answer
        return answer.err

    return call


@pytest.fixture(scope="module")
def loaded(tiny_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the tiny tree."""
    from lo2dask.commands.load import load
    from lo2dask.execute.session import Session
    from lo2dask.options import LoadOptions

    out = tmp_path_factory.mktemp("loaded") / "out"
    options = LoadOptions(root=tiny_tree, output_dir=out)
    load(options, Session.serial(options))
    return out


def test_a_root_that_does_not_exist(refused: Callable[..., str], tmp_path: Path) -> None:
    said = refused("load", "--root", tmp_path / "none", "--output-dir", tmp_path / "out")
    assert f"--root {tmp_path}/none: no such folder" in said
    assert "light-oauth2-data-" in said


def test_a_root_that_is_a_file(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    said = refused("load", "--root", tmp_path / "file", "--output-dir", tmp_path / "out")
    assert "a file, not a folder" in said
    assert "give the folder that holds the runs" in said


def test_an_empty_root(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = refused("load", "--root", tmp_path / "empty", "--output-dir", tmp_path / "out")
    assert "the folder is empty" in said
    assert "looked for light-oauth2-data-" in said


def test_a_root_without_a_run(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "tree" / "photos").mkdir(parents=True)
    said = refused("load", "--root", tmp_path / "tree", "--output-dir", tmp_path / "out")
    assert "no run in it; looked for" in said
    assert "found photos" in said


@pytest.mark.parametrize("root", ["none", "file"])
def test_a_refused_root_leaves_nothing_behind(refused: Callable[..., str], tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_text("x")
    refused("load", "--root", tmp_path / root, "--output-dir", tmp_path / "out")
    assert not list(tmp_path.glob("out/lo2_*"))


@pytest.mark.parametrize("option", ["--service-types", "--single-service"])
def test_an_unknown_service(refused: Callable[..., str], tiny_tree: Path, tmp_path: Path, option: str) -> None:
    said = refused("load", "--root", tiny_tree, "--output-dir", tmp_path / "out", option, "tokn")
    assert "'tokn'" in said
    assert "client, code, key, refresh-token, service, token, user" in said


def test_an_unknown_error_type(refused: Callable[..., str], tiny_tree: Path, tmp_path: Path) -> None:
    said = refused("load", "--root", tiny_tree, "--output-dir", tmp_path / "out", "--single-error-type", "nothing")
    there = sorted({path.name for path in tiny_tree.glob("light*/*") if path.name != "correct" and path.is_dir()})
    assert "'nothing'" in said
    assert all(name in said for name in there)


def test_an_unknown_model(refused: Callable[..., str], loaded: Path) -> None:
    said = refused("train", "--root", loaded, "--models", "event_lr_words,event_lr_wrods")
    assert "'event_lr_wrods'" in said
    assert "did you mean event_lr_words?" in said
    assert "lo2dask models" in said


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (["--models", "lr_bigrams"], "did you mean lr_trigrams?"),
        (["--if-item", "e_bigrams"], "e_words, e_trigrams, e_templates"),
        (["--if-numeric", "seq_length"], "seq_len"),
    ],
)
def test_an_unknown_representation(refused: Callable[..., str], loaded: Path, arguments: list[str], known: str) -> None:
    said = refused("train", "--root", loaded, *arguments)
    assert arguments[1] in said
    assert known in said


def test_a_second_load_with_other_options(refused: Callable[..., str], tiny_tree: Path, loaded: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in loaded.rglob("*") if path.is_file()}
    said = refused("load", "--root", tiny_tree, "--output-dir", loaded, "--continuation-lines", "drop")
    assert "continuation_lines was 'fill', now 'drop'" in said
    assert "--no-resume" in said
    assert "--output-dir" in said
    assert {path: path.stat().st_mtime_ns for path in loaded.rglob("*") if path.is_file()} == before


def test_a_second_load_of_another_tree(
    refused: Callable[..., str], tiny_tree: Path, loaded: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").symlink_to(tiny_tree)
    (tmp_path / "tree" / "run_0001" / "correct").mkdir(parents=True)
    said = refused("load", "--root", tmp_path / "tree", "--output-dir", loaded)
    assert "--no-resume" in said
    assert "root was" in said


@pytest.mark.parametrize("name", ["train", "explain"])
def test_nothing_loaded_yet(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    assert str(tmp_path / "none") in refused(name, "--root", tmp_path / "none")


def test_a_cluster_that_is_none(refused: Callable[..., str], tiny_tree: Path, tmp_path: Path) -> None:
    said = refused("load", "--root", tiny_tree, "--output-dir", tmp_path / "out", "--cluster", "nowhere")
    assert "--cluster nowhere" in said
    assert "tcp://host:port" in said


def test_synth_does_not_write_over_what_is_not_its_own(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert "is not empty" in refused("synth", tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


@pytest.mark.usefixtures("serially")
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("app.bin", bytes(range(256)) * 40, "no text file in it"),
        ("photo.png", PNG, "no text file in it, which a log is; there are 2 image"),
        ("app.log", b"\x00\x01\x02" * 2000, "no text"),
        ("app.log", b"one of nothing\ntwo\nthree\n", "not understood: one of nothing | two | three"),
        ("app.log", b'{\n  "a": 1\n}\n' * 20, "JSON printed over several lines is read as text"),
    ],
)
def test_a_tree_that_nothing_can_be_read_of(
    command: Callable[..., Any], tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    for run in ("a", "b"):
        (tmp_path / "tree" / run).mkdir(parents=True)
        (tmp_path / "tree" / run / name).write_bytes(content)
    answer = command("load", "--root", tmp_path / "tree", "--output-dir", tmp_path / "out", "--workers", 0)
    assert answer.code == 2, answer
    assert reason in answer.err
    assert "Traceback" not in answer.err


def test_formats_are_tried_with_an_own_format_and_zone(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("02.01.2026 03:04:05 | hi\nsecond\n", encoding="utf-8")
    (tmp_path / "own.yaml").write_text(
        "{name: bar, pattern: '(?P<time>\\S+ \\S+) [|] ', time: '%d.%m.%Y %T', example: '02.01.2026 03:04:05 | x'}"
    )
    answer = command(
        "formats", "--try", tmp_path / "a.log", "--format", tmp_path / "own.yaml", "--timezone", "Asia/Tokyo"
    )
    assert answer.out.splitlines() == ["bar: 1 of 2 lines", "  not: second"]
    for option, value in (("--timezone", "Mars"), ("--format", "none")):
        assert command("formats", "--try", tmp_path / "a.log", option, value).code == 2
    every = command("formats", "--try", tmp_path / "a.log").out
    assert "no line: lo2, logback" in every
    assert every.endswith("  not: 02.01.2026 03:04:05 | hi\n  not: second\n")


def test_a_cluster_file_is_read_before_the_tree(command: Callable[..., Any], tiny_tree: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("kind: lokal\n")
    for name in (tmp_path / "c.yaml", "lokal"):
        answer = command("load", "--root", tiny_tree, "--output-dir", tmp_path / "out", "--cluster", name)
        assert (answer.code, len(answer.lines)) == (2, 1), answer
        assert not list(tmp_path.rglob("manifest"))
