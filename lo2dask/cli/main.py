"""The console program: commands made from the options, exit codes, and the only place that prints."""

import os
import shlex
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from lo2dask import options
from lo2dask.cli.help import Commands
from lo2dask.cli.options import FilePath, OptionsCommand
from lo2dask.cli.text import one_line, say
from lo2dask.errors import ClusterError, FindingsError, InputError, Lo2Error, RejectsError

FAILED, UNUSABLE, REJECTED, FOUND, INTERRUPTED = 1, 2, 3, 4, 130


# The groups of the commands in the help; a command that is named nowhere is one of the last.
HEADINGS = {
    "Start here": ("run", "findings", "synth"),
    "Steps": ("extract", "load", "train", "explain", "report", "score"),
    "Look": ("show", "audit", "models", "masks", "formats"),
    "Clusters": ("cluster check", "cluster certificates"),
    "Tools": ("plan", "verify", "grid", "warmup"),
}


@click.group(
    cls=Commands, headings=HEADINGS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.version_option(package_name="lo2dask")
def cli() -> None:
    """Find anomalies in large trees of microservice logs (LO2), from raw files to explanations, out of core on Dask.

    The usual order is load, train, explain, report; run does all four. Each resumes where it was interrupted.

    Exit codes: 0 done; 1 failed; 2 wrong usage or unusable input; 3 done, but --strict and something was rejected;
    4 done, but --fail-on-findings and something stands out; 130 interrupted.
    """


def all_commands() -> dict[str, click.Command]:
    """Return every command by its full name; those of a group as ``cluster check``."""
    return cli.flat()


def main() -> None:
    """Run the program and end the process with its exit code."""
    sys.excepthook = _unexpected
    if "--debug" not in sys.argv:
        _silence_libraries()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; unexpected errors are raised."""
    arguments = list(arguments)
    state: dict[str, Any] = {}
    try:
        return cli.main(arguments, prog_name="lo2dask", standalone_mode=False, obj=state) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message(), err=True)
        return UNUSABLE
    except click.UsageError as error:
        say(_usage(error), err=True)
        return UNUSABLE
    except (click.Abort, KeyboardInterrupt) as error:
        return _interrupted(error, arguments)
    except BrokenPipeError:
        # The reader has seen enough (`| head`); Python must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Lo2Error, OSError) as error:
        if _debugging(arguments, state):
            say(traceback.format_exc(), err=True)
        say(f"lo2dask: {_message(error)}{_limit_hint(error)}{_resume_hint(error, arguments)}", err=True)
        return _exit_code(error)
    except RuntimeError as error:
        # Ctrl-C within a library's `with lock:` ends in an error of the lock.
        if _follows_interrupt(error):
            return _interrupted(error, arguments)
        raise


def _follows_interrupt(error: BaseException | None) -> bool:
    """Return whether an error was raised while a KeyboardInterrupt was handled."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _usage(error: click.UsageError) -> str:
    """Write what is wrong with a command line, which names come close, and where its help is, in one line."""
    command = error.ctx.command_path if error.ctx else "lo2dask"
    close = getattr(error, "possibilities", None)
    wrong = f"{error.message.rstrip('.')}; close to it: {', '.join(close)}" if close else error.format_message()
    return f"{command}: {one_line(wrong)} (help: {command} --help)"


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        path = f"{error.filename}: " if error.filename else ""
        return f"{path}{error.strerror or error}{_disk(error)}; fix it and run the same command again; it resumes"
    return one_line(str(error))


def _disk(error: OSError) -> str:
    """Write how full the disk is on which a file has no room, and which folders it may be where no file is named."""
    from lo2dask.memory import format_bytes
    from lo2dask.storage import NO_ROOM, free_bytes

    if error.errno not in NO_ROOM:
        return ""
    if not error.filename:
        return f", in the output folder or in {tempfile.gettempdir()}"
    free = free_bytes(Path(error.filename))
    return "" if free is None else f" ({format_bytes(free)} free on its disk; a quota or `ulimit -f` may leave less)"


def _limit_hint(error: BaseException) -> str:
    """Name a limit of the address space, under which libraries fail in ways that say nothing of it."""
    if sys.platform == "win32" or isinstance(error, InputError | RejectsError | FindingsError):
        return ""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return ""
    return f"; the address space is limited to {limit / 1e9:.1f} GB (ulimit -v), which may be why: raise it"


def _exit_code(error: Exception) -> int:
    if isinstance(error, InputError):
        return UNUSABLE
    if isinstance(error, FindingsError):
        return FOUND
    return REJECTED if isinstance(error, RejectsError) else FAILED


def _interrupted(error: BaseException, arguments: list[str]) -> int:
    if isinstance(error.__cause__, EOFError):
        say("lo2dask: the input ended too early", err=True)
        return FAILED
    say(f"lo2dask: interrupted; resume with: {_again(arguments)}", err=True)
    return INTERRUPTED


def _resume_hint(error: Exception, arguments: list[str]) -> str:
    return f"; resume with: {_again(arguments)}" if isinstance(error, ClusterError) else ""


def _again(arguments: list[str]) -> str:
    """Write the command line that resumes where this one stopped."""
    return shlex.join(["lo2dask", *(word for word in arguments if word != "--no-resume")])


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an unexpected error: one line, with ``--debug`` the traceback too; Python then exits with 1."""
    if "--debug" in sys.argv:
        say("".join(traceback.format_exception(kind, error, trace)), err=True)
    say(
        f"lo2dask: failed: {kind.__name__}: {one_line(str(error))}{_limit_hint(error)} (traceback: add --debug)",
        err=True,
    )


def _debugging(arguments: list[str], state: dict[str, Any]) -> bool:
    return "--debug" in arguments or bool(getattr(state.get("options"), "debug", False))


def _silence_libraries() -> None:
    """Keep the chatter of Dask and the warnings of libraries from the user, here and in the workers.

    It is set in the environment, because workers are new processes that inherit nothing else; Dask reads its logging
    from there when it is first imported.
    """
    os.environ.setdefault("DASK_LOGGING__VERSION", "1")
    os.environ.setdefault("DASK_LOGGING__DISABLE_EXISTING_LOGGERS", "False")
    os.environ.setdefault("DASK_LOGGING__ROOT__LEVEL", "CRITICAL")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    warnings.simplefilter("ignore")


def _add(name: str, help: str, group: click.Group = cli) -> None:
    """Add a command: the function of its name in cli/actions.py, imported when it runs, gets its options."""

    def act(given: Any) -> None:
        """Import what the command needs, and run it."""
        from lo2dask.cli import actions

        function: Callable[[Any], None] = getattr(actions, name.replace("-", "_"))
        function(given)

    kind = "".join(part.capitalize() for part in name.split("-"))
    command = OptionsCommand(name, getattr(options, f"{kind}Options"), act, help)
    for param in command.params:
        if param.name == "list_models":
            param.is_eager, param.callback = True, _list_and_end
    group.add_command(command)


def _list_and_end(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """List the registry before other options are looked at: --root may be missing."""
    if value:
        models.main([], standalone_mode=False)
        ctx.exit()
    return value


for name, help in {
    "synth": "Write an LO2-shaped tree to OUT, deterministic from its seed.",
    "extract": "Unpack the archived runs of SRC into the raw tree OUT, resumably.",
    "load": "Turn a raw tree of runs, or of tars, into Parquet tables.",
    "train": "Fit the Isolation Forest and registry models, score and measure.",
    "explain": "Explain what train flagged: SHAP, neighbours, wrong flags.",
    "findings": "List what stands out in ROOT: run, case, service, when, by which statement, with a log line.",
    "show": "Show one case: its services in time, unusual windows and lines, and the nearest normal case.",
    "serve-mcp": "Answer questions about ROOT over standard input and output, for programs that speak MCP.",
    "audit": "Tell whether length, order, start-up text or the like gives the classes of ROOT away.",
    "report": "Write what is there and what is missing: report.md and one page, report.html.",
    "score": "Apply a saved bundle to new runs; labels are not needed, nothing is learned.",
    "plan": "Forecast what a size needs: time, memory, scratch and output disk.",
    "verify": "Check whether OUTPUT_DIR adds up: rows, records, checksums, bundles.",
    "grid": "Measure every service, representation and algorithm on several hold-outs.",
    "warmup": "Compile ahead what the first load would compile, as when a container's image is built.",
    "run": "Load, train, explain and report in one go; a second run resumes where the first stopped.",
}.items():
    _add(name, help)


@cli.group(cls=Commands)
def cluster() -> None:
    """Check a cluster before work, and make certificates for one; cluster/README.md explains how to set one up."""


_add("check", "Start or reach the cluster of FILE, list what its workers have, end it.", group=cluster)


@cluster.command()
@click.argument("folder", type=FilePath())
def certificates(folder: Path) -> None:
    """Write certificates for --tls-folder into FOLDER: for a scheduler and workers that you start yourself."""
    from lo2dask.cli.cluster import make_certificates

    make_certificates(folder)


@cli.command()
def models() -> None:
    """List the registry: every model with what it reads, what it learns from, and how it is fitted."""
    from lo2dask.cli.actions import list_models

    list_models()


@cli.command()
@click.option("--try", "file", type=FilePath(), help="count for each format the lines of this log that it reads")
@click.option("--format", "name", default="auto", help="with --try: this format or YAML file alone  [default: auto]")
@click.option("--timezone", default="UTC", help="with --try: the zone of times without one  [default: UTC]")
def formats(file: Path | None, name: str, timezone: str) -> None:
    """List the line formats, each with an example; --try FILE shows how many of its first lines each one reads."""
    from lo2dask.cli.actions import list_formats

    list_formats(file, name, timezone)


@cli.command()
@click.option("--mask-file", help="YAML list of masks to show together with the built-in ones  [default: none]")
def masks(mask_file: str | None) -> None:
    """List the masks that normalise a line, each with an example and what becomes of it."""
    from lo2dask.cli.actions import list_masks

    list_masks(mask_file)
