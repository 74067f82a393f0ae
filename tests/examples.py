"""How many examples properties are tried with."""

from hypothesis import settings

THOROUGH = 40
# Of the rooms that CI tries once more with all examples; the other rooms' properties have those of the profile.
FAST_SHARE = 4


def examples(count: int) -> settings:
    """Ask for as many examples where all are tried (``--hypothesis-profile thorough``), else for a quarter of them."""
    return settings(max_examples=count if settings().max_examples == THOROUGH else count // FAST_SHARE)
