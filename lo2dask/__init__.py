"""Anomaly detection on large trees of microservice logs: one function per command, ``lo2dask.load(LoadOptions(...))``.

Nothing is imported before it is asked for, so that the console program starts at once.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

_FUNCTIONS = {
    "synth": ("lo2dask.synth", "write_tree"),
    "extract": ("lo2dask.stages.extract", "extract"),
    "load": ("lo2dask.stages.load", "load"),
    "train": ("lo2dask.stages.train", "train"),
    "explain": ("lo2dask.stages.explain", "explain"),
    "report": ("lo2dask.stages.report", "report"),
    "score": ("lo2dask.stages.score", "score"),
    "grid": ("lo2dask.stages.grid", "grid"),
    "run": ("lo2dask.stages.run", "run"),
    "plan": ("lo2dask.stages.planning", "plan"),
    "verify": ("lo2dask.stages.verify", "verify"),
}
_NAMES = {
    **{
        name: "lo2dask.options"
        for name in (
            "SynthOptions",
            "LoadOptions",
            "TrainOptions",
            "ExplainOptions",
            "ExtractOptions",
            "ReportOptions",
            "ScoreOptions",
            "GridOptions",
            "RunOptions",
            "PlanOptions",
            "VerifyOptions",
        )
    },
    **{name: "lo2dask.errors" for name in ("Lo2Error", "InputError", "RejectsError", "IntegrityError")},
}

__all__ = ["__version__", *_FUNCTIONS, *_NAMES]  # noqa: PLE0604, F822


class _Command(ModuleType):
    """A package that has the name of a command, and can be called as its function."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return _function(self.__name__.rpartition(".")[2])(*arguments, **named)


class _Package(ModuleType):
    """This package: a subpackage named like a command (``synth``, ``explain``) becomes callable when it is bound."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FUNCTIONS and isinstance(value, ModuleType):
            value.__class__ = _Command
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lo2dask")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _FUNCTIONS:
        function = _function(name)
        # Importing the function may have bound the subpackage of that name, which is callable.
        return vars(sys.modules[__name__]).get(name, function)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _function(name: str) -> Any:
    module, attribute = _FUNCTIONS[name]
    return getattr(importlib.import_module(module), attribute)


sys.modules[__name__].__class__ = _Package
