"""Anomaly detection on large trees of microservice logs: one function per command, ``lo2dask.load(root="tree")``.

Nothing is imported before it is asked for, so that the console program starts at once.
"""

import importlib
from typing import Any

_FUNCTIONS = {
    "synth": ("lo2dask.synthesis", "write_tree"),
    "extract": ("lo2dask.commands.extract", "extract"),
    "load": ("lo2dask.commands.load", "load"),
    "train": ("lo2dask.commands.train", "train"),
    "explain": ("lo2dask.commands.explain", "explain"),
    "report": ("lo2dask.commands.report", "report"),
    "score": ("lo2dask.commands.score", "score"),
    "grid": ("lo2dask.commands.grid", "grid"),
    "run": ("lo2dask.commands.run", "run"),
    "plan": ("lo2dask.commands.plan", "plan"),
    "show": ("lo2dask.commands.show", "show"),
    "verify": ("lo2dask.commands.verify", "verify"),
    # Rooms have the names of these commands.
    "list_findings": ("lo2dask.commands.findings", "findings"),
    "audit_folder": ("lo2dask.commands.audit", "audit"),
}
_OPTIONS = ("FindingsOptions", "AuditOptions", *(f"{n.capitalize()}Options" for n in _FUNCTIONS if "_" not in n))
_ERRORS = ("Lo2Error", "InputError", "RejectsError", "IntegrityError")
_NAMES = (
    _FUNCTIONS
    | {"open": ("lo2dask.api.folder", "open_folder"), "cluster": ("lo2dask.api.calls", "cluster")}
    | {"raw_line": ("lo2dask.parse.raw_lines", "raw_line"), "read_table": ("lo2dask.tables.committed", "read_table")}
    | {name: ("lo2dask.options", name) for name in _OPTIONS}
    | {name: ("lo2dask.errors", name) for name in _ERRORS}
)

__all__ = ["__version__", *_NAMES]  # noqa: PLE0604, F822


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lo2dask")
    if name in _FUNCTIONS:
        from lo2dask.api.calls import as_function

        # The same function each time it is asked for.
        return globals().setdefault(name, as_function(name, *_FUNCTIONS[name]))
    if name in _NAMES:
        module, attribute = _NAMES[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
