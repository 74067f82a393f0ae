"""Which test cases and services of a run are read: by name, or drawn by a hash of seed and run."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lo2dask.domain import SERVICES
from lo2dask.errors import InputError
from lo2dask.options import LoadingOptions
from lo2dask.schema import is_normal


@dataclass(frozen=True)
class Selection:
    """What one load reads, apart from the runs themselves.

    ``drawn`` holds each run's error cases where another run's draw matters (``--no-duplicates``); a run that is not
    in it draws for itself.
    """

    services: tuple[str, ...]
    error_type: str
    errors_per_run: int
    seed: int
    drawn: Mapping[str, tuple[str, ...]]
    metrics: bool = False

    @classmethod
    def from_options(cls, options: LoadingOptions) -> "Selection":
        """Take the selection from a command's options.

        Raises
        ------
        InputError : an unknown service; the message lists the known ones.
        """
        if options.single_service and options.service_types:
            raise InputError("--single-service and --service-types exclude each other: give one of them")
        named = options.service_types + ((options.single_service,) if options.single_service else ())
        unknown = [name for name in named if name not in SERVICES]
        if unknown:
            raise InputError(f"unknown service {unknown[0]!r}; known are {', '.join(SERVICES)}")
        services = (options.single_service,) if options.single_service else options.service_types or SERVICES
        return cls(
            services, options.single_error_type, options.errors_per_run, options.sample_seed, {}, options.load_metrics
        )

    def cases(self, run: str, test_cases: Iterable[str]) -> tuple[str, ...]:
        """Choose a run's error cases, by name or by draw, in the order of their names."""
        errors = sorted(case for case in test_cases if not is_normal(case))
        if run in self.drawn:
            return self.drawn[run]
        if self.error_type == "random":
            return tuple(draw_order(self.seed, run, errors)[:1])
        if self.error_type:
            return tuple(case for case in errors if case == self.error_type)
        if self.errors_per_run < 0:
            return tuple(errors)
        return tuple(sorted(draw_order(self.seed, run, errors)[: self.errors_per_run]))

    def needs_all_runs(self, options: LoadingOptions) -> bool:
        """Return whether a run's draw depends on the other runs' draws."""
        return not options.allow_duplicates and (self.errors_per_run >= 0 or self.error_type == "random")


def draw_order(seed: int, run: str, test_cases: Iterable[str]) -> list[str]:
    """Order a run's error cases by a hash of seed, run and case, so that one run's draw never depends on another."""
    return sorted(test_cases, key=lambda case: hashlib.sha256(f"{seed}\0{run}\0{case}".encode()).digest())


def draw_without_duplicates(selection: Selection, cases_of: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Draw error cases so that no case is taken by two runs; runs draw in their sorted order."""
    count = 1 if selection.error_type == "random" else selection.errors_per_run
    taken: set[str] = set()
    drawn = {}
    for run in sorted(cases_of):
        errors = [case for case in cases_of[run] if not is_normal(case) and case not in taken]
        drawn[run] = tuple(sorted(draw_order(selection.seed, run, errors)[:count]))
        taken.update(drawn[run])
    return drawn
