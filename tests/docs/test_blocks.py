"""Every command, query and program that the documentation shows runs, page by page, in a folder of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
# A fence with another language shows output, or what cannot be run here: a download, a cluster.
BLOCK = re.compile(r"^```(bash|python|sql)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SQL = "import duckdb\nfor query in {!r}.split(';'):\n    if query.strip():\n        print(duckdb.sql(query))\n"
# As in a notebook, a page's programs share their names, and no script is there for workers to import.
RUN = """
import sys
names = {"__name__": "__main__"}
for number, block in enumerate(sys.stdin.read().split("\\0")):
    exec(compile(block, f"block {number}", "exec"), names)
"""

pytestmark = pytest.mark.docs


def pages() -> list[str]:
    """List the pages that show something to run."""
    found = sorted(path for path in DOCS.rglob("*.md") if BLOCK.search(path.read_text(encoding="utf-8")))
    return [path.relative_to(REPOSITORY).as_posix() for path in [*found, REPOSITORY / "README.md"]]


def steps(text: str) -> list[tuple[str, str]]:
    """Group a page's blocks: a shell script each, and neighbouring programs and queries as one process."""
    grouped: list[tuple[str, str]] = []
    for kind, code in BLOCK.findall(text):
        if kind == "bash":
            grouped.append(("bash", code))
            continue
        own = code if kind == "python" else SQL.format(code)
        if grouped and grouped[-1][0] == "python":
            own = grouped.pop()[1] + "\0" + own
        grouped.append(("python", own))
    return grouped


@pytest.mark.parametrize("page", pages())
def test_what_a_page_shows_runs(page: str, tmp_path: Path) -> None:
    if (REPOSITORY / "docs" / "samples").is_dir():
        shutil.copytree(REPOSITORY / "docs" / "samples", tmp_path / "samples")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for kind, code in steps((REPOSITORY / page).read_text(encoding="utf-8")):
        # The two lines that install have their own job.
        code = re.sub(r"python -m pip install [^&\n]*(&&|\n)", "", code) if kind == "bash" else code
        code = "" if "python -m pytest" in code else code
        words = ["bash", "-euo", "pipefail", "-c", code] if kind == "bash" else [sys.executable, "-c", RUN]
        done = subprocess.run(
            words, input="" if kind == "bash" else code, cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{page}:\n{code}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
