"""Options made from the option classes: lists, paths, switches, help."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from lo2dask.cli.help import HelpContext
from lo2dask.cli.main import all_commands
from lo2dask.cli.options import OptionsCommand, default_text, flags, spread_lists
from lo2dask.domain import SERVICES
from lo2dask.options import Options

COMMANDS = [command for command in all_commands().values() if isinstance(command, OptionsCommand)]


@pytest.mark.parametrize(
    "words",
    [
        ["--service-types", "code", "token"],
        ["--service-types", "code,token"],
        ["--service-types", "code, token"],
        ["--service-types=code", "token"],
        ["--service-types", "code", "--service-types", "token"],
    ],
)
def test_a_list_may_be_spaced_comma_separated_or_repeated(parsed: Callable[..., Any], words: list[str]) -> None:
    options = parsed("load", *words, "--save-parquet", "--root", "r")
    assert options.service_types == ("code", "token")
    assert options.save_parquet
    assert options.root == Path("r")


def test_an_empty_list_is_empty(parsed: Callable[..., Any]) -> None:
    assert parsed("train", "--if-numeric", "").if_numeric == ()


def test_a_list_without_a_word_is_wrong_usage(command: Callable[..., Any]) -> None:
    answer = command("load", "--root", "r", "--service-types", "--save-parquet")
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert "--service-types needs at least one word" in answer.err


@pytest.mark.parametrize(
    "words", [["--services", "code", "token", "OUT"], ["OUT", "--services", "code", "token"],
              ["--services", "code,token", "OUT", "--runs", "1"]]
)  # fmt: skip
def test_a_list_leaves_the_positional_argument_alone(parsed: Callable[..., Any], words: list[str]) -> None:
    options = parsed("synth", *words)
    assert options.services == ("code", "token")
    assert options.out == Path("OUT")


def test_a_list_without_known_choices_takes_one_word_before_the_argument() -> None:
    takers: dict[str, tuple[str, ...]] = {"--test-cases": (), "--services": SERVICES}
    assert spread_lists(["--test-cases", "a,b", "OUT"], takers, True) == ["--test-cases", "a,b", "OUT"]
    assert spread_lists(["--test-cases", "a", "b", "--x"], takers, False) == [
        "--test-cases", "a", "--test-cases", "b", "--x",
    ]  # fmt: skip
    assert spread_lists(["--services", "a", "--", "--services", "b"], takers, False) == [
        "--services", "a", "--", "--services", "b",
    ]  # fmt: skip


def test_negative_numbers_are_values(parsed: Callable[..., Any]) -> None:
    assert parsed("load", "--root", "r", "--errors-per-run", "-1", "--runs", "-3").runs == -3


def test_switches_go_both_ways(parsed: Callable[..., Any]) -> None:
    options = parsed("load", "--root", "r", "--no-trim-init-lines", "--no-resume", "--balance-correct")
    assert (options.trim_init_lines, options.resume, options.balance_correct) == (False, False, True)


def test_home_is_resolved(parsed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert parsed("load", "--root=~/lo2").root == Path("/somewhere/lo2")


def test_an_unset_variable_is_not_the_current_folder(command: Callable[..., Any]) -> None:
    answer = command("load", "--root", "")
    assert answer.code == 2
    assert "--root" in answer.err
    assert "variable" in answer.err


@pytest.mark.parametrize("made", COMMANDS, ids=lambda made: made.name)
def test_the_whole_help_has_every_option_with_default_and_unit(
    made: OptionsCommand, capsys: pytest.CaptureFixture[str]
) -> None:
    context = HelpContext(made, info_name=made.name, terminal_width=400)
    with context, pytest.raises(click.exceptions.Exit):
        made.parse_args(context, ["--help-all"])
    shown = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(made.kind):
        if not field.metadata.get("argument"):
            assert flags(field, made.kind).replace("/", " / ") in shown
            assert f"{field.metadata['help']} [{default_text(field)}]" in " ".join(shown.split())
        if field.metadata["unit"] and field.default not in (None, dataclasses.MISSING):
            assert field.metadata["unit"] in default_text(field)


@pytest.mark.parametrize("made", COMMANDS, ids=lambda made: made.name)
def test_the_options_of_a_class_are_all_there_once(made: OptionsCommand) -> None:
    names = [param.name for param in made.params]
    assert sorted(names) == sorted(field.name for field in dataclasses.fields(made.kind))


def test_what_every_command_takes() -> None:
    everywhere = {"config", "quiet", "log_format", "debug"}
    working = everywhere | {"cluster", "workers", "threads_per_worker", "memory_limit", "resume", "strict"}
    reaching = {"workers", "threads_per_worker", "memory_limit", "insecure", "tls_folder"}
    expected_of = {
        "synth": everywhere, "extract": everywhere | {"resume", "strict"}, "check": everywhere | reaching,
        "audit": everywhere, "findings": everywhere, "show": everywhere, "serve-mcp": everywhere,
        "warmup": everywhere,
    }  # fmt: skip
    for made in COMMANDS:
        expected = expected_of.get(made.name or "", working)
        assert expected <= {param.name for param in made.params}, made.name


def test_run_takes_the_options_of_its_stages() -> None:
    names = {made.name: {param.name for param in made.params} for made in COMMANDS}
    missing = (names["load"] | names["train"] | names["explain"]) - names["run"]
    assert missing <= {"raw_root", "load_sup_models", "dry_run", "seq_id"}


def test_options_are_a_class_of_options() -> None:
    assert all(issubclass(made.kind, Options) for made in COMMANDS)
    assert {made.name for made in COMMANDS} == {
        "synth",
        "load",
        "train",
        "explain",
        "extract",
        "audit",
        "findings",
        "show",
        "serve-mcp",
        "report",
        "score",
        "grid",
        "run",
        "verify",
        "plan",
        "check",
        "warmup",
    }
