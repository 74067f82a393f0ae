"""Which test cases and services of a run are read: by name, or drawn by a hash of seed and run."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from lo2dask.domain import SERVICES
from lo2dask.errors import InputError
from lo2dask.options import LoadingOptions
from lo2dask.sources.labels import Labels
from lo2dask.sources.patterns import is_like, takes_path
from lo2dask.sources.tree import SourceFile

# Names that a message lists.
MOST_SHOWN = 20


@dataclass(frozen=True)
class Selection:
    """What one load reads, apart from the runs themselves.

    ``drawn`` holds each run's error cases where another run's draw matters (``--no-duplicates``); a run that is not
    in it draws for itself. Paths below ``root`` and test cases are chosen by globs; ``labels`` say what is normal.
    """

    services: tuple[str, ...]
    error_type: str
    errors_per_run: int
    seed: int
    drawn: Mapping[str, tuple[str, ...]]
    metrics: bool = False
    labels: Labels = field(default_factory=Labels)
    root: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    test_cases: tuple[str, ...] = ()
    exclude_test_cases: tuple[str, ...] = ()

    @classmethod
    def from_options(
        cls, options: LoadingOptions, known: Collection[str] = SERVICES, labels: Labels | None = None, root: str = ""
    ) -> "Selection":
        """Take the selection from a command's options; ``known`` are the services of the tree.

        Raises
        ------
        InputError : an unknown service; the message lists the known ones.
        """
        if options.single_service and options.service_types:
            raise InputError("--single-service and --service-types exclude each other: give one of them")
        named = options.service_types + ((options.single_service,) if options.single_service else ())
        unknown = [name for name in named if name not in known]
        if unknown:
            raise InputError(f"unknown service {unknown[0]!r}; known are {', '.join(list(known)[:MOST_SHOWN])}")
        services = (options.single_service,) if options.single_service else options.service_types or tuple(known)
        return cls(
            services, options.single_error_type, options.errors_per_run, options.sample_seed, {}, options.load_metrics,
            labels or Labels(), root, options.include, options.exclude, options.test_cases, options.exclude_test_cases,
        )  # fmt: skip

    def labelled(self, file: SourceFile) -> SourceFile:
        """Return a file with its label, and with a problem if its test case's name only resembles a normal one."""
        if not file.test_case:
            return file
        problem = file.problem or (self.labels.problem(file.test_case) if file.kind == "log" else "")
        return replace(file, problem=problem, normal=self.labels.normal(file.run, file.test_case, file.service))

    def takes_path(self, path: str) -> bool:
        """Return whether a file is among those of --include and --exclude."""
        return takes_path(path.removeprefix(self.root).lstrip("/"), self.include, self.exclude)

    def takes_case(self, test_case: str) -> bool:
        """Return whether a test case is among those of --test-cases and --exclude-test-cases."""
        is_named = not self.test_cases or is_like(test_case, self.test_cases)
        return is_named and not is_like(test_case, self.exclude_test_cases)

    def cases(self, run: str, test_cases: Iterable[str]) -> tuple[str, ...]:
        """Choose a run's error cases, by name or by draw, in the order of their names."""
        errors = sorted(case for case in test_cases if not self.labels.normal(run, case))
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
        errors = [case for case in cases_of[run] if not selection.labels.normal(run, case) and case not in taken]
        drawn[run] = tuple(sorted(draw_order(selection.seed, run, errors)[:count]))
        taken.update(drawn[run])
    return drawn
