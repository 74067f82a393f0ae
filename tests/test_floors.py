"""The order of the rooms: a room imports only from rooms listed before it, and no module imports in a circle."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "lo2dask"
# From the ground up; lo2dask/README.md says what each holds. "" stands for lo2dask itself and for __main__.
ROOMS = (
    *("errors", "domain", "schema", "memory", "processes", "compat"),
    *("buffers", "options", "storage", "sources", "formats", "parse", "execute", "tables", "vocabulary"),
    *("features", "models", "detectors", "sizing", "ingest", "findings"),
    *("training", "audit", "explanation", "reporting"),
    *("verification", "synthesis", "commands", "api", "serving", "cli", ""),
)
LARGEST_SHARE = 0.12


@cache
def modules() -> dict[str, Path]:
    """List every module below the package by its dotted name; a package stands for its __init__."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(path: Path) -> set[str]:
    """List the dotted names that a file imports, also inside functions and for type checking, ``from`` names joined."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def room(module: str) -> str:
    """Name the room of a module: the first part of its name below the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else ""


@cache
def links() -> dict[str, set[str]]:
    """Map each module of the package to those that it imports."""
    known = modules()
    found = {}
    for module, path in known.items():
        own = {name for name in imported(path) if name.split(".")[0] == "lo2dask"}
        targets = {name if name in known else name.rpartition(".")[0] for name in own}
        assert targets <= set(known), f"{module} imports what is not there: {targets - set(known)}"
        found[module] = targets - {module}
    return found


def upward(module: str, targets: set[str]) -> list[str]:
    """List the imports of a module that point to a room listed after its own."""
    own = ROOMS.index(room(module))
    return [f"{module} imports {target}" for target in sorted(targets) if ROOMS.index(room(target)) > own]


def users_of(*packages: str) -> set[str]:
    """List the modules that import one of some foreign packages."""
    return {m for m, path in modules().items() if {name.split(".")[0] for name in imported(path)} & set(packages)}


def test_the_rooms_are_the_folders_that_there_are() -> None:
    assert {room(module) for module in modules()} == set(ROOMS)


def test_no_import_points_up() -> None:
    found = [line for module, targets in links().items() for line in upward(module, targets)]
    assert not found, "\n".join(found)


def test_no_module_imports_in_a_circle() -> None:
    try:
        TopologicalSorter(links()).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from error


def test_no_room_is_a_corridor() -> None:
    sizes: dict[str, int] = {}
    for module, path in modules().items():
        sizes[room(module)] = sizes.get(room(module), 0) + len(path.read_text(encoding="utf-8").splitlines())
    largest = max(sizes, key=sizes.__getitem__)
    assert sizes[largest] <= LARGEST_SHARE * sum(sizes.values()), f"{largest}: {sizes[largest]} lines"


def test_errors_and_domain_import_nothing_of_the_package() -> None:
    assert links()["lo2dask.errors"] == links()["lo2dask.domain"] == set()


def test_dask_is_imported_by_the_room_that_runs_things_alone() -> None:
    # compat holds the names that distributed does not document, and imports them when they are called.
    assert {room(module) for module in users_of("dask", "distributed")} == {"execute", "compat"}


def test_matplotlib_is_imported_by_the_plots_alone() -> None:
    assert users_of("matplotlib") == {"lo2dask.explanation.plots"}


def test_scoring_does_not_know_how_logs_are_made_up() -> None:
    makers = {module for module, targets in links().items() if any(room(target) == "synthesis" for target in targets)}
    assert {room(module) for module in makers} <= {"synthesis", "commands", "cli"}
    assert "lo2dask.commands.score" not in makers


def test_an_upward_import_would_be_seen(tmp_path: Path) -> None:
    inside = tmp_path / "module.py"
    inside.write_text("def f():\n    from lo2dask.commands.load import load\n    return load\n")
    assert imported(inside) == {"lo2dask.commands.load.load"}
    assert upward("lo2dask.features.masks", {"lo2dask.commands.load"}) == [
        "lo2dask.features.masks imports lo2dask.commands.load"
    ]
