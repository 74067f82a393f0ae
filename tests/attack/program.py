"""The real command line in processes of its own, and the folders that it works on."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lo2dask.commands.verify import verify
from lo2dask.execute.session import Session
from lo2dask.options import VerifyOptions
from lo2dask.tables.parts import part_paths, read_part
from tests.attack.tally import TALLY
from tests.conftest import REPOSITORY, Answer

# Numbers of parts, names of cells, and names of models.
_VARIES = re.compile(r"\d{6}|[0-9a-f]{16}|(?<=[/_])lr_words|(?<=/)(lo2_)?if(?=[._/])|baseline_\w+?(?=[./])")
ONE_WORKER = ("--workers", "1")


@dataclass(frozen=True)
class Folders:
    """The raw tree, the folder of all commands but score, and that of score."""

    raw: Path
    out: Path
    scored: Path

    @property
    def bundle(self) -> Path:
        """The forest's bundle, which score applies."""
        return self.out / "models" / "lo2_if.joblib"

    def line(self, command: str) -> list[str]:
        """Return the command line of a command, always the same one."""
        root = ["--root", str(self.out)]
        saved = ["--save-model", str(self.bundle), "--save-sup-models", str(self.out / "models"), "--dump-metadata"]
        lines = {
            "load": ["--root", str(self.raw), "--output-dir", str(self.out), "--tokens", "both", "--save-events",
                     "--load-metrics", "--partition-size", "100KB"],
            "train": [*root, "--models", "lr_words", "--if-n-estimators", "10", *saved],
            "explain": [*root, "--nn-source", "lr_words", "--if-n-estimators", "10"],
            "report": root,
            "grid": [*root, "--algorithms", "lr", "--representations", "words", "--seeds", "1"],
            "score": ["--bundle", str(self.bundle), "--root", str(self.raw), "--output-dir", str(self.scored)],
        }  # fmt: skip
        return [command, *lines[command], *(() if command == "report" else ONE_WORKER)]


def start(*words: object, **environment: str) -> subprocess.Popen[str]:
    """Start a command line, with changes of its environment."""
    line = [sys.executable, "-m", "lo2dask", *map(str, words)]
    # What a hostile name puts out need not be UTF-8.
    return subprocess.Popen(
        line, cwd=REPOSITORY, env=os.environ | environment, text=True, errors="backslashreplace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Answer:
    """Wait for a command line; a traceback is a fault of its own, whatever else it says."""
    out, err = process.communicate(timeout=300)
    answer = Answer(process.returncode, out, err)
    TALLY.check("tracebacks", [f"{process.args}\n{err}"] if "Traceback" in out + err else [])
    return answer


def call(*words: object) -> Answer:
    """Run a command line."""
    return finish(start(*words))


def done(*words: object) -> Answer:
    """Run a command line that must end well."""
    answer = call(*words)
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
