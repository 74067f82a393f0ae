"""The house's order: an import points to a lower floor or stays on its own, and no floor has a cycle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "lo2dask"
FLOORS = {
    "errors": 0, "options": 0, "schema": 0, "processes": 0,
    "storage": 1, "memory": 1, "sources": 1, "synth": 1,
    "parse": 2,
    "tables": 3,
    "features": 4,
    "models": 5,
    "explain": 6,
    "report": 7,
    "execute": 8,
    "stages": 9,
    "": 10,
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Every module below the package by its dotted name; a package stands for its __init__."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """What a file imports, also inside functions and for type checking: dotted names, ``from`` names joined on."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def floor(module: str) -> int:
    """The floor of a module: by the first part of its name below the package; the CLI and __init__ are the top."""
    parts = module.split(".")
    first = parts[1] if len(parts) > 1 else ""
    return FLOORS["" if first.startswith("cli") or first == "__main__" else first]


def links() -> dict[str, set[str]]:
    """Which modules of the package each module imports."""
    known = modules()
    found = {}
    for module, path in known.items():
        own = {name for name in imported(path) if name.split(".")[0] == "lo2dask"}
        targets = {name if name in known else name.rpartition(".")[0] for name in own}
        assert targets <= set(known), f"{module} imports what is not there: {targets - set(known)}"
        found[module] = targets - {module}
    return found


def test_every_module_has_a_floor() -> None:
    for module in modules():
        assert floor(module) >= 0


def test_no_import_points_up() -> None:
    upward = [
        f"{module} (floor {floor(module)}) imports {target} (floor {floor(target)})"
        for module, targets in links().items()
        for target in targets
        if floor(target) > floor(module)
    ]
    assert not upward, "\n".join(upward)


def test_no_cycle_within_a_floor() -> None:
    graph = {
        module: {target for target in targets if floor(target) == floor(module)} for module, targets in links().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from error


def test_schema_and_errors_import_nothing_of_the_package() -> None:
    assert links()["lo2dask.schema"] == set()
    assert links()["lo2dask.errors"] == set()


def test_dask_is_imported_on_the_floor_that_runs_things_alone() -> None:
    users = {
        module
        for module, path in modules().items()
        if {name.split(".")[0] for name in imported(path)} & {"dask", "distributed"}
    }
    assert {floor(module) for module in users} == {FLOORS["execute"]}, sorted(users)


def test_matplotlib_is_imported_by_the_plots_alone() -> None:
    users = {m for m, path in modules().items() if "matplotlib" in {name.split(".")[0] for name in imported(path)}}
    assert users == {"lo2dask.report.plots"}


def test_an_upward_import_would_be_seen(tmp_path: Path) -> None:
    inside = tmp_path / "module.py"
    inside.write_text("def f():\n    from lo2dask.stages.load import load\n    return load\n")
    assert imported(inside) == {"lo2dask.stages.load.load"}
    assert floor("lo2dask.stages.load") > floor("lo2dask.features.masks")
