"""Checks what is in a wheel and an sdist of lo2dask: all files of the package that git knows, and nothing else.

python scripts/package_files.py WHEEL SDIST
"""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# For those who change the code, who have the tree.
NOT_INSTALLED = {"lo2dask/README.md"}
AROUND = {
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "MANIFEST.in",
    "PKG-INFO",
    "README.md",
    "pyproject.toml",
    "setup.cfg",
}


def main() -> int:
    """Compare; return 1 and print what is too much or missing."""
    wheel, sdist = map(Path, sys.argv[1:])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    git = subprocess.run(["git", "ls-files", "lo2dask"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    package = {*git.split()} - NOT_INSTALLED
    with zipfile.ZipFile(wheel) as file:
        in_wheel = {name for name in file.namelist() if not name.startswith(f"lo2dask-{version}.dist-info/")}
    with tarfile.open(sdist) as archive:
        names = (member.name for member in archive if member.isfile())
        in_sdist = {name.removeprefix(f"lo2dask-{version}/") for name in names}
    in_sdist = {name for name in in_sdist if not name.startswith("lo2dask.egg-info/")}
    problems = [
        f"{path.name}: {what}: {', '.join(sorted(names))}"
        for path, found, wanted in ((wheel, in_wheel, package), (sdist, in_sdist, package | AROUND))
        for what, names in (("missing", wanted - found), ("not expected", found - wanted))
        if names
    ]
    print("\n".join(problems) or f"{wheel.name}, {sdist.name}: {len(package):,} files of the package, nothing odd")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
