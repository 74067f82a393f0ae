"""One case: its services in time, what is unusual about them, the raw lines, and the nearest normal case."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lo2dask.errors import InputError
from lo2dask.findings.compare import Comparison, compare_cases
from lo2dask.findings.read import (
    Case,
    Finding,
    flagged_cases,
    has_findings,
    matching,
    read_cases,
    read_findings,
    reference_cases,
)
from lo2dask.options import ShowOptions
from lo2dask.options.paths import to_path
from lo2dask.parse.line_ranges import read_line_ranges
from lo2dask.schema import LINES
from lo2dask.sources.tree import SourceFile
from lo2dask.storage import is_local
from lo2dask.tables.layout import Layout
from lo2dask.tables.loads import read_load
from lo2dask.tables.parts import part_paths, read_rows
from lo2dask.tables.state import check_exists

# Of each service; lines of the whole case.
MOST_WINDOWS = 3
MOST_LINES = 5
# Characters of a line; no terminal shows more in one.
MOST_CHARS = 2_000
# So much of a kept line must be found where it was, else the log is another one.
_KNOWN_CHARS = 80
_MANIFEST = [name for name in SourceFile.__dataclass_fields__ if name != "problem"]


@dataclass(frozen=True)
class Window:
    """A row of lo2_windows.parquet: an unusual window of a service; 1 is the oddest window of normal logs."""

    window_start: datetime
    window_end: datetime
    score: float
    component: str
    statement: str | None


@dataclass(frozen=True)
class Tick:
    """A row of lo2_timeline.parquet: ten seconds of a service; ``score`` is the largest within."""

    start: datetime
    n_events: int
    n_error: int
    score: float | None


@dataclass(frozen=True)
class ServiceView:
    """A service of a case: its lines, its timeline, its most unusual windows."""

    service: str
    n_events: int
    ticks: tuple[Tick, ...]
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class Excerpt:
    """Unusual lines of one log, ``chosen`` by number, among those around them; ``note`` says why there are none."""

    path: str
    service: str
    lines: tuple[tuple[int, str], ...]
    chosen: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class CaseSummary:
    """All that is shown of a case; ``missing`` are the tables that are not there.

    ``compares_normal`` is whether it is compared with cases that are labelled normal, not with those of which it is
    only known that they do not stand out. ``is_scored``: the folder is one of ``score``, which keeps no normal cases.
    """

    root: Path
    run: str
    test_case: str
    normal: bool | None
    findings: tuple[Finding, ...]
    services: tuple[ServiceView, ...]
    excerpts: tuple[Excerpt, ...]
    comparison: Comparison | None
    missing: tuple[Path, ...]
    compares_normal: bool = True
    is_scored: bool = False


def show(options: ShowOptions, guarded: bool = False, compares: bool = True) -> CaseSummary:
    """Collect what there is of one case.

    Parameters
    ----------
    options : the case.
    guarded : read no raw log outside the tree that was loaded.
    compares : look for the nearest normal case.

    Raises
    ------
    InputError : nothing was loaded, or no case or several have such a name, or no service.
    """
    layout = Layout(options.root)
    check_exists(layout)
    cases = existing_cases(layout)
    case = find_case(options.case, cases, flagged_cases(layout))
    services = _services(layout, case)
    names = matching(options.service, services, "service of the case") if options.service else sorted(services)
    findings = [row for row in read_findings(layout) if row.case == case] if has_findings(layout) else []
    normals, is_labelled = reference_cases(layout, cases) if compares else ([], True)
    files = _files(layout, case, guarded) if options.around else {}
    return CaseSummary(
        options.root,
        *case,
        cases[case],
        tuple(findings),
        tuple(_views(layout, case, {name: services[name] for name in names})),
        tuple(_excerpts(_best_lines(layout, case, names, findings), files, options.around)),
        compare_cases(layout, [case], normals, names if options.service else ()).get(case),
        tuple(table for table in (layout.windows, layout.timeline, layout.lines) if not part_paths(table)),
        is_labelled,
        (layout.internal / "score").exists(),
    )


def existing_cases(layout: Layout) -> dict[Case, bool | None]:
    """List the cases of a folder, each with its label if it has one.

    Raises
    ------
    InputError : there is none; says why, and what to do.
    """
    if cases := read_cases(layout):
        return cases
    if part_paths(layout.root / "excess_runs.parquet"):
        why = "excess judged no case, as no service has a log in another run to compare with; load more runs"
    elif part_paths(layout.sequences):
        why = f"load read no log that can be used; {layout.rejects.name} says why"
    else:
        why = f"no case in it; first: lo2dask run --root LOGS --output-dir {layout.root}"
    raise InputError(f"{layout.root}: {why}")


def find_case(given: str, cases: Iterable[Case], found_ones: Iterable[Case] = ()) -> Case:
    """Find the one case that RUN/CASE means: both by name, or by how they begin or end; RUN or CASE alone may do.

    A number means the case of a finding (``found_ones`` are theirs, in order), a ``seq_id`` the case of the sequence.

    Raises
    ------
    InputError : there is none, or there are several; the message names some.
    """
    known = sorted(cases)
    if numbered := case_of_number(given, known, found_ones):
        return numbered
    if of_sequence := [case for case in known if given.startswith("__".join((*case, "")))]:
        return max(of_sequence, key=lambda case: len("".join(case)))
    run, slash, test_case = (part.strip() for part in given.strip("/ ").partition("/"))
    if slash:
        runs = matching(run, (own for own, _ in known), "run")
        known = [case for case in known if case[0] in runs]
        names = matching(test_case, (own for _, own in known), f"test case of {runs[0] if len(runs) == 1 else run}")
        found = [case for case in known if case[1] in names]
    else:
        names = matching(run, (name for case in known for name in case), "run or test case")
        found = [case for case in known if {*names} & {*case}]
    if len(found) > 1:
        some = ", ".join("/".join(case) for case in found[:3])
        number = "no finding has this number, and " if given.isdecimal() else ""
        raise InputError(f"{given}: {number}{len(found):,} cases fit, such as {some}; write more of RUN/CASE")
    return found[0]


def case_of_number(given: str, cases: Iterable[Case], found_ones: Iterable[Case]) -> Case | None:
    """Return the case of the finding with a number, from 1; None where a name of a case is, begins or ends with it.

    Raises
    ------
    InputError : it is a number that neither a finding nor a case has.
    """
    names = {name for case in cases for name in case}
    if not given.isdecimal() or given in names:
        return None
    number = 0
    for number, case in enumerate(found_ones, 1):
        if str(number) == given:
            return case
    if any(name.startswith(given) or name.endswith(given) for name in names):
        return None
    there = "nothing stands out" if not number else "there is 1 alone" if number == 1 else f"there are 1 to {number:,}"
    raise InputError(f"{given}: no finding of this number ({there}), and no run or test case of this name")


def _rows(folder: Path, columns: Sequence[str], case: Case) -> list[dict[str, Any]]:
    """Read the rows of a case; a table that is missing has none."""
    if not part_paths(folder):
        return []
    filters = [("run", "==", case[0]), ("test_case", "==", case[1])]
    rows: list[dict[str, Any]] = read_rows(folder, list(columns), filters).to_pylist()
    return rows


def _services(layout: Layout, case: Case) -> dict[str, int]:
    """Count the lines of each service of a case; where nothing was loaded, by its timeline."""
    lines: dict[str, int] = {}
    for row in _rows(layout.sequences, ["service", "seq_len"], case):
        lines[row["service"]] = lines.get(row["service"], 0) + row["seq_len"]
    if not lines:
        for row in _rows(layout.timeline, ["service", "n_events"], case):
            lines[row["service"]] = lines.get(row["service"], 0) + row["n_events"]
    return lines


def _views(layout: Layout, case: Case, services: Mapping[str, int]) -> Iterator[ServiceView]:
    """Take each service's timeline and windows from those of the case; ``services`` maps names to lines."""
    windows, ticks = defaultdict(list), defaultdict(list)
    for row in _rows(layout.windows, ["service", *Window.__dataclass_fields__], case):
        windows[row.pop("service")].append(Window(**row))
    for row in _rows(layout.timeline, ["service", *Tick.__dataclass_fields__], case):
        ticks[row.pop("service")].append(Tick(**row))
    for service, n_events in services.items():
        windows[service].sort(key=lambda window: (-window.score, window.window_start))
        ticks[service].sort(key=lambda tick: tick.start)
        yield ServiceView(service, n_events, tuple(ticks[service]), tuple(windows[service][:MOST_WINDOWS]))


def _best_lines(layout: Layout, case: Case, services: Sequence[str], findings: list[Finding]) -> list[dict[str, Any]]:
    """Read the most unusual lines of some services, the line that ``findings`` shows first; or else all evidence."""
    evidence = [
        {"service": row.service, "path": line.path, "line_no": line.line_no, "text": line.text}
        for row in findings
        for line in row.evidence
        if row.service in services
    ]
    rows = [row for row in _rows(layout.lines, LINES.names, case) if row["service"] in services]
    rows.sort(key=lambda row: (-row["score"], row["path"], row["line_no"]))
    if not rows:
        return evidence[:MOST_LINES]
    first = evidence[:1]
    return [*first, *(row for row in rows if not first or _place(row) != _place(first[0]))][:MOST_LINES]


def _place(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["path"], row["line_no"]


def _excerpts(lines: list[dict[str, Any]], files: dict[str, SourceFile], around: int) -> Iterator[Excerpt]:
    """Read the lines of each log again, with those around them; the kept text stands where that cannot be done."""
    for path in dict.fromkeys(line["path"] for line in lines):
        own = sorted((line for line in lines if line["path"] == path), key=lambda line: line["line_no"])
        kept = {line["line_no"]: line["text"][:MOST_CHARS] for line in own}
        found, note = _read_around(files.get(path), kept, around) if around else (kept, "")
        yield Excerpt(path, own[0]["service"], tuple(sorted(found.items())), tuple(kept), note)


def _read_around(file: SourceFile | None, kept: dict[int, str], around: int) -> tuple[dict[int, str], str]:
    """Return the lines around the kept ones, or the kept ones and why there are no more."""
    if file is None:
        return kept, "the manifest names no such log in the tree that was loaded"
    ranges = [(line - around, line + around) for line in kept]
    try:
        found = {number: text[:MOST_CHARS] for number, text in read_line_ranges(file, ranges)}
    except OSError as error:
        return kept, f"the raw log has moved or is gone ({error.strerror or error})"
    if all(text.strip()[:_KNOWN_CHARS] in found.get(line, "") for line, text in kept.items()):
        return found, ""
    return kept, "the raw log is not what it was when it was loaded"


def _files(layout: Layout, case: Case, guarded: bool) -> dict[str, SourceFile]:
    """Find the logs of a case in the manifest, by the path that lines carry; ``score`` keeps manifests of its own."""
    own = layout.internal / "score"
    others = sorted(own.glob("*/")) if is_local(own) and own.is_dir() else []
    files: dict[str, SourceFile] = {}
    for owner in (layout, *map(Layout, others)):
        raw = (read_load(owner) or {}).get("root") if guarded else None
        for row in _rows(owner.manifest, [*_MANIFEST, "selected"], case):
            if not row.pop("selected"):
                continue
            file = SourceFile.of_row(row)
            read = (file.path, *(part.path for part in file.parts))
            if not guarded or (raw and all(is_below(path, raw) for path in read)):
                # Of a rotated log, lines are numbered file by file.
                files |= {one.place: one for one in map(file.of_part, file.parts)} or {file.place: file}
    return files


def is_below(path: str, folder: str) -> bool:
    """Return whether a log lies in a folder, wherever links lead."""
    if not is_local(to_path(folder)):
        return path.startswith(folder.rstrip("/") + "/") and ".." not in path.split("/")
    return "://" not in path and Path(path).resolve().is_relative_to(Path(folder).resolve())
