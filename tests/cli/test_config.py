"""``--config FILE.yaml``: the flags' names, the order of precedence, and what is wrong with a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lo2dask.options import LoadOptions


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "lo2.yaml"
        path.write_text(text)
        return path

    return write


def test_names_as_the_flags_with_dashes_or_underscores(
    parsed: Callable[..., Any], config: Callable[[str], Path]
) -> None:
    path = config(
        "root: raw\nservice-types: [code, token]\nruns: 5\nsave_events: true\n--init-lines-to-skip: 7\n"
        "no-duplicates: true\nmemory-limit: 2GB\n"
    )
    assert parsed("load", "--config", path) == LoadOptions(
        root=Path("raw"), service_types=("code", "token"), runs=5, save_events=True, init_lines_to_skip=7,
        allow_duplicates=False, memory_limit="2GB", config=path,
    )  # fmt: skip


def test_the_command_line_goes_before_the_file(parsed: Callable[..., Any], config: Callable[[str], Path]) -> None:
    path = config("root: raw\nruns: 5\nsave-events: true\nservice-types: code token\n")
    options = parsed("load", "--config", path, "--runs", "2", "--no-save-events", "--root", "other")
    assert (options.runs, options.save_events, options.root) == (2, False, Path("other"))
    assert options.service_types == ("code", "token")


def test_a_value_equal_to_the_default_still_goes_before_the_file(
    parsed: Callable[..., Any], config: Callable[[str], Path]
) -> None:
    assert parsed("load", "--root", "r", "--config", config("runs: 5"), "--runs", "0").runs == 0


def test_an_empty_file_changes_nothing(parsed: Callable[..., Any], config: Callable[[str], Path]) -> None:
    path = config("# nothing\n")
    assert parsed("load", "--root", "r", "--config", path) == LoadOptions(root=Path("r"), config=path)


def test_floats_and_the_argument_of_synth(parsed: Callable[..., Any], config: Callable[[str], Path]) -> None:
    options = parsed("synth", "--config", config("out: tree\nscale: 1e-3\nlayout: v2\n"))
    assert (options.out, options.scale, options.layout) == (Path("tree"), 0.001, "v2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service_typs: code", "'service_typs' is no option of this command; close to it: service-types"),
        ("zzz: 1", "'zzz' is no option of this command"),
        ("config: other.yaml", "'config' is no option"),
        ("runs: many", "runs: 'many' is not a valid integer"),
        ("runs: [1, 2]", "runs: [1, 2] cannot be its value"),
        ("runs:", "runs: None cannot be its value"),
        ("save-events: maybe", "save-events: must be true or false, not 'maybe'"),
        ("runs: true", "runs: True cannot be its value"),
        ("normal: [fine, yes]", "normal: True cannot be its value; quote it if it is a text"),
        ("test-cases: [[a]]", "test-cases: ['a'] cannot be its value"),
        ("include: 2024-01-01", "include: datetime.date(2024, 1, 1) cannot be its value; quote it"),
        ("runs: 1\nruns_: 2", "'runs_' is no option"),
        ("save-events: true\nsave_events: true", "'save_events' is given twice"),
        ("- runs", "must be lines of `name: value`"),
        ("runs: [1", "not valid YAML"),
        ("continuation-lines: skip", "'skip' is not one of 'fill', 'drop', 'merge', 'keep'"),
    ],
)
def test_what_is_wrong_is_named(
    command: Callable[..., Any], config: Callable[[str], Path], text: str, said: str
) -> None:
    path = config(text)
    answer = command("load", "--root", "r", "--config", path)
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert str(path) in answer.err
    assert said in answer.err


def test_a_file_that_is_not_there(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("load", "--root", "r", "--config", tmp_path / "none.yaml")
    assert answer.code == 2
    assert "none.yaml: No such file or directory" in answer.err
