"""The audit in words, and as one page that needs no network and no script."""

from dataclasses import dataclass
from html import escape

from lo2dask.audit.checks import ALPHA, CLEAR, DRAWS, LEAK, MATERIAL, UNKNOWN, UNSURE, WEAK, Check
from lo2dask.buffers.visible import visible

_STATES = {LEAK: "LEAK", UNSURE: "perhaps", WEAK: "weak", CLEAR: "clear", UNKNOWN: "unknown"}
_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c;
 background: #fff } h1 { font-size: 1.5rem } .soft { color: #595959; font-weight: normal }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .4rem .6rem;
 border-bottom: 1px solid #d0d0d0; overflow-wrap: anywhere } tr.leak { background: #fdeaea }
tr.leak td:first-child { border-left: .3rem solid #b3261e } td.state { font-weight: 600 }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #ececec } .soft { color: #b0b0b0 }
 th, td { border-color: #444 } tr.leak { background: #3a1c1c } }
@media (max-width: 40rem) { thead { display: none } tr { display: block; margin-bottom: 1rem } td { display: block } }
"""


@dataclass(frozen=True)
class AuditPage:
    """What the page shows: the folder, how much of it was looked at, and the checks."""

    root: str
    runs: int
    cases: int
    total: int
    normal: int
    left_out: int
    checks: tuple[Check, ...]


def say_check(check: Check) -> str:
    """Say in one sentence what a check found, and what to do about a leak."""
    if check.auc is None or check.p is None:
        return f"{check.title}: not looked at: {check.note}"
    figures = _figures(check, check.auc)
    if check.state == LEAK:
        return f"{check.title} alone {figures}: {check.advice}"
    if check.state == UNSURE:
        return f"{check.title} perhaps {figures}: look again with more runs"
    if check.state == CLEAR:
        return f"{check.title} does not tell the classes apart ({_short(check)})"
    return f"{check.title} {figures}: too little to matter{f', {check.note}' if check.note else ''}"


def say_where(check: Check) -> str:
    """Say where a check found most, and in which direction."""
    if check.auc is None or not check.where:
        return ""
    if check.name == "duplicates":
        return check.where
    if check.name in ("startup", "word"):
        return f"most in {check.where}"
    less, more = _DIRECTIONS.get(check.name, ("lower", "higher"))
    place = "by" if check.name in ("order", "time") else "in"
    return f"most {place} {check.where}: anomalous cases {more if check.auc > 0.5 else less}"


def say_units(page: AuditPage) -> str:
    """Say what was looked at."""
    drawn = f", of {page.total:,} (whole runs, drawn)" if page.total > page.cases else ""
    anomalous = page.cases - page.normal
    words = f"; {page.left_out:,} words left out (--limit)" if page.left_out else ""
    return f"{page.runs:,} runs, {page.cases:,} cases{drawn}: {page.normal:,} normal, {anomalous:,} anomalous{words}"


def say_verdict(checks: tuple[Check, ...]) -> str:
    """Say in one sentence what all checks found together."""
    leaks = [check.title for check in checks if check.state == LEAK]
    if leaks:
        return f"{len(leaks)} of {len(checks)} checks tell the classes apart without any error: {', '.join(leaks)}"
    if all(check.state == UNKNOWN for check in checks):
        return checks[0].note
    perhaps = [check.title for check in checks if check.state == UNSURE]
    rest = f"; not certain of {', '.join(perhaps)}" if perhaps else ""
    return f"nothing but the errors is seen to tell the classes apart{rest}"


def say_p(p: float) -> str:
    """Write a p-value without its leading zero."""
    return "< .001" if p < 0.001 else "1" if p >= 0.9995 else f"{p:.3f}".removeprefix("0")


def render(page: AuditPage) -> str:
    """Render the whole page; every name and word of the data is escaped."""
    rows = "\n".join(map(_row, page.checks))
    title = f"lo2dask audit: {_text(page.root)}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<title>{title}</title><style>{_CSS}</style></head>
<body><main><h1>lo2dask audit <span class="soft">{_text(page.root)}</span></h1>
<p><strong>{_text(say_verdict(page.checks))}</strong></p><p>{_text(say_units(page))}</p>
<table><thead><tr><th>check</th><th>verdict</th><th>figure</th><th>found</th><th>what to do</th></tr></thead>
<tbody>
{rows}
</tbody></table>
<p class="soft">Each check compares normal with anomalous cases (run and test case) by one thing that is no error, and
permutes the labels {DRAWS:,} times, within each run that has both classes, else among the runs. AUC .5 is chance;
1 and 0 tell every pair apart. p is corrected for the number of checks (Holm). A leak has p of at most {ALPHA} and an
AUC at least {MATERIAL} from chance. Words are those of logs without rare error statements, outside error lines:
a word that is the error is no leak. Clear means that nothing was seen, not that nothing is there.</p>
</main></body></html>
"""


def _row(check: Check) -> str:
    told = check.note if check.auc is None else say_where(check)
    do = check.advice if check.state == LEAK else ""
    cells = (check.title, _STATES[check.state], _short(check), told, do)
    inside = "".join(f"<td{' class=state' if place == 1 else ''}>{_text(one)}</td>" for place, one in enumerate(cells))
    return f'<tr class="{check.state}">{inside}</tr>'


def _figures(check: Check, auc: float) -> str:
    if check.name == "duplicates":
        return f"tells the class in {100 * auc:.0f} % of equal pairs ({_short(check)})"
    return f"tells {100 * max(auc, 1 - auc):.0f} % of pairs apart ({_short(check)})"


def _short(check: Check) -> str:
    """Write the figure of a check with its p."""
    if check.auc is None or check.p_holm is None:
        return ""
    p = f"p {say_p(check.p_holm)} after Holm"
    if check.name == "duplicates":
        return f"chance {100 * check.chance:.0f} %, {p}" if check.p != 1.0 else p
    auc = max(check.auc, 1 - check.auc)
    return f"AUC {f'{auc:.2f}'.removeprefix('0')}, {p}"


def _text(text: str) -> str:
    return escape(visible(text))


_DIRECTIONS = {
    "length": ("are shorter", "are longer"),
    "duration": ("are shorter", "are longer"),
    "order": ("come earlier", "come later"),
    "time": ("are earlier", "are later"),
    "size": ("are smaller", "are larger"),
    "services": ("have fewer", "have more"),
}
