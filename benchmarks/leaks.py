"""Does `lo2dask audit` find planted leaks, and accuse no honest tree? ``python benchmarks/leaks.py [--leaks 20]``.

Every tree is made of correct traffic alone, in runs of several cases of which some carry an error's name: labels mean
nothing. A planted tree has one thing that tells the classes apart (LEAKS); a clean one has none. With --honest, trees
of LO2 v2 with their real errors join: nothing but the errors may be seen in them.
"""

import argparse
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from common import report, watch_memory, working_folder

from lo2dask.audit.checks import LEAK
from lo2dask.commands.audit import AuditSummary, audit
from lo2dask.commands.load import load
from lo2dask.domain import CORRECT, ERROR_CASES, SERVICES
from lo2dask.execute.session import Session
from lo2dask.options import AuditOptions, LoadOptions, SynthOptions
from lo2dask.synthesis import write_tree
from lo2dask.synthesis.service_log import LogSpec, service_log

EPOCH, DAY_S, GAP_S = 1_719_540_000, 86_400, 10
RUNS, CORRECTS, ERRORS = 10, 2, 3
SCALE = 0.03
# Lines of a log that load trims, and where a planted word of the later log stands.
FIRST, LATER = 5, 200
_LINE = "[XNIO-1 task-1]  4xQZq1n0R9aqyhHh2Z1G1A INFO  com.networknt.audit.Planted mark - {}"


@dataclass(frozen=True)
class Leak:
    """One planted leak: what tells, in which logs (no services: all), of which class, how strongly."""

    check: str
    side: str = "anomalous"
    services: tuple[str, ...] = ()
    strength: float = 1.0


LEAKS = (
    Leak("length", "anomalous", ("token",), 0.6),
    Leak("length", "normal", ("user",), 0.5),
    Leak("length", "normal", (), 0.7),
    Leak("duration", "anomalous", (), 2.0),
    Leak("duration", "normal", ("client",), 2.5),
    Leak("startup", "anomalous", ("user",), 1.0),
    Leak("startup", "normal", ("service",), 1.0),
    Leak("startup", "anomalous", (), 0.8),
    Leak("order", "normal", (), 0.0),
    Leak("order", "normal", (), 1.0),
    Leak("time", "anomalous", (), 6.0),
    Leak("time", "anomalous", (), 0.0),
    Leak("size", "anomalous", ("code",), 1.0),
    Leak("size", "normal", ("refresh-token",), 1.5),
    Leak("services", "anomalous", ("key",), 0.7),
    Leak("services", "normal", ("service",), 1.0),
    Leak("duplicates", "anomalous", ("token",), 1.0),
    Leak("duplicates", "normal", ("client", "code", "user"), 1.0),
    Leak("word", "anomalous", ("code",), 1.0),
    Leak("word", "normal", ("token",), 0.9),
)


@dataclass(frozen=True)
class CaseSpec:
    """One case to write: its name, whether it is normal, when it begins, how long it lasts, and its place."""

    run: str
    name: str
    start: int
    seconds: int
    place: int

    @property
    def normal(self) -> bool:
        """Whether its name says so."""
        return self.name == CORRECT or self.name.startswith(f"{CORRECT}_")


def write_made_up(root: Path, seed: int, leak: Leak | None) -> None:
    """Write a tree with one leak, or without any."""
    draw = np.random.default_rng([seed, 7])
    for case in plan_cases(draw, leak):
        folder = root / case.run / case.name
        folder.mkdir(parents=True)
        for service in SERVICES:
            lines = _lines(seed, case, service, leak)
            if leak and is_planted(leak, case, service):
                lines = plant(lines, leak, draw)
            if lines:
                path = folder / f"light-oauth2-oauth2-{service}-1.log"
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def plan_cases(draw: np.random.Generator, leak: Leak | None) -> list[CaseSpec]:
    """Draw the cases of all runs: their order, length and names; leaks of order and time are planted here."""
    by_date = leak is not None and leak.check == "time" and not leak.strength
    cases = []
    for number in range(16 if by_date else RUNS):
        at = EPOCH + number * DAY_S + int(draw.integers(0, 3600))
        run = f"LO2_run_{at}"
        corrects = [CORRECT, *(f"{CORRECT}_{one}" for one in range(1, CORRECTS))]
        errors = [str(name) for name in draw.choice(ERROR_CASES, ERRORS, replace=False)]
        names = (errors[:CORRECTS] if number >= 8 else corrects) if by_date else [*corrects, *errors]
        names = [names[place] for place in draw.permutation(len(names)).tolist()]
        if leak and leak.check == "order":
            names = [*errors, *corrects] if leak.strength else [*corrects, *errors]
        for place, name in enumerate(names):
            one = CaseSpec(run, name, at, int(draw.integers(30, 61)), place)
            late = leak is not None and leak.check == "time" and leak.strength and not one.normal
            cases.append(replace(one, start=at + int(3600 * leak.strength) if late and leak else at))
            at += one.seconds + GAP_S
    return cases


def is_planted(leak: Leak, case: CaseSpec, service: str) -> bool:
    """Return whether a leak shows in a log."""
    return case.normal == (leak.side == "normal") and service in (leak.services or SERVICES)


def plant(lines: list[str], leak: Leak, draw: np.random.Generator) -> list[str]:
    """Change a log as the leak says."""
    if leak.check == "length":
        return lines[: int(leak.strength * len(lines))]
    if leak.check == "size":
        return lines + [""] * int(leak.strength * sum(map(len, lines)))
    if leak.check == "services" and draw.random() < leak.strength:
        return []
    if leak.check in ("startup", "word") and draw.random() < leak.strength:
        at = min(FIRST if leak.check == "startup" else LATER, len(lines) - 1)
        return [*lines[:at], f"{lines[at][:12]} {_LINE.format('planted-word')}", *lines[at:]]
    return lines


def _lines(seed: int, case: CaseSpec, service: str, leak: Leak | None) -> list[str]:
    """Make a log of correct traffic."""
    check = leak.check if leak and is_planted(leak, case, service) else ""
    spec = LogSpec(
        seed=seed, run=f"{case.run} {case.place}", test_case=CORRECT, service=service, scale=SCALE, start=case.start,
        seconds=float(case.seconds), is_first=case.place == 0 and (leak is None or leak.check != "order"),
        is_steady=True,
    )  # fmt: skip
    if check == "duplicates":
        spec = replace(spec, run="copied", seconds=45.0, is_first=False)
    if check == "duration" and leak:
        # As many requests in more time.
        spec = replace(spec, seconds=spec.seconds * leak.strength, scale=spec.scale / leak.strength)
    return service_log(spec).decode("utf-8", "surrogateescape").splitlines()


def look(raw: Path, session: Session) -> AuditSummary:
    """Load a tree and audit it; both folders are removed."""
    out = raw.with_name(f"{raw.name}-out")
    load(LoadOptions(root=raw, output_dir=out, workers=1), session)
    found = audit(AuditOptions(root=out))
    shutil.rmtree(raw)
    shutil.rmtree(out)
    return found


def leaks_of(summary: AuditSummary) -> list[str]:
    """Name the checks that accuse."""
    return [check.name for check in summary.checks if check.state == LEAK]


def count_found(folder: Path, leaks: tuple[Leak, ...], session: Session, seed: int) -> int:
    """Audit a tree for each leak; return how many checks accuse what was planted."""
    found = 0
    for number, leak in enumerate(leaks):
        write_made_up(folder / f"leak-{number}", seed + number, leak)
        named = leaks_of(look(folder / f"leak-{number}", session))
        found += leak.check in named
        where = "/".join(leak.services) or "all services"
        verdict = "found" if leak.check in named else "MISSED"
        report(f"{leak.check}, {leak.side}, {where}, {leak.strength:g}", verdict, f"accused: {', '.join(named) or '-'}")
    return found


def count_accused(folder: Path, trees: int, session: Session, seed: int, honest: bool = False) -> int:
    """Audit trees without a leak; return how many of them are accused of one."""
    accused = 0
    for number in range(trees):
        raw = folder / f"clean-{number}"
        if honest:
            options = SynthOptions(
                out=raw, runs=RUNS, errors_per_run=ERRORS, scale=SCALE, layout="v2", seed=seed + number, jobs=1
            )
            write_tree(options)
        else:
            write_made_up(raw, seed + number, None)
        summary = look(raw, session)
        accused += summary.leaks > 0
        if summary.leaks:
            strongest = [f"{c.name} AUC {c.auc:.2f} p {c.p:.4f} {c.where}" for c in summary.checks if c.state == LEAK]
            report(f"{'honest' if honest else 'clean'} tree {number}", "ACCUSED", *strongest)
    return accused


def main() -> None:
    """Count what is found and what is falsely accused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leaks", type=int, default=len(LEAKS), help="planted trees, the first of the list")
    parser.add_argument("--clean", type=int, default=20, help="trees without a leak")
    parser.add_argument("--honest", type=int, default=0, help="trees of LO2 v2 with real errors")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--keep", type=Path, help="working folder, kept")
    given = parser.parse_args()
    began = time.perf_counter()
    options = LoadOptions(root=Path("raw"), output_dir=Path("out"), workers=1)
    with working_folder(given.keep) as folder, watch_memory() as peak, Session(options) as session:
        found = count_found(folder, LEAKS[: given.leaks], session, given.seed)
        report("planted leaks found", f"{found} of {min(given.leaks, len(LEAKS))}")
        accused = count_accused(folder, given.clean, session, given.seed + 1_000)
        report("clean trees falsely accused", f"{accused} of {given.clean}")
        if given.honest:
            accused = count_accused(folder, given.honest, session, given.seed + 2_000, honest=True)
            report("trees with real errors accused", f"{accused} of {given.honest}")
    report("time, memory", f"{time.perf_counter() - began:.0f} s", f"{peak.total / 1e6:,.0f} MB with the loads")


if __name__ == "__main__":
    main()
