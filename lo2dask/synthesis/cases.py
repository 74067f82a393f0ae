"""The 54 test cases by name."""

from functools import cache

from lo2dask.domain import CORRECT, ERROR_CASES
from lo2dask.errors import InputError
from lo2dask.synthesis.answers import ErrorCase
from lo2dask.synthesis.oauth_cases import oauth_cases
from lo2dask.synthesis.resource_cases import resource_cases


def error_case(name: str) -> ErrorCase:
    """Return an error case by name.

    Raises
    ------
    InputError : there is no such case; lists those there are.
    """
    cases = _all_cases()
    if name not in cases:
        raise InputError(f"unknown test case {name!r}; known are: {CORRECT}, {', '.join(ERROR_CASES)}")
    return cases[name]


@cache
def _all_cases() -> dict[str, ErrorCase]:
    return {case.name: case for case in (*resource_cases(), *oauth_cases())}
