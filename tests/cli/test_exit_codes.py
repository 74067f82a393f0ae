"""What a command line ends with: its exit code, one line of what is wrong, and nothing that only a developer reads."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lo2dask.cli import actions as cli_actions
from lo2dask.commands.explain import explain
from lo2dask.errors import InputError, IntegrityError, Lo2Error, RejectsError
from lo2dask.execute.session import Session
from lo2dask.options import ExplainOptions


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]) -> Callable[..., Any]:
    """Run a load that raises."""

    def call(error: BaseException, *arguments: object) -> Any:
        def raise_it(options: object) -> None:
            raise error

        monkeypatch.setattr(cli_actions, "load", raise_it)
        return command("load", "--root", "r", *arguments)

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Lo2Error("it broke"), 1),
        (IntegrityError("it broke"), 1),
        (InputError("it broke"), 2),
        (RejectsError("it broke"), 3),
    ],
)
def test_errors_of_the_package(failing: Callable[..., Any], error: Exception, code: int) -> None:
    answer = failing(error)
    assert (answer.code, answer.err, answer.out) == (code, "lo2dask: it broke\n", "")


def test_a_message_is_one_line_and_acts_on_no_terminal(failing: Callable[..., Any]) -> None:
    answer = failing(InputError("bad\nname \x1b[31mred\x1b[0m \u202eevil"))
    assert answer.err == "lo2dask: bad name \\x1b[31mred\\x1b[0m \\u202eevil\n"


def test_debug_shows_the_traceback(failing: Callable[..., Any]) -> None:
    assert "Traceback" in failing(InputError("it broke"), "--debug").err
    assert "Traceback" not in failing(InputError("it broke")).err


def test_interrupted_names_the_line_that_goes_on(failing: Callable[..., Any]) -> None:
    answer = failing(KeyboardInterrupt(), "--no-resume", "--output-dir", "my files")
    assert answer.code == 130
    assert answer.lines[-1] == ("lo2dask: interrupted; resume with: lo2dask load --root r --output-dir 'my files'")


def test_an_error_that_an_interrupt_led_to_is_an_interrupt(failing: Callable[..., Any]) -> None:
    error = RuntimeError("cannot release un-acquired lock")
    error.__context__ = KeyboardInterrupt()
    assert failing(error).code == 130
    with pytest.raises(RuntimeError):
        failing(RuntimeError("it broke"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["load", "--rooot", "x"], "No such option"),
        (["laod"], "No such command 'laod'"),
        (["load"], "--root is missing; give the raw tree"),
        (["synth"], "OUT is missing; give the folder to write"),
        (["load", "somewhere"], "unexpected extra argument (somewhere)"),
        (["load", "--root", "r", "--runs", "many"], "'--runs': 'many' is not a valid integer"),
        (["load", "--root", "r", "--init-lines-to-skip", "-1"], "--init-lines-to-skip: -1 is out of range"),
        (
            ["train", "--if-contamination", "0.9"],
            "--if-contamination: 0.9 is out of range; give a number from 0.0 to",
        ),
        (["train", "--if-contamination", "nan"], "--if-contamination: nan"),
        (["load", "--root", "r", "--continuation-lines", "skip"], "'fill', 'drop', 'merge', 'keep'"),
        (["synth", "out", "--services", "tokn"], "use client, code"),
    ],
)
def test_wrong_usage_is_one_line(command: Callable[..., Any], arguments: list[str], said: str) -> None:
    answer = command(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.lines) == 1, answer.err
    assert said in answer.err


def test_without_a_command_the_help_is_shown(command: Callable[..., Any]) -> None:
    answer = command()
    assert answer.code == 2
    assert "Start here:" in answer.err


def test_the_version(command: Callable[..., Any]) -> None:
    from importlib.metadata import version

    answer = command("--version")
    assert answer.code == 0
    assert version("lo2dask") in answer.out


def test_an_unexpected_error_is_one_line() -> None:
    script = (
        "import sys; sys.argv = ['lo2dask', 'load', '--root', 'r', *sys.argv[1:]]\n"
        "from lo2dask.cli import actions, main as cli\n"
        "def broken(options): raise ValueError('two\\nlines')\n"
        "actions.load = broken\n"
        "cli.main()\n"
    )
    plain = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert plain.stderr == "lo2dask: failed: ValueError: two lines (traceback: add --debug)\n"
    debug = subprocess.run([sys.executable, "-c", script, "--debug"], capture_output=True, text=True, timeout=60)
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr


def test_a_reader_that_leaves_early_is_no_noise() -> None:
    """``lo2dask masks | head -1``: the pipe is closed before all is written."""
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-c", "from lo2dask.cli.main import main; main()", "masks"]
    done = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("seconds", [1.5, pytest.param(3.0, marks=pytest.mark.thorough)])
def test_ctrl_c_in_the_middle(tiny_tree: Path, tmp_path: Path, seconds: float) -> None:
    """A terminal interrupts every process of the command; the same line goes on and ends well."""
    options = ["--root", str(tiny_tree), "--output-dir", str(tmp_path / "out"), "--partition-size", "64KB"]
    interrupt_and_repeat(["load", *options, "--workers", "1"], seconds)


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [1.5, 2.5, 4.0, 6.0])
def test_ctrl_c_without_workers(tiny_tree: Path, tmp_path: Path, seconds: float) -> None:
    interrupt_and_repeat(["run", "--root", str(tiny_tree), "--output-dir", str(tmp_path / "out")], seconds)


def interrupt_and_repeat(words: list[str], seconds: float) -> None:
    line = [sys.executable, "-c", "from lo2dask.cli.main import main; main()", *words]
    running = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(seconds)
    stopped = running.poll() is None
    if stopped:
        os.killpg(running.pid, signal.SIGINT)
    told, errors = running.communicate(timeout=60)
    # The last line of a command that is done; what interrupts Python after it has no handler any more.
    is_done = "".join(told.splitlines()[-1:]).startswith(("next: ", "report: "))
    if not stopped or running.returncode == 0 or is_done:
        pytest.skip("it was done before it could be interrupted")
    assert running.returncode == 130
    assert "Traceback" not in errors, errors
    assert f"resume with: lo2dask {words[0]} --root" in errors.splitlines()[-1]
    again = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr


TEMPORARY = tempfile.gettempdir()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/out/x"), "/out/x: No space left on device ("),
        (
            OSError(errno.EFBIG, "File too large"),
            f"File too large, in the output folder or in {TEMPORARY};",
        ),
        (OSError(errno.EIO, "Input/output error", "/out/x"), "/out/x: Input/output error; fix it"),
    ],
)
def test_a_full_disk_is_named_with_its_room(command, monkeypatch, error: OSError, message: str) -> None:
    def fail(options: object) -> None:
        raise error

    monkeypatch.setattr(cli_actions, "load", fail)
    answer = command("load", "--root", "r")
    assert answer.code == 1
    assert len(answer.lines) == 1
    assert answer.lines[0].startswith(f"lo2dask: {message}")
    assert ("free on its disk" in answer.err) == (error.errno == errno.ENOSPC)


def test_a_limit_of_the_address_space_is_named(command, monkeypatch) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no limit of the address space")

    def fail(options: object) -> None:
        raise Lo2Error("something failed")

    monkeypatch.setattr(cli_actions, "load", fail)
    assert "address space" not in command("load", "--root", "r").err
    monkeypatch.setattr(resource, "getrlimit", lambda of: (600_000_000, -1) if of == resource.RLIMIT_AS else (-1, -1))
    answer = command("load", "--root", "r")
    assert "something failed; the address space is limited to 0.6 GB (ulimit -v)" in answer.lines[-1]


# What each command needs besides the folder it reads, {} stands for that folder, OUT for one to write.
READING = {
    "load": ("--root", "{}", "--output-dir", "OUT"), "run": ("--root", "{}", "--output-dir", "OUT"),
    "extract": ("{}", "OUT"), "score": ("--bundle", "BUNDLE", "--root", "{}", "--output-dir", "OUT"),
    "train": ("--root", "{}"), "explain": ("--root", "{}"), "report": ("--root", "{}"), "grid": ("--root", "{}"),
    "findings": ("{}",), "show": ("{}", "correct"), "audit": ("{}",), "verify": ("{}",), "serve-mcp": ("{}",),
    "plan": ("--bytes", "1GB", "--from", "{}"), "cluster check": ("{}",),
}  # fmt: skip
# Those that read no folder.
NO_FOLDER = ("synth", "cluster certificates", "models", "masks", "warmup", "formats")
OF_RAW = ("load", "run", "score")
IN_SESSION = ("load", "run", "score", "train", "explain", "grid", "verify", "plan", "cluster check")


@pytest.fixture(scope="module")
def trained(tiny_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lo2dask.commands.load import load
    from lo2dask.commands.train import train
    from lo2dask.options import LoadOptions, TrainOptions

    out = tmp_path_factory.mktemp("trained") / "out"
    load(LoadOptions(root=tiny_tree, output_dir=out), Session.serial())
    train(
        TrainOptions(root=out, models=("excess", "event_lr_words"), save_sup_models=out.parent / "saved"),
        Session.serial(),
    )
    return out


@pytest.fixture
def ending(command: Callable[..., Any], trained: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run one command on a folder; it must say what is wrong in one line on standard error."""

    def call(name: str, folder: Path) -> Any:
        bundle = next((trained.parent / "saved").rglob("*event_lr_words*.joblib"))
        places = {"OUT": tmp_path / "new", "BUNDLE": bundle, "{}": folder}
        words = [str(places.get(word, word)) for word in READING[name]]
        if name in IN_SESSION:
            words += ["--workers", "1"]
        answer = command(*name.split(), *words)
        # Progress may stand before it.
        said = [line.startswith("lo2dask") for line in answer.lines]
        assert said == [False] * (len(said) - 1) + [True], answer
        assert "Traceback" not in answer.err
        return answer

    return call


def test_every_command_is_walked_through() -> None:
    from lo2dask.cli.main import all_commands

    assert {*READING, *NO_FOLDER} == {*all_commands()}


@pytest.mark.parametrize("name", [*READING, *NO_FOLDER])
def test_a_usage_error_of_every_command(command: Callable[..., Any], name: str) -> None:
    answer = command(*name.split(), "--no-such-option")
    assert (answer.code, answer.out, len(answer.lines)) == (2, "", 1)
    assert f"(help: lo2dask {name} --help)" in answer.err


@pytest.mark.parametrize("name", READING)
def test_a_missing_folder_of_every_command(ending: Callable[..., Any], tmp_path: Path, name: str) -> None:
    answer = ending(name, tmp_path / "none")
    assert answer.code == 2
    assert str(tmp_path / "none") in answer.err
    # Commands that write into the folder that they read have made it for their lock.
    assert (
        "no such folder" in answer.err
        or "the --output-dir of load" in answer.err
        or "first: lo2dask load" in answer.err
        or name == "cluster check"
    )


@pytest.mark.parametrize("name", [name for name in READING if name != "cluster check"])
def test_the_wrong_kind_of_folder_of_every_command(
    ending: Callable[..., Any], tiny_tree: Path, trained: Path, name: str
) -> None:
    folder = trained if name in (*OF_RAW, "extract") else tiny_tree
    answer = ending(name, folder)
    assert answer.code == 2
    assert str(folder) in answer.err


# Those that train and grid read they make again, and verify lists them.
DAMAGED = {
    **dict.fromkeys(("explain", "audit"), "lo2_sequences_enhanced.parquet"),
    **{"report": "lo2_sequences.parquet", "findings": "lo2_findings.parquet", "show": "lo2_timeline.parquet"},
}


@pytest.mark.parametrize("name", [*DAMAGED][1:] + [pytest.param("explain", marks=pytest.mark.thorough)])
def test_a_damaged_table_of_every_command(ending: Callable[..., Any], trained: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained, out)
    for part in (out / DAMAGED[name]).glob("*.parquet"):
        part.write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")
    answer = ending(name, out)
    assert answer.code == 1
    assert f"{DAMAGED[name]}/part-000000.parquet is damaged" in answer.err
    assert "delete it and run" in answer.err


def test_a_kept_model_without_its_hash_is_named_with_the_way_out(trained: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    gone = out / "_lo2dask" / "models" / "excess.joblib.sha256"
    gone.unlink()
    with pytest.raises(InputError) as raised:
        explain(ExplainOptions(root=out), Session.serial())
    assert str(raised.value) == f"{gone} is missing: run lo2dask train --root {out} again, which writes it"
