"""The 54 test cases by name."""

from functools import cache
from typing import Final

from lo2dask.errors import InputError
from lo2dask.synth.answers import ErrorCase
from lo2dask.synth.oauth_cases import oauth_cases
from lo2dask.synth.resource_cases import resource_cases

CORRECT: Final = "correct"


def error_names() -> tuple[str, ...]:
    """Return the names of the 53 error cases, sorted."""
    return tuple(sorted(_all_cases()))


def error_case(name: str) -> ErrorCase:
    """Return an error case by name.

    Raises
    ------
    InputError : there is no such case; lists those there are.
    """
    cases = _all_cases()
    if name not in cases:
        raise InputError(f"unknown test case {name!r}; known are: {CORRECT}, {', '.join(sorted(cases))}")
    return cases[name]


@cache
def _all_cases() -> dict[str, ErrorCase]:
    return {case.name: case for case in (*resource_cases(), *oauth_cases())}
