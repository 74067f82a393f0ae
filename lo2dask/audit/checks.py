"""The checks: each asks whether one thing that is no error tells normal cases from anomalous ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from lo2dask.audit.cases import Cases
from lo2dask.audit.duplicates import Duplicates
from lo2dask.audit.permute import Floats, areas, least_p, p_value, presence_gaps
from lo2dask.audit.words import WordTable, WordTables
from lo2dask.buffers.arrays import Bools
from lo2dask.models.uncertainty import holm

# Permutations of the labels; the least p is one over one more.
DRAWS = 2_000
# Highest p after Holm at which a check accuses, and at which it says that it may be so.
ALPHA, UNSURE_ALPHA = 0.01, 0.05
# Cases of each class, below which nothing is said.
LEAST_CASES = 4
# abs(AUC - .5) below which a certain difference is too small to learn a class from.
MATERIAL = 0.1
# A service is compared where this share of the cases has a log of it.
_COMMON = 0.5
_DAY_MS = 86_400_000.0

LEAK, UNSURE, WEAK, CLEAR, UNKNOWN = "leak", "unsure", "weak", "clear", "unknown"
TITLES = {
    "length": "length",
    "duration": "duration",
    "startup": "start-up text",
    "order": "order in the run",
    "time": "position in time",
    "size": "file size",
    "services": "missing services",
    "duplicates": "duplicates across the split",
    "word": "a single word",
}


@dataclass(frozen=True)
class Check:
    """What one check found.

    ``state`` is ``leak`` (certain after Holm, and large), ``unsure`` (large, and not quite certain), ``weak`` (too
    small to matter), ``clear``, or ``unknown``, for which ``note`` has the reason. ``auc`` is that of anomalous against
    normal cases: above .5 they have more of it. Of duplicates it is the share of equal pairs that are of one class, and
    ``chance`` is what permuted labels give. ``where`` names what tells most: a service, or service and word. ``p`` is
    that of the permutations, ``p_holm`` the same after correction for the number of checks.
    """

    name: str
    state: str = UNKNOWN
    auc: float | None = None
    p: float | None = None
    p_holm: float | None = None
    where: str = ""
    note: str = ""
    advice: str = ""
    chance: float = 0.5

    @property
    def title(self) -> str:
        """The name in words."""
        return TITLES[self.name]

    @property
    def accuses(self) -> bool:
        """Whether it found a leak, or perhaps one."""
        return self.state in (LEAK, UNSURE)

    @property
    def effect(self) -> float:
        """How far the figure is from chance."""
        return 0.0 if self.auc is None else abs(self.auc - self.chance)


def run_checks(
    cases: Cases, duplicates: Duplicates, tables: WordTables, loaded: Mapping[str, Any], labels: Bools
) -> list[Check]:
    """Make all checks, in the order of TITLES; ``loaded`` are the options of the load, ``labels`` of draw_labels."""
    reason = too_few(cases)
    if reason:
        return [Check(name, note=reason) for name in TITLES]
    makers: dict[str, Callable[[], Check]] = {
        "length": lambda: check_values("length", _common(cases.by_service("length")), labels, cases.services),
        "duration": lambda: check_values("duration", _common(cases.by_service("duration")), labels, cases.services),
        "startup": lambda: check_words("startup", tables.startup, labels),
        "order": lambda: check_values("order", order_values(cases), labels, ("rank", "seconds into the run")),
        "time": lambda: check_values("time", time_values(cases), labels, ("date", "time of day")),
        "size": lambda: check_values("size", _common(cases.by_service("size")), labels, cases.services),
        "services": lambda: check_values("services", service_values(cases), labels, (*cases.services, "their number")),
        "duplicates": lambda: check_duplicates(duplicates, labels),
        "word": lambda: check_words("word", tables.statements, labels),
    }
    return judge([replace(makers[name](), advice=advice(name, loaded)) for name in TITLES])


def too_few(cases: Cases) -> str:
    """Say why no check can tell anything, or nothing where checks can."""
    normal, anomalous = int(cases.normal.sum()), int((~cases.normal).sum())
    if min(normal, anomalous) < LEAST_CASES:
        return (
            f"too few runs to tell: {normal} normal and {anomalous} anomalous cases, {LEAST_CASES} of each are needed"
        )
    if least_p(cases.run, cases.normal) * len(TITLES) > ALPHA:
        return "too few runs to tell: no order of the labels reaches p .01 after Holm"
    return ""


def judge(checks: list[Check]) -> list[Check]:
    """Correct the p-values for the number of checks that were made, and give each check its state."""
    made = [check for check in checks if check.p is not None]
    corrected = dict(zip((check.name for check in made), holm([check.p or 0.0 for check in made]), strict=True))
    judged: list[Check] = []
    for check in checks:
        p = corrected.get(check.name)
        if p is not None:
            check = replace(check, p_holm=p, state=_state(check, p))
        if check.name == "word" and any(one.name == "length" and one.accuses for one in judged):
            check = replace(check, advice=_LONGER)
        judged.append(check)
    return judged


def _state(check: Check, p: float) -> str:
    if p > UNSURE_ALPHA:
        return CLEAR
    if check.effect < MATERIAL or check.note:
        return WEAK
    return LEAK if p <= ALPHA else UNSURE


def check_values(name: str, values: Floats, labels: Bools, columns: tuple[str, ...]) -> Check:
    """Compare the values of cases (cases, columns): the column that tells most, against the same of permuted labels."""
    true = labels[0]
    known = ~np.isnan(values)
    usable = (known[true].sum(axis=0) >= LEAST_CASES) & (known[~true].sum(axis=0) >= LEAST_CASES)
    if not usable.any():
        return Check(name, note=_NOT_THERE[name])
    differs = np.array([len(np.unique(one[~np.isnan(one)])) > 1 for one in values.T])
    kept = np.flatnonzero(usable & differs)
    if not len(kept):
        return Check(name, auc=0.5, p=1.0)
    found = areas(values[:, kept], labels)
    gaps = np.abs(found - 0.5)
    best = int(gaps[0].argmax())
    return Check(name, auc=float(found[0, best]), p=p_value(gaps.max(axis=1)), where=columns[kept[best]])


def check_words(name: str, tables: Sequence[WordTable], labels: Bools) -> Check:
    """Compare in how many cases of each class each word of each service is: the largest gap, as for values."""
    largest, best = np.zeros(len(labels)), Check(name, auc=0.5, p=1.0)
    usable = [one for one in tables if _is_usable(one, labels[0])]
    if not usable:
        return Check(name, note=_NOT_THERE[name])
    for one in usable:
        if not one.presence.shape[1]:
            continue
        gaps, normal, anomalous = presence_gaps(one.presence, labels[:, one.cases])
        word = int(np.abs(anomalous - normal).argmax())
        area = 0.5 + float(anomalous[word] - normal[word]) / 2
        if abs(area - 0.5) > best.effect:
            shares = f"in {anomalous[word]:.0%} of anomalous and {normal[word]:.0%} of normal logs"
            best = replace(best, auc=area, where=f'{one.service}: "{one.words[word]}" {shares.replace("%", " %")}')
        np.maximum(largest, gaps, out=largest)
    return replace(best, p=p_value(largest))


def check_duplicates(duplicates: Duplicates, labels: Bools) -> Check:
    """Ask whether logs of different runs with equal bags are of one class more often than chance."""
    if not duplicates.pairs:
        return Check("duplicates", auc=0.5, p=1.0, where="no log equals one of another run")
    agreement = duplicates.agreement(labels)
    where = f"{duplicates.copied:,} of {duplicates.held:,} held-out logs equal one of the training part"
    few = duplicates.copied < _COPIED * duplicates.held or not duplicates.copied
    check = Check("duplicates", auc=float(agreement[0]), p=p_value(agreement), where=where)
    return replace(check, chance=float(agreement[1:].mean()), note="few held-out logs are copies" if few else "")


# Share of the held-out logs that have to be copies before they matter.
_COPIED = 0.05


def order_values(cases: Cases) -> Floats:
    """Return each case's place in its run, 0 to 1, and its start after the run's first; NaN in runs of one case."""
    start = _starts(cases)
    values = np.full((len(start), 2), np.nan)
    for run in np.unique(cases.run):
        mine = np.flatnonzero((cases.run == run) & ~np.isnan(start))
        if len(mine) > 1:
            values[mine, 0] = (stats.rankdata(start[mine]) - 1) / (len(mine) - 1)
            values[mine, 1] = start[mine] - start[mine].min()
    return values


def time_values(cases: Cases) -> Floats:
    """Return each case's start since 1970 and since midnight (UTC)."""
    start = _starts(cases)
    return np.stack([start, start % _DAY_MS], axis=1)


def service_values(cases: Cases) -> Floats:
    """Return which services each case has logs of, and how many."""
    there = np.zeros((len(cases.names), len(cases.services)))
    there[cases.of_sequence, cases.service] = 1.0
    return np.column_stack([there, there.sum(axis=1)])


def advice(name: str, loaded: Mapping[str, Any]) -> str:
    """Say what to do about a leak, given how the folder was loaded."""
    if name in ("length", "size") and loaded.get("balance_correct"):
        return "leave seq_len and the *_numeric models out, or use LO2 v2"
    if name == "startup":
        trimmed = loaded.get("trim_init_lines") is not False and loaded.get("init_lines_to_skip", 1)
        return "keep --trim-init-lines on, as it is" if trimmed else "load with --trim-init-lines"
    return _ADVICE[name]


def _starts(cases: Cases) -> Floats:
    """Return the start of each case: that of its first log; NaN where no log has a time."""
    start = np.full(len(cases.names), np.nan)
    np.fmin.at(start, cases.of_sequence, cases.figures["start"])
    return start


def _common(values: Floats) -> Floats:
    """Blank out the services of which few cases have a log: of few cases, an AUC is often large by chance."""
    few = (~np.isnan(values)).mean(axis=0) < _COMMON
    return np.where(few, np.nan, values)


def _is_usable(table: WordTable, normal: Bools) -> bool:
    of = normal[table.cases]
    return min(int(of.sum()), int((~of).sum())) >= LEAST_CASES


_ADVICE = {
    "length": "load with --balance-correct",
    "duration": "drop the column duration_ms from the models, or use LO2 v2",
    "order": "leave times out of the models, or record the cases in drawn order as LO2 v2 does",
    "time": "leave times out of the models, and record both classes over the same days",
    "size": "load with --balance-correct, and keep file sizes out of the models",
    "services": "load only services that all cases have (--service-types)",
    "duplicates": "remove the copies, or train with --holdout-by test-case",
    "word": "mask it (--mask-file) and load again",
}
_LONGER = "longer logs have more words: fix the length first, then look again"
_NOT_THERE = {
    "length": "no service has a log in half of the cases",
    "duration": "no service has a log in half of the cases",
    "startup": "load kept no start-up lines (--init-lines-to-skip 0), or few logs without errors have some",
    "order": "too few runs have several cases with a time",
    "time": "too few cases have a time",
    "size": "the manifest has no sizes",
    "services": "no service",
    "word": "too few logs without errors of their own",
}
