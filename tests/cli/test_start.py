"""The program starts at once: nothing heavy is imported to show help, and little to list models."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .conftest import COMMANDS

HEAVY = ("pandas", "sklearn", "shap", "xgboost", "matplotlib", "dask", "distributed", "pyarrow", "scipy", "numpy")


def modules_after(*lines: str) -> set[str]:
    """Names of the packages that command lines import, one after the other in one process."""
    script = (
        "import sys, json\n"
        "from lo2dask.cli.main import run\n"
        "codes = [run(line.split()) for line in sys.argv[1:]]\n"
        "print('\\n' + json.dumps([codes, sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *lines], capture_output=True, text=True, timeout=60)
    codes, names = json.loads(done.stdout.splitlines()[-1])
    assert not any(codes), done.stderr
    return set(names)


def test_help_imports_nothing_heavy() -> None:
    commands = [*(name.replace("_", "-") for name in COMMANDS), "models", "masks"]
    assert not modules_after("--help", *(f"{command} --help" for command in commands)) & set(HEAVY)


def test_listing_models_imports_no_library_of_models() -> None:
    lines = ("models", "train --list-models", "explain --list-models", "run --list-models")
    assert not modules_after(*lines) & {"pandas", "sklearn", "shap", "xgboost", "matplotlib", "dask", "scipy"}


def test_help_takes_less_than_a_second(program: Callable[..., Any]) -> None:
    """The best of five, because a busy machine only adds to it."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        assert program("--help").returncode == 0
        taken.append(time.perf_counter() - began)
    assert min(taken) < 1.0, taken


def test_the_models_are_listed_alike(command: Callable[..., Any]) -> None:
    listed = command("models").out
    for key in ("event_lr_words", "event_xgb_words", "event_oov_words", "sequence_shap_lr_words"):
        assert any(line.startswith(key + " ") for line in listed.splitlines())
    assert "distributed" in listed
    assert "drift" in listed
    for line in ("train", "explain", "run"):
        assert command(line, "--list-models").out == listed


def test_each_mask_is_shown_with_its_example_and_what_becomes_of_it(command: Callable[..., Any]) -> None:
    from lo2dask.features.masks import ALL_MASKS

    lines = command("masks").out.splitlines()[1:]
    assert len(lines) == len(ALL_MASKS)
    for mask in ALL_MASKS:
        (line,) = (one for one in lines if one.split()[0] == mask.name)
        assert mask.example in line
    assert any("172.18.0.5" in line and "<IP>" in line for line in lines)


def test_own_masks_are_shown_too(command: Callable[..., Any], tmp_path: Any) -> None:
    path = tmp_path / "masks.yaml"
    path.write_text("- {name: ticket, pattern: 'T-[0-9]+', replacement: <TICKET>, example: T-17}\n")
    shown = command("masks", "--mask-file", path).out
    assert "ticket" in shown
    assert "<TICKET>" in shown
    missing = command("masks", "--mask-file", tmp_path / "none.yaml")
    assert missing.code == 2
    assert len(missing.lines) == 1
