"""The audit as text."""

import textwrap

from lo2dask.audit.page import say_check, say_units, say_verdict, say_where
from lo2dask.buffers.visible import visible
from lo2dask.commands.audit import AuditSummary

_INDENT = "  "


def audit_text(summary: AuditSummary, width: int) -> list[str]:
    """Write the verdict, each check with its figure and what to do, and where the page is, in so many columns."""
    page = summary.page
    lines = _wrapped(say_verdict(page.checks), width) + _wrapped(say_units(page), width)
    if any(check.p is not None for check in summary.checks):
        for check in summary.checks:
            lines += _wrapped(say_check(check), width)
            where = say_where(check) if check.accuses else ""
            lines += [_INDENT + line for line in _wrapped(where, width - len(_INDENT))]
    return [*lines, f"page: {summary.html}"]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(visible(text), width, subsequent_indent=_INDENT, break_on_hyphens=False)
