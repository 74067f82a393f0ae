"""Hostile input costs itself alone: exit code, one line or a reject, no traceback, and all other rows as before."""

import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.attack.hostile import LOGS, METRICS, NAMES, RUN, TARS, YAML, Hostile
from tests.attack.program import ONE_WORKER, call, done, problems, rows
from tests.attack.tally import TALLY

pytestmark = pytest.mark.slow

KINDS = {"log": LOGS, "name": NAMES, "tar": TARS, "metrics": METRICS}
CASES = [(kind, name) for kind, cases in KINDS.items() for name in cases]
SECONDS = 60


def load(raw: Path, out: Path) -> str:
    """Load a tree; return standard error."""
    return done("load", "--root", raw, "--output-dir", out, "--save-events", "--load-metrics", *ONE_WORKER).err


def content(out: Path, own: bool) -> dict[str, list]:
    """Read the rows of the attacker's run, or those of all others."""
    tables = {name: rows(out / f"lo2_{name}.parquet") for name in ("sequences", "events", "metrics", "traces")}
    return {
        name: [{key: value for key, value in row.items() if key != "e_event_drain_id"} for row in found
               if (RUN in str(row.get("run", row.get("seq_id")))) == own]
        for name, found in tables.items()
    }  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of two runs, to which hostile input is added."""
    tree = tmp_path_factory.mktemp("small") / "raw"
    size = ("--scale", "0.003", "--runs", "2", "--errors-per-run", "1", "--services", "key,user")
    done("synth", tree, *size, "--with-metrics", "--jobs", "1")
    return tree


@pytest.fixture(scope="module")
def others(small: Path) -> tuple[dict[str, list], int]:
    """The rows of the tree without hostile input, and its rejects."""
    load(small, small.parent / "out")
    return content(small.parent / "out", own=False), len(rows(small.parent / "out" / "lo2_rejects.parquet"))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_load(small: Path, others: tuple[dict[str, list], int], tmp_path: Path, kind: str, name: str) -> None:
    hostile: Hostile = KINDS[kind][name]
    if name == "a folder that is closed" and os.geteuid() == 0:
        pytest.skip("root reads every folder")
    TALLY.add("hostile input")
    raw, out = Path(shutil.copytree(small, tmp_path / "raw")), tmp_path / "out"
    hostile.make(raw)
    began = time.perf_counter()
    said = load(raw, out)
    faults = [f"took {time.perf_counter() - began:.0f} s"] if time.perf_counter() - began > SECONDS else []
    faults += problems(out)
    if repr(content(out, own=False)) != repr(others[0]):  # NaN is no equal of itself
        faults.append("other files have other rows")
    reasons = Counter(row["reason"] for row in rows(out / "lo2_rejects.parquet"))
    rejected, kept = reasons.total() - others[1], len(content(out, own=True)["events"])
    TALLY.check("other", faults)
    told = [] if hostile.rejected == rejected and set(hostile.reasons) <= set(reasons) else [
        f"{rejected} rejects ({dict(reasons)}), not {hostile.rejected}: {said}"
    ]  # fmt: skip
    told += [] if hostile.kept == kept else [f"{kept} lines kept, not {hostile.kept}"]
    TALLY.check("silent", told)


@pytest.mark.parametrize("option", ["--config", "--mask-file", "--cluster"])
@pytest.mark.parametrize("name", YAML)
def test_a_configuration_is_refused_in_one_line(small: Path, tmp_path: Path, name: str, option: str) -> None:
    TALLY.add("hostile input")
    path = tmp_path / "given.yaml"
    path.write_bytes(YAML[name])
    answer = call("load", "--root", small, "--output-dir", tmp_path / "out", option, path)
    ends = answer.code == 2 and len(answer.lines) == 1 and str(path) in answer.err and not (tmp_path / "owned").exists()
    TALLY.check("other", [] if ends else [f"{option} {name}: {answer}"])


@pytest.mark.parametrize("name", TARS)
def test_extract_stays_within_its_folder(tmp_path: Path, name: str) -> None:
    TALLY.add("hostile input")
    raw = tmp_path / "archives"
    raw.mkdir()
    TARS[name].make(raw)
    before, inner = set(tmp_path.rglob("*")), tmp_path / "inner" / "out"
    answer = call("extract", raw, inner, "--jobs", "1")
    faults = [] if answer.code in (0, 1, 2) else [f"exit code {answer.code}: {answer.err}"]
    if answer.code and not answer.lines[-1].startswith("lo2dask: "):
        faults.append(answer.err)
    written = list(inner.rglob("*"))
    faults += [f"{path} was written" for path in set(tmp_path.rglob("*")) - {*written, inner, inner.parent} - before]
    plain = [path for path in written if not path.is_symlink() and (path.is_file() or path.is_dir())]
    faults += [f"{path} is no plain file" for path in set(written) - set(plain)]
    size = sum(path.stat().st_size for path in plain if path.is_file())
    faults += [f"{size:,} bytes written"] if size > 10**7 else []
    TALLY.check("other", faults)
