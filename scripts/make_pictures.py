"""Makes the pictures of the documentation anew: the findings of a run, and its report, of made-up logs.

    python scripts/make_pictures.py

It needs Chromium for the report.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH = 100


def main() -> int:
    """Make the pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(folder, "synth", "logs", "--runs", "30", "--errors-per-run", "2", "--scale", "0.1")
        _run(folder, "run", "--root", "logs", "--output-dir", "result")
        told = _run(folder, "findings", "result", "--limit", "4")
        _draw_terminal("lo2dask findings result --limit 4", told, IMAGES / "terminal.svg")
        browser = shutil.which("chromium") or shutil.which("google-chrome")
        if browser is None:
            print("no Chromium: the picture of the report stays as it is")
            return 1
        page, picture = (folder / "result" / "report.html").as_uri(), IMAGES / "report.png"
        flags = [
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            "--window-size=1280,900",
            "--force-device-scale-factor=1",
        ]
        subprocess.run([browser, *flags, f"--screenshot={picture}", page], check=True, capture_output=True)
    print(f"made: {IMAGES}")
    return 0


def _run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "lo2dask", *words]
    environment = os.environ | {"COLUMNS": str(WIDTH)}
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _draw_terminal(command: str, told: str, path: Path) -> None:
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(told), highlight=False)
    path.write_text(console.export_svg(title="lo2dask"), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
