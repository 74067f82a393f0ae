"""The real command line in processes of its own or in this one, and the folders that it works on."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from lo2dask.cli.main import run
from lo2dask.commands.verify import verify
from lo2dask.execute.session import Session
from lo2dask.options import VerifyOptions
from lo2dask.tables.parts import part_paths, read_part
from tests.attack.serial import serial_sessions
from tests.attack.tally import TALLY
from tests.conftest import REPOSITORY, Answer

# Numbers of parts, names of cells, and names of models.
_VARIES = re.compile(r"[0-9a-f]{16}|\d{6}|(?<=[/_])(lr_words|excess)|(?<=/)(lo2_)?if(?=[._/])|baseline_\w+?(?=[./])")
ONE_WORKER = ("--workers", "1")
REAL, SERIAL = "lo2dask", "tests.attack.serial"


@dataclass(frozen=True)
class Folders:
    """The raw tree, the folder of all commands but score, and that of score."""

    raw: Path
    out: Path
    scored: Path

    def bundle(self, model: str = "excess") -> Path:
        """Return a bundle that train saves; score applies that of excess, which leaves windows and lines too."""
        return self.out / "models" / f"{model}.joblib"

    def line(self, command: str) -> list[str]:
        """Return the command line of a command, always the same one."""
        root = ["--root", str(self.out)]
        saved = ["--save-model", str(self.bundle("lo2_if")), "--save-sup-models", str(self.out / "models")]
        lines = {
            "load": ["--root", str(self.raw), "--output-dir", str(self.out), "--tokens", "both", "--save-events",
                     "--load-metrics", "--partition-size", "100KB"],
            "train": [*root, "--models", "lr_words,excess", "--if-n-estimators", "10", "--dump-metadata", *saved],
            "explain": [*root, "--nn-source", "lr_words", "--if-n-estimators", "10"],
            "report": root,
            "grid": [*root, "--algorithms", "lr", "--representations", "words", "--seeds", "1"],
            "score": ["--bundle", str(self.bundle()), "--root", str(self.raw), "--output-dir", str(self.scored)],
        }  # fmt: skip
        return [command, *lines[command], *(() if command == "report" else ONE_WORKER)]


def start(*words: object, module: str = REAL, **environment: str) -> subprocess.Popen[str]:
    """Start a command line, with changes of its environment; ``module`` SERIAL works without a cluster."""
    line = [sys.executable, "-m", module, *map(str, words)]
    # What a hostile name puts out need not be UTF-8.
    return subprocess.Popen(
        line, cwd=REPOSITORY, env=os.environ | environment, text=True, errors="backslashreplace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_hear_interrupts,
    )  # fmt: skip


def _hear_interrupts() -> None:
    # A shell that starts a test in the background makes it, and all that it starts, deaf to them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen[str]) -> Answer:
    """Wait for a command line."""
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return checked(process.args, Answer(process.returncode, out, err))


def checked(line: object, answer: Answer) -> Answer:
    """Return an answer; a traceback, or an error that nobody expected, is a fault of its own, whatever else it says."""
    is_fault = "Traceback" in answer.out + answer.err or "lo2dask: failed: " in answer.err
    TALLY.check("tracebacks", [f"{line}\n{answer.err}"] if is_fault else [])
    return answer


def call(*words: object) -> Answer:
    """Run a command line in a process of its own."""
    return finish(start(*words))


def here(*words: object) -> Answer:
    """Run a command line in this process and without a cluster: some twenty times as fast."""
    line, out, err = [str(word) for word in words], io.StringIO(), io.StringIO()
    with serial_sessions(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(line)
        except Exception:  # noqa: BLE001 -- what main would call unexpected
            code = 1
            traceback.print_exc()
    return checked(line, Answer(code, out.getvalue(), err.getvalue()))


def done(*words: object) -> Answer:
    """Run a command line that must end well, in this process."""
    answer = here(*words)
    assert answer.code == 0, (words, answer)
    return answer


def problems(root: Path) -> list[str]:
    """Verify a folder, in this process: an attack is quick."""
    return list(verify(VerifyOptions(output_dir=root), Session.serial()).problems)


def files(root: Path) -> list[Path]:
    """List all files below a folder."""
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def is_state(path: Path) -> bool:
    """Return whether a file is a record, or another state file."""
    return path.suffix == ".json" and b'"digest"' in path.read_bytes()


def kinds(root: Path) -> dict[str, list[Path]]:
    """Sort the files below a folder by kind: parts of a table, records of a stage, and files of each model are one."""
    found: dict[str, list[Path]] = {}
    for path in files(root):
        name = path.relative_to(root).as_posix()
        found.setdefault(_VARIES.sub("*", name), []).append(path)
    return found


def tables(root: Path) -> dict[str, bytes]:
    """Read all Parquet files below a folder: a table has the same bytes, however often it is made."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files(root) if path.suffix == ".parquet"}


def rows(folder: Path, columns: list[str] | None = None) -> list[dict]:
    """Read a table; a missing one has no rows."""
    return [row for path in part_paths(folder) for row in read_part(path, columns).to_pylist()]
