"""Prints what lo2dask needs, by pyproject.toml, one requirement a line, for pip install -r.

    python scripts/requirements.py [--lowest] [EXTRA ...]

``--lowest`` turns every lower bound into the one version that is allowed.
"""

import argparse
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="extra of lo2dask")
    parser.add_argument("--lowest", action="store_true", help="the lowest versions that are allowed")
    arguments = parser.parse_args()
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *(line for name in arguments.extras for line in extras[name])]
    for line in dict.fromkeys(needed):
        # The marker after the semicolon, which may compare too, stays as it is.
        requirement, semicolon, marker = line.partition(";")
        print((requirement.replace(">=", "==") if arguments.lowest else requirement) + semicolon + marker)


if __name__ == "__main__":
    main()
